//! From an authored flag to its line.

use flagstone_model::json::Json;
use flagstone_model::key::VariationKey;

use super::split::{Split, Splits};
use crate::author::{
    Bucket, By, Condition, DENY_PREFIX, Fallthrough, FlagDefinition, FlagTest, Keys, ROLLOUT_RULE, RampTo,
    Rule, Served, Share, TARGET_PREFIX, Targeting, Then, value_json,
};
use flagstone_model::limits::BUCKETS;

/// The line of a flag, without its newline (FORMAT M-1.5, M-5.1).
///
/// `splits` must [fit](Splits::fit) the targeting; a rule without its split would be left out.
pub fn lower_flag(definition: &FlagDefinition, targeting: &Targeting, splits: &Splits, rev: u64) -> String {
    let off = targeting.off.variation();
    let rules = rules(targeting, splits);
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
    ];
    Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?)))).to_string()
}

/// Deny list, targets in variation order, authored rules, and a fallthrough that buckets as the last.
fn rules<'a>(targeting: &'a Targeting, splits: &'a Splits) -> Vec<Json<'a>> {
    let fallthrough = targeting.fallthrough.iter().filter_map(|fallthrough| {
        let id = || ROLLOUT_RULE.to_owned();
        match fallthrough {
            Fallthrough::Serve(_) => None,
            Fallthrough::Rollout { rollout, .. } => {
                Some(rule(id(), &[], split(&rollout.by, splits.of_rule(ROLLOUT_RULE)?)))
            }
            Fallthrough::Ramp { ramp, .. } => {
                Some(ramped(id(), Vec::new(), ramp, splits.of_rule(ROLLOUT_RULE)?))
            }
        }
    });
    listed(DENY_PREFIX, &targeting.deny)
        .chain(listed(TARGET_PREFIX, &targeting.targets))
        .chain(targeting.rules.iter().filter_map(|rule| authored(rule, splits)))
        .chain(fallthrough)
        .collect()
}

fn listed<'a>(prefix: &'a str, keys: &'a Keys) -> impl Iterator<Item = Json<'a>> {
    keys.iter().map(move |(serve, targets)| {
        rule(format!("{prefix}{serve}"), &Condition::targets(targets), ("serve", variation(serve)))
    })
}

fn authored<'a>(authored: &'a Rule, splits: &'a Splits) -> Option<Json<'a>> {
    let id = authored.id.as_str();
    let schedule = authored.schedule.iter().cloned().map(Condition::Time);
    let when: Vec<Condition> = schedule.chain(authored.when.iter().cloned()).collect();
    Some(match &authored.then {
        Then::Serve(serve) => rule(id.to_owned(), &when, ("serve", variation(serve))),
        Then::Rollout(rollout) => rule(id.to_owned(), &when, split(&rollout.by, splits.of_rule(id)?)),
        Then::Ramp(ramp) => ramped(id.to_owned(), when, ramp, splits.of_rule(id)?),
    })
}

/// A rule for those a ramp has reached.
fn ramped<'a>(id: String, mut when: Vec<Condition>, ramp: &'a RampTo, settled: &'a Split) -> Json<'a> {
    when.push(in_ramp(ramp, settled.ramp_salt()));
    match &ramp.serve {
        Served::Variation(serve) => rule(id, &when, ("serve", variation(serve))),
        Served::Rollout(rollout) => rule(id, &when, split(&rollout.by, settled)),
    }
}

fn in_ramp(ramp: &RampTo, salt: &str) -> Condition {
    let share = Share::Ramp(ramp.ramp.clone());
    let bucket = Bucket { by: ramp.by.clone(), salt: salt.to_owned(), of: BUCKETS, share };
    Condition::Bucket { bucket, absent: None }
}

fn rule<'a>(id: String, when: &[Condition], then: (&'static str, Json<'a>)) -> Json<'a> {
    let when = unless_empty(when.iter().map(|condition| condition.lower().into_owned()).collect());
    let when = when.map(|when| ("if", when));
    Json::object([("id", Json::from(id))].into_iter().chain(when).chain([then]))
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
