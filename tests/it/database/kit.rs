//! Orders to write, and queries for the written rows.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use autoreceive::action::database::{
    Database, DatabaseSettings, Dialect, Earning, Points, ReconcileReport, Statement,
};
use autoreceive::action::{Action, Outcome};
use autoreceive::domain::{Event, EventKind, Order, Status, Time, record};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, Row};

use crate::support::mariadb::MariaDbProcess;
use crate::support::postgres::PostgresProcess;

/// The tables of one test in a real database.
pub struct TestDb {
    pub url: String,
    pub prefix: String,
    /// Keeps the server running.
    _server: Option<Arc<dyn Any + Send + Sync>>,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl TestDb {
    pub fn postgres() -> TestDb {
        let server = PostgresProcess::shared();
        TestDb { url: server.url(), _server: Some(server), ..TestDb::at(String::new()) }
    }

    pub fn mariadb() -> TestDb {
        let server = MariaDbProcess::shared();
        TestDb { url: server.url(), _server: Some(server), ..TestDb::at(String::new()) }
    }

    /// Tables in the database at `url`.
    pub fn at(url: String) -> TestDb {
        TestDb { url, prefix: format!("t{}_", NEXT.fetch_add(1, Ordering::Relaxed)), _server: None }
    }

    pub fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    pub fn settings(&self) -> DatabaseSettings {
        DatabaseSettings {
            url: self.url.clone(),
            connections: 4,
            timeout: Duration::from_secs(20),
            prefix: self.prefix.clone(),
        }
    }

    /// A worker's action without points.
    pub fn plain(&self) -> Database {
        Database::new(&self.settings(), Vec::new(), None).unwrap()
    }

    /// A worker's action that credits `rate` points.
    pub fn with_points(&self, rate: &str) -> Database {
        Database::new(&self.settings(), Vec::new(), Some(points(rate))).unwrap()
    }

    /// A worker's action that runs `sql`; `{p}` is replaced by the prefix.
    pub fn with_statement(&self, sql: &str) -> Database {
        let dialect = Dialect::of(&self.settings().url).unwrap();
        Database::new(
            &self.settings(),
            Statement::parse_all(&self.named(sql), dialect).unwrap(),
            None,
        )
        .unwrap()
    }

    fn named(&self, sql: &str) -> String {
        sql.replace("{p}", &self.prefix)
    }

    /// Runs SQL, with `{p}` replaced by the prefix. Returns each row as a line, with a bar between
    /// the columns.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(self.named(sql));
        macro_rules! lines {
            ($connection:ty) => {{
                let mut connection = <$connection>::connect(&self.url).await.unwrap();
                let rows = sqlx::raw_sql(sql).fetch_all(&mut connection).await.unwrap();
                let text = |row: &_, at| {
                    Row::try_get_unchecked::<Option<String>, _>(row, at)
                        .unwrap()
                        .unwrap_or_else(|| "-".to_owned())
                };
                let lines = rows
                    .iter()
                    .map(|row| (0..row.len()).map(|at| text(row, at)).collect::<Vec<_>>().join("|"))
                    .collect();
                connection.close().await.unwrap();
                lines
            }};
        }
        if self.is_postgres() { lines!(PgConnection) } else { lines!(MySqlConnection) }
    }

    pub async fn one(&self, sql: &str) -> String {
        let mut rows = self.rows(sql).await;
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }
}

pub fn points(rate: &str) -> Points {
    Points {
        rules: Vec::new(),
        others: Earning { rate: rate.parse().unwrap(), minimum_amount: 0, cap: None },
    }
}

/// True if all events are written.
pub async fn done(database: &Database, events: &[Event]) {
    let outcomes = database.attempt(events).await;
    assert_eq!(outcomes, vec![Outcome::Done; events.len()]);
}

/// Checks that the points are correct.
pub async fn balanced(database: &Database) -> ReconcileReport {
    let report = database.reconcile().await.unwrap();
    assert_eq!(report.differences, [], "{report:?}");
    assert_eq!(report.ledger, report.balances);
    report
}

/// 2026-11-23T00:00:00Z.
pub const START_MS: i64 = 1_795_392_000_000;

/// One order's changes, a day apart.
#[derive(Clone)]
pub struct TestOrder(pub Order);

impl TestOrder {
    pub fn new(id: &str, buyer: &str, amount: u64) -> TestOrder {
        let id = id.parse().unwrap();
        let mut order = record::decode(&id, "1|N|tm4q0000|a1KRW|r.k3x9q1").unwrap();
        order.buyer_id = Some(buyer.parse().unwrap());
        order.amount = Some(amount);
        order.changed_at = Time::from_ms(START_MS);
        order.times.placed_at = Time::from_ms(START_MS);
        TestOrder(order)
    }

    pub fn placed(&self) -> Event {
        self.version(1, Status::PendingPayment, EventKind::Placed)
    }

    pub fn paid(&self) -> Event {
        self.version(2, Status::Paid, EventKind::Paid)
    }

    pub fn received(&self) -> Event {
        self.version(3, Status::Received, EventKind::Received)
    }

    /// After the receipt.
    pub fn refunded(&self) -> Event {
        self.version(4, Status::Refunded, EventKind::Refunded)
    }

    fn version(&self, version: u64, status: Status, kind: EventKind) -> Event {
        let mut order = self.0.clone();
        let at = |day: u64| {
            (version >= day)
                .then(|| Time::from_ms(START_MS + i64::try_from(day - 1).unwrap() * 86_400_000))
        };
        (order.version, order.status, order.kind) = (version, status, kind);
        order.changed_at = at(version).unwrap();
        order.times.paid_at = at(2);
        order.times.received_at = at(3);
        order.times.refunded_at = at(4);
        Event(Arc::new(order))
    }
}
