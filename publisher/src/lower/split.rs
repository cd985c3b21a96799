//! Splits: salts and ranges, settled when a change is written and kept in its log entry.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flagstone_model::json::Json;
use flagstone_model::key::{FlagKey, VariationKey};
use flagstone_model::limits::{BUCKETS, MAX_RANGES};

use super::layer::{Held, Slots};
use super::layout::{Range, relayout};
use super::phase::{LastPhases, Phases};
use super::salt::{Chosen, Salts, UsedSalt, default_salt};
use crate::author::{
    By, Fallthrough, Mentioned, Problem, ROLLOUT_RULE, RampTo, Rollout, Served, Targeting, Then, code,
    pointer,
};

/// What is appended to a rule's default salt for the ramp before its split.
const RAMP_SALT: &str = "ramp";

/// What the publisher settled for one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What separates its buckets from others.
    pub salt: String,
    /// Who gets what; empty for a ramp to one variation, which has none.
    pub ranges: Vec<Range>,
    /// The salt of the ramp before the split, if there are both.
    pub ramp: Option<String>,
}

/// What the publisher settled for the rules of a flag.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Splits {
    /// By rule id.
    rules: BTreeMap<String, Split>,
    /// Where the rules lie in their layers.
    pub slots: Slots,
    /// What the rules are recorded as.
    pub phases: Phases,
}

/// What there is in the environment while a flag is settled, and what is asked for.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere<'a> {
    /// The salts in use elsewhere.
    pub salts: Salts<'a>,
    /// The slots of layers in use elsewhere.
    pub slots: Vec<Held>,
    /// The phases that there are in all flags.
    pub phases: LastPhases,
    /// The rule that is to be shuffled anew.
    pub reshuffle: Option<&'a str>,
}

/// A rule of a targeting that buckets.
struct Bucketing<'a> {
    rule: &'a str,
    at: String,
    by: &'a By,
    salt: Option<&'a str>,
    rollout: Option<&'a Rollout>,
    /// The ramp that says who gets to the rollout.
    gate: Option<&'a RampTo>,
    /// What is served to those a ramp without a rollout has reached.
    ramped: Option<&'a VariationKey>,
}

impl<'a> Bucketing<'a> {
    fn of_rollout(rule: &'a str, at: String, rollout: &'a Rollout) -> Self {
        let Rollout { by, salt, .. } = rollout;
        Self { rule, at, by, salt: salt.as_deref(), rollout: Some(rollout), gate: None, ramped: None }
    }

    fn of_ramp(rule: &'a str, at: String, ramp: &'a RampTo) -> Self {
        match &ramp.serve {
            Served::Variation(served) => {
                let RampTo { by, salt, .. } = ramp;
                Self { rule, at, by, salt: salt.as_deref(), rollout: None, gate: None, ramped: Some(served) }
            }
            Served::Rollout(rollout) => Self { gate: Some(ramp), ..Self::of_rollout(rule, at, rollout) },
        }
    }

    /// The salts it keeps, of split and gate, when this was `before`. One that only ramps or only splits keeps the
    /// salt of whatever the other was. A split that is shuffled anew keeps none.
    fn kept<'s>(
        &self,
        earlier: Option<&(Bucketing<'_>, &'s Split)>,
        reshuffle: Option<&str>,
    ) -> (Option<&'s str>, Option<&'s str>) {
        let (split, gate) = self.kept_salts(earlier);
        let anew = self.rollout.is_some() && reshuffle == Some(self.rule);
        (split.filter(|_| !anew), gate)
    }

    fn kept_salts<'s>(
        &self,
        earlier: Option<&(Bucketing<'_>, &'s Split)>,
    ) -> (Option<&'s str>, Option<&'s str>) {
        let Some((before, split)) = earlier else { return (None, None) };
        let ramp = split.ramp.as_deref();
        match (self.gate.is_some(), before.gate.is_some()) {
            (true, true) => (Some(&split.salt), ramp),
            (true, false) if before.rollout.is_some() => (Some(&split.salt), None),
            (true, false) => (None, Some(&split.salt)),
            (false, true) if self.rollout.is_none() => (ramp, None),
            (false, _) => (Some(&split.salt), None),
        }
    }
}

/// The rule of this id as it bucketed before, and what was settled for it.
fn earlier<'b>(
    before: Option<(&'b Targeting, &'b Splits)>,
    rule: &str,
) -> Option<(Bucketing<'b>, &'b Split)> {
    let (targeting, splits) = before?;
    let earlier = bucketings(targeting).find(|bucketing| bucketing.rule == rule)?;
    Some((earlier, splits.of_rule(rule)?))
}

