//! A service in this process, on a store in memory, with its API on a free port.

use std::sync::Arc;
use std::time::Duration;

use autoreceive::domain::{Policy, Span, Terms};
use autoreceive::engine::Engine;
use autoreceive::http::{self, Access};
use autoreceive::store::Store;
use autoreceive::telemetry::Telemetry;
use autoreceive_store_sqlite::SqliteStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running service; it ends with the test's runtime.
pub struct Service {
    /// The URL of its API.
    pub url: String,
    /// Its engine.
    pub engine: Engine,
    /// Stops its API.
    pub stop_api: CancellationToken,
    /// Finishes when its API has ended.
    pub serving: JoinHandle<std::io::Result<()>>,
}

impl Service {
    /// Starts one with the policies `default` (24 hours after the payment) and `parcel` (7 days
    /// after the delivery, two extensions).
    pub async fn start_sqlite() -> Service {
        Service::start_for(Access::default()).await
    }

    /// Starts one with `access`.
    pub async fn start_for(access: Access) -> Service {
        let store = SqliteStore::in_memory().unwrap();
        Service::start(Arc::new(store), access).await
    }

    async fn start(store: Arc<dyn Store>, access: Access) -> Service {
        let parcel = Terms {
            starts_at: autoreceive::domain::StartsAt::Delivered,
            receive_after: Span::from_hours(7 * 24),
            max_extensions: 2,
            extend_by: Span::from_hours(3 * 24),
            ..Terms::default()
        };
        let policies = [
            Policy::new("default", Terms::default()).unwrap(),
            Policy::new("parcel", parcel).unwrap(),
        ];
        let engine = Engine::builder(store).policies(policies).start();
        let listener = http::listen(([127, 0, 0, 1], 0).into()).unwrap();
        let scheme = if access.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let stop_api = CancellationToken::new();
        let serving = tokio::spawn(http::serve(
            listener,
            Arc::new(engine.clone().into()),
            Telemetry::default(),
            access,
            stop_api.clone(),
        ));
        let service = Service { url, engine, stop_api, serving };
        super::process::eventually("the store answers", 10, async || {
            service.engine.ready().await.is_ok()
        })
        .await;
        service
    }

    /// Stops its background work.
    pub async fn stop(self) {
        self.engine.stop(Duration::from_secs(5)).await;
    }
}
