//! Follows one signed stream of feature flags and evaluates them in process.
//!
//! ```
//! use flagstone::{Client, Connection, Context, Reason};
//!
//! let connection: Connection = "flagstone://cdn.example?project=shop&environment=production&view=server\
//!     &root=1:04862e2461b74b1612c58325e4dba3edca6c1330dcef495a72cc6ed5bfbd2565".parse()?;
//!
//! // Here a bundle is served offline; with `.build()` instead, the client polls on tokio.
//! let bundle = include_bytes!("../../../testdata/example/stream.bundle");
//! let client = Client::builder(connection).bundle(bundle).offline()?;
//!
//! let context = Context::with_targeting_key("u-1").set("email", "ada@example.com");
//! assert!(client.bool("new-checkout", false, &context));
//!
//! let details = client.bool_details("new-checkout", false, &context);
//! assert_eq!(details.reason, Reason::TargetingMatch);
//! assert_eq!(details.rule.as_deref(), Some("beta"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a service, the connection string is configuration and the SDK key a secret:
//!
//! ```no_run
//! # async fn start(text: &str, key: String) -> Result<flagstone::Client, Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! let client = flagstone::Client::builder(text.parse()?)
//!     .sdk_key(key)
//!     .cache_dir("/var/cache/shop/flags")
//!     .build()?;
//! // With a good bundle in the cache this returns at once. Without one, a service should start all the same.
//! if let Err(not_ready) = client.wait_for_ready(Duration::from_secs(5)).await {
//!     tracing::warn!(code = not_ready.code(), "default values are served until flags are loaded");
//! }
//! client.on_change(|change| tracing::info!(version = change.version, keys = ?change.keys, "flags changed"));
//! # Ok(client)
//! # }
//! ```
//!
//! # Reading order
//!
//! 1. [`Connection`]: where a stream is, and whom to trust for it.
//! 2. [`Builder`] and [`Client`]: set up once, clone anywhere, ask on any thread.
//! 3. [`Details`]: a value and why it was served, in OpenFeature's words.
//! 4. [`Status`], [`StatusBits`], [`Event`]: how fresh what is served is, and when that changed.
//! 5. [`transport`], [`Clock`], [`Randomness`]: what tests put in place of the network, time, and chance.
//!
//! # Invariants
//!
//! * **Asking never waits.** Getters do no I/O, take no lock, never panic, and return no error type. A swap is one
//!   pointer; readers go on with what they hold. A call by name with details allocates nothing.
//! * **The last good snapshot is never given up.** No failure, expiry, freeze, or attack makes a flag go back to the
//!   default value: that is returned only before anything was loaded, or where the flag itself says so. What is wrong
//!   is a status bit and a stable code.
//! * **Nothing is served that was not verified**: root pin, signatures, names, order, digests before decompression,
//!   content hash. The cache directory is trusted no more than the network (FORMAT T-1 to T-3, T-5).
//! * **Never backwards.** What was seen in memory or on disk is the floor; an older manifest is ignored, a
//!   contradicting one is refused, and both payload digests are kept in [`Status::equivocation`].
//! * **An ETag is kept only of what is applied**, and only until a request with it fails: neither a failure nor an ETag
//!   that somebody made up can make later polls look unchanged, or be refused.
//! * **Bounded.** Every body is cut off at its limit, every request has a deadline, and an outage does not make a
//!   client ask more than it would have.
//!
//! # When polls happen
//!
//! At once, then splayed over one interval, then every interval ± 10 %: the one given to the builder, else the one
//! the manifest suggests, else ten seconds. One request is in flight. A failure moves on to the next base URL, which
//! is kept until it fails; when all have failed, pauses grow from one second to a minute with full jitter, and
//! `Retry-After` is honoured for up to an hour.
//!
//! # What it does not do
//!
//! * It writes nothing but its cache file, and reads no environment variable but those of the system's proxy.
//! * It records no exposures yet, and fetches no list objects: conditions that ask a list are undecidable.
//! * A stale snapshot is served and said to be stale; a strict mode that refuses new content under `expired` comes
//!   with root walking.
//! * It does not walk to newer root documents yet: a manifest of another root or epoch is `untrusted`, and what is
//!   served stays.
//! * Evaluation is `flagstone-eval`'s, and every check of bytes is `flagstone-bundle`'s: none of it is repeated here.

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
mod hook;
mod http;
mod message;
mod observe;
mod overrides;
mod paths;
mod persist;
mod prepare;
mod record;
mod run;
mod shared;
mod status;
mod test_data;
pub mod transport;

pub use flagstone_eval::{OVERRIDE_VARIATION, Override};
pub use flagstone_model::context::{Attribute, Context};
pub use flagstone_model::details::{ErrorCode, Reason};
pub use flagstone_model::instant::Instant;
pub use flagstone_model::json::Json;
pub use flagstone_model::value::{FlagType, Value};

pub use builder::{BuildError, Builder, MAX_PRODUCT_BYTES};
pub use client::{Client, NotReady, RefreshError};
pub use clock::{Clock, Randomness};
pub use connection::{Access, Connection, ConnectionError};
pub use details::Details;
pub use failure::{Failure, Object, Rewriting};
pub use follow::Refreshed;
pub use freshness::StatusBits;
pub use hook::{Evaluation, EvaluationCount, EvaluationCounts, EvaluationEvents, Hook, MAX_COUNTED};
pub use http::HttpSetupError;
pub use observe::{DEFAULT_RECORD_QUEUE, MAX_RECORD_QUEUE};
pub use overrides::{MAX_OVERRIDES, OverrideError};
pub use record::{
    DEFAULT_ROTATE_BYTES, EXPOSURES_REMEMBERED, Exposure, JsonLinesFile, MAX_EVENT_CHARS, MIN_ROTATE_BYTES,
    Record, Sink, TrackError, Tracked,
};
pub use status::{Change, Counters, Disk, Equivocation, Event, EventKind, Events, Source, Status};
pub use test_data::{TestBuilder, TestData, TestDataError};
