//! The secrets that sign messages.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

const PREFIX: &str = "whsec_";

/// The fewest bytes that Standard Webhooks allows.
const MIN_BYTES: usize = 24;
/// The most bytes that it allows.
const MAX_BYTES: usize = 64;

/// A signing secret in the form of Standard Webhooks: `whsec_` and base64. Always shown as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

/// A text that is not a signing secret. The error does not repeat it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a signing secret: expected whsec_ and the base64 of 24 to 64 bytes; make one with \
     `autoreceive secret new`"
)]
pub struct WrongSecret;

impl SigningSecret {
    /// The text of a new random secret.
    #[must_use]
    pub fn fresh() -> String {
        format!("{PREFIX}{}", STANDARD.encode(rand::random::<[u8; 32]>()))
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for SigningSecret {
    type Err = WrongSecret;

    fn from_str(text: &str) -> Result<SigningSecret, WrongSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(WrongSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| WrongSecret)?;
        if (MIN_BYTES..=MAX_BYTES).contains(&bytes.len()) {
            Ok(SigningSecret(bytes))
        } else {
            Err(WrongSecret)
        }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for SigningSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}
