//! `autoreceive token …`

use clap::{Args, Subcommand};

use super::{Failure, output};
use crate::access::{Role, TokenHash, fresh_token};
use crate::config::is_token_name;

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print a fresh random token and, apart from it, what to put into the service's configuration.
    #[command(after_help = EXAMPLES)]
    New(NewArgs),
}

const EXAMPLES: &str = "\
Examples:
  autoreceive token new --role write --name shop
  export AUTORECEIVE_TOKEN=$(autoreceive token new --role operate --name me 2>> autoreceive.toml)

The token goes to standard output, the configuration to standard error. The token is kept nowhere: it cannot be shown again.";

#[derive(Debug, Args)]
pub struct NewArgs {
    /// What it permits; each role permits what those before it do.
    #[arg(long, value_enum)]
    role: Role,
    /// What the configuration calls it.
    #[arg(long, default_value = "shop", value_parser = name)]
    name: String,
}

fn name(text: &str) -> Result<String, &'static str> {
    if is_token_name(text) {
        Ok(text.to_owned())
    } else {
        Err("1 to 32 of a-z, 0-9, _ and - are expected")
    }
}

pub fn run(command: TokenCommand) -> Result<(), Failure> {
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
