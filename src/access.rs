//! Roles and access tokens. Only the hash of a token is stored.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// The prefix of every token. People and secret scanners recognise it.
const PREFIX: &str = "ar_";

/// The rights of a token. Each role includes the rights of the roles before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read orders, actions and figures.
    Read,
    /// Also place orders and submit commands.
    Write,
    /// Also manage actions and dead letters, and advance a test clock.
    Operate,
}

impl Role {
    /// Every role, from the fewest rights to the most.
    pub const ALL: [Role; 3] = [Role::Read, Role::Write, Role::Operate];

    /// The role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Operate => "operate",
        }
    }
}

/// A new random token of 256 bits.
#[must_use]
pub fn fresh_token() -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// The SHA-256 of a token. Tokens are random, so a hash without salt is safe.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

/// A text that is not a hash. The error does not repeat it: it may be the token itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not the SHA-256 of a token: expected 64 hexadecimal digits; make a token and its hash \
     with `autoreceive token new`"
)]
pub struct NotAHash;

impl TokenHash {
    /// The hash of `token`.
    #[must_use]
    pub fn of(token: &str) -> TokenHash {
        TokenHash(Sha256::digest(token.as_bytes()).into())
    }
}

impl FromStr for TokenHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<TokenHash, NotAHash> {
        let digits: Vec<u32> =
            text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>().ok_or(NotAHash)?;
        let digits: [u32; 64] = digits.try_into().map_err(|_| NotAHash)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (pair[0] << 4 | pair[1]) as u8;
        }
        Ok(TokenHash(bytes))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The accepted tokens. Without any, every client may do everything; the configuration then allows
/// a loopback address only.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<(TokenHash, Role)>);

impl Tokens {
    /// Whether clients need no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The role of `token`; `None` if it is unknown. Compares every hash in full, so the duration
    /// tells nothing about the tokens.
    #[must_use]
    pub fn role_of(&self, token: &str) -> Option<Role> {
        let hash = TokenHash::of(token);
        let mut found = 0;
        for (known, role) in &self.0 {
            found.conditional_assign(&(*role as u8 + 1), known.0.ct_eq(&hash.0));
        }
        Role::ALL.into_iter().find(|role| *role as u8 + 1 == found)
    }
}

impl FromIterator<(TokenHash, Role)> for Tokens {
    fn from_iter<I: IntoIterator<Item = (TokenHash, Role)>>(tokens: I) -> Tokens {
        Tokens(tokens.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let hash = TokenHash::of("abc");
        assert_eq!(
            hash.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash.clone()));
        let digits = hash.to_string();
        for wrong in [
            "",
            "ar_x",
            &digits[1..],
            &format!("{digits}0"),
            &format!("{digits}00"),
            &digits.replace('b', "g"),
            &"é".repeat(32),
        ] {
            assert_eq!(wrong.parse::<TokenHash>(), Err(NotAHash), "{wrong}");
        }
    }

    #[test]
    fn only_a_known_token_has_a_role() {
        let made: Vec<(String, Role)> = Role::ALL.map(|role| (fresh_token(), role)).into();
        let tokens: Tokens =
            made.iter().map(|(token, role)| (TokenHash::of(token), *role)).collect();
        for (token, role) in &made {
            assert_eq!(tokens.role_of(token), Some(*role));
            for other in [
                &token[1..],
                &token.to_uppercase(),
                &format!("{token} "),
                &TokenHash::of(token).to_string(),
                "",
            ] {
                assert_eq!(tokens.role_of(other), None);
            }
        }
        assert_eq!(Tokens::default().role_of(&made[0].0), None);
    }
}
