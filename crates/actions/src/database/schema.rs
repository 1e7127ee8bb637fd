//! The tables' versions. Each database has its migrations as numbered scripts; a table remembers
//! which were made.

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database, or the way to it.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A newer program made them.
    #[error(
        "the tables are of version {found}, made by a newer version of this program, which knows \
            {known}"
    )]
    Newer {
        /// What was found.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// Another worker is at it.
    #[error("another worker is making the tables")]
    Busy,
}

/// The version that this program makes and uses.
const CURRENT: i64 = 1;

/// Whether tables of version `found` (0: there are none) lack something.
///
/// # Errors
/// Where they are of a version that this program does not know.
pub fn is_older(found: i64) -> Result<bool, SchemaError> {
    if found > CURRENT {
        Err(SchemaError::Newer { found, known: CURRENT })
    } else {
        Ok(found < CURRENT)
    }
}

/// Everything that brings an empty database to the current version: `tables`, and the note that
/// they were made.
pub fn script(tables: &str, prefix: &str) -> String {
    let note = format!(
        "CREATE TABLE IF NOT EXISTS {{prefix}}schema (version bigint NOT NULL PRIMARY KEY, applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP);\n\
         INSERT INTO {{prefix}}schema (version) VALUES ({CURRENT});"
    );
    format!("{tables}\n{note}").replace("{prefix}", prefix)
}
