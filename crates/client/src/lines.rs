//! The answers to many commands, as they arrive.

use autoreceive_wire::line::LineAnswer;
use reqwest::{Response, Url};

use crate::Error;

/// The maximum length of a line of the answer.
const LINE_BYTES: usize = 1024 * 1024;

/// The answers to lines, in the order of the lines.
#[derive(Debug)]
pub struct AnswerLines {
    response: Response,
    url: Url,
    rest: Vec<u8>,
    /// `rest` has no line break before this position.
    searched: usize,
}

impl AnswerLines {
    pub(crate) fn new(response: Response, url: Url) -> AnswerLines {
        AnswerLines { response, url, rest: Vec::new(), searched: 0 }
    }

    /// The next answer, and its raw line without the line break; `None` after the last.
    ///
    /// # Errors
    /// The stream ended early, or another service answers. Commands without an answer may have been
    /// carried out; repeating them is safe.
    pub async fn next(&mut self) -> Result<Option<(LineAnswer, Vec<u8>)>, Error> {
        loop {
            let new = self.rest.get(self.searched..).unwrap_or_default();
            if let Some(end) = new.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.rest.drain(..=self.searched + end).collect();
                line.pop();
                self.searched = 0;
                let wrong =
                    |error| Error::because("a line of the service's answer cannot be read", error);
                let answer = serde_json::from_slice(&line).map_err(wrong)?;
                return Ok(Some((answer, line)));
            }
            self.searched = self.rest.len();
            if self.rest.len() > LINE_BYTES {
                let url = &self.url;
                let strange = format!("the service at {url} is not autoreceive");
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
