//! `autoreceive order …`

use autoreceive_domain::command::Verb;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::ClientArgs;
use super::list::{self, ListArgs};
use super::{Failure, output, zone};
use crate::wire::command::{
    AtFields, CancelFields, ExtendFields, HoldFields, NewOrder, PlaceFields, ReceiveFields,
    RefundFields, ReleaseFields, ShipFields,
};

/// What can be asked of orders: the ten commands, and two questions. Every command is safe to
/// repeat.
#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// A new order.
    #[command(
        after_help = "Examples:\n  autoreceive order place A-1 --buyer-id u-7 --amount 59000 --currency KRW\n  \
        autoreceive order place A-2 --buyer-id u-7 --policy gold --paid-at \
        2026-11-23T10:00:00+09:00"
    )]
    Place(PlaceArgs),
    /// The payment was confirmed.
    #[command(after_help = "Example:\n  autoreceive order pay A-1")]
    Pay(AtArgs),
    /// The parcel was handed over.
    #[command(
        after_help = "Example:\n  autoreceive order ship A-1 --carrier CJ --tracking 6123-4567"
    )]
    Ship(ShipArgs),
    /// The parcel arrived.
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
    /// Stop the clock, for a dispute for example.
    #[command(
        after_help = "Example:\n  autoreceive order hold A-1 --id dispute-9 --reason \"arrived \
            broken\""
    )]
    Hold(HoldArgs),
    /// Take a hold off.
    #[command(after_help = "Example:\n  autoreceive order release A-1 --id dispute-9")]
    Release(ReleaseArgs),
    /// Cancel before the shipment.
    #[command(after_help = "Example:\n  autoreceive order cancel A-1 --reason \"out of stock\"")]
    Cancel(CancelArgs),
    /// The money was paid back.
    #[command(after_help = "Example:\n  autoreceive order refund A-1 --reason \"returned\"")]
    Refund(RefundArgs),
    /// One order: its times, clock, holds and terms.
    #[command(
        after_help = "Examples:\n  autoreceive order show A-1\n  autoreceive order show A-1 \
            --json | jq .clock"
    )]
    Show(ShowArgs),
    /// Orders by what comes up next, what is overdue, what is held.
    List(ListArgs),
}

/// Which order, and where to ask.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The shop's id of the order.
    id: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct PlaceArgs {
    #[command(flatten)]
    order: ShowArgs,
    /// Who bought: the shop's own id of the buyer.
    #[arg(long)]
    buyer_id: String,
    /// The policy whose terms hold for the order; the one called default without it.
    #[arg(long)]
    policy: Option<String>,
    /// What it costs, in minor units of the currency: 59000 KRW is ₩59,000, 1999 EUR is €19.99.
    #[arg(long, value_parser = minor_units)]
    amount: Option<u64>,
    /// The currency, three capital letters.
    #[arg(long)]
    currency: Option<String>,
    /// Any JSON up to 4,096 bytes; it comes back in every event.
    #[arg(long, value_name = "JSON", value_parser = raw_json)]
    data: Option<Box<RawValue>>,
    /// A time of silence of its own, for example 48h.
    #[arg(long, value_name = "LENGTH")]
    receive_after: Option<String>,
    /// When it was placed (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// When it was paid (RFC 3339), where it already is.
    #[arg(long, value_name = "TIME")]
    paid_at: Option<String>,
    /// When it was shipped (RFC 3339), where it is already on its way; with --paid-at.
    #[arg(long, value_name = "TIME")]
    shipped_at: Option<String>,
    /// When it was delivered (RFC 3339), where it already is; with --paid-at.
    #[arg(long, value_name = "TIME")]
    delivered_at: Option<String>,
}

#[derive(Debug, Args)]
pub struct AtArgs {
    #[command(flatten)]
    order: ShowArgs,
    /// When it happened (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

#[derive(Debug, Args)]
pub struct ShipArgs {
    #[command(flatten)]
    order: ShowArgs,
    /// Who carries it.
    #[arg(long)]
    carrier: Option<String>,
    /// Under which number.
    #[arg(long)]
    tracking: Option<String>,
    /// When it was shipped (RFC 3339); now without it.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

#[derive(Debug, Args)]
pub struct ReceiveArgs {
    #[command(flatten)]
    order: ShowArgs,
    /// Who says so.
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
    order: ShowArgs,
    /// Which extension it is: 1 is the first. The same number again changes nothing; the next
    /// number extends once more.
    #[arg(long, default_value_t = 1)]
    number: u32,
}

#[derive(Debug, Args)]
pub struct HoldArgs {
    #[command(flatten)]
    order: ShowArgs,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Names the hold; without it, the reason does.
    #[arg(id = "hold_id", long = "id", value_name = "HOLD")]
    hold: Option<String>,
}

#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    order: ShowArgs,
    /// The hold's name.
    #[arg(id = "hold_id", long = "id", value_name = "HOLD")]
    hold: String,
}

#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    order: ShowArgs,
    /// Why.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
pub struct RefundArgs {
    #[command(flatten)]
    order: ShowArgs,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
}

pub async fn run(command: OrderCommand) -> Result<(), Failure> {
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

async fn place(args: PlaceArgs) -> Result<(), Failure> {
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
    order: ShowArgs,
    verb: Verb,
    fields: &(impl Serialize + Sync),
) -> Result<(), Failure> {
    let answer = order.client.post(&["v1", "orders", &order.id, verb.as_str()], fields).await?;
    show(&order.client, &answer)
}

/// Extends, and says so where nothing changed: without a number the second time is a repeat of the
/// first.
async fn extend(ExtendArgs { order, number }: ExtendArgs) -> Result<(), Failure> {
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
        |_| "a whole number of minor units is expected: 59000 KRW is ₩59,000, 1999 EUR is €19.99",
    )
}

fn raw_json(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))
}

fn show(client: &ClientArgs, order: &Value) -> Result<(), Failure> {
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
    lines.extend(
        TEXTS
            .iter()
            .filter(|(_, key)| order[*key].is_string())
            .map(|(name, key)| (*name, text(&order[*key]))),
    );
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
    lines.extend(
        TIMES
            .iter()
            .filter(|(_, key)| order[*key].is_string())
            .map(|(name, key)| (*name, zone::local(&order[*key], &zone))),
    );
    lines.extend(clock(&order["clock"], &zone));
    for hold in order["holds"].as_array().into_iter().flatten() {
        let until = if hold["released_at"].is_string() {
            format!(" to {}", zone::local(&hold["released_at"], &zone))
        } else {
            String::new()
        };
        lines.push((
            "hold",
            format!(
                "{} since {}{until}: {}",
                text(&hold["id"]),
                zone::local(&hold["since"], &zone),
                text(&hold["reason"])
            ),
        ));
    }
    if !order["data"].is_null() {
        lines.push(("data", order["data"].to_string()));
    }
    lines.extend(
        order["terms"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| ("terms", format!("{name} = {value}"))),
    );
    lines
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
