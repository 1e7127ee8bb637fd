//! The JSON types of the API: the same for HTTP, bulk lines, webhooks and the command line.
//!
//! | module | holds |
//! |---|---|
//! | [`action`] | the outboxes of actions, and the operations on them |
//! | [`command`] | commands, as requests |
//! | [`dead_letter`] | dead letters, and their selection for replay or discard |
//! | [`line`] | one line of a bulk request, and its answer |
//! | [`order`] | an order and its terms, as responses |
//! | [`event`] | an event, as endpoints receive it |
//! | [`report`] | pages of orders, and statistics |
//! | [`problem`] | why a request failed |
//! | [`time`] | instants and durations as text |
//! | `schema` | shared OpenAPI schemas (feature `openapi`) |
//! | [`read`] | strict reading of JSON, with errors that name the field |

pub mod action;
pub mod command;
pub mod dead_letter;
pub mod event;
pub mod line;
pub mod order;
pub mod problem;
pub mod read;
pub mod report;
#[cfg(feature = "openapi")]
pub mod schema;
mod text;
pub mod time;

pub use event::{EventView, event_json};
pub use order::OrderView;
pub use problem::Problem;
pub use read::InputError;
