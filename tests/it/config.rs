//! The configuration: its layers, and its errors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use autoreceive::config::{
    ActionKind, Config, ConfigError, DEFAULT_FILE, LogFormat, Sources, StoreAddress,
};
use autoreceive::domain::{EventKind, Span, StartsAt, Terms};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDC2FVsBQIhrs=";

/// A directory with an `autoreceive.toml` of this text.
struct Case {
    directory: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

impl Case {
    fn file(text: &str) -> Case {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("autoreceive.toml"), text).unwrap();
        Case { directory, env: BTreeMap::new() }
    }

    fn env(mut self, name: &str, value: &str) -> Case {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn load(self) -> Result<Config, ConfigError> {
        self.load_with(Vec::new())
    }

    fn load_with(
        self,
        flags: Vec<(&'static str, &'static str, String)>,
    ) -> Result<Config, ConfigError> {
        Config::load(&Sources {
            file: None,
            directory: self.directory.path().to_owned(),
            env: self.env,
            flags,
        })
    }

    fn problem(self) -> String {
        self.load().expect_err("this configuration is refused").to_string()
    }
}

fn webhook(rest: &str) -> String {
    format!("[actions.shop]\ntype = \"webhook\"\nurl = \"https://shop.example/hook\"\n{rest}\n")
}

fn token(name: &str, role: &str) -> String {
    format!("[tokens.{name}]\nrole = \"{role}\"\nsha256 = \"{}\"\n", "0f".repeat(32))
}

#[test]
fn with_a_token_the_api_may_listen_anywhere() {
    let config =
        Case::file(&format!("[http]\nlisten = \"0.0.0.0:8780\"\n{}", token("shop", "write")))
            .load()
            .unwrap();
    assert!(
        !config.tokens.is_empty() && config.show().contains("[tokens.shop]"),
        "{}",
        config.show()
    );
}

fn http(rest: &str) -> String {
    format!("[actions.shop]\ntype = \"http\"\n{rest}\n")
}

fn email(rest: &str) -> String {
    let server = "server = \"smtp.example.com\"\nfrom = \"Shop \
        <no-reply@shop.example>\"\nto_pointer = \"/email\"";
    format!("[actions.shop]\ntype = \"email\"\n{server}\n{rest}\n")
}

fn stream(rest: &str) -> String {
    format!(
        "[actions.shop]\ntype = \"stream\"\nurl = \"redis://me:canary@h:6379/0\"\nstream = \
        \"orders\"\n{rest}\n"
    )
}

#[test]
fn the_defaults_are_a_complete_configuration_with_the_built_in_default_policy() {
    let config = Case::file("").load().unwrap();
    assert_eq!(config.store.url, StoreAddress::Sqlite(PathBuf::from("autoreceive.db")));
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8780");
    assert_eq!(*config.policies["default"].terms, Terms::default());
    assert_eq!(config.actions.len(), 1);
    assert!(
        matches!(config.actions[0].kind, ActionKind::Log)
            && config.actions[0].on == [EventKind::Received]
    );
}

#[test]
fn every_commented_out_key_of_the_default_file_is_valid() {
    let mut text = String::new();
    for line in DEFAULT_FILE.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[')
            || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
        {
            text.push_str(line);
            text.push('\n');
        }
    }
    let text = text
        .replace("starts_at = \"paid\"", "starts_at = \"delivered\"")
        .replace("secret = \"whsec_…\"\n", "");
    let text = text.replace("sha256 = \"…\"", &format!("sha256 = \"{}\"", "0f".repeat(32)));
    let text = text.replace("ca_file = \"/etc/ssl/our-authority.pem\"\n", "");
    let text = text.replace("templates = \"/etc/autoreceive/letters\"\n", "");
    let case = Case::file(&text)
        .env("SHOP_WEBHOOK_SECRET", SECRET)
        .env("GATEWAY_TOKEN", "canary")
        .env("SMTP_PASSWORD", "canary");
    let config = case.load().unwrap();
    let terms = &config.policies["default"].terms;
    assert_eq!(
        (terms.starts_at, terms.pay_within),
        (StartsAt::Delivered, Some(Span::from_secs(1_800)))
    );
    let kind = |name: &str| {
        &config.actions.iter().find(|action| action.name.as_str() == name).unwrap().kind
    };
    let ActionKind::Http(messenger) = kind("messenger") else { panic!("an http action") };
    assert!(messenger.request.secrets.0.contains_key("GATEWAY_TOKEN"));
    let ActionKind::Webhook(webhook) = kind("shop") else { panic!("a webhook") };
    assert_eq!(
        (webhook.limits.timeout.as_secs(), webhook.limits.rate, webhook.limits.allow_private),
        (10, Some(100), false)
    );
}

fn database(rest: &str) -> String {
    format!("[actions.db]\ntype = \"database\"\nurl = \"postgres://me:canary@h/shop\"\n{rest}\n")
}

#[test]
fn a_database_that_keeps_orders_gets_all_events_and_one_with_a_statement_only_receipts() {
    for (rest, kinds) in [
        ("", EventKind::ALL.to_vec()),
        (
            "statement = \"SELECT \
        :order_id\"",
            vec![EventKind::Received],
        ),
    ] {
        let config = Case::file(&database(rest)).load().unwrap();
        assert_eq!(config.actions[0].on, kinds);
        assert!(!format!("{config:?}{}", config.show()).contains("canary"));
    }
}

#[test]
fn a_points_rule_takes_unset_keys_from_its_points() {
    let points = "[actions.db.points]\nrate = \"1/100\"\ncap = \
        50\n[[actions.db.points.rules]]\ncurrency = \"USD\"\nrate = \"2\"\n";
    let config = Case::file(&database(points)).load().unwrap();
    let ActionKind::Database(database) = &config.actions[0].kind else { panic!("a database") };
    let points = database.points.as_ref().unwrap();
    let rule = &points.rules[0];
    assert_eq!(
        (rule.earning.rate.to_string().as_str(), rule.earning.cap, rule.currency.as_deref()),
        ("2/1", Some(50), Some("USD"))
    );
    assert_eq!(points.others.rate.to_string(), "1/100");
}

#[test]
fn an_error_of_a_database_action_names_the_keys() {
    let rule = |rest: &str| {
        format!(
            "[actions.db.points]\nrate = \
        \"1/100\"\n[[actions.db.points.rules]]\n{rest}"
        )
    };
    let cases = [
        ("prefix = \"Shop\"".to_owned(), "actions.db.prefix", "a-z, 0-9 and _"),
        (
            "statement = \"SELECT :order\"".to_owned(),
            "actions.db.statement",
            ":order is not a parameter",
        ),
        (
            "secret = \"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDC2FVsBQIhrs=\"".to_owned(),
            "actions.db.secret",
            "actions.db.type",
        ),
        ("timeout = \"30s\"".to_owned(), "actions.db.lease", "actions.db.timeout"),
        (
            "on = [\"order.received\"]\n[actions.db.points]\nrate = \"1/100\"".to_owned(),
            "actions.db.on",
            "order.refunded",
        ),
        ("[actions.db.points]\nrate = \"0.01\"".to_owned(), "actions.db.points.rate", "1/100"),
        (
            "[actions.db.points]\nrate = \"1/100\"\nmaximum = 5".to_owned(),
            "actions.db.points.maximum",
            "unknown key",
        ),
        (rule("rate = \"1/2\""), "actions.db.points.rules[0]", "neither a policy nor a currency"),
        (
            rule("currency = \"usd\""),
            "actions.db.points.rules[0].currency",
            "three capital \
            letters",
        ),
    ];
    for (rest, first, second) in cases {
        let problem = Case::file(&database(&rest)).problem();
        assert!(problem.contains(first) && problem.contains(second), "{rest}\n  said {problem}");
    }
    for url in ["https://h/shop", "postgres://h", "sqlite:shop.db", "postgres:shop"] {
        let problem =
            Case::file(&database("").replace("postgres://me:canary@h/shop", url)).problem();
        assert!(
            problem.contains("actions.db.url") && problem.contains("postgres://"),
            "{url}: {problem}"
        );
    }
    let webhook = Case::file(
        "[actions.shop]\ntype = \"webhook\"\nurl = \
        \"postgres://h/canary\"",
    )
    .problem();
    assert!(
        webhook.contains("actions.shop.url")
            && webhook.contains("https://")
            && !webhook.contains("canary"),
        "{webhook}"
    );
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let file = "[store]\nshards = 8\nprefix = \"file\"\nurl = \"sqlite:file.db\"\n";
    let case = Case::file(file)
        .env("AUTORECEIVE_STORE__PREFIX", "env")
        .env("AUTORECEIVE_STORE__URL", "sqlite:env.db");
    let config =
        case.load_with(vec![("--store", "store.url", "sqlite:flag.db".to_owned())]).unwrap();
    assert_eq!((config.store.shards, config.store.prefix.as_str()), (8, "env"));
    assert_eq!(config.store.url, StoreAddress::Sqlite(PathBuf::from("flag.db")));
    let said = [
        "autoreceive.toml in the current directory",
        "AUTORECEIVE_STORE__PREFIX",
        "AUTORECEIVE_STORE__URL",
        "--store",
    ];
    assert_eq!(config.sources, said);
}

#[test]
fn the_environment_can_hold_numbers_lists_and_whole_actions() {
    let config = Case::file("")
        .env("AUTORECEIVE_SWEEPER__BATCH", "500")
        .env("AUTORECEIVE_POLICIES__DEFAULT__REMIND_BEFORE", r#"["6h", "1h"]"#)
        .env("AUTORECEIVE_ACTIONS__SHOP__TYPE", "webhook")
        .env("AUTORECEIVE_ACTIONS__SHOP__URL", "http://127.0.0.1:9/")
        .env("AUTORECEIVE_ACTIONS__SHOP__ALLOW_PRIVATE", "true")
        .env("AUTORECEIVE_ACTIONS__SHOP__SECRET", SECRET)
        .env("AUTORECEIVE_LOG__FORMAT", "json")
        .load()
        .unwrap();
    assert_eq!((config.sweeper.batch, config.log.format), (500, LogFormat::Json));
    assert_eq!(
        config.policies["default"].terms.remind_before,
        [Span::from_hours(6), Span::from_hours(1)]
    );
    assert_eq!(
        config.actions.iter().map(|action| action.name.as_str()).collect::<Vec<_>>(),
        ["shop"]
    );
}

#[test]
fn a_named_policy_begins_with_the_built_in_defaults() {
    let config = Case::file(
        "[policies.default]\nreceive_after = \
        \"48h\"\n[policies.gold]\nstarts_at = \"delivered\"\n",
    )
    .load()
    .unwrap();
    assert_eq!(config.policies["default"].terms.receive_after, Span::from_hours(48));
    assert_eq!(
        *config.policies["gold"].terms,
        Terms { starts_at: StartsAt::Delivered, ..Terms::default() }
    );
}

#[test]
fn an_error_names_the_full_key_its_source_and_what_is_expected() {
    let cases = [
        (
            "[store]\nur = \"x\"",
            "store.ur (in autoreceive.toml in the current directory): unknown key; did you \
            mean store.url?",
        ),
        (
            "[strore]\nurl = \"x\"",
            "strore (in autoreceive.toml in the current directory): unknown key; did you \
            mean store?",
        ),
        ("[policies.gold]\nrecieve_after = \"1h\"", "did you mean policies.gold.receive_after?"),
        (
            "[log]\nzzz = 1",
            "log.zzz (in autoreceive.toml in the current directory): unknown key; expected \
            one of format, level",
        ),
        (
            "[store]\nshards = \"many\"",
            "store.shards (in autoreceive.toml in the current directory): expected a whole \
                number, 0 or more, found a string",
        ),
        ("[store]\nshards = -1", "expected a whole number, 0 or more, found an integer"),
        (
            "[sweeper]\ncheck_every = 5",
            "sweeper.check_every (in autoreceive.toml in the current directory): \
             expected a text in quotes, found an integer",
        ),
        (
            "[policies.default]\nreceive_after = \"1 day\"",
            "policies.default.receive_after (in autoreceive.toml in the current directory): \"1 \
                day\" is not a duration",
        ),
        (
            "[policies.default]\nstarts_at = \"now\"",
            "expected \"paid\", \"shipped\" or \"delivered\"; found \"now\"",
        ),
        ("[log]\nlevel = \"loud\"", "log.level"),
        ("[actions.shop]\ntype = \"mail\"", "actions.shop.type"),
        (
            "[actions.shop]\ntype = \"log\"\non = [\"order.recieved\"]",
            "\"order.recieved\" is not \
            an event type",
        ),
        ("[http]\nlisten = \"localhost\"", "expected an IP address and a port"),
        ("[http]\nlisten = 8780", "for example \"127.0.0.1:8780\"; found \"8780\""),
        (
            "[tokens.shop]\nrole = \"admin\"",
            "tokens.shop.role (in autoreceive.toml in the current directory): expected \
                \"read\", \"write\" or \"operate\"",
        ),
        (
            "[tokens.shop]\nrole = \"read\"\nsha256 = \"abc\"",
            "tokens.shop.sha256 (in autoreceive.toml in the current directory): is not the SHA-256",
        ),
        ("[tokens.shop]\nrole = \"read\"", "tokens.shop"),
        (
            "store = 5",
            "store (in autoreceive.toml in the current directory): \
             expected a section with keys, found an integer",
        ),
        ("\n\n[store", "autoreceive.toml in the current directory, line 3: "),
        (
            "[tokens.shop]\nrole = \"read\"\n[tokens.shop]\nrole = \"write\"",
            "line 3: [tokens.shop] is defined twice; rename one of them, for example \
                with `autoreceive token new --name`",
        ),
        ("[log]\n[log]", "line 2: [log] is defined twice"),
        ("[log]\nlevel = \"info\"\nlevel = \"warn\"", "line 3: duplicate key"),
    ];
    for (file, expected) in cases {
        let problem = Case::file(file).problem();
        assert!(problem.contains(expected), "{file}\n  said     {problem}\n  expected {expected}");
    }
}

#[test]
fn an_error_of_a_dangerous_combination_names_both_keys() {
    let secret = format!("secret = \"{SECRET}\"\n");
    let cases = [
        (
            "[policies.a]\nfallback_after = \"7d\"".to_owned(),
            "policies.a.fallback_after",
            "policies.a.starts_at",
        ),
        (
            "[policies.a]\nship_within = \"7d\"".to_owned(),
            "policies.a.ship_within",
            "policies.a.starts_at",
        ),
        (
            "[policies.a]\nremind_before = [\"24h\"]".to_owned(),
            "policies.a.remind_before",
            "policies.a.receive_after",
        ),
        (
            "[policies.a]\nmax_extensions = 1\nextend_by = \"0s\"".to_owned(),
            "policies.a.extend_by",
            "policies.a.max_extensions",
        ),
        (
            "[policies.a]\nextend_by = \"7d\"".to_owned(),
            "policies.a.extend_by",
            "policies.a.max_extensions",
        ),
        ("[policies.a]\nretain_for = \"3d\"".to_owned(), "policies.a.retain_for", "at least 4d"),
        (
            "[policies.a]\nreceive_after = \"0s\"".to_owned(),
            "policies.a.receive_after",
            "use \"1ms\" for \"immediately\"",
        ),
        ("[policies.A]".to_owned(), "policies.A", "is not a policy name"),
        (
            webhook(&format!("{secret}lease = \"10s\"")),
            "actions.shop.lease",
            "actions.shop.timeout",
        ),
        (
            webhook(&format!("{secret}secret_env = \"X\"")),
            "actions.shop.secret",
            "actions.shop.secret_env",
        ),
        (webhook(""), "actions.shop.secret", "actions.shop.secret_env"),
        (webhook("secret_env = \"NOWHERE\""), "actions.shop.secret_env", "NOWHERE"),
        (
            http("url = \"https://{{ data.order.data.host }}/\""),
            "actions.shop.url",
            "a host without a template",
        ),
        (
            http("url = \"https://me:pw@a.example/\""),
            "actions.shop.url",
            "without a template or a \
            password",
        ),
        (
            http("url = \"http://[::1]/\""),
            "actions.shop.url: ::1",
            "set actions.shop.allow_private = true",
        ),
        (http("url = \"https://a.example/{{ id\""), "actions.shop.url: line 1", "syntax error"),
        (
            http("url = \"https://a.example/\"\nbody = \"{% if %}\""),
            "actions.shop.body: line 1",
            "syntax error",
        ),
        (
            http("url = \"https://a.example/\"\nheaders = { Host = \"b\" }"),
            "actions.shop.headers.Host",
            "by autoreceive itself",
        ),
        (
            http("url = \"https://a.example/\"\nheaders = { \"a b\" = \"b\" }"),
            "actions.shop.headers.a b",
            "not the name of a header",
        ),
        (http("url = \"https://a.example/\"\nenv = [\"NOWHERE\"]"), "actions.shop.env", "NOWHERE"),
        (
            http("url = \"https://a.example/\"\nok_value = \"1\""),
            "actions.shop.ok_pointer",
            "actions.shop.ok_value",
        ),
        (
            http("url = \"https://a.example/\"\nok_value = \"1\"\nok_pointer = \"ok\""),
            "actions.shop.ok_pointer",
            "JSON pointer",
        ),
        (
            http("url = \"https://a.example/\"\nmethod = \"get\""),
            "actions.shop.method",
            "expected GET",
        ),
        (
            http("url = \"https://a.example/\"\nsecret = \"x\""),
            "actions.shop.secret",
            "for actions.shop.type = \"http\"",
        ),
        (email("tls = \"none\""), "actions.shop.tls", "actions.shop.server"),
        (email("user = \"x\""), "actions.shop.user", "actions.shop.password_env"),
        (email("user = \"x\"\npassword_env = \"NOWHERE\""), "actions.shop.password_env", "NOWHERE"),
        (
            email("language = \"fr\""),
            "actions.shop.on",
            "received.fr.txt to the directory actions.shop.templates",
        ),
        (email("on = [\"order.shipped\"]"), "actions.shop.on", "shipped.en.txt"),
        (email("templates = \"/nowhere\""), "actions.shop.templates", "/nowhere"),
        (email("time_zone = \"Mars/Olympus\""), "actions.shop.time_zone", "Asia/Seoul"),
        (email("batch = 1000"), "actions.shop.batch", "actions.shop.timeout"),
        (email("language_pointer = \"language\""), "actions.shop.language_pointer", "JSON pointer"),
        (email("").replace("no-reply@", "no-reply"), "actions.shop.from", "expected an address"),
        (
            email("").replace("smtp.example.com", "me:canary@smtp.example.com"),
            "actions.shop.server",
            "expected a host",
        ),
        (stream("max_len = 0"), "actions.shop.max_len", "removed before"),
        (stream("timeout = \"30s\""), "actions.shop.lease", "actions.shop.timeout"),
        (stream("").replace("\"orders\"", "\"\""), "actions.shop.stream", "1 to 256 bytes"),
        (stream("").replace("redis:", "http:"), "actions.shop.url", "rediss:// for TLS"),
        (webhook(&format!("{secret}rate = 0")), "actions.shop.rate", "1 to 10000"),
        (
            webhook(&format!("{secret}rate = 1\nbatch = 1000")),
            "actions.shop.rate",
            "actions.shop.batch",
        ),
        (
            webhook(&format!("{secret}ca_file = \"/nowhere.pem\"")),
            "actions.shop.ca_file",
            "/nowhere.pem",
        ),
        (
            webhook(&secret).replace("shop.example", "0x7f.1"),
            "actions.shop.url: 127.0.0.1",
            "set actions.shop.allow_private = true",
        ),
        (
            webhook(&secret).replace("shop.example", "LOCALHOST."),
            "actions.shop.url: \
            localhost.",
            "set actions.shop.allow_private = true",
        ),
        (
            webhook(&secret).replace("shop.example", "169.254.169.254"),
            "actions.shop.url: \
            169.254.169.254",
            "nothing is ever sent to",
        ),
        (webhook("secret = []"), "actions.shop.secret", "0 secrets are set"),
        ("[actions.shop]\ntype = \"webhook\"".to_owned(), "actions.shop.url", "is missing"),
        (webhook("secret = \"whsec_c2hvcnQ=\""), "actions.shop.secret", "autoreceive secret new"),
        (
            "[actions.shop]\ntype = \"log\"\nurl = \"https://a.example/\"".to_owned(),
            "actions.shop.url",
            "actions.shop.type = \"log\"",
        ),
        ("[actions.\"a b\"]\ntype = \"log\"".to_owned(), "actions.a b", "is not an action name"),
        ("[http]\nlisten = \"0.0.0.0:8780\"".to_owned(), "http.listen", "autoreceive token new"),
        ("[http]\ntls_cert = \"cert.pem\"".to_owned(), "http.tls_cert", "http.tls_key"),
        ("[http]\ntls_key = \"key.pem\"".to_owned(), "http.tls_cert", "http.tls_key"),
        (
            format!("{}{}", token("a", "write"), token("b", "read")),
            "tokens.a.sha256",
            "tokens.b.sha256",
        ),
        (token("\"A b\"", "write"), "tokens.A b", "is not a token name"),
        ("[store]\nshards = 0".to_owned(), "store.shards", "expected 1 to 1024"),
        ("[store]\nurl = \"rediss://h\"".to_owned(), "store.url", "TLS"),
        ("[store]\nurl = \"mysql://h\"".to_owned(), "store.url", "sqlite:PATH"),
    ];
    for (file, first, second) in cases {
        let problem = Case::file(&file).problem();
        assert!(problem.contains(first) && problem.contains(second), "{file}\n  said {problem}");
    }
}

#[test]
fn all_dangerous_combinations_are_reported_at_once() {
    let problem = Case::file(
        "[store]\nshards = 0\n[sweeper]\nbatch = 0\n[policies.a]\nretain_for \
        = \"1h\"\n",
    )
    .problem();
    assert_eq!(problem.lines().count(), 3, "{problem}");
}

#[test]
fn a_variable_that_is_almost_a_key_is_refused_with_the_key_that_is_meant() {
    for (name, meant) in [
        ("AUTORECEIVE_STORE_URL", "AUTORECEIVE_STORE__URL"),
        ("AUTORECEIVE_STORE", "AUTORECEIVE_STORE__URL"),
        ("AUTORECEIVE_POLICIES", "AUTORECEIVE_POLICIES__DEFAULT__RECEIVE_AFTER"),
        ("AUTORECEIVE_LISTEN", "AUTORECEIVE_HTTP__LISTEN"),
        ("AUTORECEIVE_RECEIVE_AFTER", "AUTORECEIVE_POLICIES__DEFAULT__RECEIVE_AFTER"),
    ] {
        let problem = Case::file("").env(name, "redis://me:canary@h").problem();
        assert!(
            problem.contains(&format!("{name} is not used"))
                && problem.contains(&format!("did you mean {meant}?")),
            "{problem}"
        );
        assert!(!problem.contains("canary"), "{problem}");
    }
}

#[test]
fn other_unknown_variables_cause_a_warning_unless_another_program_reads_them() {
    let config = Case::file("")
        .env("AUTORECEIVE_REDIS_URL", "redis://canary")
        .env("AUTORECEIVE_TYPO", "1")
        .load()
        .unwrap();
    let said = config.warnings.join("\n");
    assert!(
        said.contains("AUTORECEIVE_REDIS_URL is not used")
            && said.contains("AUTORECEIVE_TYPO")
            && !said.contains("canary"),
        "{said}"
    );
    let others = [
        "PORT",
        "PORT_8780_TCP",
        "SERVICE_HOST",
        "URL",
        "TOKEN",
        "WEBHOOK_SECRET",
        "TEST_ORDERS",
        "BENCH_REDIS",
    ];
    let case = others
        .iter()
        .fold(Case::file(""), |case, name| case.env(&format!("AUTORECEIVE_{name}"), "x"));
    assert_eq!(case.load().unwrap().warnings, [""; 0]);
    let file = webhook("secret_env = [\"AUTORECEIVE_HTTP_SECRET\"]");
    assert_eq!(
        Case::file(&file).env("AUTORECEIVE_HTTP_SECRET", SECRET).load().unwrap().warnings,
        [""; 0]
    );
}

#[test]
fn a_policy_whose_orders_may_wait_forever_causes_a_warning() {
    let warnings = |rest: &str| {
        Case::file(&format!(
            "[policies.a]\nstarts_at = \
        \"delivered\"\n{rest}"
        ))
        .load()
        .unwrap()
        .warnings
    };
    assert!(warnings("").concat().starts_with("policies.a.fallback_after: is not set"));
    assert_eq!(warnings("fallback_after = \"14d\""), [""; 0]);
}

#[test]
fn a_named_file_must_exist() {
    let sources = Sources { file: Some(PathBuf::from("/nowhere/a.toml")), ..Sources::default() };
    let problem = Config::load(&sources).unwrap_err().to_string();
    assert!(problem.contains("/nowhere/a.toml cannot be read"), "{problem}");
}

#[test]
fn no_secret_is_shown() {
    let file = format!(
        "[store]\nurl = \"redis://me:canary@h:6379/0\"\n{}",
        webhook(&format!("secret = \"{SECRET}\""))
    )
    .replace("/hook\"", "/hook?token=canary\"");
    let config = Case::file(&file).load().unwrap();
    let outputs = format!("{config:?}\n{}\n{}", config.show(), config.store.url);
    assert!(!outputs.contains("canary") && !outputs.contains("whsec_"), "{outputs}");
    assert!(
        config.show().contains("redis://me:***@h:6379/0")
            && config.show().contains("secret = \"***\""),
        "{}",
        config.show()
    );
    let StoreAddress::Redis(url) = config.store.url else { panic!("a Redis address") };
    assert_eq!(url.expose().password(), Some("canary"));
}

#[test]
fn of_a_template_only_the_host_is_shown() {
    let file = http(
        "url = \"https://a.example/canary\"\nheaders = { authorization = \"canary\" }\nbody = \
            '{\"key\": \"canary\"}'\nenv = [\"TOKEN\"]",
    );
    let config = Case::file(&file).env("TOKEN", "canary").load().unwrap();
    assert!(
        !config.show().contains("canary") && config.show().contains("https://a.example/***"),
        "{}",
        config.show()
    );
    let ActionKind::Http(http) = &config.actions[0].kind else { panic!("an http action") };
    assert_eq!(format!("{:?}", http.request.secrets), "{\"TOKEN\"}");
}

#[test]
fn own_texts_replace_and_extend_the_built_in_ones() {
    let directory = tempfile::tempdir().unwrap();
    let load = |text: &str| {
        std::fs::write(directory.path().join("shipped.de.txt"), text).unwrap();
        std::fs::write(directory.path().join("README.txt"), "not a letter").unwrap();
        let rest = format!(
            "templates = {:?}\nlanguage = \"de\"\non = [\"order.shipped\"]",
            directory.path()
        );
        Case::file(&email(&rest)).load()
    };
    let config = load(
        "Subject: Unterwegs\n\nIhre Bestellung {{ data.order.order_id }} ist \
        unterwegs.\n",
    )
    .unwrap();
    let ActionKind::Email(email) = &config.actions[0].kind else { panic!("an email action") };
    assert_eq!(email.content.texts.len(), 7);
    for (wrong, expected) in [
        ("Hello", "expected \"Subject: …\""),
        (
            "Subject: a\n\n\n{{ \
        x",
            "shipped.de.txt: text: line 2",
        ),
    ] {
        let problem = load(wrong).unwrap_err().to_string();
        assert!(
            problem.contains("actions.shop.templates") && problem.contains(expected),
            "{problem}"
        );
    }
}

#[test]
fn every_recipe_of_the_documentation_is_a_valid_configuration() {
    let document = include_str!("../../docs/notifications.md");
    let recipes = document.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut case = Case::file(&recipes.collect::<String>());
    for name in document
        .split("env.")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap())
    {
        case = case.env(name, "a-secret-of-some-length");
    }
    assert!(
        case.env("SMTP_PASSWORD", "a-secret-of-some-length").load().unwrap().actions.len() >= 5
    );
}

#[test]
fn no_error_repeats_a_secret_even_in_the_wrong_place() {
    let cases = [
        "[store]\nurl = \"redis://me:canary@\"",
        "[store]\nurl = \"canary://x\"",
        "[actions]\nshop = \"canary\"",
        "[actions.shop]\ntype = \"webhook\"\nsecret = \"canary\"",
        "[actions.shop]\ntype = \"webhook\"\nsecret = \"whsec_canary",
        "[actions.shop]\ntype = \"webhook\"\nurl = \"https://a.example\"\nsecret = \
            [\"whsec_canary\"]",
        "[actions.shop]\ntype = \"webhook\"\nurl = \"ftp://canary\"",
        "[actions.shop]\ntype = \"webhook\"\nbatch = \"canary\"",
        "[tokens.shop]\nrole = \"canary\"",
        "[tokens.shop]\nrole = \"read\"\nsha256 = \"canary\"",
        "[tokens]\nshop = \"canary\"",
        "[actions.shop]\ntype = \"stream\"\nstream = \"x\"\nurl = \
            \"redis://me:canary@h:6379/canary\"",
        "[actions.shop]\ntype = \"stream\"\nstream = \"x\"\nurl = \"http://me:canary@h:6379/0\"",
        "[actions.shop]\ntype = \"http\"\nurl = \"https://me:canary@a.example/\"",
    ];
    for file in cases {
        let problem = Case::file(file).problem();
        assert!(!problem.contains("canary"), "{problem}");
    }
}

#[test]
fn the_shown_configuration_can_be_read_again_with_the_same_values() {
    let file = "[policies.gold]\nstarts_at = \"delivered\"\nfallback_after = \
        \"14d\"\nmax_extensions = 2\nremind_before = [\"1h\"]\n";
    let first = Case::file(file).load().unwrap();
    let second = Case::file(first.show()).load().unwrap();
    assert_eq!(first.show(), second.show());
    assert_eq!(first.policies, second.policies);
}

#[test]
fn an_intake_that_cannot_work_is_refused_with_the_keys_named() {
    let redis = "[store]\nurl = \"redis://:canary@h:1/0\"\n";
    for (intake, keys) in [
        ("enabled = true", vec!["intake.url"]),
        ("status_prefix = \"trade:\"\n", vec!["intake.status_prefix", "intake.trigger_prefix"]),
        ("status_prefix = \"\"\n", vec!["intake.status_prefix"]),
        ("status_prefix = \"autoreceive:x:\"\n", vec!["intake.status_prefix"]),
        ("paid = \"RECEIVED\"\n", vec!["intake.paid", "intake.received"]),
        ("cancelled = [\"\"]\n", vec!["intake.cancelled"]),
        ("policy = \"parcel\"\n", vec!["intake.policy", "policies.parcel"]),
        ("scan_every = \"1ms\"\n", vec!["intake.scan_every"]),
        ("count_from = \"order\"\n", vec!["intake.count_from"]),
        (
            "notifications = false\nset_notifications = true\n",
            vec!["intake.set_notifications", "intake.notifications"],
        ),
        ("url = \"http://canary/\"\n", vec!["intake.url"]),
    ] {
        let problem = Case::file(&format!("[intake]\n{intake}")).problem();
        assert!(
            keys.iter().all(|key| problem.contains(key)) && !problem.contains("canary"),
            "{intake}: {problem}"
        );
    }
    let shipped = format!(
        "{redis}[policies.default]\nstarts_at = \"shipped\"\n[intake]\nenabled \
        = true\n"
    );
    let problem = Case::file(&shipped).problem();
    assert!(
        problem.contains("intake.policy") && problem.contains("policies.default.starts_at"),
        "{problem}"
    );
    let between = "[intake]\nstatus_prefix = \"order:\"\nstatus_suffix = \":status\"\n\
            trigger_prefix = \"order:\"\ntrigger_suffix = \":trigger\"\n";
    assert!(!Case::file(between).load().unwrap().intake.enabled);
    let config = Case::file(redis)
        .load_with(vec![("--intake", "intake.enabled", "true".to_owned())])
        .unwrap();
    assert!(
        config.intake.enabled && config.intake.url.is_some(),
        "the store's address is the \
        shop's"
    );
    assert!(!config.show().contains("canary"));
}