/// The salts that rules keep from before, unless their author names others.
fn kept_salts(
    targeting: &Targeting,
    before: Option<(&Targeting, &Splits)>,
    reshuffle: Option<&str>,
) -> Vec<UsedSalt> {
    let kept = bucketings(targeting).flat_map(|bucketing| {
        let (split, gate) = bucketing.kept(earlier(before, bucketing.rule).as_ref(), reshuffle);
        let split = split.filter(|_| bucketing.salt.is_none());
        let gate = gate.filter(|_| bucketing.gate.is_some_and(|gate| gate.salt.is_none()));
        split.into_iter().chain(gate).map(|salt| UsedSalt::new(salt, Chosen::ByPublisher)).collect::<Vec<_>>()
    });
    kept.collect()
}

fn bucketings(targeting: &Targeting) -> impl Iterator<Item = Bucketing<'_>> {
    let of_rules = targeting.rules.iter().enumerate().filter_map(|(index, rule)| {
        let id = rule.id.as_str();
        let at = |member| pointer(["rules", &index.to_string(), member]);
        match &rule.then {
            Then::Serve(_) => None,
            Then::Rollout(rollout) => Some(Bucketing::of_rollout(id, at("rollout"), rollout)),
            Then::Ramp(ramp) => Some(Bucketing::of_ramp(id, at("ramp"), ramp)),
        }
    });
    let of_fallthrough = targeting.fallthrough.iter().filter_map(|fallthrough| {
        let at = |member| pointer(["fallthrough", member]);
        match fallthrough {
            Fallthrough::Serve(_) => None,
            Fallthrough::Rollout { rollout, .. } => {
                Some(Bucketing::of_rollout(ROLLOUT_RULE, at("rollout"), rollout))
            }
            Fallthrough::Ramp { ramp, .. } => Some(Bucketing::of_ramp(ROLLOUT_RULE, at("ramp"), ramp)),
        }
    });
    of_rules.chain(of_fallthrough)
}

impl Splits {
    /// What was settled for a rule.
    pub fn of_rule(&self, rule: &str) -> Option<&Split> {
        self.rules.get(rule)
    }

    /// Whether `other` buckets alike, whatever the phases are.
    pub fn buckets_like(&self, other: &Self) -> bool {
        self.rules == other.rules && self.slots == other.slots
    }

    /// The same, with the phases that follow from what was settled `before` for the same flag.
    #[must_use]
    pub fn continued(
        &self,
        targeting: &Targeting,
        before: (&Targeting, &Self),
        environment: &LastPhases,
    ) -> Self {
        let phases = Phases::settle((targeting, self), Some(before), environment);
        Self { phases, ..self.clone() }
    }

