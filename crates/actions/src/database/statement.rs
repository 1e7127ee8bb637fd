//! The shop's own SQL: named parameters turned into the placeholders of its database, by a scanner
//! that knows where a colon is none: in texts, comments, quoted names and casts.

use std::sync::Arc;

use super::Dialect;

mod scanner;

use scanner::{Piece, pieces};

/// The most statements in one configuration.
const MOST_STATEMENTS: usize = 20;

/// What a statement can be given of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// The shop's id of the order.
    OrderId,
    /// Where the order stands.
    Status,
    /// Who bought.
    BuyerId,
    /// The amount in minor units.
    Amount,
    /// The currency of the amount.
    Currency,
    /// When the order became RECEIVED.
    ReceivedAt,
    /// The event's id.
    EventId,
    /// What happened.
    EventType,
    /// The order's version that the event made.
    Version,
    /// What the shop sent along, as JSON.
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

    /// PostgreSQL takes a text for a time or for JSON only where it is told to.
    fn cast(self) -> &'static str {
        match self {
            Parameter::ReceivedAt => "::timestamptz",
            Parameter::Data => "::json",
            _ => "",
        }
    }
}

/// One statement, ready to be run for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The SQL with the database's own placeholders.
    pub sql: Arc<str>,
    /// What is bound to them, from first to last.
    pub parameters: Vec<Parameter>,
}

/// Why a text is no statement that can be run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongStatement {
    /// Nothing to run.
    #[error("holds no statement")]
    Empty,
    /// Too many at once.
    #[error("holds more than {MOST_STATEMENTS} statements")]
    TooMany,
    /// A name that stands for nothing.
    #[error(
        ":{0} stands for nothing; known are :order_id :status :buyer_id :amount :currency \
            :received_at :event_id :event_type :version :data"
    )]
    Unknown(String),
    /// A placeholder of the database's own.
    #[error(
        "{0} is a placeholder of the database itself; write the name of a parameter, for example \
            :order_id"
    )]
    Placeholder(String),
    /// A text, comment or quoted name without its end.
    #[error("{0} is not closed")]
    Open(&'static str),
}

impl Statement {
    /// The statements of `text`, which semicolons set apart.
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
            n if n > MOST_STATEMENTS => Err(WrongStatement::TooMany),
            _ => Ok(statements),
        }
    }
}

/// A statement that is being put together.
struct Builder {
    dialect: Dialect,
    sql: String,
    parameters: Vec<Parameter>,
    /// Whether there is more in it than spaces and comments.
    meant: bool,
}

impl Builder {
    fn new(dialect: Dialect) -> Builder {
        Builder { dialect, sql: String::new(), parameters: Vec::new(), meant: false }
    }

    fn add(&mut self, piece: Piece<'_>) -> Result<(), WrongStatement> {
        match piece {
            Piece::Comment(text) => self.sql.push_str(text),
            Piece::Code(text) => {
                self.meant |= !text.trim().is_empty();
                self.sql.push_str(text);
            }
            Piece::Name(name) => self.parameter(Parameter::named(name)?),
            Piece::Placeholder(text) => return Err(WrongStatement::Placeholder(text.to_owned())),
            Piece::End => {}
        }
        Ok(())
    }

    /// MySQL counts every placeholder; PostgreSQL numbers them, so that one parameter has one
    /// number.
    fn parameter(&mut self, parameter: Parameter) {
        self.meant = true;
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
        self.meant.then(|| Statement { sql: self.sql.trim().into(), parameters: self.parameters })
    }
}

#[cfg(test)]
mod tests;
