//! The way out when the store is ahead of the log: take what is announced for what was claimed (FORMAT T-4.7).

use flagstone_bundle::manifest::{LogHead, Manifest, Stream};
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;

use super::announce::Bucket;
use super::error::PublishError;
use super::run::refuse_unclaimed;
use super::{Inner, Publisher};
use crate::publication::{Claim, Publication};

/// What an adoption is about: what clients may have, and what the log lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The trust generation that the stream goes on in.
    pub epoch: u64,
    /// The version that it goes on from.
    pub version: u64,
    /// The serial that it goes on from.
    pub serial: u64,
    /// The content that it goes on from.
    pub content: Digest,
    /// The serial of the claim that is replaced; 0 if there is none.
    pub replaced: u64,
    /// The head of the log that the announced content was made of, if its manifest names it.
    pub anchor: Option<LogHead>,
}

impl Lost {
    /// What the entry in the log says: from which claim the stream goes on, and of which log it was made.
    pub fn to_json(&self) -> Json<'static> {
        let Self { epoch, version, serial, content, anchor, .. } = self;
        let anchor = anchor.map(|LogHead { seq, hash }| {
            ("log", Json::object([("seq", Json::from(seq)), ("hash", Json::from(hash.to_string()))]))
        });
        let members = [
            ("epoch", Json::from(*epoch)),
            ("version", Json::from(*version)),
            ("serial", Json::from(*serial)),
            ("content", Json::from(content.to_string())),
        ];
        Json::object(members.into_iter().chain(anchor))
    }
}

impl Publisher {
    /// Why the stream stands still until an operator has looked, if it does.
    pub async fn alarm(&self, stream: &Stream) -> Result<Option<PublishError>, PublishError> {
        match self.inner.examine(stream).await {
            Ok(()) => Ok(None),
            Err(error) if error.is_alarm() => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// What an adoption would take over, and what it gives up.
    ///
    /// # Errors
    ///
    /// [`PublishError::NothingToAdopt`] if the stream does not stand still.
    pub async fn lost(&self, stream: &Stream) -> Result<Lost, PublishError> {
        Ok(self.adoptable(stream).await?.0)
    }

    /// What an adoption would give up, and the claim that the stream would go on from.
    async fn adoptable(&self, stream: &Stream) -> Result<(Lost, Claim), PublishError> {
        let inner = &*self.inner;
        let alarm = match inner.examine(stream).await {
            Ok(()) => return Err(PublishError::NothingToAdopt),
            Err(error) => error,
        };
        let bucket = inner.bucket(stream).await?;
        let item = inner.publications.read(stream).await?;
        let announced = match alarm {
            PublishError::Unclaimed { .. } => bucket.manifest,
            PublishError::ArchiveDiffers { .. } => inner.archived(stream, &item).await?,
            PublishError::LogBehind { .. } => None,
            other => return Err(other),
        };
        let serial = announced.as_ref().map_or(0, Manifest::serial).max(item.serial());
        let (claim, anchor) = match (announced, &item.claim) {
            (Some(manifest), _) => (claim_of(&manifest), manifest.log()),
            (None, Some(claim)) => (claim.clone(), item.covered),
            (None, None) => return Err(PublishError::NothingToAdopt),
        };
        // Deltas would be made of versions that this log knows nothing of.
        let claim = Claim { serial, inline: false, history: Vec::new(), ..claim };
        let Claim { epoch, version, content, .. } = claim;
        Ok((Lost { epoch, version, serial, content, replaced: item.serial(), anchor }, claim))
    }

    /// Goes on from what `lost` says, as if it had been made of the log up to `covered`: the next run publishes
    /// whatever the log has instead, as the next version.
    ///
    /// # Errors
    ///
    /// [`PublishError::Contended`] if that is not how the stream stands any more.
    pub async fn adopt(&self, stream: &Stream, lost: &Lost, covered: LogHead) -> Result<(), PublishError> {
        // What is claimed comes from the stores again, and not from whoever asks.
        let claim = match self.adoptable(stream).await {
            Ok((found, claim)) if found == *lost => claim,
            Ok(_) | Err(PublishError::NothingToAdopt) => return Err(PublishError::Contended),
            Err(error) => return Err(error),
        };
        if !self.inner.publications.adopt(stream, lost.replaced, &claim, covered).await? {
            return Err(PublishError::Contended);
        }
        tracing::warn!(%stream, version = claim.version, serial = claim.serial, seq = covered.seq, "adopted");
        Ok(())
    }
}

impl Inner {
    /// Meets every alarm there is.
    async fn examine(&self, stream: &Stream) -> Result<(), PublishError> {
        let bucket = self.bucket(stream).await?;
        let item = self.publications.read(stream).await?;
        self.refuse_newer(stream, &item)?;
        refuse_unclaimed(&bucket, &item)?;
        self.refuse_other_archive(stream, &bucket, &item).await?;
        let head = self.log.head(&stream.project).await?;
        let continues = match &head {
            Some(head) => self.continues(stream, head, item.covered).await?,
            None => item.covered.is_none(),
        };
        if continues {
            return Ok(());
        }
        Err(PublishError::LogBehind { head: head.map_or(0, |head| head.seq), covered: item.covered_seq() })
    }

    async fn refuse_other_archive(
        &self,
        stream: &Stream,
        bucket: &Bucket,
        item: &Publication,
    ) -> Result<(), PublishError> {
        let Some(claim) = &item.claim else { return Ok(()) };
        // What is announced has been archived.
        if bucket.manifest.as_ref().is_some_and(|seen| seen.version() == claim.version) {
            return Ok(());
        }
        match self.archived(stream, item).await? {
            Some(found) if found.content() != claim.content => {
                Err(PublishError::ArchiveDiffers { version: claim.version })
            }
            _ => Ok(()),
        }
    }

    /// The archived manifest of the claimed version.
    async fn archived(&self, stream: &Stream, item: &Publication) -> Result<Option<Manifest>, PublishError> {
        let Some(claim) = &item.claim else { return Ok(None) };
        let path = self.layout(stream).archive(claim.epoch, claim.version)?;
        let found = self.seen(stream, &path).await?.manifest;
        Ok(found.filter(|found| (found.epoch(), found.version()) == (claim.epoch, claim.version)))
    }
}

fn claim_of(manifest: &Manifest) -> Claim {
    Claim {
        epoch: manifest.epoch(),
        version: manifest.version(),
        serial: manifest.serial(),
        issued_ms: manifest.issued_ms(),
        builder: manifest.builder(),
        content: manifest.content(),
        lines: manifest.lines(),
        snapshot: *manifest.snapshot(),
        deltas: manifest.deltas().to_vec(),
        inline: false,
        history: Vec::new(),
    }
}
