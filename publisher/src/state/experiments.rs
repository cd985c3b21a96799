//! Layers, holdouts, and experiments across the flags of an environment (FORMAT M-5.7, M-11.5).
//!
//! The slots of a layer are disjoint, a holdout is the same in every flag that has it, and what is recorded under a name
//! is one experiment.

use std::collections::BTreeMap;

use flagstone_model::key::FlagKey;

use super::entity::{EnvironmentState, SettledTargeting};
use crate::author::{By, ExperimentName, Fallthrough, Holdout, Problem, Weight, code, pointer};

/// Where a request speaks of a flag's targeting.
#[derive(Debug, Clone, Copy)]
pub(super) struct At<'a> {
    /// A JSON Pointer into the request.
    pub(super) pointer: &'a str,
    /// Whether the targeting itself stands there.
    pub(super) is_document: bool,
}

/// How many faults are told at once.
const MAX_TOLD: usize = 16;

/// A part of a targeting that others have to agree with.
struct Part<'a> {
    flag: &'a FlagKey,
    /// A JSON Pointer into the targeting.
    at: String,
    /// The rule, for people.
    rule: &'a str,
    what: What<'a>,
}

enum What<'a> {
    Slot { by: &'a By, spans: &'a [(u64, u64)] },
    Holdout(&'a Holdout),
    Experiment,
}

/// Says what is wrong in an environment after the targetings of `changed` were changed, each at its place.
pub(super) fn check(environment: &EnvironmentState, changed: &BTreeMap<&FlagKey, At<'_>>) -> Vec<Problem> {
    if !environment.flags.iter().any(|(key, flag)| changed.contains_key(key) && has_parts(&flag.targeting)) {
        return Vec::new();
    }
    let mut layers: BTreeMap<&ExperimentName, Vec<Part<'_>>> = BTreeMap::new();
    let mut names: BTreeMap<&ExperimentName, Vec<Part<'_>>> = BTreeMap::new();
    for (key, flag) in environment.live_flags().filter(|(_, flag)| has_parts(&flag.targeting)) {
        gather(key, &flag.targeting, &mut layers, &mut names);
    }
    let mut problems = Vec::new();
    for (layer, parts) in &layers {
        problems.extend(of_layer(layer, parts, changed));
    }
    for (name, parts) in &names {
        problems.extend(of_name(name, parts, changed));
    }
    problems.truncate(MAX_TOLD);
    problems
}

fn has_parts(targeting: &SettledTargeting) -> bool {
    let SettledTargeting { authored, splits, .. } = targeting;
    !splits.slots.is_empty() || !splits.phases.is_empty() || !authored.holdouts.is_empty()
}

fn gather<'a>(
    flag: &'a FlagKey,
    targeting: &'a SettledTargeting,
    layers: &mut BTreeMap<&'a ExperimentName, Vec<Part<'a>>>,
    names: &mut BTreeMap<&'a ExperimentName, Vec<Part<'a>>>,
) {
    let SettledTargeting { authored, splits, .. } = targeting;
    for (index, rule) in authored.rules.iter().enumerate() {
        let at = |steps: [&str; 2]| pointer([&["rules", &index.to_string()][..], &steps[..]].concat());
        let id = rule.id.as_str();
        if let Some((layer, spans)) = rule.layer.as_ref().zip(splits.slots.of_rule(id)) {
            let what = What::Slot { by: &layer.by, spans };
            layers.entry(&layer.name).or_default().push(Part {
                flag,
                at: at(["layer", "in"]),
                rule: id,
                what,
            });
        }
        if let Some(name) = &rule.experiment {
            let part = Part { flag, at: at(["experiment", "name"]), rule: id, what: What::Experiment };
            names.entry(name).or_default().push(part);
        }
    }
    for (index, holdout) in authored.holdouts.iter().enumerate() {
        let at = pointer(["holdouts", &index.to_string()]);
        let part = Part { flag, at, rule: holdout.rule_id(), what: What::Holdout(holdout) };
        names.entry(&holdout.name).or_default().push(part);
    }
    if let Some(name) = authored.fallthrough.as_ref().and_then(Fallthrough::experiment) {
        let at = "/fallthrough/experiment/name".to_owned();
        let part = Part { flag, at, rule: crate::author::ROLLOUT_RULE, what: What::Experiment };
        names.entry(name).or_default().push(part);
    }
}

