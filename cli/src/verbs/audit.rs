//! `audit verify`: proves a data directory that others may be using.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use flagstone_bundle::manifest::Stream;
use flagstone_model::key::ProjectId;
use flagstone_publisher::audit::{
    self, Fault, Proved, ProvedStream, PublishedObjects, ReadError, Records, audit,
};
use flagstone_publisher::sqlite::SqliteStore;

use crate::api;
use crate::args::AuditVerify;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::block_on;

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::refused(&fault.code, fault.detail).hint("`flagstone audit verify` looks at all of it")
    }
}

/// Proves a data directory that nobody uses.
pub(super) async fn prove(data: &Path, project: &ProjectId) -> Result<Proved, Failure> {
    Ok(check(data, project.clone()).await?)
}

/// The serial that each stream of a bucket announces.
pub(super) async fn announced(data: &Path, project: &ProjectId) -> Result<Vec<(Stream, u64)>, Failure> {
    Ok(audit::announced(project, &Files(data.join("bucket")), kept_root(data)?).await?)
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
    let store = SqliteStore::open_read_only(data.join("log.sqlite")).await;
    let store = Arc::new(store.map_err(|error| Fault::new(error.code(), error))?);
    let records = Records {
        log: Arc::clone(&store) as _,
        checkpoints: Arc::clone(&store) as _,
        objects: Arc::clone(&store) as _,
        publications: store,
    };
    audit(project, &records, &Files(data.join("bucket")), kept_root(data)?).await
}

/// The root document that the operator has beside the keys.
fn kept_root(data: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let path = data.join("keys/root.1.json");
    read_file(&path).map_err(|error| Fault::unreadable(&path.display().to_string(), error))
}

/// The bucket of a data directory: read with nothing but the file system.
struct Files(PathBuf);

#[async_trait]
impl PublishedObjects for Files {
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(read_file(&self.0.join(path))?)
    }

    async fn names(&self, path: &str) -> Result<Vec<String>, ReadError> {
        let entries = match fs::read_dir(self.0.join(path)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
        }
        names.sort_unstable();
        Ok(names)
    }
}

fn read_file(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn tell(proved: &Proved, screen: &Screen) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json(&proved.to_json());
    }
    let Proved { project, chain, streams, checkpoints, remarks, lists } = proved;
    let (seq, hash) = proved.head();
    screen.line(format!(
        "{}: the log of {project} has {seq} entries, and all of them hang together",
        screen.paint(Paint::Green, "ok")
    ))?;
    screen.line(format!("  head      {seq} {hash}"))?;
    if !chain.erased.is_empty() {
        let erased: Vec<_> = chain.erased.iter().map(ToString::to_string).collect();
        screen.line(format!("  erased    {}", erased.join(", ")))?;
    }
    if *checkpoints > 0 {
        screen.line(format!("  checkpoints {checkpoints} are what the log gives"))?;
    }
    if *lists > 0 {
        screen.line(format!("  lists     {lists} objects hold the keys that the log says"))?;
    }
    for remark in remarks {
        screen.note(remark);
    }
    for stream in streams {
        let name = format!("{}/{}", stream.stream.environment, stream.stream.view);
        screen.line(format!("  {name}: {}", in_words(stream)))?;
        for remark in &stream.remarks {
            screen.note(format!("{name}: {remark}"));
        }
    }
    screen.note("keep the head somewhere else: nothing in a log shows that its end was cut off together with the bucket");
    Ok(())
}

fn in_words(stream: &ProvedStream) -> String {
    let ProvedStream { version, serial, archived, anchors, announced, .. } = stream;
    let state = if *announced { "announced" } else { "pending" };
    format!(
        "version {version}, serial {serial}, {state}; {archived} archived, {anchors} log heads and contents match"
    )
}
