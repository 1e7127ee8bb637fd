//! A shop with orders in Redis keys, and workers that adopt them.

use std::path::PathBuf;

use autoreceive::domain::OrderId;
use redis::Value;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::endpoint::{ShopEndpoint, webhook};
use crate::support::process::Process;
use crate::support::redis_server::RedisServer;

/// A shop's Redis.
pub struct TestShop {
    pub redis: RedisServer,
    directory: TempDir,
    pub endpoint: ShopEndpoint,
}

impl TestShop {
    pub async fn open(extra_args: &[&str]) -> TestShop {
        TestShop {
            redis: RedisServer::start(extra_args),
            directory: tempfile::tempdir().unwrap(),
            endpoint: ShopEndpoint::start().await,
        }
    }

    pub fn set(&self, id: &str, status: &str) {
        self.redis.cli(&["SET", &format!("trade:status:{id}"), status]).unwrap();
    }

    /// The two commands that initiate an order. Its trigger lives for `seconds`.
    pub fn initiate(&self, id: &str, seconds: u32) {
        self.set(id, "PENDING_PAYMENT");
        self.redis
            .cli(&["SETEX", &format!("trade:auto-receive:{id}"), &seconds.to_string(), "trigger"])
            .unwrap();
    }

    pub fn initiate_and_pay(&self, id: &str) {
        self.initiate(id, 86_400);
        self.set(id, "PAID");
    }

    pub fn status(&self, id: &str) -> Option<String> {
        self.get(&format!("trade:status:{id}"))
    }

    pub fn get(&self, key: &str) -> Option<String> {
        match self.redis.cli(&["GET", key]).unwrap() {
            Value::BulkString(bytes) => Some(String::from_utf8(bytes).unwrap()),
            _ => None,
        }
    }

    pub fn exists(&self, key: &str) -> bool {
        self.redis.cli(&["EXISTS", key]).unwrap() == Value::Int(1)
    }

    /// A configuration that adopts this shop's orders into `store` with a window of `silence`;
    /// `intake` has more keys.
    pub fn config(&self, store: &str, silence: &str, intake: &str) -> PathBuf {
        let path = self.directory.path().join(format!("{}.toml", rand::random::<u32>()));
        let more = "timeout = \"2s\"\nlease = \"5s\"\non = [\"order.received\", \
            \"order.cancelled\", \"order.refunded\"]";
        let url = self.redis.url();
        let hook = webhook("shop", &self.endpoint.url, more);
        let config = format!(
            r#"
            [store]
            url = "{store}"
            [policies.default]
            receive_after = "{silence}"
            [log]
            level = "info"
            [intake]
            enabled = true
            url = "{url}/0"
            {intake}
            {hook}
            "#
        );
        std::fs::write(&path, config).unwrap();
        path
    }

    /// A store in the shop's own Redis, under the usual prefix.
    pub fn own_redis(&self) -> String {
        format!("{}/0", self.redis.url())
    }

    pub fn own_file(&self) -> String {
        format!("sqlite:{}", self.directory.path().join("orders.db").display())
    }

    /// The types and number of the webhooks about an order.
    pub fn webhooks(&self, id: &str) -> Vec<String> {
        let of_order = |body: &Json| body["data"]["order"]["order_id"] == id;
        let mut webhooks: Vec<String> = self
            .endpoint
            .deliveries()
            .iter()
            .filter(|d| of_order(&d.body))
            .map(|d| d.body["type"].as_str().unwrap().to_owned())
            .collect();
        webhooks.dedup();
        webhooks
    }
}

pub async fn get(service: &Process, path: &str) -> Json {
    let answer = reqwest::get(format!("{}{path}", service.url)).await.unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

pub async fn text(service: &Process, path: &str) -> String {
    reqwest::get(format!("{}{path}", service.url)).await.unwrap().text().await.unwrap()
}

/// The path of an order.
pub fn path_of(id: &str) -> String {
    let mut url = reqwest::Url::parse("http://x/v1/orders").unwrap();
    url.path_segments_mut().unwrap().push(id);
    url.path().to_owned()
}

pub fn id(text: &str) -> OrderId {
    text.parse().unwrap()
}
