//! The Flagstone SDK for Rust: signed feature flags, evaluated in process.

mod backoff;
mod builder;
mod cache;
mod client;
mod clock;
mod connection;
mod details;
mod failure;
mod fetch;
mod follow;
mod freshness;
mod http;
mod paths;
mod persist;
mod prepare;
mod run;
mod shared;
mod status;
pub mod transport;

pub use flagstone_model::context::{Attribute, Context};
pub use flagstone_model::details::{ErrorCode, Reason};
pub use flagstone_model::json::Json;
pub use flagstone_model::value::{FlagType, Value};

pub use builder::{BuildError, Builder};
pub use client::{Client, NotReady, RefreshError};
pub use clock::{Clock, Randomness};
pub use connection::{Access, Connection, ConnectionError};
pub use details::Details;
pub use failure::{Failure, Object, Rewriting};
pub use follow::Refreshed;
pub use freshness::StatusBits;
pub use http::HttpSetupError;
pub use status::{Change, Counters, Disk, Equivocation, Event, EventKind, Events, Source, Status};
