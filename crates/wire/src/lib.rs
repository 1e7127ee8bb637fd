//! The words and JSON that people and programs meet: one form for HTTP, bulk lines, webhooks and
//! the command line.
//!
//! | module | holds |
//! |---|---|
//! | [`action`] | the outboxes of actions, and what is done to them |
//! | [`command`] | what is asked, as it comes in |
//! | [`letter`] | dead letters as they go out, and which of them are meant |
//! | [`line`] | one command of many, and its answer |
//! | [`order`] | an order, and the terms it was placed under, as they go out |
//! | [`event`] | an event as receivers get it |
//! | [`report`] | pages of orders, and the store's figures |
//! | [`problem`] | why a request was not carried out |
//! | [`time`] | instants and durations as text |
//! | `schema` | how all of it is described in the OpenAPI document (feature `openapi`) |
//! | [`read`] | strict reading of JSON, and what is said about a mistake |

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
