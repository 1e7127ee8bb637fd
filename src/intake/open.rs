//! What is checked before anything is taken over.

use std::collections::HashMap;

use autoreceive_redis_connection::redis::{Pipeline, Value};

use super::shop::{Shop, answered};

/// Makes sure that this server can be worked with.
///
/// # Errors
/// Where it is away or cannot; the text says why and what to do.
pub async fn open(shop: &Shop) -> Result<(), String> {
    let mut pipe = Pipeline::new();
    pipe.cmd("INFO");
    let answer = shop.read(&pipe).await?.pop().unwrap_or(Value::Nil);
    let info: String = answered(answer)?;
    let info: HashMap<&str, &str> =
        info.lines().filter_map(|line| line.split_once(':')).map(|(k, v)| (k, v.trim())).collect();
    let field = |name: &str| info.get(name).copied().unwrap_or_default();
    if field("cluster_enabled") == "1" {
        return Err("intake.url: it is a node of a Redis Cluster, of which one node knows a part of the orders only; \
                    the intake reads a server of its own (standalone, or a primary with replicas) \
                    for now"
            .to_owned());
    }
    if field("role") == "slave" {
        return Err(
            "intake.url: it is a replica, which cannot be written to; give the address of \
            its primary"
                .to_owned(),
        );
    }
    let version = field("redis_version");
    if version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok())
        .is_none_or(|major| major < 6)
    {
        return Err(format!(
            "intake.url: its version is {version:?}; 6.0 or newer is needed (SET … KEEPTTL)"
        ));
    }
    Ok(())
}
