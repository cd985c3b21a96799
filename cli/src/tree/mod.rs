//! A project as files that people keep under version control.
//!
//! ```text
//! flagstone.json               {"format":"flagstone-project/1","project":"shop"}
//! environments/ENV.json        what an environment is called
//! flags/KEY.json               a flag's definition, and `targeting` by environment
//! segments/ENV/KEY.json        a segment
//! lists/ENV/KEY.txt            a list: its keys, ascending, one a line
//! attributes.json              what clients may know of attributes
//! views/ID.json                a view
//! ```
//!
//! Everything is in the authored form, normal: members in a fixed order, two spaces deep, nothing that the server adds. So
//! the same project always gives the same bytes, and a difference of two files is a difference of what they say.

mod locate;
mod names;
mod pretty;
mod read;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, ProjectId, SegmentKey, ViewId};
use flagstone_publisher::author::{
    Attributes, Environment, FlagDefinition, Segment, Targeting, ViewDefinition,
};
use flagstone_publisher::list::ListKeys;

pub(crate) use locate::line_of;
pub(crate) use pretty::pretty;
pub(crate) use read::read;
pub(crate) use write::{Outcome, replace, write};

/// What `flagstone.json` says the files are.
pub(crate) const FORMAT: &str = "flagstone-project/1";
/// The file that says so.
pub(crate) const MARKER: &str = "flagstone.json";
/// The file of what clients may know of attributes.
pub(crate) const ATTRIBUTES: &str = "attributes.json";

/// A project, as its authors wrote it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    pub(crate) project: ProjectId,
    pub(crate) environments: BTreeMap<EnvironmentId, Environment>,
    pub(crate) flags: BTreeMap<FlagKey, Flag>,
    pub(crate) segments: BTreeMap<(EnvironmentId, SegmentKey), Segment>,
    pub(crate) lists: BTreeMap<(EnvironmentId, ListKey), ListKeys>,
    /// Where nothing is said, what is there stays.
    pub(crate) attributes: Option<Attributes>,
    pub(crate) views: BTreeMap<ViewId, ViewDefinition>,
}

/// A flag, and how it is targeted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Flag {
    pub(crate) definition: FlagDefinition,
    /// Where nothing is said, what is there stays.
    pub(crate) targetings: BTreeMap<EnvironmentId, Targeting>,
}

impl Tree {
    /// A project in which there is nothing.
    pub(crate) fn empty(project: ProjectId) -> Self {
        let (environments, flags, segments, lists, views) = Default::default();
        Self { project, environments, flags, segments, lists, attributes: None, views }
    }

    /// Its files: paths, with `/` between their parts, and what stands in them.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let marker =
            Json::object([("format", Json::from(FORMAT)), ("project", Json::from(self.project.to_string()))]);
        files.insert(MARKER.to_owned(), pretty(&marker));
        if let Some(attributes) = &self.attributes {
            files.insert(ATTRIBUTES.to_owned(), pretty(&attributes.to_json()));
        }
        for (id, view) in &self.views {
            let body = view.to_json();
            let members = body.as_object().unwrap_or_default().iter().cloned();
            let named = [("id".into(), Json::from(id.to_string()))].into_iter().chain(members).collect();
            files.insert(view_file(id), pretty(&Json::Object(named)));
        }
        for (id, environment) in &self.environments {
            files.insert(environment_file(id), pretty(&environment.to_json()));
        }
        for (key, flag) in &self.flags {
            files.insert(flag_file(key), pretty(&flag.to_json()));
        }
        for ((environment, key), segment) in &self.segments {
            let body = segment.to_json();
            let members = body.as_object().unwrap_or_default().iter().cloned();
            let keyed = [("key".into(), Json::from(key.to_string()))].into_iter().chain(members).collect();
            files.insert(segment_file(environment, key), pretty(&Json::Object(keyed)));
        }
        for ((environment, key), keys) in &self.lists {
            files.insert(list_file(environment, key), keys.as_text().to_owned());
        }
        files
    }
}

impl Flag {
    fn to_json(&self) -> Json<'_> {
        let definition = self.definition.to_json();
        let mut members = definition.as_object().unwrap_or_default().to_vec();
        let targetings = self.targetings.iter().map(|(id, targeting)| (id.as_str(), targeting.to_json()));
        members.push(("targeting".into(), Json::object(targetings)));
        Json::Object(members)
    }
}

/// The file of an environment.
pub(crate) fn environment_file(id: &EnvironmentId) -> String {
    format!("environments/{}.json", names::of(id.as_str()))
}

/// The file of a flag.
pub(crate) fn flag_file(key: &FlagKey) -> String {
    format!("flags/{}.json", names::of(key.as_str()))
}

/// The file of a segment.
pub(crate) fn segment_file(environment: &EnvironmentId, key: &SegmentKey) -> String {
    format!("segments/{}/{}.json", names::of(environment.as_str()), names::of(key.as_str()))
}

/// The file of a list. Its name says its key, as nothing in it does.
pub(crate) fn list_file(environment: &EnvironmentId, key: &ListKey) -> String {
    format!("lists/{}/{}.txt", names::of(environment.as_str()), names::whole(key.as_str()))
}

/// The file of a view.
pub(crate) fn view_file(id: &ViewId) -> String {
    format!("views/{}.json", names::of(id.as_str()))
}

/// What was read of a directory: the project, and where each part of it stands.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) tree: Tree,
    /// The text of each file that was read, by the path as it is told.
    pub(crate) texts: BTreeMap<PathBuf, String>,
    pub(crate) flags: BTreeMap<FlagKey, PathBuf>,
    pub(crate) segments: BTreeMap<(EnvironmentId, SegmentKey), PathBuf>,
    pub(crate) attributes: Option<PathBuf>,
    pub(crate) views: BTreeMap<ViewId, PathBuf>,
}

impl Read {
    /// A place in a file, as people look for it: `flags/a.json:12 at /targeting`.
    pub(crate) fn place(&self, file: &PathBuf, pointer: &str) -> String {
        let text = self.texts.get(file).map_or("", String::as_str);
        place(file, text, pointer)
    }
}

/// A place in a file with this text.
fn place(file: &std::path::Path, text: &str, pointer: &str) -> String {
    let line = line_of(text, pointer).map_or(String::new(), |line| format!(":{line}"));
    let pointer = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
    format!("{}{line}{pointer}", file.display())
}

#[cfg(test)]
mod tests;
