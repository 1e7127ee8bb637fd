//! The version of the tables. Each database has numbered migration scripts; the table `schema`
//! records the applied versions.

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// An error of the database or its connection.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A newer program created them.
    #[error(
        "the tables have version {found}, but this program supports version {known} at most; use \
         a newer autoreceive"
    )]
    Newer {
        /// The version of the tables.
        found: i64,
        /// The newest version that this program supports.
        known: i64,
    },
    /// Another worker holds the lock.
    #[error("another worker is creating the tables")]
    Busy,
}

/// The version that this program creates and uses.
const CURRENT: i64 = 1;

/// Whether tables of version `found` (0: none exist) need a migration.
///
/// # Errors
/// If the version is newer than [`CURRENT`].
pub fn is_older(found: i64) -> Result<bool, SchemaError> {
    if found > CURRENT {
        Err(SchemaError::Newer { found, known: CURRENT })
    } else {
        Ok(found < CURRENT)
    }
}

/// The script for an empty database: creates `tables` and records the version.
pub fn script(tables: &str, prefix: &str) -> String {
    let record = format!(
        "CREATE TABLE IF NOT EXISTS {{prefix}}schema (version bigint NOT NULL PRIMARY KEY, \
         applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP);\n\
         INSERT INTO {{prefix}}schema (version) VALUES ({CURRENT});"
    );
    format!("{tables}\n{record}").replace("{prefix}", prefix)
}
