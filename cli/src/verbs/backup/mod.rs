//! `backup` and `restore-backup`: a data directory as of one moment (FORMAT T-4.7).
//!
//! The bucket must not be ahead of the log: nobody could tell then what was lost. So what announces is copied first,
//! then what it needs, and the log last, which therefore covers all of it. What the log knows to be announced beyond the
//! copied manifests is pending in the copy, as after a crash, and announced anew by whoever serves it.

mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;
use flagstone_publisher::audit::Proved;
use flagstone_publisher::sqlite::SqliteStore;

use crate::args::{Backup, RestoreBackup};
use crate::failure::{Failure, sentence};
use crate::progress::Progress;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::backup::tree::{Partial, copy_file, copy_tree};
use crate::verbs::host::data::{DataDirectory, replace};
use crate::verbs::serve::settings::DEFAULT_DATA;
use crate::verbs::{audit, block_on, keys};

/// What marks a directory as a backup.
const MARK: &str = "backup.json";
/// What a backup that this release writes says.
const FORMAT: i64 = 1;
/// The root document, which is no secret.
const ROOT: &str = "root.1.json";
/// Secrets of the directory itself. Those of `keys/` are whatever ends in `.key`.
const SECRETS: [&str; 2] = ["admin.token", "sdk-keys.json"];

/// What was copied.
struct Copied {
    project: ProjectId,
    objects: u64,
    bytes: u64,
    proved: Proved,
}

