//! A flag's definition: what it is in the whole project.

use std::collections::BTreeMap;

use flagstone_model::json::Json;
use flagstone_model::key::{FlagKey, VariationKey};
use flagstone_model::limits;
use flagstone_model::value::{FlagType, Value};

use super::operand::{exact, normal, number_json};
use super::problem::{Problem, code};
use super::read::{Advice, Members, Reader};
use super::suggest::did_you_mean;

/// Most bytes of a description.
pub const MAX_DESCRIPTION_BYTES: usize = 4_096;
/// Most bytes of an owner or a tag.
pub const MAX_LABEL_BYTES: usize = 256;
/// Most tags of a flag.
pub const MAX_TAGS: usize = 64;
/// Most members of `meta`.
pub const MAX_META: usize = 64;
/// Most bytes of a text in `meta`.
pub const MAX_META_BYTES: usize = 1_024;
/// Deepest nesting of a JSON value: a line's own object and its `values` are around it.
const MAX_VALUE_DEPTH: usize = limits::MAX_JSON_DEPTH - 2;

/// Why a flag exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlagKind {
    /// To release something step by step.
    #[default]
    Release,
    /// To switch something off in an emergency.
    KillSwitch,
    /// To compare variations.
    Experiment,
    /// To grant something to some.
    Permission,
    /// To operate the system.
    Ops,
}

impl FlagKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Release, Self::KillSwitch, Self::Experiment, Self::Permission, Self::Ops];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::KillSwitch => "kill-switch",
            Self::Experiment => "experiment",
            Self::Permission => "permission",
            Self::Ops => "ops",
        }
    }
}

/// A flag in its project, as its author wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagDefinition {
    /// Its key.
    pub key: FlagKey,
    /// The type of its values.
    pub flag_type: FlagType,
    /// Its values by name.
    pub variations: BTreeMap<VariationKey, Value>,
    /// Why it exists.
    pub kind: FlagKind,
    /// What it is about.
    pub description: Option<String>,
    /// Words to find it by: sorted, each once.
    pub tags: Vec<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Whether client bundles may hold it.
    pub client_visible: bool,
    /// What applications are told of it along with every value, by name: strings, numbers, and bools.
    pub meta: BTreeMap<String, Json<'static>>,
    /// Whether it has left every snapshot for good.
    pub archived: bool,
}

const DEFINITION: Members = Members {
    what: "a flag",
    known: &[
        "key",
        "type",
        "variations",
        "kind",
        "description",
        "tags",
        "owner",
        "client_visible",
        "meta",
        "archived",
    ],
    pending: &[],
};
const CHECKS: Advice = Advice {
    names: &["check", "checks"],
    code: code::INVALID_REQUEST,
    instead: "checks stand in the targeting of an environment",
};

impl FlagDefinition {
    /// Reads the authored form.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        Reader::document(|reader| {
            reader.object_advised(json, DEFINITION, &[CHECKS])?;
            let key = reader.required(json, "key", |reader, key| reader.key(key, FlagKey::parse));
            let flag_type = reader.required(json, "type", flag_type);
            let variations = flag_type.and_then(|flag_type| variations(reader, json, flag_type));
            let kind = reader.optional(json, "kind", kind);
            let description = reader.optional(json, "description", description);
            let tags = reader.optional(json, "tags", tags);
            let owner = reader.optional(json, "owner", |reader, owner| reader.text(owner, MAX_LABEL_BYTES));
            let client_visible = reader.optional(json, "client_visible", Reader::boolean);
            let meta = match json.member("meta") {
                None => Some(BTreeMap::new()),
                Some(_) => reader.optional(json, "meta", meta),
            };
            let archived = reader.optional(json, "archived", Reader::boolean);
            Some(Self {
                key: key?,
                flag_type: flag_type?,
                variations: variations?,
                kind: kind.unwrap_or_default(),
                description,
                tags: tags.unwrap_or_default(),
                owner,
                client_visible: client_visible.unwrap_or(false),
                meta: meta?,
                archived: archived.unwrap_or(false),
            })
        })
    }

    /// The authored form, normal; `meta` only if there is some, `archived` only if it is.
    pub fn to_json(&self) -> Json<'_> {
        let variations = self.variations.iter().map(|(name, value)| (name.as_str(), value_json(value)));
        let members = [
            ("key", Some(Json::from(self.key.as_str()))),
            ("type", Some(Json::from(self.flag_type.as_str()))),
            ("variations", Some(Json::object(variations))),
            ("kind", Some(Json::from(self.kind.as_str()))),
            ("description", self.description.as_deref().map(Json::from)),
            ("tags", Some(self.tags.iter().map(|tag| Json::from(tag.as_str())).collect())),
            ("owner", self.owner.as_deref().map(Json::from)),
            ("client_visible", Some(Json::from(self.client_visible))),
            ("meta", self.meta_json()),
            ("archived", self.archived.then(|| Json::from(true))),
        ];
        Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }

    /// What applications are told of it, if there is something.
    pub fn meta_json(&self) -> Option<Json<'_>> {
        let members = self.meta.iter().map(|(name, value)| (name.as_str(), value.clone()));
        (!self.meta.is_empty()).then(|| Json::object(members))
    }

    /// The variation of this name, if the flag has one.
    pub fn variation(&self, name: &str) -> Option<&VariationKey> {
        self.variations.get_key_value(name).map(|(key, _)| key)
    }
}

