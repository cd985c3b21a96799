//! From an authored flag to its line.

use flagstone_model::json::Json;
use flagstone_model::key::VariationKey;

use super::split::{Split, Splits};
use crate::author::{
    Bucket, By, Condition, DENY_PREFIX, Fallthrough, FlagDefinition, FlagTest, Holdout, Keys, Layer,
    ROLLOUT_RULE, RampTo, Rule, Served, Share, TARGET_PREFIX, Targeting, Then, value_json,
};
use flagstone_model::limits::{BUCKETS, MAX_INTEGER};

/// How much longer the line of a flag may still become without an edit of what it says: `false` is longer than `true`,
/// and its edit number grows. Switching off must never meet a limit (FORMAT M-11.1).
pub const fn reserve(on: bool, rev: u64) -> usize {
    const LONGEST: u32 = MAX_INTEGER.ilog10() + 1;
    let digits = match rev.checked_ilog10() {
        Some(log) => log + 1,
        None => 1,
    };
    LONGEST.saturating_sub(digits) as usize + on as usize
}

/// The line of a flag, without its newline (FORMAT M-1.5, M-5.1).
///
/// `splits` must [fit](Splits::fit) the targeting; a rule without its split would be left out.
pub fn lower_flag(definition: &FlagDefinition, targeting: &Targeting, splits: &Splits, rev: u64) -> String {
    let off = targeting.off.variation();
    let rules = wire_rules(targeting, splits);
    let fallthrough = match &targeting.fallthrough {
        None => None,
        Some(Fallthrough::Serve(variation)) => Some(variation),
        Some(Fallthrough::Rollout { without_key: rest, .. } | Fallthrough::Ramp { serve: rest, .. }) => {
            rest.as_ref().or(off)
        }
    };
    let schedule =
        targeting.schedule.iter().map(|window| Condition::Time(window.clone()).lower().into_owned());
    let needs = schedule.chain(targeting.prerequisites.iter().map(FlagTest::to_json)).collect();
    let values = definition.variations.iter().map(|(name, value)| (name.as_str(), value_json(value)));
    let members = [
        ("flag", Some(Json::from(definition.key.as_str()))),
        ("type", Some(Json::from(definition.flag_type.as_str()))),
        ("rev", Some(Json::from(rev))),
        ("on", Some(Json::from(targeting.on))),
        ("values", Some(Json::object(values))),
        ("off", off.map(variation)),
        ("needs", unless_empty(needs)),
        ("rules", unless_empty(rules)),
        ("fallthrough", fallthrough.map(variation)),
        ("meta", definition.meta_json()),
    ];
    Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?)))).to_string()
}

/// Deny list, targets in variation order, holdouts, authored rules, and a fallthrough that buckets as the last.
pub(in crate::lower) fn wire_rules<'a>(targeting: &'a Targeting, splits: &'a Splits) -> Vec<Json<'a>> {
    let exp = |id: &str| splits.phases.exp(targeting, id);
    let fallthrough = targeting.fallthrough.iter().filter_map(|fallthrough| {
        let head = |when: Vec<Condition>| (ROLLOUT_RULE.to_owned(), when);
        match fallthrough {
            Fallthrough::Serve(_) => None,
            Fallthrough::Rollout { rollout, .. } => {
                let split = split(&rollout.by, splits.of_rule(ROLLOUT_RULE)?);
                Some(rule(head(Vec::new()), split, exp(ROLLOUT_RULE)))
            }
            Fallthrough::Ramp { ramp, .. } => {
                Some(ramped(head(Vec::new()), ramp, splits.of_rule(ROLLOUT_RULE)?, exp(ROLLOUT_RULE)))
            }
        }
    });
    let holdouts = targeting.holdouts.iter().map(|holdout| held_out(holdout, exp(holdout.rule_id())));
    listed(DENY_PREFIX, &targeting.deny)
        .chain(listed(TARGET_PREFIX, &targeting.targets))
        .chain(holdouts)
        .chain(targeting.rules.iter().filter_map(|rule| authored(rule, splits, exp(rule.id.as_str()))))
        .chain(fallthrough)
        .collect()
}

fn listed<'a>(prefix: &'a str, keys: &'a Keys) -> impl Iterator<Item = Json<'a>> {
    keys.iter().map(move |(serve, targets)| {
        let head = (format!("{prefix}{serve}"), Condition::targets(targets));
        rule(head, ("serve", variation(serve)), None)
    })
}

fn held_out(holdout: &Holdout, exp: Option<String>) -> Json<'_> {
    let when = vec![in_spans(&holdout.by, holdout.name.as_str(), vec![(0, holdout.share.parts())])];
    rule((holdout.rule_id().to_owned(), when), ("serve", variation(&holdout.serve)), exp)
}

fn authored<'a>(authored: &'a Rule, splits: &'a Splits, exp: Option<String>) -> Option<Json<'a>> {
    let id = authored.id.as_str();
    let schedule = authored.schedule.iter().cloned().map(Condition::Time);
    let slot = match &authored.layer {
        None => None,
        Some(layer @ Layer { by, .. }) => {
            Some(in_spans(by, &layer.salt(), splits.slots.of_rule(id)?.clone()))
        }
    };
    let head = (id.to_owned(), schedule.chain(authored.when.iter().cloned()).chain(slot).collect());
    Some(match &authored.then {
        Then::Serve(serve) => rule(head, ("serve", variation(serve)), exp),
        Then::Rollout(rollout) => rule(head, split(&rollout.by, splits.of_rule(id)?), exp),
        Then::Ramp(ramp) => ramped(head, ramp, splits.of_rule(id)?, exp),
    })
}

/// A rule for those a ramp has reached.
fn ramped<'a>(
    (id, mut when): (String, Vec<Condition>),
    ramp: &'a RampTo,
    settled: &'a Split,
    exp: Option<String>,
) -> Json<'a> {
    when.push(bucket(&ramp.by, settled.ramp_salt(), Share::Ramp(ramp.ramp.clone())));
    let then = match &ramp.serve {
        Served::Variation(serve) => ("serve", variation(serve)),
        Served::Rollout(rollout) => split(&rollout.by, settled),
    };
    rule((id, when), then, exp)
}

fn in_spans(by: &By, salt: &str, spans: Vec<(u64, u64)>) -> Condition {
    bucket(by, salt, Share::In(spans))
}

fn bucket(by: &By, salt: &str, share: Share) -> Condition {
    let bucket = Bucket { by: by.clone(), salt: salt.to_owned(), of: BUCKETS, share };
    Condition::Bucket { bucket, absent: None }
}

fn rule<'a>(
    (id, when): (String, Vec<Condition>),
    then: (&'static str, Json<'a>),
    exp: Option<String>,
) -> Json<'a> {
    let when = unless_empty(when.iter().map(|condition| condition.lower().into_owned()).collect());
    let when = when.map(|when| ("if", when));
    let exp = exp.map(|exp| ("exp", Json::from(exp)));
    Json::object([("id", Json::from(id))].into_iter().chain(when).chain([then]).chain(exp))
}

fn split<'a>(by: &By, split: &'a Split) -> (&'static str, Json<'a>) {
    let members = [("salt", Json::from(&*split.salt)), ("ranges", split.ranges_json())];
    ("split", Json::object(by.member().into_iter().chain(members)))
}

fn variation(variation: &VariationKey) -> Json<'_> {
    Json::from(variation.as_str())
}

fn unless_empty(elements: Vec<Json<'_>>) -> Option<Json<'_>> {
    (!elements.is_empty()).then_some(Json::Array(elements))
}
