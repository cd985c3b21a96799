//! Phases of experiments: who is compared under one name stays comparable (FORMAT M-7.4).
//!
//! What a rule is recorded as names experiment and phase. A change that moves anybody from one variation to another,
//! or into or out of what is compared, starts the next phase; it is settled when the change is written.

mod compare;

use core::fmt;
use std::collections::BTreeMap;

use flagstone_model::json::Json;

use self::compare::{Wire, causes};
use super::split::Splits;
use crate::author::{ExperimentName, Fallthrough, Holdout, ROLLOUT_RULE, Targeting};

/// The phases of a flag's experiments and holdouts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Phases {
    /// The last phase of everything that was ever recorded here, so that none comes back with other users.
    last: BTreeMap<ExperimentName, u64>,
    /// The phases that the last change has begun, in the order of evaluation.
    begun: Vec<Begun>,
}

/// The phases that there are in an environment.
#[derive(Debug, Clone, Default)]
pub struct LastPhases {
    /// The last phase of everything that any flag ever recorded.
    ever: BTreeMap<ExperimentName, u64>,
    /// The holdouts that flags have, each with the phase it is in there.
    holdouts: Vec<(Holdout, u64)>,
}

impl LastPhases {
    /// Adds what a flag recorded; if it is `live`, its holdouts are such as others may join.
    pub fn add(&mut self, targeting: &Targeting, phases: &Phases, live: bool) {
        for (name, phase) in phases.last() {
            let last = self.ever.entry(name.clone()).or_default();
            *last = phase.max(*last);
        }
        let holdouts = targeting.holdouts.iter().filter(|_| live);
        self.holdouts.extend(holdouts.map(|holdout| (holdout.clone(), phases.of(&holdout.name))));
    }

    /// The last phase of an experiment or a holdout in any flag; 0 if there was none.
    fn ever(&self, name: &ExperimentName) -> u64 {
        self.ever.get(name).copied().unwrap_or(0)
    }

    /// The phase that a holdout of the same members is in; 0 if no flag has it.
    fn shared(&self, holdout: &Holdout) -> u64 {
        let is_same = |other: &Holdout| {
            other.name == holdout.name && other.by == holdout.by && other.share == holdout.share
        };
        let phases = self.holdouts.iter().filter(|(other, _)| is_same(other)).map(|(_, phase)| *phase);
        phases.max().unwrap_or(0)
    }
}

/// A phase that a change has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The id of the rule.
    pub rule: String,
    /// What it was recorded as until then; `None` if it was not.
    pub from: Option<String>,
    /// What it is recorded as.
    pub to: String,
    /// Why; at least one.
    pub because: Vec<Cause>,
}

/// Why a phase begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It was not recorded before.
    New,
    /// A rule that stands before it is another, or came, or went.
    EarlierRule,
    /// Its conditions, its layer's slot, its holdout's share, or the prerequisites of its flag are others.
    If,
    /// What is bucketed is another attribute.
    By,
    /// The salt is another.
    Salt,
    /// Tail, hash, seed, or number of buckets of a split is another.
    Hash,
    /// Somebody is served another variation, or none any more.
    Variation,
    /// Those who joined did so in other proportions than those who were there.
    Proportions,
}

impl Cause {
    const ALL: [Self; 8] = [
        Self::New,
        Self::EarlierRule,
        Self::If,
        Self::By,
        Self::Salt,
        Self::Hash,
        Self::Variation,
        Self::Proportions,
    ];

    /// The stable code of this cause.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::EarlierRule => "earlier-rule",
            Self::If => "if",
            Self::By => "by",
            Self::Salt => "salt",
            Self::Hash => "hash",
            Self::Variation => "variation",
            Self::Proportions => "proportions",
        }
    }
}

/// In words.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "it was not recorded before",
            Self::EarlierRule => "an earlier rule changed",
            Self::If => "its conditions changed",
            Self::By => "another attribute is bucketed",
            Self::Salt => "its salt changed",
            Self::Hash => "its hash changed",
            Self::Variation => "some are served another variation, or left",
            Self::Proportions => "those who joined did so in other proportions",
        })
    }
}

