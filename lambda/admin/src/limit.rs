//! How often somebody may ask: a bucket of requests for each token, and one for everybody without.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A request, in the unit in which a bucket is filled: a thousandth a millisecond is one a second.
const REQUEST: u64 = 1_000;
/// Most buckets that are kept. Those that are full again are forgotten first.
const MAX_BUCKETS: usize = 10_000;
/// How often the refusals of one bucket are recorded, in milliseconds; they are counted meanwhile.
const RECORD_EVERY_MS: i64 = 1_000;

/// A rate of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many a second, in the long run; at least 1.
    pub per_second: u32,
    /// How many at once, after a pause; at least 1.
    pub burst: u32,
}

/// How often somebody may ask. `None`: as often as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The holder of a token.
    pub token: Option<Rate>,
    /// Everybody whose token is missing or not known, together: who they are nobody can tell.
    pub anonymous: Option<Rate>,
}

impl Limits {
    /// 50 requests a second for each token, 100 at once; 20 a second for everybody without one.
    pub const DEFAULT: Self = Self {
        token: Some(Rate { per_second: 50, burst: 100 }),
        anonymous: Some(Rate { per_second: 20, burst: 20 }),
    };
    /// None at all.
    pub const NONE: Self = Self { token: None, anonymous: None };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Too many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// In how many seconds there is room again.
    pub(crate) retry_after_s: u32,
    /// How many refusals are to be recorded now, with this one; 0: they are counted on.
    pub(crate) unrecorded: u64,
}

/// The buckets.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    buckets: Mutex<HashMap<Option<String>, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: u64,
    at_ms: i64,
    refused: u64,
    recorded_ms: Option<i64>,
}

impl Bucket {
    const fn full(rate: Rate, now_ms: i64) -> Self {
        Self { level: capacity(rate), at_ms: now_ms, refused: 0, recorded_ms: None }
    }

    /// Fills up for the time that has passed. A clock that is set back fills nothing, and goes on from there.
    fn fill(&mut self, rate: Rate, now_ms: i64) {
        let passed = u64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or_default();
        let more = passed.saturating_mul(u64::from(rate.per_second));
        self.level = self.level.saturating_add(more).min(capacity(rate));
        self.at_ms = now_ms;
    }

    /// Counts a refusal; answers how many are to be recorded now.
    fn refuse(&mut self, now_ms: i64) -> u64 {
        self.refused = self.refused.saturating_add(1);
        let since = self.recorded_ms.map(|recorded_ms| now_ms.saturating_sub(recorded_ms));
        if since.is_some_and(|since| (0..RECORD_EVERY_MS).contains(&since)) {
            return 0;
        }
        self.recorded_ms = Some(now_ms);
        std::mem::take(&mut self.refused)
    }
}

