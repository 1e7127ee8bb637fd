//! Every order there is, a few at a time, and entries for them.
//!
//! `HSCAN` shows each order that stays where it is at least once, however much is added and removed meanwhile, but only as
//! long as the same process answers: another one hashes differently. So a cursor names the process, and where another one
//! answers, the shard begins anew.

use autoreceive_domain::{Event, OrderId};
use autoreceive_redis_connection::redis::{Pipeline, Value};

use super::outbox::unavailable;
use super::reply::{Replies, order, text};
use super::{RedisStore, by_shard};
use autoreceive_store::{ActionName, Scan, Shard, Store, StoreError, entry};

/// How many entries one script adds.
const STEP: usize = 200;

/// Where a scan goes on.
struct Place {
    shard: Shard,
    scan: String,
    process: String,
}

impl Place {
    fn parse(cursor: &str) -> Result<Place, StoreError> {
        let read = || {
            let [shard, scan, process] = cursor.split('.').collect::<Vec<_>>().try_into().ok()?;
            scan.parse::<u64>().ok()?;
            Some(Place { shard: shard.parse().ok()?, scan: scan.to_owned(), process: process.to_owned() })
        };
        read().ok_or_else(|| StoreError::WrongCursor(cursor.chars().take(80).collect()))
    }
}

impl RedisStore {
    pub(super) async fn scan_orders(&self, cursor: Option<&str>, limit: usize) -> Result<Scan, StoreError> {
        let start = || Place { shard: 0, scan: "0".to_owned(), process: String::new() };
        let place = cursor.map_or_else(|| Ok(start()), Place::parse)?;
        let total = if cursor.is_none() { Some(self.count_orders().await?) } else { None };
        let (mut scan, process) = self.scan_shard(place.shard, &place.scan, limit).await?;
        if place.scan != "0" && process != place.process {
            (scan, _) = self.scan_shard(place.shard, "0", limit).await?;
        }
        Ok(Scan { total, ..scan })
    }

    async fn count_orders(&self) -> Result<u64, StoreError> {
        let mut pipe = Pipeline::with_capacity(self.shards.get().into());
        for shard in self.shards.all() {
            pipe.cmd("HLEN").arg(self.keys.orders(shard));
        }
        let mut replies = self.ask(&pipe).await?;
        self.shards.all().map(|_| replies.count()).sum()
    }

    /// One step, and which process made it.
    async fn scan_shard(&self, shard: Shard, from: &str, limit: usize) -> Result<(Scan, String), StoreError> {
        let mut pipe = Pipeline::new();
        self.ask_time(&mut pipe);
        pipe.cmd("INFO").arg("server");
        pipe.cmd("HSCAN").arg(self.keys.orders(shard)).arg(from).arg("COUNT").arg(limit);
        let mut replies = self.ask(&pipe).await?;
        let (now, process) = (self.time_of(&mut replies)?, process(&replies.text()?.unwrap_or_default()));
        let mut answer = replies.nested()?;
        let next = answer.text()?.filter(|next| next != "0");
        let shard_after = Some(shard + 1).filter(|after| *after < self.shards.get());
        let cursor = match next {
            Some(next) => Some(format!("{shard}.{next}.{process}")),
            None => shard_after.map(|after| format!("{after}.0.{process}")),
        };
        Ok((Scan { now, orders: orders(answer.list()?), total: None, cursor }, process))
    }

    pub(super) async fn add_entries(&self, action: &ActionName, events: &[Event]) -> Result<u64, StoreError> {
        self.note_action(action).await?;
        let mut calls = Pipeline::new();
        for (shard, places) in by_shard(events.iter().map(|event| self.shard_of(&event.0.id))) {
            let keys =
                [self.keys.out(shard, action), self.keys.outdata(shard, action), self.keys.dead(shard, action), self.keys.clock(shard)];
            for places in places.chunks(STEP) {
                let mut call = self.scripts.add.call(&keys);
                for event in places.iter().map(|&place| &events[place]) {
                    call.arg(event.id()).arg(entry::encode(None, [event]));
                }
                calls.add_command(call);
            }
        }
        let mut added = 0;
        for answer in self.link.run(&self.scripts.add, &calls).await {
            added += Replies::new(vec![answer.map_err(unavailable)?]).count()?;
        }
        Ok(added)
    }
}

/// The id of the process, from the answer to `INFO server`.
fn process(info: &str) -> String {
    let id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
    id.chars().filter(char::is_ascii_alphanumeric).take(12).collect()
}

/// The orders of an answer; an id that is none was not written by this program and is passed over.
fn orders(fields: Vec<Value>) -> Vec<Result<autoreceive_domain::Order, autoreceive_domain::record::Unreadable>> {
    let mut fields = fields.into_iter();
    let mut found = Vec::with_capacity(fields.len() / 2);
    while let (Some(id), Some(record)) = (fields.next(), fields.next()) {
        if let Some(id) = text(id).and_then(|id| id.parse::<OrderId>().ok()) {
            found.extend(order(&id, &record).transpose());
        }
    }
    found
}
