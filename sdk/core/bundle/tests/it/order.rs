//! FORMAT T-1.6, attacks A5 to A7: which of two verified manifests is newer.

use flagstone_bundle::manifest::{Outcome, Position, order};
use flagstone_model::digest::Digest;

fn at(epoch: u64, version: u64, serial: u64, content: u8, payload: u8) -> Position {
    Position {
        epoch,
        version,
        serial,
        content: Digest::of(&[content]),
        payload: Digest::of(&[b'p', payload]),
    }
}

/// Every position over small numbers: 2 epochs, 3 versions, 3 serials, 2 contents, 2 payloads.
fn positions() -> Vec<Position> {
    let mut all = Vec::new();
    for epoch in 1..=2 {
        for version in 1..=3 {
            for serial in 1..=3 {
                for content in 0..2 {
                    for payload in 0..2 {
                        all.push(at(epoch, version, serial, content, payload));
                    }
                }
            }
        }
    }
    all
}

/// The table of T-1.6, row by row, as independent predicates of which the first that holds decides.
fn by_the_table(seen: &Position, new: &Position) -> Outcome {
    let rows = [
        (new.epoch < seen.epoch, Outcome::Older),
        (new.epoch > seen.epoch, Outcome::Accept),
        (new.serial == seen.serial && new.payload == seen.payload, Outcome::Same),
        (new.serial < seen.serial && new.version <= seen.version, Outcome::Older),
        (new.serial > seen.serial && new.version > seen.version, Outcome::Accept),
        (
            new.serial > seen.serial && new.version == seen.version && new.content == seen.content,
            Outcome::Accept,
        ),
    ];
    rows.into_iter().find_map(|(holds, outcome)| holds.then_some(outcome)).unwrap_or(Outcome::Equivocation)
}

#[test]
fn all_pairs_follow_the_table() {
    let all = positions();
    let mut outcomes = std::collections::HashMap::new();
    for seen in &all {
        for offered in &all {
            let outcome = order(Some(seen), offered);
            assert_eq!(outcome, by_the_table(seen, offered), "{seen:?} {offered:?}");
            *outcomes.entry(outcome).or_insert(0_usize) += 1;
        }
    }
    assert_eq!(outcomes.len(), 4, "every outcome occurs: {outcomes:?}");
}

#[test]
fn what_is_accepted_is_never_accepted_back() {
    let all = positions();
    for seen in &all {
        assert_eq!(order(None, seen), Outcome::Accept);
        assert_eq!(order(Some(seen), seen), Outcome::Same);
        for offered in &all {
            if order(Some(seen), offered) == Outcome::Accept {
                let back = order(Some(offered), seen);
                assert_eq!(back, Outcome::Older, "{seen:?} {offered:?}");
            }
        }
    }
}

#[test]
fn accepted_histories_never_go_back_in_any_order_of_arrival() {
    let all = positions();
    for a in &all {
        for b in all.iter().filter(|b| order(Some(a), b) == Outcome::Accept) {
            for c in all.iter().filter(|c| order(Some(b), c) == Outcome::Accept) {
                let outcome = order(Some(c), a);
                assert_eq!(outcome, Outcome::Older, "{a:?} {b:?} {c:?}");
            }
        }
    }
}

#[test]
fn each_attack_has_its_outcome() {
    let seen = at(1, 42, 1310, 0, 0);
    let outcome = |offered| order(Some(&seen), &offered);
    assert_eq!(outcome(at(1, 41, 1309, 9, 9)), Outcome::Older, "A5: rollback");
    assert_eq!(outcome(at(1, 42, 1309, 0, 9)), Outcome::Older, "A5: an older announcement");
    assert_eq!(outcome(at(1, 41, 1311, 9, 9)), Outcome::Equivocation, "A6: older content, newer serial");
    assert_eq!(outcome(at(1, 42, 1310, 0, 9)), Outcome::Equivocation, "A7: one serial, two payloads");
    assert_eq!(outcome(at(1, 42, 1311, 9, 9)), Outcome::Equivocation, "A7: one version, two contents");
    assert_eq!(outcome(at(1, 43, 1310, 9, 9)), Outcome::Equivocation, "A7: newer content, same serial");
    assert_eq!(outcome(at(1, 43, 1309, 9, 9)), Outcome::Equivocation, "A7: newer content, older serial");
    assert_eq!(outcome(at(1, 42, 1311, 0, 9)), Outcome::Accept, "a heartbeat");
    assert_eq!(outcome(at(1, 43, 1312, 0, 9)), Outcome::Accept, "a restore, or a change back");
    assert_eq!(outcome(at(2, 1, 1, 9, 9)), Outcome::Accept, "A10: a new epoch beats any number");
    let thief = at(1, (1 << 53) - 1, (1 << 53) - 1, 9, 9);
    assert_eq!(order(Some(&thief), &at(2, 43, 1311, 0, 0)), Outcome::Accept, "A10: fast-forward is inert");
    assert_eq!(order(Some(&at(2, 43, 1311, 0, 0)), &thief), Outcome::Older, "A10: and does not come back");
}

#[test]
fn the_outcomes_have_their_codes() {
    assert_eq!(Outcome::Older.code(), Some("older"));
    assert_eq!(Outcome::Equivocation.code(), Some("equivocation"));
    assert_eq!(Outcome::Accept.code().or(Outcome::Same.code()), None);
}
