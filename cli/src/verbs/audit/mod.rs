//! `audit verify`: the log, the archive, and what is announced have to agree (FORMAT T-4.1, T-4.4).
//!
//! It reads, in this order, what is announced, what is claimed, which checkpoints there are, and the log: each was
//! written after the one that is read after it, so that a program that goes on writing meanwhile causes no fault.

mod bucket;
mod checkpoints;
mod lists;
mod streams;

use core::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use flagstone_bundle::manifest::Stream;
use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;
use flagstone_publisher::log::verify::{VerifiedChain, VerifyError, verify_log};
use flagstone_publisher::log::{ChangeLog, Entry};
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::state::State;

use crate::api;
use crate::args::AuditVerify;
use crate::failure::{Failure, with_causes};
use crate::progress::Progress;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::audit::bucket::Bucket;
use crate::verbs::audit::checkpoints::Kept;
use crate::verbs::audit::lists::Lists;
use crate::verbs::audit::streams::{Checks, Told};
use crate::verbs::block_on;

/// Entries read at a time.
const PAGE: usize = 500;

/// The first thing that is wrong.
#[derive(Debug)]
pub(crate) struct Fault {
    code: String,
    detail: String,
    /// The entry it is in, if it is in one.
    seq: Option<u64>,
    /// The object of the bucket it is in, if it is in one.
    object: Option<String>,
}

impl Fault {
    fn new(code: &str, error: impl core::error::Error) -> Self {
        Self { code: code.to_owned(), detail: with_causes(&error), seq: None, object: None }
    }

    fn of_entry(code: &str, seq: u64, what: impl Display) -> Self {
        let detail = format!("entry {seq}: {what}");
        Self { code: code.to_owned(), detail, seq: Some(seq), object: None }
    }

    fn of_object(code: &str, path: &str, what: impl Display) -> Self {
        let detail = format!("{path}: {what}");
        Self { code: code.to_owned(), detail, seq: None, object: Some(path.to_owned()) }
    }

    fn unreadable(path: &str, error: &std::io::Error) -> Self {
        Self::of_object("unreadable", path, format!("it cannot be read: {error}"))
    }

    fn to_json(&self) -> Json<'static> {
        let mut members = vec![("ok", Json::from(false)), ("code", Json::from(self.code.clone()))];
        members.extend(self.seq.map(|seq| ("seq", Json::from(seq))));
        members.extend(self.object.clone().map(|object| ("object", Json::from(object))));
        members.push(("detail", Json::from(self.detail.clone())));
        Json::object(members)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::refused(&fault.code, fault.detail).hint("`flagstone audit verify` looks at all of it")
    }
}

/// What was proved.
pub(super) struct Proved {
    project: ProjectId,
    chain: VerifiedChain,
    streams: Vec<Told>,
    checkpoints: Kept,
    lists: Lists,
}

impl Proved {
    /// The end of the log: its seq and its hash.
    pub(super) fn head(&self) -> (u64, String) {
        self.chain.head.map_or((0, String::new()), |head| (head.seq, head.hash.to_string()))
    }
}

/// Proves a data directory that nobody uses.
pub(super) async fn prove(data: &Path, project: &ProjectId) -> Result<Proved, Failure> {
    Ok(check(data, project.clone()).await?)
}

/// The serial that each stream of a bucket announces.
pub(super) fn announced(data: &Path, project: &ProjectId) -> Result<Vec<(Stream, u64)>, Failure> {
    let bucket = Bucket::open(data.join("bucket"), project, &data.join("keys/root.1.json"))?;
    let streams = bucket.streams()?.into_iter();
    Ok(streams.filter_map(|found| Some((found.stream, found.newest?.manifest.serial()))).collect())
}

