//! What both databases can do.

use std::time::Duration;

use async_trait::async_trait;

use super::mysql::MySqlServer;
use super::postgres::PostgresServer;
use super::reconcile::Report;
use super::schema::SchemaError;
use super::work::{Work, WorkError};

/// The SQL that a database speaks.
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

/// Where a database is, and how it is used.
#[derive(Clone)]
pub struct Settings {
    /// `postgres://…` or `mysql://…`, with the database's name.
    pub url: String,
    /// The most connections.
    pub connections: u32,
    /// The longest wait for a transaction.
    pub timeout: Duration,
    /// What the name of every table begins with.
    pub prefix: String,
}

/// A database.
#[async_trait]
pub trait Server: Send + Sync {
    /// Begins a transaction.
    async fn begin(&self) -> Result<Box<dyn Work>, WorkError>;
    /// Makes what is missing of the tables, also where several workers do so at once.
    async fn migrate(&self) -> Result<(), SchemaError>;
    /// Compares events, ledger and balances as they stand at one moment.
    async fn reconcile(&self) -> Result<Report, sqlx::Error>;
}

/// The database at `settings.url`. It is connected to when it is first used, so that a service can
/// start before it.
pub fn server(settings: &Settings) -> Result<Box<dyn Server>, sqlx::Error> {
    match Dialect::of(&settings.url) {
        Some(Dialect::Postgres) => Ok(Box::new(PostgresServer::new(settings)?)),
        Some(Dialect::MySql) => Ok(Box::new(MySqlServer::new(settings)?)),
        None => Err(sqlx::Error::Configuration(
            "the address begins with neither postgres:// nor mysql://".into(),
        )),
    }
}
