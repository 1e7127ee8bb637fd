//! The store on Redis 7.0 or newer.
//!
//! | module | does |
//! |---|---|
//! | `keys` | names every key |
//! | `script`, `lua/` | the scripts; each says in its header what it takes, returns, and why it is safe |
//! | `open` | what is checked before anything is written |
//! | `clock` | the time, and the offset of a store for tests |
//! | `writes` | the commands that a commit consists of |
//! | `commit` | commits, by the script or by a transaction |
//! | `watch`, `pinned` | the transaction of the timer, and the connections that watch what it read |
//! | `repair` | what a transaction left unwritten because somebody changed a key or a right |
//! | `pace` | how many orders a commit of the timer has |
//! | `read`, `list`, `scan`, `stats` | reading, by plain commands |
//! | `outbox` | entries: claimed, settled, renewed, added, listed |
//! | `register` | small facts that all workers share, and who is alive |
//! | `log` | capped lists |
//! | `reply` | answers, taken apart |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use async_trait::async_trait;
use autoreceive_domain::{ActionName, OrderId, Revision, Shard, ShardCount, Span, Terms, Time};

use autoreceive_redis_connection::{Link, Options};
use autoreceive_store::now::StoreTime;
use autoreceive_store::{
    About, At, Commit, CommitResult, DueShard, Look, OpenError, Operations, Orders, Page, Round,
    Row, ShardState, Slot, Stats, Store, StoreError, TestClock, View,
};

mod clock;
mod commit;
mod keys;
mod list;
mod log;
mod open;
mod outbox;
mod pace;
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

/// The most changes in one commit: Lua cannot spread out 8,000 values, and each is an id and a
/// record.
const MAX_CHANGES: usize = 3_500;
/// The most members that one other call names.
const MAX_MEMBERS: usize = 1_000;

/// Where the store is and how it is used.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://user:password@host:port/db`; all but the host can be left out.
    pub url: String,
    /// What every key begins with: 1 to 64 of `A-Z a-z 0-9 _ - : .`.
    pub prefix: String,
    /// Over how many shards orders are spread, 1 to 1024; fixed when the store is created.
    pub shards: Shard,
    /// How long a call may take altogether.
    pub timeout: Span,
    /// How many connections are used in turn, each opened when it is first needed; 1 to 64.
    pub connections: usize,
    /// Whether its time can be put forward; fixed when the store is created.
    pub test_clock: bool,
}

impl Default for RedisSettings {
    fn default() -> RedisSettings {
        let (url, prefix) = ("redis://127.0.0.1:6379".to_owned(), "ar".to_owned());
        RedisSettings {
            url,
            prefix,
            shards: 64,
            timeout: Span::FIVE_SECONDS,
            connections: 8,
            test_clock: false,
        }
    }
}

impl fmt::Debug for RedisSettings {
    /// Without the address, which has the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RedisSettings { url: _, prefix, shards, timeout, connections, test_clock } = self;
        write!(
            f,
            "RedisSettings {{ prefix: {prefix:?}, shards: {shards}, timeout: {timeout}, \
                connections: {connections}, test_clock: {test_clock}, .. }}"
        )
    }
}

/// Orders and entries on Redis.
pub struct RedisStore {
    link: Link,
    scripts: script::Scripts,
    keys: keys::Keys,
    /// The time that it probably is, for asking what may be due.
    time: StoreTime,
    /// How many due orders are taken at once.
    pace: pace::Pace,
    /// The connections of watched reads.
    pinned: pinned::Pool,
    /// Whether transactions are not to be trusted for now.
    script_alone: watch::ScriptAlone,
    prefix: String,
    shards: ShardCount,
    test_clock: bool,
    /// What every shard of this store is, as it was found at the start.
    state: OnceLock<Arc<ShardState>>,
    /// At which shard the next round over all shards begins.
    rotation: AtomicU16,
    /// The actions that this process committed entries for.
    actions: RwLock<Vec<ActionName>>,
}

impl RedisStore {
    /// Connects, checks the server, the user's rights and what is stored, and creates the store
    /// where there is none.
    ///
    /// # Errors
    /// Where the store cannot be used; the message says what was found, what is expected, and what
    /// to do.
    pub async fn open(settings: RedisSettings) -> Result<RedisStore, OpenError> {
        let shards = settings.checked()?;
        let address = open::address(&settings)?;
        let options = Options::new(settings.timeout.to_std()).connections(settings.connections);
        let store = RedisStore {
            link: Link::new(&address, options).map_err(|why| OpenError::Unfit(why.to_string()))?,
            scripts: script::Scripts::new(),
            keys: keys::Keys::new(&settings.prefix),
            time: StoreTime::default(),
            pace: pace::Pace::new(),
            pinned: pinned::Pool::default(),
            script_alone: watch::ScriptAlone::default(),
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
        self.actions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps in mind which actions a round has entries for: their keys are looked at before the
    /// next transaction.
    fn note_actions(&self, round: &Round) {
        for entry in &round.entries {
            let is_known =
                self.actions.read().unwrap_or_else(PoisonError::into_inner).contains(&entry.action);
            if !is_known {
                let mut actions = self.actions.write().unwrap_or_else(PoisonError::into_inner);
                if !actions.contains(&entry.action) {
                    actions.push(entry.action.clone());
                }
            }
        }
    }
}

/// The places in a list, gathered by the shard that each belongs to.
fn by_shard(shards: impl Iterator<Item = Shard>) -> BTreeMap<Shard, Vec<usize>> {
    let mut places: BTreeMap<Shard, Vec<usize>> = BTreeMap::new();
    for (place, shard) in shards.enumerate() {
        places.entry(shard).or_default().push(place);
    }
    places
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
        self.page_of(view, cursor, limit).await
    }
}

#[async_trait]
impl Operations for RedisStore {
    async fn now(&self) -> Result<Time, StoreError> {
        self.ask_now().await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.figures().await
    }

    async fn advance(&self, by: Span) -> Result<TestClock, StoreError> {
        self.put_forward(by).await
    }
}

impl Store for RedisStore {
    fn about(&self) -> About {
        About::new(self.shards, self.test_clock)
    }
}
