//! References between flags, segments, and lists, and where following them would not end.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use crate::flag::Entity;

/// Longest chain of references that is followed. A publisher allows a *cost* of 256, which bounds the chain too.
pub const MAX_REFERENCE_DEPTH: u32 = 256;
/// Most evaluations that one may lead to through references, so that a hostile key holder cannot stall a reader.
pub const MAX_REFERENCE_WORK: u32 = 1 << 16;

/// Who refers to whom. Only entities with references stand here, so most snapshots have few.
#[derive(Debug, Default)]
pub(crate) struct Links {
    edges: BTreeMap<Entity, Arc<[Entity]>>,
    knots: HashMap<Entity, Knot>,
    /// Who is referred to by whom: made when it is first asked for, and kept as long as no reference changes.
    referrers: OnceLock<HashMap<Entity, Vec<Entity>>>,
}

/// Why references *from* an entity may not be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knot {
    /// The entity is on a cycle, as are all of the same number: references among these are unsupported.
    Cycle(usize),
    /// Following any reference would lead too far.
    TooFar,
}

/// A reference that is unsupported wherever it is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenReference {
    /// Whose condition it is.
    pub from: Entity,
    /// Whom it names.
    pub to: Entity,
    /// `dangling`, `cycle`, or `too-far`.
    pub code: &'static str,
}

impl Links {
    pub(crate) fn new(edges: BTreeMap<Entity, Arc<[Entity]>>) -> Self {
        let knots = Walk::over(&edges);
        Self { edges, knots, referrers: OnceLock::new() }
    }

    pub(crate) const fn edges(&self) -> &BTreeMap<Entity, Arc<[Entity]>> {
        &self.edges
    }

    /// Whether every reference may be followed: the rule, and then nobody asks [`Links::severs`].
    pub(crate) fn are_sound(&self) -> bool {
        self.knots.is_empty()
    }

    /// Whether the reference is unsupported though its end exists.
    pub(crate) fn severs(&self, from: &Entity, to: &Entity) -> Option<&'static str> {
        match (self.knots.get(from)?, self.knots.get(to)) {
            (Knot::TooFar, _) => Some("too-far"),
            (Knot::Cycle(from), Some(Knot::Cycle(to))) if from == to => Some("cycle"),
            _ => None,
        }
    }

    /// The given entities and all that reach them.
    pub(crate) fn dependents(&self, of: BTreeSet<Entity>) -> BTreeSet<Entity> {
        if of.is_empty() {
            return of;
        }
        let referrers = self.referrers();
        let mut open: Vec<Entity> = of.iter().cloned().collect();
        let mut reached = of;
        while let Some(entity) = open.pop() {
            for from in referrers.get(&entity).into_iter().flatten() {
                if reached.insert(from.clone()) {
                    open.push(from.clone());
                }
            }
        }
        reached
    }

    fn referrers(&self) -> &HashMap<Entity, Vec<Entity>> {
        self.referrers.get_or_init(|| {
            let mut referrers: HashMap<Entity, Vec<Entity>> = HashMap::new();
            for (from, to) in &self.edges {
                for to in to.iter() {
                    referrers.entry(to.clone()).or_default().push(from.clone());
                }
            }
            referrers
        })
    }
}

/// Tarjan's strongly connected components, without recursion: a chain may be 100 000 long.
struct Walk<'e> {
    edges: &'e BTreeMap<Entity, Arc<[Entity]>>,
    visited: HashMap<&'e Entity, Visit>,
    /// Entered and not yet in a component.
    open: Vec<&'e Entity>,
    knots: HashMap<Entity, Knot>,
    components: usize,
}

struct Visit {
    order: usize,
    low: usize,
    component: Option<usize>,
    depth: u32,
    work: u32,
}

