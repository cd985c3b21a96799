//! Where published objects lie: the port, and its adapters.
//!
//! A store keeps immutable objects, written once under a name that contains their digest, and one mutable object per
//! stream, its manifest (FORMAT T-3.7). Two operations carry all the safety there is: [`ObjectStore::put_new`] never
//! overwrites, and [`ObjectStore::put_if`] replaces only what the caller has seen. Correctness of publication does not
//! rest on them, for stores differ (FORMAT T-4.5): the claim in [`crate::publication`] does.
//!
//! Every adapter runs [`conformance::run`].

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use flagstone_model::digest::Digest;

use crate::storage::Misconfiguration;

pub mod conformance;
mod directory;
mod memory;
pub mod served;

pub use directory::DirectoryStore;
pub use memory::MemoryStore;

/// Largest object a store takes and hands out, in bytes; nothing that is published is larger.
pub const MAX_OBJECT_BYTES: u64 = 64 * 1024 * 1024;

/// The name of an object: `/`-joined segments of `[A-Za-z0-9_-][A-Za-z0-9._-]*`.
///
/// No segment starts with a dot, so no path leaves the store, and names with a dot are free for an adapter's own files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath(Arc<str>);

impl ObjectPath {
    /// Reads a path of at most 512 bytes.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let segment = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
        if text.len() > 512 || !text.split('/').all(segment) {
            return Err(StoreError::InvalidPath);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The opaque name of one state of an object, as the store tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Etag(Arc<str>);

impl Etag {
    /// An ETag as the store gave it.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The strong ETag of `bytes`: their SHA-256, in quotes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("\"{}\"", Digest::of(bytes)).into())
    }

    /// The text, quotes included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An object as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The state they belong to.
    pub etag: Etag,
}

/// What is known of an object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Size in bytes.
    pub size: u64,
    /// Its present state.
    pub etag: Etag,
}

/// What became of a create-only write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutNew {
    /// The object is stored, durably.
    Created,
    /// Something was there already, and still is.
    Exists {
        /// Size of what is there, in bytes.
        size: u64,
    },
}

/// The state an object must be in to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// There is exactly this state.
    Is(Etag),
}

/// What became of a compare-and-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutIf {
    /// The object is replaced, durably.
    Written {
        /// Its new state.
        etag: Etag,
    },
    /// It is not in the expected state; nothing was written.
    Lost,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A path that no object can have.
    #[error("not a path of an object")]
    InvalidPath,
    /// An object larger than anything that is published.
    #[error("the object {path} has {size} bytes, more than the {MAX_OBJECT_BYTES} a store takes")]
    TooLarge {
        /// The object.
        path: ObjectPath,
        /// Its size in bytes.
        size: u64,
    },
    /// The store can be read but not written.
    #[error("{} cannot be written", location.display())]
    ReadOnly {
        /// What could not be written.
        location: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No room is left.
    #[error("no space is left at {}", location.display())]
    Full {
        /// Where.
        location: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The service is not set up as it must be.
    #[error("{what} ({detail})")]
    Misconfigured {
        /// What is wrong.
        what: Misconfiguration,
        /// Where, and what the service said: for the log, not for answers.
        detail: String,
    },
    /// There were too many requests for too long; trying again may help.
    #[error("the object store is too busy to {action} {location}")]
    Busy {
        /// What was tried.
        action: &'static str,
        /// With what.
        location: String,
    },
    /// The store did not answer, or answered with an error; trying later may help.
    #[error("the object store could not {action} {location}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// With what.
        location: String,
        /// What the adapter met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Refuses to take what would never be handed out: more than [`MAX_OBJECT_BYTES`].
pub fn within_cap(path: &ObjectPath, bytes: &[u8]) -> Result<(), StoreError> {
    let size = bytes.len() as u64;
    if size > MAX_OBJECT_BYTES {
        return Err(StoreError::TooLarge { path: path.clone(), size });
    }
    Ok(())
}

impl StoreError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidPath => "invalid-path",
            Self::TooLarge { .. } => "too-large",
            Self::ReadOnly { .. } => "store-read-only",
            Self::Full { .. } => "store-full",
            Self::Misconfigured { what, .. } => what.code(),
            Self::Busy { .. } => "store-busy",
            Self::Unavailable { .. } => "store-unavailable",
        }
    }
}

/// Keeps objects.
///
/// A write that is reported as done survives a crash of the machine, and a reader sees an object whole or not at all.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// The object at `path`, if there is one; [`StoreError::TooLarge`] if it has more than [`MAX_OBJECT_BYTES`].
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError>;

    /// Size and state of the object at `path`, if there is one. However large it is: somebody with write access to
    /// the store may have put it there, and only what is seen can be replaced.
    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError>;

    /// Writes an object that must not exist yet. Of concurrent writers exactly one creates it.
    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError>;

    /// Replaces an object that is in the expected state. Of concurrent writers with one expectation exactly one wins.
    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError>;

    /// Looks whether the store is set up as it must be, as far as it can tell without writing: an adapter that has
    /// nothing to set up has nothing to say.
    async fn inspect(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_the_store_or_meet_its_own_files() {
        for good in ["a", "open/shop/v1/e/production/server/manifest", "m/1-42", "s/ab.jsonl.zst", "_x/-y"] {
            assert_eq!(ObjectPath::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(513);
        for bad in [
            "", "/a", "a/", "a//b", "..", "a/../b", "./a", ".lock", "a/.b", "a\\b", "a b", "a\0", "ä", "C:",
            &long,
        ] {
            assert!(matches!(ObjectPath::parse(bad), Err(StoreError::InvalidPath)), "{bad}");
        }
    }
}
