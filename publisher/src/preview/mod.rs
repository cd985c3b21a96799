//! What a change would do to those who are served: a pure function of an environment before and after it.
//!
//! [`compare`] evaluates both over given contexts; [`sample`](mod@sample) makes contexts where none are given;
//! [`share`](mod@share) reads from the ranges of a split exactly how many move.

pub mod sample;
pub mod share;

use std::collections::BTreeSet;
use std::sync::Arc;

use flagstone_eval::{Details, Entity, Snapshot};
use flagstone_model::context::{Attribute, Context};
use flagstone_model::details::{ErrorCode, Reason};
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use crate::author::value_json;
use crate::state::EnvironmentState;
use share::Share;

/// Most contexts that one preview looks at.
pub const MAX_CONTEXTS: usize = 10_000;
/// Most evaluations before, and as many after: contexts times flags that the change reaches.
pub const MAX_EVALUATIONS: usize = 2_000_000;
/// Most contexts that are named for each flag of those that move.
pub const MAX_TOLD_OF_FLAG: usize = 100;
/// Most contexts that are named in all.
pub const MAX_TOLD: usize = 1_000;

/// An environment and its compiled lines.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// What is in it.
    pub environment: &'a EnvironmentState,
    /// The same, compiled.
    pub snapshot: &'a Snapshot,
}

/// What becomes of one flag that a change reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagMoves {
    /// Its key.
    pub flag: Box<str>,
    /// How many contexts are served something else.
    pub moved: usize,
    /// How many are served the same by another rule or for another reason.
    pub otherwise: usize,
    /// Those that move, by what they were and are served; the largest first.
    pub groups: Vec<Group>,
    /// The first that move.
    pub units: Vec<Moved>,
    /// The exact share that moves, where nothing but shares changes.
    pub share: Option<Share>,
}

/// Contexts that move alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What they are served now.
    pub from: Served,
    /// What they would be served.
    pub to: Served,
    /// How many they are.
    pub contexts: usize,
}

/// What is served, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The variation; `None` is the default value in the caller's code.
    pub variation: Option<Arc<str>>,
    /// Its value.
    pub value: Option<Json<'static>>,
    /// Why.
    pub reason: Reason,
    /// What is wrong, where something is: a flag that is not there is `FLAG_NOT_FOUND`.
    pub error_code: Option<ErrorCode>,
    /// The rule that decided.
    pub rule: Option<Arc<str>>,
}

/// A context that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Its place among the contexts.
    pub index: usize,
    /// Its place among the groups.
    pub group: usize,
}

/// What a change does to the flags it reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Moves {
    /// How many contexts are served something else by at least one flag.
    pub moved: usize,
    /// Each flag that the change reaches, by key.
    pub flags: Vec<FlagMoves>,
}

/// The flags whose answers may differ: their own line, or one that they reach, is another.
pub fn reached(before: &EnvironmentState, after: &EnvironmentState) -> Vec<Box<str>> {
    let flags = before.live_flags().chain(after.live_flags());
    let keys: BTreeSet<&str> = flags.map(|(key, _)| key.as_str()).collect();
    let differs = |key: &&str| before.reach(key) != after.reach(key);
    keys.into_iter().filter(differs).map(Box::from).collect()
}

/// Evaluates `flags` for each context before and after, at one time, and counts who moves.
pub fn compare(
    before: Side<'_>,
    after: Side<'_>,
    flags: &[Box<str>],
    contexts: &[Context],
    at: Instant,
) -> Moves {
    let mut has_moved = vec![false; contexts.len()];
    let mut told = MAX_TOLD;
    let flags = flags.iter().map(|key| {
        let mut tally = Tally::default();
        for (index, (context, has_moved)) in contexts.iter().zip(&mut has_moved).enumerate() {
            let from = before.snapshot.evaluate(key, None, context, at);
            let to = after.snapshot.evaluate(key, None, context, at);
            *has_moved |= tally.count(from, to, index, told);
        }
        let share = lines(before, after, key).and_then(|(from, to)| share::of(from, to, at));
        let of_flag = tally.finish(key, share);
        told = told.saturating_sub(of_flag.units.len());
        of_flag
    });
    let flags = flags.collect();
    Moves { moved: has_moved.into_iter().filter(|moved| *moved).count(), flags }
}

