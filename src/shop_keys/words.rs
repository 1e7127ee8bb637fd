//! The words that the shop's status keys hold, and what is seen in one.

use autoreceive_domain::order::Reason;
use autoreceive_domain::words::WrongText;
use autoreceive_domain::{Observation, Policy, Span};

/// How much of a status is read: no word is longer.
pub const WORD_BYTES: usize = 64;

/// The shop's words for what an adopted order follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Waits for its receipt.
    pub paid: String,
    /// Was received.
    pub received: String,
    /// Was cancelled.
    pub cancelled: Vec<String>,
    /// Was paid back.
    pub refunded: Vec<String>,
}

/// What a status key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// A word.
    ShopDecision(String),
    /// There is no such key, or nothing in it.
    Nothing,
    /// It is no string, but this.
    NotAString(String),
}

/// A status among those that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Waits for its receipt.
    Paid,
    /// Was received.
    Received,
    /// Was cancelled.
    Cancelled,
    /// Was paid back.
    Refunded,
    /// Something else.
    Other,
}

impl Words {
    /// What a status means.
    #[must_use]
    pub fn class(&self, status: &Status) -> Class {
        let Status::ShopDecision(word) = status else { return Class::Other };
        match word {
            _ if *word == self.paid => Class::Paid,
            _ if *word == self.received => Class::Received,
            _ if self.cancelled.contains(word) => Class::Cancelled,
            _ if self.refunded.contains(word) => Class::Refunded,
            _ => Class::Other,
        }
    }

    /// What an adopted order has to follow.
    ///
    /// # Errors
    /// Never: what is said about a status is short, and no control character is left in it.
    pub fn observation(
        &self,
        status: &Status,
        policy: &Policy,
        receive_after: Option<Span>,
    ) -> Result<Observation, WrongText> {
        let reason = || status.to_string().parse::<Reason>();
        Ok(match self.class(status) {
            Class::Paid => Observation::Paid { policy: policy.name(), receive_after },
            Class::Received => Observation::Received,
            Class::Cancelled => Observation::Cancelled(reason()?),
            Class::Refunded => Observation::Refunded(reason()?),
            Class::Other => Observation::Other(reason()?),
        })
    }
}

impl Status {
    /// A status from its first bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Status {
        if bytes.is_empty() {
            Status::Nothing
        } else {
            Status::ShopDecision(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Status::ShopDecision(word) => {
                let shown: String = word.chars().filter(|c| !c.is_control()).take(40).collect();
                write!(f, "the shop's status is {shown}")
            }
            Status::Nothing => f.write_str("the shop has no status of it"),
            Status::NotAString(kind) => write!(
                f,
                "the shop's status key is a {}",
                kind.chars().take(40).collect::<String>()
            ),
        }
    }
}
