//! The keys of `type = "email"`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use autoreceive_domain::{EventKind, Span};
use serde::{Deserialize, Serialize};

use super::{ActionScope, limits};
use crate::action::email::{
    self, Email, EmailContent, EmailTexts, Login, MailServer, Security, Sender,
};
use crate::config::{ConfigProblem, values};

/// The settings of an email action, checked.
#[derive(Debug, Clone)]
pub struct EmailConfig {
    /// Recipient and texts.
    pub content: EmailContent,
    /// The mail server.
    pub server: MailServer,
    /// Timeout of one email.
    pub timeout: Span,
    /// Maximum number of emails per second.
    pub rate: Option<u32>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EmailKeys {
    server: String,
    #[serde(default)]
    tls: TlsWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    from: String,
    to_pointer: String,
    #[serde(default = "english")]
    language: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    language_pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    templates: Option<PathBuf>,
    #[serde(default = "utc")]
    time_zone: String,
    #[serde(default, with = "values::span_or_none", skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum TlsWord {
    #[default]
    Starttls,
    Tls,
    None,
}

fn english() -> String {
    "en".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Longest time for the emails of one batch, far below the engine's limit of 10 minutes.
const LONGEST_BATCH_MS: i64 = 300_000;
/// Size limit of a text in `templates`.
const TEMPLATE_BYTES: u64 = 64 * 1024;

pub fn check(keys: EmailKeys, scope: &ActionScope) -> Result<EmailConfig, ConfigProblem> {
    let timeout = limits::timeout(keys.timeout, scope)?;
    limits::rate(keys.rate, scope)?;
    if i64::try_from(scope.batch).unwrap_or(i64::MAX).saturating_mul(timeout.ms())
        > LONGEST_BATCH_MS
    {
        let timeout = format!("{} ({timeout})", scope.key("timeout"));
        return Err(scope.problem(
            &format!("batch ({})", scope.batch),
            format_args!(
                "this batch times {timeout} must be at most 5m, because emails are sent one after \
                 the other; lower one of them"
            ),
        ));
    }
    let content = content(&keys, scope)?;
    let server = server(&keys, content.from.domain(), scope)?;
    // Created here only to check its templates.
    Email::new(content.clone(), server.clone(), timeout.to_std(), None)
        .map_err(|error| scope.problem("templates", error))?;
    Ok(EmailConfig { content, server, timeout, rate: keys.rate })
}

fn server(keys: &EmailKeys, hello: &str, scope: &ActionScope) -> Result<MailServer, ConfigProblem> {
    let (security, usual_port) = match keys.tls {
        TlsWord::Starttls => (Security::Starttls, 587),
        TlsWord::Tls => (Security::Tls, 465),
        TlsWord::None => (Security::None, 25),
    };
    let (host, port) = host_and_port(&keys.server, usual_port).ok_or_else(|| {
        scope.problem(
            "server",
            "expected a host, or host:port, for example \"smtp.example.com:587\"",
        )
    })?;
    if security == Security::None && !is_loopback(&host) {
        return Err(scope.problem(
            "tls",
            format_args!(
                "\"none\" is only allowed for a server on this machine, but {} is another machine",
                scope.key("server")
            ),
        ));
    }
    let authorities =
        keys.ca_file.as_ref().map(|path| limits::authorities(path, scope)).transpose()?;
    Ok(MailServer {
        host,
        port,
        hello: hello.to_owned(),
        security,
        login: login(keys, scope)?,
        authorities,
    })
}

fn host_and_port(text: &str, usual: u16) -> Option<(String, u16)> {
    let url = reqwest::Url::parse(&format!("smtp://{text}")).ok()?;
    let only_host = url.username().is_empty()
        && url.password().is_none()
        && url.path().is_empty()
        && url.query().is_none();
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    (only_host && !host.is_empty()).then(|| (host.to_owned(), url.port().unwrap_or(usual)))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn login(keys: &EmailKeys, scope: &ActionScope) -> Result<Option<Login>, ConfigProblem> {
    match (&keys.user, &keys.password_env) {
        (None, None) => Ok(None),
        (Some(user), Some(variable)) => {
            Ok(Some(Login::new(user.clone(), scope.variable("password_env", variable)?.to_owned())))
        }
        _ => Err(scope.problem_of_two("user", "password_env", "set both or neither")),
    }
}

fn content(keys: &EmailKeys, scope: &ActionScope) -> Result<EmailContent, ConfigProblem> {
    let from: Sender = keys.from.parse().map_err(|wrong| scope.problem("from", wrong))?;
    for (key, pointer) in [
        ("to_pointer", Some(&keys.to_pointer)),
        ("language_pointer", keys.language_pointer.as_ref()),
    ] {
        if pointer.is_some_and(|pointer| !pointer.starts_with('/')) {
            return Err(scope.problem(
                key,
                "expected a JSON pointer into the order's data, for example \"/email\"",
            ));
        }
    }
    if jiff::tz::TimeZone::get(&keys.time_zone).is_err() {
        return Err(scope.problem(
            "time_zone",
            format_args!(
                "expected a time zone, for example \"Asia/Seoul\"; found {:?}",
                keys.time_zone
            ),
        ));
    }
    let mut texts = email::built_in();
    if let Some(directory) = &keys.templates {
        texts.extend(own_texts(directory).map_err(|error| scope.problem("templates", error))?);
    }
    for kind in &scope.common.on {
        if !texts.contains_key(&(*kind, keys.language.clone())) {
            return Err(missing_text(*kind, &keys.language, scope));
        }
    }
    Ok(EmailContent {
        from,
        to_pointer: keys.to_pointer.clone(),
        language: keys.language.clone(),
        language_pointer: keys.language_pointer.clone(),
        texts,
        time_zone: keys.time_zone.clone(),
    })
}

fn missing_text(kind: EventKind, language: &str, scope: &ActionScope) -> ConfigProblem {
    let language_key = scope.key("language");
    let templates = scope.key("templates");
    let file = format!("{}.{language}.txt", email::file_stem(kind));
    scope.problem(
        "on",
        format_args!(
            "there is no text for {kind} in {language_key} ({language:?}); add it as {file} to the \
             directory {templates}, or remove the event"
        ),
    )
}

/// A file in `templates` that cannot be used.
#[derive(Debug, thiserror::Error)]
enum TextFileError {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} is larger than 64 KiB", path.display())]
    TooLarge { path: PathBuf },
}

/// Reads every file whose name is that of a text, and skips the others.
fn own_texts(directory: &Path) -> Result<EmailTexts, TextFileError> {
    let unreadable = |path: &Path, source: std::io::Error| TextFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut texts = EmailTexts::new();
    for entry in std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some((stem, language)) =
            name.strip_suffix(".txt").and_then(|name| name.split_once('.'))
        else {
            continue;
        };
        let Some(kind) = EventKind::ALL.into_iter().find(|kind| email::file_stem(*kind) == stem)
        else {
            continue;
        };
        if path.metadata().is_ok_and(|metadata| metadata.len() > TEMPLATE_BYTES) {
            return Err(TextFileError::TooLarge { path });
        }
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        texts.insert((kind, language.to_owned()), text);
    }
    Ok(texts)
}