/// A flag's line before and after, if it is there both times and all that it asks for elsewhere is the same.
fn lines<'a>(before: Side<'a>, after: Side<'a>, key: &str) -> Option<(&'a str, &'a str)> {
    let (from, to) = (before.environment.live_flag(key)?, after.environment.live_flag(key)?);
    let elsewhere = |side: Side<'_>| {
        let mut reach = side.environment.reach(key);
        reach.lines.remove(&Entity::Flag(key.into()));
        reach
    };
    (elsewhere(before) == elsewhere(after)).then_some((from.line(), to.line()))
}

/// How a decision is told apart from others of the same flag.
type Decision<'s> = (Option<&'s str>, Reason, Option<ErrorCode>, Option<&'s str>);

#[derive(Default)]
struct Tally<'s> {
    groups: Vec<(Details<'s>, Details<'s>, usize)>,
    units: Vec<Moved>,
    moved: usize,
    otherwise: usize,
}

impl<'s> Tally<'s> {
    /// Counts one context; whether it moves.
    fn count(&mut self, from: Details<'s>, to: Details<'s>, index: usize, told: usize) -> bool {
        let (was, is) = (decision(&from), decision(&to));
        if was.0 == is.0 && from.value == to.value {
            self.otherwise = self.otherwise.saturating_add(usize::from(was != is));
            return false;
        }
        self.moved = self.moved.saturating_add(1);
        let known = self.groups.iter().position(|(from, to, _)| (decision(from), decision(to)) == (was, is));
        let group = known.unwrap_or(self.groups.len());
        match self.groups.get_mut(group) {
            Some((_, _, contexts)) => *contexts = contexts.saturating_add(1),
            None => self.groups.push((from, to, 1)),
        }
        if self.units.len() < MAX_TOLD_OF_FLAG.min(told) {
            self.units.push(Moved { index, group });
        }
        true
    }

    fn finish(self, key: &str, share: Option<Share>) -> FlagMoves {
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        let size = |place: &usize| self.groups.get(*place).map_or(0, |(_, _, contexts)| *contexts);
        order.sort_by_key(|place| std::cmp::Reverse(size(place)));
        let place_of = |group: usize| order.iter().position(|place| *place == group).unwrap_or(group);
        let units = self.units.iter().map(|unit| Moved { group: place_of(unit.group), ..*unit }).collect();
        let groups = order
            .iter()
            .filter_map(|place| self.groups.get(*place))
            .map(|(from, to, contexts)| Group { from: served(from), to: served(to), contexts: *contexts });
        let groups = groups.collect();
        FlagMoves { flag: key.into(), moved: self.moved, otherwise: self.otherwise, groups, units, share }
    }
}

fn decision<'s>(details: &Details<'s>) -> Decision<'s> {
    let text = |text: Option<&'s Arc<str>>| text.map(|text| &**text);
    (text(details.variation), details.reason, details.error_code, text(details.rule))
}

fn served(details: &Details<'_>) -> Served {
    Served {
        variation: details.variation.cloned(),
        value: details.value.map(|value| value_json(value).into_owned()),
        reason: details.reason,
        error_code: details.error_code,
        rule: details.rule.cloned(),
    }
}

impl Served {
    /// `{value?, variation?, reason, error_code?, rule?}`, as details are told.
    pub fn to_json(&self) -> Json<'static> {
        let text = |text: &Option<Arc<str>>| text.as_ref().map(|text| Json::from(text.to_string()));
        let members = [
            ("value", self.value.clone()),
            ("variation", text(&self.variation)),
            ("reason", Some(Json::from(self.reason.as_str()))),
            ("error_code", self.error_code.map(|code| Json::from(code.as_str()))),
            ("rule", text(&self.rule)),
        ];
        Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }
}

/// The targeting key of a context, as its caller gave it; none if it has none that is text or a number.
pub fn targeting_key<'c, 'j>(context: &'c Json<'j>) -> Option<&'c Json<'j>> {
    let key = context.member(Context::TARGETING_KEY)?;
    Attribute::from_json(key).as_unit().map(|_| key)
}
