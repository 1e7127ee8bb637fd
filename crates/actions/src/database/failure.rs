//! Decides whether a failed transaction is retried.

use sqlx::mysql::MySqlDatabaseError;

use super::schema::SchemaError;
use super::transaction::TransactionError;

/// The most characters of a database's message that are kept.
const WHY_CHARS: usize = 160;

/// The reaction to a failed transaction. The text gives the reason.
#[derive(Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// A conflict with another transaction: try again at once.
    Conflict(String),
    /// The database is unavailable, or cannot run the statements: retry everything later.
    Later(String),
    /// The database refuses a value of an event in the batch.
    Refused(String),
}

/// SQLSTATE classes of refused values: cardinality, data exception, integrity constraint, WITH
/// CHECK OPTION, program limit, and errors that a trigger raises.
const REFUSED_CLASSES: [&str; 7] = ["21", "22", "23", "44", "54", "P0", "45"];
/// Errors of refused values in MySQL and MariaDB without such a SQLSTATE: warnings turned into
/// errors (1265), incorrect values (1366), a CHECK constraint in MySQL (3819).
const REFUSED_MYSQL: [u16; 3] = [1265, 1366, 3819];
/// A deadlock, and the timeout of a row lock.
const CONFLICT_MYSQL: [u16; 2] = [1213, 1205];

impl From<TransactionError> for WriteFailure {
    fn from(error: TransactionError) -> WriteFailure {
        match error {
            TransactionError::Sql(error) => of_sql(&error),
            TransactionError::Raced => WriteFailure::Conflict(error.to_string()),
            TransactionError::TooManyPoints => WriteFailure::Refused(error.to_string()),
        }
    }
}

impl From<SchemaError> for WriteFailure {
    fn from(error: SchemaError) -> WriteFailure {
        match error {
            SchemaError::Sql(error) => WriteFailure::Later(why(&error)),
            other => WriteFailure::Later(other.to_string()),
        }
    }
}

fn of_sql(error: &sqlx::Error) -> WriteFailure {
    let why = why(error);
    let Some(database) = error.as_database_error() else { return WriteFailure::Later(why) };
    let number = database.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    let state = database.code().unwrap_or_default();
    let class = state.get(..2).unwrap_or_default();
    if class == "40" || number.is_some_and(|number| CONFLICT_MYSQL.contains(&number)) {
        return WriteFailure::Conflict(why);
    }
    if REFUSED_CLASSES.contains(&class)
        || number.is_some_and(|number| REFUSED_MYSQL.contains(&number))
    {
        return WriteFailure::Refused(why);
    }
    WriteFailure::Later(why)
}

/// The reason, shortened. The driver's errors never contain the address.
fn why(error: &sqlx::Error) -> String {
    let text = match error {
        sqlx::Error::PoolTimedOut => "no connection to the database within the timeout".to_owned(),
        sqlx::Error::Io(error) => format!("the connection to the database failed: {error}"),
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => format!("{} (SQLSTATE {code})", error.message()),
            None => error.message().to_owned(),
        },
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WHY_CHARS).collect()
}
