//! One run over a stream: FORMAT T-4.5 from its first step to its last.

use std::sync::Arc;

use flagstone_bundle::container::Caps;
use flagstone_bundle::content::Content;
use flagstone_bundle::manifest::{LogHead, Manifest, ManifestError, Stream};

use super::announce::{Announced, Bucket};
use super::cumulative::{Chosen, is_listed};
use super::error::PublishError;
use super::known::{Known, Order, Prepared, Previous};
use super::layout::Layout;
use super::packing::Packing;
use super::proof::Refusal;
use super::source::{Built, SourceError};
use super::{Inner, Publisher};
use crate::log::Head;
use crate::observe::Stage;
use crate::publication::{Claim, Publication};

/// How often a run starts again because another publisher was faster.
const TRIES: usize = 8;

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Announce what the log holds.
    Changes,
    /// That, and a heartbeat if it is time.
    Sweep,
    /// Build anew at the same seq: after an upgrade of the builder.
    Rebuild,
}

/// What one try has to do.
enum Next {
    Nothing,
    SameContent,
    NewContent(Built),
}

impl Publisher {
    pub(super) async fn run(
        &self,
        stream: &Stream,
        known: &mut Known,
        mut ask: Ask,
    ) -> Result<(), PublishError> {
        for _ in 0..TRIES {
            // The manifest first: a claim comes before its announcement, so one above the item is never a race.
            let bucket = self.inner.bucket(stream).await?;
            let item = self.inner.publications.read(stream).await?;
            self.inner.refuse_newer(stream, &item)?;
            refuse_unclaimed(&bucket, &item)?;
            let Some((item, next)) = self.inner.next(stream, &bucket, item, ask).await? else { continue };
            let done = match next {
                Next::Nothing => return Ok(()),
                Next::SameContent => self.announce_again(stream, known, &item, bucket).await?,
                Next::NewContent(built) => self.publish_content(stream, known, &item, bucket, built).await?,
            };
            match done {
                Announced::Yes => return Ok(()),
                // It is built; what was left undone before, and a heartbeat, may still be to do.
                Announced::Before if ask == Ask::Rebuild => ask = Ask::Changes,
                Announced::Before | Announced::Overtaken => {}
            }
        }
        Err(PublishError::Contended)
    }

    /// Steps 4 to 10 for a content that is new.
    async fn publish_content(
        &self,
        stream: &Stream,
        known: &mut Known,
        item: &Publication,
        bucket: Bucket,
        built: Built,
    ) -> Result<Announced, PublishError> {
        let inner = &self.inner;
        let epoch = inner.epoch(stream);
        let before = item.claim.as_ref().filter(|claim| claim.epoch == epoch);
        let previous = match before {
            Some(claim) => inner.previous(stream, known, claim).await?,
            None => None,
        };
        let named_before = previous.as_ref().map(|previous| Arc::clone(previous.content()));
        let issued_ms = inner.issue(item, &bucket);
        let version = item.version().saturating_add(1);
        let order = Order {
            stream: stream.clone(),
            version,
            at_ms: issued_ms,
            content: built.content,
            previous,
            history: before.map(|claim| claim.history.clone()).unwrap_or_default(),
            known: known.clone(),
            packing: inner.packing(stream),
        };
        let source = Arc::clone(&inner.source);
        let Prepared { proven, object, stored, chosen, history } =
            inner.watch.stage(Stage::Prove, blocking(move || order.prepare(&*source))).await?;
        inner.withhold(stream, &proven.withheld);
        let covered = log_head(&built.head);
        let (lines, content) = (proven.content.len() as u64, proven.content.content_hash());
        if before.is_some_and(|claim| claim.content == content) {
            // All that changed is withheld.
            let is_covered = inner.publications.cover(stream, item.serial(), covered).await?;
            return Ok(if is_covered { Announced::Before } else { Announced::Overtaken });
        }
        let layout = inner.layout(stream);
        let snapshot_path = layout.snapshot(&object)?;
        let upload = async {
            tokio::try_join!(
                inner.upload(&snapshot_path, &object, &stored),
                inner.upload_delta(layout, chosen.first()),
                inner.upload_delta(layout, chosen.get(1)),
                async {
                    self.upload_lists(stream, &proven.content, named_before.as_deref()).await;
                    Ok(())
                },
            )
        };
        inner.watch.stage(Stage::Upload, upload).await?;
        let claim = Claim {
            epoch,
            version,
            serial: item.serial().saturating_add(1),
            issued_ms,
            builder: inner.options.builder,
            content,
            lines,
            snapshot: object,
            deltas: chosen.iter().map(|chosen| chosen.delta.clone()).collect(),
            inline: chosen.first().is_some_and(|chosen| chosen.inline),
            history,
        };
        let claiming = inner.publications.claim(stream, item.serial(), &claim, covered);
        if !inner.watch.stage(Stage::Claim, claiming).await? {
            return Ok(Announced::Overtaken);
        }
        known.push(version, proven);
        let inline = chosen.first().filter(|chosen| chosen.inline).map(|chosen| &*chosen.stored);
        inner.announce(stream, &claim, covered, inline, bucket.expect).await
    }

