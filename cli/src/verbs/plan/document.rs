//! A plan as a file: exactly the changes that were shown, and the revisions that were seen.

use std::path::Path;

use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;

use super::wanted::Planned;
use crate::failure::Failure;
use crate::tree::pretty;
use crate::verbs::told;

/// What a plan file says it is.
const FORMAT: &str = "flagstone-plan/1";

/// A plan.
pub(super) struct Document {
    pub(super) project: ProjectId,
    /// The entry up to which it looked at the log.
    pub(super) head: Option<u64>,
    pub(super) changes: Vec<Planned>,
}

impl Document {
    /// A plan that looked at the log up to `head`.
    pub(super) fn new(project: &ProjectId, head: Option<u64>) -> Self {
        Self { project: project.clone(), head, changes: Vec::new() }
    }

    /// Writes it, with the request that makes its changes.
    pub(super) fn write(&self, file: &Path, request: &Json<'static>) -> Result<(), Failure> {
        let changes = request.member("changes").cloned().unwrap_or(Json::Null);
        let json = Json::object([
            ("format", Json::from(FORMAT)),
            ("project", Json::from(self.project.to_string())),
            ("head", self.head.map_or(Json::Null, Json::from)),
            ("changes", changes),
        ]);
        std::fs::write(file, pretty(&json)).map_err(|error| {
            Failure::refused("unwritable", format!("{} cannot be written: {error}", file.display()))
        })
    }

    /// Reads a plan that `plan --out` wrote.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let wrong = |detail: String| Failure::usage(format!("{}: {detail}", file.display()));
        if file.is_dir() {
            let hint = format!("`flagstone apply --dir {}` applies the files in it", file.display());
            return Err(wrong("a directory, and no plan".to_owned()).hint(hint));
        }
        let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let json = Json::parse(&bytes).map_err(|error| wrong(format!("no plan: {error}")))?.into_owned();
        if json.member("format").and_then(Json::as_str) != Some(FORMAT) {
            return Err(
                wrong("no plan of this release".to_owned()).hint("`flagstone plan --out FILE` writes one")
            );
        }
        let project =
            ProjectId::parse(told::text(&json, "project")).map_err(|error| wrong(error.to_string()))?;
        let head = told::number(&json, "head").and_then(|head| u64::try_from(head).ok());
        let changes = json.member("changes").and_then(Json::as_array).unwrap_or_default();
        Ok(Self { project, head, changes: changes.iter().cloned().map(Planned::of_plan).collect() })
    }

    /// The plan in a file, if there is one; what else lies there is not to be written over.
    pub(super) fn find(file: &Path) -> Result<Option<Self>, Failure> {
        if file.exists() { Self::read(file).map(Some) } else { Ok(None) }
    }
}
