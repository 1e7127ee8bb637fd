//! What holds for every order, whatever is asked of it and whenever. `generate` makes up random
//! lives of orders; the other modules each look at them from one side.

mod backoff;
mod clock;
mod generate;
mod record;
mod repeats;
mod table;
mod terms;
mod timer;
