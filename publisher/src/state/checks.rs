//! Checks of an environment: those its authors wrote, and those that are made for them (FORMAT M-1.8, P8).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flagstone_model::details::Reason;
use flagstone_model::key::{EnvironmentId, FlagKey};

use super::State;
use super::entity::{EnvironmentState, FlagInEnvironment, Reference};
use super::reach::Reach;
use crate::author;
use crate::check::{Check, Outcome, Reached, published};

/// What was made of a flag's checks, and from which lines.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// Whether its own line has a test on which languages could disagree.
    is_delicate: OnceLock<bool>,
    made: Mutex<Option<Made>>,
}

impl Clone for Remembered {
    fn clone(&self) -> Self {
        Self { is_delicate: self.is_delicate.clone(), made: Mutex::new(self.made().clone()) }
    }
}

#[derive(Debug, Clone)]
struct Made {
    from: Reach,
    checks: Arc<[Numbered]>,
}

/// A check that holds, under its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbered {
    /// Its number: from 1, those of the author first.
    pub number: usize,
    /// The check.
    pub check: Check,
    /// Its line.
    pub line: Arc<str>,
}

/// Lines of checks, in no order.
#[derive(Debug, Default)]
pub(super) struct CheckLines {
    /// Those that authors wrote.
    pub(super) written: Vec<Arc<str>>,
    /// Those that were made for the environment.
    pub(super) made: Vec<Arc<str>>,
}

/// A check that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) environment: EnvironmentId,
    pub(super) flag: FlagKey,
    /// Its place among the author's, from 0.
    pub(super) index: usize,
    /// What was expected, and what came instead.
    pub(super) detail: String,
    /// Whether it held or rested before, or was not there.
    pub(super) is_new: bool,
}

impl Remembered {
    fn made(&self) -> std::sync::MutexGuard<'_, Option<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a line has, or seems to have, a test on which languages could disagree.
pub(super) fn seems_delicate(line: &str) -> bool {
    let tests = [
        r#""semver":""#,
        r#""matches":""#,
        r#""cidr":["#,
        r#""since":""#,
        r#""before":""#,
        r#""fold":""#,
        r#""hashed":{"#,
    ];
    tests.iter().any(|test| line.contains(test))
}

impl EnvironmentState {
    /// The checks of a flag that hold and are published: its author's, and at most two that are generated.
    pub fn checks(&self, key: &FlagKey) -> Arc<[Numbered]> {
        let Some(flag) = self.live_flag(key.as_str()) else { return Arc::default() };
        let from = self.reach(key.as_str());
        if let Some(made) = flag.checks.made().as_ref().filter(|made| made.from.is_same(&from)) {
            return Arc::clone(&made.checks);
        }
        let checks: Arc<[Numbered]> = make(key, flag, &from).into();
        *flag.checks.made() = Some(Made { from, checks: Arc::clone(&checks) });
        checks
    }

    /// The lines of all checks that could be published.
    pub(super) fn check_lines(&self) -> CheckLines {
        let delicate = self.delicate_segments();
        let mut lines = CheckLines::default();
        for (key, flag) in self.live_flags() {
            let written = flag.targeting.authored.checks.len();
            if written == 0 && !flag.is_delicate(&delicate) {
                continue;
            }
            for Numbered { number, line, .. } in &*self.checks(key) {
                let lines = if *number <= written { &mut lines.written } else { &mut lines.made };
                lines.push(Arc::clone(line));
            }
        }
        lines
    }

    /// The segments that have a test on which languages could disagree, or name one that has.
    fn delicate_segments(&self) -> HashSet<&str> {
        let own = self.live_segments().filter(|(key, segment)| {
            *segment.is_delicate.get_or_init(|| segment.line(key).is_some_and(|line| seems_delicate(line)))
        });
        let mut delicate: HashSet<&str> = own.map(|(key, _)| key.as_str()).collect();
        loop {
            let before = delicate.len();
            for (key, segment) in self.live_segments() {
                if names_one(&segment.references, &delicate) {
                    delicate.insert(key.as_str());
                }
            }
            if delicate.len() == before {
                return delicate;
            }
        }
    }
}

impl FlagInEnvironment {
    /// The lines of all checks of its author as they would be if they held.
    pub(super) fn written_checks<'f>(&'f self, key: &'f FlagKey) -> impl Iterator<Item = String> + 'f {
        self.targeting.authored.checks.iter().zip(1..).map(|(check, number)| {
            let author::Check { at, context, expect } = check;
            let outcome = Outcome {
                variation: expect.variation.iter().flatten().map(ToString::to_string).next(),
                reason: expect.reason.unwrap_or(Reason::TargetingMatch),
                rule: expect.rule.clone().flatten(),
            };
            Check { at: at.at(), context: context.clone(), outcome }.line(key.as_str(), number)
        })
    }

