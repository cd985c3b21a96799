//! One gzip member (RFC 1952), under the rules of a zstd frame (FORMAT T-3.4).
//!
//! The header is the ten bytes that the format writes: no name, comment, or extra field. The member's own length, which
//! stands at its end, is the declared size.

use flagstone_model::digest::Digest;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Caps, ContainerError, Encoding, FrameFault, StoredObject};

/// Magic bytes, deflate, no flags, no time, best compression, no system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff];
/// CRC-32 and length of what was compressed, each in four bytes.
const TRAILER_BYTES: usize = 8;
/// Bits of the flags byte that must be zero.
const RESERVED_FLAGS: u8 = 0b1110_0000;

/// Whether bytes begin as a gzip member does.
pub(super) fn is_member(stored: &[u8]) -> bool {
    stored.starts_with(&[0x1f, 0x8b])
}

/// The parts of a member: the compressed bytes, their checksum, and the size they unpack to.
pub(super) struct Member<'s> {
    deflated: &'s [u8],
    crc: u32,
    /// Bytes unpacked, as the member says.
    pub(super) declared: u64,
}

impl<'s> Member<'s> {
    pub(super) fn read(stored: &'s [u8]) -> Result<Self, FrameFault> {
        let rest = stored.strip_prefix(&HEADER[..2]).ok_or(FrameFault::NotAFrame)?;
        let ([method, flags, ..], rest) = rest.split_first_chunk::<8>().ok_or(FrameFault::CutOff)?;
        match (method, flags) {
            (8, 0) => {}
            (8, flags) if flags & RESERVED_FLAGS != 0 => return Err(FrameFault::Reserved),
            _ => return Err(FrameFault::NotAFrame),
        }
        let (deflated, trailer) = rest.split_last_chunk::<TRAILER_BYTES>().ok_or(FrameFault::CutOff)?;
        let [c0, c1, c2, c3, s0, s1, s2, s3] = *trailer;
        let declared = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
        Ok(Self { deflated, crc: u32::from_le_bytes([c0, c1, c2, c3]), declared })
    }

    /// Unpacks into a buffer of the declared size.
    pub(super) fn unpack(&self) -> Result<Vec<u8>, ContainerError> {
        let size = usize::try_from(self.declared).map_err(|_| FrameFault::Corrupt)?;
        let mut raw = vec![0; size];
        let mut inflate = Decompress::new(false);
        let status = inflate
            .decompress(self.deflated, &mut raw, FlushDecompress::Finish)
            .map_err(|_| FrameFault::Corrupt)?;
        let read = usize::try_from(inflate.total_in()).map_err(|_| FrameFault::Corrupt)?;
        if status != Status::StreamEnd || inflate.total_out() != self.declared {
            return Err(FrameFault::Corrupt.into());
        }
        match self.deflated.len().saturating_sub(read) {
            0 => {}
            bytes => return Err(FrameFault::Trailing { bytes }.into()),
        }
        let mut crc = Crc::new();
        crc.update(&raw);
        if crc.sum() == self.crc { Ok(raw) } else { Err(FrameFault::Corrupt.into()) }
    }
}

/// Unpacks the gzip object a manifest names: caps, length, digest, then the member.
pub(super) fn decode(stored: &[u8], object: &StoredObject, caps: Caps) -> Result<Vec<u8>, ContainerError> {
    object.within(caps)?;
    object.check(stored)?;
    let member = Member::read(stored)?;
    if member.declared != object.raw_size {
        return Err(FrameFault::Size { declared: member.declared, signed: object.raw_size }.into());
    }
    member.unpack()
}

/// Compresses to one gzip member, for browsers; what it is called in a manifest comes with it.
///
/// The same bytes give the same member.
pub fn encode_gzip(raw: &[u8]) -> Result<(Vec<u8>, StoredObject), ContainerError> {
    let size = u32::try_from(raw.len()).map_err(|_| ContainerError::Compressor)?;
    let mut deflate = Compress::new(Compression::best(), false);
    let mut stored = HEADER.to_vec();
    // What can not be compressed grows by five bytes for each 64 KiB, and a little at the ends.
    stored.reserve(raw.len().saturating_add(raw.len() / 1_024).saturating_add(64));
    let status = deflate.compress_vec(raw, &mut stored, FlushCompress::Finish);
    if !matches!(status, Ok(Status::StreamEnd)) {
        return Err(ContainerError::Compressor);
    }
    let mut crc = Crc::new();
    crc.update(raw);
    stored.extend(crc.sum().to_le_bytes());
    stored.extend(size.to_le_bytes());
    let object = StoredObject {
        encoding: Encoding::Gzip,
        sha256: Digest::of(&stored),
        size: stored.len() as u64,
        raw_size: raw.len() as u64,
    };
    Ok((stored, object))
}