const fn capacity(rate: Rate) -> u64 {
    // Lossless: an `as` because the conversion is not usable in a constant function.
    (rate.burst as u64).saturating_mul(REQUEST)
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, buckets: Mutex::default() }
    }

    /// Takes one request of somebody, if there is room for it; `None` is everybody without a token.
    pub(crate) fn take(&self, who: Option<&str>, now_ms: i64) -> Result<(), TooMany> {
        let rate = if who.is_some() { self.limits.token } else { self.limits.anonymous };
        let Some(rate) = rate else { return Ok(()) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let who = who.map(str::to_owned);
        if !buckets.contains_key(&who) && buckets.len() >= MAX_BUCKETS {
            make_room(&mut buckets, self.limits, now_ms);
        }
        let bucket = buckets.entry(who).or_insert_with(|| Bucket::full(rate, now_ms));
        bucket.fill(rate, now_ms);
        if let Some(rest) = bucket.level.checked_sub(REQUEST) {
            bucket.level = rest;
            return Ok(());
        }
        let missing_ms = REQUEST.saturating_sub(bucket.level).div_ceil(u64::from(rate.per_second.max(1)));
        let retry_after_s = u32::try_from(missing_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        Err(TooMany { retry_after_s, unrecorded: bucket.refuse(now_ms) })
    }
}

/// Forgets the buckets that are full, which are as good as new ones; if there are none, the one that was asked of
/// longest ago.
fn make_room(buckets: &mut HashMap<Option<String>, Bucket>, limits: Limits, now_ms: i64) {
    buckets.retain(|who, bucket| {
        let rate = if who.is_some() { limits.token } else { limits.anonymous };
        let Some(rate) = rate else { return false };
        let mut filled = *bucket;
        filled.fill(rate, now_ms);
        filled.level < capacity(rate)
    });
    if buckets.len() >= MAX_BUCKETS
        && let Some(oldest) =
            buckets.iter().min_by_key(|(_, bucket)| bucket.at_ms).map(|(who, _)| who.clone())
    {
        buckets.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2, burst: 3 };

    fn limiter() -> Limiter {
        Limiter::new(Limits { token: Some(RATE), anonymous: Some(Rate { per_second: 1, burst: 1 }) })
    }

    fn passes(limiter: &Limiter, who: Option<&str>, now_ms: i64) -> bool {
        limiter.take(who, now_ms).is_ok()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limiter = limiter();
        for _ in 0..3 {
            assert!(passes(&limiter, Some("a"), 0));
        }
        assert!(!passes(&limiter, Some("a"), 0));
        assert!(!passes(&limiter, Some("a"), 499));
        assert!(passes(&limiter, Some("a"), 500));
        assert!(!passes(&limiter, Some("a"), 500));
        // A long pause fills no more than a burst.
        for _ in 0..3 {
            assert!(passes(&limiter, Some("a"), 1_000_000));
        }
        assert!(!passes(&limiter, Some("a"), 1_000_000));
    }

    #[test]
    fn everybody_has_a_bucket_and_nobody_one_together() {
        let limiter = limiter();
        assert!(passes(&limiter, None, 0) && !passes(&limiter, None, 0));
        assert!(passes(&limiter, Some("a"), 0) && passes(&limiter, Some("b"), 0));
    }

    #[test]
    fn it_is_told_when_to_come_again() {
        let limiter = Limiter::new(Limits { token: None, anonymous: Some(Rate { per_second: 1, burst: 1 }) });
        assert!(passes(&limiter, None, 0));
        assert_eq!(limiter.take(None, 0).unwrap_err().retry_after_s, 1);
        assert_eq!(limiter.take(None, 999).unwrap_err().retry_after_s, 1);
        assert!(passes(&limiter, None, 1_000));
        assert!(passes(&limiter, Some("a"), 0), "what has no limit has none");
    }

    #[test]
    fn refusals_are_recorded_once_a_second_and_all_are_counted() {
        let limiter = limiter();
        assert!(passes(&limiter, None, 0));
        let told: Vec<u64> = [0, 1, 2, 3].map(|ms| limiter.take(None, ms).unwrap_err().unrecorded).into();
        assert_eq!(told, [1, 0, 0, 0]);
        assert!(passes(&limiter, None, 1_000));
        assert_eq!(limiter.take(None, 1_000).unwrap_err().unrecorded, 4);
    }

    #[test]
    fn a_clock_that_is_set_back_neither_locks_out_nor_lets_in() {
        let limiter = limiter();
        for _ in 0..3 {
            assert!(passes(&limiter, Some("a"), 1_000_000));
        }
        assert!(!passes(&limiter, Some("a"), 0));
        assert!(passes(&limiter, Some("a"), 500));
    }

    #[test]
    fn so_many_buckets_are_kept_and_no_more() {
        let limiter = limiter();
        for number in 0..=MAX_BUCKETS {
            let id = format!("t_{number}");
            assert!(passes(&limiter, Some(&id), i64::try_from(number).unwrap() % 2));
        }
        assert_eq!(limiter.buckets.lock().unwrap().len(), MAX_BUCKETS);
        // Later all are full again and forgotten.
        assert!(passes(&limiter, Some("t_new"), 60_000));
        assert_eq!(limiter.buckets.lock().unwrap().len(), 1);
    }
}
