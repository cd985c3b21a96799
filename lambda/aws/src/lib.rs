//! Flagstone's control plane on AWS parts: adapters for the publisher's ports, and the functions that use them.
//!
//! This crate is the only one that knows AWS, and no other crate depends on it: whatever the cloud needs is built here,
//! and nothing of it is built elsewhere. `cargo xtask test dependencies` checks both.
//!
//! ```no_run
//! use flagstone_aws::dynamo::DynamoStore;
//! use flagstone_aws::s3::{PrivateBucket, PublicBucket};
//! use flagstone_aws::services::{Credentials, Endpoints, Services};
//!
//! let credentials = Credentials::new("an id", "its secret".to_owned(), None);
//! let services = Services::new("eu-central-1", credentials, Endpoints::default());
//! let large = PrivateBucket::new(services.s3(), "flagstone-private");
//! let records = DynamoStore::new(services.dynamodb(), "flagstone", large.clone());
//! let store = PublicBucket::new(services.s3(), "flagstone-public");
//! # let _ = (records, store);
//! ```
//!
//! # Reading order
//!
//! 1. [`services`]: how AWS is reached: region, credentials, endpoints, retries, time-outs.
//! 2. [`dynamo`]: the log, checkpoints, publication items, and access rows in one table. [`s3`]: the two buckets.
//!    [`secret`]: who signs.
//! 3. [`settings`], [`start`]: the functions' configuration, and how they start. [`admin`] and [`publish`]: what they do
//!    with an event; [`remote`]: how the first asks the second.
//! 4. `fault`: what the errors of a service mean, and the stable code of each.
//!
//! docs/AWS.md has the layout of the table and the buckets, and the permissions that each role needs; docs/LAMBDA.md the
//! variables and the events of the functions, whose programs are `src/bin/admin.rs` and `src/bin/publish.rs`.
//!
//! # Invariants
//!
//! * A read of a record is consistent. A write is conditional, and one whose answer was lost is recognised as made; but
//!   for the counts of the access log, which may count a use twice then.
//! * Throttling is retried with full jitter, at most [`services::MAX_RETRIES`] times, and then told as *busy*.
//! * Nothing is appended for an invocation that has answered, and whatever else is cut off, the next run goes on with.
//! * No error and no log line holds a secret, or bytes that were sent or read.
//!
//! # What it does not do
//!
//! It makes no tables and no buckets. Only [`settings`] reads environment variables.

pub mod admin;
mod asked;
pub mod dynamo;
mod failure;
mod fault;
mod gateway;
mod pause;
pub mod publish;
pub mod remote;
pub mod s3;
pub mod secret;
pub mod services;
pub mod settings;
pub mod start;

pub use failure::Failure;
pub use gateway::{ANSWER_TOO_LARGE, MAX_ANSWER_BYTES};
