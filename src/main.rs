//! The program.

use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io, thread};

use autoreceive::cli::{self, Cli};
use clap::Parser;
use tokio::runtime::{Builder, Runtime};

/// How long threads may take to finish behind the program's end: one that asks a name server that
/// does not answer can hang for half a minute.
const THREADS_END_WITHIN: Duration = Duration::from_millis(500);

fn main() -> io::Result<ExitCode> {
    let runtime = runtime()?;
    let code = runtime.block_on(cli::run(Cli::parse()));
    runtime.shutdown_timeout(THREADS_END_WITHIN);
    Ok(code)
}

/// One core is left to the store: a Redis on the same machine is a thread that always has work
/// while the service has, and where the two take turns on a core both lose (docs/benchmarks.md).
/// `TOKIO_WORKER_THREADS` says otherwise.
fn runtime() -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        builder.worker_threads(cores.saturating_sub(1).max(1));
    }
    builder.enable_all().build()
}