    /// A new serial for what is claimed already: a heartbeat, or what a run that stopped had left undone.
    async fn announce_again(
        &self,
        stream: &Stream,
        known: &mut Known,
        item: &Publication,
        bucket: Bucket,
    ) -> Result<Announced, PublishError> {
        let inner = &self.inner;
        let Some((before, covered)) = item.claim.as_ref().zip(item.covered) else {
            return Ok(Announced::Yes);
        };
        let mut claim = before.clone();
        claim.serial = before.serial.saturating_add(1);
        claim.issued_ms = inner.issue(item, &bucket);
        self.keep_stored(stream, known, &mut claim, covered).await?;
        let inline = inner.stored_deltas(stream, &mut claim).await?;
        let claiming = inner.publications.claim(stream, before.serial, &claim, covered);
        if !inner.watch.stage(Stage::Claim, claiming).await? {
            return Ok(Announced::Overtaken);
        }
        let done = inner.announce(stream, &claim, covered, inline.as_deref(), bucket.expect).await?;
        // What is announced already waits for no list, and is announced whatever becomes of them.
        match inner.previous(stream, known, &claim).await {
            Ok(Some(previous)) => self.upload_lists(stream, previous.content(), None).await,
            Ok(None) => {}
            Err(error) => {
                inner.watch.failed(error.code());
                tracing::error!(%stream, code = error.code(), %error, "the objects of lists are not looked after");
            }
        }
        Ok(done)
    }

    /// Step 5 for refs that are used again: what is announced must be there, and is stored anew if it is not.
    async fn keep_stored(
        &self,
        stream: &Stream,
        known: &Known,
        claim: &mut Claim,
        covered: LogHead,
    ) -> Result<(), PublishError> {
        let inner = &self.inner;
        let layout = inner.layout(stream);
        let present = inner.present(&layout.snapshot(&claim.snapshot)?).await?;
        if present.bytes.is_some_and(|bytes| claim.snapshot.is(&bytes)) {
            return Ok(());
        }
        tracing::warn!(%stream, version = claim.version, "an announced snapshot is missing or damaged and is stored again");
        let proven = match known.proven(claim) {
            Some(proven) => proven,
            None => {
                let built = inner.source.build(stream, covered.seq).await?;
                let of = stream.clone();
                let proven = blocking(move || super::proof::Proven::whole(&of, built.content)).await?;
                if proven.content.content_hash() != claim.content {
                    return Err(SourceError::new("content-lost", "the log now gives other lines").into());
                }
                Arc::new(proven)
            }
        };
        let packing = inner.packing(stream);
        let (stored, object) = blocking(move || proven.store(packing)).await?;
        inner.upload(&layout.snapshot(&object)?, &object, &stored).await?;
        claim.snapshot = object;
        Ok(())
    }
}

impl Inner {
    /// Steps 2 and 3: what is there to do. `None`: another publisher was faster, so look again.
    async fn next(
        &self,
        stream: &Stream,
        bucket: &Bucket,
        mut item: Publication,
        ask: Ask,
    ) -> Result<Option<(Publication, Next)>, PublishError> {
        let Some(head) = self.log.head(&stream.project).await? else {
            return match item.covered_seq() {
                0 => Ok(Some((item, Next::Nothing))),
                covered => Err(PublishError::LogBehind { head: 0, covered }),
            };
        };
        let covered = item.covered_seq();
        if !self.continues(stream, &head, item.covered).await? {
            return Err(PublishError::LogBehind { head: head.seq, covered });
        }
        let new_epoch = item.claim.as_ref().is_none_or(|claim| claim.epoch != self.epoch(stream));
        // An older builder publishes real changes, but never the same seq again: two releases would take turns.
        let newest = item.claim.as_ref().is_none_or(|claim| claim.builder <= self.options.builder);
        let behind = head.seq > covered || new_epoch;
        if let (Ask::Rebuild, false, false, Some(claim)) = (ask, newest, behind, &item.claim) {
            return Err(PublishError::OlderBuilder { own: self.options.builder, claimed: claim.builder });
        }
        if behind || ask == Ask::Rebuild {
            let built = self.watch.stage(Stage::Build, self.source.build(stream, head.seq)).await?;
            if built.head.seq < head.seq {
                return Err(SourceError::new("source-behind", "the lines are older than the log").into());
            }
            self.withhold_nothing(stream);
            self.withhold(stream, &built.withheld);
            let same = |claim: &Claim| claim.content == built.content.content_hash();
            if new_epoch || !item.claim.as_ref().is_some_and(same) {
                return Ok(Some((item, Next::NewContent(built))));
            }
            let now_covered = log_head(&built.head);
            if !self.publications.cover(stream, item.serial(), now_covered).await? {
                return Ok(None);
            }
            item.covered = Some(now_covered);
        }
        let is_ours = bucket.manifest.as_ref().is_some_and(|seen| seen.serial() == item.serial());
        if is_ours && !item.is_announced() {
            // Stopped between the last two steps.
            self.publications.announced(stream, item.serial()).await?;
            item.announced_serial = item.serial();
        }
        let again = ask == Ask::Sweep
            && (self.is_heartbeat_due(stream, &item) || !self.is_stored(stream, &item).await?);
        let next = if is_ours && !again { Next::Nothing } else { Next::SameContent };
        Ok(Some((item, next)))
    }

