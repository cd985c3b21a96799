//! Targeting: a flag in one environment.

use std::collections::{BTreeMap, BTreeSet};

use flagstone_model::json::Json;
use flagstone_model::key::{RuleId, VariationKey};
use flagstone_model::limits;

use super::condition::FlagTest;
use super::flag::FlagDefinition;
use super::operand::{self, Operand};
use super::problem::Problem;
use super::read::{Members, Reader};
use super::rule::{Fallthrough, Rule};

/// A flag in one environment, as its author wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Targeting {
    /// The switch.
    pub on: bool,
    /// What is served when it is off or undecidable.
    pub off: Off,
    /// Other flags that must serve something first.
    pub prerequisites: Vec<FlagTest>,
    /// Targeting keys that are served a variation before anything else.
    pub deny: Keys,
    /// Targeting keys that are served a variation before any rule.
    pub targets: Keys,
    /// The first that matches decides.
    pub rules: Vec<Rule>,
    /// What is served when no rule decided; `None` is the default value in the caller's code.
    pub fallthrough: Option<Fallthrough>,
}

/// Targeting keys by the variation they are served; no set is empty, and each is sorted.
pub type Keys = BTreeMap<VariationKey, Vec<Operand>>;

/// What a flag serves when it is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Off {
    /// Not said: the variation `off` if the flag has one, else the caller's default.
    Unstated,
    /// The default value in the caller's code; written `null`.
    CallersDefault,
    /// A variation.
    Variation(VariationKey),
}

impl Off {
    /// The variation, if one was named.
    pub const fn variation(&self) -> Option<&VariationKey> {
        if let Self::Variation(variation) = self { Some(variation) } else { None }
    }
}

const TARGETING: Members = Members {
    what: "a targeting",
    known: &["on", "off", "prerequisites", "deny", "targets", "rules", "fallthrough"],
    pending: &[
        "experiment",
        "experiments",
        "layer",
        "layers",
        "holdout",
        "holdouts",
        "schedule",
        "schedules",
        "since",
        "before",
        "checks",
        "lists",
        "time_zone",
    ],
};

impl Targeting {
    /// The targeting of a flag nobody has targeted yet: off; if it were on, it would serve `on`.
    pub fn untouched(definition: &FlagDefinition) -> Self {
        Self {
            on: false,
            off: Off::Unstated,
            prerequisites: Vec::new(),
            deny: Keys::new(),
            targets: Keys::new(),
            rules: Vec::new(),
            fallthrough: definition.variation("on").cloned().map(Fallthrough::Serve),
        }
        .stated(definition)
    }

    /// The same, `off` being said.
    #[must_use]
    pub fn stated(mut self, definition: &FlagDefinition) -> Self {
        if self.off == Off::Unstated {
            self.off = definition.variation("off").cloned().map_or(Off::CallersDefault, Off::Variation);
        }
        self
    }

    /// Reads the authored form.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        Reader::document(|reader| {
            reader.object(json, TARGETING)?;
            let on = reader.required(json, "on", Reader::boolean);
            let off = match json.member("off") {
                None => Some(Off::Unstated),
                Some(Json::Null) => Some(Off::CallersDefault),
                Some(_) => reader
                    .optional(json, "off", |reader, off| reader.key(off, VariationKey::parse))
                    .map(Off::Variation),
            };
            let prerequisites = reader.optional(json, "prerequisites", |reader, all| {
                reader.array(all, limits::MAX_OPERANDS, FlagTest::parse)
            });
            let deny = reader.optional(json, "deny", keys);
            let targets = reader.optional(json, "targets", keys);
            let rules = reader.optional(json, "rules", rules);
            let fallthrough = match json.member("fallthrough") {
                None | Some(Json::Null) => Some(None),
                Some(_) => reader.optional(json, "fallthrough", Fallthrough::parse).map(Some),
            };
            let targeting = Self {
                on: on?,
                off: off?,
                prerequisites: prerequisites.unwrap_or_default(),
                deny: deny.unwrap_or_default(),
                targets: targets.unwrap_or_default(),
                rules: rules.unwrap_or_default(),
                fallthrough: fallthrough?,
            };
            targeting.check_sizes(reader);
            Some(targeting)
        })
    }

    /// The authored form, normal: what is empty is left out.
    pub fn to_json(&self) -> Json<'_> {
        let off = match &self.off {
            Off::Unstated => None,
            Off::CallersDefault => Some(Json::Null),
            Off::Variation(variation) => Some(Json::from(variation.as_str())),
        };
        let members = [
            ("on", Some(Json::from(self.on))),
            ("off", off),
            ("prerequisites", array(self.prerequisites.iter().map(FlagTest::to_json))),
            ("deny", keys_json(&self.deny)),
            ("targets", keys_json(&self.targets)),
            ("rules", array(self.rules.iter().map(Rule::to_json))),
            ("fallthrough", self.fallthrough.as_ref().map(Fallthrough::to_json)),
        ];
        Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }

    /// Limits on what it becomes on the wire.
    fn check_sizes(&self, reader: &mut Reader) {
        let lists = self.deny.len().saturating_add(self.targets.len());
        let is_rollout = matches!(self.fallthrough, Some(Fallthrough::Rollout { .. }));
        let rules = self.rules.len().saturating_add(lists).saturating_add(usize::from(is_rollout));
        if rules > limits::MAX_RULES {
            reader.within("rules", |reader| {
                reader.refuse(format!(
                    "with deny, targets, and a rollout, a flag has at most {} rules, this has {rules}",
                    limits::MAX_RULES
                ));
            });
        }
        let conditions = self.rules.iter().map(Rule::leaves).sum::<usize>();
        let leaves = conditions.saturating_add(lists).saturating_add(self.prerequisites.len());
        if leaves > limits::MAX_LEAVES {
            reader.refuse(format!("a flag has at most {} conditions, this has {leaves}", limits::MAX_LEAVES));
        }
    }
}

fn array<'a>(elements: impl Iterator<Item = Json<'a>>) -> Option<Json<'a>> {
    let elements: Vec<_> = elements.collect();
    (!elements.is_empty()).then_some(Json::Array(elements))
}

fn keys_json(keys: &Keys) -> Option<Json<'_>> {
    (!keys.is_empty()).then(|| {
        Json::object(
            keys.iter()
                .map(|(variation, keys)| (variation.as_str(), keys.iter().map(Operand::to_json).collect())),
        )
    })
}

fn keys(reader: &mut Reader, json: &Json<'_>) -> Option<Keys> {
    let Some(members) = json.as_object() else {
        return reader.none("an object of variations and targeting keys is wanted here");
    };
    let mut seen = BTreeSet::new();
    let mut all = Keys::new();
    for (name, keys) in members {
        reader.within(name, |reader| {
            let variation = reader.key_text(name, VariationKey::parse);
            let keys = operand::set(reader, keys, Operand::parse_key);
            let Some((variation, keys)) = variation.zip(keys) else { return };
            if keys.iter().any(|key| !seen.insert(key.clone())) {
                reader.refuse("a key of this set stands under another variation too");
            }
            if !keys.is_empty() {
                all.insert(variation, keys);
            }
        });
    }
    Some(all)
}

fn rules(reader: &mut Reader, json: &Json<'_>) -> Option<Vec<Rule>> {
    let mut ids: BTreeSet<RuleId> = BTreeSet::new();
    reader.array(json, limits::MAX_RULES, |reader, json| {
        let rule = Rule::parse(reader, json)?;
        if !ids.insert(rule.id.clone()) {
            reader.within("id", |reader| reader.refuse("an earlier rule has the same id"));
        }
        Some(rule)
    })
}
