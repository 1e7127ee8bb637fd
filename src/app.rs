//! The composition root: the only place that names concrete stores and actions, and the order of start and stop.
//!
//! Start: API, store, engine (sweeper and relays with it). The API comes first, so that whoever looks sees a service that
//! waits for its store, and no connection is refused meanwhile. Stop: API, commands in hand, due orders in hand, attempts in hand.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use autoreceive_store_redis::RedisStore;
use autoreceive_store_sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::action::Subscription;
use crate::action::database::{Database, Report, Settings as DatabaseSettings};
use crate::action::email::Email;
use crate::action::http::Http;
use crate::action::log::Log;
use crate::action::stream::Stream;
use crate::action::webhook::Webhook;
use crate::config::{ActionConfig, ActionKind, Config, DatabaseConfig, EmailConfig, IntakeConfig, StoreAddress, StoreConfig};
use crate::engine::Engine;
use crate::http;
use crate::intake::shop::Shop;
use crate::intake::{self, Intake};
use crate::store::{OpenError, Store};
use crate::telemetry::{Telemetry, logging};

mod demo;

/// How long what is in hand may take to finish once the API has ended, which takes two seconds at most: orchestrators kill
/// after ten.
const STOP_WITHIN: Duration = Duration::from_secs(7);

/// How often a store that is away at the start is asked for.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Files that may be open: the API's connections, and the stores' and actions' own.
const OPEN_FILES: u64 = 12_000;

/// How the service is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// On a store in a temporary directory and with sample orders.
    pub demo: bool,
    /// On a store whose time can be put forward.
    pub test_clock: bool,
}

/// Runs the service until SIGINT or SIGTERM.
///
/// # Errors
/// Where the store cannot be used as it is, or the address not be listened on. A store that is away is waited for.
pub async fn serve(mut config: Config, manner: Manner) -> anyhow::Result<()> {
    let Manner { demo, test_clock } = manner;
    // The demo's store is nobody else's, so its time may as well be put forward.
    let manner = Manner { demo, test_clock: demo || test_clock };
    let directory = if demo { Some(demo::prepare(&mut config)?) } else { None };
    logging::start(&config.log);
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let access = access(&config)?;
    allow_many_connections();
    let actions = subscriptions(&config)?;
    let listener = http::listen(config.http.listen)
        .with_context(|| format!("cannot listen on {} (another program does?); choose another with --listen", config.http.listen))?;
    let address = listener.local_addr()?;
    let telemetry = Telemetry::default();
    let (engine, stop, taking_over) = (Arc::new(OnceLock::new()), CancellationToken::new(), TaskTracker::new());
    let mut serving = tokio::spawn(http::serve(listener, engine.clone(), telemetry.clone(), access, stop.clone()));
    let working = async {
        let store = wait_for_store(&config, manner, address).await?;
        let shop = if config.intake.enabled { Some(open_shop(&config).await?) } else { None };
        let engine = engine.get_or_init(|| start_engine(&config, store, actions, shop.as_ref(), &telemetry));
        if let Some(shop) = shop {
            let intake = Intake::new(shop, config.intake.settings.clone(), engine.clone(), telemetry.intake.clone());
            taking_over.spawn(intake.run(stop.clone()));
        }
        if demo {
            tokio::spawn(demo::run(engine.clone()));
        }
        std::future::pending().await
    };
    // A service whose API broke would look alive and hear nothing: it ends, in good order, and says so.
    let broken = tokio::select! {
        asked = asked_to_stop() => asked.map(|()| None)?,
        ended = &mut serving => Some(ended),
        failed = working => return failed,
    };
    tracing::info!("stopping: finishing what is in hand");
    stop.cancel();
    let served = match broken {
        Some(ended) => ended,
        None => serving.await,
    };
    taking_over.close();
    // Nothing is lost by a look that was cut off: the next one sees the same.
    let _ = tokio::time::timeout(STOP_WITHIN / 4, taking_over.wait()).await;
    if let Some(engine) = engine.get() {
        engine.stop(STOP_WITHIN).await;
    }
    served?.context("the API ended")?;
    tracing::info!("stopped");
    drop(directory);
    Ok(())
}

