//! The life of an order by example: every row of the table of commands, with exact deadlines. Read
//! it as documentation.

mod adopted;
mod delay;
mod ending;
mod parcel;
mod payment;
mod reminder;
mod support;
