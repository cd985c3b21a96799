//! Proving that the log, the archive, and what is announced agree (FORMAT T-4.1, T-4.4).
//!
//! An audit reads, in this order, what is announced, what is claimed, which checkpoints there are, and the log: each was
//! written after the one that is read after it, so that a program that goes on writing meanwhile causes no fault. It
//! needs no server, asks the ports of storage directly, and writes nothing.

mod bucket;
mod checkpoints;
mod lists;
mod streams;

use core::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use flagstone_bundle::manifest::Stream;
use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;

use crate::causes::with_causes;
use crate::checkpoint::Checkpoints;
use crate::log::verify::{VerifiedChain, VerifyError, verify_log};
use crate::log::{ChangeLog, Entry};
use crate::private_object::PrivateObjects;
use crate::publication::Publications;
use crate::state::State;
use bucket::Bucket;
use checkpoints::Kept;
use lists::Lists;
use streams::Checks;
pub use streams::ProvedStream;

/// Entries read at a time.
const PAGE: usize = 500;

/// What is kept of a project, to be read.
#[derive(Clone)]
pub struct Records {
    /// The log.
    pub log: Arc<dyn ChangeLog>,
    /// The checkpoints of its state.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Large data of the log: the keys of lists.
    pub objects: Arc<dyn PrivateObjects>,
    /// The claims of each stream.
    pub publications: Arc<dyn Publications>,
}

/// Why an object that is published could not be read.
pub type ReadError = Box<dyn core::error::Error + Send + Sync>;

/// What is published, to be read. Less is asked of it than of [`crate::store::ObjectStore`], and one thing more: names.
#[async_trait]
pub trait PublishedObjects: Send + Sync {
    /// The object at a path, if there is one.
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReadError>;

    /// The names directly below a path, those of objects and of what has objects below it, ascending; none if nothing
    /// is there.
    async fn names(&self, path: &str) -> Result<Vec<String>, ReadError>;
}

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    /// Its stable code.
    pub code: String,
    /// What is wrong, and where.
    pub detail: String,
    /// The entry it is in, if it is in one.
    pub seq: Option<u64>,
    /// The object of the bucket it is in, if it is in one.
    pub object: Option<String>,
}

impl Fault {
    /// A fault that is no matter of one entry or object.
    pub fn new(code: &str, error: impl core::error::Error) -> Self {
        Self { code: code.to_owned(), detail: with_causes(&error), seq: None, object: None }
    }

    /// A file or object that cannot be read.
    pub fn unreadable(path: &str, error: impl Display) -> Self {
        Self::of_object("unreadable", path, format!("it cannot be read: {error}"))
    }

    fn of_entry(code: &str, seq: u64, what: impl Display) -> Self {
        let detail = format!("entry {seq}: {what}");
        Self { code: code.to_owned(), detail, seq: Some(seq), object: None }
    }

    fn of_object(code: &str, path: &str, what: impl Display) -> Self {
        let detail = format!("{path}: {what}");
        Self { code: code.to_owned(), detail, seq: None, object: Some(path.to_owned()) }
    }

    /// `{"ok":false,"code",…}`, as `audit verify` tells it.
    pub fn to_json(&self) -> Json<'static> {
        let mut members = vec![("ok", Json::from(false)), ("code", Json::from(self.code.clone()))];
        members.extend(self.seq.map(|seq| ("seq", Json::from(seq))));
        members.extend(self.object.clone().map(|object| ("object", Json::from(object))));
        members.push(("detail", Json::from(self.detail.clone())));
        Json::object(members)
    }
}

/// What was proved.
#[derive(Debug)]
pub struct Proved {
    /// Of which project.
    pub project: ProjectId,
    /// The log.
    pub chain: VerifiedChain,
    /// Each stream that was ever announced.
    pub streams: Vec<ProvedStream>,
    /// How many checkpoints are what the log gives.
    pub checkpoints: u64,
    /// What is no fault of checkpoints, and worth knowing.
    pub remarks: Vec<String>,
    /// How many objects hold the keys that the log says.
    pub lists: u64,
}

