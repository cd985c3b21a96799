//! Which of two verified manifests is newer (FORMAT T-1.6).

use core::cmp::Ordering;

use flagstone_model::digest::Digest;

/// Where a manifest stands among those of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Trust generation: higher always wins.
    pub epoch: u64,
    /// Content number.
    pub version: u64,
    /// Announcement number.
    pub serial: u64,
    /// Content hash.
    pub content: Digest,
    /// SHA-256 of the payload: what identifies a manifest, whoever signed it.
    pub payload: Digest,
}

/// What to do with a verified manifest, given the newest one seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// News: take it, and remember it as the newest seen.
    Accept,
    /// The one already seen; its signature lines may differ.
    Same,
    /// Behind what was seen. Ignored, no error; the clock that notices a freeze runs on.
    Older,
    /// Two histories: keep the first, latch the status, report both payload digests.
    Equivocation,
}

impl Outcome {
    /// The stable code, for the two outcomes that have one (FORMAT T-5.6).
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Accept | Self::Same => None,
            Self::Older => Some("older"),
            Self::Equivocation => Some("equivocation"),
        }
    }
}

/// Compares an offered position with the newest one seen; nothing seen accepts anything.
///
/// Both manifests were verified, so their epochs were the trusted root's when they were: a lower one was overtaken.
pub fn order(seen: Option<&Position>, offered: &Position) -> Outcome {
    let Some(seen) = seen else { return Outcome::Accept };
    match offered.epoch.cmp(&seen.epoch) {
        Ordering::Less => return Outcome::Older,
        Ordering::Greater => return Outcome::Accept,
        Ordering::Equal => {}
    }
    let serial = offered.serial.cmp(&seen.serial);
    let version = offered.version.cmp(&seen.version);
    match (serial, version) {
        (Ordering::Equal, _) if offered.payload == seen.payload => Outcome::Same,
        (Ordering::Less, Ordering::Less | Ordering::Equal) => Outcome::Older,
        (Ordering::Greater, Ordering::Greater) => Outcome::Accept,
        (Ordering::Greater, Ordering::Equal) if offered.content == seen.content => Outcome::Accept,
        _ => Outcome::Equivocation,
    }
}
