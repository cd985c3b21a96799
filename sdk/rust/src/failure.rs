//! Why a poll brought nothing new, each case with the stable code of FORMAT T-5.6.

use core::fmt;
use std::sync::Arc;

use flagstone_model::digest::Digest;

use crate::transport::TransportError;

/// What was being fetched or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Object {
    /// A root document.
    Root,
    /// The manifest.
    Manifest,
    /// A whole snapshot.
    Snapshot,
    /// A delta.
    Delta,
    /// The object of a list.
    List,
    /// The bundle on disk, or one given to the builder.
    Bundle,
}

impl Object {
    /// The object's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Manifest => "manifest",
            Self::Snapshot => "snapshot",
            Self::Delta => "delta",
            Self::List => "list",
            Self::Bundle => "bundle",
        }
    }

    pub(crate) const fn is_large(self) -> bool {
        matches!(self, Self::Snapshot | Self::Delta | Self::List)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What somebody between the bucket and the client did to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rewriting {
    /// A redirect, as captive portals send.
    Redirect,
    /// A content encoding nobody asked for.
    ContentEncoding,
    /// `304` to a request without an ETag.
    Unasked,
    /// A body shorter than its length.
    Cut,
}

impl fmt::Display for Rewriting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redirect => "a redirect",
            Self::ContentEncoding => "a content encoding that was not asked for",
            Self::Unasked => "`not modified` to an unconditional request",
            Self::Cut => "a body shorter than announced",
        })
    }
}

/// Why a poll brought nothing new. The old state keeps serving in every case.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No HTTP answer, or only a part of one.
    #[error("the {object} could not be fetched")]
    Unreachable {
        /// What was asked for.
        object: Object,
        /// What the transport says.
        source: Arc<TransportError>,
    },
    /// The server answered with an error.
    #[error("status {status} for the {object}")]
    Status {
        /// What was asked for.
        object: Object,
        /// The HTTP status.
        status: u16,
    },
    /// The server has no such object, or hides it: wrong stream, wrong or missing SDK key.
    #[error("status {status} for the {object}: is it published, and is the SDK key right?")]
    NotFound {
        /// What was asked for.
        object: Object,
        /// 404 or 403.
        status: u16,
    },
    /// No whole answer before the deadline, or one slower than the least rate.
    #[error("the {object} did not come in time")]
    Timeout {
        /// What was asked for.
        object: Object,
    },
    /// More bytes than the object may have.
    #[error("the {object} has more than {max_bytes} bytes")]
    TooLarge {
        /// What was asked for.
        object: Object,
        /// The limit.
        max_bytes: usize,
    },
    /// A portal or proxy answered, or rewrote the answer.
    #[error("{what} instead of the {object}")]
    Rewritten {
        /// What was asked for.
        object: Object,
        /// What came.
        what: Rewriting,
    },
    /// It came and was refused.
    #[error("the {object} is refused")]
    Refused {
        /// What was refused.
        object: Object,
        /// Its stable code.
        code: &'static str,
        /// What is wrong with it.
        source: Arc<dyn core::error::Error + Send + Sync>,
    },
    /// An older manifest than the newest seen. Not an error in itself; nothing is taken from it.
    #[error("version {version}, serial {serial} is older than the newest seen")]
    Older {
        /// The offered version.
        version: u64,
        /// The offered serial.
        serial: u64,
    },
    /// Two validly signed manifests that contradict each other; the first is kept.
    #[error("two manifests contradict each other: {kept} is kept, {offered} is not")]
    Equivocation {
        /// SHA-256 of the payload that is kept.
        kept: Digest,
        /// SHA-256 of the payload that is refused.
        offered: Digest,
    },
    /// The client itself broke off; a fault to report.
    #[error("the client broke off while it applied the {object}")]
    BrokenOff {
        /// What was being applied.
        object: Object,
    },
}

impl Failure {
    /// Something that came and was refused.
    pub(crate) fn refused(
        object: Object,
        code: &'static str,
        source: impl core::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Refused { object, code, source: Arc::new(source) }
    }

    /// Whether another base URL is no help: the objects of a manifest are asked of all of them at once.
    pub(crate) const fn is_everywhere(&self) -> bool {
        match self {
            Self::Unreachable { object, .. }
            | Self::Status { object, .. }
            | Self::NotFound { object, .. }
            | Self::Timeout { object }
            | Self::TooLarge { object, .. }
            | Self::Rewritten { object, .. }
            | Self::Refused { object, .. }
            | Self::BrokenOff { object } => object.is_large(),
            Self::Older { .. } | Self::Equivocation { .. } => false,
        }
    }

    /// Whether it says only that nothing came, which another failure of the same poll may explain.
    pub(crate) const fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Status { .. } | Self::NotFound { .. } | Self::Timeout { .. }
        )
    }

    /// The stable code of FORMAT T-5.6.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Status { .. } => "unreachable",
            Self::NotFound { .. } => "not-found",
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } => "too-large",
            Self::Rewritten { .. } | Self::BrokenOff { .. } => "malformed",
            Self::Refused { code, .. } => code,
            Self::Older { .. } => "older",
            Self::Equivocation { .. } => "equivocation",
        }
    }
}
