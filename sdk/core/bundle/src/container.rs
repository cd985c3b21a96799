//! Compressed objects: digest first, then one frame of exactly the signed size (FORMAT T-3.4).
//!
//! Nothing here trusts a frame. Its header is read by hand, its end is found before anything is unpacked, and the
//! output buffer is as large as the signed size and no larger, so a hostile frame has nowhere to write.

mod gzip;

pub use gzip::encode_gzip;

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::limits::{MAX_LIST_RAW_BYTES, MAX_LIST_STORED_BYTES, MAX_RAW_BYTES, MAX_STORED_BYTES};

use crate::limits::MAX_WINDOW_BYTES;
use crate::payload::{Members, PayloadError};

/// How an object is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// One zstd frame: for servers.
    Zstd,
    /// One gzip member: for browsers.
    Gzip,
}

impl Encoding {
    /// The word in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// Reads the word in a manifest.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "zstd" => Some(Self::Zstd),
            "gzip" => Some(Self::Gzip),
            _ => None,
        }
    }
}

/// An immutable object as a manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredObject {
    /// How it is compressed.
    pub encoding: Encoding,
    /// SHA-256 of the stored bytes.
    pub sha256: Digest,
    /// Stored bytes.
    pub size: u64,
    /// Bytes unpacked, exactly.
    pub raw_size: u64,
}

/// The most an object may have, stored and unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Most stored bytes.
    pub stored: u64,
    /// Most unpacked bytes.
    pub raw: u64,
}

impl Caps {
    /// Those of snapshots and deltas: 8 MiB stored, 32 MiB unpacked (FORMAT T-3.2).
    pub const SNAPSHOT: Self = Self { stored: MAX_STORED_BYTES, raw: MAX_RAW_BYTES };

    /// Those of the objects of lists: 64 MiB stored, 128 MiB unpacked (FORMAT T-3.5).
    pub const LIST: Self = Self { stored: MAX_LIST_STORED_BYTES, raw: MAX_LIST_RAW_BYTES };
}

impl StoredObject {
    pub(crate) fn parse(members: &Members<'_>) -> Result<Self, PayloadError> {
        Ok(Self {
            encoding: members.parsed("encoding", "`zstd` or `gzip`", Encoding::parse)?,
            sha256: members.digest("sha256")?,
            size: members.integer("size")?,
            raw_size: members.integer("raw_size")?,
        })
    }

    pub(crate) fn members(&self) -> [(&'static str, Json<'static>); 4] {
        [
            ("encoding", Json::from(self.encoding.as_str())),
            ("sha256", Json::from(self.sha256.to_string())),
            ("size", Json::from(self.size)),
            ("raw_size", Json::from(self.raw_size)),
        ]
    }

    /// Whether its signed sizes are within the caps: worth asking before fetching it.
    pub const fn within(&self, caps: Caps) -> Result<(), ContainerError> {
        if self.size > caps.stored {
            return Err(ContainerError::TooLarge { what: "stored", size: self.size, cap: caps.stored });
        }
        if self.raw_size > caps.raw {
            return Err(ContainerError::TooLarge { what: "raw", size: self.raw_size, cap: caps.raw });
        }
        Ok(())
    }

    /// Whether these are its stored bytes: their number and their digest.
    pub fn is(&self, stored: &[u8]) -> bool {
        self.check(stored).is_ok()
    }

    pub(crate) fn check(&self, stored: &[u8]) -> Result<(), ContainerError> {
        if stored.len() as u64 != self.size {
            return Err(ContainerError::Length { size: stored.len(), signed: self.size });
        }
        let actual = Digest::of(stored);
        if actual != self.sha256 {
            return Err(ContainerError::Digest { actual, signed: self.sha256 });
        }
        Ok(())
    }