    /// A claim of a later trust generation was made under a newer root: this publisher may not write at all.
    pub(super) fn refuse_newer(&self, stream: &Stream, item: &Publication) -> Result<(), PublishError> {
        let trusted = self.epoch(stream);
        match &item.claim {
            Some(Claim { epoch, .. }) if *epoch > trusted => {
                let source = ManifestError::EpochAhead { trusted, offered: *epoch };
                Err(PublishError::Outdated { source })
            }
            _ => Ok(()),
        }
    }

    /// Whether the log still has the entry that was published last: else it was restored or replaced, whatever its
    /// length is by now.
    pub(super) async fn continues(
        &self,
        stream: &Stream,
        head: &Head,
        covered: Option<LogHead>,
    ) -> Result<bool, PublishError> {
        let Some(covered) = covered else { return Ok(true) };
        if head.seq <= covered.seq {
            return Ok(log_head(head) == covered);
        }
        let entry = self.log.entry(&stream.project, covered.seq).await?;
        Ok(entry.is_some_and(|entry| entry.hash == covered.hash))
    }

    /// Whether all that was claimed is announced, stored, and archived, all that is in the log is claimed, and no
    /// heartbeat is due.
    pub(super) async fn is_quiet(&self, stream: &Stream) -> Result<bool, PublishError> {
        let bucket = self.bucket(stream).await?;
        let item = self.publications.read(stream).await?;
        let head = self.log.head(&stream.project).await?.map(|head| log_head(&head));
        let (Some(seen), Some(claim)) = (&bucket.manifest, &item.claim) else { return Ok(false) };
        let announced = (seen.epoch(), seen.version(), seen.serial(), seen.content());
        let claimed = (self.epoch(stream), claim.version, claim.serial, claim.content);
        let done = announced == claimed && item.is_announced() && head == item.covered;
        Ok(done && !self.is_heartbeat_due(stream, &item) && self.is_stored(stream, &item).await?)
    }

    /// Whether the claimed snapshot and the archived manifest of its version are stored, as far as a look tells. Their
    /// bytes are read with each heartbeat.
    async fn is_stored(&self, stream: &Stream, item: &Publication) -> Result<bool, PublishError> {
        let Some(claim) = &item.claim else { return Ok(true) };
        let layout = self.layout(stream);
        let (snapshot, archive) =
            (layout.snapshot(&claim.snapshot)?, layout.archive(claim.epoch, claim.version)?);
        let (snapshot, archive) = tokio::try_join!(self.store.head(&snapshot), self.store.head(&archive))?;
        Ok(archive.is_some() && snapshot.is_some_and(|head| head.size == claim.snapshot.size))
    }

    /// A fifth before the promised time, for the next sweep may come late. By the clock, and by how long this process
    /// has seen the announcement stand.
    fn is_heartbeat_due(&self, stream: &Stream, item: &Publication) -> bool {
        let Some(claim) = &item.claim else { return false };
        let heartbeat = self.options.heartbeat_ms - self.options.heartbeat_ms / 5;
        let now_ms = self.clock.now_ms();
        let waited_ms = self.pulses.saw(stream, claim.serial, now_ms);
        waited_ms >= heartbeat || now_ms >= claim.issued_ms.saturating_add_unsigned(heartbeat)
    }

