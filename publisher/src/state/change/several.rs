//! Several changes of one request: all or none, in one entry, whatever their order in the request.

use std::collections::{BTreeMap, BTreeSet};

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, SegmentKey, ViewId};

use super::schedule::{ask_before_shrinking, past};
use super::together::{Place, Together};
use super::view::{change_of_missing_view, check_view};
use super::{Confirmation, Edit, Refusal, Terms};
use crate::author::{
    Attributes, Change, FlagDefinition, Mentioned, Problem, Segment, Targeting, ViewDefinition, Wish, pointer,
};
use crate::log::Entity;
use crate::lower::layer::Held;
use crate::lower::salt::{Chosen, Salts, UsedSalt};
use crate::lower::{Elsewhere, Splits, take};
use crate::state::entity::segment_to_json;
use crate::state::{EnvironmentState, SettledTargeting, State};

/// Makes several changes, which are checked by the state that all of them lead to.
///
/// What is so already is left out, whatever revision its author saw; if nothing is left there are no edits. The edits
/// stand in the order attributes, definitions, views, segments, targetings, each by key.
pub fn change_several(state: &State, changes: &[Change], terms: Terms) -> Result<Vec<Edit>, Refusal> {
    let views = views_after(state, changes);
    let mut several =
        Several { state, terms, together: Together::default(), refused: BTreeMap::new(), views };
    let mut problems = several.define(changes);
    several.told()?;
    let next = state.with(several.together.edits())?;
    let mut by_environment: BTreeMap<&EnvironmentId, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        if let Some(id) = change.wish.environment() {
            by_environment.entry(id).or_default().push(change);
        }
    }
    for (id, mut changes) in by_environment {
        let Some(environment) = next.environment(id.as_str()) else {
            let first = changes.first().map_or(0, |change| change.index);
            several.refuse(first, "environment", Refusal::no_environment(state, id.as_str()));
            continue;
        };
        changes.sort_by_key(|change| change.wish.entity());
        problems.extend(several.of_environment(&next, id, environment, &changes));
    }
    several.told()?;
    Refusal::unless_none(problems)?;
    several.together.check(state, terms.confirmation, "/changes")
}

struct Several<'s> {
    state: &'s State,
    terms: Terms,
    together: Together,
    /// Changes that can not be made at all, by their index.
    refused: BTreeMap<usize, Refusal>,
    /// How many views there will be.
    views: usize,
}

/// How many views there are after some changes: those that go make room for those that come.
fn views_after(state: &State, changes: &[Change]) -> usize {
    let come = changes.iter().filter(|change| match &change.wish {
        Wish::View(id, _) => state.own_view(id).is_none(),
        _ => false,
    });
    let go = changes.iter().filter(|change| match &change.wish {
        Wish::DeleteView(id) => state.own_view(id).is_some_and(|view| view.definition.is_some()),
        _ => false,
    });
    state.views().len().saturating_add(come.count()).saturating_sub(go.count())
}

/// The pointer to a member of a change.
fn at(index: usize, member: &str) -> String {
    pointer(["changes", &index.to_string(), member])
}

fn document(index: usize, member: &str) -> Place {
    Place { pointer: at(index, member), is_document: true, is_kill: false }
}

