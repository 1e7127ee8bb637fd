//! The checks before the store is used, so that nothing fails half-way later. Each message says
//! what was found, what is expected, and what to do. No message contains the password.

use std::collections::HashMap;
use std::sync::Arc;

use autoreceive_redis_connection::redis::{Pipeline, Value};

use super::reply::text;
use super::{RedisSettings, RedisStore};
use autoreceive_domain::{ActionName, Shard, ShardCount};
use autoreceive_redis_connection::{Address, Failure, Link, server_text};
use autoreceive_store::{Format, Identity, Lane, OpenError, Queue, ShardState, Space};

/// The value of `program` in every `meta` key of autoreceive.
const PROGRAM: &str = "autoreceive";

/// Every command on a shard's keys, with the number of arguments after the key.
const SHARD_COMMANDS: [(&str, u8); 19] = [
    ("GET", 0),
    ("SET", 1),
    ("HSET", 2),
    ("HSETNX", 2),
    ("HDEL", 1),
    ("HINCRBY", 2),
    ("HGET", 1),
    ("HMGET", 1),
    ("HGETALL", 0),
    ("HLEN", 0),
    ("HSCAN", 1),
    ("ZADD", 2),
    ("ZREM", 1),
    ("ZRANGE", 2),
    ("ZCARD", 0),
    ("ZCOUNT", 2),
    ("ZSCORE", 1),
    ("ZREMRANGEBYSCORE", 2),
    ("TYPE", 0),
];

/// Parses the address.
pub(super) fn address(settings: &RedisSettings) -> Result<Address, OpenError> {
    settings
        .url
        .parse()
        .map_err(|why| OpenError::Unfit(format!("the Redis address is not valid; {why}")))
}

fn refuse<T>(why: String) -> Result<T, OpenError> {
    Err(OpenError::Unfit(why))
}

impl RedisSettings {
    /// The longest prefix, in bytes.
    const PREFIX_BYTES: usize = 64;
    /// The most connections.
    const MAX_CONNECTIONS: usize = 64;

    /// All problems with the settings, one line each, starting with the field's name. The address
    /// is parsed when the store is opened.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let RedisSettings { url: _, prefix, shards, timeout, connections, test_clock: _ } = self;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':' | b'.');
        let mut problems = Vec::new();
        if !(1..=RedisSettings::PREFIX_BYTES).contains(&prefix.len())
            || !prefix.bytes().all(is_plain)
        {
            problems.push(format!(
                "prefix: is {prefix:?}; expected 1 to {} of A-Z, a-z, 0-9, _, -, : and .",
                RedisSettings::PREFIX_BYTES
            ));
        }
        if ShardCount::new(*shards).is_none() {
            problems.push(format!("shards: is {shards}; expected 1 to {}", ShardCount::MAX));
        }
        if !(1..=RedisSettings::MAX_CONNECTIONS).contains(connections) {
            problems.push(format!(
                "connections: is {connections}; expected 1 to {}",
                RedisSettings::MAX_CONNECTIONS
            ));
        }
        if timeout.ms() == 0 {
            problems.push("timeout: is 0; expected at least 1ms, usually 5s".to_owned());
        }
        problems
    }

    /// The number of shards, if all settings are valid.
    pub(super) fn checked(&self) -> Result<ShardCount, OpenError> {
        match (ShardCount::new(self.shards), self.problems()) {
            (Some(shards), problems) if problems.is_empty() => Ok(shards),
            (_, problems) => refuse(problems.join("; ")),
        }
    }
}

impl RedisStore {
    /// Checks the server, the user's permissions and the stored data.
    pub(super) async fn check(&self, address: &str) -> Result<(), OpenError> {
        self.check_all().await.map_err(|why| match why {
            OpenError::Away(why) => OpenError::Away(format!("Redis at {address}: {why}")),
            OpenError::Unfit(why) => OpenError::Unfit(format!("Redis at {address}: {why}")),
            other => other,
        })
    }

