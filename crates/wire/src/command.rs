//! Commands as requests: one struct for the fields of each command. The order id and the command
//! name are not part of it. A path or a bulk line gives them.

use std::fmt;
use std::str::FromStr;

use autoreceive_domain::command::Verb;
use autoreceive_domain::order::Reason;
use autoreceive_domain::{Cause, Command, OrderId, Place, PolicyName, Time};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use serde_json::value::RawValue;
#[cfg(feature = "openapi")]
use utoipa::openapi::{Ref, RefOr, Schema};
#[cfg(feature = "openapi")]
use utoipa::{PartialSchema, ToSchema};

use crate::read::{InputError, read, read_beside, whole};
#[cfg(feature = "openapi")]
use crate::schema::{AnyData, ByWord, LengthText, OrderIdText, TimeText};
use crate::time::read_time;

mod data;

/// The largest amount. Clients that use doubles, for example JavaScript, lose digits beyond it.
pub const MAX_AMOUNT: u64 = 9_007_199_254_740_991;

/// The fields of `place`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlaceFields {
    /// The shop's id of the buyer, 1 to 128 bytes.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 128,
            pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]+$",
            example = "u-7"
        )
    )]
    pub buyer_id: String,
    /// The policy whose terms apply to the order. Default: `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z0-9_-]{1,32}$", example = "default"))]
    pub policy: Option<String>,
    /// The price, in minor units of the currency (59000 KRW = ₩59,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(
            value_type = Option<u64>,
            minimum = 0,
            maximum = 9007199254740991u64,
            example = 59000
        )
    )]
    pub amount: Option<Number>,
    /// The currency of the amount, three capital letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Z]{3}$", example = "KRW"))]
    pub currency: Option<String>,
    /// The shop's own data: any JSON up to 4,096 bytes. Every event contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = AnyData, required = false))]
    pub data: Option<Box<RawValue>>,
    /// The order's own `receive_after`, in place of the policy's, for example `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<LengthText>))]
    pub receive_after: Option<String>,
    /// When the order was placed. Default: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TimeText>))]
    pub at: Option<String>,
    /// When it was paid, if it is already paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TimeText>))]
    pub paid_at: Option<String>,
    /// When it was shipped, if it is already shipped. Requires `paid_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TimeText>))]
    pub shipped_at: Option<String>,
    /// When it was delivered, if it is already delivered. Requires `paid_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TimeText>))]
    pub delivered_at: Option<String>,
}

/// The body of `POST /v1/orders`.
#[derive(Debug, Clone, Serialize)]
pub struct NewOrder {
    /// The shop's id of the order.
    pub order_id: String,
    /// The fields of the order.
    #[serde(flatten)]
    pub fields: PlaceFields,
}

#[cfg(feature = "openapi")]
impl PartialSchema for NewOrder {
    /// One object with the fields of `place` and the id. With `allOf`, each part would refuse the
    /// fields of the other.
    fn schema() -> RefOr<Schema> {
        let mut schema = PlaceFields::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object
                .properties
                .insert("order_id".to_owned(), Ref::from_schema_name(OrderIdText::name()).into());
            object.required.push("order_id".to_owned());
            object.description = Some("A new order.".to_owned());
        }
        schema
    }
}

#[cfg(feature = "openapi")]
impl ToSchema for NewOrder {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((OrderIdText::name().into_owned(), OrderIdText::schema()));
        PlaceFields::schemas(schemas);
    }
}

impl<'de> Deserialize<'de> for NewOrder {
    /// Not with `flatten`, because that would rewrite `data`.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<NewOrder, D::Error> {
        let (order_id, fields) = read_beside(deserializer, "order_id")?;
        Ok(NewOrder { order_id, fields })
    }
}

/// The fields of `pay` and `deliver`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AtFields {
    /// When it happened. Default: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TimeText>))]
    pub at: Option<String>,
}

