//! Rules, rollouts, ramps, and the fallthrough.

use std::collections::BTreeMap;

use flagstone_model::json::Json;
use flagstone_model::key::{RuleId, VariationKey};
use flagstone_model::limits::BUCKETS;

use super::bucket::{By, Ramp, Window};
use super::condition::Condition;
use super::experiment::{self, ExperimentName, Layer};
use super::read::{Members, Reader};
use super::weight::Weight;

/// If conditions, then a variation or a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name, unique in the flag.
    pub id: RuleId,
    /// When it holds; always, unless said.
    pub schedule: Option<Window>,
    /// All of these; none means always. The member `if`.
    pub when: Vec<Condition>,
    /// The part of a layer it is limited to.
    pub layer: Option<Layer>,
    /// What happens then.
    pub then: Then,
    /// The experiment as which its decisions are recorded.
    pub experiment: Option<ExperimentName>,
}

/// What a rule does with those it matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// Serves one variation.
    Serve(VariationKey),
    /// Splits them.
    Rollout(Rollout),
    /// Serves a share of them that grows; the others go on.
    Ramp(RampTo),
}

/// A split, as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// What is bucketed.
    pub by: By,
    /// The author's own salt, if there is one.
    pub salt: Option<String>,
    /// Who gets how much; sums to everybody, in an experiment perhaps to less: the others go on.
    pub weights: BTreeMap<VariationKey, Weight>,
}

/// A variation, or several, for a share that grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RampTo {
    /// What is served.
    pub serve: Served,
    /// What is bucketed.
    pub by: By,
    /// The author's own salt, if there is one.
    pub salt: Option<String>,
    /// The share; of 100 000.
    pub ramp: Ramp,
}

/// What a ramp serves to those it has reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// One variation.
    Variation(VariationKey),
    /// A split of them under another salt, so that growth moves nobody from one variation to another.
    Rollout(Rollout),
}

/// What is served when no rule decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallthrough {
    /// One variation.
    Serve(VariationKey),
    /// A split of everybody.
    Rollout {
        /// The split.
        rollout: Rollout,
        /// What contexts without the unit are served; the off variation if not said.
        without_key: Option<VariationKey>,
        /// The experiment as which it is recorded.
        experiment: Option<ExperimentName>,
    },
    /// A share of everybody, which grows.
    Ramp {
        /// The share.
        ramp: RampTo,
        /// What all others are served, contexts without the unit too; the off variation if not said.
        serve: Option<VariationKey>,
        /// The experiment as which those it has reached are recorded.
        experiment: Option<ExperimentName>,
    },
}

/// The id of the rule that a fallthrough rollout becomes.
pub const ROLLOUT_RULE: &str = "rollout";
/// How the ids of the rules begin that deny lists become.
pub const DENY_PREFIX: &str = "deny:";
/// How the ids of the rules begin that targets become.
pub const TARGET_PREFIX: &str = "target:";

const RULE: Members = Members {
    what: "a rule",
    known: &["id", "schedule", "if", "layer", "serve", "rollout", "ramp", "experiment"],
    pending: &[],
};
const ROLLOUT: Members = Members {
    what: "a rollout",
    known: &["by", "salt", "weights"],
    pending: &["hash", "seed", "tail", "of"],
};
const FALLTHROUGH_ROLLOUT: Members = Members { known: &["by", "salt", "weights", "without_key"], ..ROLLOUT };
const RAMP: Members = Members {
    what: "a ramp",
    known: &["serve", "rollout", "by", "salt", "steps", "linear", "time_zone"],
    pending: &["hash", "seed", "tail", "of"],
};
const FALLTHROUGH: Members = Members {
    what: "a fallthrough",
    known: &["serve", "rollout", "ramp", "without_key", "experiment"],
    pending: &[],
};

