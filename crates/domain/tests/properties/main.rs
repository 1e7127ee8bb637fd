//! Properties of every order, for any commands at any times. `generate` makes random lives of
//! orders; each other module checks one aspect of them.

mod backoff;
mod clock;
mod generate;
mod record;
mod repeats;
mod table;
mod terms;
mod timer;
