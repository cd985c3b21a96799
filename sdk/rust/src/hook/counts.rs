//! Evaluations by flag, variation, and reason.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use flagstone_model::details::Reason;

use super::{Evaluation, Hook};

/// Most combinations of flag, variation, and reason that are counted apart; further ones are counted as one.
pub const MAX_COUNTED: usize = 10_000;

/// A [`Hook`] that counts evaluations by flag, variation, and reason, for a metrics endpoint to read.
///
/// Clones share the counts. Counting never waits: while another thread adds a combination that is new, evaluations go to
/// [`uncounted`](Self::uncounted).
///
/// ```
/// use flagstone::{Context, EvaluationCounts, TestData};
///
/// let counts = EvaluationCounts::new();
/// let client = TestData::new().flag("new-checkout", true).builder().hook(counts.clone()).build()?;
/// client.is_enabled("new-checkout", &Context::new());
/// client.is_enabled("new-checkout", &Context::new());
///
/// let counted = &counts.read()[0];
/// assert_eq!((&*counted.flag, counted.variation.as_deref(), counted.count), ("new-checkout", Some("on"), 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct EvaluationCounts {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    table: RwLock<Table>,
    others: AtomicU64,
    uncounted: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    by_flag: HashMap<Box<str>, Vec<Series>>,
    len: usize,
}

#[derive(Debug)]
struct Series {
    variation: Option<Box<str>>,
    reason: Reason,
    count: AtomicU64,
}

/// How often a flag served a variation for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvaluationCount {
    /// The flag's key as the application spelled it.
    pub flag: String,
    /// The variation; none where the default value stood.
    pub variation: Option<String>,
    /// Why.
    pub reason: Reason,
    /// How often.
    pub count: u64,
}

impl EvaluationCounts {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted so far, by flag, variation, and reason in ascending order.
    pub fn read(&self) -> Vec<EvaluationCount> {
        let table = self.shared.table.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts: Vec<_> = table
            .by_flag
            .iter()
            .flat_map(|(flag, all)| all.iter().map(move |series| (flag, series)))
            .map(|(flag, series)| EvaluationCount {
                flag: flag.to_string(),
                variation: series.variation.as_deref().map(ToOwned::to_owned),
                reason: series.reason,
                count: series.count.load(Ordering::Relaxed),
            })
            .collect();
        counts.sort_by(|a, b| {
            let order = |count: &EvaluationCount| {
                (count.flag.clone(), count.variation.clone(), count.reason.as_str())
            };
            order(a).cmp(&order(b))
        });
        counts
    }

    /// Evaluations of combinations beyond [`MAX_COUNTED`].
    pub fn others(&self) -> u64 {
        self.shared.others.load(Ordering::Relaxed)
    }

    /// Evaluations that met another thread at the table, and were not sorted in.
    pub fn uncounted(&self) -> u64 {
        self.shared.uncounted.load(Ordering::Relaxed)
    }
}

impl Hook for EvaluationCounts {
    fn on_evaluation(&self, evaluation: &Evaluation<'_>) {
        let Shared { table, others, uncounted } = &*self.shared;
        match table.try_read().as_deref().map(|table| table.count(evaluation)) {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => return add(uncounted),
        }
        match table.try_write().as_deref_mut().map(|table| table.add(evaluation)) {
            Ok(true) => {}
            Ok(false) => add(others),
            Err(_) => add(uncounted),
        }
    }
}

impl Table {
    /// Counts a combination that is known; whether it is.
    fn count(&self, evaluation: &Evaluation<'_>) -> bool {
        let known = self.by_flag.get(evaluation.flag).and_then(|all| {
            all.iter().find(|series| {
                series.variation.as_deref() == evaluation.variation && series.reason == evaluation.reason
            })
        });
        known.map(|series| add(&series.count)).is_some()
    }

    /// Counts a combination, known or not; whether there was room.
    fn add(&mut self, evaluation: &Evaluation<'_>) -> bool {
        if self.count(evaluation) {
            return true;
        }
        if self.len >= MAX_COUNTED {
            return false;
        }
        self.len = self.len.saturating_add(1);
        self.by_flag.entry(evaluation.flag.into()).or_default().push(Series {
            variation: evaluation.variation.map(Box::from),
            reason: evaluation.reason,
            count: AtomicU64::new(1),
        });
        true
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation<'a>(flag: &'a str, variation: Option<&'a str>) -> Evaluation<'a> {
        Evaluation {
            flag,
            set: "shop/production",
            value: None,
            variation,
            reason: Reason::Default,
            error_code: None,
            rule: None,
            exp: None,
            rev: None,
            version: None,
            stale: false,
            overridden: false,
        }
    }

    #[test]
    fn combinations_beyond_the_limit_are_counted_as_one() {
        let counts = EvaluationCounts::new();
        for n in 0..=MAX_COUNTED {
            counts.on_evaluation(&evaluation(&format!("flag-{n}"), None));
        }
        counts.on_evaluation(&evaluation("flag-0", None));
        counts.on_evaluation(&evaluation("flag-0", Some("on")));
        assert_eq!((counts.read().len(), counts.others(), counts.uncounted()), (MAX_COUNTED, 2, 0));
        assert_eq!(counts.read()[0].count, 2);
    }

    #[test]
    fn every_evaluation_of_many_threads_is_counted_somewhere() {
        const EACH: u64 = 5_000;
        let counts = EvaluationCounts::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let counts = &counts;
                scope.spawn(move || {
                    for n in 0..EACH {
                        counts.on_evaluation(&evaluation(&format!("flag-{}", (n + thread) % 50), None));
                    }
                });
            }
        });
        let counted: u64 = counts.read().iter().map(|count| count.count).sum();
        assert_eq!(counted + counts.uncounted(), 4 * EACH);
    }
}
