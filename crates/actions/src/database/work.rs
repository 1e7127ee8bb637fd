//! What is done in one transaction, in the same order on every database, so that two batches never
//! wait for each other in a circle: events, orders, ledger, balances, each from the lowest order or
//! buyer to the highest.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;

use super::points::Points;
use super::row::Row;
use super::statement::Statement;

/// An entry of the ledger.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The order it is for.
    pub order_id: &'a str,
    /// The event that made it.
    pub event_id: &'a str,
    /// Whose points.
    pub buyer_id: &'a str,
    /// How many; fewer than none where they are taken back.
    pub points: i64,
}

/// What the receipt of an order brings, and what its refund takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the receipt brings.
    Credit,
    /// What the refund takes back.
    Debit,
}

impl Kind {
    /// The kind as it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Credit => "credit",
            Kind::Debit => "debit",
        }
    }
}

/// Why a transaction was not made.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The database, or the way to it.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// Another transaction wrote the same rows meanwhile; the next try finds them.
    #[error("another transaction wrote the same rows")]
    Raced,
    /// What an event is worth cannot be kept.
    #[error("its points are more than a database keeps")]
    TooManyPoints,
}

/// One transaction of a database. Dropped before its commit, it changes nothing.
#[async_trait]
pub trait Work: Send {
    /// Adds the events that are not there yet, and returns their ids.
    async fn record(&mut self, rows: &[Row<'_>]) -> Result<HashSet<String>, WorkError>;
    /// Brings the table of orders up to these rows, one for each order; what is older than the
    /// table changes nothing.
    async fn upsert(&mut self, rows: &[&Row<'_>]) -> Result<(), WorkError>;
    /// Runs a statement of the shop's.
    async fn run(&mut self, statement: &Statement, row: &Row<'_>) -> Result<(), WorkError>;
    /// Adds the entries, one for each order, that are not there yet, and returns the orders that
    /// got one.
    async fn book(
        &mut self,
        kind: Kind,
        entries: &[Entry<'_>],
    ) -> Result<HashSet<String>, WorkError>;
    /// Reads and locks the credits of orders.
    async fn credits(&mut self, orders: &[&str]) -> Result<HashMap<String, i64>, WorkError>;
    /// Adds to balances.
    async fn add(&mut self, balances: &[(&str, i64)]) -> Result<(), WorkError>;
    /// Makes all of it durable.
    async fn commit(self: Box<Self>) -> Result<(), WorkError>;
}

/// Does everything that `rows` ask for. They are sorted by order and version, and no event is among
/// them twice.
pub async fn write(
    work: &mut dyn Work,
    rows: &[Row<'_>],
    statements: &[Statement],
    points: Option<&Points>,
) -> Result<(), WorkError> {
    let fresh = work.record(rows).await?;
    if statements.is_empty() {
        work.upsert(&newest(rows)).await?;
    }
    for row in rows.iter().filter(|row| fresh.contains(&row.event_id)) {
        for statement in statements {
            work.run(statement, row).await?;
        }
    }
    match points {
        Some(points) => keep_points(work, rows, points).await,
        None => Ok(()),
    }
}

/// The last row of each order.
fn newest<'r, 'a>(rows: &'r [Row<'a>]) -> Vec<&'r Row<'a>> {
    let last = |at: usize| {
        rows.get(at + 1).is_none_or(|next: &Row<'_>| next.order.id != rows[at].order.id)
    };
    (0..rows.len()).filter(|&at| last(at)).map(|at| &rows[at]).collect()
}

async fn keep_points(
    work: &mut dyn Work,
    rows: &[Row<'_>],
    points: &Points,
) -> Result<(), WorkError> {
    let credits = credits(rows, points)?;
    let mut sums = Sums::default();
    sums.book(work, Kind::Credit, &credits).await?;
    let refunds: Vec<&Row<'_>> =
        rows.iter().filter(|row| row.is_refund_of_receipt() && row.buyer_id().is_some()).collect();
    if !refunds.is_empty() {
        let orders: Vec<&str> = refunds.iter().map(|row| row.order_id()).collect();
        let credited = work.credits(&orders).await?;
        let debits: Vec<Entry<'_>> =
            refunds.iter().filter_map(|row| entry(row, -*credited.get(row.order_id())?)).collect();
        sums.book(work, Kind::Debit, &debits).await?;
    }
    let balances: Vec<(&str, i64)> =
        sums.0.into_iter().filter(|(_, points)| *points != 0).collect();
    if balances.is_empty() { Ok(()) } else { work.add(&balances).await }
}

/// What receipts bring, and for refunds nothing: where the receipt has not come yet, it finds this
/// and does nothing.
fn credits<'r>(rows: &'r [Row<'_>], points: &Points) -> Result<Vec<Entry<'r>>, WorkError> {
    let mut entries: Vec<Entry<'r>> = Vec::new();
    for row in rows.iter().filter(|row| row.is_receipt() || row.is_refund_of_receipt()) {
        let worth = if row.is_receipt() {
            points.of(row.order).ok_or(WorkError::TooManyPoints)?
        } else {
            0
        };
        // A receipt sorts before its refund, so the first one counts.
        if entries.last().is_none_or(|last| last.order_id != row.order_id()) {
            entries.extend(entry(row, worth));
        }
    }
    Ok(entries)
}

/// Points have to be somebody's.
fn entry<'r>(row: &'r Row<'_>, points: i64) -> Option<Entry<'r>> {
    Some(Entry {
        order_id: row.order_id(),
        event_id: &row.event_id,
        buyer_id: row.buyer_id()?,
        points,
    })
}

/// What is added to whose balance, sorted by buyer.
#[derive(Default)]
struct Sums<'a>(BTreeMap<&'a str, i64>);

impl<'a> Sums<'a> {
    /// Books the entries, and counts those that were not there yet.
    async fn book(
        &mut self,
        work: &mut dyn Work,
        kind: Kind,
        entries: &[Entry<'a>],
    ) -> Result<(), WorkError> {
        if entries.is_empty() {
            return Ok(());
        }
        let booked = work.book(kind, entries).await?;
        for entry in entries.iter().filter(|entry| booked.contains(entry.order_id)) {
            let sum = self.0.entry(entry.buyer_id).or_default();
            *sum = sum.checked_add(entry.points).ok_or(WorkError::TooManyPoints)?;
        }
        Ok(())
    }
}
