//! Which lines a view has, and which flags can not be in a public one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, ProjectId, SegmentKey, ViewId};
use flagstone_model::limits::MAX_LINES;
use flagstone_model::line::Head;

use super::State;
use super::checks::CheckLines;
use super::entity::{EnvironmentState, FlagInEnvironment, ListState, Reference, SegmentState};
use super::room::{MAX_KEYED_BYTES, MAX_MADE_BYTES, MAX_PACKED_BYTES, MAX_PUBLIC_BYTES};
use crate::author::{Attributes, Audience, Include, ViewDefinition};
use crate::lower::lower_environment;
use crate::view::{ANY_SALT, Redactor, Unfit};

/// What clients may know of attributes, as the log leaves it.
#[derive(Debug, Clone, Default)]
pub struct AttributesState {
    /// What was declared.
    pub attributes: Arc<Attributes>,
    /// Its edit number; 0 if nothing was ever declared.
    pub revision: u64,
    /// The last entry that changed it.
    pub seq: u64,
}

/// A view of the project. Deleted ones stay: their ids are never used again.
#[derive(Debug, Clone)]
pub struct ViewState {
    /// What its author wrote; `None` if it was deleted.
    pub definition: Option<ViewDefinition>,
    /// Its edit number.
    pub revision: u64,
    /// The last entry that changed it.
    pub seq: u64,
}

/// What stands in the way of a client-visible flag, and in whose line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// Whose line.
    pub at: ObstacleAt,
    /// What.
    pub unfit: Unfit,
}

/// Whose line an obstacle is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObstacleAt {
    /// A flag, which may be the one that is in the way or one that it reaches.
    Flag(FlagKey),
    /// A segment that the flag reaches.
    Segment(SegmentKey),
}

impl State {
    /// Every view there is, in the order in which their streams are published: `server`, then the keyed ones, then
    /// the public ones, `client` first; each by id.
    pub fn views(&self) -> Vec<(ViewId, ViewDefinition)> {
        let own = self.views.iter().filter_map(|(id, view)| Some((id.clone(), view.definition.clone()?)));
        let built_in =
            [(ViewId::server(), ViewDefinition::SERVER), (ViewId::client(), ViewDefinition::CLIENT)];
        let mut views: Vec<_> = built_in.into_iter().chain(own).collect();
        // Stable: what is built in stays in front.
        views.sort_by_key(|(_, view)| view.audience);
        views
    }

    /// A view that is not deleted.
    pub fn view(&self, id: &ViewId) -> Option<ViewDefinition> {
        if *id == ViewId::server() {
            return Some(ViewDefinition::SERVER);
        }
        if *id == ViewId::client() {
            return Some(ViewDefinition::CLIENT);
        }
        self.views.get(id)?.definition.clone()
    }

    /// A view that its author wrote, a deleted one too. What is built in is none.
    pub fn own_view(&self, id: &ViewId) -> Option<&Arc<ViewState>> {
        self.views.get(id)
    }

    /// What is declared of attributes.
    pub const fn attributes(&self) -> &AttributesState {
        &self.attributes
    }

    /// The environments that were made before there were public views, and have no salt for them.
    pub fn without_client_salt(&self) -> impl Iterator<Item = (&EnvironmentId, &Arc<EnvironmentState>)> {
        self.environments().filter(|(_, environment)| environment.client_salt.is_none())
    }
}

/// Room for checks, beside what is served.
struct Room {
    lines: usize,
    bytes: usize,
}

impl Room {
    /// As many of some lines as there is room for, the first by text before the others.
    fn fill(&mut self, mut lines: Vec<Arc<str>>) -> Vec<Arc<str>> {
        lines.sort_unstable();
        lines.truncate(self.lines);
        lines.retain(|line| {
            let left = self.bytes.checked_sub(line.len().saturating_add(1));
            self.bytes = left.unwrap_or(self.bytes);
            left.is_some()
        });
        self.lines = self.lines.saturating_sub(lines.len());
        lines
    }
}