    /// Unpacks these stored bytes if they are this object: caps, size, digest, then the frame.
    pub fn open(&self, stored: &[u8], caps: Caps) -> Result<Vec<u8>, ContainerError> {
        match self.encoding {
            Encoding::Zstd => decode_zstd(stored, self, caps),
            Encoding::Gzip => gzip::decode(stored, self, caps),
        }
    }
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// No zstd frame or gzip member, or one of a kind the format does not write.
    #[error("no frame of its encoding")]
    NotAFrame,
    /// The frame ends early.
    #[error("the frame is cut off")]
    CutOff,
    /// Header bits that must be zero.
    #[error("reserved header bits are set")]
    Reserved,
    /// A dictionary is asked for.
    #[error("the frame asks for a dictionary")]
    Dictionary,
    /// No declared content size.
    #[error("the frame does not declare its size")]
    NoSize,
    /// A window above 8 MiB.
    #[error("a window of {window} bytes, at most {MAX_WINDOW_BYTES} are allowed")]
    Window {
        /// Bytes asked for.
        window: u64,
    },
    /// Another declared size than the signed one.
    #[error("the frame declares {declared} bytes, signed are {signed}")]
    Size {
        /// Bytes the frame declares.
        declared: u64,
        /// Bytes the manifest names.
        signed: u64,
    },
    /// A second frame, or anything else after the first.
    #[error("{bytes} bytes follow the frame")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The frame does not unpack to what it declares.
    #[error("the frame is corrupt")]
    Corrupt,
}

impl FrameFault {
    /// What exactly is wrong, stable.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::NotAFrame => "not-a-frame",
            Self::CutOff => "frame-cut-off",
            Self::Reserved => "frame-reserved-bits",
            Self::Dictionary => "frame-dictionary",
            Self::NoSize => "frame-without-size",
            Self::Window { .. } => "frame-window",
            Self::Size { .. } => "frame-size",
            Self::Trailing { .. } => "frame-trailing-bytes",
            Self::Corrupt => "frame-corrupt",
        }
    }
}

/// Why stored bytes are not the object they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// More bytes than allowed.
    #[error("{size} {what} bytes, at most {cap} are allowed")]
    TooLarge {
        /// `stored` or `raw`.
        what: &'static str,
        /// Bytes.
        size: u64,
        /// Most allowed.
        cap: u64,
    },
    /// Not as many bytes as the manifest names.
    #[error("{size} bytes, the manifest names {signed}")]
    Length {
        /// Bytes given.
        size: usize,
        /// Bytes signed.
        signed: u64,
    },
    /// Other bytes than the manifest names.
    #[error("the digest of the stored bytes is {actual}, the manifest names {signed}")]
    Digest {
        /// Digest of the bytes given.
        actual: Digest,
        /// Digest signed.
        signed: Digest,
    },
    /// The right bytes, and no frame this format allows.
    #[error(transparent)]
    Frame(#[from] FrameFault),
    /// The compressor refused to work.
    #[error("the compressor reports an error")]
    Compressor,
}

impl ContainerError {
    /// The stable code of this error (FORMAT T-5.6).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Length { .. } | Self::Digest { .. } => "digest-mismatch",
            Self::Frame(_) | Self::Compressor => "malformed",
        }
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "object-too-large",
            Self::Length { .. } => "object-length",
            Self::Digest { .. } => "object-digest",
            Self::Frame(fault) => fault.detail(),
            Self::Compressor => "compressor",
        }
    }
}

/// Unpacks the zstd object a manifest names: caps, length, digest, then the frame.
pub fn decode_zstd(stored: &[u8], object: &StoredObject, caps: Caps) -> Result<Vec<u8>, ContainerError> {
    object.within(caps)?;
    object.check(stored)?;
    let declared = frame_size(stored)?;
    if declared != object.raw_size {
        return Err(FrameFault::Size { declared, signed: object.raw_size }.into());
    }
    unpack(stored, declared)
}

/// Unpacks a frame that no manifest names, up to the caps: a part of a bundle file, whose content is hashed later. It
/// is a zstd frame or a gzip member, as its first bytes say.
pub fn decode_frame(stored: &[u8], caps: Caps) -> Result<Vec<u8>, ContainerError> {
    let size = stored.len() as u64;
    if size > caps.stored {
        return Err(ContainerError::TooLarge { what: "stored", size, cap: caps.stored });
    }
    let within = |declared| match declared {
        size if size > caps.raw => Err(ContainerError::TooLarge { what: "raw", size, cap: caps.raw }),
        _ => Ok(declared),
    };
    if gzip::is_member(stored) {
        let member = gzip::Member::read(stored)?;
        within(member.declared)?;
        return member.unpack();
    }
    unpack(stored, within(frame_size(stored)?)?)
}

