//! MySQL and MariaDB. A batch is one statement with many rows for each table.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlRow};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, MySql, MySqlPool, QueryBuilder, Row as _};

use super::reconcile::{self, ReconcileReport, SqlTypes};
use super::row::EventRow;
use super::schema::{self, SchemaError};
use super::server::{DatabaseServer, DatabaseSettings};
use super::statement::{Parameter, Statement};
use super::transaction::{EntryKind, LedgerEntry, Transaction, TransactionError};

const TABLES: &str = include_str!("mysql/0001_tables.sql");
const SQL_TYPES: SqlTypes = SqlTypes { text: "char", minute: "INTERVAL 1 MINUTE" };
const UPSERT_END: &str = include_str!("mysql/upsert_end.sql");

/// Only written rows are locked. Each statement sees the rows that were committed before it.
const SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Prepared statements that a connection keeps: each of ours in each size of [`padded`], and the
/// shop's own.
const CACHED_STATEMENTS: usize = 150;
/// The default size of a batch.
const DEFAULT_BATCH: usize = 200;

/// A MySQL or MariaDB server.
pub struct MySqlServer {
    pool: MySqlPool,
    prefix: Arc<str>,
}

impl MySqlServer {
    /// Connects at the first use.
    pub fn new(settings: &DatabaseSettings) -> Result<MySqlServer, sqlx::Error> {
        let options: MySqlConnectOptions = settings.url.parse()?;
        // The driver's default changes the meaning of || in the shop's own statements.
        let options = options.pipes_as_concat(false).statement_cache_capacity(CACHED_STATEMENTS);
        let pool = MySqlPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(settings.timeout)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION).await.map(|_| ()) })
            })
            .connect_lazy_with(options);
        Ok(MySqlServer { pool, prefix: settings.prefix.as_str().into() })
    }

    async fn transaction(&self, begin: &'static str) -> Result<MySqlTransaction, sqlx::Error> {
        let mut transaction = MySqlTransaction {
            connection: self.pool.acquire().await?,
            prefix: self.prefix.clone(),
            ended: false,
        };
        sqlx::raw_sql(begin).execute(&mut *transaction.connection).await?;
        Ok(transaction)
    }

    async fn version(&self, transaction: &mut MySqlTransaction) -> Result<i64, SchemaError> {
        let exists = sqlx::query_scalar(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND \
             table_name = ?",
        )
        .bind(format!("{}schema", self.prefix));
        let exists: i64 = exists.fetch_one(&mut *transaction.connection).await?;
        if exists == 0 {
            return Ok(0);
        }
        let version = format!("SELECT COALESCE(MAX(version), 0) FROM {}schema", self.prefix);
        let version = sqlx::query_scalar(AssertSqlSafe(version));
        Ok(version.fetch_one(&mut *transaction.connection).await?)
    }

    /// A binary collation that compares trailing spaces, too. Its name differs between MySQL and
    /// MariaDB.
    async fn collation(
        &self,
        transaction: &mut MySqlTransaction,
    ) -> Result<&'static str, sqlx::Error> {
        let version: String =
            sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut *transaction.connection).await?;
        Ok(if version.contains("MariaDB") { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" })
    }

    /// `CREATE TABLE` commits by itself in MySQL. A crash can leave some of the tables; the next
    /// run then creates the missing ones.
    async fn create_tables(&self, transaction: &mut MySqlTransaction) -> Result<(), SchemaError> {
        let lock = sqlx::query_scalar(
            "SELECT GET_LOCK(CONCAT('autoreceive:', MD5(CONCAT(DATABASE(), '.', ?))), 5)",
        )
        .bind(&*self.prefix);
        let locked: Option<i64> = lock.fetch_one(&mut *transaction.connection).await?;
        if locked != Some(1) {
            return Err(SchemaError::Busy);
        }
        if schema::is_older(self.version(transaction).await?)? {
            let sql = schema::script(TABLES, &self.prefix)
                .replace("{collation}", self.collation(transaction).await?);
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction.connection).await?;
        }
        sqlx::raw_sql("DO RELEASE_ALL_LOCKS()").execute(&mut *transaction.connection).await?;
        Ok(())
    }
}

#[async_trait]
impl DatabaseServer for MySqlServer {
    async fn begin(&self) -> Result<Box<dyn Transaction>, TransactionError> {
        Ok(Box::new(self.transaction("START TRANSACTION").await?))
    }

    /// One worker at a time, under a lock. If the tables are complete, no right to create tables is
    /// needed.
    async fn migrate(&self) -> Result<(), SchemaError> {
        let mut transaction = self.transaction("START TRANSACTION").await?;
        if schema::is_older(self.version(&mut transaction).await?)? {
            self.create_tables(&mut transaction).await?;
        }
        Ok(transaction.end("COMMIT").await?)
    }