impl Several<'_> {
    fn refuse(&mut self, index: usize, member: &str, refusal: Refusal) {
        self.refused.entry(index).or_insert_with(|| refusal.at(at(index, member)));
    }

    /// The first change that is refused, if any is.
    fn told(&mut self) -> Result<(), Refusal> {
        self.refused.pop_first().map_or(Ok(()), |(_, refusal)| Err(refusal))
    }

    /// Whether the author of a change saw what is there; 0: nothing.
    fn is_fresh(&mut self, change: &Change, current: u64) -> bool {
        let fresh = change.revision.is_none_or(|seen| seen == current);
        if !fresh {
            self.refuse(change.index, "revision", Refusal::StaleRevision { current });
        }
        fresh
    }

    /// Definitions and archives.
    fn define(&mut self, changes: &[Change]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut of_flags: Vec<_> =
            changes.iter().filter(|change| change.wish.environment().is_none()).collect();
        of_flags.sort_by_key(|change| change.wish.entity());
        for change in of_flags {
            let index = change.index;
            let entity = change.wish.entity();
            let (wanted, place) = match &change.wish {
                Wish::Define(wanted) => {
                    let Some(wanted) = self.defined(change, wanted, &mut problems) else { continue };
                    (wanted, document(index, "definition"))
                }
                Wish::Archive(key) => {
                    let Some(wanted) = self.archived(change, key) else { continue };
                    let place = Place { pointer: at(index, "archive"), is_document: false, is_kill: false };
                    (wanted, place)
                }
                Wish::Attributes(wanted) => {
                    self.declare(change, wanted);
                    continue;
                }
                Wish::View(id, wanted) => {
                    self.view(change, id, Some(wanted));
                    continue;
                }
                Wish::DeleteView(id) => {
                    self.view(change, id, None);
                    continue;
                }
                _ => continue,
            };
            self.together.add(Edit::of(self.state, entity, &wanted.to_json()), place);
        }
        problems
    }

    fn declare(&mut self, change: &Change, wanted: &Attributes) {
        let present = self.state.attributes();
        if *present.attributes == *wanted || !self.is_fresh(change, present.revision) {
            return;
        }
        // The pointers of problems have the member `attributes` in them already.
        let pointer = pointer(["changes", &change.index.to_string()]);
        let place = Place { pointer, is_document: true, is_kill: false };
        self.together.add(Edit::of(self.state, Entity::Attributes, &wanted.to_json()), place);
    }

    fn view(&mut self, change: &Change, id: &ViewId, wanted: Option<&ViewDefinition>) {
        let present = self.state.own_view(id);
        let before = present.and_then(|present| present.definition.as_ref());
        let is_deleted = present.is_some_and(|present| present.definition.is_none());
        if wanted == before && (wanted.is_some() || is_deleted) {
            return;
        }
        let refused = match wanted {
            Some(wanted) => check_view(self.state, id, wanted, self.views).err(),
            None => change_of_missing_view(self.state, id),
        };
        if let Some(refusal) = refused {
            self.refuse(change.index, "view", refusal);
            return;
        }
        if !self.is_fresh(change, present.map_or(0, |present| present.revision)) {
            return;
        }
        let (json, place) = match wanted {
            Some(wanted) => (wanted.to_json(), document(change.index, "definition")),
            None => {
                let pointer = at(change.index, "delete");
                (Json::Null, Place { pointer, is_document: false, is_kill: false })
            }
        };
        self.together.add(Edit::of(self.state, Entity::View(id.clone()), &json), place);
    }

    /// What a definition becomes; `None` if it is so already, or is refused.
    fn defined(
        &mut self,
        change: &Change,
        wanted: &FlagDefinition,
        problems: &mut Vec<Problem>,
    ) -> Option<FlagDefinition> {
        let index = change.index;
        match self.state.flag(wanted.key.as_str()) {
            None => self.is_fresh(change, 0).then(|| wanted.clone()),
            Some(present) if present.definition.archived => {
                self.refuse(index, "flag", Refusal::KeyRetired);
                None
            }
            Some(present) if present.definition == *wanted => None,
            Some(present) => {
                if present.definition.flag_type != wanted.flag_type {
                    let detail = "the type of a flag does not change; make a new flag";
                    problems.push(Problem::invalid(format!("{}/type", at(index, "definition")), detail));
                }
                self.is_fresh(change, present.revision).then(|| wanted.clone())
            }
        }
    }

    fn archived(&mut self, change: &Change, key: &FlagKey) -> Option<FlagDefinition> {
        let Some(present) = self.state.flag(key.as_str()) else {
            self.refuse(change.index, "flag", Refusal::no_flag(self.state, key.as_str()));
            return None;
        };
        let fresh = !present.definition.archived && self.is_fresh(change, present.revision);
        fresh.then(|| FlagDefinition { archived: true, ..present.definition.clone() })
    }

    /// Segments and targetings of one environment; `next` has the new definitions.
    fn of_environment(
        &mut self,
        next: &State,
        id: &EnvironmentId,
        environment: &EnvironmentState,
        changes: &[&Change],
    ) -> Vec<Problem> {
        let (mut segments, mut targetings) = (Vec::new(), Vec::new());
        for &change in changes {
            match &change.wish {
                Wish::Segment(_, key, segment) => {
                    segments.extend(self.segment(environment, change, key, Some(segment)));
                }
                Wish::DeleteSegment(_, key) => segments.extend(self.segment(environment, change, key, None)),
                Wish::Target(_, key, authored) => {
                    targetings.extend(self.target(next, id, environment, change, key, authored));
                }
                Wish::Define(_)
                | Wish::Archive(_)
                | Wish::Attributes(_)
                | Wish::View(..)
                | Wish::DeleteView(_) => {}
            }
        }
        let mut problems = Vec::new();
        let mut salts = Claims::of(environment, &segments, &targetings);
        for (change, key, segment) in segments {
            let mut taken = salts.elsewhere(&Entity::Segment(id.clone(), key.clone()));
            for mention in segment.iter().flat_map(Segment::mentions) {
                if let Mentioned::Salt(salt) = mention.of {
                    let pointer = format!("{}{}", at(change.index, "definition"), mention.pointer);
                    take(salt, pointer, &mut taken, &mut problems);
                }
            }
            let entity = Entity::Segment(id.clone(), key.clone());
            let (edit, place) = match segment {
                Some(segment) => {
                    (Edit::of(next, entity, &segment_to_json(&segment)), document(change.index, "definition"))
                }
                None => {
                    let pointer = at(change.index, "delete");
                    let gone = Edit::of(next, entity, &Json::Null);
                    (gone, Place { pointer, is_document: false, is_kill: false })
                }
            };
            self.together.add(edit, place);
        }
        for Target { change, key, authored, before, is_kill } in targetings {
            let asks = self.terms.confirmation == Confirmation::Ask && !is_kill;
            if asks {
                let over = past(&authored, &before.authored, self.terms.now()).into_iter();
                problems.extend(over.map(|problem| problem.below(&at(change.index, "targeting"))));
            }
            let entity = Entity::Targeting(id.clone(), key.clone());
            let taken = salts.of_environment(key, &entity);
            match Splits::settle(key, &authored, Some((&before.authored, &before.splits)), taken) {
                Ok(splits) => {
                    let settled = SettledTargeting::new(authored, splits);
                    if asks && let Err(refusal) = ask_before_shrinking(&settled, before, self.terms.now()) {
                        self.refuse(change.index, "targeting", refusal);
                    }
                    let place = Place { is_kill, ..document(change.index, "targeting") };
                    self.together.add(Edit::of(next, entity.clone(), &settled.to_json()), place);
                    salts.settled(key, entity, settled);
                }
                Err(refused) => {
                    let prefix = at(change.index, "targeting");
                    problems.extend(refused.into_iter().map(|problem| problem.below(&prefix)));
                }
            }
        }
        problems
    }

    fn segment<'c>(
        &mut self,
        environment: &EnvironmentState,
        change: &'c Change,
        key: &'c SegmentKey,
        wanted: Option<&'c Segment>,
    ) -> Option<(&'c Change, &'c SegmentKey, Option<Segment>)> {
        let present = environment.segments.get(key);
        let before = present.and_then(|present| present.segment.as_ref()).map(Segment::instants);
        let wanted = wanted.map(|wanted| wanted.clone().settled_as(&before.unwrap_or_default()));
        let is_deleted = present.is_some_and(|present| present.segment.is_none());
        if wanted.is_some() && is_deleted {
            self.refuse(change.index, "segment", Refusal::KeyRetired);
            return None;
        }
        if wanted.is_none() && present.is_none() {
            self.refuse(change.index, "segment", Refusal::no_segment(environment, key.as_str()));
            return None;
        }
        if present.is_some_and(|present| present.segment == wanted) {
            return None;
        }
        let current = present.map_or(0, |present| present.revision);
        self.is_fresh(change, current).then_some((change, key, wanted))
    }

    fn target<'c>(
        &mut self,
        next: &State,
        id: &EnvironmentId,
        environment: &'c EnvironmentState,
        change: &'c Change,
        key: &'c FlagKey,
        authored: &Targeting,
    ) -> Option<Target<'c>> {
        let Some(flag) = environment.live_flag(key.as_str()) else {
            self.refuse(change.index, "flag", Refusal::no_flag(next, key.as_str()));
            return None;
        };
        let before = &*flag.targeting;
        let authored = authored.clone().settled_as(&before.instants).stated(&flag.flag.definition);
        if before.authored == authored {
            return None;
        }
        let is_kill = Targeting { on: false, ..before.authored.clone() } == authored;
        let current = self.state.place(&Entity::Targeting(id.clone(), key.clone())).0;
        self.is_fresh(change, current).then_some(Target { change, key, authored, before, is_kill })
    }
}

