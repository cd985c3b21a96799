//! Targeting: a flag in one environment.

use std::collections::{BTreeMap, BTreeSet};

use flagstone_model::json::Json;
use flagstone_model::key::{RuleId, VariationKey};
use flagstone_model::limits;

use super::bucket::Window;
use super::check::{Check, MAX_CHECKS};
use super::condition::{Condition, FlagTest, check_instructions};
use super::experiment::{ExperimentName, Holdout};
use super::flag::FlagDefinition;
use super::mention::Mentioned;
use super::moment::{Instants, Moment, Source};
use super::operand::Operand;
use super::problem::Problem;
use super::read::{Members, Reader};
use super::rule::{Fallthrough, Rule, schedule};
use super::segment::LISTS;
use super::zones::Zone;

/// A flag in one environment, as its author wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Targeting {
    /// The switch.
    pub on: bool,
    /// What is served when it is off or undecidable.
    pub off: Off,
    /// The time zone of all its local times that name no other.
    pub time_zone: Option<Zone>,
    /// When it is on, if `on`; outside of it the flag is served as if it were off.
    pub schedule: Option<Window>,
    /// Other flags that must serve something first.
    pub prerequisites: Vec<FlagTest>,
    /// Targeting keys that are served a variation before anything else.
    pub deny: Keys,
    /// Targeting keys that are served a variation before any rule.
    pub targets: Keys,
    /// Who is held out of the rules.
    pub holdouts: Vec<Holdout>,
    /// The first that matches decides.
    pub rules: Vec<Rule>,
    /// What is served when no rule decided; `None` is the default value in the caller's code.
    pub fallthrough: Option<Fallthrough>,
    /// What it is expected to serve; a change that breaks one is refused.
    pub checks: Vec<Check>,
}

/// Targeting keys by the variation they are served; no set is empty, and each is sorted, every key once.
pub type Keys = BTreeMap<VariationKey, Vec<Target>>;

/// A targeting key that is served a variation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The key.
    pub key: Operand,
    /// Until when; for ever, unless said.
    pub until: Option<Moment>,
}

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
    known: &[
        "on",
        "off",
        "time_zone",
        "schedule",
        "prerequisites",
        "deny",
        "targets",
        "holdouts",
        "rules",
        "fallthrough",
        "checks",
    ],
    pending: &[],
};

const TARGET: Members = Members { what: "a target", known: &["key", "until"], pending: &[] };

