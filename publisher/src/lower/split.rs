//! Splits: salts and ranges, settled when a change is written and kept in its log entry.

use std::collections::BTreeMap;

use flagstone_model::json::Json;
use flagstone_model::key::{FlagKey, VariationKey};
use flagstone_model::limits::{BUCKETS, MAX_RANGES};

use super::layout::{Range, relayout};
use super::salt::{Chosen, Salts, UsedSalt, default_salt};
use crate::author::{
    By, Fallthrough, Mentioned, Problem, ROLLOUT_RULE, Rollout, Targeting, Then, code, pointer,
};

/// What the publisher settled for one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// What separates its buckets from others.
    pub salt: String,
    /// Who gets what; empty for a ramp, which has none.
    pub ranges: Vec<Range>,
}

/// What the publisher settled for the rules of a flag, by rule id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Splits(BTreeMap<String, Split>);

/// A rule of a targeting that buckets.
struct Bucketing<'a> {
    rule: &'a str,
    at: String,
    by: &'a By,
    salt: Option<&'a str>,
    rollout: Option<&'a Rollout>,
}

fn bucketings(targeting: &Targeting) -> impl Iterator<Item = Bucketing<'_>> {
    let of_rules = targeting.rules.iter().enumerate().filter_map(|(index, rule)| {
        let (member, by, salt, rollout) = match &rule.then {
            Then::Serve(_) => return None,
            Then::Rollout(rollout) => ("rollout", &rollout.by, &rollout.salt, Some(rollout)),
            Then::Ramp(ramp) => ("ramp", &ramp.by, &ramp.salt, None),
        };
        let at = pointer(["rules", &index.to_string(), member]);
        Some(Bucketing { rule: rule.id.as_str(), at, by, salt: salt.as_deref(), rollout })
    });
    let of_fallthrough = targeting.fallthrough.iter().filter_map(|fallthrough| match fallthrough {
        Fallthrough::Serve(_) => None,
        Fallthrough::Rollout { rollout, .. } => Some(Bucketing {
            rule: ROLLOUT_RULE,
            at: pointer(["fallthrough", "rollout"]),
            by: &rollout.by,
            salt: rollout.salt.as_deref(),
            rollout: Some(rollout),
        }),
    });
    of_rules.chain(of_fallthrough)
}

impl Splits {
    /// What was settled for a rule.
    pub fn of_rule(&self, rule: &str) -> Option<&Split> {
        self.0.get(rule)
    }

    /// Settles salts and ranges for `targeting`, from what was settled `before`.
    ///
    /// A rule keeps its salt unless its author names another, and then its ranges move as few units as possible. A
    /// new salt or another unit starts afresh. `taken` are the salts in use elsewhere in the environment.
    pub fn settle(
        flag: &FlagKey,
        targeting: &Targeting,
        before: Option<(&Targeting, &Self)>,
        mut taken: Salts<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let kept = |rule: &str| {
            let (targeting, splits) = before?;
            let by = bucketings(targeting).find(|bucketing| bucketing.rule == rule)?.by;
            Some((by, splits.of_rule(rule)?))
        };
        // Kept salts come first, so that a new rule's name never displaces one.
        for bucketing in bucketings(targeting).filter(|bucketing| bucketing.salt.is_none()) {
            if let Some((_, split)) = kept(bucketing.rule) {
                taken.insert(UsedSalt::new(&*split.salt, Chosen::ByPublisher));
            }
        }
        take_authored(targeting, &mut taken, &mut problems);
        let mut splits = BTreeMap::new();
        for Bucketing { rule, at, by, salt, rollout } in bucketings(targeting) {
            let kept = kept(rule);
            let salt = match (salt, kept) {
                (Some(salt), _) => salt.to_owned(),
                (None, Some((_, split))) => split.salt.clone(),
                (None, None) => {
                    let salt = taken.name(default_salt(flag, rule));
                    taken.insert(UsedSalt::new(&*salt, Chosen::ByPublisher));
                    salt
                }
            };
            let ranges = rollout.map_or(Ok(Vec::new()), |rollout| {
                let same = kept.filter(|(kept_by, split)| *kept_by == by && split.salt == salt);
                relayout(same.map_or(&[], |(_, split)| &split.ranges), &rollout.parts())
            });
            match ranges {
                Ok(ranges) => {
                    splits.insert(rule.to_owned(), Split { salt, ranges });
                }
                Err(error) => problems.push(Problem::invalid(at, error.to_string())),
            }
        }
        if problems.is_empty() { Ok(Self(splits)) } else { Err(problems) }
    }

