//! The bytes of Flagstone: manifests, roots, snapshots, deltas, bundles, and the one verifier.
//!
//! A client polls a small signed manifest, verifies it, and applies what changed:
//!
//! ```
//! use flagstone_bundle::{Content, Pin, Stream, UnverifiedManifest, UnverifiedRoot};
//! use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
//!
//! # macro_rules! fetch { ($name:literal) => {
//! #     include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../testdata/example/", $name))
//! # } }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // What an SDK is configured with: a root pin and a stream.
//! let pin: Pin = "1:04862e2461b74b1612c58325e4dba3edca6c1330dcef495a72cc6ed5bfbd2565".parse()?;
//! let stream = Stream {
//!     project: ProjectId::parse("shop")?,
//!     environment: EnvironmentId::parse("production")?,
//!     view: ViewId::server(),
//! };
//!
//! // Once: the root. At each poll: the manifest, checked against it.
//! let root = UnverifiedRoot::parse(fetch!("root.1.json"))?.verify_pinned(&pin)?;
//! let manifest = UnverifiedManifest::parse(fetch!("manifest"))?.verify(&root, &stream)?;
//! assert_eq!((manifest.version(), manifest.serial()), (42, 1310));
//!
//! // Content of version 38 and the inline delta give the content of version 42; otherwise the snapshot does.
//! let served = Content::parse(fetch!("old-snapshot.jsonl"))?;
//! let (delta, bytes) = manifest.inline_delta().ok_or("no inline delta")?;
//! let (content, touched) = manifest.apply_delta(delta, bytes, &served)?;
//! assert_eq!(content, manifest.open_snapshot(fetch!("snapshot.jsonl.zst"))?);
//!
//! let keys: Vec<&str> = touched.heads().map(|head| head.key).collect();
//! assert_eq!(keys, ["new-checkout", "old-banner"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Reading order
//!
//! 1. [`framing`]: the file around a signed payload, and the bytes a signature covers.
//! 2. [`root`]: who may sign. [`UnverifiedRoot`] becomes a [`Root`] by its [`Pin`].
//! 3. [`manifest`]: what is current. [`UnverifiedManifest`] becomes a [`Manifest`] by a root;
//!    [`manifest::order`] says which of two is newer.
//! 4. [`content`] and [`delta`]: the lines, their hash, and cheap updates that share what did not change.
//! 5. [`container`]: compressed objects, which unpack to exactly their signed size or not at all.
//! 6. [`bundle`]: all of it in one file: a cache, a baked-in start, a test vector.
//!
//! The writing side is beside the reading side: [`ManifestBody::to_payload`], [`RootBody::to_payload`],
//! [`key::SigningKey`], [`framing::assemble`], [`container::encode_zstd`], [`bundle::Parts::write`]. What they write they
//! read back first, so that nothing leaves that no client would take.
//!
//! # Invariants
//!
//! * There is one verifier: downloads, caches, and a publisher's check of its own work go through it.
//! * Signatures cover exact bytes. A payload is not looked into before enough of its signatures are good.
//! * `Unverified…` types have nothing to read in them; whatever can be read has been proved.
//! * Every limit is a named constant, in [`limits`] or `flagstone_model::limits`, and checked before memory is used.
//! * A frame never makes this crate write more than the signed size.
//! * Each error has a `code()` out of FORMAT T-5.6 and a finer `detail()`; both are stable, and neither holds a value.
//!
//! # What it does not do
//!
//! No I/O, clock, randomness, or async. It does not know whether a manifest is fresh, only what it says: freshness is the
//! client's. It does not evaluate flags, and a line that is bad behind its head is none of its business. Walking from
//! one root to the next is not built yet; [`UnverifiedRoot::verify_successor`] is where it goes.

#![deny(clippy::arithmetic_side_effects)]

mod base64;
mod chunk;
mod lines;
mod manifest_body;
mod order;
mod payload;
mod root_body;
mod signature;
mod update;

pub mod bundle;
pub mod container;
pub mod content;
pub mod delta;
pub mod framing;
pub mod key;
pub mod limits;
pub mod manifest;
pub mod root;

pub use bundle::{BundleError, UnverifiedBundle, Verified};
pub use content::{Content, ContentError, Touched};
pub use delta::DeltaLines;
pub use framing::{FramingError, PayloadType};
pub use manifest::{Manifest, ManifestBody, ManifestError, Stream, UnverifiedManifest};
pub use payload::PayloadError;
pub use root::{Pin, Root, RootBody, RootError, UnverifiedRoot};
pub use signature::SignatureError;
pub use update::ObjectError;
