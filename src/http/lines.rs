//! A request body as lines, limited in length and idle time.

use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::idle_timeout::idle_timeout;

/// Limit of a line in bytes.
pub const LINE_BYTES: usize = 64 * 1024;

/// The lines of a body; blank lines are skipped.
pub struct Lines {
    body: BodyDataStream,
    /// The permits of all streams, for the idle timeout.
    streams: Arc<Semaphore>,
    stop: CancellationToken,
    buffer: BytesMut,
    /// Length of the start of the buffer that has no line break.
    searched: usize,
    /// Number of the current line, blank lines counted.
    number: u64,
    /// The current line is too long; the rest of it is skipped.
    skipping: bool,
    ended: bool,
}

/// One line, or the reason why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyLine {
    /// The text of a line.
    Text(Bytes),
    /// A line of more than [`LINE_BYTES`] bytes.
    TooLong,
    /// No line arrived within the idle timeout. Nothing follows.
    TooSlow,
    /// The service is shutting down. Nothing follows.
    Stopping,
}

impl Lines {
    /// The lines of `body` until `stop` is cancelled.
    pub fn new(body: Body, streams: Arc<Semaphore>, stop: CancellationToken) -> Lines {
        let body = body.into_data_stream();
        Lines {
            body,
            streams,
            stop,
            buffer: BytesMut::new(),
            searched: 0,
            number: 0,
            skipping: false,
            ended: false,
        }
    }

    /// The next line and its number, from 1. If the body breaks off, its incomplete last line is
    /// dropped.
    pub async fn next(&mut self) -> Option<(u64, BodyLine)> {
        let streams = self.streams.clone();
        let mut too_slow = pin!(idle_timeout(&streams));
        loop {
            if let Some(line) = self.take() {
                return Some((self.number, line));
            }
            if self.ended {
                return None;
            }
            tokio::select! {
                chunk = self.body.next() => self.add(chunk),
                () = self.stop.cancelled() => return self.end(BodyLine::Stopping),
                () = &mut too_slow => return self.end(BodyLine::TooSlow),
            }
        }
    }

    fn add(&mut self, chunk: Option<Result<Bytes, axum::Error>>) {
        match chunk {
            Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
            Some(Err(_)) => self.drop_rest(),
            // The last line needs no line break.
            None if self.buffer.is_empty() => self.ended = true,
            None => {
                self.ended = true;
                self.buffer.extend_from_slice(b"\n");
            }
        }
    }

    fn drop_rest(&mut self) {
        self.ended = true;
        self.buffer.clear();
        self.searched = 0;
    }

    fn end(&mut self, why: BodyLine) -> Option<(u64, BodyLine)> {
        self.drop_rest();
        Some((self.number + 1, why))
    }

    /// The next complete line in the buffer that needs an answer.
    fn take(&mut self) -> Option<BodyLine> {
        while let Some(end) = self.find_break() {
            let line = self.buffer.split_to(end + 1).freeze();
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            self.number += 1;
            if end > LINE_BYTES {
                return Some(BodyLine::TooLong);
            }
            if !line.trim_ascii().is_empty() {
                return Some(BodyLine::Text(line));
            }
        }
        self.give_up_long_line()
    }

    fn find_break(&mut self) -> Option<usize> {
        let found = self.buffer.get(self.searched..)?.iter().position(|&byte| byte == b'\n');
        let found = found.map(|at| self.searched + at);
        self.searched = self.buffer.len();
        found
    }

