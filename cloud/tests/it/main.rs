//! The cloud on one machine, on this one.

mod cache;
mod process;
