//! The answers to many commands, as they come.

use autoreceive_wire::line::LineAnswer;
use reqwest::{Response, Url};

use crate::Error;

/// The longest line of the answer.
const LINE_BYTES: usize = 1024 * 1024;

/// Answers to lines, in the order of the lines.
#[derive(Debug)]
pub struct AnswerLines {
    response: Response,
    url: Url,
    rest: Vec<u8>,
    /// Up to where there is no line break in `rest`.
    searched: usize,
}

impl AnswerLines {
    pub(crate) fn new(response: Response, url: Url) -> AnswerLines {
        AnswerLines { response, url, rest: Vec::new(), searched: 0 }
    }

    /// The next answer, and its line as it came, without the line break; none after the last.
    ///
    /// # Errors
    /// Where the stream breaks off, or something else than this service answers. Lines without an
    /// answer may or may not have been carried out; repeating them is safe.
    pub async fn next(&mut self) -> Result<Option<(LineAnswer, Vec<u8>)>, Error> {
        loop {
            let new = self.rest.get(self.searched..).unwrap_or_default();
            if let Some(end) = new.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=self.searched + end).collect();
                line.pop();
                self.searched = 0;
                let wrong =
                    |error| Error::because("an answer of the service cannot be read", error);
                let answer = serde_json::from_slice(&line).map_err(wrong)?;
                return Ok(Some((answer, line)));
            }
            self.searched = self.rest.len();
            if self.rest.len() > LINE_BYTES {
                let url = &self.url;
                let strange = format!("what answers at {url} is no autoreceive service");
                return Err(Error::other(strange));
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| Error::unreachable(&self.url, &error))? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }
}
