//! What is written, in which language, and to whom.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use autoreceive_domain::{Event, EventKind};
use lettre::message::{Mailbox, SinglePart};
use lettre::{Address, Message};
use minijinja::value::Value;

use crate::template::{Escape, Secrets, Template, Templates, values};

/// Texts by the event they tell of and their language. The first line is `Subject: …`, an empty
/// line follows.
pub type Letters = BTreeMap<(EventKind, String), String>;

/// Who sends: an address, with a name or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

/// A text that is not the address of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address, for example \"Shop <no-reply@shop.example>\"")]
pub struct WrongSender;

impl Sender {
    /// What stands behind the `@`.
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

/// How letters are written.
#[derive(Debug, Clone)]
pub struct Writing {
    /// The sender.
    pub from: Sender,
    /// Where the order's data holds the address: a JSON pointer.
    pub to_pointer: String,
    /// The language where the order names none, or one that there is no text in.
    pub language: String,
    /// Where the order's data holds the language.
    pub language_pointer: Option<String>,
    /// The texts.
    pub letters: Letters,
    /// The zone in which times are told, as templates see it.
    pub time_zone: String,
}

/// The texts that need not be written.
#[must_use]
pub fn built_in() -> Letters {
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
    writing: Writing,
    templates: Templates,
    /// Subject and text.
    letters: BTreeMap<(EventKind, String), (Template, Template)>,
}

impl Composer {
    pub fn new(writing: Writing) -> Result<Composer, String> {
        let (mut templates, mut letters) = (Templates::new(), BTreeMap::new());
        for ((kind, language), text) in &writing.letters {
            let name = format!("{}.{language}.txt", file_stem(*kind));
            let (subject, text) = parts(text).ok_or_else(|| {
                format!("{name}: expected \"Subject: …\", an empty line, and the text")
            })?;
            let mut add = |part: &str, source| {
                templates
                    .add(&format!("{part}.{name}"), source, Escape::None)
                    .map_err(|why| format!("{name}: {part}: {why}"))
            };
            letters
                .insert((*kind, language.clone()), (add("subject", subject)?, add("text", text)?));
        }
        Ok(Composer { writing, templates, letters })
    }

    /// The letter about an event.
    ///
    /// # Errors
    /// Says why there will never be one.
    pub fn compose(&self, event: &Event) -> Result<Message, String> {
        let data: serde_json::Value = event
            .0
            .data
            .as_ref()
            .and_then(|data| serde_json::from_str(data.as_str()).ok())
            .unwrap_or_default();
        let to = self.address(&data)?;
        let (subject, text) = self.letter(event.kind(), &data)?;
        let values = values(
            event,
            &Secrets::default(),
            &[("time_zone", Value::from(self.writing.time_zone.as_str()))],
        );
        let render = |template| self.templates.render(template, &values);
        // A line break in a subject could begin a header of the order's own.
        let subject: String =
            render(subject)?.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let message = Message::builder()
            .from(self.writing.from.0.clone())
            .message_id(Some(self.message_id(event, &to)))
            .to(Mailbox::new(None, to))
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(event.at().ms().unsigned_abs()))
            .subject(subject.trim())
            .singlepart(SinglePart::plain(render(text)?));
        message.map_err(|error| format!("the letter cannot be written: {error}"))
    }

    fn address(&self, data: &serde_json::Value) -> Result<Address, String> {
        let pointer = &self.writing.to_pointer;
        let text = data.pointer(pointer).and_then(serde_json::Value::as_str);
        let text =
            text.ok_or_else(|| format!("the order's data has no address at {pointer}"))?.trim();
        text.parse()
            .map_err(|_| format!("what the order's data has at {pointer} is not an e-mail address"))
    }

    fn letter(
        &self,
        kind: EventKind,
        data: &serde_json::Value,
    ) -> Result<&(Template, Template), String> {
        let named = self
            .writing
            .language_pointer
            .as_ref()
            .and_then(|pointer| data.pointer(pointer)?.as_str());
        // ko-KR is ko.
        let named = named.map(|language| {
            language.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
        });
        let chosen = named.and_then(|language| self.letters.get(&(kind, language)));
        let usual = || self.letters.get(&(kind, self.writing.language.clone()));
        chosen.or_else(usual).ok_or_else(|| format!("there is no text about {kind}"))
    }

    /// The same for every attempt, and another one for each event and receiver: mail systems drop
    /// what has the id of something they have seen.
    fn message_id(&self, event: &Event, to: &Address) -> String {
        let (id, receiver) =
            (event.id().replace(':', "/"), crc32fast::hash(to.to_string().as_bytes()));
        format!("<{id}/{receiver:08x}@{}>", self.writing.from.domain())
    }
}

/// What the file with a text about this event is called, up to the language.
#[must_use]
pub fn file_stem(kind: EventKind) -> &'static str {
    kind.as_str().trim_start_matches("order.")
}

fn parts(text: &str) -> Option<(&str, &str)> {
    let (subject, text) = text.strip_prefix("Subject:")?.split_once('\n')?;
    let text = text.strip_prefix('\n').or_else(|| text.strip_prefix("\r\n"))?;
    Some((subject.trim(), text))
}
