//! Reading a project's files.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, ProjectId, SegmentKey, ViewId};
use flagstone_publisher::author::{
    Attributes, Environment, FlagDefinition, Problem, Segment, Targeting, ViewDefinition, code,
};
use flagstone_publisher::list::ListKeys;

use super::{ATTRIBUTES, FORMAT, Flag, MARKER, Read, Tree, place};
use crate::failure::{Exit, Failure, Spot};

/// Largest file that is read, in bytes: more than any request may have.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Members that answers of the server have; who copies one into a file means the rest of it.
const OF_THE_SERVER: [&str; 5] = ["revision", "seq", "notes", "publication", "phases"];

/// Reads a directory. Everything that is wrong with its files is told at once, each with its file and line.
pub(crate) fn read(directory: &Path) -> Result<Read, Failure> {
    let project = marker(directory)?;
    let mut reading = Reading {
        read: Read {
            tree: Tree::empty(project),
            texts: BTreeMap::new(),
            flags: BTreeMap::new(),
            segments: BTreeMap::new(),
            attributes: None,
            views: BTreeMap::new(),
        },
        spots: Vec::new(),
    };
    let attributes = directory.join(ATTRIBUTES);
    if attributes.is_file() {
        reading.attributes(&attributes)?;
    }
    for file in files(&directory.join("views"), "json")? {
        reading.view(&file)?;
    }
    for file in files(&directory.join("environments"), "json")? {
        reading.environment(&file)?;
    }
    for file in files(&directory.join("flags"), "json")? {
        reading.flag(&file)?;
    }
    let segments = directory.join("segments");
    for folder in entries(&segments)?.into_iter().filter(|folder| folder.is_dir()) {
        for file in files(&folder, "json")? {
            reading.segment(&folder, &file)?;
        }
    }
    for folder in entries(&directory.join("lists"))?.into_iter().filter(|folder| folder.is_dir()) {
        for file in files(&folder, "txt")? {
            reading.list(&folder, &file)?;
        }
    }
    if reading.spots.is_empty() {
        return Ok(reading.read);
    }
    let detail = match reading.spots.len() {
        1 => "a file is not what it should be".to_owned(),
        count => format!("{count} things are wrong with the files"),
    };
    let mut failure = Failure::new(Exit::Refused, "invalid-files", detail);
    failure.spots = reading.spots;
    Err(failure)
}

/// What `flagstone.json` says.
fn marker(directory: &Path) -> Result<ProjectId, Failure> {
    let file = directory.join(MARKER);
    if !file.exists() {
        let detail = format!("{} is no project of Flagstone: it has no {MARKER}", directory.display());
        return Err(Failure::refused("unknown-format", detail)
            .hint("`flagstone export` writes such a directory; other formats are not read"));
    }
    let text = text(&file)?;
    let json = Json::parse(text.as_bytes()).map_err(|error| unreadable(&file, error))?;
    match json.member("format").and_then(Json::as_str) {
        Some(FORMAT) => {}
        other => {
            let detail = format!("{} is of the format `{}`", file.display(), other.unwrap_or("unknown"));
            return Err(Failure::refused("unknown-format", detail)
                .hint(format!("this release reads `{FORMAT}`, which `flagstone export` writes")));
        }
    }
    let project = json.member("project").and_then(Json::as_str).unwrap_or_default();
    ProjectId::parse(project).map_err(|error| unreadable(&file, error))
}

fn unreadable(file: &Path, error: impl Display) -> Failure {
    Failure::refused("invalid-files", format!("{}: {error}", file.display()))
}

fn text(file: &Path) -> Result<String, Failure> {
    let size = fs::metadata(file).map_err(|error| unreadable(file, error))?.len();
    if size > MAX_FILE_BYTES {
        return Err(unreadable(file, format_args!("{size} bytes, at most {MAX_FILE_BYTES} are read")));
    }
    fs::read_to_string(file).map_err(|error| unreadable(file, error))
}

/// What lies in a directory, in the order of names; nothing if it is not there.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(directory, error)),
    };
    let paths: Result<Vec<_>, _> = listed.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(|error| unreadable(directory, error))?;
    paths.sort();
    Ok(paths)
}

