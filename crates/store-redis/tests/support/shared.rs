//! One server shared by the tests that run at the same time; each test has its own prefix.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::redis_server::RedisServer;

static SERVER: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
static PREFIXES: AtomicUsize = AtomicUsize::new(0);

/// The shared server. It stops when the last test drops it.
pub fn server() -> Arc<RedisServer> {
    let mut known = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    known.upgrade().unwrap_or_else(|| {
        let server = Arc::new(RedisServer::start(&[]));
        *known = Arc::downgrade(&server);
        server
    })
}

/// A prefix that no other test uses.
pub fn prefix() -> String {
    format!("t{}", PREFIXES.fetch_add(1, Ordering::Relaxed))
}
