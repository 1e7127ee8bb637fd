//! The OpenAPI document says what the program does, and its page loads nothing from elsewhere.