    async fn reconcile(&self) -> Result<ReconcileReport, sqlx::Error> {
        let begin = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH \
            CONSISTENT SNAPSHOT, READ ONLY";
        let mut transaction = self.transaction(begin).await?;
        let totals = sqlx::query(AssertSqlSafe(reconcile::totals(&self.prefix, &SQL_TYPES)))
            .fetch_one(&mut *transaction.connection)
            .await?;
        let found = sqlx::query(AssertSqlSafe(reconcile::differences(&self.prefix, &SQL_TYPES)))
            .fetch_all(&mut *transaction.connection)
            .await?;
        transaction.end("COMMIT").await?;
        ReconcileReport::new(texts(&totals)?, found.iter().map(texts).collect::<Result<_, _>>()?)
    }
}

fn texts(row: &MySqlRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len()).map(|at| row.try_get(at)).collect()
}

/// A transaction. If it is dropped before its end, its connection is closed: the server may still
/// be running a statement.
struct MySqlTransaction {
    connection: PoolConnection<MySql>,
    prefix: Arc<str>,
    ended: bool,
}

impl MySqlTransaction {
    async fn end(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(how).execute(&mut *self.connection).await?;
        self.ended = true;
        Ok(())
    }

    fn statement(&self, beginning: &str) -> QueryBuilder<MySql> {
        QueryBuilder::new(beginning.replace("{prefix}", &self.prefix))
    }

    /// Runs `select` with the list `wanted` after its `IN`, and returns the texts of the first
    /// column.
    async fn present(
        &mut self,
        select: &str,
        wanted: &[&str],
    ) -> Result<HashSet<String>, TransactionError> {
        let mut query = self.statement(select);
        list(&mut query, wanted);
        let found: Vec<String> =
            query.build_query_scalar().fetch_all(&mut *self.connection).await?;
        Ok(found.into_iter().collect())
    }

    /// Runs an `INSERT IGNORE` of `expected` different new rows. MySQL does not report which rows
    /// it ignored, so if it ignored any, the whole transaction is repeated.
    async fn insert(
        &mut self,
        mut query: QueryBuilder<MySql>,
        expected: usize,
    ) -> Result<(), TransactionError> {
        let done = query.build().execute(&mut *self.connection).await?;
        if done.rows_affected() == expected as u64 { Ok(()) } else { Err(TransactionError::Raced) }
    }
}

/// `(?, ?, …)`
fn list(query: &mut QueryBuilder<MySql>, values: &[&str]) {
    query.push(" (");
    let mut list = query.separated(", ");
    for value in padded(values) {
        list.push_bind((*value).to_owned());
    }
    list.push_unseparated(")");
}

/// The items, with the last one repeated up to one of a few sizes. So only a few different
/// statements are prepared, and all stay cached. (The driver closes an evicted statement in a
/// packet of its own; the next packet then waits 40 ms for the delayed ACK.)
fn padded<T: Copy>(items: &[T]) -> impl Iterator<Item = T> + '_ {
    let size = if (129..=DEFAULT_BATCH).contains(&items.len()) {
        DEFAULT_BATCH
    } else {
        items.len().next_power_of_two()
    };
    items
        .iter()
        .copied()
        .chain(std::iter::repeat_n(items.last().copied(), size - items.len()).flatten())
}

/// The time without its `Z`: MySQL accepts no time zone.
fn utc(time: Option<String>) -> Option<String> {
    time.map(|time| time.trim_end_matches('Z').to_owned())
}

impl Drop for MySqlTransaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

