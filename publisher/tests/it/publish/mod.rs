//! Publishing, from an appended entry to what a client has loaded.

mod adopt;
mod alarms;
mod deltas;
mod faults;
mod happy;
mod race;
mod refusals;
mod repair;
mod withheld;
mod world;
