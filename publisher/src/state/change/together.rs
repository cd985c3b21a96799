//! Edits of one entry that are checked together: by the state that all of them lead to.

use std::collections::{BTreeMap, HashMap};

use flagstone_model::key::{EnvironmentId, FlagKey};
use flagstone_model::limits::MAX_SEGMENT_LINE_BYTES;

use super::client::{self, Spoken};
use super::flag::long_line;
use super::view::check_private_lines;
use super::{Confirmation, Edit, MANY_FLAGS, Refusal};
use crate::author::{Problem, Segment, code};
use crate::log::Entity;
use crate::lower::lower_segment;
use crate::state::experiments::{self, At};
use crate::state::references::{Changed, Graph, Node, check_all, unknown_variations};
use crate::state::{EnvironmentState, State};

/// Where a request speaks of an entity.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// A JSON Pointer into the request.
    pub(super) pointer: String,
    /// Whether the entity's own document stands there, so that pointers go on into it.
    pub(super) is_document: bool,
    /// Whether it only switches a flag off, which never asks.
    pub(super) is_kill: bool,
}

/// Edits of one entry, each of another entity.
#[derive(Debug, Default)]
pub(super) struct Together {
    edits: Vec<Edit>,
    places: BTreeMap<Entity, Place>,
}

impl Together {
    /// Adds an edit; the order is that of the entry.
    pub(super) fn add(&mut self, edit: Edit, place: Place) {
        self.places.insert(edit.change.entity.clone(), place);
        self.edits.push(edit);
    }

    /// The edits so far.
    pub(super) fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// Checks the state that all edits lead to. Faults that no edit is to blame for are told at `elsewhere`.
    pub(super) fn check(
        self,
        before: &State,
        confirmation: Confirmation,
        elsewhere: &str,
    ) -> Result<Vec<Edit>, Refusal> {
        let next = before.with(&self.edits)?;
        let mut problems = Vec::new();
        for (id, environment) in next.environments() {
            problems.extend(self.variations(id, environment));
            let changed = self.changed(id, environment);
            if !changed.is_empty() {
                problems.extend(check_all(environment, &changed, elsewhere).err().unwrap_or_default());
            }
            let targeted = self.places.iter().filter_map(|(entity, place)| match entity {
                Entity::Targeting(of, key) if of == id => {
                    Some((key, At { pointer: &place.pointer, is_document: place.is_document }))
                }
                _ => None,
            });
            problems.extend(experiments::check(environment, &targeted.collect()));
            problems.extend(self.sizes(before, &next, id, environment));
        }
        Refusal::unless_none(problems)?;
        Refusal::unless_checked(before, &next, confirmation, |id, key| {
            let place = self.places.get(&Entity::Targeting(id.clone(), key.clone()))?;
            place.is_document.then(|| place.pointer.clone())
        })?;
        if let Some(place) = self.places.get(&Entity::Attributes) {
            check_private_lines(&next, &place.pointer)?;
        }
        let mut spoken = Spoken::elsewhere(elsewhere);
        for (entity, Place { pointer, is_document, .. }) in &self.places {
            spoken.add(entity.clone(), pointer.clone(), *is_document);
        }
        Refusal::unless_none(client::check(before, &next, &spoken))?;
        Refusal::unless_room(before, &next, elsewhere)?;
        if confirmation == Confirmation::Ask {
            for (id, environment) in before.environments() {
                self.confirm(id, environment)?;
            }
        }
        Ok(self.edits)
    }