    async fn check_all(&self) -> Result<(), OpenError> {
        let info = info(&self.link).await?;
        check_server(&info)?;
        if info.get("aof_enabled").is_some_and(|enabled| enabled == "0") {
            tracing::warn!(
                "Redis has no append-only file: it loses acknowledged commits when it restarts; \
                    set `appendonly yes`"
            );
        }
        self.check_rights().await?;
        self.check_meta().await?;
        self.check_types().await
    }

    async fn check_rights(&self) -> Result<(), OpenError> {
        let mut call = self.scripts.probe.call(&[]);
        let shard_keys = self.keys.orders(0);
        let circuits = self.keys.space(Space::Circuits);
        let log = self.keys.any_log();
        let others = [
            ("EVALSHA", "0".to_owned(), 1),
            ("HGETALL", self.keys.meta(), 0),
            ("ZADD", self.keys.workers(), 2),
            ("HSET", circuits.clone(), 2),
            ("HKEYS", circuits, 0),
            ("XADD", log.clone(), 3),
            ("XREVRANGE", log, 2),
        ];
        for (command, args) in SHARD_COMMANDS {
            call.arg(command).arg(&shard_keys).arg(args);
        }
        for (command, key, args) in others {
            call.arg(command).arg(key).arg(args);
        }
        let mut calls = Pipeline::new();
        calls.add_command(call);
        let mut answers = self.link.run(&self.scripts.probe, &calls).await;
        let refused = answers
            .pop()
            .unwrap_or(Ok(Value::Nil))
            .map_err(|failure| failed("scripts cannot be run", failure))?;
        let refused: Vec<String> = list(refused).chunks(2).map(|pair| pair.join(" ")).collect();
        if refused.is_empty() {
            return Ok(());
        }
        refuse(format!(
            "this user may not run {}; grant permissions, for example `~{}:* +@all -@dangerous \
                +info`",
            refused.join(", "),
            self.prefix
        ))
    }

    async fn check_meta(&self) -> Result<(), OpenError> {
        let key = self.keys.meta();
        let mut call = self.scripts.open.call(std::slice::from_ref(&key));
        call.arg(format!("{:016x}", rand::random::<u64>()))
            .arg(&["program", PROGRAM, "format"])
            .arg(Format::CURRENT.0)
            .arg("shards")
            .arg(self.shards.get());
        if self.test_clock {
            call.arg(&["test_clock", "yes"]);
        }
        let mut calls = Pipeline::new();
        calls.add_command(call);
        let answer =
            self.link.run(&self.scripts.open, &calls).await.pop().unwrap_or(Ok(Value::Nil));
        let fields = list(
            answer
                .map_err(|failure| failed(&format!("the key {key} cannot be written"), failure))?,
        );
        let field = |name: &str| {
            fields
                .chunks(2)
                .find(|pair| pair[0] == name)
                .and_then(|pair| pair.get(1))
                .map(String::as_str)
        };
        if field("program") != Some(PROGRAM) {
            return refuse(format!(
                "the key {key} was not written by autoreceive; choose another prefix or database"
            ));
        }
        let format = field("format").unwrap_or("none");
        let current = Format::CURRENT.0;
        match format.parse::<u32>() {
            Ok(format) if format == current => {}
            Ok(format) if format < current => {
                return refuse(format!(
                    "the store has format {format}, from an unreleased version; this version \
                        reads format {current}. Begin with another prefix or an empty database"
                ));
            }
            _ => {
                return refuse(format!(
                    "the store has format {format}; this version reads format {current}: run the \
                        version of autoreceive that wrote it, or a newer one"
                ));
            }
        }
        let shards = field("shards").unwrap_or("none");
        if shards.parse() != Ok(self.shards.get()) {
            return refuse(format!(
                "the store was created with {shards} shards, which cannot be changed, but {} are \
                    configured; configure {shards}",
                self.shards
            ));
        }
        let identity = Identity::from(field("id").unwrap_or_default());
        self.state.get_or_init(|| Arc::new(ShardState::new(identity, Format::CURRENT)));
        let for_tests = field("test_clock").is_some();
        if for_tests != self.test_clock {
            return refuse(format!(
                "the store under the prefix {:?}: {}",
                self.prefix,
                OpenError::other_clock(for_tests)
            ));
        }
        Ok(())
    }

