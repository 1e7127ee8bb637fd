//! Texts with places for what an event holds (minijinja). What is put in is escaped for where it
//! stands, so that an order cannot say more than the template lets it.

use std::collections::BTreeMap;
use std::fmt;

use autoreceive_domain::Event;
use autoreceive_wire as wire;
use minijinja::value::{Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, escape_formatter,
};

/// The most steps that one rendering takes.
const FUEL: u64 = 100_000;

/// How what is put in is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// As it is.
    None,
    /// As a JSON value: a text with its quotes.
    Json,
    /// Percent-encoded, as in a path, a query or a form.
    Percent,
}

/// What templates may use beside the event, by name, and nothing else may show.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(pub BTreeMap<String, String>);

/// Compiled templates.
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Secrets {
    /// The text without any of the secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut secrets: Vec<&String> =
            self.0.values().filter(|secret| !secret.is_empty()).collect();
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
            .into_iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Templates {
    pub fn new() -> Templates {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|name| match name.rsplit('.').next() {
            Some("json") => AutoEscape::Json,
            Some("percent") => AutoEscape::Custom("percent".into()),
            _ => AutoEscape::None,
        });
        environment.set_formatter(format);
        environment.add_filter("local", local);
        Templates { environment }
    }

    /// Adds a template.
    ///
    /// # Errors
    /// Says where its grammar is wrong.
    pub fn add(&mut self, name: &str, source: &str, escape: Escape) -> Result<Template, String> {
        let name = match escape {
            Escape::None => format!("{name}.text"),
            Escape::Json => format!("{name}.json"),
            Escape::Percent => format!("{name}.percent"),
        };
        match self.environment.add_template_owned(name.clone(), source.to_owned()) {
            Ok(()) => Ok(Template(name)),
            Err(error) => Err(in_words(&error)),
        }
    }

    /// Puts an event into a template.
    ///
    /// # Errors
    /// Says what is missing, and in which line.
    pub fn render(&self, template: &Template, values: &Value) -> Result<String, String> {
        let rendered =
            self.environment.get_template(&template.0).and_then(|template| template.render(values));
        rendered.map_err(|error| in_words(&error))
    }
}

/// A template by its name.
#[derive(Debug, Clone)]
pub(crate) struct Template(String);

/// What templates see: the event as receivers get it, the secrets as `env`, and what the action
/// adds.
pub(crate) fn values(event: &Event, secrets: &Secrets, more: &[(&str, Value)]) -> Value {
    // The text is JSON: it was made in this line.
    let event: BTreeMap<String, Value> =
        serde_json::from_str(&wire::event_json(event)).unwrap_or_default();
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Value::from_pairs(
        event.into_iter().chain([("env".to_owned(), Value::from(secrets.0.clone()))]).chain(more),
    )
}

/// `{{ time | local("Asia/Seoul") }}`: a time as people there write it.
fn local(time: String, zone: String) -> Result<String, Error> {
    let at = time.parse::<jiff::Timestamp>().and_then(|time| time.in_tz(&zone));
    let at = at.map_err(|_| {
        Error::new(
            ErrorKind::InvalidOperation,
            "local: expected a time, and the name of a time zone",
        )
    })?;
    Ok(at.strftime("%Y-%m-%d %H:%M %Z").to_string())
}

fn in_words(error: &Error) -> String {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, _) => "a value that the order does not have".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    error.line().map_or(what.clone(), |line| format!("line {line}: {what}"))
}

fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if !matches!(state.auto_escape(), AutoEscape::Custom(_)) {
        return escape_formatter(out, state, value);
    }
    if value.is_undefined() || matches!(value.kind(), ValueKind::Map | ValueKind::Seq) {
        return Err(Error::new(ErrorKind::UndefinedError, ""));
    }
    let text = value.to_string();
    // As a segment of a path they would lead elsewhere, encoded or not.
    if text == "." || text == ".." {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "\".\" and \"..\" cannot be put into an address",
        ));
    }
    Ok(out.write_str(&percent(&text))?)
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}
