//! Checks the shop's Redis at the start.

use std::collections::HashMap;

use autoreceive_redis_connection::redis::{Pipeline, Value};

use super::IntakeError;
use super::shop::{Shop, convert};

/// The oldest major version: `SET … KEEPTTL` needs 6.0.
const OLDEST_VERSION: u32 = 6;

/// Checks that the intake can work with this server.
///
/// # Errors
/// If the server does not answer or is unsuitable. The text says what to do.
pub async fn open(shop: &Shop) -> Result<(), IntakeError> {
    let mut pipe = Pipeline::new();
    pipe.cmd("INFO");
    let answer = shop.read(&pipe).await?.pop().unwrap_or(Value::Nil);
    let info: String = convert(answer)?;
    let info: HashMap<&str, &str> =
        info.lines().filter_map(|line| line.split_once(':')).map(|(k, v)| (k, v.trim())).collect();
    let field = |name: &str| info.get(name).copied().unwrap_or_default();
    if field("cluster_enabled") == "1" {
        return Err(unsuitable(
            "the server is a node of a Redis Cluster, which the intake does not support yet: one \
             node knows only a part of the orders; give the address of a standalone server, or of \
             a primary with replicas",
        ));
    }
    if field("role") == "slave" {
        return Err(unsuitable(
            "the server is a replica and cannot be written to; give the address of its primary",
        ));
    }
    let version = field("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_VERSION) {
        return Err(unsuitable(format!(
            "the server's version is {version:?}; expected 6.0 or newer (SET … KEEPTTL)"
        )));
    }
    Ok(())
}

fn unsuitable(why: impl Into<String>) -> IntakeError {
    IntakeError::Unsuitable(why.into())
}
