//! The command line. `serve`, `adopt`, `listen`, `config`, `secret` and `token` work on this
//! machine; the others talk HTTP to a running service.
//!
//! | module | does |
//! |---|---|
//! | [`serve`], [`config`], [`token`] | run the service, check its configuration, create tokens |
//! | `adopt` | takes over the orders that a shop keeps in Redis keys |
//! | `points` | checks the points of a database action |
//! | [`order`], [`list`], [`import`], [`stats`] | commands and queries of a running service |
//! | `listen` | a webhook endpoint for development |
//! | [`actions`] | actions: list, enable, backfill, move, drop |
//! | [`dead_letters`] | dead letters: list, show, replay, discard |
//! | [`clock`] | advances the clock of a test service |
//! | [`client`] | the connection to the service, and its errors |
//! | [`error`] | errors and exit codes |
//! | `bench` | measurements |
//! | [`output`], [`zone`] | tables, and times in a time zone |

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "webhook")]
use crate::action::webhook::SigningSecret;

mod actions;
#[cfg(feature = "intake")]
mod adopt;
#[cfg(feature = "bench")]
mod bench;
mod client;
mod clock;
mod config;
mod dead_letters;
mod error;
mod import;
mod list;
#[cfg(feature = "webhook")]
mod listen;
mod order;
mod output;
#[cfg(feature = "database")]
mod points;
mod serve;
mod stats;
mod token;
mod zone;

use actions::ActionsCommand;
#[cfg(feature = "intake")]
use adopt::AdoptArgs;
#[cfg(feature = "bench")]
use bench::BenchArgs;
use clock::ClockCommand;
use config::ConfigCommand;
use dead_letters::DeadLettersCommand;
use error::CliError;
use import::ImportArgs;
#[cfg(feature = "webhook")]
use listen::ListenArgs;
use order::OrderCommand;
#[cfg(feature = "database")]
use points::PointsCommand;
use serve::ServeArgs;
use stats::StatsArgs;
use token::TokenCommand;

const EXAMPLES: &str = "\
Examples:
  autoreceive serve --demo                            # sample orders, windows of a few seconds
  autoreceive order place A-1 --buyer-id u-7 --amount 59000 --currency KRW
  autoreceive order pay A-1
  autoreceive order list

Exit codes:
  0  done
  1  an error
  2  wrong usage
  3  rejected: the order does not exist or does not permit the command, a value is invalid,
     or the points do not agree
  4  the service is not available; repeating the command is always safe";

/// Closes e-commerce orders on time: when the buyer of a paid order was silent for the agreed time,
/// the order becomes RECEIVED, and the shop is told.
#[derive(Debug, Parser)]
#[command(name = "autoreceive", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: the timer, the actions and the API.
    Serve(ServeArgs),
    /// Place, pay, ship, …, show or list orders.
    #[command(subcommand)]
    Order(OrderCommand),
    /// Send many commands from a file, one JSON object per line.
    Import(ImportArgs),
    #[cfg(feature = "intake")]
    /// Take over the orders that a shop keeps in Redis keys.
    Adopt(AdoptArgs),
    /// Show statistics: waiting, overdue and held orders, pending events, dead letters.
    Stats(StatsArgs),
    #[cfg(feature = "webhook")]
    /// Receive, verify and print webhooks: an endpoint for development.
    Listen(ListenArgs),
    /// Advance the clock of a test service.
    #[command(subcommand)]
    Clock(ClockCommand),
    /// List, enable or backfill actions; move or drop the entries of a removed action.
    #[command(subcommand)]
    Actions(ActionsCommand),
    /// List, show, replay or discard events that failed for good.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Show or check the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    #[cfg(feature = "database")]
    /// Check the points that a database action keeps.
    #[command(subcommand)]
    Points(PointsCommand),
    #[cfg(feature = "webhook")]
    /// Create signing secrets for webhooks.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Create tokens for the API.
    #[command(subcommand)]
    Token(TokenCommand),
    #[cfg(feature = "bench")]
    /// Measure this machine: throughput, lag, memory.
    Bench(BenchArgs),
}

#[cfg(feature = "webhook")]
/// `autoreceive secret …`
#[derive(Debug, Subcommand)]
enum SecretCommand {
    /// Print a new random signing secret.
    #[command(after_help = "Example:\n  export SHOP_WEBHOOK_SECRET=$(autoreceive secret new)")]
    New,
}

/// Runs a command and returns its exit code.
pub async fn run(cli: Cli) -> ExitCode {
    match dispatch(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.code())
        }
    }
}

async fn dispatch(command: Command) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Order(command) => order::run(command).await,
        Command::Import(args) => import::run(args).await,
        #[cfg(feature = "intake")]
        Command::Adopt(args) => adopt::run(args).await,
        Command::Stats(args) => stats::run(args).await,
        #[cfg(feature = "webhook")]
        Command::Listen(args) => listen::run(args).await,
        Command::Clock(command) => clock::run(command).await,
        Command::Actions(command) => actions::run(command).await,
        Command::DeadLetters(command) => dead_letters::run(command).await,
        Command::Config(command) => config::run(command),
        #[cfg(feature = "bench")]
        Command::Bench(args) => bench::run(args).await,
        #[cfg(feature = "database")]
        Command::Points(command) => points::run(command).await,
        #[cfg(feature = "webhook")]
        Command::Secret(SecretCommand::New) => {
            output::print(&SigningSecret::fresh());
            Ok(())
        }
        Command::Token(command) => token::run(command),
    }
}