    /// Settles salts, ranges, slots, and phases for `targeting`, from what was settled `before`.
    ///
    /// A rule keeps its salt unless its author names another, and then its ranges move as few units as possible; a
    /// rollout in the place of a ramp to a variation begins as if all had that. A new salt or another unit starts
    /// afresh. `elsewhere` is what is in use elsewhere in the environment.
    pub fn settle(
        flag: &FlagKey,
        targeting: &Targeting,
        before: Option<(&Targeting, &Self)>,
        elsewhere: Elsewhere<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let Elsewhere { salts: mut taken, slots, phases, reshuffle } = elsewhere;
        let mut problems = Vec::new();
        let slots = Slots::settle(targeting, before, &slots, &mut problems);
        // Kept salts come first, so that a new rule's name never displaces one.
        for salt in kept_salts(targeting, before, reshuffle) {
            taken.insert(salt);
        }
        take_authored(targeting, &mut taken, &mut problems);
        let mut choose = |authored: Option<&str>, kept: Option<&str>, default: String| match (authored, kept)
        {
            (Some(salt), _) | (None, Some(salt)) => salt.to_owned(),
            (None, None) => {
                let salt = taken.name(default);
                taken.insert(UsedSalt::new(&*salt, Chosen::ByPublisher));
                salt
            }
        };
        let mut rules = BTreeMap::new();
        for bucketing in bucketings(targeting) {
            let earlier = earlier(before, bucketing.rule);
            let (kept_salt, kept_gate) = bucketing.kept(earlier.as_ref(), reshuffle);
            let Bucketing { rule, at, by, salt, rollout, gate, .. } = bucketing;
            let default = Phases::new_salt(targeting, rule, before, &phases);
            let default = default.unwrap_or_else(|| default_salt(flag, rule));
            let ramp =
                gate.map(|gate| choose(gate.salt.as_deref(), kept_gate, format!("{default}.{RAMP_SALT}")));
            let salt = choose(salt, kept_salt, default);
            if gate.is_some_and(|gate| gate.by == *by) && ramp.as_ref() == Some(&salt) {
                let detail = "a ramp and the rollout inside of it need two salts: under one, the ramp reaches one \
                              variation after the other";
                problems.push(Problem::invalid(at.clone(), detail));
            }
            let ranges = rollout.map_or(Ok(Vec::new()), |rollout| {
                let same = earlier.filter(|(earlier, split)| earlier.by == by && split.salt == salt);
                let ranges = same.map_or_else(Vec::new, |(earlier, split)| match earlier.ramped {
                    // A ramp grows from bucket 0 up: as much of its variation as there is to be stays there.
                    Some(variation) => vec![Range { start: 0, end: BUCKETS, variation: variation.clone() }],
                    None => split.ranges.clone(),
                });
                relayout(&ranges, &rollout.parts())
            });
            match ranges {
                Ok(ranges) => {
                    rules.insert(rule.to_owned(), Split { salt, ranges, ramp });
                }
                Err(error) => problems.push(Problem::invalid(at, error.to_string())),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let settled = Self { rules, slots, phases: Phases::default() };
        let phases = Phases::settle((targeting, &settled), before, &phases);
        Ok(Self { phases, ..settled })
    }

    /// The salts that [`Self::settle`] gives `targeting` whatever is taken: those its author names, and those that rules
    /// keep.
    pub fn claimed(targeting: &Targeting, before: Option<(&Targeting, &Self)>) -> Vec<UsedSalt> {
        let authored = authored_salts(targeting).map(|(_, salt)| UsedSalt::new(&*salt, Chosen::ByAuthor));
        authored.chain(kept_salts(targeting, before, None)).collect()
    }

    /// The salts of a flag with these splits.
    pub fn salts(&self, targeting: &Targeting) -> Vec<UsedSalt> {
        let authored = authored_salts(targeting).map(|(_, salt)| UsedSalt::new(&*salt, Chosen::ByAuthor));
        let named =
            bucketings(targeting).filter_map(|bucketing| Some((self.of_rule(bucketing.rule)?, bucketing)));
        let named = named.flat_map(|(split, bucketing)| {
            let own = bucketing.salt.is_none().then_some(&split.salt);
            let gate = split.ramp.as_ref().filter(|_| bucketing.gate.is_some_and(|gate| gate.salt.is_none()));
            own.into_iter().chain(gate)
        });
        authored.chain(named.map(|salt| UsedSalt::new(&**salt, Chosen::ByPublisher))).collect()
    }

    /// The members under which the log keeps it: `splits`, and `slots`, `phases`, `begun` where there are some.
    ///
    /// `splits` is `{"RULE":{"salt":…,"ranges":[[start,end,variation],…],"ramp"?:SALT},…}`.
    pub fn members(&self) -> Vec<(&'static str, Json<'_>)> {
        let Self { rules, slots, phases } = self;
        let splits = Json::object(rules.iter().map(|(rule, split)| {
            let members = [("salt", Json::from(&*split.salt)), ("ranges", split.ranges_json())];
            let ramp = split.ramp.as_deref().map(|salt| ("ramp", Json::from(salt)));
            (rule.as_str(), Json::object(members.into_iter().chain(ramp)))
        }));
        let slots = (!slots.is_empty()).then(|| ("slots", slots.to_json()));
        let last = (!phases.is_empty()).then(|| ("phases", phases.last_json()));
        let begun = (!phases.begun().is_empty()).then(|| ("begun", phases.begun_json()));
        [("splits", splits)].into_iter().chain(slots).chain(last).chain(begun).collect()
    }

    /// Reads those members of what the log keeps; `None` if they are not of that form, or ranges overlap.
    pub fn from_members(json: &Json<'_>) -> Option<Self> {
        let rules = json.member("splits")?.as_object()?.iter();
        let rules = rules.map(|(rule, split)| Some((rule.to_string(), Split::from_json(split)?)));
        Some(Self {
            rules: rules.collect::<Option<_>>()?,
            slots: json.member("slots").map_or_else(|| Some(Slots::default()), Slots::from_json)?,
            phases: Phases::from_json(json.member("phases"), json.member("begun"))?,
        })
    }

    /// Whether every rule of `targeting` that buckets has its split, of exactly its weights, every one in a layer its
    /// slot, and every one that is recorded its phase.
    pub fn fit(&self, targeting: &Targeting) -> bool {
        let in_place = self.slots.fit(targeting) && self.phases.fit(targeting);
        in_place
            && bucketings(targeting).all(|bucketing| {
                self.of_rule(bucketing.rule).is_some_and(|split| {
                    let mut wanted = bucketing.rollout.map(Rollout::parts).unwrap_or_default();
                    wanted.retain(|_, parts| *parts > 0);
                    super::layout::weights(&split.ranges) == wanted
                        && bucketing.salt.is_none_or(|salt| *salt == split.salt)
                        && bucketing.gate.is_some() == split.ramp.is_some()
                        && bucketing
                            .gate
                            .and_then(|gate| gate.salt.as_ref())
                            .is_none_or(|salt| split.ramp.as_ref() == Some(salt))
                })
            })
    }
}

impl Split {
    /// The salt of the rule's ramp, if it has one.
    pub fn ramp_salt(&self) -> &str {
        self.ramp.as_deref().unwrap_or(&self.salt)
    }

    /// The ranges as the wire has them.
    pub(super) fn ranges_json(&self) -> Json<'_> {
        self.ranges
            .iter()
            .map(|range| {
                Json::Array(vec![
                    Json::from(range.start),
                    Json::from(range.end),
                    Json::from(range.variation.as_str()),
                ])
            })
            .collect()
    }

    fn from_json(json: &Json<'_>) -> Option<Self> {
        let natural = |json: &Json<'_>| json.as_integer().and_then(|number| u64::try_from(number).ok());
        let salt = json.member("salt")?.as_str()?.to_owned();
        let ramp = match json.member("ramp") {
            None => None,
            Some(ramp) => Some(ramp.as_str()?.to_owned()),
        };
        let mut ranges: Vec<Range> = Vec::new();
        for range in json.member("ranges")?.as_array()? {
            let [start, end, variation] = range.as_array()? else { return None };
            let variation = VariationKey::parse(variation.as_str()?).ok()?;
            let range = Range { start: natural(start)?, end: natural(end)?, variation };
            let free_from = ranges.last().map_or(0, |range| range.end);
            if range.start < free_from || range.start >= range.end || range.end > BUCKETS {
                return None;
            }
            ranges.push(range);
        }
        (ranges.len() <= MAX_RANGES).then_some(Self { salt, ranges, ramp })
    }
}

/// The salts an author wrote, and those that layers and holdouts have by their names.
fn authored_salts(targeting: &Targeting) -> impl Iterator<Item = (String, Cow<'_, str>)> {
    let written = targeting.mentions().into_iter().filter_map(|mention| match mention.of {
        Mentioned::Salt(salt) => Some((mention.pointer, Cow::Borrowed(salt))),
        _ => None,
    });
    let holdouts = targeting.holdouts.iter().enumerate().map(|(index, holdout)| {
        (pointer(["holdouts", &index.to_string(), "name"]), Cow::Borrowed(holdout.name.as_str()))
    });
    let layers = targeting.rules.iter().enumerate().filter_map(|(index, rule)| {
        let salt = Cow::Owned(rule.layer.as_ref()?.salt());
        Some((pointer(["rules", &index.to_string(), "layer", "name"]), salt))
    });
    written.chain(holdouts).chain(layers)
}

/// Takes the salts an author wrote, refusing those that collide.
fn take_authored(targeting: &Targeting, taken: &mut Salts<'_>, problems: &mut Vec<Problem>) {
    for (pointer, salt) in authored_salts(targeting) {
        take(&salt, pointer, taken, problems);
    }
}

/// Takes one salt, or says that it has the seed of another.
pub(crate) fn take(salt: &str, pointer: String, taken: &mut Salts<'_>, problems: &mut Vec<Problem>) {
    match taken.collision(salt) {
        Some(other) => problems.push(Problem::new(
            code::SALT_COLLISION,
            pointer,
            format!("this salt hashes to the seed of the salt `{other}`; choose another"),
        )),
        None => taken.insert(UsedSalt::new(salt, Chosen::ByAuthor)),
    }
}
