//! The program.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use autoreceive::cli::{self, Cli};
use clap::Parser;

/// How long threads may take to finish behind the program's end: one that asks a name server that does not answer can hang
/// for half a minute.
const THREADS_END_WITHIN: Duration = Duration::from_millis(500);

fn main() -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let code = runtime.block_on(cli::run(Cli::parse()));
    runtime.shutdown_timeout(THREADS_END_WITHIN);
    Ok(code)
}
