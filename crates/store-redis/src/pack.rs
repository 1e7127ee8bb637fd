//! The one argument of the commit script, as msgpack. Texts are `str`: the decoder of Redis 7.0 rejects `bin`. Writing
//! into a vector cannot fail, so what `rmp` returns is dropped.

use autoreceive_domain::Time;
use rmp::encode::{write_array_len, write_map_len, write_sint, write_str};

pub(super) struct Pack {
    bytes: Vec<u8>,
}

impl Pack {
    pub(super) fn with_capacity(bytes: usize) -> Pack {
        Pack { bytes: Vec::with_capacity(bytes) }
    }

    /// The beginning of an array; what it holds follows.
    pub(super) fn array(&mut self, len: usize) {
        let _ = write_array_len(&mut self.bytes, len as u32);
    }

    /// The beginning of a map; keys and values follow in turn.
    pub(super) fn map(&mut self, len: usize) {
        let _ = write_map_len(&mut self.bytes, len as u32);
    }

    pub(super) fn text(&mut self, text: &str) {
        let _ = write_str(&mut self.bytes, text);
    }

    pub(super) fn texts(&mut self, texts: &[String]) {
        self.array(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }

    pub(super) fn number(&mut self, number: i64) {
        let _ = write_sint(&mut self.bytes, number);
    }

    /// An index as Lua counts, from 1.
    pub(super) fn index(&mut self, index: usize) {
        self.number(index as i64 + 1);
    }

    /// A time as a score; an empty text for none. Lua would write a number slowly.
    pub(super) fn moment(&mut self, at: Option<Time>) {
        match at {
            Some(at) => self.text(&at.ms().to_string()),
            None => self.text(""),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