/// A targeting that changes.
struct Target<'c> {
    change: &'c Change,
    key: &'c FlagKey,
    authored: Targeting,
    before: &'c SettledTargeting,
    is_kill: bool,
}

/// The salts and slots of an environment while several of its flags and segments change.
///
/// What an author names and what a rule keeps is known beforehand, so that the order of changes does not matter.
struct Claims<'e> {
    environment: &'e EnvironmentState,
    flags: BTreeSet<FlagKey>,
    segments: BTreeSet<SegmentKey>,
    own: BTreeMap<Entity, Vec<UsedSalt>>,
    slots: BTreeMap<FlagKey, Vec<Held>>,
}

impl<'e> Claims<'e> {
    fn of(
        environment: &'e EnvironmentState,
        segments: &[(&Change, &SegmentKey, Option<Segment>)],
        targetings: &[Target<'_>],
    ) -> Self {
        let id = &environment.environment.id;
        let (mut claims, mut slots) = (BTreeMap::new(), BTreeMap::new());
        for (_, key, segment) in segments {
            let salts = segment.iter().flat_map(Segment::mentions);
            let salts = salts.filter_map(|mention| match mention.of {
                Mentioned::Salt(salt) => Some(UsedSalt::new(salt, Chosen::ByAuthor)),
                _ => None,
            });
            claims.insert(Entity::Segment(id.clone(), (*key).clone()), salts.collect());
        }
        for target in targetings {
            let before = Some((&target.before.authored, &target.before.splits));
            let salts = Splits::claimed(&target.authored, before);
            slots.insert(target.key.clone(), Held::claimed(target.key, &target.authored, before));
            claims.insert(Entity::Targeting(id.clone(), target.key.clone()), salts);
        }
        Self {
            environment,
            flags: targetings.iter().map(|target| target.key.clone()).collect(),
            segments: segments.iter().map(|(_, key, _)| (*key).clone()).collect(),
            own: claims,
            slots,
        }
    }

    /// What one of the changed flags has to heed.
    fn of_environment(&self, flag: &FlagKey, entity: &Entity) -> Elsewhere<'_> {
        let mut elsewhere = self.environment.elsewhere(|key| self.flags.contains(key));
        let others = self.slots.iter().filter(|(key, _)| *key != flag);
        elsewhere.slots.extend(others.flat_map(|(_, slots)| slots.iter().cloned()));
        Elsewhere { salts: self.elsewhere(entity), ..elsewhere }
    }

    /// Takes down what one of the changed flags has got.
    fn settled(&mut self, flag: &FlagKey, entity: Entity, settled: SettledTargeting) {
        let slots = Held::of(flag, &settled.authored, &settled.splits.slots).collect();
        self.slots.insert(flag.clone(), slots);
        self.own.insert(entity, settled.salts);
    }

    /// The salts in use, but for those of one of the changed entities.
    fn elsewhere(&self, but: &Entity) -> Salts<'_> {
        let flags = self.environment.live_flags().filter(|(key, _)| !self.flags.contains(*key));
        let flags = flags.flat_map(|(_, flag)| &flag.targeting.salts);
        let segments = self.environment.live_segments().filter(|(key, _)| !self.segments.contains(*key));
        let segments = segments.flat_map(|(_, segment)| &segment.salts);
        let claims = self.own.iter().filter(|(entity, _)| *entity != but).flat_map(|(_, salts)| salts);
        Salts::elsewhere(flags.chain(segments).chain(claims))
    }
}
