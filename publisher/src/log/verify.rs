//! Proving a log from its first entry: nothing altered, inserted, or dropped (FORMAT T-4.1, T-4.4).

use std::collections::{BTreeMap, BTreeSet};

use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;

use super::{ChangeLog, Damage, Entity, Entry, Head, LogError, chain_hash};

/// How many entries are read at a time.
const PAGE: usize = 500;

/// Where a log is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} is damaged: {what}")]
pub struct ChainFault {
    /// The first entry that is wrong.
    pub seq: u64,
    /// What is wrong with it.
    pub what: Damage,
}

impl ChainFault {
    /// The stable code of this fault.
    pub const fn code(&self) -> &'static str {
        self.what.code()
    }
}

/// Why a log could not be proved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is damaged.
    #[error(transparent)]
    Fault(#[from] ChainFault),
    /// It could not be read.
    #[error(transparent)]
    Log(LogError),
}

impl VerifyError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.code(),
            Self::Log(error) => error.code(),
        }
    }
}

/// A log that was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedChain {
    /// Where it ends; `None` if it has no entries. Nothing in a log shows that its end was cut off: compare this
    /// with a head that somebody else has kept.
    pub head: Option<Head>,
    /// The entries whose data was erased, with an entry that says so.
    pub erased: BTreeSet<u64>,
    /// How many of the anchors given were met.
    pub anchors: usize,
}

/// Checks entries one after the other.
#[derive(Debug, Clone)]
pub struct Chain {
    project: ProjectId,
    head: Option<Head>,
    anchors: BTreeMap<u64, Digest>,
    holes: BTreeSet<u64>,
    erasures: BTreeSet<u64>,
    met: usize,
}

impl Chain {
    /// A chain before its first entry.
    pub fn new(project: ProjectId) -> Self {
        Self {
            project,
            head: None,
            anchors: BTreeMap::new(),
            holes: BTreeSet::new(),
            erasures: BTreeSet::new(),
            met: 0,
        }
    }

    /// Demands that the entry at `seq` has this hash, as a signed manifest says.
    #[must_use]
    pub fn with_anchor(mut self, seq: u64, hash: Digest) -> Self {
        self.anchors.insert(seq, hash);
        self
    }

    /// Where the entries so far end.
    pub const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Checks the next entry.
    pub fn push(&mut self, entry: &Entry) -> Result<(), ChainFault> {
        let seq = self.head.map_or(1, |head| head.seq.saturating_add(1));
        let fault = |what| Err(ChainFault { seq, what });
        if entry.seq() > seq {
            return fault(Damage::Missing);
        }
        if entry.seq() != seq {
            return fault(Damage::Seq { found: entry.seq() });
        }
        if entry.header.project != self.project {
            return fault(Damage::Project);
        }
        if entry.header_bytes != entry.header.to_bytes() {
            return fault(Damage::Header(super::HeaderError::NotCanonical));
        }
        if entry.hash != chain_hash(self.head.as_ref().map(|head| &head.hash), &entry.header_bytes) {
            return fault(Damage::Link);
        }
        if self.head.is_some_and(|head| entry.header.time_ms < head.time_ms) {
            return fault(Damage::Time);
        }
        match &entry.data {
            Some(data) if data.commitment() != entry.header.data => return fault(Damage::Data),
            Some(_) => {}
            None => {
                self.holes.insert(seq);
            }
        }
        if let Some(anchor) = self.anchors.get(&seq) {
            if *anchor != entry.hash {
                return fault(Damage::Anchor);
            }
            self.met += 1;
        }
        let erased = entry.header.changes.iter().filter_map(|change| match change.entity {
            Entity::Erasure(erased) if erased < seq => Some(erased),
            _ => None,
        });
        self.erasures.extend(erased);
        self.head = Some(entry.head());
        Ok(())
    }

    /// Says that there are no more entries.
    pub fn finish(self) -> Result<VerifiedChain, ChainFault> {
        if let Some(seq) = self.holes.difference(&self.erasures).next() {
            return Err(ChainFault { seq: *seq, what: Damage::Unexplained });
        }
        let end = self.head.map_or(0, |head| head.seq);
        if let Some((seq, _)) = self.anchors.range(end.saturating_add(1)..).next() {
            return Err(ChainFault { seq: *seq, what: Damage::Missing });
        }
        Ok(VerifiedChain { head: self.head, erased: self.holes, anchors: self.met })
    }
}

/// Proves entries that stand in order from the first one.
pub fn verify_chain<'e>(
    project: &ProjectId,
    entries: impl IntoIterator<Item = &'e Entry>,
) -> Result<VerifiedChain, ChainFault> {
    let mut chain = Chain::new(project.clone());
    for entry in entries {
        chain.push(entry)?;
    }
    chain.finish()
}

/// Reads and proves a whole log, against `anchors`: the `log` heads that archived manifests were signed with.
pub async fn verify_log(
    log: &dyn ChangeLog,
    project: &ProjectId,
    anchors: impl IntoIterator<Item = (u64, Digest)> + Send,
) -> Result<VerifiedChain, VerifyError> {
    let mut chain = Chain::new(project.clone());
    for (seq, hash) in anchors {
        chain = chain.with_anchor(seq, hash);
    }
    loop {
        let after = chain.head().map_or(0, |head| head.seq);
        let page = match log.read(project, after, PAGE).await {
            Ok(page) => page,
            // A page with a damaged entry: what stands before it is checked first, so that the first fault is told.
            Err(LogError::Corrupt { seq, what, .. }) => {
                for before in after.saturating_add(1)..seq {
                    if let Some(entry) = log.entry(project, before).await.map_err(VerifyError::Log)? {
                        chain.push(&entry)?;
                    }
                }
                let next = chain.head().map_or(1, |head| head.seq.saturating_add(1));
                let fault = if seq > next { (next, Damage::Missing) } else { (seq, what) };
                return Err(ChainFault { seq: fault.0, what: fault.1 }.into());
            }
            Err(other) => return Err(VerifyError::Log(other)),
        };
        if page.is_empty() {
            return Ok(chain.finish()?);
        }
        for entry in &page {
            chain.push(entry)?;
        }
    }
}
