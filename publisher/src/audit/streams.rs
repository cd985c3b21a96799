//! What is announced and claimed, compared with the log while it is folded.

use std::collections::{BTreeMap, BTreeSet};

use flagstone_bundle::content::Content;
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::{ProjectId, ViewId};

use super::Fault;
use super::bucket::{Announced, Bucket, Found};
use crate::author::ViewDefinition;
use crate::build::build;
use crate::log::{Entity, EntityChange, Entry};
use crate::publication::{Publication, Publications};
use crate::publish::{Access, Options};
use crate::state::State;

/// Somebody says: the log had this hash at this seq, and the stream this content.
#[derive(Debug, Clone)]
struct Anchor {
    /// Who says so: a path, or the claim.
    by: String,
    /// Whether `by` is an object of the bucket.
    object: bool,
    stream: usize,
    version: u64,
    hash: Digest,
    /// The content, if lines of this builder can be built to compare.
    content: Option<Digest>,
}

/// A stream that was proved.
#[derive(Debug)]
pub struct ProvedStream {
    /// The stream.
    pub stream: Stream,
    /// The version that was claimed last.
    pub version: u64,
    /// The serial that was claimed last.
    pub serial: u64,
    /// How many manifests are in the archive.
    pub archived: usize,
    /// How many log heads, and the contents made of them, are what the log gives.
    pub anchors: usize,
    /// Whether what was claimed last is announced.
    pub announced: bool,
    /// Up to which entry it says what the log says.
    pub covered_seq: u64,
    /// What is no fault and worth knowing.
    pub remarks: Vec<String>,
}

impl ProvedStream {
    /// The same as JSON.
    pub fn to_json(&self) -> Json<'static> {
        Json::object([
            ("environment", Json::from(self.stream.environment.to_string())),
            ("view", Json::from(self.stream.view.to_string())),
            ("version", Json::from(self.version)),
            ("serial", Json::from(self.serial)),
            ("covered_seq", Json::from(self.covered_seq)),
            ("archived", Json::from(self.archived as u64)),
            ("anchors", Json::from(self.anchors as u64)),
            ("announced", Json::from(self.announced)),
            ("remarks", self.remarks.iter().map(|remark| Json::from(remark.clone())).collect()),
        ])
    }
}

/// The checks that need the log, ordered by the seq they need.
pub(super) struct Checks {
    anchors: BTreeMap<u64, Vec<Anchor>>,
    streams: Vec<ProvedStream>,
    /// The content last built for a stream, by the seq it was built at.
    built: Vec<Option<(u64, Digest)>>,
    /// What was made of a log that this one is not: a fault, unless an adoption names it.
    foreign: Vec<Foreign>,
    adopted: Vec<Adopted>,
    /// What the last entry about it no longer says, because it was erased: as long as there is any, lines can not be
    /// built to compare.
    unknown: BTreeSet<Entity>,
}

/// An anchor that the log does not meet.
struct Foreign {
    seq: u64,
    anchor: Anchor,
    fault: Fault,
}

/// What an entry of the log says was given up of a stream (FORMAT T-4.7).
struct Adopted {
    entry: u64,
    entity: Entity,
    version: u64,
    lost: LogHead,
}

impl Adopted {
    /// Reads the adoptions of an entry.
    fn of(entry: &Entry) -> Vec<Self> {
        let is_adoption = |change: &EntityChange| matches!(change.entity, Entity::Restoration(..));
        if !entry.header.changes.iter().any(is_adoption) {
            return Vec::new();
        }
        let states = entry.read_data().ok().flatten().map(|data| data.states).unwrap_or_default();
        let changes = entry.header.changes.iter().zip(&states).filter(|(change, _)| is_adoption(change));
        changes.filter_map(|(change, state)| Self::read(entry.seq(), change, state)).collect()
    }

    fn read(entry: u64, change: &EntityChange, state: &Json<'_>) -> Option<Self> {
        let natural = |json: &Json<'_>, name| u64::try_from(json.member(name)?.as_integer()?).ok();
        let log = state.member("log")?;
        let lost = LogHead { seq: natural(log, "seq")?, hash: Digest::parse(log.member("hash")?.as_str()?)? };
        Some(Self { entry, entity: change.entity.clone(), version: natural(state, "version")?, lost })
    }

    /// Whether it is what this anchor was given up by: of its stream, no later version, and no later entry; and the
    /// very hash where it is the entry that is named.
    fn explains(&self, foreign: &Foreign, stream: &Stream) -> bool {
        let entity = Entity::Restoration(stream.environment.clone(), stream.view.clone());
        let named = foreign.seq < self.lost.seq
            || (foreign.seq == self.lost.seq && foreign.anchor.hash == self.lost.hash);
        self.entity == entity && foreign.anchor.version <= self.version && named
    }
}

