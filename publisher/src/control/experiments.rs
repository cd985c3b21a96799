//! What is recorded in an environment: experiments, holdouts, and the layers they share.

use std::collections::BTreeMap;

use flagstone_model::context::Context;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey};
use flagstone_model::limits::BUCKETS;

use super::error::ControlError;
use super::moment::Moment;
use super::read::environment_of;
use crate::author::{
    By, ExperimentName, Fallthrough, Layer, ROLLOUT_RULE, Rollout, Rule, Served, Targeting, Then, spans_json,
};
use crate::lower::layer::{Spans, width};
use crate::state::FlagInEnvironment;

/// One thing that is recorded, or a layer.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its place in the list: kind and name.
    pub position: String,
    /// What there is to tell.
    pub body: Json<'static>,
}

/// The parts of a layer, while flags are gone through.
struct Shared {
    by: By,
    taken: u64,
    slots: Vec<Json<'static>>,
}

/// The flags of a holdout, while they are gone through.
struct HeldOut {
    by: By,
    share: u64,
    flags: Vec<Json<'static>>,
}

impl Moment {
    /// The experiments, holdouts, and layers of an environment, by kind and name.
    pub fn experiments(&self, environment: &EnvironmentId) -> Result<Vec<Recorded>, ControlError> {
        let mut experiments = BTreeMap::new();
        let mut holdouts: BTreeMap<&ExperimentName, HeldOut> = BTreeMap::new();
        let mut layers: BTreeMap<&ExperimentName, Shared> = BTreeMap::new();
        for (key, flag) in environment_of(&self.state, environment)?.live_flags() {
            self.holes.check_flag(flag)?;
            let targeting = &flag.targeting.authored;
            for (rule, name, of) in tracked(targeting) {
                experiments.insert(name, experiment(key, flag, (rule, name), of));
            }
            for holdout in &targeting.holdouts {
                let held = holdouts.entry(&holdout.name).or_insert_with(|| HeldOut {
                    by: holdout.by.clone(),
                    share: holdout.share.parts(),
                    flags: Vec::new(),
                });
                held.flags.push(object([
                    Some(("flag", text(key))),
                    Some(("rule", text(holdout.rule_id()))),
                    Some(("on", Json::from(targeting.on))),
                    Some(("serve", text(&holdout.serve))),
                    exp(flag, holdout.rule_id()),
                ]));
            }
            for (rule, layer, spans) in layered(flag) {
                let shared = layers.entry(&layer.name).or_insert_with(|| Shared {
                    by: layer.by.clone(),
                    taken: 0,
                    slots: Vec::new(),
                });
                shared.taken = shared.taken.saturating_add(width(spans));
                shared.slots.push(object([
                    Some(("flag", text(key))),
                    Some(("rule", text(&rule.id))),
                    rule.experiment.as_ref().map(|name| ("experiment", text(name))),
                    Some(("share", Json::from(width(spans)))),
                    Some(("in", spans_json(spans))),
                ]));
            }
        }
        let experiments = experiments.into_iter().map(|(name, body)| recorded("experiment", name, body));
        let holdouts = holdouts.into_iter().map(|(name, HeldOut { by, share, flags })| {
            let members = [("by", by_json(&by)), ("share", Json::from(share)), ("flags", Json::Array(flags))];
            recorded("holdout", name, members.into())
        });
        let layers = layers.into_iter().map(|(name, Shared { by, taken, slots })| {
            let free = Json::from(BUCKETS.saturating_sub(taken));
            let members = [("by", by_json(&by)), ("free", free), ("slots", Json::Array(slots))];
            recorded("layer", name, members.into())
        });
        Ok(experiments.chain(holdouts).chain(layers).collect())
    }
}

type Members = Vec<(&'static str, Json<'static>)>;

fn recorded(kind: &'static str, name: &ExperimentName, members: Members) -> Recorded {
    let head = [("kind", Json::from(kind)), ("name", text(name))];
    Recorded { position: format!("{kind}/{name}"), body: Json::object(head.into_iter().chain(members)) }
}

