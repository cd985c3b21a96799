//! Environments and the project itself.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId};

use super::flag::{MAX_LABEL_BYTES, description};
use super::problem::{Problem, code};
use super::read::{Advice, Members, Reader};

/// An environment, as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// What people call it.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether real users are served from it, if its author said so; see [`Self::is_production`].
    pub production: Option<bool>,
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
            known: &["id", "name", "description", "production"],
            pending: &["level", "approvals"],
        };
        let private = Advice {
            names: &["private", "attributes"],
            code: code::INVALID_REQUEST,
            instead: "which attributes are private is declared for the whole project, by `flagstone attribute set`",
        };
        Reader::document(|reader| {
            reader.object_advised(json, what, &[private])?;
            let id = reader.required(json, "id", |reader, id| reader.key(id, EnvironmentId::parse));
            let (name, description) = labels(reader, json);
            let production = reader.optional(json, "production", Reader::boolean);
            Some(Self { id: id?, name, description, production })
        })
    }

    /// An environment of which nothing is said but its id.
    pub const fn unnamed(id: EnvironmentId) -> Self {
        Self { id, name: None, description: None, production: None }
    }

    /// The authored form, normal: `production` stands there if its author wrote it.
    pub fn to_json(&self) -> Json<'_> {
        let mut json = labelled(self.id.as_str(), self.name.as_deref(), self.description.as_deref());
        if let (Json::Object(members), Some(production)) = (&mut json, self.production) {
            members.push(("production".into(), Json::from(production)));
        }
        json
    }

    /// Whether real users are served from it: it is published last (FORMAT T-4.8).
    ///
    /// What its author said; else by its id: `production`, `prod`, and `prod-…` are.
    pub fn is_production(&self) -> bool {
        let id = self.id.as_str();
        self.production.unwrap_or_else(|| matches!(id, "production" | "prod") || id.starts_with("prod-"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(text: &str) -> Environment {
        Environment::parse(&Json::parse(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn an_environment_is_production_by_its_id_unless_its_author_says_otherwise() {
        for (text, expected) in [
            (r#"{"id":"production"}"#, true),
            (r#"{"id":"prod"}"#, true),
            (r#"{"id":"prod-eu"}"#, true),
            (r#"{"id":"product"}"#, false),
            (r#"{"id":"production-eu"}"#, false),
            (r#"{"id":"pre-prod"}"#, false),
            (r#"{"id":"staging"}"#, false),
            (r#"{"id":"prod-test","production":false}"#, false),
            (r#"{"id":"live","production":true}"#, true),
        ] {
            let read = environment(text);
            assert_eq!(read.is_production(), expected, "{text}");
            assert_eq!(read.to_json().to_string(), text, "it is written only when it is stated");
        }
    }

    #[test]
    fn production_is_true_or_false() {
        let problems = Environment::parse(&Json::parse(br#"{"id":"x","production":"yes"}"#).unwrap());
        assert_eq!(problems.unwrap_err()[0].pointer, "/production");
    }
}