    /// Now, but never before what was issued already.
    fn issue(&self, item: &Publication, bucket: &Bucket) -> i64 {
        let claimed = item.claim.as_ref().map_or(0, |claim| claim.issued_ms);
        let announced = bucket.manifest.as_ref().map_or(0, Manifest::issued_ms);
        self.clock.now_ms().max(claimed).max(announced)
    }

    /// The trust generation of the stream's environment; signing fails where there is none.
    pub(super) fn epoch(&self, stream: &Stream) -> u64 {
        self.root.delegation(&stream.environment).map_or(1, |delegation| delegation.epoch)
    }

    /// The claimed content: remembered, else read back from the store and remembered. Without it there is no delta.
    async fn previous(
        &self,
        stream: &Stream,
        known: &mut Known,
        claim: &Claim,
    ) -> Result<Option<Previous>, PublishError> {
        if known.of(claim).is_none()
            && let Some(content) = self.stored_content(stream, claim).await?
        {
            known.learn(claim.version, content);
        }
        Ok(known.of(claim))
    }

    /// The claimed content as the store has it; nothing if it is missing or damaged.
    async fn stored_content(&self, stream: &Stream, claim: &Claim) -> Result<Option<Content>, PublishError> {
        let path = self.layout(stream).snapshot(&claim.snapshot)?;
        let Some(stored) = self.present(&path).await?.bytes else { return Ok(None) };
        let claim = claim.clone();
        let read = move || {
            let raw = claim.snapshot.open(&stored, Caps::SNAPSHOT)?;
            let content = Content::parse(&raw)?;
            content.check(claim.lines, claim.content)?;
            Ok(content)
        };
        match blocking(read).await {
            Ok(content) => Ok(Some(content)),
            Err(PublishError::Refused(refusal)) => {
                tracing::warn!(%path, code = refusal.code(), "a stored snapshot is damaged; no delta is made");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps of a claim that is announced again the deltas that can be read. Gives the bytes of the one that stands
    /// inline: for two heartbeats; after that it is listed like any other.
    async fn stored_deltas(
        &self,
        stream: &Stream,
        claim: &mut Claim,
    ) -> Result<Option<Vec<u8>>, PublishError> {
        let kept_ms = self.options.heartbeat_ms.saturating_mul(2);
        let at_ms = claim.history.last().map_or(0, |step| step.at_ms);
        let is_fresh = claim.issued_ms <= at_ms.saturating_add_unsigned(kept_ms);
        let inline_since = claim.deltas.first().filter(|_| claim.inline && is_fresh).map(|delta| delta.since);
        let packing = self.packing(stream);
        let (mut kept, mut inline) = (Vec::new(), None);
        for delta in claim.deltas.drain(..) {
            let is_inline = inline_since == Some(delta.since);
            let may_be_listed = packing.lists_deltas() && is_listed(delta.object.size, &claim.snapshot);
            if !is_inline && !may_be_listed {
                continue;
            }
            let present = self.present(&self.layout(stream).delta(&delta.object)?).await?;
            let readable = |stored: &Vec<u8>| delta.object.open(stored, Caps::SNAPSHOT).is_ok();
            let Some(stored) = present.bytes.filter(readable) else { continue };
            kept.push(delta);
            if is_inline {
                inline = Some(stored);
            }
        }
        claim.deltas = kept;
        claim.inline = inline.is_some();
        Ok(inline)
    }

    fn packing(&self, stream: &Stream) -> Packing {
        Packing::of(self.source.access(stream), self.options.zstd_level)
    }

    async fn upload_delta(&self, layout: Layout<'_>, chosen: Option<&Chosen>) -> Result<(), PublishError> {
        let Some(Chosen { delta, stored, .. }) = chosen else { return Ok(()) };
        self.upload(&layout.delta(&delta.object)?, &delta.object, stored).await
    }
}

/// A manifest that verifies and that nobody claimed stops the stream (FORMAT T-4.5, T-4.7).
pub(super) fn refuse_unclaimed(bucket: &Bucket, item: &Publication) -> Result<(), PublishError> {
    let Some(seen) = &bucket.manifest else { return Ok(()) };
    let (version, serial) = (seen.version(), seen.serial());
    let claimed = item.claim.as_ref();
    let above = version > item.version() || serial > item.serial();
    let other = claimed.is_some_and(|claim| {
        claim.epoch == seen.epoch() && claim.version == version && claim.content != seen.content()
    });
    if above || other {
        return Err(PublishError::Unclaimed {
            version,
            serial,
            claimed_version: item.version(),
            claimed_serial: item.serial(),
        });
    }
    Ok(())
}

const fn log_head(head: &Head) -> LogHead {
    LogHead { seq: head.seq, hash: head.hash }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, PublishError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(PublishError::Stopped),
    }
}