/// Unpacks a frame whose declared size was checked, into a buffer of that size.
fn unpack(stored: &[u8], declared: u64) -> Result<Vec<u8>, ContainerError> {
    let end = zstd::zstd_safe::find_frame_compressed_size(stored).map_err(|_| FrameFault::Corrupt)?;
    if end != stored.len() {
        return Err(FrameFault::Trailing { bytes: stored.len().saturating_sub(end) }.into());
    }
    let size = usize::try_from(declared).map_err(|_| FrameFault::Corrupt)?;
    let raw = zstd::bulk::Decompressor::new()
        .and_then(|mut decompressor| decompressor.decompress(stored, size))
        .map_err(|_| FrameFault::Corrupt)?;
    if raw.len() != size {
        return Err(FrameFault::Corrupt.into());
    }
    Ok(raw)
}

/// The content size a frame declares, if its header keeps every rule (RFC 8878, 3.1.1.1).
fn frame_size(stored: &[u8]) -> Result<u64, FrameFault> {
    let rest = stored.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd]).ok_or(FrameFault::NotAFrame)?;
    let (&descriptor, rest) = rest.split_first().ok_or(FrameFault::CutOff)?;
    if descriptor & 0b0001_1000 != 0 {
        return Err(FrameFault::Reserved);
    }
    if descriptor & 0b0000_0011 != 0 {
        return Err(FrameFault::Dictionary);
    }
    let single_segment = descriptor & 0b0010_0000 != 0;
    let (window, rest) = if single_segment {
        (None, rest)
    } else {
        let (&byte, rest) = rest.split_first().ok_or(FrameFault::CutOff)?;
        // Exponent and mantissa: 1 KiB to 3.75 TiB, in eighths, each of at least 128 bytes.
        let eighth = 128_u64.checked_shl(u32::from(byte >> 3)).unwrap_or(u64::MAX);
        (Some(eighth.saturating_mul(8_u64.saturating_add(u64::from(byte & 7)))), rest)
    };
    let (bytes, offset) = match (descriptor >> 6, single_segment) {
        (0, false) => return Err(FrameFault::NoSize),
        (0, true) => (1, 0),
        (1, _) => (2, 256),
        (2, _) => (4, 0),
        _ => (8, 0),
    };
    let field = rest.get(..bytes).ok_or(FrameFault::CutOff)?;
    let size = field.iter().rev().fold(0_u64, |size, byte| (size << 8) | u64::from(*byte));
    let size = size.saturating_add(offset);
    // A single segment is its own window.
    let window = window.unwrap_or(size);
    if window > MAX_WINDOW_BYTES {
        return Err(FrameFault::Window { window });
    }
    Ok(size)
}

/// The level objects are compressed with unless asked otherwise.
pub const ZSTD_LEVEL: i32 = 9;

/// 2²³ bytes: the widest window [`MAX_WINDOW_BYTES`] allows.
const MAX_WINDOW_LOG: u32 = 23;

/// Compresses to one frame of the default level; what it is called in a manifest comes with it.
pub fn encode_zstd(raw: &[u8]) -> Result<(Vec<u8>, StoredObject), ContainerError> {
    encode_zstd_level(raw, ZSTD_LEVEL)
}

/// Compresses to one frame with its size declared and its window within the limit.
///
/// The frame is read back, so that nothing is written that no client would take.
pub fn encode_zstd_level(raw: &[u8], level: i32) -> Result<(Vec<u8>, StoredObject), ContainerError> {
    let compress = || {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        compressor.include_contentsize(true)?;
        compressor.include_checksum(false)?;
        if raw.len() as u64 > MAX_WINDOW_BYTES {
            compressor.window_log(MAX_WINDOW_LOG)?;
        }
        compressor.compress(raw)
    };
    let stored = compress().map_err(|_: std::io::Error| ContainerError::Compressor)?;
    let object = StoredObject {
        encoding: Encoding::Zstd,
        sha256: Digest::of(&stored),
        size: stored.len() as u64,
        raw_size: raw.len() as u64,
    };
    if frame_size(&stored)? != object.raw_size {
        return Err(ContainerError::Compressor);
    }
    Ok((stored, object))
}
