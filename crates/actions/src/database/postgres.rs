//! PostgreSQL. A batch is one statement for each table; its columns are passed as arrays.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, PgPool, Postgres, Row as _};

use super::reconcile::{self, ReconcileReport, SqlTypes};
use super::row::EventRow;
use super::schema::{self, SchemaError};
use super::server::{DatabaseServer, DatabaseSettings};
use super::statement::{Parameter, Statement};
use super::transaction::{EntryKind, LedgerEntry, Transaction, TransactionError};

const TABLES: &str = include_str!("postgres/0001_tables.sql");
const SQL_TYPES: SqlTypes = SqlTypes { text: "text", minute: "interval '1 minute'" };

/// The statements, with the prefix filled in.
struct Sql {
    record: Arc<str>,
    upsert: Arc<str>,
    book: Arc<str>,
    credits: Arc<str>,
    add: Arc<str>,
}

/// A PostgreSQL server.
pub struct PostgresServer {
    pool: PgPool,
    prefix: String,
    sql: Arc<Sql>,
}

impl PostgresServer {
    /// Connects at the first use.
    pub fn new(settings: &DatabaseSettings) -> Result<PostgresServer, sqlx::Error> {
        let options: PgConnectOptions = settings.url.parse()?;
        let options = options.application_name("autoreceive");
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(settings.timeout)
            .connect_lazy_with(options);
        let fill = |sql: &str| -> Arc<str> { sql.replace("{prefix}", &settings.prefix).into() };
        let sql = Sql {
            record: fill(include_str!("postgres/record.sql")),
            upsert: fill(include_str!("postgres/upsert.sql")),
            book: fill(include_str!("postgres/book.sql")),
            credits: fill(
                "SELECT order_id, points FROM {prefix}ledger WHERE order_id = ANY($1) AND kind = \
                 'credit' ORDER BY order_id FOR UPDATE",
            ),
            add: fill(include_str!("postgres/add.sql")),
        };
        Ok(PostgresServer { pool, prefix: settings.prefix.clone(), sql: Arc::new(sql) })
    }

    async fn transaction(&self, begin: &'static str) -> Result<PostgresTransaction, sqlx::Error> {
        let mut transaction = PostgresTransaction {
            connection: self.pool.acquire().await?,
            sql: self.sql.clone(),
            ended: false,
        };
        sqlx::raw_sql(begin).execute(&mut *transaction.connection).await?;
        Ok(transaction)
    }

    async fn version(&self, transaction: &mut PostgresTransaction) -> Result<i64, SchemaError> {
        // Not to_regclass: within a transaction it repeats its first answer.
        let exists = sqlx::query_scalar(include_str!("postgres/exists.sql"))
            .bind(format!("{}schema", self.prefix));
        let exists: bool = exists.fetch_one(&mut *transaction.connection).await?;
        if !exists {
            return Ok(0);
        }
        let version =
            format!("SELECT COALESCE(MAX(version), 0)::bigint FROM {}schema", self.prefix);
        let version = sqlx::query_scalar(AssertSqlSafe(version));
        Ok(version.fetch_one(&mut *transaction.connection).await?)
    }
}

#[async_trait]
impl DatabaseServer for PostgresServer {
    async fn begin(&self) -> Result<Box<dyn Transaction>, TransactionError> {
        Ok(Box::new(self.transaction("BEGIN ISOLATION LEVEL READ COMMITTED").await?))
    }

    /// One worker at a time, in one transaction under a lock. If the tables are complete, no right
    /// to create tables is needed.
    async fn migrate(&self) -> Result<(), SchemaError> {
        let mut transaction = self.transaction("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        if !schema::is_older(self.version(&mut transaction).await?)? {
            return Ok(transaction.end("COMMIT").await?);
        }
        let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("autoreceive {}", self.prefix));
        lock.execute(&mut *transaction.connection).await?;
        if schema::is_older(self.version(&mut transaction).await?)? {
            let sql = schema::script(TABLES, &self.prefix);
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction.connection).await?;
        }
        Ok(transaction.end("COMMIT").await?)
    }

    async fn reconcile(&self) -> Result<ReconcileReport, sqlx::Error> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
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