    async fn check_types(&self) -> Result<(), OpenError> {
        self.check_types_of(&self.keys.fixed(self.shards)).await
    }

    /// Checks permissions and types again, including the queues of `actions` in one shard. If it
    /// succeeds, transactions can be used again.
    pub(super) async fn check_again(
        &self,
        shard: Shard,
        actions: &[ActionName],
    ) -> Result<(), OpenError> {
        self.check_rights().await?;
        let mut all = self.keys.fixed(self.shards);
        for action in actions {
            for lane in [Lane::Pending, Lane::Dead] {
                let [times, texts] =
                    self.keys.queue(shard, &Queue { action: action.clone(), lane });
                all.extend([(times, "zset"), (texts, "hash")]);
            }
        }
        self.check_types_of(&all).await
    }

    async fn check_types_of(&self, keys: &[(String, &'static str)]) -> Result<(), OpenError> {
        let mut pipe = Pipeline::with_capacity(keys.len());
        for (key, _) in keys {
            pipe.cmd("TYPE").arg(key);
        }
        let answers = self
            .link
            .send(&pipe)
            .await
            .map_err(|failure| failed("its keys cannot be checked", failure))?;
        for ((key, want), answer) in keys.iter().zip(answers) {
            let is = text(answer).unwrap_or_default();
            if is != *want && is != "none" {
                return refuse(format!(
                    "the key {key} has type {is}; expected {want}: another program writes under \
                        the prefix {:?}; choose another prefix",
                    self.prefix
                ));
            }
        }
        Ok(())
    }
}

/// The texts of an array.
fn list(answer: Value) -> Vec<String> {
    match answer {
        Value::Array(list) => {
            list.into_iter().map(|value| text(value).unwrap_or_default()).collect()
        }
        _ => Vec::new(),
    }
}

async fn info(link: &Link) -> Result<HashMap<String, String>, OpenError> {
    let mut pipe = Pipeline::new();
    pipe.cmd("INFO");
    let answer =
        link.send(&pipe).await.map_err(|failure| failed("cannot be reached", failure))?.pop();
    let info = match answer.unwrap_or(Value::Nil) {
        Value::ServerError(error) => {
            return refuse(format!(
                "INFO was refused ({}), but the server's version must be checked; grant `+info`",
                server_text(&error)
            ));
        }
        answer => text(answer).unwrap_or_default(),
    };
    Ok(info
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect())
}

fn check_server(info: &HashMap<String, String>) -> Result<(), OpenError> {
    let field = |name: &str| info.get(name).map_or("", String::as_str);
    let version = field("redis_version");
    if version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok())
        .is_none_or(|major| major < 7)
    {
        return refuse(format!("its version is {version:?}; expected 7.0 or newer"));
    }
    let policy = field("maxmemory_policy");
    if policy.starts_with("allkeys-") {
        return refuse(format!(
            "its maxmemory-policy is {policy}, which deletes orders when memory is full; set it to \
                noeviction"
        ));
    }
    if field("role") == "slave" {
        return refuse(
            "it is a read-only replica; configure the address of its primary".to_owned(),
        );
    }
    if field("cluster_enabled") == "1" {
        return refuse(
            "it is a node of a Redis Cluster, which is not supported here; configure the address \
                of a single server"
                .to_owned(),
        );
    }
    if field("loading") == "1" {
        return Err(OpenError::Away("it is still loading its data".to_owned()));
    }
    Ok(())
}

fn failed(what: &str, failure: Failure) -> OpenError {
    let passing = failure.is_passing();
    let why = format!("{what}: {}", failure.text());
    if passing { OpenError::Away(why) } else { OpenError::Unfit(why) }
}
