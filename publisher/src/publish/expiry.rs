//! Warnings of a root that is about to expire (FORMAT T-2.6).

use std::sync::{Mutex, PoisonError};

use super::Publisher;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// How many days before its expiry a root is warned of.
pub const ROOT_EXPIRY_ALARM_DAYS: [i64; 3] = [60, 30, 7];

/// What was warned of last.
#[derive(Debug, Default)]
pub(super) struct Expiry(Mutex<Option<i64>>);

/// The alarm that stands with so many milliseconds left: the fewest days that are not over yet; 0 once it is expired.
fn alarm(left_ms: i64) -> Option<i64> {
    if left_ms <= 0 {
        return Some(0);
    }
    let reached = ROOT_EXPIRY_ALARM_DAYS.into_iter().filter(|days| left_ms <= days.saturating_mul(DAY_MS));
    reached.min()
}

impl Expiry {
    /// The alarm that stands, if it was not told yet.
    fn news(&self, left_ms: i64) -> Option<i64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm(left_ms);
        let is_news = alarm != *told;
        *told = alarm;
        alarm.filter(|_| is_news)
    }
}

impl Publisher {
    /// Warns, once in a process for each of [`ROOT_EXPIRY_ALARM_DAYS`], of a root that is about to expire, and of one that has
    /// expired. Flags go on; clients will say `root-expired`.
    pub fn watch_root(&self) {
        let inner = &*self.inner;
        let (project, root) = (inner.root.project(), inner.root.number());
        let left_ms = inner.root.expires_ms().saturating_sub(inner.clock.now_ms());
        match inner.expiry.news(left_ms) {
            None => {}
            Some(0) => tracing::error!(%project, root, code = "root-expired", "the root has expired"),
            Some(days) => {
                tracing::warn!(%project, root, days, code = "root-expires", "the root is about to expire");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_warned_of_at_60_30_and_7_days_and_when_it_has_expired() {
        for (left_ms, expected) in [
            (60 * DAY_MS + 1, None),
            (60 * DAY_MS, Some(60)),
            (30 * DAY_MS + 1, Some(60)),
            (30 * DAY_MS, Some(30)),
            (7 * DAY_MS, Some(7)),
            (1, Some(7)),
            (0, Some(0)),
            (i64::MIN, Some(0)),
        ] {
            assert_eq!(alarm(left_ms), expected, "{left_ms} ms");
        }
    }

    #[test]
    fn each_warning_is_told_once() {
        let expiry = Expiry::default();
        let told: Vec<_> = [61, 60, 59, 30, 29, 7, 6, 0, -1].map(|days| expiry.news(days * DAY_MS)).into();
        let expected = [None, Some(60), None, Some(30), None, Some(7), None, Some(0), None];
        assert_eq!(told, expected);
    }
}
