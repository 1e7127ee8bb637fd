//! The steps of one transaction, in the same order on every database: events, orders, ledger,
//! balances, each sorted by order or buyer. The fixed order prevents deadlocks between batches.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;

use super::points::Points;
use super::row::EventRow;
use super::statement::Statement;

/// An entry of the ledger.
#[derive(Debug, Clone)]
pub struct LedgerEntry<'a> {
    /// The order.
    pub order_id: &'a str,
    /// The event that caused it.
    pub event_id: &'a str,
    /// The buyer.
    pub buyer_id: &'a str,
    /// The points; negative for a debit.
    pub points: i64,
}

/// The kind of a ledger entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// The points of the receipt.
    Credit,
    /// The same points, taken back by the refund.
    Debit,
}

impl EntryKind {
    /// The value of the column `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Credit => "credit",
            EntryKind::Debit => "debit",
        }
    }
}

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// An error of the database or its connection.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// Another transaction wrote the same rows at the same time. The next try sees them.
    #[error("another transaction wrote the same rows")]
    Raced,
    /// The points do not fit into a signed 64-bit column.
    #[error("its points are more than a database can store")]
    TooManyPoints,
}

/// One transaction of a database. It changes nothing if it is dropped before its commit.
#[async_trait]
pub trait Transaction: Send {
    /// Adds the missing events, and returns their ids.
    async fn record(&mut self, rows: &[EventRow<'_>]) -> Result<HashSet<String>, TransactionError>;
    /// Updates the table of orders, at most one row for each order. An older version changes
    /// nothing.
    async fn upsert(&mut self, rows: &[&EventRow<'_>]) -> Result<(), TransactionError>;
    /// Runs a statement of the shop.
    async fn run(
        &mut self,
        statement: &Statement,
        row: &EventRow<'_>,
    ) -> Result<(), TransactionError>;
    /// Adds the missing entries, at most one for each order. Returns the orders that got one.
    async fn book(
        &mut self,
        kind: EntryKind,
        entries: &[LedgerEntry<'_>],
    ) -> Result<HashSet<String>, TransactionError>;
    /// Reads and locks the credits of orders.
    async fn credits(&mut self, orders: &[&str]) -> Result<HashMap<String, i64>, TransactionError>;
    /// Adds to balances.
    async fn add(&mut self, balances: &[(&str, i64)]) -> Result<(), TransactionError>;
    /// Commits.
    async fn commit(self: Box<Self>) -> Result<(), TransactionError>;
}

/// Runs all steps for `rows`. They must be sorted by order and version, without duplicates.
pub async fn write(
    transaction: &mut dyn Transaction,
    rows: &[EventRow<'_>],
    statements: &[Statement],
    points: Option<&Points>,
) -> Result<(), TransactionError> {
    let fresh = transaction.record(rows).await?;
    if statements.is_empty() {
        transaction.upsert(&newest(rows)).await?;
    }
    for row in rows.iter().filter(|row| fresh.contains(&row.event_id)) {
        for statement in statements {
            transaction.run(statement, row).await?;
        }
    }
    match points {
        Some(points) => keep_points(transaction, rows, points).await,
        None => Ok(()),
    }
}

/// The last row of each order.
fn newest<'r, 'a>(rows: &'r [EventRow<'a>]) -> Vec<&'r EventRow<'a>> {
    let last = |at: usize| {
        rows.get(at + 1).is_none_or(|next: &EventRow<'_>| next.order.id != rows[at].order.id)
    };
    (0..rows.len()).filter(|&at| last(at)).map(|at| &rows[at]).collect()
}

async fn keep_points(
    transaction: &mut dyn Transaction,
    rows: &[EventRow<'_>],
    points: &Points,
) -> Result<(), TransactionError> {
    let credits = credits(rows, points)?;
    let mut sums = Sums::default();
    sums.book(transaction, EntryKind::Credit, &credits).await?;
    let refunds: Vec<&EventRow<'_>> =
        rows.iter().filter(|row| row.is_refund_of_receipt() && row.buyer_id().is_some()).collect();
    if !refunds.is_empty() {
        let orders: Vec<&str> = refunds.iter().map(|row| row.order_id()).collect();
        let credited = transaction.credits(&orders).await?;
        let debits: Vec<LedgerEntry<'_>> =
            refunds.iter().filter_map(|row| entry(row, -*credited.get(row.order_id())?)).collect();
        sums.book(transaction, EntryKind::Debit, &debits).await?;
    }
    let balances: Vec<(&str, i64)> =
        sums.0.into_iter().filter(|(_, points)| *points != 0).collect();
    if balances.is_empty() { Ok(()) } else { transaction.add(&balances).await }
}

/// The credits of receipts, and a credit of 0 for each refund. If a refund is written before its
/// receipt, the receipt finds that credit and adds nothing.
fn credits<'r>(
    rows: &'r [EventRow<'_>],
    points: &Points,
) -> Result<Vec<LedgerEntry<'r>>, TransactionError> {
    let mut entries: Vec<LedgerEntry<'r>> = Vec::new();
    for row in rows.iter().filter(|row| row.is_receipt() || row.is_refund_of_receipt()) {
        let earned = if row.is_receipt() {
            points.of(row.order).ok_or(TransactionError::TooManyPoints)?
        } else {
            0
        };
        // A receipt sorts before its refund, so the first entry of an order counts.
        if entries.last().is_none_or(|last| last.order_id != row.order_id()) {
            entries.extend(entry(row, earned));
        }
    }
    Ok(entries)
}

/// `None` if the order has no buyer.
fn entry<'r>(row: &'r EventRow<'_>, points: i64) -> Option<LedgerEntry<'r>> {
    Some(LedgerEntry {
        order_id: row.order_id(),
        event_id: &row.event_id,
        buyer_id: row.buyer_id()?,
        points,
    })
}

/// The sum for each buyer, sorted by buyer.
#[derive(Default)]
struct Sums<'a>(BTreeMap<&'a str, i64>);

impl<'a> Sums<'a> {
    /// Books the entries, and adds the new ones to the sums.
    async fn book(
        &mut self,
        transaction: &mut dyn Transaction,
        kind: EntryKind,
        entries: &[LedgerEntry<'a>],
    ) -> Result<(), TransactionError> {
        if entries.is_empty() {
            return Ok(());
        }
        let booked = transaction.book(kind, entries).await?;
        for entry in entries.iter().filter(|entry| booked.contains(entry.order_id)) {
            let sum = self.0.entry(entry.buyer_id).or_default();
            *sum = sum.checked_add(entry.points).ok_or(TransactionError::TooManyPoints)?;
        }
        Ok(())
    }
}
