//! One test binary. Every test starts its own servers on free ports and has its own directory.

mod actions;
mod api;
mod bench;
mod big_run;
mod circuit;
mod cli;
mod clients;
mod config;
mod database;
mod dead_letters;
mod guides;
mod hostile;
mod intake;
mod library;
mod listen;
mod main_job;
mod races;
mod secrets;
mod shutdown;
mod starting;
mod support;
mod test_clock;
mod upkeep;
mod workers;
