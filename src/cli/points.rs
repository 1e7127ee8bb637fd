//! `autoreceive points …`

use clap::{Args, Subcommand};

use super::config::ConfigFile;
use super::{Failure, output};
use crate::action::database::{Difference, ReconcileReport};
use crate::app;

/// What can be asked about points.
#[derive(Debug, Subcommand)]
pub enum PointsCommand {
    /// Prove that events, ledger and balances agree; exit code 3 if they do not.
    #[command(
        after_help = "Examples:\n  autoreceive points reconcile --action shop_db\n  autoreceive \
            points reconcile --action shop_db --json | jq .differences"
    )]
    Reconcile(ReconcileArgs),
}

/// Which points.
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

pub async fn run(command: PointsCommand) -> Result<(), Failure> {
    let PointsCommand::Reconcile(args) = command;
    let report = app::reconcile(&args.file.load()?, &args.action).await?;
    if args.json {
        output::print(&serde_json::to_string_pretty(&report).map_err(anyhow::Error::from)?);
    } else {
        show(&report);
    }
    match report.differences.len() {
        0 => Ok(()),
        1 => Err(Failure::Rejected("the points are not right: 1 difference".to_owned())),
        n => Err(Failure::Rejected(format!("the points are not right: {n} differences"))),
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
            "{earlier} receipts are from before points were kept, and have no credit; \
                `autoreceive actions backfill` feeds them again"
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
