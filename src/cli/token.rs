//! `autoreceive token …`

use clap::{Args, Subcommand};

use super::{CliError, output};
use crate::access::{Role, TokenHash, fresh_token};
use crate::config::is_token_name;

/// Commands for tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print a new random token, and the section for the service's configuration.
    #[command(after_help = EXAMPLES)]
    New(NewArgs),
}

const EXAMPLES: &str = "\
Examples:
  autoreceive token new --role write --name shop
  export AUTORECEIVE_TOKEN=$(autoreceive token new --role operate --name me 2>> autoreceive.toml)

The token goes to standard output, the configuration to standard error. The token is stored nowhere,
so it cannot be shown again.";

#[derive(Debug, Args)]
pub struct NewArgs {
    /// The role of the token; each role includes the ones before it.
    #[arg(long, value_enum)]
    role: Role,
    /// Name of the token in the configuration.
    #[arg(long, default_value = "shop", value_parser = name)]
    name: String,
}

fn name(text: &str) -> Result<String, &'static str> {
    if is_token_name(text) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 32 characters of a-z, 0-9, _ and -")
    }
}

pub fn run(command: TokenCommand) -> Result<(), CliError> {
    let TokenCommand::New(NewArgs { role, name }) = command;
    let token = fresh_token();
    output::print(&token);
    eprintln!(
        "\n[tokens.{name}]\nrole = \"{}\"\nsha256 = \"{}\"",
        role.as_str(),
        TokenHash::of(&token)
    );
    Ok(())
}
