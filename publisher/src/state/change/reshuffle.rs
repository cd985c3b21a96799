//! An experiment begun anew with other users in each variation.

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey};

use super::targeting::Place;
use super::{Edit, Refusal, Terms};
use crate::author::{ExperimentName, Fallthrough, ROLLOUT_RULE, RampTo, Rollout, Targeting, Then, pointer};
use crate::state::State;

/// Shuffles the users of an experiment anew: `{"rule"?}`, which need not be named where one rule alone is one.
///
/// Its split gets a new salt, so that everybody is dealt a variation again, and with it the next phase begins. A share
/// that grows keeps those it has reached.
pub fn reshuffle(
    state: &State,
    id: &EnvironmentId,
    key: &FlagKey,
    body: &Json<'_>,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let at = Place::find(state, id, key, terms)?;
    let authored = at.flag.targeting.authored.clone();
    let named = named_rule(body)?;
    let experiments: Vec<(&str, &ExperimentName, Option<&Rollout>)> = experiments(&authored).collect();
    let found = match (named, &experiments[..]) {
        (Some(rule), all) => all.iter().find(|(id, _, _)| *id == rule).copied(),
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    let Some((rule, name, rollout)) = found else {
        let those: Vec<_> = experiments.iter().map(|(rule, _, _)| format!("`{rule}`")).collect();
        let detail = match (named, those.is_empty()) {
            (_, true) => "the flag has no experiment".to_owned(),
            (Some(rule), false) => format!("`{rule}` is no experiment; there is {}", those.join(", ")),
            (None, false) => {
                format!("the flag has several experiments: say which `rule`, {}", those.join(", "))
            }
        };
        return Err(Refusal::invalid("/rule", detail));
    };
    let Some(rollout) = rollout else {
        return Err(Refusal::invalid(
            "/rule",
            format!("`{rule}` serves one variation: there is nothing to shuffle"),
        ));
    };
    if let Some(salt) = &rollout.salt {
        let detail = format!(
            "the salt of experiment `{name}` is its author's, `{salt}`: write another into the targeting"
        );
        return Err(Refusal::invalid("/rule", detail));
    }
    let rule = rule.to_owned();
    at.reshuffled(authored, Some(&rule), terms)
}

fn named_rule<'b>(body: &'b Json<'_>) -> Result<Option<&'b str>, Refusal> {
    let Some(members) = body.as_object() else {
        return Err(Refusal::invalid("", "an object with the member `rule`, or none, is wanted here"));
    };
    if let Some((name, _)) = members.iter().find(|(name, _)| name != "rule") {
        return Err(Refusal::invalid(pointer([&**name]), "unknown member; a reshuffle has `rule`"));
    }
    match body.member("rule") {
        None => Ok(None),
        Some(rule) => rule.as_str().map(Some).ok_or_else(|| {
            Refusal::invalid("/rule", "the id of a rule is a string; of the fallthrough it is `rollout`")
        }),
    }
}

/// The experiments of a targeting, each with its split if it has one.
fn experiments(targeting: &Targeting) -> impl Iterator<Item = (&str, &ExperimentName, Option<&Rollout>)> {
    let of_rules = targeting.rules.iter().filter_map(|rule| {
        let rollout = match &rule.then {
            Then::Serve(_) => None,
            Then::Rollout(rollout) => Some(rollout),
            Then::Ramp(ramp) => ramp.rollout(),
        };
        Some((rule.id.as_str(), rule.experiment.as_ref()?, rollout))
    });
    let of_fallthrough = targeting.fallthrough.iter().filter_map(|fallthrough| {
        let rollout = match fallthrough {
            Fallthrough::Serve(_) => None,
            Fallthrough::Rollout { rollout, .. } => Some(rollout),
            Fallthrough::Ramp { ramp, .. } => RampTo::rollout(ramp),
        };
        Some((ROLLOUT_RULE, fallthrough.experiment()?, rollout))
    });
    of_rules.chain(of_fallthrough)
}
