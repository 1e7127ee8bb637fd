//! The store on Redis 7.0 or newer.
//!
//! | module | does |
//! |---|---|
//! | `keys` | all key names |
//! | `script`, `lua/` | the scripts; each header says what it takes, returns, and why it is safe |
//! | `open` | the checks before anything is written |
//! | `clock` | the time, and the offset of a test clock |
//! | `writes` | the commands of a commit |
//! | `commit` | commits, by the script or by a transaction |
//! | `watch`, `pinned` | the timer's transactions, and their connections |
//! | `repair` | writes the failed part of a transaction again |
//! | `batch_size` | the suggested number of orders in a commit of the timer |
//! | `read`, `list`, `scan`, `stats` | reading, by plain commands |
//! | `outbox` | entries: claim, settle, renew, put, list |
//! | `register` | small values that all workers share, and the living workers |
//! | `log` | capped lists |
//! | `reply` | decodes answers |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use autoreceive_domain::{ActionName, OrderId, Revision, Shard, ShardCount, Span, Terms, Time};

use autoreceive_redis_connection::{Link, Options};
use autoreceive_store::now::StoreTime;
use autoreceive_store::{
    About, At, Commit, CommitResult, DueShard, Look, OpenError, Operations, Orders, Page, Round,
    Row, ShardState, Slot, Stats, Store, StoreError, TestClock, View,
};
use parking_lot::RwLock;

mod batch_size;
mod clock;
mod commit;
mod keys;
mod list;
mod log;
mod open;
mod outbox;
mod pinned;
mod read;
mod register;
mod repair;
mod reply;
mod scan;
mod script;
mod stats;
mod watch;
mod writes;

/// The most changes in one commit. Lua cannot unpack 8,000 values, and each change has an id and a
/// record.
const MAX_CHANGES: usize = 3_500;
/// The most members in any other call.
const MAX_MEMBERS: usize = 1_000;

/// Address and settings of the store.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://user:password@host:port/db`; only the host is required.
    pub url: String,
    /// Prefix of every key: 1 to 64 of `A-Z a-z 0-9 _ - : .`.
    pub prefix: String,
    /// Number of shards, 1 to 1024; fixed when the store is created.
    pub shards: Shard,
    /// Time limit of a call, retries included.
    pub timeout: Span,
    /// Number of shared connections, 1 to 64. They are used in turn and opened when first needed.
    pub connections: usize,
    /// Whether the clock can be advanced; fixed when the store is created.
    pub test_clock: bool,
}

impl Default for RedisSettings {
    fn default() -> RedisSettings {
        RedisSettings {
            url: "redis://127.0.0.1:6379".to_owned(),
            prefix: "ar".to_owned(),
            shards: 64,
            timeout: Span::FIVE_SECONDS,
            connections: 8,
            test_clock: false,
        }
    }
}

impl fmt::Debug for RedisSettings {
    /// Leaves out the address, because it contains the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RedisSettings { url: _, prefix, shards, timeout, connections, test_clock } = self;
        write!(
            f,
            "RedisSettings {{ prefix: {prefix:?}, shards: {shards}, timeout: {timeout}, \
                connections: {connections}, test_clock: {test_clock}, .. }}"
        )
    }
}

/// The store on Redis.
pub struct RedisStore {
    link: Link,
    scripts: script::Scripts,
    keys: keys::KeyNames,
    /// Estimates the server's time, to ask which orders may be due.
    time: StoreTime,
    /// The suggested number of orders in a commit.
    batch_size: batch_size::BatchSize,
    /// The connections of watched reads.
    pinned: pinned::Pool,
    /// Whether transactions are suspended and only scripts commit.
    script_fallback: watch::ScriptFallback,
    prefix: String,
    shards: ShardCount,
    test_clock: bool,
    /// The state of every shard, as read at the start.
    state: OnceLock<Arc<ShardState>>,
    /// The first shard of the next call that visits all shards.
    rotation: AtomicU16,
    /// The actions for which this process committed entries.
    actions: RwLock<Vec<ActionName>>,
}

impl RedisStore {
    /// Connects, checks the server, the user's permissions and the stored data, and creates the
    /// store if it does not exist.
    ///
    /// # Errors
    /// If the store cannot be used. The message says what was found, what is expected, and what to
    /// do.
    pub async fn open(settings: RedisSettings) -> Result<RedisStore, OpenError> {
        let shards = settings.checked()?;
        let address = open::address(&settings)?;
        let options = Options::new(settings.timeout.to_std()).connections(settings.connections);
        let store = RedisStore {
            link: Link::new(&address, options).map_err(|why| OpenError::Unfit(why.to_string()))?,
            scripts: script::Scripts::new(),
            keys: keys::KeyNames::new(&settings.prefix),
            time: StoreTime::default(),
            batch_size: batch_size::BatchSize::new(),
            pinned: pinned::Pool::default(),
            script_fallback: watch::ScriptFallback::default(),
            prefix: settings.prefix,
            shards,
            test_clock: settings.test_clock,
            state: OnceLock::new(),
            rotation: AtomicU16::new(rand::random()),
            actions: RwLock::default(),
        };
        store.check(&address.host_and_port()).await?;
        Ok(store)
    }

    fn known_actions(&self) -> Vec<ActionName> {
        self.actions.read().clone()
    }

    /// Remembers the actions of a round's entries. The next watched read checks their keys.
    fn note_actions(&self, round: &Round) {
        for entry in &round.entries {
            let is_known = self.actions.read().contains(&entry.action);
            if !is_known {
                let mut actions = self.actions.write();
                if !actions.contains(&entry.action) {
                    actions.push(entry.action.clone());
                }
            }
        }
    }
}

/// The indexes of a list, grouped by shard.
fn by_shard(shards: impl Iterator<Item = Shard>) -> BTreeMap<Shard, Vec<usize>> {
    let mut indexes: BTreeMap<Shard, Vec<usize>> = BTreeMap::new();
    for (index, shard) in shards.enumerate() {
        indexes.entry(shard).or_default().push(index);
    }
    indexes
}

#[async_trait]
impl Orders for RedisStore {
    async fn load(&self, ids: &[OrderId]) -> Vec<Result<At<Slot>, StoreError>> {
        self.load_all(ids).await
    }

    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError> {
        self.all_terms(wanted).await
    }

    async fn due(&self, looks: &[Look], limit: usize) -> Vec<Result<At<DueShard>, StoreError>> {
        match limit {
            0 => self.next_due(looks).await,
            _ => self.due_orders(looks, limit).await,
        }
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitResult> {
        self.commit_all(commits).await
    }

    async fn list(
        &self,
        view: View,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Row>, StoreError> {
        self.list_page(view, cursor, limit).await
    }
}

#[async_trait]
impl Operations for RedisStore {
    async fn now(&self) -> Result<Time, StoreError> {
        self.read_now().await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.read_stats().await
    }

    async fn advance(&self, by: Span) -> Result<TestClock, StoreError> {
        self.advance_clock(by).await
    }
}

impl Store for RedisStore {
    fn about(&self) -> About {
        About::new(self.shards, self.test_clock)
    }
}