fn texts(row: &PgRow) -> Result<Vec<Option<String>>, sqlx::Error> {
    (0..row.len()).map(|at| row.try_get(at)).collect()
}

/// A transaction. If it is dropped before its end, its connection is closed: the server may still
/// be running a statement.
struct PostgresTransaction {
    connection: PoolConnection<Postgres>,
    sql: Arc<Sql>,
    ended: bool,
}

impl PostgresTransaction {
    async fn end(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(how).execute(&mut *self.connection).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for PostgresTransaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

fn column<'r, T>(rows: &'r [EventRow<'r>], value: impl Fn(&'r EventRow<'r>) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

#[async_trait]
impl Transaction for PostgresTransaction {
    async fn record(&mut self, rows: &[EventRow<'_>]) -> Result<HashSet<String>, TransactionError> {
        let query = sqlx::query_scalar(AssertSqlSafe(self.sql.record.clone()))
            .bind(column(rows, |row| row.event_id.as_str()))
            .bind(column(rows, |row| row.order_id()))
            .bind(column(rows, |row| row.version))
            .bind(column(rows, |row| row.order.kind.as_str()))
            .bind(column(rows, |row| row.order.cause.as_str()))
            .bind(column(rows, |row| row.buyer_id()))
            .bind(column(rows, |row| row.received_at()))
            .bind(column(rows, |row| row.occurred_at()))
            .bind(column(rows, |row| row.body.as_str()));
        let fresh: Vec<String> = query.fetch_all(&mut *self.connection).await?;
        Ok(fresh.into_iter().collect())
    }

    async fn upsert(&mut self, rows: &[&EventRow<'_>]) -> Result<(), TransactionError> {
        let column = |value: fn(&EventRow<'_>) -> &'static str| {
            rows.iter().map(|row| value(row)).collect::<Vec<_>>()
        };
        let mut query = sqlx::query(AssertSqlSafe(self.sql.upsert.clone()))
            .bind(rows.iter().map(|row| row.order_id()).collect::<Vec<_>>())
            .bind(column(|row| row.order.status.as_str()))
            .bind(rows.iter().map(|row| row.version).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.order.revision.name()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.buyer_id()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.amount).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.currency()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.data()).collect::<Vec<_>>());
        let mut times: [Vec<Option<String>>; 10] = Default::default();
        for row in rows {
            for (column, time) in times.iter_mut().zip(row.times()) {
                column.push(time);
            }
        }
        for column in times {
            query = query.bind(column);
        }
        query.execute(&mut *self.connection).await?;
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
                Parameter::ReceivedAt => query.bind(row.received_at()),
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
        let query = sqlx::query_scalar(AssertSqlSafe(self.sql.book.clone()))
            .bind(kind.as_str())
            .bind(entries.iter().map(|entry| entry.order_id).collect::<Vec<_>>())
            .bind(entries.iter().map(|entry| entry.event_id).collect::<Vec<_>>())
            .bind(entries.iter().map(|entry| entry.buyer_id).collect::<Vec<_>>())
            .bind(entries.iter().map(|entry| entry.points).collect::<Vec<_>>());
        let booked: Vec<String> = query.fetch_all(&mut *self.connection).await?;
        Ok(booked.into_iter().collect())
    }

    async fn credits(&mut self, orders: &[&str]) -> Result<HashMap<String, i64>, TransactionError> {
        let query = sqlx::query_as(AssertSqlSafe(self.sql.credits.clone())).bind(orders);
        let credits: Vec<(String, i64)> = query.fetch_all(&mut *self.connection).await?;
        Ok(credits.into_iter().collect())
    }

    async fn add(&mut self, balances: &[(&str, i64)]) -> Result<(), TransactionError> {
        let query = sqlx::query(AssertSqlSafe(self.sql.add.clone()))
            .bind(balances.iter().map(|(buyer, _)| *buyer).collect::<Vec<_>>())
            .bind(balances.iter().map(|(_, points)| *points).collect::<Vec<_>>());
        query.execute(&mut *self.connection).await?;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), TransactionError> {
        Ok(self.end("COMMIT").await?)
    }
}
