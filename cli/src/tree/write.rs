//! Writing a project's files, over those of an earlier export and over no others.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, SegmentKey, ViewId};
use flagstone_publisher::list::ListKeys;

use super::read::{entries, files};
use super::{ATTRIBUTES, FORMAT, MARKER, Tree, environment_file, flag_file, names, view_file};
use crate::failure::Failure;

/// What was done to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    pub(crate) written: usize,
    pub(crate) same: usize,
    pub(crate) removed: usize,
}

/// Writes a project into a directory, each file whole or not at all; files that say the same already are left alone.
///
/// Files of an earlier export whose flag, segment, list, or environment is gone are taken away. What is not such a file is never
/// written over, unless `force`, and never taken away; it is looked for before anything is written.
pub(crate) fn write(directory: &Path, tree: &Tree, force: bool) -> Result<Outcome, Failure> {
    let wanted = tree.files();
    let mut foreign = Vec::new();
    for name in wanted.keys() {
        let file = directory.join(name);
        if file.symlink_metadata().is_ok() && !is_own(&file, name, tree) {
            foreign.push(name.clone());
        }
    }
    if let (false, Some(first)) = (force, foreign.first()) {
        let more = match foreign.len() {
            1 => String::new(),
            count => format!(", and {} more", count.saturating_sub(1)),
        };
        let detail =
            format!("{}{more}: not written by an export of this project", directory.join(first).display());
        return Err(Failure::refused("foreign-file", detail)
            .hint("choose another --dir, or --force to write over it"));
    }
    let gone = gone(directory, &wanted)?;
    let mut outcome = Outcome::default();
    for (name, text) in &wanted {
        let file = directory.join(name);
        if fs::read(&file).is_ok_and(|present| present == text.as_bytes()) {
            outcome.same = outcome.same.saturating_add(1);
            continue;
        }
        fs::create_dir_all(above(&file)).map_err(|error| unwritable(&file, &error))?;
        replace(&file, text)?;
        outcome.written = outcome.written.saturating_add(1);
    }
    for file in gone {
        fs::remove_file(&file).map_err(|error| unwritable(&file, &error))?;
        outcome.removed = outcome.removed.saturating_add(1);
        // A directory in which something lies stays.
        let _ = file.parent().map(fs::remove_dir);
    }
    Ok(outcome)
}

fn unwritable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::refused("unwritable", format!("{} cannot be written: {error}", file.display()))
}

/// The folder that a file lies in.
fn above(file: &Path) -> &Path {
    file.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Replaces a file at once: who reads it sees the old text or the new one.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = above(file).join(format!(".{name}.{}", std::process::id()));
    let written = fs::File::create(&beside).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&beside, file)
    });
    if written.is_err() {
        // The file that was there is whole; this one is not wanted.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(|error| unwritable(file, &error))
}

/// What a file says it is about, if it is a file of a project.
fn says(file: &Path, member: &str) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    let json = Json::parse(&bytes).ok()?;
    json.member(member)?.as_str().map(str::to_owned)
}

/// Whether a file is one that an earlier export wrote at this place.
fn is_own(file: &Path, name: &str, tree: &Tree) -> bool {
    if !file.is_file() {
        return false;
    }
    if name == MARKER {
        return says(file, "format").as_deref() == Some(FORMAT)
            && says(file, "project").as_deref() == Some(tree.project.as_str());
    }
    if name == ATTRIBUTES {
        return fs::read(file).is_ok_and(|bytes| {
            Json::parse(&bytes)
                .is_ok_and(|json| json.member("attributes").and_then(Json::as_object).is_some())
        });
    }
    about(file, name).is_some()
}

/// The path of a file of a project that says what its path says: `None` for any other file.
fn about(file: &Path, name: &str) -> Option<()> {
    let mut parts = name.split('/');
    let canonical = match (parts.next()?, parts.next()?, parts.next()) {
        ("environments", _, None) => environment_file(&EnvironmentId::parse(&says(file, "id")?).ok()?),
        ("views", _, None) => {
            says(file, "audience")?;
            view_file(&ViewId::parse(&says(file, "id")?).ok()?)
        }
        ("flags", _, None) => {
            says(file, "type")?;
            flag_file(&FlagKey::parse(&says(file, "key")?).ok()?)
        }
        ("segments", folder, Some(_)) => {
            format!(
                "segments/{folder}/{}.json",
                names::of(SegmentKey::parse(&says(file, "key")?).ok()?.as_str())
            )
        }
        ("lists", folder, Some(list)) => {
            let key = ListKey::parse(&names::key_of(list.strip_suffix(".txt")?)?).ok()?;
            ListKeys::from_text(&fs::read(file).ok()?).ok()?;
            format!("lists/{folder}/{}.txt", names::whole(key.as_str()))
        }
        _ => return None,
    };
    (canonical == name).then_some(())
}

/// Files of an earlier export that are not wanted any more.
fn gone(directory: &Path, wanted: &BTreeMap<String, String>) -> Result<Vec<PathBuf>, Failure> {
    let mut gone = Vec::new();
    // A directory without the marker was never exported into.
    if says(&directory.join(MARKER), "format").as_deref() != Some(FORMAT) {
        return Ok(gone);
    }
    let mut folders: Vec<_> = ["environments", "flags", "views"].map(|name| (name.to_owned(), "json")).into();
    for (above, extension) in [("segments", "json"), ("lists", "txt")] {
        for folder in entries(&directory.join(above))?.into_iter().filter(|folder| folder.is_dir()) {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            folders.push((format!("{above}/{name}"), extension));
        }
    }
    for (folder, extension) in folders {
        for file in files(&directory.join(&folder), extension)? {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let name = format!("{folder}/{name}");
            if !wanted.contains_key(&name) && about(&file, &name).is_some() {
                gone.push(file);
            }
        }
    }
    Ok(gone)
}
