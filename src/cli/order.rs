//! `autoreceive order …`

use autoreceive_domain::command::Verb;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::ClientArgs;
use super::list::{self, OrderListArgs};
use super::{CliError, output, zone};
use crate::wire::command::{
    AtFields, CancelFields, ExtendFields, HoldFields, NewOrder, PlaceFields, ReceiveFields,
    RefundFields, ReleaseFields, ShipFields,
};

/// The ten commands to orders, which are safe to repeat, and two queries.
#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Place a new order.
    #[command(
        after_help = "Examples:\n  autoreceive order place A-1 --buyer-id u-7 --amount 59000 \
            --currency KRW\n  autoreceive order place A-2 --buyer-id u-7 --policy gold --paid-at \
            2026-11-23T10:00:00+09:00"
    )]
    Place(PlaceArgs),
    /// Report the payment.
    #[command(after_help = "Example:\n  autoreceive order pay A-1")]
    Pay(AtArgs),
    /// Report the shipment.
    #[command(
        after_help = "Example:\n  autoreceive order ship A-1 --carrier CJ --tracking 6123-4567"
    )]
    Ship(ShipArgs),
    /// Report the delivery.
    #[command(
        after_help = "Example:\n  autoreceive order deliver A-1 --at 2026-11-23T14:30:00+09:00"
    )]
    Deliver(AtArgs),
    /// Confirm the receipt at once.
    #[command(after_help = "Example:\n  autoreceive order receive A-1 --by buyer")]
    Receive(ReceiveArgs),
    /// Give the buyer more time.
    #[command(
        after_help = "Example:\n  autoreceive order extend A-1 --number 2      # the second \
            extension"
    )]
    Extend(ExtendArgs),
    /// Stop the clock, for example for a dispute.
    #[command(
        after_help = "Example:\n  autoreceive order hold A-1 --id dispute-9 --reason \"arrived \
            broken\""
    )]
    Hold(HoldArgs),
    /// Release a hold.
    #[command(after_help = "Example:\n  autoreceive order release A-1 --id dispute-9")]
    Release(ReleaseArgs),
    /// Cancel before the shipment.
    #[command(after_help = "Example:\n  autoreceive order cancel A-1 --reason \"out of stock\"")]
    Cancel(CancelArgs),
    /// Report that the money was paid back.
    #[command(after_help = "Example:\n  autoreceive order refund A-1 --reason \"returned\"")]
    Refund(RefundArgs),
    /// Show one order: its times, clock, holds and terms.
    #[command(
        after_help = "Examples:\n  autoreceive order show A-1\n  autoreceive order show A-1 \
            --json | jq .clock"
    )]
    Show(OrderArgs),
    /// List upcoming, overdue or held orders.
    List(OrderListArgs),
}

/// The order, and the arguments of the client.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// The shop's order id.
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct PlaceArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// The shop's id of the buyer.
    #[arg(long)]
    buyer_id: String,
    /// The order's policy. The default is the policy named default.
    #[arg(long)]
    policy: Option<String>,
    /// The price in minor units of the currency: 59000 KRW is ₩59,000, 1999 EUR is €19.99.
    #[arg(long, value_parser = minor_units)]
    amount: Option<u64>,
    /// The currency, three capital letters.
    #[arg(long)]
    currency: Option<String>,
    /// Any JSON up to 4,096 bytes; every event contains it.
    #[arg(long, value_name = "JSON", value_parser = raw_json)]
    data: Option<Box<RawValue>>,
    /// A time of silence for this order, in place of the policy's; for example 48h.
    #[arg(long, value_name = "LENGTH")]
    receive_after: Option<String>,
    /// When it was placed (RFC 3339). The default is now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// When it was paid (RFC 3339), if it is already paid.
    #[arg(long, value_name = "TIME")]
    paid_at: Option<String>,
    /// When it was shipped (RFC 3339), if it is already shipped; needs --paid-at.
    #[arg(long, value_name = "TIME")]
    shipped_at: Option<String>,
    /// When it was delivered (RFC 3339), if it is already delivered; needs --paid-at.
    #[arg(long, value_name = "TIME")]
    delivered_at: Option<String>,
}