impl Targeting {
    /// The targeting of a flag nobody has targeted yet: off; if it were on, it would serve `on`.
    pub fn untouched(definition: &FlagDefinition) -> Self {
        Self {
            on: false,
            off: Off::Unstated,
            time_zone: None,
            schedule: None,
            prerequisites: Vec::new(),
            deny: Keys::new(),
            targets: Keys::new(),
            holdouts: Vec::new(),
            rules: Vec::new(),
            fallthrough: definition.variation("on").cloned().map(Fallthrough::Serve),
            checks: Vec::new(),
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

    /// Reads the authored form; local times are what the time zone database says.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        Self::parse_after(json, Instants::default())
    }

    /// The same, but local times that stood there `before` stay what they were settled as.
    pub fn parse_after(json: &Json<'_>, before: Instants) -> Result<Self, Vec<Problem>> {
        Self::parse_from(json, Source::Database(before))
    }

    /// Reads what the log keeps; local times are what was settled, and no other.
    pub fn parse_settled(json: &Json<'_>, settled: Instants) -> Result<Self, Vec<Problem>> {
        Self::parse_from(json, Source::Settled(settled))
    }

    fn parse_from(json: &Json<'_>, source: Source) -> Result<Self, Vec<Problem>> {
        Reader::document_from(source, |reader| {
            reader.object_advised(json, TARGETING, &[LISTS])?;
            let targeting = reader.in_zone_of(json, |reader, zone| Self::read(reader, json, zone))?;
            targeting.check_sizes(reader);
            targeting.check_names(reader);
            Some(targeting)
        })
    }

    fn read(reader: &mut Reader, json: &Json<'_>, time_zone: Option<Zone>) -> Option<Self> {
        let on = reader.required(json, "on", Reader::boolean);
        let off = match json.member("off") {
            None => Some(Off::Unstated),
            Some(Json::Null) => Some(Off::CallersDefault),
            Some(_) => reader
                .optional(json, "off", |reader, off| reader.key(off, VariationKey::parse))
                .map(Off::Variation),
        };
        let schedule = schedule(reader, json);
        let prerequisites = reader.optional(json, "prerequisites", |reader, all| {
            reader.array(all, limits::MAX_OPERANDS, FlagTest::parse)
        });
        let deny = reader.optional(json, "deny", keys);
        let targets = reader.optional(json, "targets", keys);
        let holdouts = reader.optional(json, "holdouts", Holdout::parse_all);
        let rules = reader.optional(json, "rules", rules);
        let fallthrough = match json.member("fallthrough") {
            None | Some(Json::Null) => Some(None),
            Some(_) => reader.optional(json, "fallthrough", Fallthrough::parse).map(Some),
        };
        let checks =
            reader.optional(json, "checks", |reader, checks| reader.array(checks, MAX_CHECKS, Check::parse));
        Some(Self {
            on: on?,
            off: off?,
            time_zone,
            schedule,
            prerequisites: prerequisites.unwrap_or_default(),
            deny: deny.unwrap_or_default(),
            targets: targets.unwrap_or_default(),
            holdouts: holdouts.unwrap_or_default(),
            rules: rules.unwrap_or_default(),
            fallthrough: fallthrough?,
            checks: checks.unwrap_or_default(),
        })
    }

    /// The same, but local times that were settled before stay what they were settled as.
    #[must_use]
    pub fn settled_as(self, before: &Instants) -> Self {
        if before.is_empty() {
            return self;
        }
        // What was read once reads again.
        Self::parse_after(&self.to_json(), before.clone()).unwrap_or(self)
    }

    /// The instants of its local times, to be settled.
    pub fn instants(&self) -> Instants {
        let mentions = self.mentions();
        Instants::of(mentions.iter().filter_map(|mention| match mention.of {
            Mentioned::Moment(moment) => Some(moment),
            _ => None,
        }))
    }

    /// How many instructions its expressions have together (FORMAT M-4.7).
    pub fn instructions(&self) -> usize {
        self.rules.iter().flat_map(|rule| &rule.when).map(Condition::instructions).sum()
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
            ("time_zone", self.time_zone.as_ref().map(|zone| Json::from(zone.as_str()))),
            ("schedule", self.schedule.as_ref().map(Window::to_schedule_json)),
            ("prerequisites", array(self.prerequisites.iter().map(FlagTest::to_json))),
            ("deny", keys_json(&self.deny)),
            ("targets", keys_json(&self.targets)),
            ("holdouts", array(self.holdouts.iter().map(Holdout::to_json))),
            ("rules", array(self.rules.iter().map(Rule::to_json))),
            ("fallthrough", self.fallthrough.as_ref().map(Fallthrough::to_json)),
            ("checks", array(self.checks.iter().map(Check::to_json))),
        ];
        Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }

    /// Limits on what it becomes on the wire.
    fn check_sizes(&self, reader: &mut Reader) {
        let lists = self.deny.len().saturating_add(self.targets.len());
        let (rollouts, ramps) = match self.fallthrough {
            None | Some(Fallthrough::Serve(_)) => (0, 0),
            Some(Fallthrough::Rollout { .. }) => (1, 0),
            Some(Fallthrough::Ramp { .. }) => (1, 1),
        };
        let holdouts = self.holdouts.len();
        let rules = self.rules.len().saturating_add(lists).saturating_add(holdouts).saturating_add(rollouts);
        if rules > limits::MAX_RULES {
            reader.within("rules", |reader| {
                reader.refuse(format!(
                    "with deny, targets, holdouts, and a rollout, a flag has at most {} rules, this has {rules}",
                    limits::MAX_RULES
                ));
            });
        }
        let conditions = self.rules.iter().map(Rule::leaves).sum::<usize>();
        let keys = self.deny.values().chain(self.targets.values());
        let listed = keys.map(|keys| Condition::targets(keys).iter().map(Condition::leaves).sum::<usize>());
        let needed = self.prerequisites.len().saturating_add(usize::from(self.schedule.is_some()));
        let leaves = conditions.saturating_add(listed.sum()).saturating_add(needed);
        let leaves = leaves.saturating_add(ramps).saturating_add(holdouts);
        if leaves > limits::MAX_LEAVES {
            reader.refuse(format!("a flag has at most {} conditions, this has {leaves}", limits::MAX_LEAVES));
        }
        check_instructions(reader, "flag", self.instructions());
    }

