//! The command line. `serve`, `adopt`, `listen`, `config`, `secret` and `token` work on this
//! machine; the others talk HTTP to a running service.
//!
//! | module | does |
//! |---|---|
//! | [`serve`], [`config`], [`token`] | run the service, look at its configuration, make tokens for it |
//! | `adopt` | takes over the orders that a shop keeps in Redis keys |
//! | `points` | check what a database action keeps |
//! | [`order`], [`list`], [`import`], [`stats`] | what a client can ask |
//! | `listen` | a receiver of webhooks for development |
//! | [`actions`] | actions over time: listed, enabled, backfilled, moved, dropped |
//! | [`dead_letters`] | what failed for good: shown, replayed, discarded |
//! | [`clock`] | puts the time of a service for tests forward |
//! | [`client`] | how it is asked |
//! | `bench` | measures |
//! | [`output`], [`zone`] | tables, and times as people read them |

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
mod failure;
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
use failure::Failure;
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
  3  rejected: the order does not exist, does not permit it, or a value is wrong; or the points are not right
  4  the service is not available; repeating is always safe";

/// Closes e-commerce orders on time: paid, silent for the agreed time, RECEIVED once, and the shop
/// told.
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
    /// Place, pay, ship, … show or list orders.
    #[command(subcommand)]
    Order(OrderCommand),
    /// Send many commands, one JSON object a line.
    Import(ImportArgs),
    #[cfg(feature = "intake")]
    /// Take over the orders that a shop keeps in Redis keys.
    Adopt(AdoptArgs),
    /// What is waiting, overdue, held and pending.
    Stats(StatsArgs),
    #[cfg(feature = "webhook")]
    /// Receive, verify and print webhooks: a shop to develop against.
    Listen(ListenArgs),
    /// Put the time of a service for tests forward.
    #[command(subcommand)]
    Clock(ClockCommand),
    /// List actions, enable a receiver, feed an action that was added later, clear out one that is
    /// gone.
    #[command(subcommand)]
    Actions(ActionsCommand),
    /// What an action failed at for good: list, show, replay or discard it.
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
    /// Make secrets for webhooks.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Make tokens for the API.
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
    /// Print a fresh random secret that messages can be signed with.
    #[command(after_help = "Example:\n  export SHOP_WEBHOOK_SECRET=$(autoreceive secret new)")]
    New,
}

/// Does what was asked for, and says how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    match dispatch(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

async fn dispatch(command: Command) -> Result<(), Failure> {
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