    /// What changed in an environment, for the pointers of problems.
    fn changed<'a>(
        &'a self,
        id: &EnvironmentId,
        environment: &'a EnvironmentState,
    ) -> HashMap<Node<'a>, Changed<'a>> {
        let mut changed = HashMap::new();
        // A targeting comes after its flag's definition, and what it names is told in it.
        for (entity, Place { pointer, is_document, .. }) in &self.places {
            let pointer = pointer.clone();
            match entity {
                Entity::Flag(key) => {
                    changed.insert(Node::Flag(key.as_str()), Changed { pointer, mentions: None });
                }
                Entity::Targeting(of, key) if of == id => {
                    let flag = environment.flags.get(key).filter(|_| *is_document);
                    let mentions = flag.map(|flag| flag.targeting.authored.mentions());
                    changed.insert(Node::Flag(key.as_str()), Changed { pointer, mentions });
                }
                Entity::Segment(of, key) if of == id => {
                    let segment = environment.live_segment(key.as_str()).filter(|_| *is_document);
                    let mentions = segment.map(Segment::mentions);
                    changed.insert(Node::Segment(key.as_str()), Changed { pointer, mentions });
                }
                Entity::List(of, key) if of == id => {
                    changed.insert(Node::List(key.as_str()), Changed { pointer, mentions: None });
                }
                _ => {}
            }
        }
        changed
    }

    /// Targetings that name variations of their own flag that it does not have, or has no more.
    fn variations(&self, id: &EnvironmentId, environment: &EnvironmentState) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, place) in self.flags(id) {
            let Some(flag) = environment.live_flag(key.as_str()) else { continue };
            let mentions = flag.targeting.authored.mentions();
            let targeted = self.places.get(&Entity::Targeting(id.clone(), key.clone()));
            let told = match targeted {
                Some(place) if place.is_document => {
                    let unknown = unknown_variations(&mentions, &flag.flag.definition, code::INVALID_REQUEST);
                    unknown.into_iter().map(|problem| problem.below(&place.pointer)).collect::<Vec<_>>()
                }
                _ => {
                    let at_variations = targeted.is_none() && place.is_document;
                    let below = if at_variations { "/variations" } else { "" };
                    let told = |problem: Problem| Problem {
                        detail: format!(
                            "{}, but its targeting in environment `{id}` names it at `{}`",
                            problem.detail, problem.pointer
                        ),
                        pointer: format!("{}{below}", targeted.unwrap_or(place).pointer),
                        ..problem
                    };
                    let unknown =
                        unknown_variations(&mentions, &flag.flag.definition, code::DANGLING_REFERENCE);
                    unknown.into_iter().map(told).collect()
                }
            };
            problems.extend(told);
        }
        problems
    }

    /// The flags whose line in an environment changes, each where the request speaks of it.
    fn flags<'t>(&'t self, id: &EnvironmentId) -> BTreeMap<&'t FlagKey, &'t Place> {
        let of = |(entity, place): (&'t Entity, &'t Place)| match entity {
            Entity::Flag(key) => Some((key, place)),
            Entity::Targeting(of, key) if of == id => Some((key, place)),
            _ => None,
        };
        self.places.iter().rev().filter_map(of).collect()
    }

    /// Lines that are too long.
    fn sizes(
        &self,
        before: &State,
        next: &State,
        id: &EnvironmentId,
        environment: &EnvironmentState,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, place) in self.flags(id) {
            let told = long_line(before, next, id, key);
            problems.extend(told.map(|detail| Problem::invalid(place.pointer.clone(), detail)));
        }
        for (entity, place) in &self.places {
            if let Entity::Segment(of, key) = entity
                && of == id
            {
                let segment = environment.live_segment(key.as_str());
                let size = segment.map_or(0, |segment| lower_segment(key, segment).len());
                if size > MAX_SEGMENT_LINE_BYTES {
                    let detail = format!(
                        "the segment would have {size} bytes in environment `{id}`, at most \
                         {MAX_SEGMENT_LINE_BYTES} are allowed"
                    );
                    problems.push(Problem::invalid(place.pointer.clone(), detail));
                }
            }
        }
        problems
    }

    /// Asks if more than half of the many flags an environment had are reached by the changes of what was there.
    fn confirm(&self, id: &EnvironmentId, environment: &EnvironmentState) -> Result<(), Refusal> {
        let of = environment.live_flags().count();
        if of < MANY_FLAGS {
            return Ok(());
        }
        let asking = self.places.iter().filter(|(_, place)| !place.is_kill);
        let nodes = asking.filter_map(|(entity, _)| match entity {
            Entity::Flag(key) => environment.live_flag(key.as_str()).map(|_| Node::Flag(key.as_str())),
            Entity::Targeting(of, key) if of == id => {
                environment.live_flag(key.as_str()).map(|_| Node::Flag(key.as_str()))
            }
            Entity::Segment(of, key) if of == id => {
                environment.live_segment(key.as_str()).map(|_| Node::Segment(key.as_str()))
            }
            Entity::List(of, key) if of == id => {
                environment.live_list(key.as_str()).map(|_| Node::List(key.as_str()))
            }
            _ => None,
        });
        let touched = Graph::of(environment).flags_reaching(nodes);
        if touched.saturating_mul(2) > of { Err(Refusal::NeedsConfirmation { touched, of }) } else { Ok(()) }
    }
}
