//! Checks the points: each receipt and each refund has one entry in the ledger, and each balance is
//! the sum of its entries.

const DIFFERENCES: &str = include_str!("reconcile.sql");
const TOTALS: &str = include_str!("totals.sql");

/// The most differences in a report.
const MAX_DIFFERENCES: usize = 1_000;

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ReconcileReport {
    /// Events on record.
    pub events: u64,
    /// Entries in the ledger.
    pub entries: u64,
    /// Buyers with a balance.
    pub buyers: u64,
    /// The sum of the ledger.
    pub ledger: i128,
    /// The sum of the balances.
    pub balances: i128,
    /// Receipts without a credit from the time before the first booking, when no points were kept.
    /// They are not differences. A backfill of the action credits each of them.
    pub earlier: u64,
    /// The differences, at most 1,000.
    pub differences: Vec<Difference>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The kind of the difference.
    pub problem: String,
    /// The event or the buyer.
    pub subject: String,
    /// The expected value.
    pub expected: String,
    /// The value in the database.
    pub found: String,
}

/// Words that differ between the SQL dialects.
pub struct SqlTypes {
    /// The text type in a cast.
    pub text: &'static str,
    /// An interval of a minute.
    pub minute: &'static str,
}

/// The query for [`ReconcileReport::differences`].
pub fn differences(prefix: &str, types: &SqlTypes) -> String {
    fill(DIFFERENCES, prefix, types).replace("{limit}", &MAX_DIFFERENCES.to_string())
}

/// The query for the figures of a [`ReconcileReport`].
pub fn totals(prefix: &str, types: &SqlTypes) -> String {
    fill(TOTALS, prefix, types)
}

fn fill(sql: &str, prefix: &str, types: &SqlTypes) -> String {
    sql.replace("{prefix}", prefix).replace("{text}", types.text).replace("{minute}", types.minute)
}

impl ReconcileReport {
    /// A report from the rows of both queries.
    pub(super) fn new(
        totals: Vec<Option<String>>,
        differences: Vec<Vec<Option<String>>>,
    ) -> Result<ReconcileReport, sqlx::Error> {
        Ok(ReconcileReport {
            events: number(&totals, 0)?,
            entries: number(&totals, 1)?,
            buyers: number(&totals, 2)?,
            ledger: number(&totals, 3)?,
            balances: number(&totals, 4)?,
            earlier: number(&totals, 5)?,
            differences: differences.into_iter().map(difference).collect(),
        })
    }
}

fn number<T: std::str::FromStr>(totals: &[Option<String>], at: usize) -> Result<T, sqlx::Error> {
    let text = totals.get(at).and_then(Option::as_deref);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| sqlx::Error::Decode("a sum is not a whole number".into()))
}

fn difference(row: Vec<Option<String>>) -> Difference {
    let mut row = row.into_iter().map(|text| text.unwrap_or_else(|| "none".to_owned()));
    let mut next = || row.next().unwrap_or_default();
    Difference { problem: next(), subject: next(), expected: next(), found: next() }
}
