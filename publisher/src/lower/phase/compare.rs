//! Whether what was recorded of a rule before a change can be compared with what is recorded of it after.
//!
//! What is compared is the line, as readers will have it: whatever an author writes in its place, what decides is what
//! it is lowered to.

use std::collections::{BTreeMap, BTreeSet};

use flagstone_model::json::Json;

use super::Cause;
use crate::author::Targeting;
use crate::lower::flag::wire_rules;
use crate::lower::split::Splits;

/// The rules of a flag as the wire has them, for comparison.
pub(super) struct Wire {
    rules: Vec<(String, Json<'static>)>,
    /// Rules whose first condition is their own schedule.
    scheduled: BTreeSet<String>,
    /// The prerequisites of the flag, in no order: all of them must hold for any rule to be reached.
    needs: BTreeSet<String>,
}

impl Wire {
    pub(super) fn of((targeting, splits): (&Targeting, &Splits)) -> Self {
        let named = |rule: Json<'_>| Some((rule.member("id")?.as_str()?.to_owned(), rule.into_owned()));
        let scheduled = targeting.rules.iter().filter(|rule| rule.schedule.is_some());
        Self {
            rules: wire_rules(targeting, splits).into_iter().filter_map(named).collect(),
            scheduled: scheduled.map(|rule| rule.id.to_string()).collect(),
            needs: targeting.prerequisites.iter().map(|test| test.to_json().to_string()).collect(),
        }
    }

    /// The rules that stand before one, without what they are called.
    fn earlier(&self, rule: &str) -> Vec<Json<'_>> {
        let before = self.rules.iter().take_while(|(id, _)| id != rule);
        before.map(|(_, wire)| without(wire, &["id", "exp"])).collect()
    }

    fn rule(&self, rule: &str) -> Option<&Json<'static>> {
        self.rules.iter().find(|(id, _)| id == rule).map(|(_, wire)| wire)
    }

    /// Its conditions, but for when they hold: its own schedule and the points of ramps say when, never who.
    fn when(&self, rule: &str) -> Vec<Json<'_>> {
        let when = self.rule(rule).and_then(|wire| wire.member("if")?.as_array()).unwrap_or_default();
        let own = usize::from(self.scheduled.contains(rule));
        when.iter().skip(own).map(timeless).collect()
    }
}

fn without<'j>(json: &'j Json<'_>, names: &[&str]) -> Json<'j> {
    let members = json.as_object().unwrap_or_default().iter();
    let kept = members.filter(|(name, _)| !names.contains(&&**name));
    Json::object(kept.map(|(name, value)| (&**name, value.clone())))
}

/// A condition without the points of its ramps.
fn timeless<'j>(condition: &'j Json<'_>) -> Json<'j> {
    match condition {
        Json::Object(members) => Json::object(members.iter().map(|(name, value)| {
            let is_ramp = &**name == "bucket" && value.member("ramp").is_some();
            (&**name, if is_ramp { without(value, &["ramp", "linear"]) } else { timeless(value) })
        })),
        Json::Array(elements) => elements.iter().map(timeless).collect(),
        other => other.clone(),
    }
}

/// Why what was recorded of a rule `then` can not be compared with what is recorded of it now; nothing if it can.
pub(super) fn causes(then: &Wire, earlier: &str, now: &Wire, rule: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut unless = |same: bool, cause: Cause| {
        if !same && !causes.contains(&cause) {
            causes.push(cause);
        }
    };
    unless(then.earlier(earlier) == now.earlier(rule), Cause::EarlierRule);
    unless(then.needs == now.needs && then.when(earlier) == now.when(rule), Cause::If);
    let outcome = |wire: &Wire, rule: &str, member: &str| {
        wire.rule(rule).and_then(|wire| wire.member(member)).cloned().map(Json::into_owned)
    };
    unless(outcome(then, earlier, "serve") == outcome(now, rule, "serve"), Cause::Variation);
    match (outcome(then, earlier, "split"), outcome(now, rule, "split")) {
        (Some(then), Some(now)) => {
            let same = |name: &str| then.member(name) == now.member(name);
            unless(same("by"), Cause::By);
            unless(same("salt"), Cause::Salt);
            unless(["tail", "hash", "seed", "of"].into_iter().all(same), Cause::Hash);
            match Layout::of(&then).zip(Layout::of(&now)) {
                Some((then, now)) => {
                    unless(then.stays_in(&now), Cause::Variation);
                    unless(then.grows_evenly_to(&now), Cause::Proportions);
                }
                None => unless(same("ranges"), Cause::Variation),
            }
        }
        (then, now) => unless(then == now, Cause::Variation),
    }
    causes
}