pub(super) fn back_up(
    args: &Backup,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let data = args.data.clone().or_else(|| surroundings.setting("FLAGSTONE_DATA").map(PathBuf::from));
    let data = data.unwrap_or_else(|| DEFAULT_DATA.into());
    let progress = Progress::start(screen.shows_progress(), "copying");
    let project = keys::project_of(&data)?;
    let partial = Partial::beside(&args.to)?;
    let copied = block_on(copy(&data, partial.path(), project, args.with_keys, &progress))?;
    partial.finish()?;
    drop(progress);
    tell(&copied, "to", &args.to, screen)?;
    if !args.with_keys && !screen.is_json() {
        screen.note(format!(
            "it has no keys: without a copy of {} nothing can be published",
            data.join("keys").display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

async fn copy(
    data: &Path,
    to: &Path,
    project: ProjectId,
    with_keys: bool,
    progress: &Progress,
) -> Result<Copied, Failure> {
    let source = DataDirectory::existing(data)?;
    if !source.log().exists() {
        return Err(Failure::refused("unreadable", format!("there is no log in {}", data.display())));
    }
    let target = DataDirectory::open(to)?;
    // First what announces, then the archive, then what both need: everything was uploaded before it was named.
    let rank = |path: &str| match path {
        manifest if manifest.ends_with("/manifest") => 0,
        archive if archive.rsplit('/').nth(1) == Some("m") => 1,
        _ => 2,
    };
    let mut count = (0, 0);
    for wanted in 0..=2 {
        let copied = copy_tree(&source.bucket(), &target.bucket(), &|path| rank(path) == wanted)?;
        count = (count.0 + copied.0, count.1 + copied.1);
        progress.say(|| format!("copying: {} objects, {} kB", count.0, count.1 / 1_000));
    }
    let (keys_from, keys_to) = (source.keys(), target.keys());
    let is_key = |path: &str| path == ROOT || (with_keys && is_secret(path));
    copy_tree(&keys_from, &keys_to, &is_key)?;
    for secret in SECRETS.into_iter().filter(|_| with_keys) {
        let from = data.join(secret);
        if from.exists() {
            copy_file(&from, &to.join(secret))?;
        }
    }
    progress.say(|| "copying the log".to_owned());
    let announced = audit::announced(to, &project).await?;
    // Opened like everybody does: others may begin to use it meanwhile.
    let store = SqliteStore::open(source.log()).await.map_err(|error| sentence(error.code(), &error))?;
    store.back_up(target.log(), announced).await.map_err(|error| sentence(error.code(), &error))?;
    progress.say(|| "checking the copy".to_owned());
    let proved = audit::prove(to, &project).await?;
    let (seq, hash) = proved.head();
    let mark = Json::object([
        ("flagstone_backup", Json::from(FORMAT)),
        ("project", Json::from(project.to_string())),
        ("seq", Json::from(seq)),
        ("hash", Json::from(hash)),
        ("with_keys", Json::from(with_keys)),
    ]);
    replace(&to.join(MARK), format!("{mark}\n").as_bytes())?;
    Ok(Copied { project, objects: count.0, bytes: count.1, proved })
}

pub(super) fn restore(args: &RestoreBackup, screen: &Screen) -> Result<ExitCode, Failure> {
    let progress = Progress::start(screen.shows_progress(), "copying");
    let mark = mark(&args.from)?;
    let project = keys::project_of(&args.from)?;
    let partial = Partial::beside(&args.data)?;
    let to = partial.path();
    let target = DataDirectory::open(to)?;
    let (objects, bytes) = copy_tree(&args.from, to, &|path| path != MARK)?;
    if let Some(keys) = &args.keys
        && copy_tree(keys, &target.keys(), &is_secret)?.0 == 0
    {
        return Err(Failure::refused("key-missing", format!("there is no key in {}", keys.display())));
    }
    progress.say(|| "checking the copy".to_owned());
    let proved = block_on(audit::prove(to, &project))?;
    if proved.head() != mark {
        let detail = "the log does not end where the backup says".to_owned();
        return Err(Failure::refused("backup-malformed", detail));
    }
    let has_keys = target.keys().join("manifest.key").exists();
    partial.finish()?;
    drop(progress);
    tell(&Copied { project, objects, bytes, proved }, "from", &args.from, screen)?;
    if !has_keys && !screen.is_json() {
        screen.note(format!(
            "it has no keys: copy them into {} before `flagstone serve`",
            args.data.join("keys").display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a file of `keys/` is a signing key.
fn is_secret(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "key")
}

/// The head of the log, as the mark of a backup says.
fn mark(from: &Path) -> Result<(u64, String), Failure> {
    let path = from.join(MARK);
    let malformed = |why: &str| {
        Failure::refused("backup-malformed", format!("{} {why}", path.display()))
            .hint("--from is a directory that `flagstone backup` wrote")
    };
    let text =
        std::fs::read_to_string(&path).map_err(|error| malformed(&format!("cannot be read: {error}")))?;
    let json = Json::parse(text.trim().as_bytes()).map_err(|_| malformed("is no mark of a backup"))?;
    match json.member("flagstone_backup").and_then(Json::as_integer) {
        Some(FORMAT) => {}
        Some(_) => return Err(malformed("was written by a later release")),
        None => return Err(malformed("is no mark of a backup")),
    }
    let seq = json.member("seq").and_then(Json::as_integer).and_then(|seq| u64::try_from(seq).ok());
    let hash = json.member("hash").and_then(Json::as_str);
    seq.zip(hash.map(str::to_owned)).ok_or_else(|| malformed("is no mark of a backup"))
}

fn tell(copied: &Copied, word: &str, place: &Path, screen: &Screen) -> Result<(), Failure> {
    let Copied { project, objects, bytes, proved } = copied;
    let (seq, hash) = proved.head();
    if screen.is_json() {
        return screen.json(&Json::object([
            ("ok", Json::from(true)),
            (if word == "to" { "to" } else { "from" }, Json::from(place.display().to_string())),
            ("project", Json::from(project.to_string())),
            ("objects", Json::from(*objects)),
            ("bytes", Json::from(*bytes)),
            ("head", Json::object([("seq", Json::from(seq)), ("hash", Json::from(hash))])),
        ]));
    }
    let ok = screen.paint(Paint::Green, "ok");
    screen.line(format!(
        "{ok}: {project} {word} {}: {seq} entries, {objects} files, all of it checked",
        place.display()
    ))
}
