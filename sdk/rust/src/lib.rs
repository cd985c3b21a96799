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
//! # Flags in tests
//!
//! [`TestData`] makes flags up, without a network, signatures, or a runtime. An override puts a value in place of what
//! any client serves, in this process only, and prerequisites see it.
//!
//! ```
//! use flagstone::{Context, TestData};
//!
//! let flags = TestData::new().flag("new-checkout", false).flag_for("u-1", "new-checkout", true);
//! let client = flags.client()?;
//! assert!(client.is_enabled("new-checkout", &Context::with_targeting_key("u-1")));
//!
//! client.set_override("new-checkout", false)?;
//! assert!(!client.is_enabled("new-checkout", &Context::with_targeting_key("u-1")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Functions
//!
//! Where a process is frozen between two calls, a background task is of no use: a manual client polls when it is told
//! to, and a poll that is cut off by the end of a call loses nothing.
//!
//! ```no_run
//! # async fn start(builder: flagstone::Builder) -> Result<(), Box<dyn std::error::Error>> {
//! # use std::time::Duration;
//! let client = builder.bundle_file("/opt/flags.bundle").manual()?;
//! // At the beginning of each invocation:
//! if let Err(error) = client.refresh_if_older_than(Duration::from_secs(30)).await {
//!     tracing::warn!(code = error.code(), "flags are those of the last poll");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Where something else on the machine keeps a bundle file current, `.bundle_file(path).offline()` serves it without a
//! network, and [`Client::refresh`] reads it again.
//!
//! # Experiments
//!
//! A rule with an experiment leaves an [`Exposure`] when the application asks for its flag: once for each unit,
//! variation, and phase. Exposures, and events that the application [tracks](Client::track), go to [sinks](Sink) on a
//! thread of their own.
//!
//! ```
//! use std::sync::mpsc;
//! use flagstone::{Context, Record, TestData};
//!
//! let (sender, records) = mpsc::channel();
//! let client = TestData::new()
//!     .line(r#"{"flag":"cta","type":"string","rev":1,"on":true,"values":{"blue":"b","red":"r"},"rules":[{"id":"test","split":{"salt":"cta","ranges":[[0,50000,"blue"],[50000,100000,"red"]]},"exp":"cta-test.1"}]}"#)
//!     .builder()
//!     .sink(move |record: &Record| drop(sender.send(record.clone())))
//!     .build()?;
//!
//! let context = Context::with_targeting_key("u-1").set("email", "ada@example.com");
//! client.string("cta", "b", &context);
//! client.track("bought", Some(12.5), &context)?;
//!
//! let Record::Exposure(exposure) = records.recv()? else { panic!() };
//! assert_eq!((&*exposure.exp, &*exposure.unit), ("cta-test.1", "u-1"));
//! let Record::Tracked(event) = records.recv()? else { panic!() };
//! assert_eq!((&*event.event, event.value), ("bought", Some(12.5)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`JsonLinesFile`] writes them to a file. [`EvaluationCounts`] and [`EvaluationEvents`] are hooks for metrics and
//! OpenTelemetry.
//!
//! # Reading order
//!
//! 1. [`Connection`]: where a stream is, and whom to trust for it.
//! 2. [`Builder`] and [`Client`]: set up once, clone anywhere, ask on any thread.
//! 3. [`Details`]: a value and why it was served, in OpenFeature's words; [`Client::message`] for what is wrong.
//! 4. [`TestData`], [`Override`]: flags of one's own. [`Sink`], [`Hook`]: who is told what.
//! 5. [`Status`], [`StatusBits`], [`Event`]: how fresh what is served is, and when that changed.
//! 6. [`transport`], [`Clock`], [`Randomness`]: what tests put in place of the network, time, and chance.
//!
//! # Invariants
//!
//! * **Asking never waits.** Getters do no I/O, take no lock, never panic, and return no error type. A swap is one
//!   pointer; readers go on with what they hold. A call by name with details allocates nothing; with a sink, only the
//!   first exposure of a unit does. A clock is read only for flags on which time may have a say.
//! * **Nobody slows it down.** A sink that blocks, fails, or panics, and a hook that panics, cost records or counts,
//!   which are [counted](Counters), and no evaluation.
//! * **Who is asked for stays here.** Of a context only the unit of an exposure or event leaves it, never a private one,
//!   and no attribute is in any log or error.
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
//! * It writes nothing but its cache file and what a [`JsonLinesFile`] is told to, and reads no environment variable but
//!   those of the system's proxy.
//! * It sends records nowhere by itself, and keeps none over a restart: a sink does. What waits in the queue when the
//!   process is killed is lost, which [`Client::close`] prevents.
//! * It holds no more than [`MAX_LISTS_BYTES`] of lists: those beyond, in the order of their keys, stay missing.
//! * Flags on a schedule change without [`on_change`](Client::on_change): nobody watches the clock for it.
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
mod list_cache;
mod lists;
mod message;
mod observe;
mod overrides;
mod paths;
mod persist;
mod prepare;
mod record;
mod run;
mod served;
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
pub use lists::MAX_LISTS_BYTES;
pub use observe::{DEFAULT_RECORD_QUEUE, MAX_RECORD_QUEUE};
pub use overrides::{MAX_OVERRIDES, OverrideError};
pub use record::{
    DEFAULT_ROTATE_BYTES, EXPOSURES_REMEMBERED, Exposure, JsonLinesFile, MAX_EVENT_CHARS, MIN_ROTATE_BYTES,
    Record, Sink, TrackError, Tracked,
};
pub use status::{
    Change, Counters, Disk, Equivocation, Event, EventKind, Events, FailedCheck, Source, Status,
};
pub use test_data::{TestBuilder, TestData, TestDataError};