    /// The salts that [`Self::settle`] gives `targeting` whatever is taken: those its author names, and those that rules
    /// keep.
    pub fn claimed(targeting: &Targeting, before: Option<(&Targeting, &Self)>) -> Vec<UsedSalt> {
        let authored = authored_salts(targeting).map(|(_, salt)| UsedSalt::new(salt, Chosen::ByAuthor));
        let kept =
            bucketings(targeting).filter(|bucketing| bucketing.salt.is_none()).filter_map(|bucketing| {
                let (targeting, splits) = before?;
                bucketings(targeting).find(|earlier| earlier.rule == bucketing.rule)?;
                Some(UsedSalt::new(&*splits.of_rule(bucketing.rule)?.salt, Chosen::ByPublisher))
            });
        authored.chain(kept).collect()
    }

    /// The salts of a flag with these splits.
    pub fn salts(&self, targeting: &Targeting) -> Vec<UsedSalt> {
        let authored = authored_salts(targeting).map(|(_, salt)| UsedSalt::new(salt, Chosen::ByAuthor));
        let named = bucketings(targeting)
            .filter(|bucketing| bucketing.salt.is_none())
            .filter_map(|bucketing| self.of_rule(bucketing.rule))
            .map(|split| UsedSalt::new(&*split.salt, Chosen::ByPublisher));
        authored.chain(named).collect()
    }

    /// As the log keeps it: `{"RULE":{"salt":…,"ranges":[[start,end,variation],…]},…}`.
    pub fn to_json(&self) -> Json<'_> {
        Json::object(self.0.iter().map(|(rule, split)| {
            let members = [("salt", Json::from(&*split.salt)), ("ranges", split.ranges_json())];
            (rule.as_str(), Json::object(members))
        }))
    }

    /// Reads what the log keeps; `None` if it is not of that form, or ranges overlap.
    pub fn from_json(json: &Json<'_>) -> Option<Self> {
        json.as_object()?
            .iter()
            .map(|(rule, split)| Some((rule.to_string(), Split::from_json(split)?)))
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Whether every rule of `targeting` that buckets has its split, of exactly its weights.
    pub fn fit(&self, targeting: &Targeting) -> bool {
        bucketings(targeting).all(|bucketing| {
            self.of_rule(bucketing.rule).is_some_and(|split| {
                let mut wanted = bucketing.rollout.map(Rollout::parts).unwrap_or_default();
                wanted.retain(|_, parts| *parts > 0);
                super::layout::weights(&split.ranges) == wanted
                    && bucketing.salt.is_none_or(|salt| *salt == split.salt)
            })
        })
    }
}

impl Split {
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
        (ranges.len() <= MAX_RANGES).then_some(Self { salt, ranges })
    }
}

fn authored_salts(targeting: &Targeting) -> impl Iterator<Item = (String, &str)> {
    targeting.mentions().into_iter().filter_map(|mention| match mention.of {
        Mentioned::Salt(salt) => Some((mention.pointer, salt)),
        _ => None,
    })
}

/// Takes the salts an author wrote, refusing those that collide.
fn take_authored(targeting: &Targeting, taken: &mut Salts<'_>, problems: &mut Vec<Problem>) {
    for (pointer, salt) in authored_salts(targeting) {
        take(salt, pointer, taken, problems);
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
