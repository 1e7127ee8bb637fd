//! `autoreceive clock …`

use clap::{Args, Subcommand};

use super::client::ClientArgs;
use super::{Failure, output, zone};
use crate::wire::time::AdvanceFields;

/// What can be done to the time of a service that was started with --test-clock.
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Put it forward: deadlines that are passed by then are met at once; a reminder whose order is
    /// received by the same step is not sent, so advance to it first. There is no way back.
    #[command(
        after_help = "Examples:\n  autoreceive clock advance 25h\n  autoreceive clock advance 0s  \
                # only show it"
    )]
    Advance(AdvanceArgs),
}

#[derive(Debug, Args)]
pub struct AdvanceArgs {
    /// By how much, for example 25h or 7d; ten years in all.
    by: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(ClockCommand::Advance(args): ClockCommand) -> Result<(), Failure> {
    let clock =
        args.client.post(&["v1", "test", "clock"], &AdvanceFields { advance: args.by }).await?;
    if !args.client.json {
        let ahead = zone::length(clock["ahead"].as_str().unwrap_or_default());
        output::print(&format!(
            "it is {}, {ahead} ahead",
            zone::local(&clock["now"], &args.client.zone())
        ));
    }
    Ok(())
}
