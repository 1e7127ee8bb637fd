//! The `webhook` action.

pub use secret::{SigningSecret, WrongSecret};

mod secret;
