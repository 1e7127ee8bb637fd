//! The composition root: the only place that names concrete stores and actions, and the order of
//! start and stop.
//!
//! Start: API, store, engine (sweeper and relays with it). The API comes first, so that whoever
//! looks sees a service that waits for its store, and no connection is refused meanwhile. Stop:
//! API, commands in hand, due orders in hand, attempts in hand.

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

/// How long what is in hand may take to finish once the API has ended, which takes two seconds at
/// most: orchestrators kill after ten.
const STOP_WITHIN: Duration = Duration::from_secs(7);

/// How often a store that is away at the start is asked for.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Files that may be open: the API's connections, and the stores' and actions' own.
const OPEN_FILES: u64 = 12_000;

/// How the service is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServeMode {
    /// On a store in a temporary directory and with sample orders.
    pub demo: bool,
    /// On a store whose time can be put forward.
    pub test_clock: bool,
}

/// Runs the service until SIGINT or SIGTERM.
///
/// # Errors
/// Where the store cannot be used as it is, or the address not be listened on. A store that is away
/// is waited for.
pub async fn serve(mut config: Config, mode: ServeMode) -> anyhow::Result<()> {
    let ServeMode { demo, test_clock } = mode;
    // The demo's store is nobody else's, so its time may as well be put forward.
    let mode = ServeMode { demo, test_clock: demo || test_clock };
    let directory = if demo { Some(demo::prepare(&mut config)?) } else { None };
    logging::start(&config.log);
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let access = access(&config)?;
    allow_many_connections();
    let actions = subscriptions(&config)?;
    let listener = http::listen(config.http.listen).with_context(|| {
        format!(
            "cannot listen on {} (another program does?); choose another with --listen",
            config.http.listen
        )
    })?;
    let address = listener.local_addr()?;
    let telemetry = Telemetry::default();
    let (engine, stop, taking_over) =
        (Arc::new(OnceLock::new()), CancellationToken::new(), TaskTracker::new());
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
    // A service whose API broke would look alive and hear nothing: it ends, in good order, and says
    // so.
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

/// Raises this process's soft limit of open files to what its connections need. Many systems begin
/// with 1,024, and then a thousand idle clients would keep all others out.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |hard| hard.min(OPEN_FILES));
    if limit.current.is_some_and(|soft| soft < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
    {
        tracing::warn!(%error, "the limit of open files could not be raised; fewer connections \
            are possible");
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
/// Where it is away, locked, not ours, newer than this program, or made for another number of
/// shards or kind of clock.
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
        // The configuration refuses such an address before it comes here.
        #[cfg(not(all(feature = "sqlite", feature = "redis")))]
        absent => Err(OpenError::Unfit(format!(
            "{absent} (test clock: {test_clock}): this build has no such store"
        ))),
    }
}

/// Opens the store and says that the service is there. One that is away is waited for, with a line
/// in the log at once, when the reason changes, and every half minute: databases and workers are
/// often started together, and nobody should have to sort that out. What a person must change first
/// ends the program.
async fn wait_for_store(
    config: &Config,
    mode: ServeMode,
    address: SocketAddr,
) -> anyhow::Result<Arc<dyn Store>> {
    let mut opened = open_store(&config.store, mode.test_clock).await;
    if !matches!(opened, Err(OpenError::Unfit(_))) {
        announce(config, address, mode);
    }
    let (mut asked, mut last) = (0, None);
    while let Err(OpenError::Away(why)) = opened {
        if asked % 30 == 0 || last.as_ref() != Some(&why) {
            tracing::warn!(%why, "the store is away; it is waited for, and the API answers 503 \
                until it is there");
        }
        (asked, last) = (asked + 1, Some(why));
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
        opened = open_store(&config.store, mode.test_clock).await;
    }
    let store = opened?;
    if last.is_some() {
        tracing::info!("the store is there: the service is ready");
    }
    Ok(store)
}

/// The configured actions.
///
/// # Errors
/// Where one cannot be made.
pub fn subscriptions(config: &Config) -> anyhow::Result<Vec<Subscription>> {
    config.actions.iter().map(subscription).collect()
}

/// Starts a worker as it is configured, one that asks `guard` about adopted orders.
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

/// The action itself, and what is done where its endpoint only fails. Of the kinds that this build
/// lacks there is no value.
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
            let action =
                crate::action::email::Email::new(content, server, timeout.to_std(), rate)?;
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
            "TEST CLOCK: this store's time can be put forward (autoreceive clock advance 25h); it \
                must not serve a shop"
        );
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
    println!(
        "API on {scheme}://{address}, its documentation on {scheme}://{address}{} · stop with \
            Ctrl-C",
        http::DOCUMENTATION
    );
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