pub(super) fn verify(
    args: &AuditVerify,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let of_data = || if surroundings.project.is_none() { only_project(&args.data) } else { None };
    let named = args.project.clone().or_else(of_data);
    let project = api::project(named.as_ref(), surroundings)?;
    let log = args.data.join("log.sqlite");
    if let Err(error) = std::fs::File::open(&log) {
        let why = match error.kind() {
            ErrorKind::NotFound => "there is none".to_owned(),
            _ => error.to_string(),
        };
        return Err(Failure::refused("unreadable", format!("no log at {}: {why}", log.display()))
            .hint("--data is the directory that `flagstone dev` was given"));
    }
    let progress = Progress::start(screen.shows_progress(), "checking the log");
    let before = Stillness::of(&log);
    let mut checked = block_on(async { Ok(check(&args.data, project.clone()).await) })?;
    if before.wal_missing && before != Stillness::of(&log) {
        // Somebody began to use the file that was read as one that stays as it is.
        checked = block_on(async { Ok(check(&args.data, project).await) })?;
    }
    drop(progress);
    match checked {
        Ok(proved) => {
            tell(&proved, screen)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => {
            if screen.is_json() {
                screen.json(&fault.to_json())?;
            } else {
                screen.line(format!("{}: {}", screen.paint(Paint::Red, &fault.code), fault.detail))?;
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The project of a data directory that holds one, as every directory of `dev` and `serve` does.
fn only_project(data: &Path) -> Option<ProjectId> {
    let mut names = std::fs::read_dir(data.join("bucket/open")).ok()?;
    let only = names.next()?.ok()?.file_name();
    if names.next().is_some() { None } else { ProjectId::parse(only.to_str()?).ok() }
}

/// Whether anybody uses the log.
#[derive(Debug, PartialEq, Eq)]
struct Stillness {
    wal_missing: bool,
    size: Option<u64>,
    modified: Option<SystemTime>,
}

impl Stillness {
    fn of(log: &Path) -> Self {
        let mut wal = log.as_os_str().to_owned();
        wal.push("-wal");
        let facts = std::fs::metadata(log).ok();
        Self {
            wal_missing: !Path::new(&wal).exists(),
            size: facts.as_ref().map(std::fs::Metadata::len),
            modified: facts.and_then(|facts| facts.modified().ok()),
        }
    }
}

async fn check(data: &Path, project: ProjectId) -> Result<Proved, Fault> {
    let bucket = Bucket::open(data.join("bucket"), &project, &data.join("keys/root.1.json"))?;
    let announced = bucket.streams()?;
    let store = SqliteStore::open_read_only(data.join("log.sqlite"))
        .await
        .map_err(|error| Fault::new(error.code(), error))?;
    let mut checks = Checks::new(announced, &bucket, &store, &project).await?;
    let mut checkpoints = Kept::read(&store, &project).await?;
    let chain = verify_log(&store, &project, []).await.map_err(|error| match error {
        VerifyError::Fault(fault) => Fault::of_entry(fault.code(), fault.seq, &fault.what),
        other => Fault::new(other.code(), other),
    })?;
    if chain.head.is_none() {
        let detail = format!("there is no entry of project `{project}` in the log");
        return Err(Fault { code: "project-not-found".to_owned(), detail, seq: None, object: None });
    }
    let lists = fold(&store, &project, &mut checks, &mut checkpoints).await?;
    checkpoints.finish()?;
    let streams = checks.finish(chain.head.map_or(0, |head| head.seq))?;
    Ok(Proved { project, chain, streams, checkpoints, lists })
}

/// Folds the log from entry 1 and lets the checks see each state.
async fn fold(
    log: &SqliteStore,
    project: &ProjectId,
    checks: &mut Checks,
    checkpoints: &mut Kept,
) -> Result<Lists, Fault> {
    let (mut state, mut lists) = (State::new(project.clone()), Lists::default());
    loop {
        let page: Vec<Entry> = ChangeLog::read(log, project, state.seq(), PAGE)
            .await
            .map_err(|error| Fault::new(error.code(), error))?;
        if page.is_empty() {
            return lists.finish(log, &state).await;
        }
        for entry in &page {
            state
                .apply(entry)
                .map_err(|error| Fault::of_entry(error.code(), entry.seq(), with_causes(&error)))?;
            checks.see(entry, &state)?;
            lists.see(entry);
            checkpoints.see(log, &state).await?;
        }
    }
}

fn tell(proved: &Proved, screen: &Screen) -> Result<(), Failure> {
    let Proved { project, chain, streams, checkpoints, lists } = proved;
    let (seq, hash) = proved.head();
    if screen.is_json() {
        return screen.json(&Json::object([
            ("ok", Json::from(true)),
            ("project", Json::from(project.to_string())),
            ("entries", Json::from(seq)),
            ("head", Json::object([("seq", Json::from(seq)), ("hash", Json::from(hash))])),
            ("erased", chain.erased.iter().map(|seq| Json::from(*seq)).collect()),
            ("checkpoints", Json::from(checkpoints.compared())),
            ("lists", Json::from(lists.checked() as u64)),
            ("streams", streams.iter().map(Told::to_json).collect()),
        ]));
    }
    screen.line(format!(
        "{}: the log of {project} has {seq} entries, and all of them hang together",
        screen.paint(Paint::Green, "ok")
    ))?;
    screen.line(format!("  head      {seq} {hash}"))?;
    if !chain.erased.is_empty() {
        let erased: Vec<_> = chain.erased.iter().map(ToString::to_string).collect();
        screen.line(format!("  erased    {}", erased.join(", ")))?;
    }
    if checkpoints.compared() > 0 {
        screen.line(format!("  checkpoints {} are what the log gives", checkpoints.compared()))?;
    }
    if lists.checked() > 0 {
        screen.line(format!("  lists     {} objects hold the keys that the log says", lists.checked()))?;
    }
    for remark in checkpoints.remarks() {
        screen.note(remark);
    }
    for stream in streams {
        screen.line(format!("  {}", stream.to_text()))?;
        for remark in &stream.remarks {
            screen.note(format!("{}: {remark}", stream.name()));
        }
    }
    screen.note("keep the head somewhere else: nothing in a log shows that its end was cut off together with the bucket");
    Ok(())
}
