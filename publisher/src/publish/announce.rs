//! Steps 5 to 10 of FORMAT T-4.5: from proven bytes to a manifest that clients see.

use flagstone_bundle::container::{Caps, StoredObject};
use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::manifest::{
    LogHead, Manifest, ManifestBody, ManifestError, Stream, UnverifiedManifest,
};

use super::error::PublishError;
use super::layout::{Access, Layout};
use super::{Inner, minimum_lifetime_ms};
use crate::observe::Stage;
use crate::publication::Claim;
use crate::store::{Expect, Object, ObjectPath, PutIf, PutNew, StoreError};

/// How often an announcement is tried against other writers.
const TRIES: usize = 5;

/// What the bucket announces.
pub(super) struct Bucket {
    /// The state the manifest must be in to be replaced.
    pub(super) expect: Expect,
    /// The manifest, if it verifies.
    pub(super) manifest: Option<Manifest>,
}

/// What lies at a path.
pub(super) struct Present {
    /// Its state.
    pub(super) expect: Expect,
    /// Its bytes; none where there is nothing, or too much for an object of ours.
    pub(super) bytes: Option<Vec<u8>>,
}

/// What became of a claimed announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    /// Clients see it, or a newer one.
    Yes,
    /// What was claimed before is what this comes to: there is nothing new to announce.
    Before,
    /// Another publisher claimed a later serial before this one was announced.
    Overtaken,
}

