//! `autoreceive order list`

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::client::ClientArgs;
use super::{CliError, output, zone};

/// Arguments of `order list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  autoreceive order list\n  autoreceive order list overdue --limit \
        20\n  autoreceive order list held --tz Asia/Seoul"
)]
pub struct OrderListArgs {
    /// The list.
    #[arg(value_enum, default_value_t = ListView::Upcoming)]
    view: ListView,
    /// Maximum number of orders, from 1 to 200.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Continue at this cursor, which the last page printed.
    #[arg(long)]
    cursor: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ListView {
    /// Orders with a running clock, the next deadline first.
    Upcoming,
    /// Orders whose deadline has passed but was not handled yet.
    Overdue,
    /// Orders stopped by a hold.
    Held,
}

impl ListView {
    fn as_str(self) -> &'static str {
        match self {
            ListView::Upcoming => "upcoming",
            ListView::Overdue => "overdue",
            ListView::Held => "held",
        }
    }

    fn time_header(self) -> &'static str {
        match self {
            ListView::Upcoming => "NEXT",
            ListView::Overdue => "DUE",
            ListView::Held => "HELD SINCE",
        }
    }
}

pub async fn run(args: OrderListArgs) -> Result<(), CliError> {
    let mut query =
        vec![("view", args.view.as_str().to_owned()), ("limit", args.limit.to_string())];
    query.extend(args.cursor.clone().map(|cursor| ("cursor", cursor)));
    let page = args.client.get(&["v1", "orders"], &query).await?;
    if !args.client.json {
        show(&page, &args);
    }
    Ok(())
}

fn show(page: &Value, args: &OrderListArgs) {
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
            "no orders are {}; to see a finished order, use `autoreceive order show ID`",
            args.view.as_str()
        ));
    }
    output::table(&["ORDER", "STATUS", "CLOCK", args.view.time_header(), ""], rows);
    if let Some(cursor) = page["cursor"].as_str() {
        eprintln!("more orders: --cursor {cursor}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("–").to_owned()
}
