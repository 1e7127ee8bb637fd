//! `autoreceive serve`

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::app::ServeMode;
use crate::config::{Config, Sources};

const EXAMPLES: &str = "\
Examples:
  autoreceive serve                                   # orders in ./autoreceive.db, API on 127.0.0.1:8780
  autoreceive serve --store redis://127.0.0.1:6379/0
  autoreceive serve --config /etc/autoreceive.toml
  autoreceive serve --store sqlite:staging.db --test-clock   # its time can be put forward
  autoreceive serve --store redis://127.0.0.1:6379/0 --intake   # take over the shop's keys there
  autoreceive serve --demo                            # a temporary store, sample orders, windows of a few seconds

Every key can also be set in the environment, for example AUTORECEIVE_STORE__URL; see `autoreceive config show --default`.";

/// What the service is started with.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// Where orders are kept: sqlite:PATH or redis://user:password@host:port/db. A password is
    /// better put into the environment: AUTORECEIVE_STORE__URL.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Where the API listens.
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<String>,
    /// The configuration file; autoreceive.toml in the current directory without it, if there is
    /// one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show what it does: a temporary store, sample orders, windows of a few seconds.
    #[arg(long)]
    pub demo: bool,
    /// Take over the orders that a shop keeps in Redis keys, as [intake] says; see
    /// docs/from-ttl-keys.md.
    #[arg(long)]
    pub intake: bool,
    /// Use a store whose time can be put forward with `autoreceive clock advance`: a new one, or
    /// one that was created so. On a Redis that is in use, AUTORECEIVE_STORE__PREFIX=test names a
    /// new one.
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

pub async fn run(args: ServeArgs) -> Result<(), Failure> {
    crate::app::serve(args.load()?, ServeMode { demo: args.demo, test_clock: args.test_clock })
        .await
        .map_err(Failure::Other)
}
