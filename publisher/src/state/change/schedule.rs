//! What time means for a change: schedules that are over, ramps that run, and their pause.

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, VariationKey};
use flagstone_model::limits::BUCKETS;

use super::targeting::Place;
use super::{Confirmation, Edit, Refusal, Terms};
use crate::author::{
    By, Fallthrough, Plan, Problem, ROLLOUT_RULE, RampTo, Rollout, Served, Targeting, Then, Weight, code,
    pointer,
};
use crate::lower::Splits;
use crate::state::{SettledTargeting, State};

/// Stops a ramp where it has got to: `{"rule"?}`, which need not be named where one ramp alone is still growing.
///
/// Whoever is in stays in, for ever, and nobody else gets in.
pub fn pause_ramp(
    state: &State,
    id: &EnvironmentId,
    key: &FlagKey,
    body: &Json<'_>,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let at = Place::find(state, id, key, terms)?;
    let named = named_rule(body)?;
    let now = terms.now();
    let mut authored = at.flag.targeting.authored.clone();
    let running: Vec<String> = ramps(&authored)
        .filter(|(_, ramp)| ramp.ramp.is_growing(now))
        .map(|(rule, _)| rule.to_owned())
        .collect();
    let rule = match (named, &running[..]) {
        (Some(rule), running) if running.iter().any(|running| running == rule) => rule,
        (Some(rule), _) => {
            let detail = match ramps(&authored).find(|(id, _)| *id == rule) {
                Some((_, ramp)) => format!("the ramp of `{rule}` {}", over(ramp, now)),
                None => format!("`{rule}` is no ramp{}", those(&running)),
            };
            return Err(not_running(detail));
        }
        (None, [only]) => only,
        (None, []) => {
            let detail = match &ramps(&authored).map(|(_, ramp)| ramp).collect::<Vec<_>>()[..] {
                [only] => format!("the ramp {}", over(only, now)),
                _ => "no ramp is running".to_owned(),
            };
            return Err(not_running(detail));
        }
        (None, several) => {
            let detail = format!("several ramps are running: say which `rule`{}", those(several));
            return Err(Refusal::invalid("/rule", detail));
        }
    };
    for (id, ramp) in ramps_mut(&mut authored) {
        if id == rule {
            ramp.ramp = ramp.ramp.paused(now);
        }
    }
    // A kill switch for growth: it makes nothing true that was not, so nobody is asked and the clock is not heeded.
    at.target(authored, Terms { confirmation: Confirmation::Given, ..terms })
}

fn named_rule<'b>(body: &'b Json<'_>) -> Result<Option<&'b str>, Refusal> {
    let Some(members) = body.as_object() else {
        return Err(Refusal::invalid("", "an object with the member `rule`, or none, is wanted here"));
    };
    if let Some((name, _)) = members.iter().find(|(name, _)| name != "rule") {
        return Err(Refusal::invalid(pointer([&**name]), "unknown member; a pause has `rule`"));
    }
    match body.member("rule") {
        None => Ok(None),
        Some(rule) => rule.as_str().map(Some).ok_or_else(|| {
            Refusal::invalid("/rule", "the id of a rule is a string; of the fallthrough it is `rollout`")
        }),
    }
}

fn not_running(detail: String) -> Refusal {
    Refusal::Invalid { problems: vec![Problem::new(code::RAMP_NOT_RUNNING, "/rule", detail)] }
}

fn over(ramp: &RampTo, now: Instant) -> String {
    format!("does not grow any more: it has reached {}", share(ramp.ramp.reached(now)))
}

fn those(running: &[String]) -> String {
    let names: Vec<String> = running.iter().map(|rule| format!("`{rule}`")).collect();
    if names.is_empty() { String::new() } else { format!("; running: {}", names.join(", ")) }
}

/// The ramps of a targeting by the ids of their rules; that of the fallthrough is `rollout`.
pub(super) fn ramps(targeting: &Targeting) -> impl Iterator<Item = (&str, &RampTo)> {
    let of_rules = targeting.rules.iter().filter_map(|rule| match &rule.then {
        Then::Ramp(ramp) => Some((rule.id.as_str(), ramp)),
        _ => None,
    });
    let of_fallthrough = match &targeting.fallthrough {
        Some(Fallthrough::Ramp { ramp, .. }) => Some((ROLLOUT_RULE, ramp)),
        _ => None,
    };
    of_rules.chain(of_fallthrough)
}

fn ramps_mut(targeting: &mut Targeting) -> impl Iterator<Item = (&str, &mut RampTo)> {
    let of_rules = targeting.rules.iter_mut().filter_map(|rule| match &mut rule.then {
        Then::Ramp(ramp) => Some((rule.id.as_str(), ramp)),
        _ => None,
    });
    let of_fallthrough = match &mut targeting.fallthrough {
        Some(Fallthrough::Ramp { ramp, .. }) => Some((ROLLOUT_RULE, ramp)),
        _ => None,
    };
    of_rules.chain(of_fallthrough)
}

fn share(parts: u64) -> Weight {
    Weight::of_parts(parts).unwrap_or(Weight::ALL)
}

/// Schedules of which nothing is left to happen, but for those that stood there before.
pub(super) fn past(authored: &Targeting, before: &Targeting, now: Instant) -> Vec<Problem> {
    let stood = before.schedules();
    let is_over = |plan: &Plan<'_>| plan.last().is_some_and(|last| last < now);
    let new = authored.schedules().into_iter().filter(|scheduled| {
        is_over(&scheduled.plan) && !stood.iter().any(|stood| stood.plan.is_same(&scheduled.plan))
    });
    let told = new.map(|scheduled| {
        let detail = format!(
            "all of this is over: it is {} now; to write it all the same, confirm it",
            Instant::from_millis(now.seconds().saturating_mul(1_000))
        );
        Problem::new(code::SCHEDULE_IN_PAST, scheduled.pointer, detail)
    });
    told.collect()
}