impl Checks {
    /// Compares what is announced with what is claimed, and notes what the log has to say.
    pub(super) async fn new(
        announced: Vec<Announced>,
        bucket: &Bucket<'_>,
        publications: &dyn Publications,
        project: &ProjectId,
    ) -> Result<Self, Fault> {
        let mut checks = Self {
            anchors: BTreeMap::new(),
            streams: Vec::new(),
            built: vec![None; announced.len()],
            foreign: Vec::new(),
            adopted: Vec::new(),
            unknown: BTreeSet::new(),
        };
        for Announced { stream, access, newest, archived } in announced {
            debug_assert_eq!(stream.project, *project, "streams of one project");
            let item = publications.read(&stream).await.map_err(|error| Fault::new(error.code(), error))?;
            for found in archived.iter().chain(&newest) {
                claimed(found, &item)?;
                bucket.check_snapshot(found, access).await?;
            }
            in_order(&archived)?;
            still_announced(&item, newest.as_ref(), &stream, access, bucket).await?;
            let remarks = remarks(&item, newest.as_ref(), &archived)?;
            let index = checks.streams.len();
            for found in archived.iter().chain(&newest) {
                let manifest = &found.manifest;
                if let Some(log) = manifest.log() {
                    let made = (manifest.builder(), manifest.content());
                    checks.anchor(index, manifest.version(), log, (&found.path, true), made);
                }
            }
            if let (Some(claim), Some(covered)) = (&item.claim, item.covered) {
                let by = format!("the claim of {}/{}", stream.environment, stream.view);
                let made = (claim.builder, claim.content);
                checks.anchor(index, claim.version, covered, (&by, false), made);
            }
            checks.streams.push(ProvedStream {
                version: item.version(),
                serial: item.serial(),
                covered_seq: item.covered_seq(),
                archived: archived.len(),
                anchors: 0,
                announced: item.is_announced(),
                remarks,
                stream,
            });
        }
        Ok(checks)
    }

    fn anchor(
        &mut self,
        stream: usize,
        version: u64,
        log: LogHead,
        (by, object): (&str, bool),
        (builder, content): (u64, Digest),
    ) {
        let content = (builder == Options::default().builder).then_some(content);
        let anchor = Anchor { by: by.to_owned(), object, stream, version, hash: log.hash, content };
        self.anchors.entry(log.seq).or_default().push(anchor);
    }

    /// Compares a state of the log with everything that was said about it.
    pub(super) fn see(&mut self, entry: &Entry, state: &State) -> Result<(), Fault> {
        let seq = entry.seq();
        self.adopted.extend(Adopted::of(entry));
        for change in &entry.header.changes {
            if entry.data.is_none() {
                self.unknown.insert(change.entity.clone());
            } else {
                self.unknown.remove(&change.entity);
            }
        }
        for anchor in self.anchors.remove(&seq).unwrap_or_default() {
            let fault = |code: &str, what: String| {
                let fault = Fault::of_object(code, &anchor.by, what);
                Fault { seq: Some(seq), object: anchor.object.then(|| anchor.by.clone()), ..fault }
            };
            if anchor.hash != entry.hash {
                let what = format!(
                    "it was made of a log whose entry {seq} has the hash {}, this one has {}",
                    anchor.hash, entry.hash
                );
                let fault = fault("anchor-mismatch", what);
                self.foreign.push(Foreign { seq, anchor, fault });
                continue;
            }
            let Some(told) = self.streams.get_mut(anchor.stream) else { continue };
            if let Some(content) = anchor.content.filter(|_| self.unknown.is_empty()) {
                let at = self.built.get(anchor.stream).copied().flatten();
                let built = match at.filter(|(built, _)| *built == seq) {
                    Some((_, digest)) => digest,
                    None => content_at(state, &told.stream, seq)?,
                };
                if let Some(slot) = self.built.get_mut(anchor.stream) {
                    *slot = Some((seq, built));
                }
                if built != content {
                    let what = format!(
                        "it announces the content {content}, and the log up to entry {seq} gives {built}"
                    );
                    return Err(fault("content-mismatch", what));
                }
            }
            told.anchors += 1;
        }
        Ok(())
    }

    /// Looks for streams of which the bucket has nothing at all, though they were announced: it is another bucket, or
    /// everything of them was deleted.
    pub(super) async fn see_what_is_gone(
        &self,
        state: &State,
        bucket: &Bucket<'_>,
        publications: &dyn Publications,
        project: &ProjectId,
    ) -> Result<(), Fault> {
        let views = state.views();
        let streams = state.environments().flat_map(|(environment, _)| {
            let of = |(view, definition): &(ViewId, ViewDefinition)| {
                let stream =
                    Stream { project: project.clone(), environment: environment.clone(), view: view.clone() };
                (stream, definition.audience.into())
            };
            views.iter().map(of).collect::<Vec<_>>()
        });
        for (stream, access) in streams {
            if self.streams.iter().any(|told| told.stream == stream) {
                continue;
            }
            let item = publications.read(&stream).await.map_err(|error| Fault::new(error.code(), error))?;
            still_announced(&item, None, &stream, access, bucket).await?;
        }
        Ok(())
    }

