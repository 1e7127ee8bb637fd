//! The `log` action.
