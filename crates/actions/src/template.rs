//! Templates (minijinja) that are filled in with an event. Values are escaped for their place, so
//! that an order cannot change the structure of the result.

use std::collections::BTreeMap;
use std::fmt;

use autoreceive_domain::Event;
use autoreceive_wire as wire;
use minijinja::value::{Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, escape_formatter,
};

/// The most steps of one rendering.
const FUEL: u64 = 100_000;

/// How values are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// Not at all.
    None,
    /// As a JSON value: a text gets its quotes.
    Json,
    /// Percent-encoded, as in a path, a query or a form.
    Percent,
}

/// A mistake in a template, or a value that an event does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// Secrets that templates may use, by name. Logs and errors never show them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(pub BTreeMap<String, String>);

/// Compiled templates.
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Secrets {
    /// The text with each secret replaced by `***`.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut secrets: Vec<&String> =
            self.0.values().filter(|secret| !secret.is_empty()).collect();
        // The longest first: one secret may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut redacted = text.to_owned();
        for secret in secrets {
            redacted = redacted.replace(secret.as_str(), "***");
        }
        redacted
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

    /// Compiles and adds a template.
    ///
    /// # Errors
    /// Names the line with the wrong syntax.
    pub fn add(
        &mut self,
        name: &str,
        source: &str,
        escape: Escape,
    ) -> Result<Template, TemplateError> {
        let name = match escape {
            Escape::None => format!("{name}.text"),
            Escape::Json => format!("{name}.json"),
            Escape::Percent => format!("{name}.percent"),
        };
        match self.environment.add_template_owned(name.clone(), source.to_owned()) {
            Ok(()) => Ok(Template(name)),
            Err(error) => Err(TemplateError::new(&error)),
        }
    }

    /// Fills in a template.
    ///
    /// # Errors
    /// Names the missing value and the line.
    pub fn render(&self, template: &Template, values: &Value) -> Result<String, TemplateError> {
        let rendered =
            self.environment.get_template(&template.0).and_then(|template| template.render(values));
        rendered.map_err(|error| TemplateError::new(&error))
    }
}

impl TemplateError {
    fn new(error: &Error) -> TemplateError {
        let what = match (error.kind(), error.detail()) {
            (ErrorKind::UndefinedError, _) => "a value that the order does not have".to_owned(),
            (kind, Some(detail)) => format!("{kind}: {detail}"),
            (kind, None) => kind.to_string(),
        };
        match error.line() {
            Some(line) => TemplateError(format!("line {line}: {what}")),
            None => TemplateError(what),
        }
    }
}

/// The name of a compiled template.
#[derive(Debug, Clone)]
pub(crate) struct Template(String);

/// The values that templates see: the event in the form of the webhook body, the secrets as `env`,
/// and the action's own values.
pub(crate) fn values(event: &Event, secrets: &Secrets, more: &[(&str, Value)]) -> Value {
    // Always valid JSON: `event_json` has just written it.
    let event: BTreeMap<String, Value> =
        serde_json::from_str(&wire::event_json(event)).unwrap_or_default();
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Value::from_pairs(
        event.into_iter().chain([("env".to_owned(), Value::from(secrets.0.clone()))]).chain(more),
    )
}

/// `{{ time | local("Asia/Seoul") }}`: the time in that zone.
fn local(time: String, zone: String) -> Result<String, Error> {
    let at = time.parse::<jiff::Timestamp>().and_then(|time| time.in_tz(&zone));
    let at = at.map_err(|_| {
        Error::new(
            ErrorKind::InvalidOperation,
            "local: expected a time and the name of a time zone, for example \"Asia/Seoul\"",
        )
    })?;
    Ok(at.strftime("%Y-%m-%d %H:%M %Z").to_string())
}

fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if !matches!(state.auto_escape(), AutoEscape::Custom(_)) {
        return escape_formatter(out, state, value);
    }
    if value.is_undefined() || matches!(value.kind(), ValueKind::Map | ValueKind::Seq) {
        return Err(Error::new(ErrorKind::UndefinedError, ""));
    }
    let text = value.to_string();
    // As a path segment they would change the path, encoded or not.
    if text == "." || text == ".." {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "the values \".\" and \"..\" are not allowed in a URL",
        ));
    }
    Ok(out.write_str(&percent(&text))?)
}

fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
