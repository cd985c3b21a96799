//! Time and randomness as arguments: two small traits, and the only adapter that asks the system.

use core::fmt;
use core::time::Duration;

/// Two clocks: the one on the wall, which anybody may set, and one that only runs forward.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since the Unix epoch, as the wall clock has it.
    fn wall_ms(&self) -> i64;

    /// Time since some fixed moment, never running backwards.
    fn monotonic(&self) -> Duration;
}

/// A source of randomness for jitter and file names; nothing secret comes of it.
pub trait Randomness: fmt::Debug + Send + Sync {
    /// Uniform over all of `u64`.
    fn next_u64(&self) -> u64;
}

impl dyn Randomness + '_ {
    /// Uniform in `0.0..1.0`.
    pub(crate) fn unit(&self) -> f64 {
        // 32 bits are jitter enough and convert exactly.
        let high = u32::try_from(self.next_u64() >> 32).unwrap_or(0);
        f64::from(high) / 4_294_967_296.0
    }

    /// Uniform in `0..longest`.
    pub(crate) fn up_to(&self, longest: Duration) -> Duration {
        longest.mul_f64(self.unit())
    }
}

/// The system's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter that reads the clock")]
    pub(crate) fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter that reads the clock")]
    fn wall_ms(&self) -> i64 {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The system's randomness.
#[derive(Debug)]
pub(crate) struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn next_u64(&self) -> u64 {
        // Without a random source jitter is lost, and nothing else.
        getrandom::u64().unwrap_or(0)
    }
}