impl<'e> Walk<'e> {
    fn over(edges: &'e BTreeMap<Entity, Arc<[Entity]>>) -> HashMap<Entity, Knot> {
        let mut walk =
            Self { edges, visited: HashMap::new(), open: Vec::new(), knots: HashMap::new(), components: 0 };
        for start in edges.keys() {
            if !walk.visited.contains_key(start) {
                walk.from(start);
            }
        }
        walk.knots
    }

    fn from(&mut self, start: &'e Entity) {
        let mut path = vec![(start, self.enter(start))];
        while let Some((entity, rest)) = path.last_mut() {
            let entity = *entity;
            if let Some(next) = rest.next() {
                match self.visited.get(next) {
                    None if self.edges.contains_key(next) => {
                        let successors = self.enter(next);
                        path.push((next, successors));
                    }
                    Some(visit) if visit.component.is_none() => {
                        let order = visit.order;
                        self.lower(entity, order);
                    }
                    _ => {}
                }
            } else {
                path.pop();
                let low = self.leave(entity);
                if let (Some((parent, _)), Some(low)) = (path.last(), low) {
                    self.lower(parent, low);
                }
            }
        }
    }

    fn enter(&mut self, entity: &'e Entity) -> std::slice::Iter<'e, Entity> {
        let order = self.visited.len();
        self.visited.insert(entity, Visit { order, low: order, component: None, depth: 1, work: 1 });
        self.open.push(entity);
        self.successors(entity).iter()
    }

    fn successors(&self, entity: &Entity) -> &'e [Entity] {
        self.edges.get(entity).map_or(&[], |successors| &**successors)
    }

    fn lower(&mut self, entity: &Entity, low: usize) {
        if let Some(visit) = self.visited.get_mut(entity) {
            visit.low = visit.low.min(low);
        }
    }

    /// Closes a component if `entity` is its root; otherwise tells how low it reaches.
    fn leave(&mut self, entity: &'e Entity) -> Option<usize> {
        let visit = self.visited.get(entity)?;
        if visit.low < visit.order {
            return Some(visit.low);
        }
        let from = self.open.iter().rposition(|open| *open == entity)?;
        let members = self.open.split_off(from);
        let number = self.components;
        self.components = number.saturating_add(1);
        for member in &members {
            if let Some(visit) = self.visited.get_mut(member) {
                visit.component = Some(number);
            }
        }
        let is_cycle = members.len() > 1 || self.successors(entity).contains(entity);
        for member in members {
            self.measure(member, number, is_cycle);
        }
        None
    }

    fn measure(&mut self, entity: &'e Entity, number: usize, is_cycle: bool) {
        let (mut depth, mut work) = (1u32, 1u32);
        for next in self.successors(entity) {
            let (next_depth, next_work) = match self.visited.get(next) {
                // A list is looked up, and evaluates nothing.
                _ if matches!(next, Entity::List(_)) => (0, 0),
                Some(visit) if visit.component == Some(number) => (0, 0),
                Some(visit) => (visit.depth, visit.work),
                None => (1, 1),
            };
            depth = depth.max(next_depth.saturating_add(1));
            work = work.saturating_add(next_work);
        }
        if depth > MAX_REFERENCE_DEPTH || work > MAX_REFERENCE_WORK {
            self.knots.insert(entity.clone(), Knot::TooFar);
        } else {
            if is_cycle {
                self.knots.insert(entity.clone(), Knot::Cycle(number));
            }
            if let Some(visit) = self.visited.get_mut(entity) {
                (visit.depth, visit.work) = (depth, work);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(edges: &[(&str, &[&str])]) -> Links {
        let entity = |name: &&str| Entity::Flag((*name).into());
        Links::new(edges.iter().map(|(from, to)| (entity(from), to.iter().map(entity).collect())).collect())
    }

    fn severs(links: &Links, from: &str, to: &str) -> Option<&'static str> {
        links.severs(&Entity::Flag(from.into()), &Entity::Flag(to.into()))
    }

    #[test]
    fn references_on_a_cycle_are_severed_and_those_into_it_are_not() {
        let links = links(&[
            ("in", &["a"]),
            ("a", &["b", "out"]),
            ("b", &["a"]),
            ("self", &["self"]),
            ("out", &["z"]),
        ]);
        assert_eq!(severs(&links, "a", "b"), Some("cycle"));
        assert_eq!(severs(&links, "b", "a"), Some("cycle"));
        assert_eq!(severs(&links, "self", "self"), Some("cycle"));
        for (from, to) in [("in", "a"), ("a", "out"), ("out", "z")] {
            assert_eq!(severs(&links, from, to), None, "{from} -> {to}");
        }
    }

    #[test]
    fn a_cycle_is_a_cycle_however_many_are_on_it() {
        let entity = |n: u32| Entity::Flag(format!("f{n:06}").into());
        let length = MAX_REFERENCE_DEPTH * 3;
        let links = Links::new((0..length).map(|n| (entity(n), [entity((n + 1) % length)].into())).collect());
        for n in 0..length {
            assert_eq!(links.severs(&entity(n), &entity((n + 1) % length)), Some("cycle"), "{n}");
        }
    }

    #[test]
    fn two_cycles_that_touch_in_one_direction_stay_two() {
        let links = links(&[("a", &["b"]), ("b", &["a", "c"]), ("c", &["d"]), ("d", &["c"])]);
        assert_eq!(severs(&links, "b", "c"), None);
        assert_eq!(severs(&links, "c", "d"), Some("cycle"));
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        let links = links(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &["e"])]);
        assert!(links.are_sound());
    }

