//! Environments and the project itself.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId};

use super::flag::{MAX_LABEL_BYTES, description};
use super::problem::Problem;
use super::read::{Members, Reader};

/// An environment, as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// What people call it.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

/// The project, as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// What people call it.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

impl Environment {
    /// Reads the authored form.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        let what = Members {
            what: "an environment",
            known: &["id", "name", "description"],
            pending: &["level", "private", "approvals"],
        };
        Reader::document(|reader| {
            reader.object(json, what)?;
            let id = reader.required(json, "id", |reader, id| reader.key(id, EnvironmentId::parse));
            let (name, description) = labels(reader, json);
            Some(Self { id: id?, name, description })
        })
    }

    /// The authored form, normal.
    pub fn to_json(&self) -> Json<'_> {
        labelled(self.id.as_str(), self.name.as_deref(), self.description.as_deref())
    }
}

impl Project {
    /// Reads the authored form.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        let what = Members { what: "a project", known: &["id", "name", "description"], pending: &[] };
        Reader::document(|reader| {
            reader.object(json, what)?;
            let id = reader.required(json, "id", |reader, id| reader.key(id, ProjectId::parse));
            let (name, description) = labels(reader, json);
            Some(Self { id: id?, name, description })
        })
    }

    /// The authored form, normal.
    pub fn to_json(&self) -> Json<'_> {
        labelled(self.id.as_str(), self.name.as_deref(), self.description.as_deref())
    }
}

fn labels(reader: &mut Reader, json: &Json<'_>) -> (Option<String>, Option<String>) {
    let name = reader.optional(json, "name", |reader, name| reader.text(name, MAX_LABEL_BYTES));
    (name, reader.optional(json, "description", description))
}

fn labelled<'a>(id: &'a str, name: Option<&'a str>, description: Option<&'a str>) -> Json<'a> {
    let labels = [("name", name), ("description", description)];
    let labels = labels.into_iter().filter_map(|(label, text)| Some((label, Json::from(text?))));
    Json::object([("id", Json::from(id))].into_iter().chain(labels))
}
