//! `autoreceive serve`

use std::path::PathBuf;

use clap::Args;

use super::CliError;
use crate::app::ServeMode;
use crate::config::{Config, Sources};

const EXAMPLES: &str = "\
Examples:
  autoreceive serve                               # orders in ./autoreceive.db, API on port 8780
  autoreceive serve --store redis://127.0.0.1:6379/0
  autoreceive serve --config /etc/autoreceive.toml
  autoreceive serve --store sqlite:staging.db --test-clock      # with a clock for tests
  autoreceive serve --store redis://127.0.0.1:6379/0 --intake   # take over the shop's orders there
  autoreceive serve --demo                        # temporary store, sample orders, short deadlines

Every key can also be set in the environment, for example AUTORECEIVE_STORE__URL; see `autoreceive
config show --default`.";

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Where orders are kept: sqlite:PATH or redis://user:password@host:port/db. If it contains a
    /// password, better set it in the environment: AUTORECEIVE_STORE__URL.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Address of the API.
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<String>,
    /// The configuration file. The default is autoreceive.toml in the current directory, if it
    /// exists.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Run a demonstration: a temporary store, sample orders, deadlines of a few seconds.
    #[arg(long)]
    pub demo: bool,
    /// Take over the orders that a shop keeps in Redis keys, with the settings of [intake]; see
    /// docs/from-ttl-keys.md.
    #[arg(long)]
    pub intake: bool,
    /// Use a store whose clock `autoreceive clock advance` can advance. The store must be new, or
    /// created with this flag. On a Redis that is in use, AUTORECEIVE_STORE__PREFIX=test selects a
    /// new store.
    #[arg(long)]
    pub test_clock: bool,
}

impl ServeArgs {
    fn load(&self) -> anyhow::Result<Config> {
        let store = self.store.clone().map(|url| ("--store", "store.url", url));
        let listen = self.listen.clone().map(|listen| ("--listen", "http.listen", listen));
        let intake = self.intake.then(|| ("--intake", "intake.enabled", "true".to_owned()));
        let flags = store.into_iter().chain(listen).chain(intake).collect();
        Ok(Config::load(&Sources::of_process(self.config.clone(), flags))?)
    }
}

pub async fn run(args: ServeArgs) -> Result<(), CliError> {
    crate::app::serve(args.load()?, ServeMode { demo: args.demo, test_clock: args.test_clock })
        .await
        .map_err(CliError::Other)
}
