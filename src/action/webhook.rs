//! The `webhook` action.
