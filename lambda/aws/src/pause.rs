//! The time between two tries.

use std::time::Duration;

/// How long the first pause may be.
const FIRST: Duration = Duration::from_millis(20);
/// How long any may be.
const LONGEST: Duration = Duration::from_millis(500);

/// Waits before the try after `tries`: full jitter below a time that doubles.
pub(crate) async fn before_another_try(tries: u32) {
    tokio::time::sleep(jittered(tries)).await;
}

fn jittered(tries: u32) -> Duration {
    let longest = FIRST.saturating_mul(2_u32.saturating_pow(tries)).min(LONGEST);
    let mut random = [0; 4];
    // Without randomness, and so in step with others: better than not at all.
    let _ = getrandom::fill(&mut random);
    longest.mul_f64(f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_longer_than_its_bound_and_seldom_the_same() {
        for (tries, bound) in [(0, FIRST), (1, FIRST * 2), (4, FIRST * 16), (5, LONGEST), (u32::MAX, LONGEST)]
        {
            let pauses: std::collections::BTreeSet<_> = (0..50).map(|_| jittered(tries)).collect();
            assert!(pauses.iter().all(|pause| *pause <= bound), "{tries}");
            assert!(pauses.len() > 40, "{tries}");
        }
    }
}
