//! The terms that an order is placed under. A policy is a named set of terms; an order keeps the
//! revision that was in force when it was placed, so that a changed configuration touches new
//! orders only.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use smol_str::{SmolStr, format_smolstr};

use crate::time::Span;

/// From which moment the buyer's time to speak up counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartsAt {
    /// From the payment.
    Paid,
    /// From the shipment.
    Shipped,
    /// From the delivery.
    Delivered,
}

/// What was agreed about an order's deadlines. All lengths are fixed ones, never calendar days.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    /// How long the payment is waited for before the order is cancelled; without it, for ever.
    pub pay_within: Option<Span>,
    /// From which moment `receive_after` counts.
    pub starts_at: StartsAt,
    /// The buyer's silence after which the order is RECEIVED.
    pub receive_after: Span,
    /// With a start at the delivery: the silence after the shipment that counts as receipt where no
    /// delivery is reported.
    pub fallback_after: Option<Span>,
    /// How long a paid order waits for its shipment before it is cancelled; without it, for ever.
    pub ship_within: Option<Span>,
    /// How long before the receive deadline the buyer is reminded.
    pub remind_before: Vec<Span>,
    /// How often the receive deadline can be extended.
    pub max_extensions: u32,
    /// By how much one extension moves it.
    pub extend_by: Span,
    /// What a released order has left at least, so that a rejected dispute never fires at once.
    pub release_grace: Span,
    /// How long after the receipt the order becomes COMPLETED; without it, never.
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

/// Names one version of one policy for ever: the policy's name, a dot, and a short hash of its
/// terms. Equal revisions mean equal terms.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Revision(SmolStr);

/// A named set of terms, as configured.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    /// What orders placed now will carry.
    pub revision: Revision,
    /// What was agreed.
    pub terms: Arc<Terms>,
}

/// The name of a policy as somebody asks for it. Whether there is one shows when it is looked up in
/// [`Policies`], so that a command can be read without them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyName(SmolStr);

/// The configured policies.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Policies(BTreeMap<PolicyName, Policy>);

/// A policy that is asked for and not configured.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{:?} is not configured; expected one of {expected}", .name.as_str())]
pub struct UnknownPolicy {
    /// Its name.
    pub name: PolicyName,
    /// The names that are configured.
    pub expected: String,
}

/// Why a text is no terms, revision or policy name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongTerms {
    /// A policy name with other characters than allowed.
    #[error("{0:?} is not a policy name: 1 to 32 of a-z, 0-9, _ and - are expected")]
    Name(String),
    /// A stored revision that cannot be one.
    #[error("{0:?} is not a policy revision: name.hash is expected")]
    Revision(String),
    /// Stored terms that cannot be read.
    #[error("stored terms cannot be read at {0:?}")]
    Stored(String),
}

impl Policy {
    /// The policy called `name`.
    ///
    /// # Errors
    /// Where the name is not 1 to 32 of `a-z 0-9 _ -`.
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
    /// The most characters that are kept. No policy's name is as long, and an error quotes no more.
    const KEPT: usize = 40;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PolicyName {
    /// Keeps the first 40 characters of a text. One that is longer names no policy.
    fn from(text: &str) -> PolicyName {
        // Few texts are longer, and only in those characters have to be counted.
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
    /// `default`, the policy of orders that name none.
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
    /// The policy of this name.
    ///
    /// # Errors
    /// Where none of this name is configured.
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

/// Six digits in base 36, that is 31 bits of SHA-256: with the policy's name before it, enough to
/// tell apart every version that a shop will ever configure, and short, because every order carries
/// it.
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
    /// Stands in a half-read order until its revision is found.
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

    /// The start that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<StartsAt> {
        [StartsAt::Paid, StartsAt::Shipped, StartsAt::Delivered]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

impl fmt::Display for Terms {
    /// The form in which terms are stored and hashed: `starts_at=paid receive_after=1d …`, what is
    /// not set left out.
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

    /// Reads what [`Display`](fmt::Display) wrote. A name that a newer version added is passed
    /// over: stored terms are never written again.
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