/// Checks stand before everything else, and are sorted as lines: by text, so that 10 comes before 2. There are as many
/// as there is room for beside what is served, `bytes` in all; those that were made come last, and in what is too large
/// to be sure of how it packs only [`MAX_MADE_BYTES`] of them (FORMAT M-1.15).
fn after_checks(checks: CheckLines, others: Vec<Arc<str>>, bytes: usize) -> Vec<Arc<str>> {
    let served: usize = others.iter().map(|line| line.len().saturating_add(1)).sum();
    let mut room =
        Room { lines: MAX_LINES.saturating_sub(others.len()), bytes: bytes.saturating_sub(served) };
    let mut all = room.fill(checks.written);
    let taken = bytes.saturating_sub(room.bytes);
    room.bytes = room.bytes.min(MAX_PACKED_BYTES.saturating_sub(taken).max(MAX_MADE_BYTES));
    all.extend(room.fill(checks.made));
    all.sort_unstable();
    all.extend(others);
    all
}

/// The flags of a view, and the segments that they reach.
#[derive(Debug, Default)]
pub(super) struct Reached<'e> {
    pub(super) flags: BTreeMap<&'e FlagKey, &'e Arc<FlagInEnvironment>>,
    pub(super) segments: BTreeMap<&'e SegmentKey, &'e Arc<SegmentState>>,
    lists: BTreeMap<&'e ListKey, &'e Arc<ListState>>,
}

impl<'e> Reached<'e> {
    /// Adds a flag and what it reaches.
    fn add(&mut self, environment: &'e EnvironmentState, key: &'e FlagKey, flag: &'e Arc<FlagInEnvironment>) {
        let mut open: Vec<&Reference> = Vec::new();
        if self.flags.insert(key, flag).is_none() {
            open.extend(&flag.targeting.references);
        }
        while let Some(reference) = open.pop() {
            match reference {
                Reference::Flag(test) => {
                    let found = environment.flags.get_key_value(&test.flag);
                    if let Some((key, flag)) = found.filter(|(_, flag)| !flag.is_archived())
                        && self.flags.insert(key, flag).is_none()
                    {
                        open.extend(&flag.targeting.references);
                    }
                }
                Reference::Segment(key) => {
                    let found = environment.segments.get_key_value(key);
                    if let Some((key, segment)) = found.filter(|(_, found)| found.segment.is_some())
                        && self.segments.insert(key, segment).is_none()
                    {
                        open.extend(&segment.references);
                    }
                }
                Reference::List(key) => {
                    let found = environment.lists.get_key_value(key);
                    self.lists.extend(found.filter(|(_, list)| list.content.is_some()));
                }
            }
        }
    }
}

impl EnvironmentState {
    /// The line of the environment itself in a keyed view.
    pub(super) fn own_line(&self, project: &ProjectId, view: &ViewId) -> String {
        lower_environment(&self.environment.id, project, view, self.attributes.declared_private())
    }

    /// The lines of its snapshot in the view `server`, sorted. A list that no flag and no segment names is in no
    /// snapshot.
    pub fn lines(&self, project: &ProjectId, view: &ViewId) -> Vec<Arc<str>> {
        after_checks(self.check_lines(), self.lines_but_checks(project, view), MAX_KEYED_BYTES)
    }

    /// The same, without checks.
    pub(super) fn lines_but_checks(&self, project: &ProjectId, view: &ViewId) -> Vec<Arc<str>> {
        let head = self.own_line(project, view).into();
        let flags = self.live_flags().map(|(_, flag)| Arc::clone(flag.line()));
        let named = if self.lists.is_empty() { BTreeSet::new() } else { self.named_lists() };
        let lists = self.lists.iter().filter(|(key, _)| named.contains(key));
        let lists = lists.filter_map(|(key, list)| list.line(key).cloned());
        let segments = self.segments.iter().filter_map(|(key, segment)| segment.line(key).cloned());
        [head].into_iter().chain(flags).chain(lists).chain(segments).collect()
    }

    /// The lines of the checks of some flags.
    fn checks_of(&self, flags: &BTreeMap<&FlagKey, &Arc<FlagInEnvironment>>) -> CheckLines {
        let is_of_one = |line: &Arc<str>| {
            let of = Head::parse(line.as_bytes()).and_then(|head| head.key.rsplit_once('/'));
            of.and_then(|(flag, _)| FlagKey::parse(flag).ok()).is_some_and(|flag| flags.contains_key(&flag))
        };
        let mut lines = self.check_lines();
        lines.written.retain(is_of_one);
        lines.made.retain(is_of_one);
        lines
    }

