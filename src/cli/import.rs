//! `autoreceive import`: sends many commands as one stream, and prints the answers as they arrive.

use std::fs::File;
use std::io::{IsTerminal, Read, stderr, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use futures_util::{Stream, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::client::ClientArgs;
use super::{CliError, output};
use crate::wire::line::{LineAnswer, LineError, LineResult};

const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that are read before the service takes them.
const AHEAD: usize = 4;

const EXAMPLES: &str = r#"Examples:
  autoreceive import orders.ndjson
  export-orders | autoreceive import -

Each line is a command, with the name and the fields that it has in the API:
  {"order_id":"A-1","command":"place","buyer_id":"u-7","paid_at":"2026-11-23T10:00:00+09:00"}
  {"order_id":"A-2","command":"place","buyer_id":"u-8","paid_at":"2026-11-20T10:00:00+09:00",
   "shipped_at":"2026-11-21T18:00:00+09:00","policy":"parcel"}     (one line in the file)
  {"order_id":"A-3","command":"pay"}

Each line is applied at once. An order that was paid three days ago, with a policy of one day, is
received at once. If it was shipped or delivered, say so in the same line, so that no deadline of an
earlier status applies.

Repeating the whole file is safe: commands that were applied before count as unchanged. The exit
code is 3 if a line was rejected or invalid, and 4 if the service did not answer every line."#;

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// A file, or - for standard input.
    file: PathBuf,
    #[command(flatten)]
    client: ClientArgs,
}

/// Number of lines by result.
#[derive(Default)]
struct ImportSummary {
    changed: u64,
    unchanged: u64,
    rejected: u64,
    invalid: u64,
    unavailable: u64,
}

pub async fn run(args: ImportArgs) -> Result<(), CliError> {
    let (source, size) = open(&args.file)?;
    let bar = progress(size);
    let lines = Arc::new(AtomicU64::new(0));
    let sent = chunks(source, lines.clone(), bar.clone());
    let answered = answers(&args.client, sent, &bar).await;
    bar.finish_and_clear();
    answered?.finish(lines.load(Ordering::Relaxed))
}

type Source = Box<dyn Read + Send>;

fn open(path: &Path) -> Result<(Source, Option<u64>), CliError> {
    if path == Path::new("-") {
        return Ok((Box::new(stdin()), None));
    }
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let size =
        file.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
    Ok((Box::new(file), size))
}

fn progress(size: Option<u64>) -> ProgressBar {
    let bar = match size {
        _ if !stderr().is_terminal() => ProgressBar::hidden(),
        Some(size) => ProgressBar::new(size),
        None => ProgressBar::new_spinner(),
    };
    let template = if size.is_some() {
        "{bar:40} {bytes}/{total_bytes} {msg} {eta}"
    } else {
        "{spinner} {bytes} {msg}"
    };
    // The templates are constants; if one were wrong, the plain bar would be shown.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Reads in a thread of its own, because files and standard input block. Reads at most [`AHEAD`]
/// chunks ahead.
fn chunks(
    mut source: Source,
    lines: Arc<AtomicU64>,
    bar: ProgressBar,
) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut blank = true;
        loop {
            let chunk = read_chunk(&mut source);
            if let Ok(chunk) = &chunk {
                blank = count_lines(chunk, blank, &lines);
                bar.inc(chunk.len() as u64);
            }
            let last = !matches!(&chunk, Ok(chunk) if !chunk.is_empty());
            if last && !blank {
                lines.fetch_add(1, Ordering::Relaxed);
            }
            let ended = last && chunk.is_ok();
            if ended || sender.blocking_send(chunk).is_err() || last {
                return;
            }
        }
    });
    stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    })
}

fn read_chunk(source: &mut Source) -> std::io::Result<Bytes> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let length = source.read(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer.into())
}

/// Counts the line breaks of lines that are not blank. Returns whether the current line is blank so
/// far.
fn count_lines(chunk: &[u8], mut blank: bool, lines: &AtomicU64) -> bool {
    for byte in chunk {
        match byte {
            b'\n' => {
                lines.fetch_add(u64::from(!blank), Ordering::Relaxed);
                blank = true;
            }
            b' ' | b'\t' | b'\r' => {}
            _ => blank = false,
        }
    }
    blank
}

async fn answers(
    args: &ClientArgs,
    lines: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    bar: &ProgressBar,
) -> Result<ImportSummary, CliError> {
    let asked = args.client()?.commands(lines).await;
    let mut answers = asked.map_err(|error| args.failure(error))?;
    let mut summary = ImportSummary::default();
    loop {
        match answers.next().await {
            Ok(Some((answer, line))) => summary.take(&answer, &line, args.json, bar),
            Ok(None) => return Ok(summary),
            Err(error) => {
                return Err(match args.failure(error) {
                    CliError::Unavailable(why) => {
                        CliError::Unavailable(format!("{why}; so far {summary}"))
                    }
                    other => other,
                });
            }
        }
    }
}

impl ImportSummary {
    fn take(&mut self, answer: &LineAnswer, line: &[u8], json: bool, bar: &ProgressBar) {
        let (count, bad) = match answer.result {
            LineResult::Changed => (&mut self.changed, false),
            LineResult::Unchanged => (&mut self.unchanged, false),
            LineResult::Rejected => (&mut self.rejected, true),
            LineResult::Invalid => (&mut self.invalid, true),
            LineResult::Unavailable => (&mut self.unavailable, true),
        };
        *count += 1;
        if json {
            bar.suspend(|| output::print(&String::from_utf8_lossy(line)));
        } else if bad {
            let order = answer.order_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
            let why = answer.error.as_ref().map(LineError::explained).unwrap_or_default();
            let (number, result) = (answer.line, answer.result);
            bar.suspend(|| output::print(&format!("line {number}{order}: {result}: {why}")));
        }
        bar.set_message(self.to_string());
    }

    /// Prints the totals, and returns an error if not all of the `sent` lines were applied.
    fn finish(&self, sent: u64) -> Result<(), CliError> {
        let answered =
            self.changed + self.unchanged + self.rejected + self.invalid + self.unavailable;
        eprintln!("{answered} lines: {self}");
        if answered < sent || self.unavailable > 0 {
            let missing = self.unavailable + sent.saturating_sub(answered);
            return Err(CliError::Unavailable(format!(
                "{missing} of {sent} lines were not applied or not answered; import the file again"
            )));
        }
        match self.rejected + self.invalid {
            0 => Ok(()),
            bad => Err(CliError::Rejected(format!("{bad} of {sent} lines were not applied"))),
        }
    }
}

impl std::fmt::Display for ImportSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ImportSummary { changed, unchanged, rejected, invalid, unavailable } = self;
        write!(
            f,
            "{changed} changed, {unchanged} unchanged, {rejected} rejected, {invalid} invalid"
        )?;
        if *unavailable > 0 { write!(f, ", {unavailable} unavailable") } else { Ok(()) }
    }
}
