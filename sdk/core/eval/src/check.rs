//! Expected evaluations that travel with the flags (FORMAT M-1.8).

use std::collections::BTreeMap;
use std::sync::Arc;

use flagstone_model::context::Context;
use flagstone_model::details::Reason;
use flagstone_model::instant::Instant;

use crate::evaluate::Details;
use crate::flag::Entity;
use crate::links::Links;
use crate::snapshot::Snapshot;
use crate::table::{Keyed, Table};

/// A `check` line.
#[derive(Debug)]
pub(crate) struct Check {
    /// The flag's key, `/`, and a number.
    pub(crate) key: Arc<str>,
    pub(crate) at: Instant,
    pub(crate) context: Context,
    pub(crate) expect: Outcome,
}

/// What a `check` line comes to.
#[derive(Debug)]
pub(crate) struct CheckLine {
    pub(crate) key: Arc<str>,
    pub(crate) flag: Arc<str>,
    /// `None`: there is none to run, for the line cannot be read, or is taken out.
    pub(crate) check: Option<Check>,
}

impl CheckLine {
    pub(crate) fn gone(key: &str) -> Self {
        Self { key: key.into(), flag: flag_of(key).into(), check: None }
    }
}

/// The key of the flag that a check is of, from the check's own.
pub(crate) fn flag_of(check: &str) -> &str {
    check.rsplit_once('/').map_or(check, |(flag, _)| flag)
}

/// The checks of one flag, in the order of their keys.
#[derive(Debug, Clone)]
pub(crate) struct Checks {
    pub(crate) flag: Arc<str>,
    pub(crate) checks: Vec<Arc<Check>>,
}

impl Keyed for Checks {
    fn key(&self) -> &str {
        &self.flag
    }
}

/// Checks to put in and to take out, by their flags; of lines with one key the last counts.
#[derive(Debug, Default)]
pub(crate) struct CheckLines(BTreeMap<Arc<str>, Vec<CheckLine>>);

impl CheckLines {
    pub(crate) fn note(&mut self, line: CheckLine) {
        self.0.entry(Arc::clone(&line.flag)).or_default().push(line);
    }

    /// A table with these changes: the checks of a flag are put together once, however many there are.
    pub(crate) fn put_into(self, mut table: Table<Checks>) -> Table<Checks> {
        for (flag, lines) in self.0 {
            let before = table.find(&flag).into_iter().flat_map(|of_flag| &of_flag.checks);
            let mut checks: BTreeMap<Arc<str>, Arc<Check>> =
                before.map(|check| (check.key.clone(), Arc::clone(check))).collect();
            for CheckLine { key, check, .. } in lines {
                match check {
                    Some(check) => checks.insert(key, Arc::new(check)),
                    None => checks.remove(&key),
                };
            }
            if checks.is_empty() {
                table.remove(&flag);
            } else {
                table.insert(Arc::new(Checks { flag, checks: checks.into_values().collect() }));
            }
        }
        table
    }
}

/// What a check expects, or has got; members that are absent are absent in the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The variation served.
    pub variation: Option<Arc<str>>,
    /// Why.
    pub reason: Reason,
    /// The rule that decided, or that could not be decided.
    pub rule: Option<Arc<str>>,
}

/// A check whose evaluation came to something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCheck {
    /// The check's key.
    pub check: Arc<str>,
    /// The flag's key.
    pub flag: Arc<str>,
    /// What the check expects.
    pub expected: Outcome,
    /// What the evaluation came to.
    pub actual: Outcome,
}

impl FailedCheck {
    /// The stable code of this failure.
    pub const CODE: &'static str = "check-failed";
}

impl Outcome {
    fn of(details: &Details<'_>) -> Self {
        Self { variation: details.variation.cloned(), reason: details.reason, rule: details.rule.cloned() }
    }

    fn is(&self, details: &Details<'_>) -> bool {
        self.variation.as_ref() == details.variation
            && self.reason == details.reason
            && self.rule.as_ref() == details.rule
    }
}

impl Snapshot {
    /// Runs the checks of these flags, and gives those that fail, in the order of the flags and then of the checks' keys.
    ///
    /// A check that cannot be read is not run: it stands in the [`Report`](crate::Report) of its line.
    pub fn failed_checks<'f>(&self, flags: impl IntoIterator<Item = &'f Arc<str>>) -> Vec<FailedCheck> {
        let checks = flags.into_iter().filter_map(|flag| self.checks.find(flag));
        let run =
            checks.flat_map(|of_flag| of_flag.checks.iter().map(|check| self.run(&of_flag.flag, check)));
        run.flatten().collect()
    }

    /// The same of all flags, in the order of the checks' keys.
    pub fn all_failed_checks(&self) -> Vec<FailedCheck> {
        let mut flags: Vec<_> = self.checks.iter().map(|of_flag| &of_flag.flag).collect();
        flags.sort_unstable();
        self.failed_checks(flags)
    }

    /// How many checks there are to run.
    pub fn check_count(&self) -> usize {
        self.checks.iter().map(|of_flag| of_flag.checks.len()).sum()
    }

    fn run(&self, flag: &Arc<str>, check: &Check) -> Option<FailedCheck> {
        let details = self.evaluate(flag, None, &check.context, check.at);
        (!check.expect.is(&details)).then(|| FailedCheck {
            check: check.key.clone(),
            flag: flag.clone(),
            expected: check.expect.clone(),
            actual: Outcome::of(&details),
        })
    }

    /// This snapshot with these flags as they were in `previous`. What was not there stays as it is here, and what is
    /// not here any more stays gone.
    ///
    /// For flags whose checks fail: their lines alone are held back. What they refer to is that of this snapshot, and
    /// what refers to them is not held.
    #[must_use]
    pub fn holding_back<'f>(&self, previous: &Self, flags: impl IntoIterator<Item = &'f Arc<str>>) -> Self {
        let mut next = self.clone();
        let mut edges = None;
        for key in flags {
            let (Some(flag), Some(_)) = (previous.flags.find(key), self.flags.find(key)) else { continue };
            let replaced = next.flags.insert(Arc::clone(flag));
            if replaced.is_none_or(|replaced| replaced.references != flag.references) {
                let edges = edges.get_or_insert_with(|| self.links.edges().clone());
                let entity = Entity::Flag(flag.key.clone());
                if flag.references.is_empty() {
                    edges.remove(&entity);
                } else {
                    edges.insert(entity, Arc::from(&*flag.references));
                }
            }
        }
        if let Some(edges) = edges {
            next.links = Arc::new(Links::new(edges));
        }
        next
    }
}
