//! `autoreceive clock …`

use clap::{Args, Subcommand};

use super::client::ClientArgs;
use super::{CliError, output, zone};
use crate::wire::time::AdvanceFields;

/// Commands for the clock of a service that was started with --test-clock.
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Advance the clock. Deadlines that pass are handled at once. A reminder is not sent if its
    /// order is received in the same step, so advance to the reminder first. The clock cannot go
    /// back.
    #[command(
        after_help = "Examples:\n  autoreceive clock advance 25h\n  autoreceive clock advance 0s  \
                # only show the time"
    )]
    Advance(AdvanceArgs),
}

#[derive(Debug, Args)]
pub struct AdvanceArgs {
    /// Length of time, for example 25h or 7d; at most ten years in all.
    by: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(ClockCommand::Advance(args): ClockCommand) -> Result<(), CliError> {
    let clock =
        args.client.post(&["v1", "test", "clock"], &AdvanceFields { advance: args.by }).await?;
    if !args.client.json {
        let ahead = zone::length(clock["ahead"].as_str().unwrap_or_default());
        output::print(&format!(
            "the time is now {}, {ahead} ahead",
            zone::local(&clock["now"], &args.client.zone())
        ));
    }
    Ok(())
}
