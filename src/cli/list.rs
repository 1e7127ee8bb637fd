//! `autoreceive order list`

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::client::ClientArgs;
use super::{Failure, output, zone};

/// Which page of which list.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  autoreceive order list\n  autoreceive order list overdue --limit \
        20\n  autoreceive order list held --tz Asia/Seoul"
)]
pub struct ListArgs {
    /// Which orders.
    #[arg(value_enum, default_value_t = View::Upcoming)]
    view: View,
    /// The most orders on a page.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Where to go on, as the last page said.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum View {
    /// What comes up next.
    Upcoming,
    /// What should have happened already.
    Overdue,
    /// What a hold has stopped.
    Held,
}

impl View {
    fn as_str(self) -> &'static str {
        match self {
            View::Upcoming => "upcoming",
            View::Overdue => "overdue",
            View::Held => "held",
        }
    }

    fn time_header(self) -> &'static str {
        match self {
            View::Upcoming => "NEXT",
            View::Overdue => "DUE",
            View::Held => "HELD SINCE",
        }
    }
}

pub async fn run(args: ListArgs) -> Result<(), Failure> {
    let mut query =
        vec![("view", args.view.as_str().to_owned()), ("limit", args.limit.to_string())];
    query.extend(args.cursor.clone().map(|cursor| ("cursor", cursor)));
    let page = args.client.get(&["v1", "orders"], &query).await?;
    if !args.client.json {
        show(&page, &args);
    }
    Ok(())
}

fn show(page: &Value, args: &ListArgs) {
    let zone = args.client.zone();
    let row = |item: &Value| {
        let order = &item["order"];
        let status = order["status"].as_str().unwrap_or("unreadable");
        let waits_for = order["clock"]["kind"].as_str().unwrap_or("");
        vec![
            text(&item["order_id"]),
            status.to_owned(),
            waits_for.to_owned(),
            zone::local(&item["at"], &zone),
            zone::distance(&item["at"], &page["now"]),
        ]
    };
    let rows: Vec<_> = page["items"].as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return output::print(&format!(
            "no orders are {}; one that is finished is looked up by its id: autoreceive order \
                show ID",
            args.view.as_str()
        ));
    }
    output::table(&["ORDER", "STATUS", "CLOCK", args.view.time_header(), ""], rows);
    if let Some(cursor) = page["cursor"].as_str() {
        eprintln!("there are more: --cursor {cursor}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("–").to_owned()
}
