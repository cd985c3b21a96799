//! When to ask again: splay, jitter, full-jitter backoff, and the retry budget (FORMAT T-5.3).

use core::time::Duration;

use crate::clock::Randomness;

/// Interval where nobody says another.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
/// Least interval a manifest may ask for.
const SHORTEST_SUGGESTED: Duration = Duration::from_secs(1);
/// Longest interval a manifest may ask for: a larger number must not put clients to sleep.
const LONGEST_SUGGESTED: Duration = Duration::from_hours(1);
/// Least interval the user may set.
const SHORTEST: Duration = Duration::from_millis(10);
/// Longest interval the user may set.
const LONGEST: Duration = Duration::from_hours(24 * 366);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
/// Longest pause that a server may ask for.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Retries earned by one ordinary poll.
const EARNED: f64 = 0.1;
/// Retries that can be saved up.
const SAVED: f64 = 10.0;

/// Decides the pause before each poll.
#[derive(Debug)]
pub(crate) struct Pace {
    chosen: Option<Duration>,
    suggested: Option<Duration>,
    polls: u64,
    failures: u32,
    budget: f64,
}

impl Pace {
    pub(crate) fn new(chosen: Option<Duration>) -> Self {
        Self {
            chosen: chosen.map(|chosen| chosen.clamp(SHORTEST, LONGEST)),
            suggested: None,
            polls: 0,
            failures: 0,
            budget: SAVED,
        }
    }

    /// Takes the interval a verified manifest suggests.
    pub(crate) fn suggest(&mut self, interval: Option<Duration>) {
        self.suggested = interval.map(|interval| interval.clamp(SHORTEST_SUGGESTED, LONGEST_SUGGESTED));
    }

    /// The interval: the user's, else the manifest's, else ten seconds.
    pub(crate) fn interval(&self) -> Duration {
        self.chosen.or(self.suggested).unwrap_or(DEFAULT_INTERVAL)
    }

    /// The pause after a poll that worked. The second poll of a process is splayed over a whole interval.
    pub(crate) fn after_success(&mut self, random: &dyn Randomness) -> Duration {
        self.failures = 0;
        self.budget = (self.budget + EARNED).min(SAVED);
        self.polls = self.polls.saturating_add(1);
        if self.polls == 1 {
            return random.up_to(self.interval());
        }
        self.regular(random)
    }

    /// The pause after a poll that failed at every base URL.
    pub(crate) fn after_failure(
        &mut self,
        retry_after: Option<Duration>,
        random: &dyn Randomness,
    ) -> Duration {
        self.polls = self.polls.saturating_add(1);
        let ceiling = FIRST_BACKOFF
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(LONGEST_BACKOFF);
        self.failures = self.failures.saturating_add(1).min(16);
        let regular = self.regular(random);
        let mut pause = random.up_to(ceiling);
        if pause < regular && !self.spend() {
            pause = regular;
        }
        pause.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }

    /// Takes one retry out of the budget; without one, the regular poll has to do.
    pub(crate) fn spend(&mut self) -> bool {
        let affordable = self.budget >= 1.0;
        if affordable {
            self.budget -= 1.0;
        }
        affordable
    }

    fn regular(&self, random: &dyn Randomness) -> Duration {
        self.interval().mul_f64(0.9 + 0.2 * random.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Fixed(f64);

    impl Randomness for Fixed {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of one, made for tests"
        )]
        fn next_u64(&self) -> u64 {
            ((self.0 * 4_294_967_296.0) as u64) << 32
        }
    }

    const HALF: Fixed = Fixed(0.5);
    const LEAST: Fixed = Fixed(0.0);
    const MOST: Fixed = Fixed(0.999_999);

    fn seconds(pause: Duration) -> f64 {
        (pause.as_secs_f64() * 10.0).round() / 10.0
    }

    #[test]
    fn the_second_poll_is_splayed_and_later_ones_keep_within_a_tenth() {
        for (random, splayed, later) in [(&LEAST, 0.0, 9.0), (&HALF, 5.0, 10.0), (&MOST, 10.0, 11.0)] {
            let mut pace = Pace::new(None);
            assert!((seconds(pace.after_success(random)) - splayed).abs() < f64::EPSILON);
            assert!((seconds(pace.after_success(random)) - later).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn backoff_doubles_from_one_second_to_sixty_with_full_jitter() {
        let mut pace = Pace::new(Some(Duration::from_secs(1)));
        let pauses: Vec<_> = (0..9).map(|_| seconds(pace.after_failure(None, &MOST))).collect();
        assert_eq!(pauses, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        pace.after_success(&HALF);
        assert!((seconds(pace.after_failure(None, &HALF)) - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn retry_after_is_honoured_up_to_an_hour() {
        let mut pace = Pace::new(None);
        assert_eq!(pace.after_failure(Some(Duration::from_mins(2)), &HALF), Duration::from_mins(2));
        assert_eq!(pace.after_failure(Some(Duration::from_hours(24)), &HALF), Duration::from_hours(1));
    }

    #[test]
    fn early_retries_end_with_the_budget_and_return_with_success() {
        let mut pace = Pace::new(Some(Duration::from_mins(5)));
        let early = (0..40).filter(|_| pace.after_failure(None, &HALF) < Duration::from_secs(200)).count();
        assert_eq!(early, 10);
        for _ in 0..11 {
            pace.after_success(&HALF);
        }
        assert!(pace.spend());
        assert!(!pace.spend());
    }

    #[test]
    fn the_users_interval_wins_and_a_suggested_one_is_kept_within_bounds() {
        let mut pace = Pace::new(None);
        pace.suggest(Some(Duration::from_millis(1)));
        assert_eq!(pace.interval(), Duration::from_secs(1));
        pace.suggest(Some(Duration::from_secs(u64::MAX / 2)));
        assert_eq!(pace.interval(), Duration::from_hours(1));
        pace.suggest(None);
        assert_eq!(pace.interval(), Duration::from_secs(10));
        let mut pace = Pace::new(Some(Duration::from_millis(200)));
        pace.suggest(Some(Duration::from_secs(30)));
        assert_eq!(pace.interval(), Duration::from_millis(200));
    }
}
