//! Which checkpoints stay: many near the end of the log, few long ago.

use super::Mark;

/// Most checkpoints kept of one project.
pub const MAX_KEPT: usize = 16;

/// The entry of the checkpoint that is missed least, once there are more than [`MAX_KEPT`].
///
/// The newest one stays. Of the others goes the one that leaves the smallest gap for how far back it lies: gap between
/// its neighbours, divided by the distance of its later neighbour from the newest. So gaps grow with the distance, as
/// powers do, and reading an old state folds a share of what was appended since and not all that was appended before.
pub fn surplus(marks: &[Mark]) -> Option<u64> {
    let newest = marks.last()?.seq();
    if marks.len() <= MAX_KEPT {
        return None;
    }
    let before = [0].into_iter().chain(marks.iter().map(Mark::seq));
    let after = marks.iter().skip(1).map(Mark::seq);
    let candidates = before.zip(marks).zip(after).map(|((before, mark), after)| {
        let gap = u128::from(after.saturating_sub(before));
        let distance = u128::from(newest.saturating_sub(after).saturating_add(1));
        (mark.seq(), gap, distance)
    });
    // a/b < c/d as a·d < c·b: whole numbers, and no rounding.
    candidates
        .min_by(|(_, gap, distance), (_, other_gap, other_distance)| {
            gap.saturating_mul(*other_distance).cmp(&other_gap.saturating_mul(*distance))
        })
        .map(|(seq, ..)| seq)
}

#[cfg(test)]
mod tests {
    use super::super::conformance::mark;
    use super::*;

    /// The checkpoints that are left after one was written every `step` entries, up to `end`.
    fn kept(step: u64, end: u64) -> Vec<u64> {
        let mut marks: Vec<Mark> = Vec::new();
        for seq in (step..=end).step_by(usize::try_from(step).unwrap()) {
            marks.push(mark(seq));
            while let Some(surplus) = surplus(&marks) {
                marks.retain(|mark| mark.seq() != surplus);
            }
        }
        marks.iter().map(Mark::seq).collect()
    }

    #[test]
    fn at_most_sixteen_stay_and_the_newest_is_one_of_them() {
        assert_eq!(kept(1_000, 16_000).len(), MAX_KEPT);
        let kept = kept(1_000, 1_000_000);
        assert_eq!(kept.len(), MAX_KEPT);
        assert_eq!(kept.last(), Some(&1_000_000));
    }

    #[test]
    fn the_gap_before_a_checkpoint_follows_its_distance_from_the_end() {
        for end in [20_000, 100_000, 317_000, 1_000_000] {
            let kept = kept(1_000, end);
            for pair in kept.windows(2) {
                let (gap, distance) = (pair[1] - pair[0], end - pair[0]);
                assert!(gap <= distance.div_ceil(2).max(2_000), "{gap} at {distance} of {end}: {kept:?}");
            }
        }
    }
}