impl Rule {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, RULE)?;
        let id = reader.required(json, "id", rule_id);
        let schedule = schedule(reader, json);
        let when = match json.member("if") {
            None => Some(Vec::new()),
            Some(_) => {
                reader.optional(json, "if", |reader, conditions| Condition::parse_all(reader, conditions, 0))
            }
        };
        let layer = match json.member("layer") {
            None => Some(None),
            Some(_) => reader.optional(json, "layer", Layer::parse).map(Some),
        };
        let experiment = experiment_of(reader, json);
        // The others of an experiment go on to the next rule.
        let sum = if json.member("experiment").is_some() { Sum::AtMostAll } else { Sum::All };
        let outcomes: Vec<&str> =
            ["serve", "rollout", "ramp"].into_iter().filter(|name| json.member(name).is_some()).collect();
        let then = match outcomes[..] {
            ["serve"] => reader.optional(json, "serve", variation).map(Then::Serve),
            ["rollout"] => reader
                .optional(json, "rollout", |reader, json| Rollout::parse(reader, json, ROLLOUT, sum))
                .map(Then::Rollout),
            ["ramp"] => {
                reader.optional(json, "ramp", |reader, json| RampTo::parse(reader, json, sum)).map(Then::Ramp)
            }
            _ => reader.none("a rule has exactly one of `serve`, `rollout`, `ramp`"),
        };
        Some(Self { id: id?, schedule, when: when?, layer: layer?, then: then?, experiment: experiment? })
    }

    /// The authored form, normal.
    pub fn to_json(&self) -> Json<'_> {
        let schedule = self.schedule.as_ref().map(|schedule| ("schedule", schedule.to_schedule_json()));
        let when = (!self.when.is_empty())
            .then(|| ("if", self.when.iter().map(Condition::to_json).collect::<Json<'_>>()));
        let then = match &self.then {
            Then::Serve(variation) => ("serve", Json::from(variation.as_str())),
            Then::Rollout(rollout) => ("rollout", Json::object(rollout.members())),
            Then::Ramp(ramp) => ("ramp", ramp.to_json()),
        };
        let layer = self.layer.as_ref().map(|layer| ("layer", layer.to_json()));
        let members = [("id", Json::from(self.id.as_str()))].into_iter().chain(schedule).chain(when);
        Json::object(members.chain(layer).chain([then]).chain(experiment::member(self.experiment.as_ref())))
    }

    /// How many conditions it becomes, less those that only nest.
    pub fn leaves(&self) -> usize {
        let ramp = usize::from(matches!(self.then, Then::Ramp(_)));
        let others = usize::from(self.schedule.is_some()).saturating_add(usize::from(self.layer.is_some()));
        self.when.iter().map(Condition::leaves).sum::<usize>().saturating_add(ramp).saturating_add(others)
    }
}

impl Rollout {
    fn parse(reader: &mut Reader, json: &Json<'_>, members: Members, sum: Sum) -> Option<Self> {
        if json.member("steps").is_some() {
            return reader.within("steps", |reader| {
                reader.none(
                    "a rollout has no steps: a share that grows is a `ramp`, of several variations a `ramp` with a \
                     `rollout` inside; weights that change otherwise are several rules, each with a `schedule`",
                )
            });
        }
        reader.object(json, members)?;
        let by = reader.optional(json, "by", By::parse);
        let salt = reader.optional(json, "salt", Reader::salt);
        let weights = reader.required(json, "weights", |reader, json| weights(reader, json, sum));
        Some(Self { by: by.unwrap_or_default(), salt, weights: weights? })
    }

    fn members(&self) -> Vec<(&'static str, Json<'_>)> {
        let weights = self.weights.iter().map(|(variation, weight)| (variation.as_str(), weight.to_json()));
        let salt = self.salt.as_deref().map(|salt| ("salt", Json::from(salt)));
        let mut members = Vec::with_capacity(3);
        members.extend(self.by.member());
        members.extend(salt);
        members.push(("weights", Json::object(weights)));
        members
    }

