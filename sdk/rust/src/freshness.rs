//! How fresh what is served is: the status bits of FORMAT T-1.8, from two clocks.

use core::fmt;
use core::time::Duration;

use crate::clock::Clock;

/// Slack before something counts as expired.
const EXPIRY_SLACK_MS: i64 = 60_000;
/// How far clocks may differ before it is said.
const CLOCK_SLACK_MS: i64 = 300_000;
/// Least time without an answer before `unreachable`.
const LEAST_SILENCE: Duration = Duration::from_secs(30);

/// A set of status bits. None set means current.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StatusBits(u16);

impl StatusBits {
    /// No well-formed answer for max(3 × poll, 30 s).
    pub const UNREACHABLE: Self = Self(1);
    /// Answers arrive, but no newer serial for max(3 × heartbeat, 3 × poll).
    pub const FROZEN: Self = Self(1 << 1);
    /// The manifest that is served expired more than a minute ago.
    pub const EXPIRED: Self = Self(1 << 2);
    /// The wall clock seems to be behind by more than five minutes. A hint.
    pub const CLOCK_BEHIND: Self = Self(1 << 3);
    /// The wall clock seems to be ahead. A hint.
    pub const CLOCK_AHEAD: Self = Self(1 << 4);
    /// The trusted root document expired more than a minute ago.
    pub const ROOT_EXPIRED: Self = Self(1 << 5);
    /// What is served was signed in an epoch that has been ended.
    pub const SUPERSEDED: Self = Self(1 << 6);
    /// The newest object of some list is not there: it could not be had, or not yet.
    pub const LISTS_INCOMPLETE: Self = Self(1 << 7);
    /// A check fails. If its flag's line was changed, the line before serves on; what the flag reaches is not held back.
    pub const CHECK_FAILED: Self = Self(1 << 8);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::UNREACHABLE, "unreachable"),
        (Self::FROZEN, "frozen"),
        (Self::EXPIRED, "expired"),
        (Self::CLOCK_BEHIND, "clock-behind"),
        (Self::CLOCK_AHEAD, "clock-ahead"),
        (Self::ROOT_EXPIRED, "root-expired"),
        (Self::SUPERSEDED, "superseded"),
        (Self::LISTS_INCOMPLETE, "lists-incomplete"),
        (Self::CHECK_FAILED, "check-failed"),
    ];

    /// Whether no bit is set: what is served is current.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the bits that are set, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, name)| name)
    }

    const fn with(self, other: Self, on: bool) -> Self {
        if on { Self(self.0 | other.0) } else { self }
    }
}

impl fmt::Display for StatusBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for StatusBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusBits({self})")
    }
}

/// Both clocks, read once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) wall_ms: i64,
    pub(crate) monotonic: Duration,
}

impl Moment {
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self { wall_ms: clock.wall_ms(), monotonic: clock.monotonic() }
    }

    /// Time since another moment by the clock that ran further: the monotonic one may stand still while a process is
    /// frozen, and the one on the wall may be set back.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let wall = u64::try_from(self.wall_ms.saturating_sub(earlier.wall_ms)).unwrap_or(0);
        self.monotonic.saturating_sub(earlier.monotonic).max(Duration::from_millis(wall))
    }
}

/// What a verified manifest says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) issued_ms: i64,
    pub(crate) expires_ms: i64,
    pub(crate) heartbeat: Duration,
}

/// The highest verified issue time and when it was received: it repairs a clock that is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Anchor {
    issued_ms: i64,
    received: Duration,
}

impl Anchor {
    fn at(self, monotonic: Duration) -> i64 {
        let since = monotonic.saturating_sub(self.received);
        self.issued_ms.saturating_add(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// `max(wall, issued + monotonic time since it was received)`.
    pub(crate) fn now_ms(anchor: Option<Self>, moment: Moment) -> i64 {
        anchor.map_or(moment.wall_ms, |anchor| anchor.at(moment.monotonic).max(moment.wall_ms))
    }
}

/// Follows answers and news, and says which bits are set.
#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    start: Duration,
    interval: Duration,
    answered: Option<Duration>,
    news: Option<Duration>,
    anchor: Option<Anchor>,
    served: Option<Announced>,
    root_expires_ms: Option<i64>,
    clock_ahead: bool,
    /// What is wrong with what is served, whatever the time is.
    marks: StatusBits,
}

impl Freshness {
    pub(crate) const fn new(moment: Moment, interval: Duration) -> Self {
        Self {
            start: moment.monotonic,
            interval,
            answered: None,
            news: None,
            anchor: None,
            served: None,
            root_expires_ms: None,
            clock_ahead: false,
            marks: StatusBits(0),
        }
    }

    /// Whether lists are missing from what is served, and whether checks of it fail.
    pub(crate) const fn marks(&mut self, lists_incomplete: bool, check_failed: bool) {
        let bits = StatusBits(0).with(StatusBits::LISTS_INCOMPLETE, lists_incomplete);
        self.marks = bits.with(StatusBits::CHECK_FAILED, check_failed);
    }

