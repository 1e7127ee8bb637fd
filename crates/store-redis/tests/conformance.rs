//! Runs the conformance suite of all stores.

use autoreceive_store::conformance::Subject;
use autoreceive_store_redis::{RedisSettings, RedisStore};

#[path = "support/redis_server.rs"]
#[allow(dead_code, reason = "other tests need the rest")]
mod redis_server;
#[path = "support/shared.rs"]
mod shared;

async fn subject(settings: RedisSettings) -> Subject {
    let server = shared::server();
    let settings = RedisSettings { url: server.url(), prefix: shared::prefix(), ..settings };
    let store = RedisStore::open(settings).await.expect("the store opens");
    Subject::new(store).living_in(server)
}

async fn for_a_shop() -> Subject {
    subject(RedisSettings::default()).await
}

/// With one shard all orders are in the same shard.
async fn with_one_shard() -> Subject {
    subject(RedisSettings { shards: 1, test_clock: true, ..RedisSettings::default() }).await
}

autoreceive_store::conformance_tests!(shop, for_a_shop);
autoreceive_store::conformance_tests!(one_shard, with_one_shard);
