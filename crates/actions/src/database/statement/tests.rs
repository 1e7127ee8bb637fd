use super::*;

fn one(text: &str, dialect: Dialect) -> (String, Vec<Parameter>) {
    let mut statements =
        Statement::parse_all(text, dialect).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
    assert_eq!(statements.len(), 1, "{text}");
    let statement = statements.remove(0);
    (statement.sql.to_string(), statement.parameters)
}

#[test]
fn a_name_becomes_the_placeholder_of_the_database() {
    use Parameter::{Amount, OrderId};
    let text = "UPDATE o SET paid = :amount, twice = :amount * 2 WHERE id = :order_id";
    assert_eq!(
        one(text, Dialect::Postgres),
        ("UPDATE o SET paid = $1, twice = $1 * 2 WHERE id = $2".to_owned(), vec![Amount, OrderId])
    );
    assert_eq!(
        one(text, Dialect::MySql),
        (
            "UPDATE o SET paid = ?, twice = ? * 2 WHERE id = ?".to_owned(),
            vec![Amount, Amount, OrderId]
        )
    );
}

#[test]
fn postgres_gets_casts_for_times_and_json_and_keeps_its_own_casts() {
    let (sql, _) = one(
        "SELECT :received_at::date, :data->>'a', :order_id::bigint, x::text, :version",
        Dialect::Postgres,
    );
    assert_eq!(sql, "SELECT $1::timestamptz::date, $2::json->>'a', $3::bigint, x::text, $4");
}

#[test]
fn a_colon_in_a_text_a_comment_or_a_quoted_name_is_no_parameter() {
    for text in [
        "SELECT ':order_id', 'it''s :status', '\\'",
        "SELECT E'\\':order_id', e'\\\\', 1",
        "SELECT $$:order_id$$, $a$ $$ :status '$a$, 1",
        "SELECT \":order_id\", \"a\"\":b\"",
        "SELECT 1 -- :order_id '\n, 2",
        "SELECT 1 /* :order_id /* nested ' */ :status */, 2",
        "SELECT a[1:2], x::int, '주문:order_id', tag$1$",
        "SELECT data ? 'a', some'e' :: text",
    ] {
        assert_eq!(one(text, Dialect::Postgres), (text.to_owned(), Vec::new()));
    }
    for text in [
        "SELECT ':order_id', 'it''s :status', '\\':status'",
        "SELECT \":order_id \\\" :status\", `a:b``:c`",
        "SELECT 1 # :order_id '\n, 2",
        "SELECT 1 -- :order_id '\n, 2",
        "SELECT 1 /* :order_id /* not nested */, 2",
        "SELECT @a := 1, 5--1",
        "SELECT '?', `?` -- ?",
    ] {
        assert_eq!(one(text, Dialect::MySql), (text.to_owned(), Vec::new()));
    }
}

#[test]
fn a_parameter_is_found_after_every_kind_of_quoting() {
    for text in [
        "SELECT 'a' || :status",
        "SELECT e'\\'', :status",
        "SELECT $x$ ' $x$, :status",
        "SELECT \"'\", :status",
    ] {
        assert_eq!(one(text, Dialect::Postgres).1, [Parameter::Status], "{text}");
    }
    for text in [
        "SELECT '\\'', :status",
        "SELECT `'`, :status",
        "SELECT 5--:status",
        "SELECT '\\\\',:status",
    ] {
        assert_eq!(one(text, Dialect::MySql).1, [Parameter::Status], "{text}");
    }
}

#[test]
fn semicolons_separate_statements_but_not_in_texts() {
    let text = "UPDATE a SET x = ';' WHERE id = :order_id; -- done;\n INSERT INTO b VALUES \
        (:event_id) ; \n-- the end\n";
    let statements = Statement::parse_all(text, Dialect::Postgres).unwrap();
    let sql: Vec<&str> = statements.iter().map(|statement| &*statement.sql).collect();
    assert_eq!(sql, ["UPDATE a SET x = ';' WHERE id = $1", "-- done;\n INSERT INTO b VALUES ($1)"]);
}

#[test]
fn an_invalid_statement_is_refused_with_the_reason() {
    use WrongStatement::{Empty, Open, Placeholder, TooMany, Unknown};
    let wrong = |text: &str, dialect| Statement::parse_all(text, dialect).unwrap_err();
    assert_eq!(wrong(" ; -- nothing\n", Dialect::Postgres), Empty);
    assert_eq!(wrong(&"SELECT 1;".repeat(21), Dialect::MySql), TooMany);
    assert_eq!(wrong("SELECT :order", Dialect::Postgres), Unknown("order".to_owned()));
    assert_eq!(wrong("SELECT $1", Dialect::Postgres), Placeholder("$1".to_owned()));
    assert_eq!(wrong("SELECT ?", Dialect::MySql), Placeholder("?".to_owned()));
    for open in ["'", "e'\\'", "\"a", "/* /* */", "$a$ $b$"] {
        assert!(matches!(wrong(open, Dialect::Postgres), Open(_)), "{open}");
    }
    for open in ["'\\'", "`", "/*"] {
        assert!(matches!(wrong(open, Dialect::MySql), Open(_)), "{open}");
    }
}

#[test]
fn the_scanner_loses_no_byte_of_any_text() {
    let parts = [
        "'", "\"", "`", "$", "$a$", ":", "::", "/*", "*/", "--", "\n", "e", "가", ":status", ";",
        "\\", "1", " ", "#", "?",
    ];
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let text: String = (0..8)
            .map(|_| {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                parts[(seed >> 33) as usize % parts.len()]
            })
            .collect();
        for dialect in [Dialect::Postgres, Dialect::MySql] {
            let Ok(pieces) = pieces(&text, dialect) else { continue };
            let length: usize = pieces.iter().map(length).sum();
            assert_eq!(length, text.len(), "{text:?}");
        }
    }
}

fn length(piece: &Piece<'_>) -> usize {
    match piece {
        Piece::Code(text) | Piece::Comment(text) | Piece::Placeholder(text) => text.len(),
        Piece::Name(name) => 1 + name.len(),
        Piece::End => 1,
    }
}