fn text(text: &(impl ToString + ?Sized)) -> Json<'static> {
    Json::from(text.to_string())
}

fn object(members: impl IntoIterator<Item = Option<(&'static str, Json<'static>)>>) -> Json<'static> {
    Json::object(members.into_iter().flatten())
}

fn by_json(by: &By) -> Json<'static> {
    by.path().map_or_else(|| text(Context::TARGETING_KEY), text)
}

fn exp(flag: &FlagInEnvironment, rule: &str) -> Option<(&'static str, Json<'static>)> {
    let targeting = &flag.targeting;
    Some(("exp", Json::from(targeting.splits.phases.exp(&targeting.authored, rule)?)))
}

/// What an experiment compares.
#[derive(Clone, Copy)]
enum Compared<'a> {
    Rule(&'a Rule),
    Fallthrough(&'a Fallthrough),
}

impl<'a> Compared<'a> {
    fn rollout(self) -> Option<&'a Rollout> {
        let served = match self {
            Self::Rule(rule) => match &rule.then {
                Then::Rollout(rollout) => return Some(rollout),
                Then::Ramp(ramp) => &ramp.serve,
                Then::Serve(_) => return None,
            },
            Self::Fallthrough(Fallthrough::Rollout { rollout, .. }) => return Some(rollout),
            Self::Fallthrough(Fallthrough::Ramp { ramp, .. }) => &ramp.serve,
            Self::Fallthrough(Fallthrough::Serve(_)) => return None,
        };
        if let Served::Rollout(rollout) = served { Some(rollout) } else { None }
    }
}

fn tracked(targeting: &Targeting) -> impl Iterator<Item = (&str, &ExperimentName, Compared<'_>)> {
    let rules = targeting
        .rules
        .iter()
        .filter_map(|rule| Some((rule.id.as_str(), rule.experiment.as_ref()?, Compared::Rule(rule))));
    let fallthrough = targeting.fallthrough.iter().filter_map(|fallthrough| {
        Some((ROLLOUT_RULE, fallthrough.experiment()?, Compared::Fallthrough(fallthrough)))
    });
    rules.chain(fallthrough)
}

fn layered(flag: &FlagInEnvironment) -> impl Iterator<Item = (&Rule, &Layer, &Spans)> {
    let targeting = &*flag.targeting;
    let rules = targeting.authored.rules.iter();
    rules.filter_map(|rule| {
        Some((rule, rule.layer.as_ref()?, targeting.splits.slots.of_rule(rule.id.as_str())?))
    })
}

fn experiment(
    key: &FlagKey,
    flag: &FlagInEnvironment,
    (rule, name): (&str, &ExperimentName),
    of: Compared<'_>,
) -> Members {
    let targeting = &flag.targeting.authored;
    let splits = &flag.targeting.splits;
    let mut members = vec![
        ("flag", text(key)),
        ("rule", text(rule)),
        ("on", Json::from(targeting.on)),
        ("phase", Json::from(splits.phases.of(name))),
    ];
    members.extend(exp(flag, rule));
    if let Some((rollout, split)) = of.rollout().zip(splits.of_rule(rule)) {
        members.push(("by", by_json(&rollout.by)));
        members.push(("salt", text(&split.salt)));
        let weights =
            rollout.weights.iter().map(|(key, weight)| (key.to_string(), Json::from(weight.parts())));
        members.push(("weights", Json::object(weights)));
    }
    if let Some((_, layer, spans)) = layered(flag).find(|(own, _, _)| own.id.as_str() == rule) {
        let slot =
            [("name", text(&layer.name)), ("share", Json::from(width(spans))), ("in", spans_json(spans))];
        members.push(("layer", Json::object(slot)));
    }
    let holdouts: Vec<_> = targeting.holdouts.iter().map(|holdout| text(&holdout.name)).collect();
    if !holdouts.is_empty() {
        members.push(("holdouts", Json::Array(holdouts)));
    }
    members
}