#[async_trait]
impl Transaction for MySqlTransaction {
    async fn record(&mut self, rows: &[EventRow<'_>]) -> Result<HashSet<String>, TransactionError> {
        let ids: Vec<&str> = rows.iter().map(|row| row.event_id.as_str()).collect();
        let known =
            self.present("SELECT event_id FROM {prefix}events WHERE event_id IN", &ids).await?;
        let new: Vec<&EventRow<'_>> =
            rows.iter().filter(|row| !known.contains(&row.event_id)).collect();
        if new.is_empty() {
            return Ok(HashSet::new());
        }
        let mut query = self.statement(
            "INSERT IGNORE INTO {prefix}events (event_id, order_id, version, type, cause, \
             buyer_id, received_at, occurred_at, body) ",
        );
        query.push_values(padded(&new), |mut values, row| {
            values
                .push_bind(row.event_id.clone())
                .push_bind(row.order_id().to_owned())
                .push_bind(row.version)
                .push_bind(row.order.kind.as_str())
                .push_bind(row.order.cause.as_str())
                .push_bind(row.buyer_id().map(str::to_owned))
                .push_bind(utc(row.received_at()))
                .push_bind(utc(Some(row.occurred_at())))
                .push_bind(row.body.clone());
        });
        self.insert(query, new.len()).await?;
        Ok(new.into_iter().map(|row| row.event_id.clone()).collect())
    }

    async fn upsert(&mut self, rows: &[&EventRow<'_>]) -> Result<(), TransactionError> {
        let mut query = self.statement(
            "INSERT INTO {prefix}orders (order_id, status, version, policy, buyer_id, amount, \
             currency, data, deadline, placed_at, paid_at, shipped_at, delivered_at, received_at, \
             completed_at, cancelled_at, refunded_at, updated_at) ",
        );
        query.push_values(padded(rows), |mut values, row| {
            values
                .push_bind(row.order_id().to_owned())
                .push_bind(row.order.status.as_str())
                .push_bind(row.version)
                .push_bind(row.order.revision.name().to_owned())
                .push_bind(row.buyer_id().map(str::to_owned))
                .push_bind(row.amount)
                .push_bind(row.currency().map(str::to_owned))
                .push_bind(row.data().map(str::to_owned));
            for time in row.times() {
                values.push_bind(utc(time));
            }
        });
        query.push(" ").push(UPSERT_END);
        query.build().execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn run(
        &mut self,
        statement: &Statement,
        row: &EventRow<'_>,
    ) -> Result<(), TransactionError> {
        let mut query = sqlx::query(AssertSqlSafe(statement.sql.clone()));
        for parameter in &statement.parameters {
            query = match parameter {
                Parameter::OrderId => query.bind(row.order_id()),
                Parameter::Status => query.bind(row.order.status.as_str()),
                Parameter::BuyerId => query.bind(row.buyer_id()),
                Parameter::Amount => query.bind(row.amount),
                Parameter::Currency => query.bind(row.currency()),
                Parameter::ReceivedAt => query.bind(utc(row.received_at())),
                Parameter::EventId => query.bind(&row.event_id),
                Parameter::EventType => query.bind(row.order.kind.as_str()),
                Parameter::Version => query.bind(row.version),
                Parameter::Data => query.bind(row.data()),
            };
        }
        query.execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn book(
        &mut self,
        kind: EntryKind,
        entries: &[LedgerEntry<'_>],
    ) -> Result<HashSet<String>, TransactionError> {
        let orders: Vec<&str> = entries.iter().map(|entry| entry.order_id).collect();
        let select = format!(
            "SELECT order_id FROM {{prefix}}ledger WHERE kind = '{}' AND order_id IN",
            kind.as_str()
        );
        let known = self.present(&select, &orders).await?;
        let new: Vec<&LedgerEntry<'_>> =
            entries.iter().filter(|entry| !known.contains(entry.order_id)).collect();
        if new.is_empty() {
            return Ok(HashSet::new());
        }
        let mut query = self.statement(
            "INSERT IGNORE INTO {prefix}ledger (order_id, kind, event_id, buyer_id, points) ",
        );
        query.push_values(padded(&new), |mut values, entry| {
            values
                .push_bind(entry.order_id.to_owned())
                .push_bind(kind.as_str())
                .push_bind(entry.event_id.to_owned())
                .push_bind(entry.buyer_id.to_owned())
                .push_bind(entry.points);
        });
        self.insert(query, new.len()).await?;
        Ok(new.into_iter().map(|entry| entry.order_id.to_owned()).collect())
    }

    async fn credits(&mut self, orders: &[&str]) -> Result<HashMap<String, i64>, TransactionError> {
        let mut query = self.statement(
            "SELECT order_id, points FROM {prefix}ledger WHERE kind = 'credit' AND order_id IN",
        );
        list(&mut query, orders);
        query.push(" ORDER BY order_id FOR UPDATE");
        let credits: Vec<(String, i64)> =
            query.build_query_as().fetch_all(&mut *self.connection).await?;
        Ok(credits.into_iter().collect())
    }

    async fn add(&mut self, balances: &[(&str, i64)]) -> Result<(), TransactionError> {
        let mut query = self.statement("INSERT INTO {prefix}balances (buyer_id, points) ");
        // The repeated last balance adds 0, so that it is not added twice.
        let repeated = (0..).map(|at| at >= balances.len());
        query.push_values(
            padded(balances).zip(repeated),
            |mut values, ((buyer, points), repeated)| {
                values.push_bind(buyer.to_owned()).push_bind(if repeated { 0 } else { points });
            },
        );
        query.push(" ON DUPLICATE KEY UPDATE points = points + VALUES(points)");
        query.build().execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), TransactionError> {
        Ok(self.end("COMMIT").await?)
    }
}
