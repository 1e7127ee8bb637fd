//! Starts a real redis-server on a free port.