/// Raises this process's soft limit of open files to what its connections need. Many systems begin with 1,024, and then a
/// thousand idle clients would keep all others out.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES));
    if limit.current.is_some_and(|soft| soft < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
    {
        tracing::warn!(%error, "the limit of open files could not be raised; fewer connections are possible");
    }
}

fn access(config: &Config) -> Result<http::Access, http::TlsError> {
    let files = config.http.tls_cert.as_ref().zip(config.http.tls_key.as_ref());
    let tls = files.map(|(cert, key)| http::Tls::load(cert, key)).transpose()?;
    Ok(http::Access { tokens: config.tokens.clone(), tls })
}

/// Opens the configured store, with a test clock or without.
///
/// # Errors
/// Where it is away, locked, not ours, newer than this program, or made for another number of shards or kind of clock.
pub async fn open_store(config: &StoreConfig, test_clock: bool) -> Result<Arc<dyn Store>, OpenError> {
    match &config.url {
        StoreAddress::Sqlite(path) if test_clock => Ok(Arc::new(SqliteStore::open_with_test_clock(path, config.timeout.to_std())?)),
        StoreAddress::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path, config.timeout.to_std())?)),
        StoreAddress::Redis(url) => {
            let settings = config.redis_settings(url.expose().to_string(), test_clock);
            Ok(Arc::new(RedisStore::open(settings).await?))
        }
    }
}

/// Opens the store and says that the service is there. One that is away is waited for, with a line in the log at once, when
/// the reason changes, and every half minute: databases and workers are often started together, and nobody should have to
/// sort that out. What a person must change first ends the program.
async fn wait_for_store(config: &Config, manner: Manner, address: SocketAddr) -> anyhow::Result<Arc<dyn Store>> {
    let mut opened = open_store(&config.store, manner.test_clock).await;
    if !matches!(opened, Err(OpenError::Unfit(_))) {
        announce(config, address, manner);
    }
    let (mut asked, mut last) = (0, None);
    while let Err(OpenError::Away(why)) = opened {
        if asked % 30 == 0 || last.as_ref() != Some(&why) {
            tracing::warn!(%why, "the store is away; it is waited for, and the API answers 503 until it is there");
        }
        (asked, last) = (asked + 1, Some(why));
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
        opened = open_store(&config.store, manner.test_clock).await;
    }
    let store = opened?;
    if last.is_some() {
        tracing::info!("the store is there: the service is ready");
    }
    Ok(store)
}

/// Connects to the shop's Redis.
///
/// # Errors
/// Where it is away, or cannot be worked with.
pub async fn open_shop(config: &Config) -> anyhow::Result<Arc<Shop>> {
    let IntakeConfig { url, timeout, statuses, triggers, words, .. } = &config.intake;
    let url = url.as_ref().context("intake.url: is missing, and the store is no Redis: give the address of the shop's")?;
    let shop = Shop::new(url.expose().as_str(), timeout.to_std(), statuses.clone(), triggers.clone(), words.clone());
    let shop = shop.map_err(|why| anyhow::anyhow!("intake.url: {why}"))?;
    intake::open(&shop).await.map_err(anyhow::Error::msg)?;
    Ok(Arc::new(shop))
}

/// Starts a worker that takes over orders from `shop`, on the configured store.
///
/// # Errors
/// Where the store cannot be opened, or an action not be made.
pub async fn taking_over(config: &Config, shop: Arc<Shop>) -> anyhow::Result<(Engine, Intake)> {
    let (store, telemetry) = (open_store(&config.store, false).await?, Telemetry::default());
    let engine = start_engine(config, store, subscriptions(config)?, Some(&shop), &telemetry);
    let intake = Intake::new(shop, config.intake.settings.clone(), engine.clone(), telemetry.intake);
    Ok((engine, intake))
}

/// The configured actions.
///
/// # Errors
/// Where one cannot be made.
pub fn subscriptions(config: &Config) -> anyhow::Result<Vec<Subscription>> {
    config.actions.iter().map(subscription).collect()
}