impl Part<'_> {
    /// What is wrong with this part, told where the request speaks of its flag; `None` if it does not.
    fn problem(
        &self,
        code: &'static str,
        member: &str,
        detail: String,
        changed: &BTreeMap<&FlagKey, At<'_>>,
    ) -> Option<Problem> {
        let At { pointer, is_document } = changed.get(self.flag)?;
        let pointer =
            if *is_document { format!("{pointer}{}{member}", self.at) } else { (*pointer).to_owned() };
        Some(Problem::new(code, pointer, detail))
    }

    fn told(&self) -> String {
        format!("rule `{}` of flag `{}`", self.rule, self.flag)
    }
}

/// A fault of two parts, told at the later one of those that were changed.
fn of_two(
    code: &'static str,
    parts: [&Part<'_>; 2],
    member: &str,
    detail: impl Fn(&Part<'_>) -> String,
    changed: &BTreeMap<&FlagKey, At<'_>>,
) -> Option<Problem> {
    let [first, second] = parts;
    let at_second = second.problem(code, member, detail(first), changed);
    at_second.or_else(|| first.problem(code, member, detail(second), changed))
}

fn of_layer(
    layer: &ExperimentName,
    parts: &[Part<'_>],
    changed: &BTreeMap<&FlagKey, At<'_>>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let by = |part: &Part<'_>| if let What::Slot { by, .. } = part.what { by.clone() } else { By::default() };
    if let Some((first, others)) = parts.split_first() {
        for other in others.iter().filter(|other| by(other) != by(first)) {
            let detail = |has: &Part<'_>| {
                let by = by(has).path().map_or_else(|| "targetingKey".to_owned(), ToString::to_string);
                format!("in layer `{layer}`, {} is bucketed by `{by}`, and so must this be", has.told())
            };
            problems.extend(of_two(code::LAYER_DIFFERS, [first, other], "", detail, changed));
        }
    }
    let mut spans: Vec<((u64, u64), &Part<'_>)> = Vec::new();
    for part in parts {
        if let What::Slot { spans: own, .. } = part.what {
            spans.extend(own.iter().map(|span| (*span, part)));
        }
    }
    spans.sort_by_key(|(span, _)| *span);
    let mut reached: Option<(u64, &Part<'_>)> = None;
    for ((start, end), part) in spans {
        if let Some((until, holder)) = reached.filter(|(until, _)| start < *until) {
            let overlap = (start, until.min(end));
            let detail = |has: &Part<'_>| {
                format!("buckets {} to {} of layer `{layer}` belong to {}", overlap.0, overlap.1, has.told())
            };
            problems.extend(of_two(code::LAYER_OVERLAP, [holder, part], "", detail, changed));
        }
        if reached.is_none_or(|(until, _)| until < end) {
            reached = Some((end, part));
        }
    }
    problems
}

fn of_name(name: &ExperimentName, parts: &[Part<'_>], changed: &BTreeMap<&FlagKey, At<'_>>) -> Vec<Problem> {
    let Some((first, others)) = parts.split_first() else { return Vec::new() };
    let mut problems = Vec::new();
    for other in others {
        problems.extend(match (&first.what, &other.what) {
            (What::Holdout(a), What::Holdout(b)) if a.by == b.by && a.share == b.share => None,
            (What::Holdout(a), What::Holdout(b)) => {
                let member = if a.share == b.share { "/by" } else { "/share" };
                let detail = |has: &Part<'_>| match &has.what {
                    What::Holdout(Holdout { by, share, .. }) => differs(name, has, by, *share),
                    _ => String::new(),
                };
                of_two(code::HOLDOUT_DIFFERS, [first, other], member, detail, changed)
            }
            _ => {
                let detail = |has: &Part<'_>| format!("{} is recorded as `{name}` already", has.told());
                of_two(code::EXPERIMENT_IN_USE, [first, other], "", detail, changed)
            }
        });
    }
    problems
}

fn differs(name: &ExperimentName, has: &Part<'_>, by: &By, share: Weight) -> String {
    let by = by.path().map_or_else(String::new, |path| format!(" by `{path}`"));
    format!(
        "flag `{}` has holdout `{name}` with {share}{by}; it is the same in all flags: change them in one request",
        has.flag
    )
}