impl Proved {
    /// The end of the log: its seq and its hash.
    pub fn head(&self) -> (u64, String) {
        self.chain.head.map_or((0, String::new()), |head| (head.seq, head.hash.to_string()))
    }

    /// `{"ok":true,"entries",…}`, as `audit verify` tells it.
    pub fn to_json(&self) -> Json<'static> {
        let (seq, hash) = self.head();
        Json::object([
            ("ok", Json::from(true)),
            ("project", Json::from(self.project.to_string())),
            ("entries", Json::from(seq)),
            ("head", Json::object([("seq", Json::from(seq)), ("hash", Json::from(hash))])),
            ("erased", self.chain.erased.iter().map(|seq| Json::from(*seq)).collect()),
            ("checkpoints", Json::from(self.checkpoints)),
            ("lists", Json::from(self.lists)),
            ("streams", self.streams.iter().map(ProvedStream::to_json).collect()),
        ])
    }
}

/// Proves a project. Manifests are checked against the root document `kept`, where the operator has it, else against the
/// one that is published: then whoever can write the bucket can have signed them.
///
/// # Errors
///
/// The first [`Fault`].
pub async fn audit(
    project: ProjectId,
    records: &Records,
    published: &dyn PublishedObjects,
    kept: Option<Vec<u8>>,
) -> Result<Proved, Fault> {
    let bucket = Bucket::open(published, &project, kept).await?;
    let announced = bucket.streams().await?;
    let mut checks = Checks::new(announced, &bucket, &*records.publications, &project).await?;
    let mut checkpoints = Kept::read(&*records.checkpoints, &project).await?;
    let chain = verify_log(&*records.log, &project, []).await.map_err(|error| match error {
        VerifyError::Fault(fault) => Fault::of_entry(fault.code(), fault.seq, &fault.what),
        other => Fault::new(other.code(), other),
    })?;
    if chain.head.is_none() {
        let detail = format!("there is no entry of project `{project}` in the log");
        return Err(Fault { code: "project-not-found".to_owned(), detail, seq: None, object: None });
    }
    let (lists, state) = fold(records, &project, &mut checks, &mut checkpoints).await?;
    checks.see_what_is_gone(&state, &bucket, &*records.publications, &project).await?;
    checkpoints.finish()?;
    let streams = checks.finish(chain.head.map_or(0, |head| head.seq))?;
    let (lists, (checkpoints, remarks)) = (lists.checked(), checkpoints.told());
    Ok(Proved { project, chain, streams, checkpoints, remarks, lists })
}

/// The serial that each stream announces, and nothing else of it.
///
/// # Errors
///
/// The first [`Fault`].
pub async fn announced(
    project: &ProjectId,
    published: &dyn PublishedObjects,
    kept: Option<Vec<u8>>,
) -> Result<Vec<(Stream, u64)>, Fault> {
    let bucket = Bucket::open(published, project, kept).await?;
    let streams = bucket.streams().await?.into_iter();
    Ok(streams.filter_map(|found| Some((found.stream, found.newest?.manifest.serial()))).collect())
}

/// Folds the log from entry 1 and lets the checks see each state; the last one is returned.
async fn fold(
    records: &Records,
    project: &ProjectId,
    checks: &mut Checks,
    checkpoints: &mut Kept,
) -> Result<(Lists, State), Fault> {
    let (mut state, mut lists) = (State::new(project.clone()), Lists::default());
    loop {
        let page: Vec<Entry> = records
            .log
            .read(project, state.seq(), PAGE)
            .await
            .map_err(|error| Fault::new(error.code(), error))?;
        if page.is_empty() {
            return Ok((lists.finish(records, &state).await?, state));
        }
        for entry in &page {
            state
                .apply(entry)
                .map_err(|error| Fault::of_entry(error.code(), entry.seq(), with_causes(&error)))?;
            checks.see(entry, &state)?;
            lists.see(entry);
            checkpoints.see(&*records.checkpoints, &state).await?;
        }
    }
}