    /// The lines of its snapshot in a view, sorted; `None` if the view is public and the environment has no salt yet.
    pub fn lines_in(
        &self,
        project: &ProjectId,
        view: &ViewId,
        definition: &ViewDefinition,
    ) -> Option<Vec<Arc<str>>> {
        match definition.audience {
            Audience::Keyed if definition.include == Include::All => Some(self.lines(project, view)),
            Audience::Keyed => Some(self.keyed_lines(project, view, definition)),
            Audience::Public => self.public_lines(project, view, definition),
        }
    }

    /// The lines of the flags of a view, and of all that they reach, as they are.
    fn keyed_lines(&self, project: &ProjectId, view: &ViewId, definition: &ViewDefinition) -> Vec<Arc<str>> {
        let Reached { flags, segments, lists } = self.reached(definition);
        let checks = self.checks_of(&flags);
        let head = self.own_line(project, view).into();
        let flags = flags.into_values().map(|flag| Arc::clone(flag.line()));
        let lists = lists.into_iter().filter_map(|(key, list)| list.line(key).cloned());
        let segments = segments.into_iter().filter_map(|(key, segment)| segment.line(key).cloned());
        let others = [head].into_iter().chain(flags).chain(lists).chain(segments);
        after_checks(checks, others.collect(), MAX_KEYED_BYTES)
    }

    fn public_lines(
        &self,
        project: &ProjectId,
        view: &ViewId,
        definition: &ViewDefinition,
    ) -> Option<Vec<Arc<str>>> {
        self.client_salt.as_ref()?;
        let redactor = self.redactor();
        let reached = self.reached(definition);
        let mut checks = self.checks_of(&reached.flags);
        checks.written.retain(|check| redactor.shows_check(check));
        checks.made.retain(|check| redactor.shows_check(check));
        Some(after_checks(checks, self.redacted_lines(project, view, reached)?, MAX_PUBLIC_BYTES))
    }

    /// The lines of a public view, without checks.
    pub(super) fn redacted_lines(
        &self,
        project: &ProjectId,
        view: &ViewId,
        Reached { flags, segments, .. }: Reached<'_>,
    ) -> Option<Vec<Arc<str>>> {
        let redactor = self.redactor();
        let head = redactor.environment(&self.own_line(project, view)).ok()?.into();
        let flags = flags.into_values().filter_map(|flag| flag.redacted(redactor).ok().cloned());
        let segments =
            segments.into_iter().filter_map(|(key, segment)| segment.redacted(key, redactor)?.ok());
        // Opaque keys are in another order than those they stand for.
        let segments: BTreeSet<Arc<str>> = segments.collect();
        Some([head].into_iter().chain(flags).chain(segments).collect())
    }

