//! The composition root: the only place that names concrete stores and actions. It starts and stops
//! the parts in order.
//!
//! Start: API, store, engine with sweeper and relays. The API comes first: while the service waits
//! for its store, clients get 503 instead of a refused connection. Stop: API, commands, due orders,
//! attempts; each finishes its work in flight.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::action::log::LogAction;
use crate::action::{Action, Endpoint, Subscription};
use crate::config::{ActionConfig, ActionKind, Config, StoreAddress, StoreConfig};
use crate::engine::{Engine, Guard};
use crate::http;
use crate::store::{OpenError, Store};
use crate::telemetry::{Telemetry, logging};
use takeover::Takeover;

mod demo;
#[cfg(feature = "database")]
mod points;
#[cfg_attr(not(feature = "intake"), path = "app/no_takeover.rs")]
mod takeover;

#[cfg(feature = "database")]
pub use points::reconcile;
#[cfg(feature = "intake")]
pub use takeover::{open_shop, taking_over};

/// The longest time for work in flight after the API has stopped. The API takes at most two
/// seconds; orchestrators kill after ten.
const STOP_TIMEOUT: Duration = Duration::from_secs(7);

/// The interval of attempts to open an unavailable store.
const STORE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The limit of open files: connections of the API, the stores and the actions.
const OPEN_FILES: u64 = 12_000;

/// The mode of the service.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServeMode {
    /// With a temporary store and sample orders.
    pub demo: bool,
    /// With a store whose clock can be advanced.
    pub test_clock: bool,
}

