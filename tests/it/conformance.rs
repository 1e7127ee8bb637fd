//! One suite for every store: what a store promises, tested through the seam alone.

/// Runs the named tests against every store. A new store is a line here and a function in `stores`.
macro_rules! every_store {
    ($($test:ident),* $(,)?) => {
        every_store!(@sqlite_in_memory: $($test),*);
        every_store!(@sqlite_file: $($test),*);
        every_store!(@redis: $($test),*);
    };
    (@$store:ident: $($test:ident),*) => {
        mod $store {
            $(#[tokio::test]
            async fn $test() {
                let subject = crate::conformance::stores::$store().await;
                super::$test(std::sync::Arc::clone(&subject.store)).await;
            })*
        }
    };
}

mod commits;
pub mod dead_letters;
mod due;
mod figures;
pub mod kit;
mod outbox;
mod pages;
mod races;
mod reading;
mod remembered;
mod resting;
mod upkeep;

/// How each store is made for one test.
mod stores {
    use std::any::Any;
    use std::sync::Arc;
    use std::time::Duration;

    use autoreceive::store::Store;
    use autoreceive_store_redis::{RedisSettings, RedisStore};
    use autoreceive_store_sqlite::SqliteStore;

    use crate::support::redis_server::RedisServer;

    /// An empty store and what it lives in: a directory or a server of its own, which goes after it.
    pub struct Subject {
        pub store: Arc<dyn Store>,
        pub _lives_in: Box<dyn Any>,
    }

    pub async fn sqlite_in_memory() -> Subject {
        Subject { store: Arc::new(SqliteStore::in_memory().unwrap()), _lives_in: Box::new(()) }
    }

    pub async fn sqlite_file() -> Subject {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("orders.db"), Duration::from_secs(30)).unwrap();
        Subject { store: Arc::new(store), _lives_in: Box::new(directory) }
    }

    pub async fn redis() -> Subject {
        let server = RedisServer::start(&[]);
        let settings = RedisSettings { url: server.url(), ..RedisSettings::default() };
        Subject { store: Arc::new(RedisStore::open(settings).await.unwrap()), _lives_in: Box::new(server) }
    }
}