/// The ranges of a split.
struct Layout<'j>(Vec<(u64, u64, &'j str)>);

impl<'j> Layout<'j> {
    fn of(split: &'j Json<'_>) -> Option<Self> {
        let natural = |json: &Json<'_>| json.as_integer().and_then(|number| u64::try_from(number).ok());
        let range = |json: &'j Json<'_>| match json.as_array()? {
            [start, end, variation] => Some((natural(start)?, natural(end)?, variation.as_str()?)),
            _ => None,
        };
        split.member("ranges")?.as_array()?.iter().map(range).collect::<Option<_>>().map(Self)
    }

    /// Whether every bucket that has a variation has the same one in `later`.
    fn stays_in(&self, later: &Self) -> bool {
        self.0.iter().all(|(start, end, variation)| {
            let mut from = *start;
            for (s, e, v) in &later.0 {
                if *s <= from && from < *e && v == variation {
                    from = *e;
                }
            }
            from >= *end
        })
    }

    fn weights(&self) -> BTreeMap<&'j str, u64> {
        let mut weights = BTreeMap::new();
        for (start, end, variation) in &self.0 {
            let weight: &mut u64 = weights.entry(*variation).or_default();
            *weight = weight.saturating_add(end.saturating_sub(*start));
        }
        weights
    }

    /// Whether the variations have the same proportions in `later`, to one bucket.
    fn grows_evenly_to(&self, later: &Self) -> bool {
        let (before, after) = (self.weights(), later.weights());
        let sum = |weights: &BTreeMap<&str, u64>| u128::from(weights.values().sum::<u64>());
        let (all_before, all_after) = (sum(&before), sum(&after));
        if before == after {
            return true;
        }
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        names.into_iter().all(|name| {
            let of = |weights: &BTreeMap<&str, u64>| u128::from(weights.get(*name).copied().unwrap_or(0));
            let (then, now) = (of(&before), of(&after));
            // |now − then · all_after / all_before| ≤ 1, without fractions.
            now.saturating_mul(all_before).abs_diff(then.saturating_mul(all_after)) <= all_before
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layouts(then: &str, now: &str) -> (bool, bool) {
        let split =
            |ranges: &str| Json::parse(format!(r#"{{"ranges":{ranges}}}"#).as_bytes()).unwrap().into_owned();
        let (then, now) = (split(then), split(now));
        let (then, now) = (Layout::of(&then).unwrap(), Layout::of(&now).unwrap());
        (then.stays_in(&now), then.grows_evenly_to(&now))
    }

    #[test]
    fn gaps_may_be_filled_in_the_old_proportions_to_one_bucket() {
        let then = r#"[[0,10,"a"],[10,30,"b"]]"#;
        for (now, wanted) in [
            (r#"[[0,10,"a"],[10,30,"b"]]"#, (true, true)),
            (r#"[[0,10,"a"],[10,30,"b"],[30,40,"a"],[40,60,"b"]]"#, (true, true)),
            (r#"[[0,10,"a"],[10,30,"b"],[30,41,"a"],[41,60,"b"]]"#, (true, true)),
            (r#"[[0,10,"a"],[10,30,"b"],[30,42,"a"],[42,60,"b"]]"#, (true, false)),
            (r#"[[0,10,"a"],[10,30,"b"],[30,60,"c"]]"#, (true, false)),
            (r#"[[0,9,"a"],[10,30,"b"]]"#, (false, true)),
            (r#"[[0,11,"a"],[11,30,"b"]]"#, (false, true)),
            (r#"[[0,5,"a"],[5,10,"a"],[10,30,"b"]]"#, (true, true)),
            ("[]", (false, true)),
        ] {
            assert_eq!(layouts(then, now), wanted, "{now}");
        }
        assert_eq!(layouts("[]", r#"[[0,10,"a"]]"#), (true, true));
    }
}