/// The fields of `ship`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ShipFields {
    /// When it was shipped. Default: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TimeText>))]
    pub at: Option<String>,
    /// The carrier's name, 1 to 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 128,
            pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]+$",
            example = "CJ"
        )
    )]
    pub carrier: Option<String>,
    /// The tracking number, 1 to 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 128,
            pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]+$",
            example = "6123-4567"
        )
    )]
    pub tracking: Option<String>,
}

/// The fields of `receive`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReceiveFields {
    /// Who confirms the receipt: `buyer` or `operator`. Default: `buyer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<ByWord>))]
    pub by: Option<String>,
}

/// The fields of `extend`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExtendFields {
    /// The number of this extension, counted from 1. Default: 1. A repeat with the same number
    /// changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<u32>, minimum = 1, maximum = 4294967295u32, example = 1)
    )]
    pub number: Option<Number>,
}

/// The fields of `hold`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HoldFields {
    /// Why the order is held, 1 to 200 bytes.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 200,
            pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]+$",
            example = "arrived broken"
        )
    )]
    pub reason: String,
    /// The hold's id, 1 to 64 bytes. Default: the reason, if that has at most 64 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 64,
            pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]+$",
            example = "dispute-9"
        )
    )]
    pub id: Option<String>,
}

/// The fields of `release`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseFields {
    /// The hold's id.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 64,
            pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]+$",
            example = "dispute-9"
        )
    )]
    pub id: String,
}

/// The fields of `cancel`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CancelFields {
    /// Why the order is cancelled, 1 to 200 bytes.
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 200,
            pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]+$",
            example = "arrived broken"
        )
    )]
    pub reason: String,
}

/// The fields of `refund`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RefundFields {
    /// Why the order is refunded, 1 to 200 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(
            min_length = 1,
            max_length = 200,
            pattern = "^[^\\x00-\\x1F\\x7F-\\x9F]+$",
            example = "returned"
        )
    )]
    pub reason: Option<String>,
}

/// Reads the command `verb` from the fields in `json`. Fields named in `hidden` are ignored.
///
/// # Errors
/// The fields are not those of the command, or a value is not valid.
pub fn read_command(verb: Verb, json: &[u8], hidden: &[&str]) -> Result<Command, InputError> {
    match verb {
        Verb::Place => read::<PlaceFields>(json, hidden)?.command(),
        Verb::Pay => Ok(Command::Pay { at: read::<AtFields>(json, hidden)?.time()? }),
        Verb::Ship => read::<ShipFields>(json, hidden)?.command(),
        Verb::Deliver => Ok(Command::Deliver { at: read::<AtFields>(json, hidden)?.time()? }),
        Verb::Receive => read::<ReceiveFields>(json, hidden)?.command(),
        Verb::Extend => read::<ExtendFields>(json, hidden)?.command(),
        Verb::Hold => read::<HoldFields>(json, hidden)?.command(),
        Verb::Release => {
            Ok(Command::Release { id: text("id", &read::<ReleaseFields>(json, hidden)?.id)? })
        }
        Verb::Cancel => Ok(Command::Cancel {
            reason: text("reason", &read::<CancelFields>(json, hidden)?.reason)?,
        }),
        Verb::Refund => Ok(Command::Refund {
            reason: optional("reason", read::<RefundFields>(json, hidden)?.reason.as_deref())?,
        }),
        Verb::Observe | Verb::Due => Err(unknown_command(verb.as_str())),
    }
}

/// Reads a new order: `order_id` and the fields of `place`.
///
/// # Errors
/// The fields are not these, or a value is not valid.
pub fn read_place(json: &[u8]) -> Result<(OrderId, Command), InputError> {
    #[derive(Deserialize)]
    struct OrderIdField {
        order_id: String,
    }
    let fields: OrderIdField = read(json, &[])?;
    let id = read_order_id(&fields.order_id)?;
    read_command(Verb::Place, json, &["order_id"]).map(|command| (id, command))
}

/// Reads the name of a command.
///
/// # Errors
/// It is not one of the ten commands.
pub fn read_verb(word: &str) -> Result<Verb, InputError> {
    Verb::parse(word).ok_or_else(|| unknown_command(word))
}