impl Begun {
    /// `{"rule","from","to","because"}`
    pub fn to_json(&self) -> Json<'static> {
        let text = |text: &str| Json::from(text.to_owned());
        Json::object([
            ("rule", text(&self.rule)),
            ("from", self.from.as_deref().map_or(Json::Null, text)),
            ("to", text(&self.to)),
            ("because", self.because.iter().map(|cause| Json::from(cause.as_str())).collect()),
        ])
    }

    /// Reads what [`Self::to_json`] wrote.
    pub fn from_json(json: &Json<'_>) -> Option<Self> {
        let text = |name| Some(json.member(name)?.as_str()?.to_owned());
        let cause = |json: &Json<'_>| {
            let code = json.as_str()?;
            Cause::ALL.into_iter().find(|cause| cause.as_str() == code)
        };
        let from = match json.member("from")? {
            Json::Null => None,
            _ => Some(text("from")?),
        };
        let because = json.member("because")?.as_array()?.iter().map(cause).collect::<Option<_>>()?;
        Some(Self { rule: text("rule")?, from, to: text("to")?, because })
    }
}

/// In words: ``rule `cta-test` is recorded as `cta-test.2`, not `cta-test.1` any more: its salt changed``.
impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, from, to, because } = self;
        write!(f, "rule `{rule}` is recorded as `{to}`")?;
        if let Some(from) = from {
            write!(f, ", not `{from}` any more")?;
        }
        let because: Vec<_> = because.iter().map(ToString::to_string).collect();
        write!(f, ": {}", because.join("; "))
    }
}

/// What is recorded under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Experiment,
    Holdout,
}

impl Kind {
    /// What a rule says in `exp`.
    fn exp(self, name: &ExperimentName, phase: u64) -> String {
        match (self, phase) {
            // A holdout is known by its name in all flags, as long as nothing moves its members in one of them.
            (Self::Holdout, ..=1) => name.to_string(),
            _ => format!("{name}.{phase}"),
        }
    }
}

/// Everything a targeting records, in the order of evaluation: rule id, name, kind.
fn recorded(targeting: &Targeting) -> impl Iterator<Item = (&str, &ExperimentName, Kind)> {
    let holdouts = targeting.holdouts.iter();
    let holdouts = holdouts.map(|holdout| (holdout.rule_id(), &holdout.name, Kind::Holdout));
    let rules = targeting.rules.iter();
    let rules =
        rules.filter_map(|rule| Some((rule.id.as_str(), rule.experiment.as_ref()?, Kind::Experiment)));
    let fallthrough = targeting.fallthrough.iter().filter_map(Fallthrough::experiment);
    holdouts.chain(rules).chain(fallthrough.map(|name| (ROLLOUT_RULE, name, Kind::Experiment)))
}

impl Phases {
    /// The last phase of everything that was ever recorded.
    pub fn last(&self) -> impl Iterator<Item = (&ExperimentName, u64)> {
        self.last.iter().map(|(name, phase)| (name, *phase))
    }

    /// The phase that an experiment or holdout is in, or was in last; 0 if there was none.
    pub fn of(&self, name: &ExperimentName) -> u64 {
        self.last.get(name).copied().unwrap_or(0)
    }

    /// The phases that the last change has begun, in the order of evaluation.
    pub fn begun(&self) -> &[Begun] {
        &self.begun
    }

    /// Whether nothing was ever recorded.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// The same, with nothing begun.
    #[must_use]
    pub fn settled_down(&self) -> Self {
        Self { last: self.last.clone(), begun: Vec::new() }
    }

    /// What a rule of `targeting` is recorded as, if it is.
    pub fn exp(&self, targeting: &Targeting, rule: &str) -> Option<String> {
        let (_, name, kind) = recorded(targeting).find(|(id, _, _)| *id == rule)?;
        Some(kind.exp(name, self.of(name)))
    }

