//! The terms of an order. A policy is a named set of terms. An order keeps the revision that was
//! current when it was placed, so a changed configuration affects new orders only.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use smol_str::{SmolStr, format_smolstr};

use crate::time::Span;

/// The moment from which `receive_after` counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartsAt {
    /// From the payment.
    Paid,
    /// From the shipment.
    Shipped,
    /// From the delivery.
    Delivered,
}

/// The terms for an order's deadlines. All durations are fixed, never calendar days.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    /// An unpaid order is cancelled after this time; `None` means never.
    pub pay_within: Option<Span>,
    /// The moment from which `receive_after` counts.
    pub starts_at: StartsAt,
    /// If the buyer does not object for this time, the order is RECEIVED.
    pub receive_after: Span,
    /// With `starts_at = delivered`: the order is RECEIVED this long after the shipment if no
    /// delivery is reported.
    pub fallback_after: Option<Span>,
    /// A paid order that is not shipped is cancelled after this time; `None` means never.
    pub ship_within: Option<Span>,
    /// When reminders are sent, as times before the receive deadline.
    pub remind_before: Vec<Span>,
    /// How many times the receive deadline can be extended.
    pub max_extensions: u32,
    /// How far one extension moves the deadline.
    pub extend_by: Span,
    /// The least time left after a release, so that an order is not received immediately after a
    /// rejected dispute.
    pub release_grace: Span,
    /// The order becomes COMPLETED this long after the receipt; `None` means never.
    pub settle_after: Option<Span>,
    /// How long a resting order is kept after its last change.
    pub retain_for: Span,
}

impl Default for Terms {
    /// Received 24 hours after the payment.
    fn default() -> Terms {
        Terms {
            pay_within: None,
            starts_at: StartsAt::Paid,
            receive_after: Span::from_hours(24),
            fallback_after: None,
            ship_within: None,
            remind_before: Vec::new(),
            max_extensions: 0,
            extend_by: Span::from_hours(72),
            release_grace: Span::from_hours(24),
            settle_after: None,
            retain_for: Span::from_hours(30 * 24),
        }
    }
}

/// One version of a policy: its name, a dot, and a short hash of its terms. Equal revisions mean
/// equal terms.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Revision(SmolStr);

/// A named set of terms, as configured.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    /// The revision for orders placed now.
    pub revision: Revision,
    /// The terms themselves.
    pub terms: Arc<Terms>,
}

/// The name of a policy as a command gives it. It is checked when it is looked up in [`Policies`],
/// so a command can be parsed without them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyName(SmolStr);

/// The configured policies.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Policies(BTreeMap<PolicyName, Policy>);

/// The named policy is not configured.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{:?} is not configured; expected one of {expected}", .name.as_str())]
pub struct UnknownPolicy {
    /// Its name.
    pub name: PolicyName,
    /// The names that are configured.
    pub expected: String,
}

/// Why a text is not valid as terms, revision or policy name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongTerms {
    /// A policy name has characters that are not allowed.
    #[error("{0:?} is not a policy name: 1 to 32 of a-z, 0-9, _ and - are expected")]
    Name(String),
    /// A stored revision is not valid.
    #[error("{0:?} is not a policy revision: name.hash is expected")]
    Revision(String),
    /// Stored terms cannot be read.
    #[error("stored terms cannot be read at {0:?}")]
    Stored(String),
}

impl Policy {
    /// The policy called `name`.
    ///
    /// # Errors
    /// The name is not 1 to 32 characters of `a-z 0-9 _ -`.
    pub fn new(name: &str, terms: Terms) -> Result<Policy, WrongTerms> {
        if !is_name(name) {
            return Err(WrongTerms::Name(name.chars().take(60).collect()));
        }
        let revision = Revision(format_smolstr!("{name}.{}", short_hash(&terms.to_string())));
        Ok(Policy { revision, terms: Arc::new(terms) })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> PolicyName {
        PolicyName::from(self.revision.name())
    }
}

impl PolicyName {
    /// The most characters that are kept. A policy name is shorter, and an error quotes no more.
    const KEPT: usize = 40;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PolicyName {
    /// Keeps the first 40 characters. A longer text is not the name of a policy.
    fn from(text: &str) -> PolicyName {
        // Characters are counted only if the text has more than 40 bytes.
        let cut = || text.char_indices().nth(PolicyName::KEPT).map(|(end, _)| end);
        let end = (text.len() > PolicyName::KEPT).then(cut).flatten().unwrap_or(text.len());
        PolicyName(text[..end].into())
    }
}

impl FromStr for PolicyName {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<PolicyName, Self::Err> {
        Ok(text.into())
    }
}

impl Default for PolicyName {
    /// `default`, for orders that name no policy.
    fn default() -> PolicyName {
        PolicyName(SmolStr::new_static("default"))
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Policies {
    /// The policy with this name.
    ///
    /// # Errors
    /// No policy with this name is configured.
    pub fn get(&self, name: &PolicyName) -> Result<&Policy, UnknownPolicy> {
        self.0.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(PolicyName::as_str).collect();
            UnknownPolicy { name: name.clone(), expected: names.join(", ") }
        })
    }