    #[test]
    fn a_chain_is_followed_for_256_and_not_further() {
        let chain = |length: usize| {
            let entity = |n: usize| Entity::Flag(format!("f{n:06}").into());
            Links::new((1..length).map(|n| (entity(n), [entity(n - 1)].into())).collect())
        };
        assert!(chain(256).are_sound());
        assert!(!chain(257).are_sound());
        assert!(!chain(50_000).are_sound());
    }

    #[test]
    fn diamonds_that_double_are_cut_where_the_work_would_explode() {
        let entity = |n: usize, side: usize| Entity::Flag(format!("f{n:03}.{side}").into());
        let both = |n: usize| Arc::<[Entity]>::from([entity(n, 0), entity(n, 1)]);
        let edges = |levels: usize| {
            (1..levels).flat_map(|n| [(entity(n, 0), both(n - 1)), (entity(n, 1), both(n - 1))]).collect()
        };
        assert!(Links::new(edges(15)).are_sound());
        assert!(!Links::new(edges(40)).are_sound());
    }

    #[test]
    fn as_many_references_as_are_followed_are_sound_and_one_more_is_not() {
        let leaves = |count: u32| (0..count).map(|_| Entity::Flag("leaf".into())).collect();
        let star = |count| Links::new([(Entity::Flag("star".into()), leaves(count))].into());
        assert!(star(MAX_REFERENCE_WORK - 1).are_sound());
        assert!(!star(MAX_REFERENCE_WORK).are_sound());
    }

    /// Each reference is looked at once: a round over all of them for each step would take minutes here.
    #[test]
    fn dependents_of_a_long_chain_are_all_that_is_above() {
        let entity = |n: usize| Entity::Flag(format!("f{n:06}").into());
        let links = Links::new((1..100_000).map(|n| (entity(n - 1), [entity(n)].into())).collect());
        assert_eq!(links.dependents([entity(99_999)].into()).len(), 100_000);
        assert_eq!(links.dependents([entity(7)].into()).len(), 8);
    }

    #[test]
    fn dependents_are_found_through_others() {
        let links = links(&[("a", &["b"]), ("b", &["c"]), ("x", &["y"])]);
        let found = links.dependents([Entity::Flag("c".into())].into());
        let names: Vec<_> = found
            .iter()
            .map(|entity| match entity {
                Entity::Flag(key) | Entity::Segment(key) | Entity::List(key) => &**key,
            })
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
