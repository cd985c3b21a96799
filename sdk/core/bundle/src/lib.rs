//! The bytes of Flagstone: manifests, roots, snapshots, deltas, bundles, and the one verifier.

#![deny(clippy::arithmetic_side_effects)]

mod base64;
mod lines;
mod order;
mod payload;
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