/// Runs the service until SIGINT or SIGTERM. Waits for an unavailable store.
///
/// # Errors
/// If the store cannot be used, or the address is in use.
pub async fn serve(mut config: Config, mode: ServeMode) -> anyhow::Result<()> {
    let ServeMode { demo, test_clock } = mode;
    // The demo's store is temporary, so a test clock does no harm.
    let mode = ServeMode { demo, test_clock: demo || test_clock };
    let directory = if demo { Some(demo::prepare(&mut config)?) } else { None };
    logging::start(&config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let access = access(&config)?;
    allow_many_connections();
    let actions = subscriptions(&config)?;
    let listener = http::listen(config.http.listen).with_context(|| {
        format!(
            "cannot listen on {} (is another program using it?); choose another address with \
             --listen",
            config.http.listen
        )
    })?;
    let address = listener.local_addr()?;
    let telemetry = Telemetry::default();
    let engine = Arc::new(OnceLock::new());
    let stop = CancellationToken::new();
    let taking_over = TaskTracker::new();
    let mut serving = tokio::spawn(http::serve(
        listener,
        engine.clone(),
        telemetry.clone(),
        access,
        stop.clone(),
    ));
    let working = async {
        let store = wait_for_store(&config, mode, address).await?;
        let takeover = Takeover::open(&config).await?;
        let guard = takeover.guard(&config, &telemetry);
        let engine =
            engine.get_or_init(|| start_engine(&config, store, actions, guard, &telemetry));
        takeover.start(&config, engine, &telemetry, &taking_over, &stop);
        if demo {
            tokio::spawn(demo::run(engine.clone()));
        }
        std::future::pending().await
    };
    // If the API fails, the service stops cleanly: without an API it would look alive but accept
    // no requests.
    let broken = tokio::select! {
        asked = asked_to_stop() => asked.map(|()| None)?,
        ended = &mut serving => Some(ended),
        failed = working => return failed,
    };
    tracing::info!("stopping: finishing work in flight");
    stop.cancel();
    let served = match broken {
        Some(ended) => ended,
        None => serving.await,
    };
    taking_over.close();
    // An interrupted check loses nothing: the next one reads the same keys.
    let _ = tokio::time::timeout(STOP_TIMEOUT / 4, taking_over.wait()).await;
    if let Some(engine) = engine.get() {
        engine.stop(STOP_TIMEOUT).await;
    }
    served?.context("the API failed")?;
    tracing::info!("stopped");
    drop(directory);
    Ok(())
}

/// Raises the soft limit of open files. Many systems start with 1,024; then a thousand idle clients
/// would block all others.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES));
    if limit.current.is_some_and(|soft| soft < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
    {
        tracing::warn!(
            %error,
            "the limit of open files could not be raised; fewer connections are possible"
        );
    }
}

fn access(config: &Config) -> Result<http::Access, http::TlsError> {
    let files = config.http.tls_cert.as_ref().zip(config.http.tls_key.as_ref());
    let tls = files.map(|(cert, key)| http::Tls::load(cert, key)).transpose()?;
    Ok(http::Access { tokens: config.tokens.clone(), tls })
}

/// Opens the configured store, with or without a test clock.
///
/// # Errors
/// If it is unavailable, locked, not a store of this program, newer than this program, or created
/// with another number of shards or another kind of clock.
pub async fn open_store(
    config: &StoreConfig,
    test_clock: bool,
) -> Result<Arc<dyn Store>, OpenError> {
    match &config.url {
        #[cfg(feature = "sqlite")]
        StoreAddress::Sqlite(path) => {
            use autoreceive_store_sqlite::SqliteStore;
            let open =
                if test_clock { SqliteStore::open_with_test_clock } else { SqliteStore::open };
            Ok(Arc::new(open(path, config.timeout.to_std())?))
        }
        #[cfg(feature = "redis")]
        StoreAddress::Redis(url) => {
            use autoreceive_store_redis::RedisStore;
            let settings = config.redis_settings(url.expose().to_string(), test_clock);
            Ok(Arc::new(RedisStore::open(settings).await?))
        }
        // Unreachable: the configuration refuses such an address.
        #[cfg(not(all(feature = "sqlite", feature = "redis")))]
        absent => Err(OpenError::Unfit(format!(
            "{absent} (test clock: {test_clock}): this build has no such store"
        ))),
    }
}

/// Opens the store, and prints the start lines. Waits for an unavailable store, so that databases
/// and workers can start in any order. Logs the reason at once, when it changes, and every 30 s.
/// Errors that only a person can fix end the program.
async fn wait_for_store(
    config: &Config,
    mode: ServeMode,
    address: SocketAddr,
) -> anyhow::Result<Arc<dyn Store>> {
    let mut opened = open_store(&config.store, mode.test_clock).await;
    if !matches!(opened, Err(OpenError::Unfit(_))) {
        announce(config, address, mode);
    }
    let mut attempts = 0;
    let mut last = None;
    while let Err(OpenError::Away(why)) = opened {
        if attempts % 30 == 0 || last.as_ref() != Some(&why) {
            tracing::warn!(
                %why,
                "the store is unavailable; the service waits for it, and the API answers 503 \
                 until then"
            );
        }
        attempts += 1;
        last = Some(why);
        tokio::time::sleep(STORE_RETRY_INTERVAL).await;
        opened = open_store(&config.store, mode.test_clock).await;
    }
    let store = opened?;
    if last.is_some() {
        tracing::info!("the store is available: the service is ready");
    }
    Ok(store)
}

/// The configured actions.
///
/// # Errors
/// If one cannot be built.
pub fn subscriptions(config: &Config) -> anyhow::Result<Vec<Subscription>> {
    config.actions.iter().map(subscription).collect()
}

/// Starts a worker. It asks `guard` about adopted orders.
pub fn start_engine(
    config: &Config,
    store: Arc<dyn Store>,
    actions: Vec<Subscription>,
    guard: Option<Arc<dyn Guard>>,
    telemetry: &Telemetry,
) -> Engine {
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
    let (action, endpoint) = action(config)?;
    Ok(Subscription {
        name: config.name.clone(),
        on: config.on.clone(),
        batch: config.batch,
        concurrency: config.attempts,
        lease: config.lease.to_std(),
        endpoint,
        action,
    })
}

/// The action, and the settings of its endpoint if it has one. Kinds that this build lacks have no
/// variant.
fn action(config: &ActionConfig) -> anyhow::Result<(Arc<dyn Action>, Option<Endpoint>)> {
    Ok(match config.kind.clone() {
        ActionKind::Log => (Arc::new(LogAction(config.name.clone())), None),
        #[cfg(feature = "database")]
        ActionKind::Database(database) => {
            (Arc::new(points::open(&database, config.attempts)?), None)
        }
        #[cfg(feature = "http")]
        ActionKind::Http(http) => {
            let action = crate::action::http::Http::new(http.request, &http.limits)?;
            (Arc::new(action), Some(http.endpoint))
        }
        #[cfg(feature = "email")]
        ActionKind::Email(email) => {
            let crate::config::EmailConfig { content, server, timeout, rate } = email;
            let action = crate::action::email::Email::new(content, server, timeout.to_std(), rate)?;
            (Arc::new(action), None)
        }
        #[cfg(feature = "stream")]
        ActionKind::Stream(stream) => {
            let url = stream.url.expose().as_str();
            let action = crate::action::stream::Stream::new(url, stream.settings)?;
            (Arc::new(action), None)
        }
        #[cfg(feature = "webhook")]
        ActionKind::Webhook(webhook) => {
            let url = webhook.url.expose().as_str();
            let action =
                crate::action::webhook::Webhook::new(url, &webhook.secrets, &webhook.limits)?;
            (Arc::new(action), Some(webhook.endpoint))
        }
    })
}

fn action_names(config: &Config) -> String {
    let names: Vec<&str> = config.actions.iter().map(|action| action.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn announce(config: &Config, address: SocketAddr, mode: ServeMode) {
    let what = if mode.demo { "autoreceive demo" } else { "autoreceive" };
    println!(
        "{what} {} · store {} · actions {}",
        env!("CARGO_PKG_VERSION"),
        config.store.url,
        action_names(config)
    );
    if mode.test_clock {
        println!(
            "TEST CLOCK: this store's clock can be advanced (autoreceive clock advance 25h); do \
             not use it for a shop"
        );
    }
    if config.intake.enabled
        && let Some(url) = &config.intake.url
    {
        println!("intake of the keys {}* on {url}", config.intake.statuses.prefix);
    }
    if !config.sources.is_empty() {
        println!("configuration from {}", config.sources.join(", "));
    }
    let scheme = if config.http.tls_cert.is_some() { "https" } else { "http" };
    println!(
        "API on {scheme}://{address}, documentation on {scheme}://{address}{} · stop with Ctrl-C",
        http::DOCUMENTATION
    );
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub(crate) async fn asked_to_stop() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