#[derive(Debug, Args)]
pub struct AtArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// When it happened (RFC 3339). The default is now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

#[derive(Debug, Args)]
pub struct ShipArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// The carrier.
    #[arg(long)]
    carrier: Option<String>,
    /// The tracking number.
    #[arg(long)]
    tracking: Option<String>,
    /// When it was shipped (RFC 3339). The default is now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

#[derive(Debug, Args)]
pub struct ReceiveArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Who confirms the receipt.
    #[arg(long, value_enum, default_value_t = By::Operator)]
    by: By,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Buyer,
    Operator,
}

#[derive(Debug, Args)]
pub struct ExtendArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Number of the extension: 1 is the first. Repeating a number changes nothing; the next number
    /// extends the order once more.
    #[arg(long, default_value_t = 1)]
    number: u32,
}

#[derive(Debug, Args)]
pub struct HoldArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Name of the hold. The default is the reason.
    #[arg(id = "hold_id", long = "id", value_name = "HOLD")]
    hold: Option<String>,
}

#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Name of the hold.
    #[arg(id = "hold_id", long = "id", value_name = "HOLD")]
    hold: String,
}

#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Why.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
pub struct RefundArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
}

pub async fn run(command: OrderCommand) -> Result<(), CliError> {
    match command {
        OrderCommand::Place(args) => place(args).await,
        OrderCommand::Pay(args) => submit(args.order, Verb::Pay, &AtFields { at: args.at }).await,
        OrderCommand::Ship(ShipArgs { order, carrier, tracking, at }) => {
            submit(order, Verb::Ship, &ShipFields { at, carrier, tracking }).await
        }
        OrderCommand::Deliver(args) => {
            submit(args.order, Verb::Deliver, &AtFields { at: args.at }).await
        }
        OrderCommand::Receive(args) => {
            let by = if matches!(args.by, By::Buyer) { "buyer" } else { "operator" };
            submit(args.order, Verb::Receive, &ReceiveFields { by: Some(by.to_owned()) }).await
        }
        OrderCommand::Extend(args) => extend(args).await,
        OrderCommand::Hold(args) => {
            submit(args.order, Verb::Hold, &HoldFields { reason: args.reason, id: args.hold }).await
        }
        OrderCommand::Release(args) => {
            submit(args.order, Verb::Release, &ReleaseFields { id: args.hold }).await
        }
        OrderCommand::Cancel(args) => {
            submit(args.order, Verb::Cancel, &CancelFields { reason: args.reason }).await
        }
        OrderCommand::Refund(args) => {
            submit(args.order, Verb::Refund, &RefundFields { reason: args.reason }).await
        }
        OrderCommand::Show(args) => {
            show(&args.client, &args.client.get(&["v1", "orders", &args.id], &[]).await?)
        }
        OrderCommand::List(args) => list::run(args).await,
    }
}

async fn place(args: PlaceArgs) -> Result<(), CliError> {
    let PlaceArgs {
        order,
        buyer_id,
        policy,
        amount,
        currency,
        data,
        receive_after,
        at,
        paid_at,
        shipped_at,
        delivered_at,
    } = args;
    let amount = amount.map(Into::into);
    let fields = PlaceFields {
        buyer_id,
        policy,
        amount,
        currency,
        data,
        receive_after,
        at,
        paid_at,
        shipped_at,
        delivered_at,
    };
    let answer =
        order.client.post(&["v1", "orders"], &NewOrder { order_id: order.id, fields }).await?;
    show(&order.client, &answer)
}

async fn submit(
    order: OrderArgs,
    verb: Verb,
    fields: &(impl Serialize + Sync),
) -> Result<(), CliError> {
    let answer = order.client.post(&["v1", "orders", &order.id, verb.as_str()], fields).await?;
    show(&order.client, &answer)
}

