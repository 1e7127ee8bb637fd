//! Whether the points are right: every receipt and refund among the events has its one entry in the
//! ledger, and every balance is the sum of its entries.

const DIFFERENCES: &str = include_str!("reconcile.sql");
const TOTALS: &str = include_str!("totals.sql");

/// The most differences that are told.
const MOST: usize = 1_000;

/// What was compared, and what does not agree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
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
    /// Receipts without a credit that were recorded before the first booking, while no points were
    /// kept. They are no differences; fed to the action again, each is credited.
    pub earlier: u64,
    /// What does not agree, at most a thousand.
    pub differences: Vec<Difference>,
}

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// What is wrong.
    pub problem: String,
    /// The event or the buyer that it is wrong with.
    pub subject: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// How a database calls things.
pub struct Words {
    /// A text in a cast.
    pub text: &'static str,
    /// A minute.
    pub minute: &'static str,
}

/// The query for [`Report::differences`].
pub fn differences(prefix: &str, words: &Words) -> String {
    named(DIFFERENCES, prefix, words).replace("{limit}", &MOST.to_string())
}

/// The query for the figures of a [`Report`].
pub fn totals(prefix: &str, words: &Words) -> String {
    named(TOTALS, prefix, words)
}

fn named(sql: &str, prefix: &str, words: &Words) -> String {
    sql.replace("{prefix}", prefix).replace("{text}", words.text).replace("{minute}", words.minute)
}

impl Report {
    /// A report of the two queries' answers.
    pub(super) fn new(
        totals: Vec<Option<String>>,
        differences: Vec<Vec<Option<String>>>,
    ) -> Result<Report, sqlx::Error> {
        Ok(Report {
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