    /// Reports a line that is too long before its end arrives, and frees its buffer.
    fn give_up_long_line(&mut self) -> Option<BodyLine> {
        if self.skipping || self.buffer.len() > LINE_BYTES {
            self.buffer.clear();
            self.searched = 0;
            if !std::mem::replace(&mut self.skipping, true) {
                self.number += 1;
                return Some(BodyLine::TooLong);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    fn body(chunks: Vec<Vec<u8>>) -> Body {
        Body::from_stream(futures_util::stream::iter(chunks.into_iter().map(Ok::<_, Infallible>)))
    }

    async fn read(body: Body) -> Vec<(u64, String)> {
        read_among(body, 1).await
    }

    /// The lines of a stream while `free` further streams may start.
    async fn read_among(body: Body, free: usize) -> Vec<(u64, String)> {
        let streams = Arc::new(Semaphore::new(free));
        let mut lines = Lines::new(body, streams, CancellationToken::new());
        let mut read = Vec::new();
        while let Some((number, line)) = lines.next().await {
            let text = match line {
                BodyLine::Text(text) => String::from_utf8_lossy(text.trim_ascii()).into_owned(),
                other => format!("{other:?}"),
            };
            read.push((number, text));
        }
        read
    }

    fn expected(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
        lines.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
    }

    #[tokio::test]
    async fn blank_lines_are_skipped_but_counted_and_the_last_line_needs_no_line_break() {
        assert_eq!(
            read(Body::from("a\n\r\n \nb\r\nc")).await,
            expected(&[(1, "a"), (4, "b"), (5, "c")])
        );
        assert_eq!(read(Body::empty()).await, []);
        assert_eq!(read(Body::from("\n\n")).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_reported_once_and_the_next_line_is_read() {
        for chunk in [1_000, 65_536, 65_537, 1_000_000] {
            let text = [
                vec![b'x'; LINE_BYTES],
                b"\n".to_vec(),
                vec![b'y'; LINE_BYTES + 1],
                b"\nz\n".to_vec(),
                vec![b'w'; 3 * LINE_BYTES],
            ]
            .concat();
            let read = read(body(text.chunks(chunk).map(<[u8]>::to_vec).collect())).await;
            let short: Vec<_> =
                read.iter().map(|(number, text)| (*number, &text[..text.len().min(7)])).collect();
            assert_eq!(
                short,
                [(1, "xxxxxxx"), (2, "TooLong"), (3, "z"), (4, "TooLong")],
                "in chunks of {chunk}"
            );
        }
    }

    #[tokio::test]
    async fn the_incomplete_last_line_of_a_broken_body_is_dropped() {
        let chunks = vec![Ok("a\nb".to_owned()), Err(std::io::Error::other("broken"))];
        assert_eq!(
            read(Body::from_stream(futures_util::stream::iter(chunks))).await,
            expected(&[(1, "a")])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_after_a_line_that_takes_too_long() {
        let chunks = futures_util::stream::iter(["a\nb"])
            .chain(futures_util::stream::pending())
            .map(Ok::<_, Infallible>);
        let begun = Instant::now();
        assert_eq!(read(Body::from_stream(chunks)).await, expected(&[(1, "a"), (2, "TooSlow")]));
        assert_eq!(begun.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_a_whole_line_for_a_second_is_closed_while_all_streams_are_taken() {
        let trickle = || {
            futures_util::stream::unfold(0u32, |i| async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                // Two whole lines in time, then single bytes without a line break.
                Some((Ok::<_, Infallible>(if i < 4 && i % 2 == 1 { "x\n" } else { "x" }), i + 1))
            })
        };
        let begun = Instant::now();
        let read = read_among(Body::from_stream(trickle()), 0).await;
        assert_eq!(read, expected(&[(1, "xx"), (2, "xx"), (3, "TooSlow")]));
        assert_eq!(begun.elapsed(), Duration::from_millis(4 * 300 + 1_000));
        let begun = Instant::now();
        assert_eq!(read_among(Body::from_stream(trickle()), 1).await.len(), 3);
        assert_eq!(begun.elapsed(), Duration::from_millis(4 * 300 + 30_000));
    }

    #[tokio::test]
    async fn a_service_that_shuts_down_reads_no_more_lines() {
        let stop = CancellationToken::new();
        let endless = futures_util::stream::pending::<Result<Bytes, Infallible>>();
        let endless = Body::from_stream(endless);
        let mut lines = Lines::new(endless, Arc::new(Semaphore::new(1)), stop.clone());
        stop.cancel();
        assert_eq!((lines.next().await, lines.next().await), (Some((1, BodyLine::Stopping)), None));
    }

    proptest! {
        #[test]
        fn the_lines_do_not_depend_on_how_the_body_is_cut_into_chunks(
            text in "[ab \\n]{0,60}",
            cuts in proptest::collection::vec(1..9usize, 0..40),
        ) {
            let mut rest = text.as_bytes();
            let mut chunks = Vec::new();
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk.to_vec());
                rest = after;
            }
            chunks.push(rest.to_vec());
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let lines =
                text.split('\n').zip(1..).map(|(line, number)| (number, line.trim().to_owned()));
            let expected: Vec<_> = lines.filter(|(_, line)| !line.is_empty()).collect();
            prop_assert_eq!(runtime.block_on(read(body(chunks))), expected);
        }
    }
}
