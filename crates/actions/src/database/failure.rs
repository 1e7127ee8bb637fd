//! What a failed transaction means for its events.

use sqlx::mysql::MySqlDatabaseError;

use super::schema::SchemaError;
use super::work::WorkError;

/// How much of a database's message is kept.
const WHY_CHARS: usize = 160;

/// What is to be done after a transaction failed. The text says why.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// Two transactions met: the same is tried again at once.
    Again(String),
    /// The database cannot be used now, or not in this way: everything is tried again later.
    Later(String),
    /// The database does not take what is in it: of a batch, some event is to blame.
    Refused(String),
}

/// Classes of SQLSTATE that speak of the values: cardinality, data exception, integrity constraint,
/// WITH CHECK OPTION, program limit, and what a trigger raised.
const OF_VALUES: [&str; 7] = ["21", "22", "23", "44", "54", "P0", "45"];
/// Errors of MySQL and MariaDB that speak of the values without such a SQLSTATE: warnings made
/// errors (1265), incorrect values (1366), a CHECK of MySQL's (3819).
const OF_VALUES_MYSQL: [u16; 3] = [1265, 1366, 3819];
/// Deadlock, and a row lock that was waited for too long.
const MET_MYSQL: [u16; 2] = [1213, 1205];

impl From<WorkError> for Failure {
    fn from(error: WorkError) -> Failure {
        match error {
            WorkError::Sql(error) => of_sql(&error),
            WorkError::Raced => Failure::Again(error.to_string()),
            WorkError::TooManyPoints => Failure::Refused(error.to_string()),
        }
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Failure {
        match error {
            SchemaError::Sql(error) => Failure::Later(why(&error)),
            other => Failure::Later(other.to_string()),
        }
    }
}

fn of_sql(error: &sqlx::Error) -> Failure {
    let why = why(error);
    let Some(database) = error.as_database_error() else { return Failure::Later(why) };
    let number = database.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number);
    let state = database.code().unwrap_or_default();
    let class = state.get(..2).unwrap_or_default();
    if class == "40" || number.is_some_and(|number| MET_MYSQL.contains(&number)) {
        return Failure::Again(why);
    }
    if OF_VALUES.contains(&class) || number.is_some_and(|number| OF_VALUES_MYSQL.contains(&number))
    {
        return Failure::Refused(why);
    }
    Failure::Later(why)
}

/// Why it failed, in a few words. No error of the driver repeats the address.
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
