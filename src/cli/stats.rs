//! `autoreceive stats`

use clap::Args;
use serde_json::Value;

use super::client::ClientArgs;
use super::{CliError, output, zone};

/// Arguments of `stats`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  autoreceive stats\n  autoreceive stats --json | jq .overdue")]
pub struct StatsArgs {
    #[command(flatten)]
    client: ClientArgs,
}

pub async fn run(args: StatsArgs) -> Result<(), CliError> {
    let stats = args.client.get(&["v1", "stats"], &[]).await?;
    if !args.client.json {
        show(&stats, &args.client);
    }
    Ok(())
}

/// Statuses of finished orders. The store counts these only while they wait for something.
const FINISHED: [&str; 4] = ["RECEIVED", "COMPLETED", "CANCELLED", "REFUNDED"];

fn show(stats: &Value, client: &ClientArgs) {
    let oldest = &stats["oldest_overdue"];
    let since = if oldest.is_null() {
        String::new()
    } else {
        format!(", the oldest {}", zone::distance(oldest, &stats["now"]))
    };
    output::pairs(&[
        ("service time", zone::local(&stats["now"], &client.zone())),
        ("waiting", text(&stats["waiting"])),
        ("overdue", format!("{}{since}", text(&stats["overdue"]))),
        ("held", text(&stats["held"])),
    ]);
    show_intake(&stats["intake"]);
    let orders = stats["orders"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(status, n)| **n != 0 || !FINISHED.contains(&status.as_str()));
    let orders: Vec<_> = orders.map(|(status, n)| vec![status.clone(), text(n)]).collect();
    section(&["STATUS", "ORDERS"], orders);
    section(&["EVENT", "CAUSE", "EVER"], rows(&stats["events"], &["type", "cause", "count"]));
    let mut actions = rows(&stats["actions"], &["name", "pending", "dead"]);
    for (row, action) in actions.iter_mut().zip(stats["actions"].as_array().into_iter().flatten()) {
        row.push(zone::local(&action["next_at"], &client.zone()));
    }
    section(&["ACTION", "PENDING", "DEAD", "NEXT"], actions);
}

fn show_intake(intake: &Value) {
    if intake.is_null() {
        return;
    }
    let scan = &intake["last_scan"];
    let scanned = |key: &str| if scan.is_null() { "-".to_owned() } else { text(&scan[key]) };
    let trouble = text(&intake["trouble"]);
    output::print("");
    output::pairs(&[
        (
            "intake",
            if trouble.is_empty() { "ok".to_owned() } else { format!("problem: {trouble}") },
        ),
        ("notifications", text(&intake["notifications"])),
        ("scans here", text(&intake["scans_here"])),
        ("orders", scanned("orders")),
        ("history", scanned("history")),
        ("by command", scanned("placed_by_command")),
        ("bad keys", scanned("bad_keys")),
    ]);
}

fn section(header: &[&str], rows: Vec<Vec<String>>) {
    if !rows.is_empty() {
        output::print("");
        output::table(header, rows);
    }
}

fn rows(list: &Value, keys: &[&str]) -> Vec<Vec<String>> {
    list.as_array()
        .into_iter()
        .flatten()
        .map(|item| keys.iter().map(|key| text(&item[*key])).collect())
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