    /// The phases of `after`, whose salts, ranges, and slots are settled.
    pub(super) fn settle(
        after: (&Targeting, &Splits),
        before: Option<(&Targeting, &Splits)>,
        environment: &LastPhases,
    ) -> Self {
        let memory = before.map(|(_, splits)| &splits.phases);
        let mut phases =
            Self { last: memory.map(|memory| memory.last.clone()).unwrap_or_default(), begun: Vec::new() };
        if recorded(after.0).next().is_none() {
            return phases;
        }
        let now = Wire::of(after);
        let then = before.map(Wire::of);
        for (rule, name, kind) in recorded(after.0) {
            let earlier = before.and_then(|(targeting, _)| {
                recorded(targeting).find(|(_, other, of)| *other == name && *of == kind)
            });
            let last = phases.of(name);
            let because = match earlier.zip(then.as_ref()) {
                Some(((earlier, _, _), then)) => causes(then, earlier, &now, rule),
                None => vec![Cause::New],
            };
            if because.is_empty() {
                continue;
            }
            let phase = next(last, name, after.0, environment);
            phases.last.insert(name.clone(), phase);
            let from = earlier.map(|_| kind.exp(name, last));
            let (rule, to) = (rule.to_owned(), kind.exp(name, phase));
            phases.begun.push(Begun { rule, from, to, because });
        }
        phases
    }

    /// What a rule of an experiment that needs a salt is given: what it is about to be recorded as.
    pub(super) fn new_salt(
        targeting: &Targeting,
        rule: &str,
        before: Option<(&Targeting, &Splits)>,
        environment: &LastPhases,
    ) -> Option<String> {
        let (_, name, kind) =
            recorded(targeting).find(|(id, _, kind)| *id == rule && *kind == Kind::Experiment)?;
        let last = before.map_or(0, |(_, splits)| splits.phases.of(name));
        Some(kind.exp(name, next(last, name, targeting, environment)))
    }

    /// Whether everything that `targeting` records has a phase.
    pub(super) fn fit(&self, targeting: &Targeting) -> bool {
        recorded(targeting).all(|(_, name, _)| self.of(name) > 0)
    }

    /// The last phases as the log keeps them: `{"NAME":phase,…}`.
    pub fn last_json(&self) -> Json<'_> {
        Json::object(self.last.iter().map(|(name, phase)| (name.as_str(), Json::from(*phase))))
    }

    /// What was begun, as the log keeps it.
    pub fn begun_json(&self) -> Json<'static> {
        self.begun.iter().map(Begun::to_json).collect()
    }

    /// Reads what the log keeps.
    pub fn from_json(last: Option<&Json<'_>>, begun: Option<&Json<'_>>) -> Option<Self> {
        let phase = |(name, phase): &(std::borrow::Cow<'_, str>, Json<'_>)| {
            let phase = u64::try_from(phase.as_integer()?).ok().filter(|phase| *phase > 0)?;
            Some((ExperimentName::of(name)?, phase))
        };
        let last = match last {
            None => BTreeMap::new(),
            Some(last) => last.as_object()?.iter().map(phase).collect::<Option<_>>()?,
        };
        Some(Self { last, begun: Self::begun_from_json(begun)? })
    }

    /// Reads what was begun out of what the log keeps of a targeting.
    pub fn begun_from_json(begun: Option<&Json<'_>>) -> Option<Vec<Begun>> {
        match begun {
            None => Some(Vec::new()),
            Some(begun) => begun.as_array()?.iter().map(Begun::from_json).collect(),
        }
    }
}

/// The phase after the last one: one that the environment never had. A holdout is in many flags at once: where it has the
/// same members already, it is what it is there, so that no two sets of people are recorded under one name.
fn next(last: u64, name: &ExperimentName, targeting: &Targeting, environment: &LastPhases) -> u64 {
    let holdout = targeting.holdouts.iter().find(|holdout| holdout.name == *name);
    let shared = holdout.map_or(0, |holdout| environment.shared(holdout));
    if shared > last { shared } else { last.max(environment.ever(name)).saturating_add(1) }
}
