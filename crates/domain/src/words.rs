//! Validated texts. They are checked once at the edge, so an invalid one cannot exist. Short texts
//! (up to 23 bytes, most ids) are stored inline and longer ones are shared, so reading or copying
//! an order needs no allocation for each text.

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;

/// The shop's id of an order: 1 to 128 bytes of UTF-8 without control characters. An id is never
/// reused, not even after the order was removed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderId(SmolStr);

/// A short text from the shop: 1 to `MAX` bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Text<const MAX: usize>(SmolStr);

/// The shop's own data, sent back in every event: compact JSON of at most 4 KiB. The JSON was
/// checked at the edge; here it is text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Data(SmolStr);

/// A currency: three capital letters, as in ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Currency([u8; 3]);

/// Why a text is not valid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongText {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// It has more bytes than allowed.
    #[error("has {0} bytes of UTF-8; at most {1} are allowed")]
    TooLong(usize, usize),
    /// It has a line break, a tab or another control character.
    #[error("contains a control character (code point U+{0:04X}); none is allowed")]
    Control(u32),
    /// It is not three capital letters.
    #[error(
        "is not a currency: three capital letters as in ISO 4217 are expected, for example \"KRW\""
    )]
    NotACurrency,
}

fn check(text: &str, max: usize) -> Result<(), WrongText> {
    if text.is_empty() {
        return Err(WrongText::Empty);
    }
    if text.len() > max {
        return Err(WrongText::TooLong(text.len(), max));
    }
    // Fast path: most texts are printable ASCII.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    text.chars().find(|c| c.is_control()).map_or(Ok(()), |c| Err(WrongText::Control(c.into())))
}

impl OrderId {
    /// The maximum length of an order id, in bytes.
    pub const MAX: usize = 128;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrderId {
    type Err = WrongText;

    fn from_str(text: &str) -> Result<OrderId, WrongText> {
        check(text, OrderId::MAX).map(|()| OrderId(text.into()))
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> Text<MAX> {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = WrongText;

    fn from_str(text: &str) -> Result<Self, WrongText> {
        check(text, MAX).map(|()| Text(text.into()))
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Data {
    /// The maximum length of `data` as compact JSON, in bytes.
    pub const MAX: usize = 4_096;

    /// Creates `data` from compact JSON.
    ///
    /// # Errors
    /// It is empty, longer than [`Data::MAX`], or has a raw control character.
    pub fn new(json: &str) -> Result<Data, WrongText> {
        if json.is_empty() {
            return Err(WrongText::Empty);
        }
        if json.len() > Data::MAX {
            return Err(WrongText::TooLong(json.len(), Data::MAX));
        }
        match json.bytes().find(|&byte| byte < b' ') {
            Some(byte) => Err(WrongText::Control(byte.into())),
            None => Ok(Data(json.into())),
        }
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The bytes were checked to be ASCII letters when the value was made.
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl FromStr for Currency {
    type Err = WrongText;

    fn from_str(text: &str) -> Result<Currency, WrongText> {
        match *text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Currency([a, b, c])),
            _ => Err(WrongText::NotACurrency),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_with_a_line_break_is_refused() {
        for bad in ["\n", "{\"a\":\u{7f}\"\n\"}", "\u{7f}\u{0}"] {
            assert!(matches!(Data::new(bad), Err(WrongText::Control(_))), "{bad:?}");
        }
        assert!(Data::new("\"\u{7f}\"").is_ok());
    }

    #[test]
    fn an_order_id_has_up_to_128_bytes_and_no_control_characters() {
        for good in ["A-1", "a:b c{d}%|~", "주문-1", &"x".repeat(128)] {
            assert_eq!(good.parse::<OrderId>().unwrap().as_str(), good);
        }
        assert_eq!("".parse::<OrderId>(), Err(WrongText::Empty));
        assert_eq!("a\nb".parse::<OrderId>(), Err(WrongText::Control(10)));
        assert_eq!("a\u{85}b".parse::<OrderId>(), Err(WrongText::Control(0x85)));
        assert_eq!("가".repeat(43).parse::<OrderId>(), Err(WrongText::TooLong(129, 128)));
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!("KRW".parse::<Currency>().unwrap().as_str(), "KRW");
        for bad in ["", "krw", "KR", "KRWW", "K€", "K1W"] {
            assert_eq!(bad.parse::<Currency>(), Err(WrongText::NotACurrency), "{bad:?}");
        }
    }
}
