//! Parses the shop's own SQL. Named parameters become the placeholders of the database. The scanner
//! ignores colons in texts, comments, quoted names and casts.

use std::sync::Arc;

use super::Dialect;

mod scanner;

use scanner::{Piece, pieces};

/// The most statements in one configuration.
const MAX_STATEMENTS: usize = 20;

/// A value of an event that a statement can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// The shop's id of the order.
    OrderId,
    /// The order's status.
    Status,
    /// The buyer.
    BuyerId,
    /// The amount in minor units.
    Amount,
    /// The currency of the amount.
    Currency,
    /// When the order became RECEIVED.
    ReceivedAt,
    /// The event's id.
    EventId,
    /// The event's type.
    EventType,
    /// The order's version after the event.
    Version,
    /// The shop's `data`, as JSON.
    Data,
}

impl Parameter {
    const ALL: [(&'static str, Parameter); 10] = [
        ("order_id", Parameter::OrderId),
        ("status", Parameter::Status),
        ("buyer_id", Parameter::BuyerId),
        ("amount", Parameter::Amount),
        ("currency", Parameter::Currency),
        ("received_at", Parameter::ReceivedAt),
        ("event_id", Parameter::EventId),
        ("event_type", Parameter::EventType),
        ("version", Parameter::Version),
        ("data", Parameter::Data),
    ];

    fn named(name: &str) -> Result<Parameter, WrongStatement> {
        let known = Parameter::ALL.into_iter().find(|(known, _)| *known == name);
        known
            .map(|(_, parameter)| parameter)
            .ok_or_else(|| WrongStatement::Unknown(name.chars().take(40).collect()))
    }

    /// PostgreSQL needs a cast from text to a time or to JSON.
    fn cast(self) -> &'static str {
        match self {
            Parameter::ReceivedAt => "::timestamptz",
            Parameter::Data => "::json",
            _ => "",
        }
    }
}

/// A parsed statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The SQL with the database's own placeholders.
    pub sql: Arc<str>,
    /// The values of the placeholders, from first to last.
    pub parameters: Vec<Parameter>,
}

/// Why a text is not a valid statement.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongStatement {
    /// No statement.
    #[error("contains no statement")]
    Empty,
    /// Too many statements.
    #[error("contains more than {MAX_STATEMENTS} statements")]
    TooMany,
    /// An unknown parameter.
    #[error(
        ":{0} is not a parameter; expected one of :order_id :status :buyer_id :amount :currency \
         :received_at :event_id :event_type :version :data"
    )]
    Unknown(String),
    /// A placeholder of the database.
    #[error(
        "{0} is a placeholder of the database; use the name of a parameter, for example :order_id"
    )]
    Placeholder(String),
    /// A text, comment or quoted name without its end.
    #[error("{0} is not closed")]
    Open(&'static str),
}

impl Statement {
    /// The statements of `text`, separated by semicolons.
    ///
    /// # Errors
    /// See [`WrongStatement`].
    pub fn parse_all(text: &str, dialect: Dialect) -> Result<Vec<Statement>, WrongStatement> {
        let mut statements = Vec::new();
        let mut open = Builder::new(dialect);
        for piece in pieces(text, dialect)? {
            match piece {
                Piece::End => {
                    statements.extend(std::mem::replace(&mut open, Builder::new(dialect)).finish())
                }
                other => open.add(other)?,
            }
        }
        statements.extend(open.finish());
        match statements.len() {
            0 => Err(WrongStatement::Empty),
            n if n > MAX_STATEMENTS => Err(WrongStatement::TooMany),
            _ => Ok(statements),
        }
    }
}

/// A statement while it is parsed.
struct Builder {
    dialect: Dialect,
    sql: String,
    parameters: Vec<Parameter>,
    /// Whether it contains more than spaces and comments.
    has_code: bool,
}

impl Builder {
    fn new(dialect: Dialect) -> Builder {
        Builder { dialect, sql: String::new(), parameters: Vec::new(), has_code: false }
    }

    fn add(&mut self, piece: Piece<'_>) -> Result<(), WrongStatement> {
        match piece {
            Piece::Comment(text) => self.sql.push_str(text),
            Piece::Code(text) => {
                self.has_code |= !text.trim().is_empty();
                self.sql.push_str(text);
            }
            Piece::Name(name) => self.parameter(Parameter::named(name)?),
            Piece::Placeholder(text) => return Err(WrongStatement::Placeholder(text.to_owned())),
            Piece::End => {}
        }
        Ok(())
    }

    /// MySQL binds one value for each `?`. PostgreSQL numbers its placeholders, so a repeated
    /// parameter is bound once.
    fn parameter(&mut self, parameter: Parameter) {
        self.has_code = true;
        if self.dialect == Dialect::MySql {
            self.parameters.push(parameter);
            self.sql.push('?');
            return;
        }
        let at =
            self.parameters.iter().position(|known| *known == parameter).unwrap_or_else(|| {
                self.parameters.push(parameter);
                self.parameters.len() - 1
            });
        self.sql.push_str(&format!("${}{}", at + 1, parameter.cast()));
    }

    fn finish(self) -> Option<Statement> {
        self.has_code
            .then(|| Statement { sql: self.sql.trim().into(), parameters: self.parameters })
    }
}

#[cfg(test)]
mod tests;
