//! `autoreceive config …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CliError, output};
use crate::config::{Config, DEFAULT_FILE, Sources};

/// Commands for the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the values in force, with secrets masked.
    #[command(
        after_help = "Examples:\n  autoreceive config show\n  autoreceive config show --default > \
            autoreceive.toml   # every key with its explanation"
    )]
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// Print the defaults with the explanation of every key.
        #[arg(long)]
        default: bool,
    },
    /// Check whether the service can start with this configuration.
    #[command(after_help = "Example:\n  autoreceive config check --config /etc/autoreceive.toml")]
    Check {
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// The configuration file.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The configuration file. The default is autoreceive.toml in the current directory, if it
    /// exists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(command: ConfigCommand) -> Result<(), CliError> {
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
    /// Loads the configuration, and prints its warnings.
    pub fn load(self) -> anyhow::Result<Config> {
        let config = Config::load(&Sources::of_process(self.config, Vec::new()))?;
        for warning in &config.warnings {
            eprintln!("warning: {warning}");
        }
        Ok(config)
    }
}

fn origin(config: &Config) -> String {
    if config.sources.is_empty() {
        "the defaults".to_owned()
    } else {
        format!("the defaults, overridden by {}", config.sources.join(", "))
    }
}
