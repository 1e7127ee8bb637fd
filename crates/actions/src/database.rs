//! The `database` action: orders and events in the shop's own PostgreSQL, MySQL or MariaDB, or the
//! shop's own statements run there; and points, credited exactly once.
//!
//! | module | does |
//! |---|---|
//! | [`work`] | what one transaction does, in which order, the same on every database |
//! | [`server`] | the seam to a database; `postgres` and `mysql` behind it |
//! | [`row`] | an event as columns |
//! | [`statement`] | the shop's own SQL |
//! | [`points`] | what a receipt is worth |
//! | [`reconcile`] | whether the points are right |
//! | [`schema`], [`failure`] | versions of the tables; what an error means |

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::Event;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::{Action, Outcome};

pub use points::{Earning, Points, Rate, Rule, WrongRate};
pub use reconcile::{Difference, Report};
pub use server::{Dialect, Settings};
pub use statement::{Statement, WrongStatement};

use failure::Failure;
use row::Row;
use server::Server;

mod failure;
mod mysql;
mod points;
mod postgres;
mod reconcile;
mod row;
mod schema;
mod server;
mod statement;
mod work;

/// How often a batch is tried at once that met another one; then it is tried again later.
const TRIES: usize = 5;
/// The longest that a comparison of the whole database may take.
const RECONCILE_WITHIN: Duration = Duration::from_secs(600);

/// Keeps a database up to date with the orders.
pub struct Database {
    server: Box<dyn Server>,
    timeout: Duration,
    /// Run once for each event in place of keeping the table of orders.
    statements: Vec<Statement>,
    points: Option<Points>,
    /// Set once the tables are known to be there.
    ready: OnceCell<()>,
}

/// Why a database cannot be used at all, or not be compared now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(String);

impl Database {
    /// The database at an address, with the shop's own statements (none: a table of orders is kept)
    /// and what points are credited, if any. Nothing is connected to before the first attempt.
    ///
    /// # Errors
    /// Where the address is not one.
    pub fn new(
        settings: &Settings,
        statements: Vec<Statement>,
        points: Option<Points>,
    ) -> Result<Database, DatabaseError> {
        let server = server::server(settings).map_err(|error| DatabaseError(error.to_string()))?;
        Ok(Database {
            server,
            timeout: settings.timeout,
            statements,
            points,
            ready: OnceCell::new(),
        })
    }

    /// Compares events, ledger and balances.
    ///
    /// # Errors
    /// Where the database is away, or has no such tables.
    pub async fn reconcile(&self) -> Result<Report, DatabaseError> {
        let report = timeout(RECONCILE_WITHIN, self.server.reconcile()).await;
        let report = report.map_err(|_| {
            DatabaseError("the comparison did not end within 10 minutes".to_owned())
        })?;
        report
            .map_err(|error| DatabaseError(format!("the database could not be compared: {error}")))
    }

    /// Writes `rows` in one transaction, again where it met another one.
    async fn write(&self, rows: &[Row<'_>]) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let late = |_| {
                Failure::Later(format!(
                    "the database did not answer within {} ms",
                    self.timeout.as_millis()
                ))
            };
            match timeout(self.timeout, self.write_once(rows)).await.map_err(late).flatten() {
                Err(Failure::Again(_)) if tries < TRIES => {}
                Err(Failure::Again(why)) => return Err(Failure::Later(why)),
                result => return result,
            }
        }
    }

    async fn write_once(&self, rows: &[Row<'_>]) -> Result<(), Failure> {
        self.ready.get_or_try_init(|| self.server.migrate()).await?;
        let mut work = self.server.begin().await?;
        work::write(&mut *work, rows, &self.statements, self.points.as_ref()).await?;
        Ok(work.commit().await?)
    }

    /// Writes all rows: in one transaction, or, where the database refuses something in it, in
    /// halves, until what is refused stands alone.
    async fn write_all(&self, rows: &[Row<'_>], failed: &mut Vec<(String, Outcome)>) {
        let mut parts = vec![rows];
        while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
            match self.write(part).await {
                Ok(()) => {}
                Err(Failure::Refused(why)) if part.len() > 1 => {
                    tracing::debug!(events = part.len(), why, "a batch is written in halves");
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(Failure::Refused(why)) => failed.extend(
                    part.iter()
                        .map(|row| (row.event_id.clone(), Outcome::Dead { why: why.clone() })),
                ),
                Err(Failure::Later(why) | Failure::Again(why)) => {
                    let left = part.iter().chain(parts.into_iter().flatten());
                    failed.extend(
                        left.map(|row| (row.event_id.clone(), Outcome::retry(why.clone()))),
                    );
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl Action for Database {
    async fn attempt(&self, events: &[Event]) -> Vec<Outcome> {
        let mut failed = Vec::new();
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            match Row::new(event) {
                Ok(row) => rows.push(row),
                Err(why) => failed.push((event.id(), Outcome::Dead { why })),
            }
        }
        rows.sort_by(|a, b| (&a.order.id, a.version).cmp(&(&b.order.id, b.version)));
        rows.dedup_by(|a, b| a.event_id == b.event_id);
        self.write_all(&rows, &mut failed).await;
        let failed: HashMap<String, Outcome> = failed.into_iter().collect();
        events
            .iter()
            .map(|event| failed.get(&event.id()).cloned().unwrap_or(Outcome::Done))
            .collect()
    }
}
