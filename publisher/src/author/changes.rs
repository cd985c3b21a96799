//! Several changes in one document: what `POST P/changes` and plan files say.

use std::collections::BTreeMap;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, KeyError, SegmentKey, ViewId};

use super::attributes::Attributes;
use super::flag::FlagDefinition;
use super::problem::{Problem, pointer};
use super::read::{Members, Reader};
use super::segment::Segment;
use super::targeting::Targeting;
use super::view::ViewDefinition;
use crate::log::Entity;

/// Most changes of one document.
///
/// With the longest keys there are, so many still fit into the header of one entry.
pub const MAX_CHANGES: usize = 500;

/// One of several changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its place among the others, from 0.
    pub index: usize,
    /// The revision that its author saw, 0 if there was nothing; `None` if the author does not care.
    pub revision: Option<u64>,
    /// What is wanted.
    pub wish: Wish,
}

/// What a change leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// The flag is defined so, new or whole.
    Define(FlagDefinition),
    /// The flag is archived.
    Archive(FlagKey),
    /// The flag is targeted so, whole.
    Target(EnvironmentId, FlagKey, Box<Targeting>),
    /// The segment is this, new or whole.
    Segment(EnvironmentId, SegmentKey, Segment),
    /// The segment is gone.
    DeleteSegment(EnvironmentId, SegmentKey),
    /// This is what clients may know of attributes, whole.
    Attributes(Attributes),
    /// The view is this, new or whole.
    View(ViewId, ViewDefinition),
    /// The view is gone.
    DeleteView(ViewId),
}

impl Wish {
    /// What it is about.
    pub fn entity(&self) -> Entity {
        match self {
            Self::Define(definition) => Entity::Flag(definition.key.clone()),
            Self::Archive(key) => Entity::Flag(key.clone()),
            Self::Target(environment, key, _) => Entity::Targeting(environment.clone(), key.clone()),
            Self::Segment(environment, key, _) | Self::DeleteSegment(environment, key) => {
                Entity::Segment(environment.clone(), key.clone())
            }
            Self::Attributes(_) => Entity::Attributes,
            Self::View(id, _) | Self::DeleteView(id) => Entity::View(id.clone()),
        }
    }

    /// The environment it is about; `None` if it is about all.
    pub const fn environment(&self) -> Option<&EnvironmentId> {
        match self {
            Self::Define(_)
            | Self::Archive(_)
            | Self::Attributes(_)
            | Self::View(..)
            | Self::DeleteView(_) => None,
            Self::Target(environment, ..)
            | Self::Segment(environment, ..)
            | Self::DeleteSegment(environment, _) => Some(environment),
        }
    }
}

const DOCUMENT: Members = Members { what: "a request", known: &["changes"], pending: &[] };
const CHANGE: Members = Members {
    what: "a change",
    known: &[
        "flag",
        "segment",
        "attributes",
        "view",
        "environment",
        "definition",
        "targeting",
        "archive",
        "delete",
        "revision",
    ],
    pending: &[],
};

impl Change {
    /// Reads `{"changes":[…]}`: 1 to [`MAX_CHANGES`], each of another entity.
    ///
    /// ```text
    /// {"flag":KEY,"definition":{…}}                      {"flag":KEY,"archive":true}
    /// {"flag":KEY,"environment":ENV,"targeting":{…}}
    /// {"segment":KEY,"environment":ENV,"definition":{…}} {"segment":KEY,"environment":ENV,"delete":true}
    /// {"attributes":{PATH:…}}
    /// {"view":ID,"definition":{…}}                       {"view":ID,"delete":true}
    /// ```
    ///
    /// Each may have `"revision":N`, and a definition may leave its `key` out.
    pub fn parse_all(json: &Json<'_>) -> Result<Vec<Self>, Vec<Problem>> {
        Reader::document(|reader| {
            reader.object(json, DOCUMENT)?;
            let mut index = 0..;
            let changes = reader.required(json, "changes", |reader, changes| {
                if changes.as_array().is_some_and(<[_]>::is_empty) {
                    return reader.none(format!("1 to {MAX_CHANGES} changes are wanted here"));
                }
                reader.array(changes, MAX_CHANGES, |reader, change| {
                    let index = index.next()?;
                    Self::parse(reader, index, change)
                })
            })?;
            let mut seen = BTreeMap::new();
            for change in &changes {
                let entity = change.wish.entity();
                if let Some(first) = seen.insert(entity.clone(), change.index) {
                    let at = ["changes".to_owned(), change.index.to_string()];
                    let detail = format!("{entity} is changed twice, at {} too", place(first));
                    reader.refuse_at(&at, detail);
                }
            }
            Some(changes)
        })
    }

    fn parse(reader: &mut Reader, index: usize, json: &Json<'_>) -> Option<Self> {
        reader.object(json, CHANGE)?;
        let revision = match json.member("revision") {
            None => Some(None),
            Some(_) => reader.optional(json, "revision", natural).map(Some),
        };
        let wish = match one_of(json, ["flag", "segment", "attributes", "view"]) {
            Some("flag") => of_flag(reader, json),
            Some("segment") => of_segment(reader, json),
            Some("attributes") => of_attributes(reader, json),
            Some(_) => of_view(reader, json),
            None => reader.none("a change names one of a `flag`, a `segment`, `attributes`, or a `view`"),
        };
        Some(Self { index, revision: revision?, wish: wish? })
    }
}

