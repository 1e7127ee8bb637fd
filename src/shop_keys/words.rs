//! Interprets the words in the shop's status keys.

use autoreceive_domain::order::Reason;
use autoreceive_domain::words::WrongText;
use autoreceive_domain::{Observation, Policy, Span};

/// The most bytes of a status that are read. No word is longer.
pub const WORD_BYTES: usize = 64;

/// The shop's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusWords {
    /// Paid: the clock runs.
    pub paid: String,
    /// Received.
    pub received: String,
    /// Cancelled.
    pub cancelled: Vec<String>,
    /// Refunded.
    pub refunded: Vec<String>,
}

/// The content of a status key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShopStatus {
    /// A word.
    Word(String),
    /// The key is missing or empty.
    Missing,
    /// The key has another type than string: this one.
    NotAString(String),
}

/// The meaning of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatusClass {
    /// Paid: the clock runs.
    Paid,
    /// Received.
    Received,
    /// Cancelled.
    Cancelled,
    /// Refunded.
    Refunded,
    /// Any other status.
    Other,
}

impl StatusWords {
    /// The meaning of a status.
    #[must_use]
    pub fn class(&self, status: &ShopStatus) -> StatusClass {
        let ShopStatus::Word(word) = status else { return StatusClass::Other };
        match word {
            _ if *word == self.paid => StatusClass::Paid,
            _ if *word == self.received => StatusClass::Received,
            _ if self.cancelled.contains(word) => StatusClass::Cancelled,
            _ if self.refunded.contains(word) => StatusClass::Refunded,
            _ => StatusClass::Other,
        }
    }

    /// The observation to submit for an order with this status.
    ///
    /// # Errors
    /// Never: the text about a status is short and has no control characters.
    pub fn observation(
        &self,
        status: &ShopStatus,
        policy: &Policy,
        receive_after: Option<Span>,
    ) -> Result<Observation, WrongText> {
        let reason = || status.to_string().parse::<Reason>();
        Ok(match self.class(status) {
            StatusClass::Paid => Observation::Paid { policy: policy.name(), receive_after },
            StatusClass::Received => Observation::Received,
            StatusClass::Cancelled => Observation::Cancelled(reason()?),
            StatusClass::Refunded => Observation::Refunded(reason()?),
            StatusClass::Other => Observation::Other(reason()?),
        })
    }
}

impl ShopStatus {
    /// A status from its first bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> ShopStatus {
        if bytes.is_empty() {
            ShopStatus::Missing
        } else {
            ShopStatus::Word(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

impl std::fmt::Display for ShopStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ShopStatus::Word(word) => {
                let shown: String = word.chars().filter(|c| !c.is_control()).take(40).collect();
                write!(f, "the shop's status is {shown}")
            }
            ShopStatus::Missing => f.write_str("the shop has no status for this order"),
            ShopStatus::NotAString(kind) => write!(
                f,
                "the shop's status key is a {}",
                kind.chars().take(40).collect::<String>()
            ),
        }
    }
}
