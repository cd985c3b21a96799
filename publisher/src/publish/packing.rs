//! How the objects of a stream are compressed.

use flagstone_bundle::container::{
    ContainerError, StoredObject, encode_gzip, encode_zstd, encode_zstd_level,
};

use super::layout::Access;

/// The compression of a stream's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// For SDKs that hold a key.
    Zstd {
        /// Of snapshots; deltas have the format's own.
        level: i32,
    },
    /// For browsers, which have no zstd. Their bundles are small, so that deltas stand inline or not at all.
    Gzip,
}

impl Packing {
    /// Of a stream that so many may read.
    pub(super) const fn of(access: Access, level: i32) -> Self {
        match access {
            Access::Closed => Self::Zstd { level },
            Access::Open => Self::Gzip,
        }
    }

    /// Whether deltas that do not fit into the manifest are named there.
    pub(super) const fn lists_deltas(self) -> bool {
        matches!(self, Self::Zstd { .. })
    }

    pub(super) fn snapshot(self, raw: &[u8]) -> Result<(Vec<u8>, StoredObject), ContainerError> {
        match self {
            Self::Zstd { level } => encode_zstd_level(raw, level),
            Self::Gzip => encode_gzip(raw),
        }
    }

    pub(super) fn delta(self, raw: &[u8]) -> Result<(Vec<u8>, StoredObject), ContainerError> {
        match self {
            Self::Zstd { .. } => encode_zstd(raw),
            Self::Gzip => encode_gzip(raw),
        }
    }
}