    /// Says that the log ends here.
    pub(super) fn finish(mut self, head: u64) -> Result<Vec<ProvedStream>, Fault> {
        for (seq, anchors) in std::mem::take(&mut self.anchors) {
            for anchor in anchors {
                let what = format!(
                    "it was made of a log up to entry {seq}, and this one ends at {head}: entries are missing"
                );
                let object = anchor.object.then(|| anchor.by.clone());
                let fault = Fault::of_object("log-truncated", &anchor.by, what);
                self.foreign.push(Foreign { seq, anchor, fault: Fault { seq: Some(seq), object, ..fault } });
            }
        }
        for foreign in self.foreign {
            let Some(told) = self.streams.get_mut(foreign.anchor.stream) else { continue };
            let Some(adopted) = self.adopted.iter().find(|adopted| adopted.explains(&foreign, &told.stream))
            else {
                return Err(foreign.fault);
            };
            let (by, entry) = (&foreign.anchor.by, adopted.entry);
            told.remarks.push(format!("{by} was made of a log that was lost, as entry {entry} says"));
        }
        Ok(self.streams)
    }
}

/// What the log up to here gives for a stream.
fn content_at(state: &State, stream: &Stream, seq: u64) -> Result<Digest, Fault> {
    let lines = build(state, &stream.environment, &stream.view)
        .map_err(|error| Fault::of_entry(error.code(), seq, error))?;
    let content = Content::from_lines(lines.iter().map(|line| line.as_bytes()))
        .map_err(|error| Fault::of_entry(error.detail(), seq, error))?;
    Ok(content.content_hash())
}

/// Nothing may be announced that nobody claimed.
fn claimed(found: &Found, item: &Publication) -> Result<(), Fault> {
    let manifest = &found.manifest;
    let unclaimed = |what: String| Err(Fault::of_object("unclaimed", &found.path, what));
    let Some(claim) = &item.claim else {
        return unclaimed("it is announced, and nobody claimed it".to_owned());
    };
    let (version, serial) = (manifest.version(), manifest.serial());
    if manifest.epoch() == claim.epoch && (version > claim.version || serial > claim.serial) {
        return unclaimed(format!(
            "version {version}, serial {serial} is above what was claimed: version {}, serial {}",
            claim.version, claim.serial
        ));
    }
    if manifest.epoch() == claim.epoch && version == claim.version && manifest.content() != claim.content {
        return unclaimed(format!("version {version} was claimed with the content {}", claim.content));
    }
    Ok(())
}

/// What is known to be announced has to be what clients get. A publisher may have moved on since the manifest was read,
/// but it notes that after the manifest is there: read again, it has to be as new.
async fn still_announced(
    item: &Publication,
    newest: Option<&Found>,
    stream: &Stream,
    access: Access,
    bucket: &Bucket<'_>,
) -> Result<(), Fault> {
    let behind = |serial: Option<u64>| serial.unwrap_or_default() < item.announced_serial;
    if !behind(newest.map(|found| found.manifest.serial())) {
        return Ok(());
    }
    let (path, serial) = bucket.newest(stream, access).await?;
    if !behind(serial) {
        return Ok(());
    }
    let is = serial.map_or_else(|| "none".to_owned(), |serial| format!("serial {serial}"));
    let what = format!("serial {} was announced, and {is} is there", item.announced_serial);
    Err(Fault::of_object("manifest-regressed", &path, what))
}

/// Versions and serials rise together.
fn in_order(archived: &[Found]) -> Result<(), Fault> {
    for (older, newer) in archived.iter().zip(archived.iter().skip(1)) {
        if newer.manifest.epoch() == older.manifest.epoch()
            && newer.manifest.serial() <= older.manifest.serial()
        {
            let what = format!(
                "serial {} does not follow serial {} of version {}",
                newer.manifest.serial(),
                older.manifest.serial(),
                older.manifest.version()
            );
            return Err(Fault::of_object("serial-order", &newer.path, what));
        }
    }
    Ok(())
}

/// What is announced has to be in the archive; the rest is worth knowing.
fn remarks(item: &Publication, newest: Option<&Found>, archived: &[Found]) -> Result<Vec<String>, Fault> {
    let mut remarks = Vec::new();
    let Some(claim) = &item.claim else { return Ok(remarks) };
    if !item.is_announced() {
        remarks.push(format!("version {} is claimed and not announced yet", claim.version));
    }
    let versions: Vec<_> = archived
        .iter()
        .filter(|found| found.manifest.epoch() == claim.epoch)
        .map(|found| found.manifest.version())
        .collect();
    let lost = (1..claim.version).filter(|version| versions.binary_search(version).is_err()).count();
    if lost > 0 && archived.iter().all(|found| found.manifest.epoch() == claim.epoch) {
        remarks.push(format!("{lost} older versions were claimed and never archived, as after a crash"));
    }
    if let Some(found) = newest
        && versions.binary_search(&found.manifest.version()).is_err()
    {
        let what = format!("version {} is announced and not in the archive", found.manifest.version());
        return Err(Fault::of_object("archive-missing", &found.path, what));
    }
    Ok(remarks)
}
