//! Who may do what: roles, and the tokens that carry them. Only a token's hash is ever kept.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// What every token begins with, so that people and secret scanners recognise one.
const PREFIX: &str = "ar_";

/// What a token permits; each role permits what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To see orders, actions and figures.
    Read,
    /// And to place orders and give commands.
    Write,
    /// And to look after actions and their dead letters, and put a test clock forward.
    Operate,
}

impl Role {
    /// Every role, the smallest first.
    pub const ALL: [Role; 3] = [Role::Read, Role::Write, Role::Operate];

    /// The role's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Operate => "operate",
        }
    }
}

/// The text of a fresh random token of 256 bits, to be shown once.
#[must_use]
pub fn fresh_token() -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// The SHA-256 of a token. A token is random, so its plain hash gives nothing away.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

/// A text that is not a hash. It is not repeated: it may be the token itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not the SHA-256 of a token: expected 64 hexadecimal digits; `autoreceive token new` makes \
        a token and its hash"
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
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | (*digit as u8)))
            .collect();
        if digits.len() == 64 {
            bytes.try_into().map(TokenHash).map_err(|_| NotAHash)
        } else {
            Err(NotAHash)
        }
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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

/// The tokens that are accepted. Without any, whoever reaches the service may do everything; the
/// configuration sees to it that only this machine can.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<(TokenHash, Role)>);

impl Tokens {
    /// Whether nobody has to show one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The role of `token`, if it is one of these. It takes as long for a token that is none: every
    /// hash is compared in full, whatever was found before.
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
    fn a_hash_is_read_as_it_is_written_and_nothing_else_is_one() {
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
    fn each_token_has_its_own_role_and_no_other_text_has_one() {
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
