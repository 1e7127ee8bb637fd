//! The program `autoreceive`.

use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io, thread};

use autoreceive::cli::{self, Cli};
use clap::Parser;
use tokio::runtime::{Builder, Runtime};

/// The longest wait for blocking threads at the end. A DNS request without an answer would block
/// for half a minute.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> io::Result<ExitCode> {
    let runtime = runtime()?;
    let code = runtime.block_on(cli::run(Cli::parse()));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    Ok(code)
}

/// Leaves one core to the store: under load, a Redis on the same machine keeps one thread busy, and
/// sharing its core makes both slower (docs/benchmarks.md). `TOKIO_WORKER_THREADS` overrides this.
fn runtime() -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        builder.worker_threads(cores.saturating_sub(1).max(1));
    }
    builder.enable_all().build()
}