    /// The weights in parts of 100 000.
    pub fn parts(&self) -> BTreeMap<VariationKey, u64> {
        self.weights.iter().map(|(variation, weight)| (variation.clone(), weight.parts())).collect()
    }
}

impl RampTo {
    fn parse(reader: &mut Reader, json: &Json<'_>, sum: Sum) -> Option<Self> {
        reader.object(json, RAMP)?;
        let serve = match (json.member("serve"), json.member("rollout")) {
            (Some(_), None) => reader.optional(json, "serve", variation).map(Served::Variation),
            (None, Some(_)) => reader
                .optional(json, "rollout", |reader, json| Rollout::parse(reader, json, ROLLOUT, sum))
                .map(Served::Rollout),
            _ => reader.within("serve", |reader| reader.none("a ramp has either `serve` or `rollout`")),
        };
        let by = reader.optional(json, "by", By::parse);
        let salt = reader.optional(json, "salt", Reader::salt);
        let linear = reader.optional(json, "linear", Reader::boolean).unwrap_or(false);
        let ramp = Ramp::parse(reader, json, "steps", Some(BUCKETS), linear)?;
        if ramp.points.is_empty() {
            return reader.within("steps", |reader| reader.none("a ramp has at least one step"));
        }
        Some(Self { serve: serve?, by: by.unwrap_or_default(), salt, ramp })
    }

    fn to_json(&self) -> Json<'_> {
        let salt = self.salt.as_deref().map(|salt| ("salt", Json::from(salt)));
        let mut members: Vec<(&'static str, Json<'_>)> = vec![match &self.serve {
            Served::Variation(serve) => ("serve", Json::from(serve.as_str())),
            Served::Rollout(rollout) => ("rollout", Json::object(rollout.members())),
        }];
        members.extend(self.by.member());
        members.extend(salt);
        members.extend(self.ramp.members("steps"));
        Json::object(members)
    }

    /// The split of those it has reached, if it serves several variations.
    pub const fn rollout(&self) -> Option<&Rollout> {
        if let Served::Rollout(rollout) = &self.serve { Some(rollout) } else { None }
    }
}

impl Fallthrough {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, FALLTHROUGH)?;
        if json.member("ramp").is_some() {
            return Self::parse_ramp(reader, json);
        }
        let experiment = experiment_of(reader, json);
        match (json.member("serve"), json.member("rollout")) {
            (Some(_), None) => {
                if json.member("experiment").is_some() {
                    reader.within("experiment", |reader| {
                        reader
                            .refuse("an experiment belongs to a rollout or a ramp: nothing else is compared");
                    });
                }
                if json.member("without_key").is_some() {
                    reader
                        .within("without_key", |reader| reader.refuse("`without_key` belongs to a rollout"));
                }
                reader.optional(json, "serve", variation).map(Self::Serve)
            }
            (None, Some(inner)) => {
                let rollout = reader.optional(json, "rollout", |reader, json| {
                    Rollout::parse(reader, json, FALLTHROUGH_ROLLOUT, Sum::All)
                });
                let beside = reader.optional(json, "without_key", variation);
                let inside = reader.within("rollout", |reader| {
                    if beside.is_some() && inner.member("without_key").is_some() {
                        reader.refuse("`without_key` is given twice");
                    }
                    reader.optional(inner, "without_key", variation)
                });
                let without_key = beside.or(inside);
                Some(Self::Rollout { rollout: rollout?, without_key, experiment: experiment? })
            }
            _ => reader.none("a fallthrough has exactly one of `serve`, `rollout`, or a `ramp`"),
        }
    }

    fn parse_ramp(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        for (name, detail) in [
            ("rollout", "beside a ramp, all others are served one variation: `serve`"),
            (
                "without_key",
                "beside a ramp, contexts without the unit are served what all others are: `serve`",
            ),
        ] {
            if json.member(name).is_some() {
                reader.within(name, |reader| reader.refuse(detail));
            }
        }
        let ramp = reader.optional(json, "ramp", |reader, json| RampTo::parse(reader, json, Sum::All));
        let experiment = experiment_of(reader, json);
        let serve = match json.member("serve") {
            None => Some(None),
            Some(_) => reader.optional(json, "serve", variation).map(Some),
        };
        Some(Self::Ramp { ramp: ramp?, serve: serve?, experiment: experiment? })
    }

    /// The authored form, normal.
    pub fn to_json(&self) -> Json<'_> {
        match self {
            Self::Serve(variation) => Json::object([("serve", Json::from(variation.as_str()))]),
            Self::Rollout { rollout, without_key, experiment } => {
                let without_key =
                    without_key.as_ref().map(|variation| ("without_key", Json::from(variation.as_str())));
                let rollout = ("rollout", Json::object(rollout.members()));
                let experiment = experiment::member(experiment.as_ref());
                Json::object([rollout].into_iter().chain(without_key).chain(experiment))
            }
            Self::Ramp { ramp, serve, experiment } => {
                let serve = serve.as_ref().map(|variation| ("serve", Json::from(variation.as_str())));
                let experiment = experiment::member(experiment.as_ref());
                Json::object([("ramp", ramp.to_json())].into_iter().chain(serve).chain(experiment))
            }
        }
    }

    /// The experiment as which it is recorded, if it is.
    pub const fn experiment(&self) -> Option<&ExperimentName> {
        match self {
            Self::Serve(_) => None,
            Self::Rollout { experiment, .. } | Self::Ramp { experiment, .. } => experiment.as_ref(),
        }
    }
}