/// Extends, and says if nothing changed: without --number, a second extension is a repeat of the
/// first.
async fn extend(ExtendArgs { order, number }: ExtendArgs) -> Result<(), CliError> {
    let client = &order.client;
    let asked = client.client_for(&[&order.id])?.order(&order.id).await;
    let before = asked.map_err(|error| client.failure(error))?;
    let after = client
        .post(
            &["v1", "orders", &order.id, Verb::Extend.as_str()],
            &ExtendFields { number: Some(number.into()) },
        )
        .await?;
    show(client, &after)?;
    if after["version"] == before.version {
        let next = after["extensions"].as_u64().unwrap_or(0) + 1;
        eprintln!("unchanged: extension {number} was made before; the next one is --number {next}");
    }
    Ok(())
}

fn minor_units(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(
        |_| "expected a whole number of minor units: 59000 KRW is ₩59,000, 1999 EUR is €19.99",
    )
}

fn raw_json(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))
}

fn show(client: &ClientArgs, order: &Value) -> Result<(), CliError> {
    if !client.json {
        output::pairs(&lines(order, client));
    }
    Ok(())
}

const TIMES: [(&str, &str); 9] = [
    ("placed", "placed_at"),
    ("paid", "paid_at"),
    ("shipped", "shipped_at"),
    ("delivered", "delivered_at"),
    ("received", "received_at"),
    ("completed", "completed_at"),
    ("cancelled", "cancelled_at"),
    ("refunded", "refunded_at"),
    ("late payment", "late_payment_at"),
];
const TEXTS: [(&str, &str); 5] = [
    ("buyer", "buyer_id"),
    ("policy", "policy_revision"),
    ("carrier", "carrier"),
    ("tracking", "tracking"),
    ("reason", "reason"),
];

fn lines(order: &Value, client: &ClientArgs) -> Vec<(&'static str, String)> {
    let zone = client.zone();
    let mut lines = vec![
        ("order", text(&order["order_id"])),
        ("status", format!("{} (version {})", text(&order["status"]), order["version"])),
    ];
    for (name, key) in TEXTS {
        if order[key].is_string() {
            lines.push((name, text(&order[key])));
        }
    }
    if order["amount"].is_number() {
        let amount = format!(
            "{} {} (minor units)",
            order["amount"],
            order["currency"].as_str().unwrap_or("")
        );
        lines.push(("amount", amount.replace("  ", " ")));
    }
    if let Some(own) = order["receive_after"].as_str() {
        lines.push(("silence", format!("{own} (its own receive_after, in place of the policy's)")));
    }
    for (name, key) in TIMES {
        if order[key].is_string() {
            lines.push((name, zone::local(&order[key], &zone)));
        }
    }
    lines.extend(clock(&order["clock"], &zone));
    for hold in order["holds"].as_array().into_iter().flatten() {
        lines.push(("hold", hold_line(hold, &zone)));
    }
    if !order["data"].is_null() {
        lines.push(("data", order["data"].to_string()));
    }
    for (name, value) in order["terms"].as_object().into_iter().flatten() {
        lines.push(("terms", format!("{name} = {value}")));
    }
    lines
}

fn hold_line(hold: &Value, zone: &jiff::tz::TimeZone) -> String {
    let until = if hold["released_at"].is_string() {
        format!(" to {}", zone::local(&hold["released_at"], zone))
    } else {
        String::new()
    };
    let since = zone::local(&hold["since"], zone);
    format!("{} since {since}{until}: {}", text(&hold["id"]), text(&hold["reason"]))
}

fn clock(clock: &Value, zone: &jiff::tz::TimeZone) -> Vec<(&'static str, String)> {
    let Some(kind) = clock["kind"].as_str() else { return Vec::new() };
    if clock["state"] == "paused" {
        return vec![(
            "clock",
            format!("{kind}: paused with {} left", zone::length(&text(&clock["remaining"]))),
        )];
    }
    let mut lines =
        vec![("clock", format!("{kind}: due {}", zone::local(&clock["deadline"], zone)))];
    if clock["next_reminder_at"].is_string() {
        lines.push(("reminder", zone::local(&clock["next_reminder_at"], zone)));
    }
    lines
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("–").to_owned()
}
