//! Composes emails: text, language and recipient.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use autoreceive_domain::{Event, EventKind};
use lettre::message::{Mailbox, SinglePart};
use lettre::{Address, Message};
use minijinja::value::Value;

use crate::template::{Escape, Secrets, Template, TemplateError, Templates, values};

/// Email texts by event and language. The first line is `Subject: …`; an empty line follows.
pub type EmailTexts = BTreeMap<(EventKind, String), String>;

/// The sender: an address, with or without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

/// A text that is not a sender's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address, for example \"Shop <no-reply@shop.example>\"")]
pub struct WrongSender;

impl Sender {
    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

impl FromStr for Sender {
    type Err = WrongSender;

    fn from_str(text: &str) -> Result<Sender, WrongSender> {
        text.parse().map(Sender).map_err(|_| WrongSender)
    }
}

/// Sender, recipient, languages and texts of the emails.
#[derive(Debug, Clone)]
pub struct EmailContent {
    /// The sender.
    pub from: Sender,
    /// The place of the recipient's address in the order's data: a JSON pointer.
    pub to_pointer: String,
    /// The language if the order names none, or one without a text.
    pub language: String,
    /// The place of the language in the order's data: a JSON pointer.
    pub language_pointer: Option<String>,
    /// The texts.
    pub texts: EmailTexts,
    /// The time zone that templates see as `time_zone`.
    pub time_zone: String,
}

/// Why emails cannot be composed at all: a text is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmailError {
    /// The parts of a text are missing.
    #[error("{name}: expected \"Subject: …\", an empty line, and the text")]
    Parts {
        /// The text's file name.
        name: String,
    },
    /// The syntax of a template is wrong.
    #[error("{name}: {part}: {source}")]
    Template {
        /// The text's file name.
        name: String,
        /// `subject` or `text`.
        part: &'static str,
        /// The mistake, with its line.
        source: TemplateError,
    },
}

/// Why an event gives no email. A repeat would fail in the same way.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error("the order's data has no address at {pointer}")]
    NoAddress { pointer: String },
    #[error("the value at {pointer} of the order's data is not an email address")]
    NotAnAddress { pointer: String },
    #[error("there is no text for {kind}")]
    NoText { kind: EventKind },
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("the email cannot be built: {0}")]
    Message(#[from] lettre::error::Error),
}

/// The built-in texts.
#[must_use]
pub fn built_in() -> EmailTexts {
    let texts = [
        (EventKind::Received, "ko", include_str!("templates/received.ko.txt")),
        (EventKind::Received, "en", include_str!("templates/received.en.txt")),
        (EventKind::ReceiveReminder, "ko", include_str!("templates/receive_reminder.ko.txt")),
        (EventKind::ReceiveReminder, "en", include_str!("templates/receive_reminder.en.txt")),
        (EventKind::Cancelled, "ko", include_str!("templates/cancelled.ko.txt")),
        (EventKind::Cancelled, "en", include_str!("templates/cancelled.en.txt")),
    ];
    texts
        .into_iter()
        .map(|(kind, language, text)| ((kind, language.to_owned()), text.to_owned()))
        .collect()
}

pub struct Composer {
    content: EmailContent,
    templates: Templates,
    compiled: BTreeMap<(EventKind, String), CompiledText>,
}

/// The compiled templates of one text.
struct CompiledText {
    subject: Template,
    text: Template,
}

impl Composer {
    pub fn new(content: EmailContent) -> Result<Composer, EmailError> {
        let mut templates = Templates::new();
        let mut compiled = BTreeMap::new();
        for ((kind, language), text) in &content.texts {
            let name = format!("{}.{language}.txt", file_stem(*kind));
            let (subject, text) =
                parts(text).ok_or_else(|| EmailError::Parts { name: name.clone() })?;
            let mut add = |part: &'static str, source| {
                templates
                    .add(&format!("{part}.{name}"), source, Escape::None)
                    .map_err(|source| EmailError::Template { name: name.clone(), part, source })
            };
            let text = CompiledText { subject: add("subject", subject)?, text: add("text", text)? };
            compiled.insert((*kind, language.clone()), text);
        }
        Ok(Composer { content, templates, compiled })
    }

    /// The email about an event.
    ///
    /// # Errors
    /// The event never gives an email.
    pub fn compose(&self, event: &Event) -> Result<Message, ComposeError> {
        let data: serde_json::Value = event
            .0
            .data
            .as_ref()
            .and_then(|data| serde_json::from_str(data.as_str()).ok())
            .unwrap_or_default();
        let to = self.address(&data)?;
        let CompiledText { subject, text } = self.text(event.kind(), &data)?;
        let time_zone = Value::from(self.content.time_zone.as_str());
        let values = values(event, &Secrets::default(), &[("time_zone", time_zone)]);
        let render = |template| self.templates.render(template, &values);
        // A line break in the subject would let an order's data add a header.
        let subject: String =
            render(subject)?.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let message = Message::builder()
            .from(self.content.from.0.clone())
            .message_id(Some(self.message_id(event, &to)))
            .to(Mailbox::new(None, to))
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(event.at().ms().unsigned_abs()))
            .subject(subject.trim())
            .singlepart(SinglePart::plain(render(text)?));
        Ok(message?)
    }

    fn address(&self, data: &serde_json::Value) -> Result<Address, ComposeError> {
        let pointer = &self.content.to_pointer;
        let text = data.pointer(pointer).and_then(serde_json::Value::as_str);
        let text = text.ok_or_else(|| ComposeError::NoAddress { pointer: pointer.clone() })?;
        text.trim().parse().map_err(|_| ComposeError::NotAnAddress { pointer: pointer.clone() })
    }

    fn text(
        &self,
        kind: EventKind,
        data: &serde_json::Value,
    ) -> Result<&CompiledText, ComposeError> {
        let named = self
            .content
            .language_pointer
            .as_ref()
            .and_then(|pointer| data.pointer(pointer)?.as_str());
        // "ko-KR" counts as "ko".
        let named = named.map(|language| {
            language.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
        });
        let chosen = named.and_then(|language| self.compiled.get(&(kind, language)));
        let default = || self.compiled.get(&(kind, self.content.language.clone()));
        chosen.or_else(default).ok_or(ComposeError::NoText { kind })
    }

    /// The same for every attempt, different for each event and recipient: mail systems drop a
    /// message with an id that they have seen.
    fn message_id(&self, event: &Event, to: &Address) -> String {
        let id = event.id().replace(':', "/");
        let recipient = crc32fast::hash(to.to_string().as_bytes());
        format!("<{id}/{recipient:08x}@{}>", self.content.from.domain())
    }
}

/// The file name of a text about this event, up to the language.
#[must_use]
pub fn file_stem(kind: EventKind) -> &'static str {
    kind.as_str().trim_start_matches("order.")
}

fn parts(text: &str) -> Option<(&str, &str)> {
    let (subject, text) = text.strip_prefix("Subject:")?.split_once('\n')?;
    let text = text.strip_prefix('\n').or_else(|| text.strip_prefix("\r\n"))?;
    Some((subject.trim(), text))
}