/// What the weights of a rollout sum to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sum {
    /// Everybody.
    All,
    /// Everybody or fewer.
    AtMostAll,
}

/// Reads the member `experiment`; `None` if it can not be read.
#[expect(clippy::option_option, reason = "unreadable and absent are two things")]
fn experiment_of(reader: &mut Reader, json: &Json<'_>) -> Option<Option<ExperimentName>> {
    match json.member("experiment") {
        None => Some(None),
        Some(_) => reader.optional(json, "experiment", experiment::experiment).map(Some),
    }
}

/// Reads the member `schedule`, if there is one; what is wrong with it is noted.
pub(super) fn schedule(reader: &mut Reader, json: &Json<'_>) -> Option<Window> {
    reader.optional(json, "schedule", Window::parse_schedule)
}

pub(super) fn variation(reader: &mut Reader, json: &Json<'_>) -> Option<VariationKey> {
    reader.key(json, VariationKey::parse)
}

pub(super) fn rule_id(reader: &mut Reader, json: &Json<'_>) -> Option<RuleId> {
    let id = reader.key(json, RuleId::parse)?;
    let text = id.as_str();
    if text == ROLLOUT_RULE || text.starts_with(DENY_PREFIX) || text.starts_with(TARGET_PREFIX) {
        return reader.none("`rollout`, `deny:…`, and `target:…` are ids of generated rules");
    }
    Some(id)
}

fn weights(reader: &mut Reader, json: &Json<'_>, wanted: Sum) -> Option<BTreeMap<VariationKey, Weight>> {
    let Some(members) = json.as_object() else {
        return reader.none("weights are an object of variations and shares");
    };
    let mut weights = BTreeMap::new();
    let mut readable = true;
    for (name, weight) in members {
        let read = reader.within(name, |reader| {
            let variation = reader.key_text(name, VariationKey::parse);
            variation.zip(Weight::parse(reader, weight))
        });
        readable &= read.is_some();
        weights.extend(read);
    }
    let sum: u64 = weights.values().map(|weight| weight.parts()).sum();
    if readable && (sum > BUCKETS || (sum < BUCKETS && wanted == Sum::All)) {
        let shown = Weight::of_parts(sum).map(|sum| format!(" ({sum})")).unwrap_or_default();
        let most = if wanted == Sum::All { "" } else { "at most " };
        return reader.none(format!("weights sum to {most}{BUCKETS}, these to {sum}{shown}"));
    }
    readable.then_some(weights)
}
