//! One server for the tests that run at a time, each with a prefix of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::redis_server::RedisServer;

static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
static PREFIXES: AtomicUsize = AtomicUsize::new(0);

/// The server; it ends with the last test that holds it.
pub fn server() -> Arc<RedisServer> {
    let mut known = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    known.upgrade().unwrap_or_else(|| {
        let server = Arc::new(RedisServer::start(&[]));
        *known = Arc::downgrade(&server);
        server
    })
}

/// A prefix that no other test has.
pub fn prefix() -> String {
    format!("t{}", PREFIXES.fetch_add(1, Ordering::Relaxed))
}