fn unknown_command(word: &str) -> InputError {
    let words = Verb::PUBLIC.map(Verb::as_str).join(", ");
    let shown: String = word.chars().take(40).collect();
    InputError::value(
        "command",
        format_args!("{shown:?} is not a command; expected one of {words}"),
    )
}

/// Reads an order id.
///
/// # Errors
/// It is empty, longer than 128 bytes, or has a control character.
pub fn read_order_id(id: &str) -> Result<OrderId, InputError> {
    text("order_id", id)
}

impl PlaceFields {
    /// An order of this buyer, with no other field set.
    #[must_use]
    pub fn of_buyer(buyer_id: impl Into<String>) -> PlaceFields {
        PlaceFields {
            buyer_id: buyer_id.into(),
            policy: None,
            amount: None,
            currency: None,
            data: None,
            receive_after: None,
            at: None,
            paid_at: None,
            shipped_at: None,
            delivered_at: None,
        }
    }

    fn command(self) -> Result<Command, InputError> {
        let amount =
            self.amount.map(|amount| whole("amount", &amount, 0, MAX_AMOUNT)).transpose()?;
        Ok(Command::Place(Box::new(Place {
            buyer_id: Some(text("buyer_id", &self.buyer_id)?),
            policy: self.policy.as_deref().map(PolicyName::from).unwrap_or_default(),
            amount,
            currency: optional("currency", self.currency.as_deref())?,
            data: self.data.map(|json| data::read_data(json.get())).transpose()?,
            receive_after: optional("receive_after", self.receive_after.as_deref())?,
            at: time("at", self.at.as_deref())?,
            paid_at: time("paid_at", self.paid_at.as_deref())?,
            shipped_at: time("shipped_at", self.shipped_at.as_deref())?,
            delivered_at: time("delivered_at", self.delivered_at.as_deref())?,
        })))
    }
}

impl AtFields {
    fn time(self) -> Result<Option<Time>, InputError> {
        time("at", self.at.as_deref())
    }
}

impl ShipFields {
    fn command(self) -> Result<Command, InputError> {
        Ok(Command::Ship {
            at: time("at", self.at.as_deref())?,
            carrier: optional("carrier", self.carrier.as_deref())?,
            tracking: optional("tracking", self.tracking.as_deref())?,
        })
    }
}

impl ReceiveFields {
    fn command(self) -> Result<Command, InputError> {
        match self.by.as_deref() {
            None | Some("buyer") => Ok(Command::Receive { by: Cause::Buyer }),
            Some("operator") => Ok(Command::Receive { by: Cause::Operator }),
            Some(other) => Err(InputError::value(
                "by",
                format_args!("is {other:?}; \"buyer\" or \"operator\" is expected"),
            )),
        }
    }
}

impl ExtendFields {
    fn command(self) -> Result<Command, InputError> {
        let number =
            self.number.map_or(Ok(1), |number| whole("number", &number, 1, u32::MAX.into()))?;
        Ok(Command::Extend { number: u32::try_from(number).unwrap_or(u32::MAX) })
    }
}

impl HoldFields {
    fn command(self) -> Result<Command, InputError> {
        let reason: Reason = text("reason", &self.reason)?;
        let id = match &self.id {
            Some(id) => text("id", id)?,
            None => self.reason.parse().map_err(|_| {
                InputError::value("id", "is required if the reason has more than 64 bytes")
            })?,
        };
        Ok(Command::Hold { id, reason })
    }
}

fn text<T: FromStr<Err: fmt::Display>>(field: &'static str, text: &str) -> Result<T, InputError> {
    text.parse().map_err(|error| InputError::value(field, error))
}

fn optional<T: FromStr<Err: fmt::Display>>(
    field: &'static str,
    value: Option<&str>,
) -> Result<Option<T>, InputError> {
    value.map(|value| text(field, value)).transpose()
}

fn time(field: &'static str, value: Option<&str>) -> Result<Option<Time>, InputError> {
    value.map(|value| read_time(field, value)).transpose()
}

#[cfg(test)]
mod tests;
