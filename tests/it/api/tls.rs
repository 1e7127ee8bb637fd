//! TLS at the listener.
