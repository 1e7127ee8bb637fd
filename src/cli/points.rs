//! `autoreceive points …`

use clap::{Args, Subcommand};

use super::config::ConfigFile;
use super::{CliError, output};
use crate::action::database::{Difference, ReconcileReport};
use crate::app;

/// Commands for points.
#[derive(Debug, Subcommand)]
pub enum PointsCommand {
    /// Check that events, ledger and balances agree; the exit code is 3 if they do not.
    #[command(
        after_help = "Examples:\n  autoreceive points reconcile --action shop_db\n  autoreceive \
            points reconcile --action shop_db --json | jq .differences"
    )]
    Reconcile(ReconcileArgs),
}

/// Arguments of `points reconcile`.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// The database action that keeps them.
    #[arg(long, value_name = "NAME")]
    action: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

pub async fn run(command: PointsCommand) -> Result<(), CliError> {
    let PointsCommand::Reconcile(args) = command;
    let report = app::reconcile(&args.file.load()?, &args.action).await?;
    if args.json {
        output::print(&serde_json::to_string_pretty(&report).map_err(anyhow::Error::from)?);
    } else {
        show(&report);
    }
    match report.differences.len() {
        0 => Ok(()),
        1 => Err(CliError::Rejected("the points do not agree: 1 difference".to_owned())),
        n => Err(CliError::Rejected(format!("the points do not agree: {n} differences"))),
    }
}

fn show(report: &ReconcileReport) {
    output::pairs(&[
        ("events", report.events.to_string()),
        ("ledger", format!("{} entries, sum {}", report.entries, report.ledger)),
        ("balances", format!("{} buyers, sum {}", report.buyers, report.balances)),
    ]);
    if report.earlier > 0 {
        let earlier = report.earlier;
        output::print(&format!(
            "{earlier} received orders are older than the points, and have no credit; add them \
             with `autoreceive actions backfill`"
        ));
    }
    if !report.differences.is_empty() {
        output::print("");
        output::table(
            &["PROBLEM", "WITH", "EXPECTED", "FOUND"],
            report.differences.iter().map(row).collect(),
        );
    }
}

fn row(difference: &Difference) -> Vec<String> {
    let Difference { problem, subject, expected, found } = difference.clone();
    vec![problem, subject, expected, found]
}
