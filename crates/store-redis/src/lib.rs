//! The store on Redis 7.0 or newer.
//!
//! | module | does |
//! |---|---|
//! | `keys` | names every key |
//! | `script`, `lua/` | the scripts; each says in its header what it takes, returns, and why it is safe |
//! | `open` | what is checked before anything is written |
//! | `clock` | the time, and the offset of a store for tests |
//! | `commit`, `pack` | a commit as the columns that its script takes |
//! | `watch` | a commit of the timer, where it needs no script |
//! | `pace` | how many orders a commit of the timer has |
//! | `read`, `page`, `stats` | reading, by plain commands |
//! | `outbox` | entries: claimed, settled, renewed |
//! | `backfill`, `relocate` | entries added for orders that there are, and given to another action |
//! | `circuit` | how receivers are doing |
//! | `dead` | dead letters: shown, replayed, discarded |
//! | `remembered` | names that are kept in mind |
//! | `reply` | answers, taken apart |

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, OnceLock, RwLock};

use async_trait::async_trait;
use autoreceive_domain::{Circuit, Event, OrderId, Revision, ShardCount, Span, Terms, Time};
use autoreceive_redis_connection::{Link, Options};

use autoreceive_store::now::StoreTime;
use autoreceive_store::{
    ActionName, Claimed, Commit, DeadLetter, DeadPage, Due, EntryRef, Heads, Loaded, Look, OpenError, Page, Relocated, Resolution, Rested,
    Scan, Settlement, Shard, Stats, Store, StoreError, TestClock, Verdict, View,
};

mod backfill;
mod circuit;
mod clock;
mod commit;
mod dead;
mod keys;
mod open;
mod outbox;
mod pace;
mod pack;
mod page;
mod read;
mod relocate;
mod remembered;
mod reply;
mod script;
mod stats;
mod watch;

/// The most changes in one commit, and the most members that one command names: Lua cannot spread out 8,000 values.
const MAX_CHANGES: usize = 1_000;

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
        RedisSettings { url, prefix, shards: 64, timeout: Span::FIVE_SECONDS, connections: 8, test_clock: false }
    }
}

impl fmt::Debug for RedisSettings {
    /// Without the address, which has the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RedisSettings { url: _, prefix, shards, timeout, connections, test_clock } = self;
        write!(
            f,
            "RedisSettings {{ prefix: {prefix:?}, shards: {shards}, timeout: {timeout}, connections: {connections}, test_clock: {test_clock}, .. }}"
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
    watches: watch::Watches,
    prefix: String,
    shards: ShardCount,
    test_clock: bool,
    /// What sets this store apart from every other, as it was found at the start.
    identity: OnceLock<String>,
    /// At which shard the next round over all shards begins.
    rotation: AtomicU16,
    /// The actions whose names this process knows to be stored.
    noted: RwLock<HashSet<ActionName>>,
}

impl RedisStore {
    /// Connects, checks the server, the user's rights and what is stored, and creates the store where there is none.
    ///
    /// # Errors
    /// Where the store cannot be used; the message says what was found, what is expected, and what to do.
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
            watches: watch::Watches::default(),
            prefix: settings.prefix,
            shards,
            test_clock: settings.test_clock,
            identity: OnceLock::new(),
            rotation: AtomicU16::new(rand::random()),
            noted: RwLock::default(),
        };
        store.check(&address.host_and_port()).await?;
        Ok(store)
    }

    fn is_noted(&self, action: &ActionName) -> bool {
        self.noted.read().is_ok_and(|noted| noted.contains(action))
    }

    fn noted_actions(&self) -> Vec<ActionName> {
        self.noted.read().map(|noted| noted.iter().cloned().collect()).unwrap_or_default()
    }

    fn set_noted(&self, action: &ActionName) {
        if let Ok(mut noted) = self.noted.write() {
            noted.insert(action.clone());
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
impl Store for RedisStore {
    fn shards(&self) -> Shard {
        self.shards.get()
    }

    fn shard_of(&self, id: &OrderId) -> Shard {
        self.shards.of(id)
    }

    fn at_once(&self) -> usize {
        self.pace.orders()
    }

    async fn load(&self, ids: &[OrderId]) -> Result<Loaded, StoreError> {
        self.load_all(ids).await
    }

    async fn terms(&self, wanted: &[(Shard, Revision)]) -> Result<Vec<Option<Terms>>, StoreError> {
        self.all_terms(wanted).await
    }

    async fn commit(&self, commits: Vec<Arc<Commit>>) -> Vec<Verdict> {
        self.commit_all(commits).await
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        self.all_heads().await
    }

    async fn due(&self, looks: &[Look], limit: usize) -> Result<Due, StoreError> {
        self.due_orders(looks, limit).await
    }

    async fn rested(&self, limit: usize) -> Result<Rested, StoreError> {
        self.rested_notes(limit).await
    }

    async fn claim(&self, action: &ActionName, limit: usize, lease: Span) -> Result<Claimed, StoreError> {
        self.claim_entries(action, limit, lease).await
    }

    async fn settle(&self, action: &ActionName, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.settle_entries(action, settlements).await
    }

    async fn renew(&self, action: &ActionName, entries: &[EntryRef], lease: Span) -> Result<(), StoreError> {
        self.renew_entries(action, entries, lease).await
    }

    async fn dead_page(&self, action: &ActionName, cursor: Option<&str>, limit: usize) -> Result<DeadPage, StoreError> {
        self.page_of_dead(action, cursor, limit).await
    }

    async fn dead_letters(&self, action: &ActionName, letters: &[EntryRef]) -> Result<Vec<DeadLetter>, StoreError> {
        self.named_dead(action, letters).await
    }

    async fn resolve(&self, action: &ActionName, letters: &[EntryRef], how: Resolution) -> Result<u64, StoreError> {
        self.resolve_dead(action, letters, how).await
    }

    async fn add(&self, action: &ActionName, events: Vec<Event>) -> Result<u64, StoreError> {
        self.add_entries(action, &events).await
    }

    async fn relocate(&self, from: &ActionName, to: Option<&ActionName>, limit: usize) -> Result<Relocated, StoreError> {
        self.relocate_all(from, to, limit).await
    }

    async fn circuit(&self, action: &ActionName) -> Result<(Time, Circuit), StoreError> {
        self.circuit_of(action).await
    }

    async fn set_circuit(&self, action: &ActionName, known: Option<&Circuit>, next: &Circuit) -> Result<bool, StoreError> {
        self.note_circuit(action, known, next).await
    }

    async fn scan(&self, cursor: Option<&str>, limit: usize) -> Result<Scan, StoreError> {
        self.scan_orders(cursor, limit).await
    }

    async fn page(&self, view: View, cursor: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.page_of(view, cursor, limit).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.figures().await
    }

    fn has_test_clock(&self) -> bool {
        self.test_clock
    }

    async fn advance(&self, by: Span) -> Result<TestClock, StoreError> {
        self.put_forward(by).await
    }

    async fn remember(&self, names: &[String]) -> Result<(), StoreError> {
        self.keep_in_mind("SADD", names).await
    }

    async fn remembered(&self, names: &[String]) -> Result<Vec<bool>, StoreError> {
        self.kept_in_mind(names).await
    }

    async fn forget(&self, names: &[String]) -> Result<(), StoreError> {
        self.keep_in_mind("SREM", names).await
    }

    async fn workers(&self, me: &str, within: Span) -> Result<Vec<String>, StoreError> {
        self.living(me, within).await
    }

    async fn leave(&self, me: &str) -> Result<(), StoreError> {
        self.take_off(me).await
    }
}
