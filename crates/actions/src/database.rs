//! The `database` action: writes orders and events to the shop's own PostgreSQL, MySQL or MariaDB,
//! or runs the shop's own statements there. It can also credit points, exactly once.
//!
//! | module | does |
//! |---|---|
//! | [`transaction`] | the steps of one transaction, the same on every database |
//! | [`server`] | the trait of a database; `postgres` and `mysql` implement it |
//! | [`row`] | an event as columns |
//! | [`statement`] | parses the shop's own SQL |
//! | [`points`] | computes the points of a receipt |
//! | [`reconcile`] | checks ledger and balances |
//! | [`schema`], [`failure`] | versions of the tables; whether an error is retried |

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use autoreceive_domain::Event;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::{Action, Outcome};

pub use points::{Earning, Points, Rate, Rule, WrongRate};
pub use reconcile::{Difference, ReconcileReport};
pub use server::{DatabaseSettings, Dialect};
pub use statement::{Statement, WrongStatement};

use failure::WriteFailure;
use row::EventRow;
use server::DatabaseServer;

mod failure;
mod mysql;
mod points;
mod postgres;
mod reconcile;
mod row;
mod schema;
mod server;
mod statement;
mod transaction;

/// Tries of a batch that conflicts with another transaction. After them the relay retries later.
const TRIES: usize = 5;
/// The longest time of a comparison of the whole database.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(600);

/// Writes events to a database.
pub struct Database {
    server: Box<dyn DatabaseServer>,
    timeout: Duration,
    /// Run once for each event, instead of writing the table of orders.
    statements: Vec<Statement>,
    points: Option<Points>,
    /// Set after the tables were checked.
    ready: OnceCell<()>,
}

/// Why a database cannot be used or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The address is invalid.
    #[error("{0}")]
    Address(String),
    /// The comparison took too long.
    #[error("the comparison took longer than 10 minutes")]
    TimedOut,
    /// The database is unavailable, or its tables do not exist.
    #[error("the database could not be compared: {0}")]
    Compare(String),
}

impl Database {
    /// The database of `settings`. Without `statements` it keeps a table of orders. It connects at
    /// the first attempt.
    ///
    /// # Errors
    /// If the address is invalid.
    pub fn new(
        settings: &DatabaseSettings,
        statements: Vec<Statement>,
        points: Option<Points>,
    ) -> Result<Database, DatabaseError> {
        let server =
            server::server(settings).map_err(|error| DatabaseError::Address(error.to_string()))?;
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
    /// If the database is unavailable, or its tables do not exist.
    pub async fn reconcile(&self) -> Result<ReconcileReport, DatabaseError> {
        timeout(RECONCILE_TIMEOUT, self.server.reconcile())
            .await
            .map_err(|_| DatabaseError::TimedOut)?
            .map_err(|error| DatabaseError::Compare(error.to_string()))
    }

    /// Writes `rows` in one transaction. Tries again at once after a conflict with another one.
    async fn write(&self, rows: &[EventRow<'_>]) -> Result<(), WriteFailure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let late = |_| {
                WriteFailure::Later(format!(
                    "the database did not answer within {} ms",
                    self.timeout.as_millis()
                ))
            };
            match timeout(self.timeout, self.write_once(rows)).await.map_err(late).flatten() {
                Err(WriteFailure::Conflict(_)) if tries < TRIES => {}
                Err(WriteFailure::Conflict(why)) => return Err(WriteFailure::Later(why)),
                result => return result,
            }
        }
    }

    async fn write_once(&self, rows: &[EventRow<'_>]) -> Result<(), WriteFailure> {
        self.ready.get_or_try_init(|| self.server.migrate()).await?;
        let mut transaction = self.server.begin().await?;
        transaction::write(&mut *transaction, rows, &self.statements, self.points.as_ref()).await?;
        Ok(transaction.commit().await?)
    }

    /// Writes all rows in one transaction. If the database refuses a value, the batch is halved
    /// until each refused event is alone.
    async fn write_all(&self, rows: &[EventRow<'_>], failed: &mut Vec<(String, Outcome)>) {
        let mut parts = vec![rows];
        while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
            match self.write(part).await {
                Ok(()) => {}
                Err(WriteFailure::Refused(why)) if part.len() > 1 => {
                    tracing::debug!(events = part.len(), why, "a refused batch is halved");
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(WriteFailure::Refused(why)) => failed.extend(
                    part.iter()
                        .map(|row| (row.event_id.clone(), Outcome::Dead { why: why.clone() })),
                ),
                Err(WriteFailure::Later(why) | WriteFailure::Conflict(why)) => {
                    let unwritten = part.iter().chain(parts.into_iter().flatten());
                    failed.extend(
                        unwritten.map(|row| (row.event_id.clone(), Outcome::retry(why.clone()))),
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
            match EventRow::new(event) {
                Ok(row) => rows.push(row),
                Err(error) => failed.push((event.id(), Outcome::Dead { why: error.to_string() })),
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