impl Inner {
    /// Where the objects of a stream lie.
    pub(super) fn layout<'s>(&self, stream: &'s Stream) -> Layout<'s> {
        Layout::new(stream, self.source.access(stream))
    }

    /// Reads the announced manifest. Bytes that do not verify are nobody's announcement and may be replaced; those of
    /// a later root or format say that this publisher may not write at all.
    pub(super) async fn bucket(&self, stream: &Stream) -> Result<Bucket, PublishError> {
        self.seen(stream, &self.layout(stream).manifest()?).await
    }

    pub(super) async fn seen(&self, stream: &Stream, path: &ObjectPath) -> Result<Bucket, PublishError> {
        let Present { expect, bytes } = self.present(path).await?;
        let manifest = match bytes {
            Some(bytes) => self.verified(stream, &bytes)?,
            None => None,
        };
        Ok(Bucket { expect, manifest })
    }

    /// Reads what may not be ours: somebody with write access to the bucket may have put there what is larger than
    /// anything a publisher writes.
    pub(super) async fn present(&self, path: &ObjectPath) -> Result<Present, StoreError> {
        match self.store.get(path).await {
            Ok(Some(Object { bytes, etag })) => Ok(Present { expect: Expect::Is(etag), bytes: Some(bytes) }),
            Ok(None) => Ok(Present { expect: Expect::Absent, bytes: None }),
            Err(StoreError::TooLarge { size, .. }) => {
                tracing::warn!(%path, size, "an object is larger than anything that is published");
                let head = self.store.head(path).await?;
                Ok(Present { expect: head.map_or(Expect::Absent, |head| Expect::Is(head.etag)), bytes: None })
            }
            Err(error) => Err(error),
        }
    }

    fn verified(&self, stream: &Stream, bytes: &[u8]) -> Result<Option<Manifest>, PublishError> {
        match self.verify(stream, bytes) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(
                source @ (ManifestError::RootAhead { .. }
                | ManifestError::EpochAhead { .. }
                | ManifestError::Unsupported { .. }),
            ) => Err(PublishError::Outdated { source }),
            Err(error) => {
                tracing::warn!(%stream, code = error.code(), detail = error.detail(), "a stored manifest does not verify");
                Ok(None)
            }
        }
    }

    fn verify(&self, stream: &Stream, bytes: &[u8]) -> Result<Manifest, ManifestError> {
        UnverifiedManifest::parse(bytes)?.verify(&self.root, stream)
    }

    /// Step 5: stores bytes under their digest, unless they are there.
    pub(super) async fn upload(
        &self,
        path: &ObjectPath,
        object: &StoredObject,
        bytes: &[u8],
    ) -> Result<(), PublishError> {
        for _ in 0..TRIES {
            if self.store.put_new(path, bytes).await? == PutNew::Created {
                return Ok(());
            }
            // Perhaps torn by a store that is not atomic, or damaged by somebody with write access; its size would not
            // tell.
            let present = self.present(path).await?;
            if present.bytes.is_some_and(|bytes| object.is(&bytes)) {
                return Ok(());
            }
            tracing::warn!(%path, "a stored object is not what its name says and is replaced");
            if let PutIf::Written { .. } = self.store.put_if(path, bytes, &present.expect).await? {
                return Ok(());
            }
        }
        Err(PublishError::ObjectTaken)
    }

    /// Steps 7 to 10. `inline` is the stored bytes of the claim's first delta, where it stands inline.
    pub(super) async fn announce(
        &self,
        stream: &Stream,
        claim: &Claim,
        covered: LogHead,
        inline: Option<&[u8]>,
        expect: Expect,
    ) -> Result<Announced, PublishError> {
        let file = self.watch.stage(Stage::Sign, self.sign(stream, claim, covered, inline)).await?;
        self.watch.stage(Stage::Archive, self.archive(stream, claim, &file)).await?;
        if self.watch.stage(Stage::Announce, self.put(stream, claim, &file, expect)).await?
            == Announced::Overtaken
        {
            return Ok(Announced::Overtaken);
        }
        self.publications.announced(stream, claim.serial).await?;
        self.pulses.saw(stream, claim.serial, self.clock.now_ms());
        tracing::info!(
            %stream,
            version = claim.version,
            serial = claim.serial,
            seq = covered.seq,
            lines = claim.lines,
            bytes = file.len(),
            "announced"
        );
        Ok(Announced::Yes)
    }

    /// Step 7: signs, and verifies as a client will.
    async fn sign(
        &self,
        stream: &Stream,
        claim: &Claim,
        covered: LogHead,
        inline: Option<&[u8]>,
    ) -> Result<Vec<u8>, PublishError> {
        let access = self.source.access(stream);
        let lifetime = self.options.heartbeat_ms.saturating_mul(12).max(minimum_lifetime_ms(access));
        let body = ManifestBody {
            stream: stream.clone(),
            root: self.root.number(),
            epoch: claim.epoch,
            version: claim.version,
            serial: claim.serial,
            issued_ms: claim.issued_ms,
            expires_ms: claim.issued_ms.saturating_add_unsigned(lifetime),
            heartbeat_ms: self.options.heartbeat_ms,
            poll_ms: self.options.poll_ms,
            builder: claim.builder,
            content: claim.content,
            lines: claim.lines,
            snapshot: claim.snapshot,
            deltas: claim.deltas.clone(),
            // It would tell how much is going on elsewhere.
            log: (access == Access::Closed).then_some(covered),
        };
        let payload = body.to_payload();
        let signatures = self.signer.sign(stream, &payload).await?;
        let unverifiable = |source| PublishError::Unverifiable { source };
        let file = assemble(PayloadType::Manifest, &payload, &signatures, inline)
            .map_err(|error| unverifiable(error.into()))?;
        let manifest = self.verify(stream, &file).map_err(unverifiable)?;
        if let Some((delta, inline)) = manifest.inline_delta() {
            delta.object.open(inline, Caps::SNAPSHOT).map_err(super::Refusal::from)?;
        }
        Ok(file)
    }

    /// Step 8: a claimed version is archived once, and always with the same content.
    async fn archive(&self, stream: &Stream, claim: &Claim, file: &[u8]) -> Result<(), PublishError> {
        let path = self.layout(stream).archive(claim.epoch, claim.version)?;
        for _ in 0..TRIES {
            if self.store.put_new(&path, file).await? == PutNew::Created {
                return Ok(());
            }
            let Bucket { expect, manifest } = self.seen(stream, &path).await?;
            // An earlier manifest of this stream may be put there by anybody who can write to the bucket; like what is
            // no manifest of it, it proves nothing and stands in nobody's way.
            let same =
                |present: &Manifest| (present.epoch(), present.version()) == (claim.epoch, claim.version);
            match manifest.filter(same) {
                Some(present) if present.content() == claim.content => return Ok(()),
                Some(_) => return Err(PublishError::ArchiveDiffers { version: claim.version }),
                None => {
                    tracing::warn!(%path, "an archived manifest is not of its version and is replaced");
                    self.store.put_if(&path, file, &expect).await?;
                }
            }
        }
        Err(PublishError::ObjectTaken)
    }

    /// Step 9: moves the pointer, unless it has moved on.
    async fn put(
        &self,
        stream: &Stream,
        claim: &Claim,
        file: &[u8],
        mut expect: Expect,
    ) -> Result<Announced, PublishError> {
        let path = self.layout(stream).manifest()?;
        for _ in 0..TRIES {
            if self.publications.read(stream).await?.serial() != claim.serial {
                return Ok(Announced::Overtaken);
            }
            if let PutIf::Written { .. } = self.store.put_if(&path, file, &expect).await? {
                return Ok(Announced::Yes);
            }
            let bucket = self.bucket(stream).await?;
            if bucket.manifest.is_some_and(|present| present.serial() >= claim.serial) {
                return Ok(Announced::Yes);
            }
            expect = bucket.expect;
        }
        Err(PublishError::Contended)
    }
}