    /// Every policy, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.0.values()
    }
}

impl FromIterator<Policy> for Policies {
    fn from_iter<I: IntoIterator<Item = Policy>>(policies: I) -> Policies {
        Policies(policies.into_iter().map(|policy| (policy.name(), policy)).collect())
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}

/// Six digits in base 36: 31 bits of SHA-256. Short, because every order carries it, and enough to
/// tell the versions of one policy apart.
fn short_hash(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let mut rest = hash.iter().take(8).fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    let mut digits = String::with_capacity(6);
    for _ in 0..6 {
        digits.push(char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize]));
        rest /= 36;
    }
    digits
}

impl Revision {
    /// A placeholder while a record is being read.
    pub(crate) fn unset() -> Revision {
        Revision(SmolStr::default())
    }

    /// The revision as text, for example `default.k3x9q1`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The policy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(name, _)| name)
    }
}

impl FromStr for Revision {
    type Err = WrongTerms;

    fn from_str(text: &str) -> Result<Revision, WrongTerms> {
        match text.rsplit_once('.') {
            Some((name, hash)) if is_name(name) && hash.len() == 6 && is_name(hash) => {
                Ok(Revision(text.into()))
            }
            _ => Err(WrongTerms::Revision(text.chars().take(60).collect())),
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StartsAt {
    /// The word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StartsAt::Paid => "paid",
            StartsAt::Shipped => "shipped",
            StartsAt::Delivered => "delivered",
        }
    }

    /// The start with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<StartsAt> {
        [StartsAt::Paid, StartsAt::Shipped, StartsAt::Delivered]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

impl fmt::Display for Terms {
    /// The stored and hashed form: `starts_at=paid receive_after=1d …`. Unset terms are omitted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "starts_at={} receive_after={}", self.starts_at.as_str(), self.receive_after)?;
        let optional = [
            ("pay_within", self.pay_within),
            ("fallback_after", self.fallback_after),
            ("ship_within", self.ship_within),
            ("settle_after", self.settle_after),
        ];
        for (name, span) in optional {
            span.map_or(Ok(()), |span| write!(f, " {name}={span}"))?;
        }
        for (i, before) in self.remind_before.iter().enumerate() {
            f.write_str(if i == 0 { " remind_before=" } else { "," })?;
            write!(f, "{before}")?;
        }
        write!(f, " max_extensions={} extend_by={}", self.max_extensions, self.extend_by)?;
        write!(f, " release_grace={} retain_for={}", self.release_grace, self.retain_for)
    }
}

impl FromStr for Terms {
    type Err = WrongTerms;

    /// Reads the form that [`Display`](fmt::Display) writes. Unknown names from a newer version are
    /// ignored: stored terms are never rewritten.
    fn from_str(text: &str) -> Result<Terms, WrongTerms> {
        let mut terms = Terms::default();
        for pair in text.split(' ') {
            read_term(&mut terms, pair)
                .ok_or_else(|| WrongTerms::Stored(pair.chars().take(60).collect()))?;
        }
        Ok(terms)
    }
}

fn read_term(terms: &mut Terms, pair: &str) -> Option<()> {
    let (name, value) = pair.split_once('=')?;
    let span = || value.parse::<Span>().ok();
    match name {
        "starts_at" => terms.starts_at = StartsAt::parse(value)?,
        "receive_after" => terms.receive_after = span()?,
        "pay_within" => terms.pay_within = Some(span()?),
        "fallback_after" => terms.fallback_after = Some(span()?),
        "ship_within" => terms.ship_within = Some(span()?),
        "settle_after" => terms.settle_after = Some(span()?),
        "remind_before" => {
            terms.remind_before = value.split(',').map(|s| s.parse().ok()).collect::<Option<_>>()?
        }
        "max_extensions" => terms.max_extensions = value.parse().ok()?,
        "extend_by" => terms.extend_by = span()?,
        "release_grace" => terms.release_grace = span()?,
        "retain_for" => terms.retain_for = span()?,
        _ => {}
    }
    Some(())
}
