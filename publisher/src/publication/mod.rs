//! Publication items: what was claimed for a stream, and how far it has got (FORMAT T-4.5).
//!
//! One item per stream. Its [`claim`](Publications::claim) is the only thing that hands out versions and serials, a
//! compare-and-set in the store of records; a publisher that loses it announces nothing. Everything another publisher
//! needs to sign the claimed announcement again stands in the item, so a crash after the claim loses nothing.

use async_trait::async_trait;
use flagstone_bundle::container::StoredObject;
use flagstone_bundle::manifest::{Delta, LogHead, Stream};
use flagstone_model::digest::Digest;

pub mod conformance;
mod item;
mod memory;

pub use memory::MemoryPublications;

use crate::storage::StorageError;

/// The entities one version of a stream touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The version.
    pub version: u64,
    /// When it was claimed, in Unix milliseconds.
    pub at_ms: i64,
    /// Kind and key of each entity whose line changed, came, or went.
    pub touched: Vec<(String, String)>,
}

/// An announcement that one publisher, and no other, may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Trust generation.
    pub epoch: u64,
    /// Content number.
    pub version: u64,
    /// Announcement number.
    pub serial: u64,
    /// When it was claimed, in Unix milliseconds; never less than in the claim before.
    pub issued_ms: i64,
    /// Number of the code that made the lines.
    pub builder: u64,
    /// Content hash.
    pub content: Digest,
    /// Number of lines.
    pub lines: u64,
    /// The stored content.
    pub snapshot: StoredObject,
    /// The stored deltas, newest `since` first.
    pub deltas: Vec<Delta>,
    /// Whether the first delta stands inline.
    pub inline: bool,
    /// The versions behind this one, oldest first, this one last: what deltas are made of. Without gaps.
    pub history: Vec<Step>,
}

/// A publisher's leave to publish while others wait. Efficiency only: correctness is the claim's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who.
    pub holder: String,
    /// Until when, in Unix milliseconds.
    pub until_ms: i64,
}

impl Lease {
    /// A lease held beyond this time is void for one who takes this one at `now_ms`: twice as far ahead.
    ///
    /// Its holder's clock was fast when it was taken, and nobody would publish until the others' reach it. Within
    /// that, clocks may differ by as much as a lease is long.
    pub const fn horizon_ms(&self, now_ms: i64) -> i64 {
        self.until_ms.saturating_add(self.until_ms.saturating_sub(now_ms))
    }

    /// Whether it may take the place of one that is `held`: its holder's own, one that is over, or a void one.
    pub fn takes_over(&self, held: &Self, now_ms: i64) -> bool {
        held.holder == self.holder || held.until_ms <= now_ms || held.until_ms > self.horizon_ms(now_ms)
    }
}

/// The item of one stream. The default is that of a stream never published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publication {
    /// The newest claim.
    pub claim: Option<Claim>,
    /// The head of the log that the claimed content, or a later build of equal content, was folded from.
    pub covered: Option<LogHead>,
    /// The highest seq somebody waits for.
    pub wanted_seq: u64,
    /// The highest serial known to be announced.
    pub announced_serial: u64,
    /// Who publishes now.
    pub lease: Option<Lease>,
}

impl Publication {
    /// Serial of the newest claim; 0 before the first.
    pub fn serial(&self) -> u64 {
        self.claim.as_ref().map_or(0, |claim| claim.serial)
    }

    /// Version of the newest claim; 0 before the first.
    pub fn version(&self) -> u64 {
        self.claim.as_ref().map_or(0, |claim| claim.version)
    }

    /// The seq up to which the log is in the claimed content; 0 before the first claim.
    pub fn covered_seq(&self) -> u64 {
        self.covered.map_or(0, |head| head.seq)
    }

    /// Whether the newest claim was announced.
    pub fn is_announced(&self) -> bool {
        self.serial() != 0 && self.announced_serial >= self.serial()
    }
}

/// Why publication items were not kept or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicationError {
    /// The item is damaged. It is left as it is.
    #[error("the publication item of {stream} is damaged: its {what} can not be read")]
    Corrupt {
        /// Whose.
        stream: Box<Stream>,
        /// Which part of it.
        what: &'static str,
    },
    /// The store below did not do its part.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl PublicationError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "publication-corrupt",
            Self::Storage(error) => error.code(),
        }
    }
}

/// Keeps publication items. A stream without one has the default item.
#[async_trait]
pub trait Publications: Send + Sync {
    /// The item, as of a moment after the call.
    async fn read(&self, stream: &Stream) -> Result<Publication, PublicationError>;

    /// Replaces the claim and what it covers, if the newest claim has the serial `expected` (0: there is none) and
    /// nothing after `covered` is covered already. Of concurrent claims with one expectation exactly one is made.
    async fn claim(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError>;

    /// Replaces the claim and what it covers, whatever that was, if the newest claim has the serial `expected` (0:
    /// there is none): an operator's way out of an alarm.
    async fn adopt(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError>;

    /// Raises what the claim with this serial covers. Does nothing if another claim was made since, for that
    /// one's content may be older than `covered`.
    async fn cover(&self, stream: &Stream, serial: u64, covered: LogHead) -> Result<bool, PublicationError>;

    /// Raises the seq that somebody waits for.
    async fn want(&self, stream: &Stream, seq: u64) -> Result<(), PublicationError>;

    /// Raises the serial known to be announced.
    async fn announced(&self, stream: &Stream, serial: u64) -> Result<(), PublicationError>;

    /// Takes the lease if it is free, has run out at `now_ms`, is the holder's already, or is held beyond
    /// [`Lease::horizon_ms`].
    async fn lease(&self, stream: &Stream, lease: &Lease, now_ms: i64) -> Result<bool, PublicationError>;

    /// Gives the lease back, if it is the holder's.
    async fn release(&self, stream: &Stream, holder: &str) -> Result<(), PublicationError>;
}