/// Starts a worker as it is configured, one that asks `shop` about adopted orders.
pub fn start_engine(
    config: &Config,
    store: Arc<dyn Store>,
    actions: Vec<Subscription>,
    shop: Option<&Arc<Shop>>,
    telemetry: &Telemetry,
) -> Engine {
    let guard = shop.map(|shop| intake::guard(shop, &config.intake.settings.policy, &telemetry.intake));
    let check_every = config.sweeper.check_every.to_std();
    let builder = Engine::builder(store)
        .policies(config.policies.values().cloned())
        .actions(actions)
        .batch(config.sweeper.batch)
        .check_every(check_every)
        .metrics(telemetry.engine.clone());
    match guard {
        Some(guard) => builder.guard(guard).start(),
        None => builder.start(),
    }
}

fn subscription(config: &ActionConfig) -> anyhow::Result<Subscription> {
    let action: Arc<dyn crate::action::Action> = match &config.kind {
        ActionKind::Log => Arc::new(Log(config.name.clone())),
        ActionKind::Database(database) => Arc::new(open_database(database, config.attempts)?),
        ActionKind::Http(http) => Arc::new(Http::new(http.request.clone(), &http.limits)?),
        ActionKind::Email(email) => {
            let EmailConfig { writing, server, timeout, rate } = (**email).clone();
            Arc::new(Email::new(writing, server, timeout.to_std(), rate).map_err(anyhow::Error::msg)?)
        }
        ActionKind::Stream(stream) => {
            Arc::new(Stream::new(stream.url.expose().as_str(), stream.settings.clone()).map_err(anyhow::Error::msg)?)
        }
        ActionKind::Webhook(webhook) => Arc::new(Webhook::new(webhook.url.expose().clone(), &webhook.secrets, &webhook.limits)?),
    };
    Ok(Subscription {
        name: config.name.clone(),
        on: config.on.clone(),
        batch: config.batch,
        concurrency: config.attempts,
        lease: config.lease.to_std(),
        endpoint: config.kind.endpoint(),
        action,
    })
}

/// One connection for each attempt that is made at the same time.
fn open_database(config: &DatabaseConfig, connections: usize) -> anyhow::Result<Database> {
    let settings = DatabaseSettings {
        url: config.url.expose().clone(),
        connections: u32::try_from(connections)?,
        timeout: config.timeout.to_std(),
        prefix: config.prefix.clone(),
    };
    Ok(Database::new(&settings, config.statements.clone(), config.points.clone())?)
}

/// Compares events, ledger and balances in the database of the action `name`.
///
/// # Errors
/// Where there is no such action, or its database is away.
pub async fn reconcile(config: &Config, name: &str) -> anyhow::Result<Report> {
    let action = config.actions.iter().find(|action| action.name.as_str() == name);
    let action = action.with_context(|| format!("there is no action {name:?}; configured are {}", action_names(config)))?;
    match &action.kind {
        ActionKind::Database(database) if database.points.is_some() => Ok(open_database(database, 1)?.reconcile().await?),
        _ => anyhow::bail!("the action {name:?} keeps no points; it has no actions.{name}.points"),
    }
}

fn action_names(config: &Config) -> String {
    let names: Vec<&str> = config.actions.iter().map(|action| action.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn announce(config: &Config, address: SocketAddr, manner: Manner) {
    let what = if manner.demo { "autoreceive demo" } else { "autoreceive" };
    println!("{what} {} · store {} · actions {}", env!("CARGO_PKG_VERSION"), config.store.url, action_names(config));
    if manner.test_clock {
        println!("TEST CLOCK: this store's time can be put forward (autoreceive clock advance 25h); it must not serve a shop");
    }
    if config.intake.enabled
        && let Some(url) = &config.intake.url
    {
        println!("intake of {}* on {url}", config.intake.statuses.prefix);
    }
    if !config.sources.is_empty() {
        println!("configured by {}", config.sources.join(", "));
    }
    let scheme = if config.http.tls_cert.is_some() { "https" } else { "http" };
    println!("API on {scheme}://{address}, its documentation on {scheme}://{address}/docs · stop with Ctrl-C");
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// Where signals cannot be waited for.
pub(crate) async fn asked_to_stop() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