    /// Every rule has an id of its own, and every experiment and holdout a name of its own.
    fn check_names(&self, reader: &mut Reader) {
        let ids: BTreeSet<&str> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
        let mut held = BTreeSet::new();
        for (index, holdout) in self.holdouts.iter().enumerate() {
            let id = holdout.rule_id();
            if ids.contains(id) || !held.insert(id) {
                let member = if holdout.id.is_some() { "id" } else { "name" };
                let at = ["holdouts", &index.to_string(), member].map(ToOwned::to_owned);
                reader.refuse_at(
                    &at,
                    format!("another rule has the id `{id}`; a holdout may be given an `id`"),
                );
            }
        }
        let mut names = BTreeSet::new();
        for (at, name) in self.tracked() {
            if !names.insert(name) {
                reader.refuse_at(&at, format!("another rule is recorded as `{name}` already"));
            }
        }
    }

    /// Where it names holdouts and experiments, in the order of evaluation.
    fn tracked(&self) -> impl Iterator<Item = (Vec<String>, &ExperimentName)> {
        let at = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect();
        let holdouts = self.holdouts.iter().enumerate();
        let holdouts = holdouts
            .map(move |(index, holdout)| (at(&["holdouts", &index.to_string(), "name"]), &holdout.name));
        let rules = self.rules.iter().enumerate().filter_map(move |(index, rule)| {
            Some((at(&["rules", &index.to_string(), "experiment", "name"]), rule.experiment.as_ref()?))
        });
        let fallthrough = self.fallthrough.iter().filter_map(Fallthrough::experiment);
        let fallthrough = fallthrough.map(move |name| (at(&["fallthrough", "experiment", "name"]), name));
        holdouts.chain(rules).chain(fallthrough)
    }
}

fn array<'a>(elements: impl Iterator<Item = Json<'a>>) -> Option<Json<'a>> {
    let elements: Vec<_> = elements.collect();
    (!elements.is_empty()).then_some(Json::Array(elements))
}

impl Target {
    fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        if json.as_object().is_none() {
            return Operand::parse_key(reader, json).map(Self::from);
        }
        reader.object(json, TARGET)?;
        let key = reader.required(json, "key", Operand::parse_key);
        let until = reader.required(json, "until", Moment::parse);
        Some(Self { key: key?, until: Some(until?) })
    }

    fn to_json(&self) -> Json<'_> {
        match &self.until {
            None => self.key.to_json(),
            Some(until) => Json::object([("key", self.key.to_json()), ("until", until.to_json())]),
        }
    }
}

impl From<Operand> for Target {
    fn from(key: Operand) -> Self {
        Self { key, until: None }
    }
}

fn keys_json(keys: &Keys) -> Option<Json<'_>> {
    (!keys.is_empty()).then(|| {
        Json::object(
            keys.iter()
                .map(|(variation, keys)| (variation.as_str(), keys.iter().map(Target::to_json).collect())),
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
            let keys = targets(reader, keys);
            let Some((variation, keys)) = variation.zip(keys) else { return };
            if keys.iter().any(|target| !seen.insert(target.key.clone())) {
                reader.refuse("a key of this set stands under another variation too");
            }
            if !keys.is_empty() {
                all.insert(variation, keys);
            }
        });
    }
    Some(all)
}

/// A set of targets: sorted, each key once.
fn targets(reader: &mut Reader, json: &Json<'_>) -> Option<Vec<Target>> {
    let count = json.as_array().map_or(0, <[_]>::len);
    if count > limits::MAX_OPERANDS {
        return reader.none(super::operand::too_many(count));
    }
    let mut targets = reader.array(json, limits::MAX_OPERANDS, Target::parse)?;
    targets.sort_by(|a, b| a.key.cmp(&b.key));
    targets.dedup();
    if targets.windows(2).any(|pair| matches!(pair, [a, b] if a.key == b.key)) {
        return reader.none("a key stands here twice, until different times");
    }
    Some(targets)
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
