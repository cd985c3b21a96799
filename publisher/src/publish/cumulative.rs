//! Which deltas go with a content: as many versions back as fit inline, and further back in the list (FORMAT T-3.3).

use std::collections::BTreeSet;

use flagstone_bundle::container::{Caps, StoredObject};
use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::Delta;
use flagstone_model::digest::Digest;
use flagstone_model::line::Head;

use super::packing::Packing;
use super::proof::Refusal;
use super::source::LineSource;
use crate::publication::Step;

/// Most stored bytes of an inline delta that reaches back further than one version.
const INLINE_BYTES: u64 = 2 * 1024;
/// Most stored bytes of an inline delta of one version.
const INLINE_ONE_BYTES: u64 = 8 * 1024;
/// How many versions back a delta may reach.
pub(super) const REACH: usize = 64;
/// Most entities remembered in a history, so that a publication item stays small.
const REMEMBERED: usize = 1_000;

/// A delta and its stored bytes.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) delta: Delta,
    pub(super) stored: Vec<u8>,
    pub(super) inline: bool,
}

/// The history behind the next version: the steps before, as far as they are worth keeping, and the new one.
pub(super) fn extend(before: &[Step], next: Step) -> Vec<Step> {
    let Some(mut room) = REMEMBERED.checked_sub(next.touched.len()) else { return Vec::new() };
    let mut kept: Vec<Step> = Vec::new();
    for step in before.iter().rev().take(REACH - 1) {
        let newest = kept.last().map_or(next.version, |step| step.version);
        let Some(left) = room.checked_sub(step.touched.len()) else { break };
        // A gap would make a delta that leaves something out.
        if step.version.checked_add(1) != Some(newest) {
            break;
        }
        room = left;
        kept.push(step.clone());
    }
    kept.reverse();
    kept.push(next);
    kept
}

/// Chooses the deltas for a content with this history: one that stands inline, as far back as fits, and behind it one
/// that is listed, as far back as is worth having, where deltas are listed. The newest `since` first.
pub(super) fn choose(
    history: &[Step],
    content: &Content,
    whole: &StoredObject,
    packing: Packing,
    source: &dyn LineSource,
) -> Result<Vec<Chosen>, Refusal> {
    let reach = history.len().min(REACH);
    let delta = |reach| reaching(history, reach, content, packing, source);
    let mut chosen = Vec::new();
    let mut inline_reach = 0;
    if let Some(one) = delta(1)? {
        let size = one.delta.object.size;
        if size <= INLINE_BYTES {
            let found = furthest(2, reach, |size| size <= INLINE_BYTES, delta)?;
            let (reach, found) = found.unwrap_or((1, one));
            chosen.push(found);
            inline_reach = reach;
        } else if size <= INLINE_ONE_BYTES {
            chosen.push(one);
            inline_reach = 1;
        }
    }
    if !packing.lists_deltas() {
        return Ok(chosen);
    }
    let next = inline_reach.saturating_add(1);
    let listed = furthest(next, reach, |size| is_listed(size, whole), delta)?;
    chosen.extend(listed.map(|(_, listed)| Chosen { inline: false, ..listed }));
    Ok(chosen)
}

/// Whether a delta that does not stand inline is worth naming: it is smaller than half the snapshot.
pub(super) const fn is_listed(size: u64, whole: &StoredObject) -> bool {
    size < whole.size.div_ceil(2)
}

/// The furthest reach from `nearest` to `furthest` whose delta fits, if that of the nearest does: the furthest one at
/// once, else by halving, for a further reach is never much smaller.
fn furthest(
    nearest: usize,
    furthest: usize,
    fits: impl Fn(u64) -> bool,
    delta: impl Fn(usize) -> Result<Option<Chosen>, Refusal>,
) -> Result<Option<(usize, Chosen)>, Refusal> {
    let fitting = |reach| Ok::<_, Refusal>(delta(reach)?.filter(|chosen| fits(chosen.delta.object.size)));
    if nearest > furthest {
        return Ok(None);
    }
    if let Some(chosen) = fitting(furthest)? {
        return Ok(Some((furthest, chosen)));
    }
    let Some(mut best) = fitting(nearest)? else { return Ok(None) };
    let (mut near, mut too_far) = (nearest, furthest);
    while too_far.saturating_sub(near) > 1 {
        let reach = usize::midpoint(near, too_far);
        match fitting(reach)? {
            Some(chosen) => (near, best) = (reach, chosen),
            None => too_far = reach,
        }
    }
    Ok(Some((near, best)))
}

/// The delta over the newest `reach` steps.
fn reaching(
    history: &[Step],
    reach: usize,
    content: &Content,
    packing: Packing,
    source: &dyn LineSource,
) -> Result<Option<Chosen>, Refusal> {
    let steps = history.len().checked_sub(reach).and_then(|from| history.get(from..));
    let Some((oldest, steps)) = steps.and_then(|steps| Some((steps.first()?, steps))) else {
        return Ok(None);
    };
    let touched: BTreeSet<Head<'_>> =
        steps.iter().flat_map(|step| &step.touched).map(|(name, key)| Head { name, key }).collect();
    let touched: Vec<_> = touched.into_iter().collect();
    let (stored, object) = packing.delta(&source.delta(content, &touched).encode())?;
    let delta = Delta { since: oldest.version.saturating_sub(1), object };
    Ok(Some(Chosen { delta, stored, inline: true }))
}

impl Chosen {
    /// Reads the delta back as a client does and applies it to older contents, each of which must become `wanted`.
    pub(super) fn prove<'c>(
        &self,
        bases: impl IntoIterator<Item = &'c Content>,
        wanted: Digest,
    ) -> Result<(), Refusal> {
        let since = self.delta.since;
        let lines = DeltaLines::parse(&self.delta.object.open(&self.stored, Caps::SNAPSHOT)?)?;
        for base in bases {
            let (reached, _) = base.apply(&lines)?;
            if reached.content_hash() != wanted {
                return Err(Refusal::Delta { since });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(version: u64, touched: usize) -> Step {
        let touched = (0..touched).map(|n| ("flag".to_owned(), format!("f{version}-{n}"))).collect();
        Step { version, at_ms: 0, touched }
    }

    fn versions(history: &[Step]) -> Vec<u64> {
        history.iter().map(|step| step.version).collect()
    }

    #[test]
    fn a_history_has_no_gaps() {
        assert_eq!(versions(&extend(&[step(3, 1), step(4, 1)], step(5, 1))), [3, 4, 5]);
        assert_eq!(versions(&extend(&[step(2, 1), step(4, 1)], step(5, 1))), [4, 5]);
        assert_eq!(versions(&extend(&[step(2, 1), step(3, 1)], step(5, 1))), [5]);
        assert_eq!(versions(&extend(&[], step(1, 1))), [1]);
    }

    #[test]
    fn a_history_is_bounded_in_versions_and_in_entities() {
        let long: Vec<Step> = (1..=200).map(|version| step(version, 1)).collect();
        assert_eq!(versions(&extend(&long, step(201, 1))), (138..=201).collect::<Vec<_>>());
        assert_eq!(versions(&extend(&[step(1, 600), step(2, 600)], step(3, 400))), [2, 3]);
        assert!(extend(&[step(1, 1)], step(2, 1_001)).is_empty());
    }
}
