//! Checks of an environment: those its authors wrote, and those that are made for them (FORMAT M-1.8, P8).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flagstone_model::details::Reason;
use flagstone_model::key::{EnvironmentId, FlagKey};
use flagstone_model::limits::MAX_LINES;

use super::State;
use super::entity::{EnvironmentState, FlagInEnvironment, Reference};
use super::reach::Reach;
use crate::check::{Check, Reached, published};

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

/// A check that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) environment: EnvironmentId,
    pub(super) flag: FlagKey,
    /// Its place among the author's, from 0.
    pub(super) index: usize,
    /// What was expected, and what came instead.
    pub(super) detail: String,
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

    /// The lines of all checks that are published, in no order, at most so many that the environment has not too many.
    pub(super) fn check_lines(&self) -> Vec<Arc<str>> {
        let others = self.entity_count();
        let delicate = self.delicate_segments();
        let mut lines = Vec::new();
        for (key, flag) in self.live_flags() {
            if flag.targeting.authored.checks.is_empty() && !flag.is_delicate(&delicate) {
                continue;
            }
            lines.extend(self.checks(key).iter().map(|numbered| Arc::clone(&numbered.line)));
        }
        lines.truncate(MAX_LINES.saturating_sub(others).saturating_sub(1));
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

    /// How many flags, segments, and lists it has.
    fn entity_count(&self) -> usize {
        let all = [self.live_flags().count(), self.live_segments().count(), self.live_lists().count()];
        all.into_iter().fold(0, usize::saturating_add)
    }

    /// How many lines it has, the generated checks aside.
    fn line_count(&self) -> usize {
        let checks = self.live_flags().map(|(_, flag)| flag.targeting.authored.checks.len());
        let others = self.entity_count();
        checks.sum::<usize>().saturating_add(others).saturating_add(1)
    }
}

impl FlagInEnvironment {
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
    /// The checks of authors that held, or rested, in the state `before` and do not hold any more, and environments that
    /// would have too many lines because of them.
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
                let line = |entity: &_| reach.line(entity).map(|line| line.as_bytes());
                let Some(reached) = Reached::of(key.as_str(), line).filter(|reached| !reached.is_at_rest())
                else {
                    continue;
                };
                for (index, check) in checks.iter().enumerate() {
                    let Some(outcome) = reached.evaluate(&check.context, check.at.at()) else { continue };
                    if !check.expect.is_met(&outcome) {
                        let detail = format!("expected {}; came {outcome}", check.expect.in_words());
                        let (environment, flag) = (id.clone(), key.clone());
                        failures.push(Failure { environment, flag, index, detail });
                    }
                }
            }
        }
        failures
    }

    /// An environment that has too many lines with the checks of its authors, and had not before.
    pub(super) fn overfull(&self, before: &Self) -> Option<&EnvironmentId> {
        let count = |environment: &Arc<EnvironmentState>| environment.line_count();
        let mut environments = self.environments().filter(|(id, environment)| {
            let then = before.environment(id.as_str());
            !then.is_some_and(|then| Arc::ptr_eq(then, environment))
                && count(environment) > MAX_LINES
                && then.is_none_or(|then| count(then) < count(environment))
        });
        environments.next().map(|(id, _)| id)
    }
}

impl EnvironmentState {
    fn has_checks_of(&self, key: &FlagKey, flag: &FlagInEnvironment) -> bool {
        let present = self.live_flag(key.as_str());
        present.is_some_and(|present| present.targeting.authored.checks == flag.targeting.authored.checks)
    }
}