    /// The flags of a view that have nothing in their way, and what they reach.
    pub(super) fn reached(&self, definition: &ViewDefinition) -> Reached<'_> {
        let included = |flag: &FlagInEnvironment| match &definition.include {
            Include::All => true,
            Include::Client => flag.flag.definition.client_visible,
            Include::Tag(tag) => flag.flag.definition.tags.contains(tag),
        };
        let mut reached = Reached::default();
        for (key, flag) in self.live_flags().filter(|(_, flag)| included(flag)) {
            let is_shown = definition.audience == Audience::Keyed
                || (flag.flag.definition.client_visible && self.obstacles(key, flag).is_empty());
            if is_shown {
                reached.add(self, key, flag);
            }
        }
        reached
    }

    /// Client-visible flags that can not be in a public view, each with what is in the way. A change that would make
    /// one is refused, so there are only those that are older than public views, or than a rule of what they can show.
    pub fn unfit(&self) -> BTreeMap<&FlagKey, BTreeSet<Obstacle>> {
        let visible = self.live_flags().filter(|(_, flag)| flag.flag.definition.client_visible);
        let obstacles = visible.map(|(key, flag)| (key, self.obstacles(key, flag)));
        obstacles.filter(|(_, obstacles)| !obstacles.is_empty()).collect()
    }

    /// What keeps a client-visible flag out of public views, in its own line or in one that it reaches.
    fn obstacles(&self, key: &FlagKey, flag: &Arc<FlagInEnvironment>) -> BTreeSet<Obstacle> {
        let redactor = self.redactor();
        if flag.targeting.references.is_empty() {
            let own = flag.redacted(redactor).err().into_iter().flatten().cloned();
            return own.map(|unfit| Obstacle { at: ObstacleAt::Flag(key.clone()), unfit }).collect();
        }
        let mut reached = Reached::default();
        let Some((key, flag)) = self.flags.get_key_value(key) else { return BTreeSet::new() };
        reached.add(self, key, flag);
        let mut obstacles = BTreeSet::new();
        for (key, flag) in &reached.flags {
            let at = || ObstacleAt::Flag((*key).clone());
            let own = flag.redacted(redactor).err().into_iter().flatten().cloned();
            obstacles.extend(own.map(|unfit| Obstacle { at: at(), unfit }));
            obstacles
                .extend(self.hidden(&flag.targeting.references).map(|unfit| Obstacle { at: at(), unfit }));
        }
        for (key, segment) in &reached.segments {
            let at = || ObstacleAt::Segment((*key).clone());
            let own = segment.redacted(key, redactor).and_then(Result::err).into_iter().flatten();
            obstacles.extend(own.map(|unfit| Obstacle { at: at(), unfit }));
            obstacles.extend(self.hidden(&segment.references).map(|unfit| Obstacle { at: at(), unfit }));
        }
        obstacles
    }

    /// The flags among references that are not client-visible.
    fn hidden<'r>(&'r self, references: &'r [Reference]) -> impl Iterator<Item = Unfit> + 'r {
        references.iter().filter_map(|reference| match reference {
            Reference::Flag(test) => {
                let found = self.live_flag(test.flag.as_str());
                let is_visible = found.is_none_or(|flag| flag.flag.definition.client_visible);
                (!is_visible).then(|| Unfit::HiddenFlag { flag: test.flag.to_string() })
            }
            // A test of a list is refused where it stands.
            Reference::Segment(_) | Reference::List(_) => None,
        })
    }

    /// Makes lines of public views. While the environment has no salt they only show what is in the way, and how long
    /// they are.
    pub(super) fn redactor(&self) -> Redactor<'_> {
        Redactor::new(&self.attributes, self.client_salt.as_ref().unwrap_or(&ANY_SALT))
    }

    /// The same with other declarations, or its first salt: what was redacted by the earlier ones is forgotten.
    pub(super) fn declared(&mut self, attributes: &Arc<Attributes>) {
        self.attributes = Arc::clone(attributes);
        let flags = self.flags.iter();
        self.flags = flags.map(|(key, flag)| (key.clone(), Arc::new(flag.unredacted()))).collect();
        let segments = self.segments.iter();
        self.segments =
            segments.map(|(key, segment)| (key.clone(), Arc::new(segment.unredacted()))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(head: &str, count: usize, bytes: usize) -> Vec<Arc<str>> {
        (0..count)
            .map(|number| format!("{head}{number:0>width$}", width = bytes - head.len() - 1).into())
            .collect()
    }

    #[test]
    fn checks_that_are_made_fill_what_those_that_were_written_leave() {
        const KIB: usize = 1024;
        let kept = |written: usize, others: usize, max: usize| {
            let checks = CheckLines { written: lines("z", written, KIB), made: lines("a", 20 * KIB, KIB) };
            let all = after_checks(checks, lines("{", others, KIB), max);
            let of = |head: &str| all.iter().filter(|line| line.starts_with(head)).count();
            assert_eq!(of("{"), others);
            (of("z"), of("a"))
        };
        // Small: up to what packs for sure. Large: what a reader has room for besides. Full: nothing, and what was written
        // stays, though it comes later by text.
        assert_eq!(kept(KIB, KIB, MAX_KEYED_BYTES), (KIB, MAX_PACKED_BYTES / KIB - 2 * KIB));
        assert_eq!(kept(KIB, 6 * KIB + 512, MAX_KEYED_BYTES), (KIB, MAX_MADE_BYTES / KIB));
        assert_eq!(kept(KIB, 10 * KIB, MAX_KEYED_BYTES), (KIB, MAX_MADE_BYTES / KIB));
        assert_eq!(kept(2 * KIB, 12 * KIB, MAX_PUBLIC_BYTES), (2 * KIB, 0));
        assert_eq!(kept(2 * KIB, 12 * KIB - 1, MAX_PUBLIC_BYTES), (2 * KIB, 1));
    }
}