/// A variation's value as JSON.
pub(crate) fn value_json(value: &Value) -> Json<'_> {
    match value {
        Value::Float(number) => number_json(*number),
        other => other.to_json(),
    }
}

fn flag_type(reader: &mut Reader, json: &Json<'_>) -> Option<FlagType> {
    let names = FlagType::ALL.map(FlagType::as_str);
    let name = json.as_str().unwrap_or_default();
    FlagType::parse(name).or_else(|| {
        reader.none(format!("a type is one of `{}`{}", names.join("`, `"), did_you_mean(name, names)))
    })
}

fn kind(reader: &mut Reader, json: &Json<'_>) -> Option<FlagKind> {
    let name = json.as_str().unwrap_or_default();
    let names = FlagKind::ALL.map(FlagKind::as_str);
    FlagKind::ALL.into_iter().find(|kind| kind.as_str() == name).or_else(|| {
        reader.none(format!("a kind is one of `{}`{}", names.join("`, `"), did_you_mean(name, names)))
    })
}

fn variations(
    reader: &mut Reader,
    json: &Json<'_>,
    flag_type: FlagType,
) -> Option<BTreeMap<VariationKey, Value>> {
    if json.member("variations").is_none() && flag_type == FlagType::Bool {
        let named = |name: &str, truth| Some((VariationKey::parse(name).ok()?, Value::Bool(truth)));
        return Some([named("off", false), named("on", true)].into_iter().flatten().collect());
    }
    reader.required(json, "variations", |reader, json| {
        let Some(members) = json.as_object() else {
            return reader.none("variations are an object of names and values");
        };
        if !(1..=limits::MAX_VARIATIONS).contains(&members.len()) {
            return reader.none(format!(
                "a flag has 1 to {} variations, this has {}",
                limits::MAX_VARIATIONS,
                members.len()
            ));
        }
        let read_one = |(name, value): &(_, Json<'_>)| {
            let name: &str = AsRef::<str>::as_ref(name);
            reader.within(name, |reader| {
                let key = reader.key_text(name, VariationKey::parse);
                key.zip(variation_value(reader, value, flag_type))
            })
        };
        Some(members.iter().filter_map(read_one).collect())
    })
}

fn variation_value(reader: &mut Reader, json: &Json<'_>, flag_type: FlagType) -> Option<Value> {
    if !is_shallow(json, MAX_VALUE_DEPTH) {
        return reader.none(format!("a value nests at most {MAX_VALUE_DEPTH} deep"));
    }
    exact(reader, json)?;
    Value::from_json(flag_type, &normal(json)).or_else(|| {
        reader.none(match flag_type {
            FlagType::Int => "a value of an int flag is an integer within ±(2⁵³−1)".to_owned(),
            other => format!("the value is not of the flag's type, `{other}`"),
        })
    })
}

fn is_shallow(json: &Json<'_>, depth: usize) -> bool {
    let inner = |json: &Json<'_>| depth.checked_sub(1).is_some_and(|depth| is_shallow(json, depth));
    match json {
        Json::Array(elements) => depth > 0 && elements.iter().all(inner),
        Json::Object(members) => depth > 0 && members.iter().all(|(_, value)| inner(value)),
        _ => true,
    }
}

fn meta(reader: &mut Reader, json: &Json<'_>) -> Option<BTreeMap<String, Json<'static>>> {
    let Some(members) = json.as_object() else {
        return reader.none("`meta` is an object of names and strings, numbers, or bools");
    };
    if members.len() > MAX_META {
        return reader.none(format!("`meta` has at most {MAX_META} members, this has {}", members.len()));
    }
    let read = |(name, value): &(_, Json<'_>)| {
        let name: &str = AsRef::<str>::as_ref(name);
        reader.within(name, |reader| {
            if name.is_empty() || name.len() > MAX_LABEL_BYTES {
                return reader.none(format!("a name in `meta` has 1 to {MAX_LABEL_BYTES} bytes"));
            }
            Some((name.to_owned(), meta_value(reader, value)?))
        })
    };
    Some(members.iter().filter_map(read).collect())
}

fn meta_value(reader: &mut Reader, json: &Json<'_>) -> Option<Json<'static>> {
    match json {
        Json::String(text) if text.len() > MAX_META_BYTES => {
            reader.none(format!("at most {MAX_META_BYTES} bytes, this has {}", text.len()))
        }
        Json::String(_) | Json::Bool(_) => Some(json.clone().into_owned()),
        Json::Number(_) => exact(reader, json).map(|()| normal(json)),
        _ => reader.none("a string, a number, or a bool is wanted here"),
    }
}

pub(super) fn description(reader: &mut Reader, json: &Json<'_>) -> Option<String> {
    reader.text(json, MAX_DESCRIPTION_BYTES)
}

fn tags(reader: &mut Reader, json: &Json<'_>) -> Option<Vec<String>> {
    let mut tags = reader.array(json, MAX_TAGS, |reader, tag| {
        let tag = reader.text(tag, MAX_LABEL_BYTES)?;
        if tag.is_empty() { reader.none("a tag may not be empty") } else { Some(tag) }
    })?;
    tags.sort_unstable();
    tags.dedup();
    Some(tags)
}
