//! A body as lines: bounded in length, and each in its time.

use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::idle_timeout::dawdled;

/// The most bytes of a line.
pub const MOST: usize = 64 * 1024;

/// The lines of a body, blank ones left out.
pub struct Lines {
    body: BodyDataStream,
    /// The places of all streams.
    places: Arc<Semaphore>,
    stop: CancellationToken,
    buffer: BytesMut,
    /// How much of the buffer is known to have no line break.
    searched: usize,
    /// How many lines have begun, blank ones too.
    number: u64,
    /// The line at hand was too long, and is passed over to its end.
    passing_over: bool,
    ended: bool,
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line.
    Text(Bytes),
    /// A line of more than [`MOST`] bytes.
    TooLong,
    /// No line, in the time that one may take; it is the last.
    TooSlow,
    /// The service is shutting down; it is the last.
    Stopping,
}

impl Lines {
    /// The lines of `body`, which has one of `places`, until `stop` is cancelled.
    pub fn new(body: Body, places: Arc<Semaphore>, stop: CancellationToken) -> Lines {
        let body = body.into_data_stream();
        Lines {
            body,
            places,
            stop,
            buffer: BytesMut::new(),
            searched: 0,
            number: 0,
            passing_over: false,
            ended: false,
        }
    }

    /// The next line and its number, from 1. What a body that broke off left of its last line is
    /// dropped.
    pub async fn next(&mut self) -> Option<(u64, Line)> {
        let places = self.places.clone();
        let mut too_slow = pin!(dawdled(&places));
        loop {
            if let Some(line) = self.take() {
                return Some((self.number, line));
            }
            if self.ended {
                return None;
            }
            tokio::select! {
                chunk = self.body.next() => self.add(chunk),
                () = self.stop.cancelled() => return self.end(Line::Stopping),
                () = &mut too_slow => return self.end(Line::TooSlow),
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

    fn end(&mut self, why: Line) -> Option<(u64, Line)> {
        self.drop_rest();
        Some((self.number + 1, why))
    }

    /// The next whole line in the buffer that is to be answered.
    fn take(&mut self) -> Option<Line> {
        while let Some(end) = self.find_break() {
            let line = self.buffer.split_to(end + 1).freeze();
            self.searched = 0;
            if std::mem::take(&mut self.passing_over) {
                continue;
            }
            self.number += 1;
            if end > MOST {
                return Some(Line::TooLong);
            }
            if !line.trim_ascii().is_empty() {
                return Some(Line::Text(line));
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

    /// A line that is too long is told at once, and no longer kept.
    fn give_up_long_line(&mut self) -> Option<Line> {
        if self.passing_over || self.buffer.len() > MOST {
            self.buffer.clear();
            self.searched = 0;
            if !std::mem::replace(&mut self.passing_over, true) {
                self.number += 1;
                return Some(Line::TooLong);
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

    /// The lines of a stream beside which so many others find a place.
    async fn read_among(body: Body, free: usize) -> Vec<(u64, String)> {
        let (mut lines, mut read) = (
            Lines::new(body, Arc::new(Semaphore::new(free)), CancellationToken::new()),
            Vec::new(),
        );
        while let Some((number, line)) = lines.next().await {
            let text = match line {
                Line::Text(text) => String::from_utf8_lossy(text.trim_ascii()).into_owned(),
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
    async fn blank_lines_are_left_out_and_counted_and_the_last_needs_no_break() {
        assert_eq!(
            read(Body::from("a\n\r\n \nb\r\nc")).await,
            expected(&[(1, "a"), (4, "b"), (5, "c")])
        );
        assert_eq!(read(Body::empty()).await, []);
        assert_eq!(read(Body::from("\n\n")).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_told_once_and_the_next_one_is_read() {
        for chunk in [1_000, 65_536, 65_537, 1_000_000] {
            let text = [
                vec![b'x'; MOST],
                b"\n".to_vec(),
                vec![b'y'; MOST + 1],
                b"\nz\n".to_vec(),
                vec![b'w'; 3 * MOST],
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
    async fn what_a_broken_body_left_of_its_last_line_is_dropped() {
        let chunks = vec![Ok("a\nb".to_owned()), Err(std::io::Error::other("broken"))];
        assert_eq!(
            read(Body::from_stream(futures_util::stream::iter(chunks))).await,
            expected(&[(1, "a")])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_takes_too_long_is_the_last() {
        let chunks = futures_util::stream::iter(["a\nb"])
            .chain(futures_util::stream::pending())
            .map(Ok::<_, Infallible>);
        let begun = Instant::now();
        assert_eq!(read(Body::from_stream(chunks)).await, expected(&[(1, "a"), (2, "TooSlow")]));
        assert_eq!(begun.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn where_places_are_short_a_stream_that_sends_no_whole_line_for_a_second_loses_its_own() {
        let trickle = || {
            futures_util::stream::unfold(0u32, |i| async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                // Two whole lines in time, and then a byte now and then.
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
        let (stop, endless) = (
            CancellationToken::new(),
            futures_util::stream::pending::<Result<Bytes, Infallible>>(),
        );
        let endless = Body::from_stream(endless);
        let mut lines = Lines::new(endless, Arc::new(Semaphore::new(1)), stop.clone());
        stop.cancel();
        assert_eq!((lines.next().await, lines.next().await), (Some((1, Line::Stopping)), None));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_into_chunks_the_lines_are_the_same(text in "[ab \\n]{0,60}", cuts in proptest::collection::vec(1..9usize, 0..40)) {
            let (mut rest, mut chunks) = (text.as_bytes(), Vec::new());
            for cut in cuts {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(chunk.to_vec());
                rest = after;
            }
            chunks.push(rest.to_vec());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let lines = text.split('\n').zip(1..).map(|(line, number)| (number, line.trim().to_owned()));
            let expected: Vec<_> = lines.filter(|(_, line)| !line.is_empty()).collect();
            prop_assert_eq!(runtime.block_on(read(body(chunks))), expected);
        }
    }
}