/// The JSON Pointer of a change.
fn place(index: usize) -> String {
    pointer(["changes", &index.to_string()])
}

fn of_flag(reader: &mut Reader, json: &Json<'_>) -> Option<Wish> {
    let key = reader.optional(json, "flag", |reader, key| reader.key(key, FlagKey::parse));
    let environment = environment(reader, json);
    reader.only(json, &["flag", "environment", "definition", "targeting", "archive", "revision"])?;
    match (json.member("environment"), one_of(json, ["definition", "archive", "targeting"])) {
        (None, Some("definition")) => {
            let key = key?;
            reader
                .optional(json, "definition", |reader, body| definition(reader, &key, body))
                .map(Wish::Define)
        }
        (None, Some("archive")) => {
            reader.optional(json, "archive", only_true)?;
            key.map(Wish::Archive)
        }
        (Some(_), Some("targeting")) => {
            let targeting = reader.optional(json, "targeting", |reader, body| {
                let parsed = Targeting::parse(body);
                reader.adopt(parsed)
            });
            Some(Wish::Target(environment?, key?, Box::new(targeting?)))
        }
        _ => reader.none(
            "of a flag, a change has a `definition`, or `archive`, or an `environment` and a `targeting`",
        ),
    }
}

fn of_segment(reader: &mut Reader, json: &Json<'_>) -> Option<Wish> {
    let key = reader.optional(json, "segment", |reader, key| reader.key(key, SegmentKey::parse));
    let environment = environment(reader, json);
    reader.only(json, &["segment", "environment", "definition", "delete", "revision"])?;
    match (json.member("environment"), one_of(json, ["definition", "delete"])) {
        (Some(_), Some("definition")) => {
            let segment = reader.optional(json, "definition", |reader, body| {
                let parsed = Segment::parse(body);
                reader.adopt(parsed)
            });
            Some(Wish::Segment(environment?, key?, segment?))
        }
        (Some(_), Some("delete")) => {
            reader.optional(json, "delete", only_true)?;
            Some(Wish::DeleteSegment(environment?, key?))
        }
        _ => reader.none("of a segment, a change has an `environment`, and a `definition` or `delete`"),
    }
}

fn of_attributes(reader: &mut Reader, json: &Json<'_>) -> Option<Wish> {
    reader.only(json, &["attributes", "revision"])?;
    let declared = json.member("attributes").cloned().map(|declared| ("attributes", declared));
    let parsed = Attributes::parse(&Json::object(declared));
    reader.adopt(parsed).map(Wish::Attributes)
}

fn of_view(reader: &mut Reader, json: &Json<'_>) -> Option<Wish> {
    let id = reader.optional(json, "view", |reader, id| reader.key(id, ViewId::parse));
    reader.only(json, &["view", "definition", "delete", "revision"])?;
    match one_of(json, ["definition", "delete"]) {
        Some("definition") => {
            let definition = reader.optional(json, "definition", |reader, body| {
                let parsed = ViewDefinition::parse(body);
                reader.adopt(parsed)
            });
            Some(Wish::View(id?, definition?))
        }
        Some(_) => {
            reader.optional(json, "delete", only_true)?;
            id.map(Wish::DeleteView)
        }
        None => reader.none("of a view, a change has a `definition` or `delete`"),
    }
}

fn environment(reader: &mut Reader, json: &Json<'_>) -> Option<EnvironmentId> {
    let parse: fn(&str) -> Result<EnvironmentId, KeyError> = EnvironmentId::parse;
    reader.optional(json, "environment", |reader, id| reader.key(id, parse))
}

/// The one of these members that is there.
fn one_of<const N: usize>(json: &Json<'_>, names: [&'static str; N]) -> Option<&'static str> {
    let mut present = names.into_iter().filter(|name| json.member(name).is_some());
    present.next().filter(|_| present.next().is_none())
}

/// A definition, whose key has been said already.
fn definition(reader: &mut Reader, key: &FlagKey, body: &Json<'_>) -> Option<FlagDefinition> {
    let Some(members) = body.as_object() else { return reader.none("a flag is an object") };
    let parsed = if body.member("key").is_some() {
        FlagDefinition::parse(body)
    } else {
        let named = [("key".into(), Json::from(key.as_str()))].into_iter().chain(members.iter().cloned());
        FlagDefinition::parse(&Json::Object(named.collect()))
    };
    let definition = reader.adopt(parsed)?;
    if definition.key != *key {
        return reader.within("key", |reader| reader.none("the change names another flag"));
    }
    if definition.archived {
        let detail = "a flag is archived by a change of its own, `\"archive\":true`";
        return reader.within("archived", |reader| reader.none(detail));
    }
    Some(definition)
}

fn only_true(reader: &mut Reader, json: &Json<'_>) -> Option<()> {
    if json.as_bool() == Some(true) { Some(()) } else { reader.none("only `true` is wanted here") }
}

fn natural(reader: &mut Reader, json: &Json<'_>) -> Option<u64> {
    let number = json.as_integer().and_then(|number| u64::try_from(number).ok());
    number.or_else(|| reader.none("a revision is a natural number; 0 means that there is nothing yet"))
}
