//! Splits SQL into the pieces that matter for parameters.

use super::super::Dialect;
use super::WrongStatement;

/// A piece of SQL text.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Copied unchanged: words, operators, texts, quoted names.
    Code(&'a str),
    /// A comment.
    Comment(&'a str),
    /// The name after a colon.
    Name(&'a str),
    /// A placeholder of the database.
    Placeholder(&'a str),
    /// A semicolon between statements.
    End,
}

/// Splits `text` into pieces.
pub fn pieces(text: &str, dialect: Dialect) -> Result<Vec<Piece<'_>>, WrongStatement> {
    let mut pieces = Vec::new();
    let mut rest = text;
    // The last character of the previous piece: a `$` or an `E'` inside a word starts no text.
    let mut before = ' ';
    while !rest.is_empty() {
        let (piece, length) = next(rest, before, dialect)?;
        let (taken, after) = rest.split_at(length);
        before = taken.chars().next_back().unwrap_or(' ');
        rest = after;
        pieces.push(piece);
    }
    Ok(pieces)
}

/// The piece at the beginning of `rest`, which is not empty, and its length in bytes.
fn next(rest: &str, before: char, dialect: Dialect) -> Result<(Piece<'_>, usize), WrongStatement> {
    let mysql = dialect == Dialect::MySql;
    let code = |length: usize| (Piece::Code(&rest[..length]), length);
    if let Some(length) = comment(rest, mysql)? {
        return Ok((Piece::Comment(&rest[..length]), length));
    }
    if rest.starts_with("::") {
        return Ok(code(2));
    }
    if let Some(name) = rest.strip_prefix(':').map(word).filter(|name| starts_a_name(name)) {
        return Ok((Piece::Name(name), 1 + name.len()));
    }
    if mysql && rest.starts_with('?') {
        return Ok((Piece::Placeholder("?"), 1));
    }
    if let Some(length) = quoted(rest, before, mysql)? {
        return Ok(code(length));
    }
    if !mysql && rest.starts_with('$') && !is_word(before) {
        return dollar(rest);
    }
    if rest.starts_with(';') {
        return Ok((Piece::End, 1));
    }
    // A whole word, so that no letter inside it starts a text.
    Ok(code(word(rest).len().max(first(rest).len_utf8())))
}

fn first(text: &str) -> char {
    text.chars().next().unwrap_or(' ')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

fn starts_a_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The length of the comment at the beginning of `rest`, if there is one.
fn comment(rest: &str, mysql: bool) -> Result<Option<usize>, WrongStatement> {
    // MySQL requires a space after the dashes: `5--1` is arithmetic there.
    let dashes = rest
        .strip_prefix("--")
        .is_some_and(|after| !mysql || after.is_empty() || after.starts_with(char::is_whitespace));
    if dashes || (mysql && rest.starts_with('#')) {
        return Ok(Some(rest.find('\n').map_or(rest.len(), |at| at + 1)));
    }
    if !rest.starts_with("/*") {
        return Ok(None);
    }
    let mut depth = 1;
    let mut at = 2;
    while depth > 0 {
        let open = if mysql { None } else { rest[at..].find("/*") };
        let close = rest[at..].find("*/").ok_or(WrongStatement::Open("a comment"))?;
        let opens = open.is_some_and(|open| open < close);
        at += open.filter(|_| opens).unwrap_or(close) + 2;
        depth = if opens { depth + 1 } else { depth - 1 };
    }
    Ok(Some(at))
}

/// The length of the text or quoted name at the beginning of `rest`, if there is one.
fn quoted(rest: &str, before: char, mysql: bool) -> Result<Option<usize>, WrongStatement> {
    let escaped = !mysql && !is_word(before) && matches!(rest.as_bytes(), [b'e' | b'E', b'\'', ..]);
    let start = usize::from(escaped);
    let (quote, what, backslashes) = match rest.as_bytes().get(start) {
        Some(b'\'') => ('\'', "a text in '…'", mysql || escaped),
        Some(b'"') => ('"', "a name in \"…\"", mysql),
        Some(b'`') if mysql => ('`', "a name in `…`", false),
        _ => return Ok(None),
    };
    let mut chars = rest[start + 1..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslashes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Ok(Some(start + 1 + at + 1));
        }
    }
    Err(WrongStatement::Open(what))
}

/// PostgreSQL: a text in `$tag$ … $tag$`, or a placeholder such as `$1`.
fn dollar(rest: &str) -> Result<(Piece<'_>, usize), WrongStatement> {
    let tag = word(&rest[1..]);
    if tag.starts_with(|c: char| c.is_ascii_digit()) {
        let length = 1 + tag.len();
        return Ok((Piece::Placeholder(&rest[..length]), length));
    }
    let open = 1 + tag.len() + 1;
    if !rest[1 + tag.len()..].starts_with('$') {
        return Ok((Piece::Code(&rest[..1]), 1));
    }
    let close = rest[open..].find(&rest[..open]).ok_or(WrongStatement::Open("a text in $…$"))?;
    let length = open + close + open;
    Ok((Piece::Code(&rest[..length]), length))
}
