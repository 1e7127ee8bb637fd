//! The trait that each database implements.

use std::time::Duration;

use async_trait::async_trait;

use super::mysql::MySqlServer;
use super::postgres::PostgresServer;
use super::reconcile::ReconcileReport;
use super::schema::SchemaError;
use super::transaction::{Transaction, TransactionError};

/// The SQL dialect of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

impl Dialect {
    /// The dialect of the database at an address, by its scheme.
    #[must_use]
    pub fn of(url: &str) -> Option<Dialect> {
        match url.split_once(':')?.0 {
            "postgres" | "postgresql" => Some(Dialect::Postgres),
            "mysql" | "mariadb" => Some(Dialect::MySql),
            _ => None,
        }
    }
}

/// Address and limits of a database.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// `postgres://…` or `mysql://…`, with the database's name.
    pub url: String,
    /// The most connections.
    pub connections: u32,
    /// The longest wait for a transaction.
    pub timeout: Duration,
    /// The prefix of every table's name.
    pub prefix: String,
}

/// A database.
#[async_trait]
pub trait DatabaseServer: Send + Sync {
    /// Begins a transaction.
    async fn begin(&self) -> Result<Box<dyn Transaction>, TransactionError>;
    /// Creates missing tables. Several workers may call it at the same time.
    async fn migrate(&self) -> Result<(), SchemaError>;
    /// Compares events, ledger and balances in one snapshot.
    async fn reconcile(&self) -> Result<ReconcileReport, sqlx::Error>;
}

/// The database at `settings.url`. It connects at the first use, so that the service can start
/// before the database.
pub fn server(settings: &DatabaseSettings) -> Result<Box<dyn DatabaseServer>, sqlx::Error> {
    match Dialect::of(&settings.url) {
        Some(Dialect::Postgres) => Ok(Box::new(PostgresServer::new(settings)?)),
        Some(Dialect::MySql) => Ok(Box::new(MySqlServer::new(settings)?)),
        None => Err(sqlx::Error::Configuration(
            "the address must begin with postgres:// or mysql://".into(),
        )),
    }
}
