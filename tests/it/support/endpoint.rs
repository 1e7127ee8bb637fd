//! A shop's webhook endpoint: verifies every delivery and remembers it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;

/// The secret of the endpoint and the tested services.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// The section of the webhook `name` to an endpoint on this machine, with the keys `more`.
pub fn webhook(name: &str, url: &str, more: &str) -> String {
    format!(
        "[actions.{name}]\ntype = \"webhook\"\nurl = \"{url}\"\nallow_private = true\nsecret \
        = \"{SECRET}\"\n{more}\n"
    )
}

/// One delivery with a valid signature.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The `webhook-id` header.
    pub id: String,
    /// The body.
    pub body: Value,
}

/// All deliveries so far.
#[derive(Default)]
struct DeliveryLog {
    deliveries: Vec<Delivery>,
    forged: usize,
}

/// A running endpoint.
#[derive(Clone)]
pub struct ShopEndpoint {
    /// Its URL.
    pub url: String,
    log: Arc<Mutex<DeliveryLog>>,
}

impl ShopEndpoint {
    /// Starts one on a free port; it ends with the test's runtime.
    pub async fn start() -> ShopEndpoint {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(DeliveryLog::default()));
        let router = Router::new().route("/hooks", post(take)).with_state(log.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        ShopEndpoint { url, log }
    }

    fn with<T>(&self, f: impl FnOnce(&DeliveryLog) -> T) -> T {
        f(&self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every delivery so far, in the order of arrival.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.with(|log| log.deliveries.clone())
    }

    /// The distinct `webhook-id`s of each order id, with the number of deliveries.
    pub fn ids_by_order(&self) -> HashMap<String, HashMap<String, usize>> {
        let mut by_order: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for delivery in self.deliveries() {
            let order = delivery.body["data"]["order"]["order_id"].as_str().unwrap().to_owned();
            *by_order.entry(order).or_default().entry(delivery.id).or_default() += 1;
        }
        by_order
    }

    /// The number of distinct delivered orders.
    pub fn orders(&self) -> usize {
        self.ids_by_order().len()
    }

    /// The number of deliveries with a wrong signature.
    pub fn forged(&self) -> usize {
        self.with(|log| log.forged)
    }
}

async fn take(
    State(log): State<Arc<Mutex<DeliveryLog>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let verified = standardwebhooks::Webhook::new(SECRET).unwrap().verify(&body, &headers).is_ok();
    let id =
        headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    match serde_json::from_slice(&body) {
        Ok(body) if verified => log.deliveries.push(Delivery { id, body }),
        _ => log.forged += 1,
    }
    StatusCode::NO_CONTENT
}