    /// The poll interval in force.
    pub(crate) const fn poll_every(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// A well-formed answer to a request for the manifest: 304, or something framed like a manifest.
    pub(crate) const fn answered(&mut self, moment: Moment) {
        self.answered_at(moment.monotonic);
    }

    /// The same; a moment to come is one until which nobody is asked, so that there is no silence either.
    pub(crate) const fn answered_at(&mut self, monotonic: Duration) {
        self.answered = Some(monotonic);
    }

    /// A manifest verified: its issue time may move `now` forward.
    pub(crate) fn verified(&mut self, announced: Announced, moment: Moment) {
        let offered = Anchor { issued_ms: announced.issued_ms, received: moment.monotonic };
        if self.anchor.is_none_or(|anchor| anchor.at(moment.monotonic) < offered.issued_ms) {
            self.anchor = Some(offered);
        }
    }

    /// A strictly newer serial arrived: nothing else is news (FORMAT T-1.8).
    pub(crate) fn news(&mut self, announced: Announced, date_ms: Option<i64>, moment: Moment) {
        self.news = Some(moment.monotonic);
        let slack = i64::try_from(announced.heartbeat.as_millis()).unwrap_or(i64::MAX);
        let slack = CLOCK_SLACK_MS.saturating_add(slack);
        let agrees = date_ms.is_some_and(|date| date.abs_diff(announced.issued_ms) <= slack.unsigned_abs());
        self.clock_ahead = agrees && past(announced.expires_ms, moment.wall_ms);
    }

    /// What is served from now on.
    pub(crate) const fn serves(&mut self, announced: Announced) {
        self.served = Some(announced);
    }

    /// The trusted root's expiry.
    pub(crate) const fn trusts_until(&mut self, expires_ms: i64) {
        self.root_expires_ms = Some(expires_ms);
    }

    pub(crate) const fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }

    /// The bits at a moment.
    pub(crate) fn bits(&self, moment: Moment) -> StatusBits {
        let now = Anchor::now_ms(self.anchor, moment);
        let unreachable = moment.monotonic > self.unreachable_after();
        let frozen = !unreachable
            && self.answered > Some(self.last_news())
            && self.frozen_after().is_some_and(|after| moment.monotonic > after);
        let behind = self.anchor.is_some_and(|anchor| {
            anchor.at(moment.monotonic) > moment.wall_ms.saturating_add(CLOCK_SLACK_MS)
        });
        self.marks
            .with(StatusBits::UNREACHABLE, unreachable)
            .with(StatusBits::FROZEN, frozen)
            .with(StatusBits::EXPIRED, self.served.is_some_and(|served| past(served.expires_ms, now)))
            .with(StatusBits::CLOCK_BEHIND, behind)
            .with(StatusBits::CLOCK_AHEAD, self.clock_ahead)
            .with(StatusBits::ROOT_EXPIRED, self.root_expires_ms.is_some_and(|expires| past(expires, now)))
    }

    /// The time until the next bit would be set if nothing arrives.
    pub(crate) fn next_change(&self, moment: Moment) -> Option<Duration> {
        let now = Anchor::now_ms(self.anchor, moment);
        let until = |expires_ms: i64| {
            let left = expires_ms.saturating_add(EXPIRY_SLACK_MS).saturating_sub(now);
            u64::try_from(left).ok().map(Duration::from_millis)
        };
        [
            self.unreachable_after().checked_sub(moment.monotonic),
            self.frozen_after().and_then(|after| after.checked_sub(moment.monotonic)),
            self.served.and_then(|served| until(served.expires_ms)),
            self.root_expires_ms.and_then(until),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|left| left.saturating_add(Duration::from_millis(1)))
    }

    fn last_news(&self) -> Duration {
        self.news.unwrap_or(self.start)
    }

    fn unreachable_after(&self) -> Duration {
        let silence = self.interval.saturating_mul(3).max(LEAST_SILENCE);
        self.answered.unwrap_or(self.start).saturating_add(silence)
    }

