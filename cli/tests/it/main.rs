//! The real binary, from outside: what it prints, answers, and survives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, and reads the clock and its own settings"
)]

mod audit;
mod backup;
mod crash;
mod dev;
mod diff;
mod eval;
mod example;
mod exposures;
mod full;
mod lists;
mod operator;
mod plans;
mod records;
mod serve;
mod support;
mod token;
mod tour;
mod usage;
mod verbs;
mod verify;
mod views;