    fn is_delicate(&self, segments: &HashSet<&str>) -> bool {
        *self.checks.is_delicate.get_or_init(|| seems_delicate(self.line()))
            || names_one(&self.targeting.references, segments)
    }
}

fn names_one(references: &[Reference], segments: &HashSet<&str>) -> bool {
    let named = |reference: &Reference| matches!(reference, Reference::Segment(key) if segments.contains(key.as_str()));
    !segments.is_empty() && references.iter().any(named)
}

/// Runs and makes the checks of a flag.
fn make(key: &FlagKey, flag: &FlagInEnvironment, from: &Reach) -> Vec<Numbered> {
    let Some(reached) = Reached::of(key.as_str(), |entity| from.line(entity).map(|line| line.as_bytes()))
    else {
        return Vec::new();
    };
    let authored = &flag.targeting.authored.checks;
    let own = authored.iter().zip(1..).filter_map(|(check, number)| {
        let outcome = reached.evaluate(&check.context, check.at.at())?;
        // A list may decide, which an SDK has and this has not.
        if outcome.reason == Reason::Unknown {
            return None;
        }
        if !check.expect.is_met(&outcome) {
            if !reached.is_at_rest() {
                tracing::warn!(flag = %key, number, "a check does not hold and is left out");
            }
            return None;
        }
        Some((number, Check { at: check.at.at(), context: check.context.clone(), outcome }))
    });
    let generated = (authored.len().saturating_add(1)..).zip(published(&reached));
    let all = own.chain(generated);
    all.map(|(number, check)| Numbered { number, line: check.line(key.as_str(), number).into(), check })
        .collect()
}

impl State {
    /// The checks of authors that do not hold, of flags whose answers or checks are others than in the state `before`.
    ///
    /// A check rests while its flag is off, or one that it depends on: switching off never waits for anybody.
    pub(super) fn failures(&self, before: &Self) -> Vec<Failure> {
        let mut failures = Vec::new();
        for (id, environment) in self.environments() {
            let then = before.environment(id.as_str());
            if then.is_some_and(|then| Arc::ptr_eq(then, environment)) {
                continue;
            }
            for (key, flag) in environment.live_flags() {
                let checks = &flag.targeting.authored.checks;
                if checks.is_empty() {
                    continue;
                }
                let reach = environment.reach(key.as_str());
                if then.is_some_and(|then| {
                    then.reach(key.as_str()).is_same(&reach) && then.has_checks_of(key, flag)
                }) {
                    continue;
                }
                let failed = failed_of(key, checks, &reach);
                if failed.is_empty() {
                    continue;
                }
                let earlier = then.and_then(|then| {
                    let checks = &then.live_flag(key.as_str())?.targeting.authored.checks;
                    let failed = failed_of(key, checks, &then.reach(key.as_str()));
                    Some(failed.into_iter().filter_map(|(index, _)| checks.get(index)).collect::<Vec<_>>())
                });
                let earlier = earlier.unwrap_or_default();
                failures.extend(failed.into_iter().map(|(index, outcome)| {
                    let check = checks.get(index);
                    let expected = check.map(|check| check.expect.in_words()).unwrap_or_default();
                    Failure {
                        environment: id.clone(),
                        flag: key.clone(),
                        index,
                        detail: format!("expected {expected}; came {outcome}"),
                        is_new: check.is_none_or(|check| !earlier.contains(&check)),
                    }
                }));
            }
        }
        failures
    }
}

/// The checks of a flag that do not hold, each by its place, with what came; none while it rests.
fn failed_of(key: &FlagKey, checks: &[author::Check], reach: &Reach) -> Vec<(usize, Outcome)> {
    let line = |entity: &_| reach.line(entity).map(|line| line.as_bytes());
    let reached = Reached::of(key.as_str(), line).filter(|reached| !reached.is_at_rest());
    let Some(reached) = reached else { return Vec::new() };
    let outcome = |(index, check): (usize, &author::Check)| {
        let outcome = reached.evaluate(&check.context, check.at.at())?;
        (!check.expect.is_met(&outcome)).then_some((index, outcome))
    };
    checks.iter().enumerate().filter_map(outcome).collect()
}

impl EnvironmentState {
    fn has_checks_of(&self, key: &FlagKey, flag: &FlagInEnvironment) -> bool {
        let present = self.live_flag(key.as_str());
        present.is_some_and(|present| present.targeting.authored.checks == flag.targeting.authored.checks)
    }
}