/// The files of a directory with this extension; those that begin with a dot are somebody else's.
pub(super) fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    let is_file = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !hidden && path.extension().is_some_and(|found| found == extension) && path.is_file()
    };
    Ok(entries(directory)?.into_iter().filter(is_file).collect())
}

struct Reading {
    read: Read,
    spots: Vec<Spot>,
}

impl Reading {
    /// The object in a file, without members of the server.
    fn object(&mut self, file: &Path) -> Result<Option<Json<'static>>, Failure> {
        let text = text(file)?;
        let parsed = Json::parse(text.as_bytes()).map(Json::into_owned);
        self.read.texts.insert(file.to_owned(), text);
        match parsed {
            Ok(Json::Object(mut members)) => {
                members.retain(|(name, _)| !OF_THE_SERVER.contains(&&**name));
                Ok(Some(Json::Object(members)))
            }
            Ok(_) => {
                self.wrong(file, "", [Problem::invalid("", "a JSON object is wanted here")]);
                Ok(None)
            }
            Err(error) => {
                let detail = format!("this is no JSON: {error}");
                self.spots.push(Spot {
                    pointer: file.display().to_string(),
                    code: code::INVALID_REQUEST.to_owned(),
                    detail,
                });
                Ok(None)
            }
        }
    }

    fn wrong(&mut self, file: &Path, below: &str, problems: impl IntoIterator<Item = Problem>) {
        let text = self.read.texts.get(file).map_or("", String::as_str);
        for problem in problems {
            let pointer = place(file, text, &format!("{below}{}", problem.pointer));
            self.spots.push(Spot { pointer, code: problem.code.to_owned(), detail: problem.detail });
        }
    }

    fn twice(&mut self, file: &Path, key: &str, first: &Path) {
        let detail = format!("`{key}` stands in {} too", first.display());
        self.wrong(file, "", [Problem::invalid("/key", detail)]);
    }

    fn attributes(&mut self, file: &Path) -> Result<(), Failure> {
        let Some(Json::Object(mut members)) = self.object(file)? else { return Ok(()) };
        members.retain(|(name, _)| name != "key");
        match Attributes::parse(&Json::Object(members)) {
            Ok(attributes) => {
                self.read.tree.attributes = Some(attributes);
                self.read.attributes = Some(file.to_owned());
            }
            Err(problems) => self.wrong(file, "", problems),
        }
        Ok(())
    }

    fn view(&mut self, file: &Path) -> Result<(), Failure> {
        let Some(Json::Object(mut members)) = self.object(file)? else { return Ok(()) };
        // An answer of the server has it as `key`.
        let at = members.iter().position(|(name, _)| name == "id" || name == "key");
        let id = at.map(|at| members.remove(at).1);
        let id = match ViewId::parse(id.as_ref().and_then(Json::as_str).unwrap_or_default()) {
            Ok(id) => id,
            Err(error) => {
                self.wrong(file, "", [Problem::invalid("/id", error.to_string())]);
                return Ok(());
            }
        };
        match ViewDefinition::parse(&Json::Object(members)) {
            Ok(view) => {
                if let Some(first) = self.read.views.insert(id.clone(), file.to_owned()) {
                    self.twice(file, id.as_str(), &first);
                }
                self.read.tree.views.insert(id, view);
            }
            Err(problems) => self.wrong(file, "", problems),
        }
        Ok(())
    }

    fn environment(&mut self, file: &Path) -> Result<(), Failure> {
        let Some(body) = self.object(file)? else { return Ok(()) };
        match Environment::parse(&body) {
            Ok(environment) => {
                let id = environment.id.clone();
                if self.read.tree.environments.insert(id.clone(), environment).is_some() {
                    let detail = format!("the environment `{id}` stands in another file too");
                    self.wrong(file, "", [Problem::invalid("/id", detail)]);
                }
            }
            Err(problems) => self.wrong(file, "", problems),
        }
        Ok(())
    }

    fn flag(&mut self, file: &Path) -> Result<(), Failure> {
        let Some(Json::Object(mut members)) = self.object(file)? else { return Ok(()) };
        let at = members.iter().position(|(name, _)| name == "targeting");
        let targeting = at.map(|at| members.remove(at).1);
        let definition = match FlagDefinition::parse(&Json::Object(members)) {
            Ok(definition) => Some(definition),
            Err(problems) => {
                self.wrong(file, "", problems);
                None
            }
        };
        let targetings = self.targetings(file, targeting);
        let Some(definition) = definition else { return Ok(()) };
        if definition.archived {
            let detail = "an archived flag has no file: take it away and `flagstone apply --prune`";
            self.wrong(file, "", [Problem::invalid("/archived", detail)]);
        }
        let key: FlagKey = definition.key.clone();
        if let Some(first) = self.read.flags.insert(key.clone(), file.to_owned()) {
            self.twice(file, key.as_str(), &first);
        }
        self.read.tree.flags.insert(key, Flag { definition, targetings });
        Ok(())
    }

    fn targetings(
        &mut self,
        file: &Path,
        targeting: Option<Json<'static>>,
    ) -> BTreeMap<EnvironmentId, Targeting> {
        let mut targetings = BTreeMap::new();
        let members = match targeting {
            None => return targetings,
            Some(Json::Object(members)) => members,
            Some(_) => {
                let detail = "an object of environments and their targetings is wanted here";
                self.wrong(file, "", [Problem::invalid("/targeting", detail)]);
                return targetings;
            }
        };
        for (name, body) in members {
            let below = flagstone_publisher::author::pointer(["targeting", &*name]);
            match EnvironmentId::parse(&name) {
                Ok(id) => match Targeting::parse(&body) {
                    Ok(targeting) => drop(targetings.insert(id, targeting)),
                    Err(problems) => self.wrong(file, &below, problems),
                },
                Err(error) => self.wrong(file, &below, [Problem::invalid("", error.to_string())]),
            }
        }
        targetings
    }

    /// The environment whose folder this is.
    fn environment_of(&self, name: &str) -> Option<EnvironmentId> {
        // The only environments whose names are escaped begin like a device.
        let known = |id: &&EnvironmentId| super::names::of(id.as_str()) == name;
        let environment = self.read.tree.environments.keys().find(known).cloned();
        environment.or_else(|| EnvironmentId::parse(name).ok())
    }

    fn list(&mut self, folder: &Path, file: &Path) -> Result<(), Failure> {
        let name = |path: &Path| {
            path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let folder = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(environment) = self.environment_of(&folder) else {
            let detail = format!("the directory `{folder}` is named as no environment is");
            self.wrong(file, "", [Problem::invalid("", detail)]);
            return Ok(());
        };
        let key = super::names::key_of(&name(file)).and_then(|key| ListKey::parse(&key).ok());
        let Some(key) = key else {
            let detail = "the file is named as no list is; `flagstone export` shows how names are written";
            self.wrong(file, "", [Problem::invalid("", detail)]);
            return Ok(());
        };
        let text = fs::read(file).map_err(|error| unreadable(file, error))?;
        match ListKeys::from_text(&text) {
            Ok(keys) => drop(self.read.tree.lists.insert((environment, key), keys)),
            Err(fault) => self.spots.push(Spot {
                pointer: file.display().to_string(),
                code: code::INVALID_REQUEST.to_owned(),
                detail: fault.to_string(),
            }),
        }
        Ok(())
    }

    fn segment(&mut self, folder: &Path, file: &Path) -> Result<(), Failure> {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let environment = self.environment_of(&name);
        let Some(Json::Object(mut members)) = self.object(file)? else { return Ok(()) };
        let Some(environment) = environment else {
            let detail = format!("the directory `{name}` is named as no environment is");
            self.wrong(file, "", [Problem::invalid("", detail)]);
            return Ok(());
        };
        members.retain(|(name, _)| name != "environment");
        let at = members.iter().position(|(name, _)| name == "key");
        let key = at.map(|at| members.remove(at).1);
        let key = key.as_ref().and_then(Json::as_str).unwrap_or_default();
        let key = match SegmentKey::parse(key) {
            Ok(key) => key,
            Err(error) => {
                self.wrong(file, "", [Problem::invalid("/key", error.to_string())]);
                return Ok(());
            }
        };
        match Segment::parse(&Json::Object(members)) {
            Ok(segment) => {
                let place = (environment, key);
                if let Some(first) = self.read.segments.insert(place.clone(), file.to_owned()) {
                    self.twice(file, place.1.as_str(), &first);
                }
                self.read.tree.segments.insert(place, segment);
            }
            Err(problems) => self.wrong(file, "", problems),
        }
        Ok(())
    }
}