/// Asks if a ramp that runs would lose some of those it has reached, or one that takes the place of a rollout some of
/// those that served.
pub(super) fn ask_before_shrinking(
    after: &SettledTargeting,
    before: &SettledTargeting,
    now: Instant,
) -> Result<(), Refusal> {
    for (rule, ramp) in ramps(&before.authored) {
        let from = ramp.ramp.reached(now);
        let to = keeps(after, before, (rule, ramp), now).min(from);
        if to < from {
            let (from, to) = (share(from).to_string(), share(to).to_string());
            return Err(Refusal::RampShrinks { rule: rule.to_owned(), from, to });
        }
    }
    // Where the flag is off its rollouts serve nobody.
    let replacing = before.authored.on.then(|| ramps(&after.authored)).into_iter().flatten();
    for (rule, ramp) in replacing {
        let Served::Variation(variation) = &ramp.serve else { continue };
        let Some(by) = rolled_out(&before.authored, rule) else { continue };
        let Some(split) = before.splits.of_rule(rule) else { continue };
        let kept = after.splits.of_rule(rule).is_some_and(|now| now.salt == split.salt) && *by == ramp.by;
        let reached = match ramp.ramp.reached(now) {
            BUCKETS => BUCKETS,
            reached if kept => reached,
            _ => 0,
        };
        let own = split.ranges.iter().filter(|range| range.variation == *variation);
        let (from, to) = own.fold((0_u64, 0_u64), |(from, to), range| {
            let width = range.end.saturating_sub(range.start);
            let stays = range.end.min(reached).saturating_sub(range.start);
            (from.saturating_add(width), to.saturating_add(stays))
        });
        if to < from {
            let (from, to) = (share(from).to_string(), share(to).to_string());
            let (rule, variation) = (rule.to_owned(), variation.to_string());
            return Err(Refusal::RolloutShrinks { rule, variation, from, to });
        }
    }
    Ok(())
}

/// What is bucketed by the rollout that a rule is, without a ramp.
fn rolled_out<'a>(targeting: &'a Targeting, rule: &str) -> Option<&'a By> {
    if rule == ROLLOUT_RULE {
        return match &targeting.fallthrough {
            Some(Fallthrough::Rollout { rollout, .. }) => Some(&rollout.by),
            _ => None,
        };
    }
    match &targeting.rules.iter().find(|own| own.id.as_str() == rule)?.then {
        Then::Rollout(rollout) => Some(&rollout.by),
        _ => None,
    }
}

/// How many of those a ramp has reached are served the same by what stands in its place, of 100 000.
fn keeps(
    after: &SettledTargeting,
    before: &SettledTargeting,
    (rule, ramp): (&str, &RampTo),
    now: Instant,
) -> u64 {
    let salt = |splits: &Splits| splits.of_rule(rule).map(|split| split.ramp_salt().to_owned());
    let same_units = |by: &By| *by == ramp.by && salt(&after.splits) == salt(&before.splits);
    let serves_all = |variation: &VariationKey| match &ramp.serve {
        Served::Variation(serve) => serve == variation,
        Served::Rollout(_) => false,
    };
    let of_ramp = |to: &RampTo| match to.ramp.reached(now) {
        _ if !is_same_service(&to.serve, &ramp.serve) => 0,
        // Where everybody is in, nobody can have fallen out.
        BUCKETS => BUCKETS,
        reached if same_units(&to.by) => reached,
        _ => 0,
    };
    let of_rollout = |rollout: &Rollout| match &ramp.serve {
        Served::Variation(serve) if rollout.weights.get(serve) == Some(&Weight::ALL) => BUCKETS,
        Served::Variation(serve) if same_units(&rollout.by) => {
            let reached = ramp.ramp.reached(now);
            let ranges = after.splits.of_rule(rule).map(|split| split.ranges.iter());
            let own = ranges.into_iter().flatten().filter(|range| range.variation == *serve);
            own.map(|range| range.end.min(reached).saturating_sub(range.start)).sum()
        }
        Served::Variation(_) => 0,
        Served::Rollout(_) => BUCKETS,
    };
    let of_constant = |variation: &VariationKey| if serves_all(variation) { BUCKETS } else { 0 };
    if rule == ROLLOUT_RULE {
        return match &after.authored.fallthrough {
            None => 0,
            Some(Fallthrough::Serve(variation)) => of_constant(variation),
            Some(Fallthrough::Rollout { rollout, .. }) => of_rollout(rollout),
            Some(Fallthrough::Ramp { ramp, .. }) => of_ramp(ramp),
        };
    }
    match after.authored.rules.iter().find(|after| after.id.as_str() == rule).map(|rule| &rule.then) {
        None => 0,
        Some(Then::Serve(variation)) => of_constant(variation),
        Some(Then::Rollout(rollout)) => of_rollout(rollout),
        Some(Then::Ramp(ramp)) => of_ramp(ramp),
    }
}

/// Whether two ramps serve those they reach alike. The weights of a rollout may be edited: it moves whom it must.
fn is_same_service(after: &Served, before: &Served) -> bool {
    match (after, before) {
        (Served::Variation(after), Served::Variation(before)) => after == before,
        (Served::Rollout(after), Served::Rollout(before)) => after.by == before.by,
        _ => false,
    }
}