    fn frozen_after(&self) -> Option<Duration> {
        let heartbeat = self.served?.heartbeat;
        Some(self.last_news().saturating_add(heartbeat.max(self.interval).saturating_mul(3)))
    }
}

const fn past(expires_ms: i64, now: i64) -> bool {
    now > expires_ms.saturating_add(EXPIRY_SLACK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUED: i64 = 1_795_253_123_456;
    const HOUR_MS: i64 = 3_600_000;
    const TEN_YEARS_MS: i64 = 315_576_000_000;
    const ANNOUNCED: Announced =
        Announced { issued_ms: ISSUED, expires_ms: ISSUED + HOUR_MS, heartbeat: Duration::from_mins(5) };

    fn at(seconds: u64) -> Moment {
        moment(seconds, 0)
    }

    fn moment(seconds: u64, wall_off_ms: i64) -> Moment {
        let monotonic = Duration::from_secs(seconds);
        let wall_ms = ISSUED + i64::try_from(monotonic.as_millis()).unwrap() + wall_off_ms;
        Moment { wall_ms, monotonic }
    }

    fn started() -> Freshness {
        started_at(at(0))
    }

    fn started_at(moment: Moment) -> Freshness {
        let mut freshness = Freshness::new(moment, Duration::from_secs(10));
        receive(&mut freshness, ANNOUNCED, None, moment);
        freshness
    }

    fn receive(freshness: &mut Freshness, announced: Announced, date_ms: Option<i64>, moment: Moment) {
        freshness.answered(moment);
        freshness.verified(announced, moment);
        freshness.news(announced, date_ms, moment);
        freshness.serves(announced);
    }

    fn names(freshness: &Freshness, moment: Moment) -> String {
        freshness.bits(moment).to_string()
    }

    #[test]
    fn silence_is_unreachable_after_thirty_seconds_or_three_polls() {
        let mut freshness = started();
        assert_eq!(names(&freshness, at(30)), "");
        assert_eq!(names(&freshness, at(31)), "unreachable");
        freshness.poll_every(Duration::from_mins(1));
        assert_eq!(names(&freshness, at(180)), "");
        assert_eq!(names(&freshness, at(181)), "unreachable");
        freshness.answered(at(181));
        assert_eq!(names(&freshness, at(182)), "");
    }

    #[test]
    fn answers_without_news_are_frozen_after_three_heartbeats() {
        let mut freshness = started();
        freshness.answered(at(895));
        assert_eq!(names(&freshness, at(900)), "");
        assert_eq!(names(&freshness, at(901)), "frozen");
        assert_eq!(names(&freshness, at(930)), "unreachable");
    }

    #[test]
    fn a_frozen_stream_is_noticed_whatever_the_wall_clock_says() {
        for off in [-TEN_YEARS_MS, TEN_YEARS_MS] {
            let mut freshness = started_at(moment(0, off));
            freshness.answered(moment(900, off));
            assert!(freshness.bits(moment(901, off)).contains(StatusBits::FROZEN));
            // A step of the wall clock in between changes nothing either.
            assert!(freshness.bits(moment(901, -off)).contains(StatusBits::FROZEN));
        }
    }

    #[test]
    fn expiry_has_a_minute_of_slack_and_a_clock_that_is_behind_does_not_hide_it() {
        let mut freshness = started();
        freshness.answered(at(3_659));
        freshness.news(ANNOUNCED, None, at(3_659));
        assert_eq!(names(&freshness, at(3_660)), "");
        assert_eq!(names(&freshness, at(3_661)), "expired");
        let behind = moment(3_661, -TEN_YEARS_MS);
        assert_eq!(names(&freshness, behind), "expired clock-behind");
    }

    #[test]
    fn a_clock_that_is_ahead_is_hinted_at_when_the_http_date_agrees_with_the_manifest() {
        let ahead = moment(0, TEN_YEARS_MS);
        let mut freshness = Freshness::new(ahead, Duration::from_secs(10));
        receive(&mut freshness, ANNOUNCED, Some(ISSUED + 1_000), ahead);
        assert_eq!(names(&freshness, ahead), "expired clock-ahead");
        receive(&mut freshness, ANNOUNCED, Some(ISSUED + TEN_YEARS_MS), ahead);
        assert_eq!(names(&freshness, ahead), "expired");
    }

    #[test]
    fn an_older_issue_time_never_moves_now_back() {
        let mut freshness = started();
        let old = Announced { issued_ms: ISSUED - TEN_YEARS_MS, ..ANNOUNCED };
        freshness.verified(old, moment(10, -TEN_YEARS_MS));
        let now = Anchor::now_ms(freshness.anchor(), moment(10, -TEN_YEARS_MS));
        assert_eq!(now, ISSUED + 10_000);
    }

    #[test]
    fn an_expired_root_is_a_status() {
        let mut freshness = started();
        freshness.trusts_until(ISSUED);
        assert_eq!(names(&freshness, at(20)), "");
        freshness.answered(at(60));
        assert_eq!(names(&freshness, at(61)), "root-expired");
    }

    #[test]
    fn the_next_change_is_when_the_next_bit_is_set() {
        let mut freshness = started();
        for _ in 0..3 {
            let left = freshness.next_change(at(0)).unwrap();
            let before = left.saturating_sub(Duration::from_millis(1));
            let moment = |left: Duration| Moment {
                monotonic: left,
                wall_ms: ISSUED + i64::try_from(left.as_millis()).unwrap(),
            };
            assert_eq!(freshness.bits(moment(before)), StatusBits::default());
            assert!(!freshness.bits(moment(left)).is_empty());
            freshness.poll_every(Duration::from_mins(5));
        }
    }
}
