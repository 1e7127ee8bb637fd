//! `autoreceive config …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, output};
use crate::config::{Config, DEFAULT_FILE, Sources};

/// What can be asked about the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the values in force, secrets masked.
    #[command(
        after_help = "Examples:\n  autoreceive config show\n  autoreceive config show --default > \
            autoreceive.toml   # every key, explained"
    )]
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// Print the defaults instead, with every key explained.
        #[arg(long)]
        default: bool,
    },
    /// Say whether the service would start with this configuration.
    #[command(after_help = "Example:\n  autoreceive config check --config /etc/autoreceive.toml")]
    Check {
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// Which file.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file; autoreceive.toml in the current directory without it, if there is
    /// one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Show { default: true, .. } => output::print(DEFAULT_FILE.trim_end()),
        ConfigCommand::Show { file, .. } => {
            let config = file.load()?;
            output::print(&format!("# {}\n\n{}", origin(&config), config.show().trim_end()));
        }
        ConfigCommand::Check { file } => {
            let config = file.load()?;
            output::print(&format!("ok: {}", origin(&config)));
        }
    }
    Ok(())
}

impl ConfigFile {
    /// The configuration that it is part of.
    pub fn load(self) -> anyhow::Result<Config> {
        let config = Config::load(&Sources::of_process(self.config, Vec::new()))?;
        config.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        Ok(config)
    }
}

fn origin(config: &Config) -> String {
    if config.sources.is_empty() {
        "the defaults".to_owned()
    } else {
        format!("the defaults, and over them {}", config.sources.join(", "))
    }
}
