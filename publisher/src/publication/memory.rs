//! Publication items that are forgotten.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use flagstone_bundle::manifest::{LogHead, Stream};

use super::{Claim, Lease, Publication, PublicationError, Publications};

/// Publication items in memory: for tests, and for a run that leaves nothing behind.
#[derive(Debug, Default)]
pub struct MemoryPublications {
    items: Mutex<BTreeMap<Stream, Publication>>,
}

impl MemoryPublications {
    /// No items.
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, stream: &Stream, work: impl FnOnce(&mut Publication) -> T) -> T {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        work(items.entry(stream.clone()).or_default())
    }
}

#[async_trait]
impl Publications for MemoryPublications {
    async fn read(&self, stream: &Stream) -> Result<Publication, PublicationError> {
        Ok(self.with(stream, |item| item.clone()))
    }

    async fn claim(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError> {
        Ok(self.with(stream, |item| {
            let free = item.serial() == expected && item.covered_seq() <= covered.seq;
            if free {
                item.claim = Some(claim.clone());
                item.covered = Some(covered);
            }
            free
        }))
    }

    async fn adopt(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError> {
        Ok(self.with(stream, |item| {
            let free = item.serial() == expected;
            if free {
                item.claim = Some(claim.clone());
                item.covered = Some(covered);
            }
            free
        }))
    }

    async fn cover(&self, stream: &Stream, serial: u64, covered: LogHead) -> Result<bool, PublicationError> {
        Ok(self.with(stream, |item| {
            let same = item.serial() == serial;
            if same && item.covered_seq() < covered.seq {
                item.covered = Some(covered);
            }
            same
        }))
    }

    async fn want(&self, stream: &Stream, seq: u64) -> Result<(), PublicationError> {
        self.with(stream, |item| item.wanted_seq = item.wanted_seq.max(seq));
        Ok(())
    }

    async fn announced(&self, stream: &Stream, serial: u64) -> Result<(), PublicationError> {
        self.with(stream, |item| item.announced_serial = item.announced_serial.max(serial));
        Ok(())
    }

    async fn lease(&self, stream: &Stream, lease: &Lease, now_ms: i64) -> Result<bool, PublicationError> {
        Ok(self.with(stream, |item| {
            let free = item.lease.as_ref().is_none_or(|held| lease.takes_over(held, now_ms));
            if free {
                item.lease = Some(lease.clone());
            }
            free
        }))
    }

    async fn release(&self, stream: &Stream, holder: &str) -> Result<(), PublicationError> {
        self.with(stream, |item| item.lease.take_if(|held| held.holder == holder));
        Ok(())
    }
}
