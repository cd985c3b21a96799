//! A compiled snapshot, and the next one from what changed.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flagstone_model::line::{DropLine, Kind};
use flagstone_model::path::Path;
use flagstone_model::value::FlagType;

use crate::check::{CheckLine, CheckLines, Checks};
use crate::compile::{self, Compiled};
use crate::environment::Environment;
use crate::flag::{Entity, Flag, Segment};
use crate::links::{BrokenReference, Links};
use crate::lists::{ListEntry, bases};
use crate::report::Report;
use crate::table::Table;

/// The compiled content of one stream at one version. Immutable; the next version shares what did not change.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) flags: Table<Flag>,
    pub(crate) segments: Table<Segment>,
    pub(crate) lists: Table<ListEntry>,
    pub(crate) checks: Table<Checks>,
    pub(crate) links: Arc<Links>,
    pub(crate) environment: Environment,
}

/// Says how much there is: operands, values, and keys of lists may be personal.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flags, segments, lists) = (self.flags.len(), self.segments.len(), self.lists.len());
        write!(f, "Snapshot({flags} flags, {segments} segments, {lists} lists)")
    }
}

/// A snapshot made from an older one.
#[derive(Debug)]
pub struct Update {
    /// The new snapshot.
    pub snapshot: Snapshot,
    /// What is wrong with the lines that were put in.
    pub report: Report,
    /// Flags whose line was put in or taken out, and flags that reach something so changed; ascending.
    pub changed: Vec<Arc<str>>,
}

impl Snapshot {
    /// A snapshot of nothing.
    pub fn empty() -> Self {
        Self::compile(core::iter::empty()).0
    }

    /// Compiles all lines of a snapshot. A line that cannot be read costs its own entity and nothing else.
    pub fn compile<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> (Self, Report) {
        let mut report = Report::default();
        let (mut flags, mut segments, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        let mut checks = CheckLines::default();
        let mut environment = Environment::default();
        for line in lines {
            match compile::line(line, &mut report.problems) {
                Some(Compiled::Flag(flag)) => flags.push(Arc::new(flag)),
                Some(Compiled::Segment(segment)) => segments.push(Arc::new(segment)),
                Some(Compiled::List(list)) => lists.push(Arc::new(list)),
                Some(Compiled::Check(line)) => checks.note(line),
                Some(Compiled::Environment(line)) => environment = line,
                Some(Compiled::Other) => {}
                None => report.headless_lines = report.headless_lines.saturating_add(1),
            }
        }
        let (flags, segments) = (Table::new(flags), Table::new(segments));
        let of_flags = flags.iter().map(|flag| (Entity::Flag(flag.key.clone()), &flag.references));
        let of_segments =
            segments.iter().map(|segment| (Entity::Segment(segment.key.clone()), &segment.references));
        let edges = of_flags
            .chain(of_segments)
            .filter(|(_, references)| !references.is_empty())
            .map(|(entity, references)| (entity, Arc::from(&**references)))
            .collect();
        let lists = Table::new(lists);
        let checks = checks.put_into(Table::new(Vec::new()));
        (Self { flags, segments, lists, checks, links: Arc::new(Links::new(edges)), environment }, report)
    }

    /// The snapshot after `upserts` were put in and `drops` taken out; only these are compiled.
    ///
    /// Of a list whose line names another object than before, the keys stay what they were until that object is put in:
    /// see [`Snapshot::wanted_lists`].
    pub fn update<'a>(
        &self,
        upserts: impl IntoIterator<Item = &'a [u8]>,
        drops: impl IntoIterator<Item = DropLine<'a>>,
    ) -> Update {
        let mut next = self.clone();
        let mut report = Report::default();
        let mut touched = Touched::default();
        let (mut checks, mut held) = (CheckLines::default(), None);
        for line in upserts {
            match compile::line(line, &mut report.problems) {
                Some(Compiled::Flag(flag)) => {
                    let flag = Arc::new(flag);
                    let old = next.flags.insert(flag.clone());
                    touched.note(
                        Entity::Flag(flag.key.clone()),
                        old.as_ref().map(|old| &*old.references),
                        &flag.references,
                    );
                }
                Some(Compiled::Segment(segment)) => {
                    let segment = Arc::new(segment);
                    let old = next.segments.insert(segment.clone());
                    let old = old.as_ref().map(|old| &*old.references);
                    touched.note(Entity::Segment(segment.key.clone()), old, &segment.references);
                }
                Some(Compiled::List(list)) => {
                    let list = list.after(&self.lists, held.get_or_insert_with(|| bases(&self.lists)));
                    next.lists.insert(Arc::new(list));
                }
                Some(Compiled::Check(line)) => checks.note(line),
                Some(Compiled::Environment(line)) => next.environment = line,
                Some(Compiled::Other) => {}
                None => report.headless_lines = report.headless_lines.saturating_add(1),
            }
        }
        for DropLine { head } in drops {
            match head.kind() {
                Kind::Flag => {
                    if let Some(old) = next.flags.remove(head.key) {
                        touched.note(Entity::Flag(old.key.clone()), Some(&old.references), &[]);
                    }
                }
                Kind::Segment => {
                    if let Some(old) = next.segments.remove(head.key) {
                        touched.note(Entity::Segment(old.key.clone()), Some(&old.references), &[]);
                    }
                }
                Kind::List => {
                    next.lists.remove(head.key);
                }
                Kind::Check => checks.note(CheckLine::gone(head.key)),
                Kind::Environment => next.environment = Environment::default(),
                _ => {}
            }
        }
        next.checks = checks.put_into(next.checks);
        if !touched.edges.is_empty() {
            let mut edges = next.links.edges().clone();
            for (entity, references) in touched.edges {
                if references.is_empty() {
                    edges.remove(&entity);
                } else {
                    edges.insert(entity, references);
                }
            }
            next.links = Arc::new(Links::new(edges));
        }
        let changed = next.changed_since(self);
        Update { snapshot: next, report, changed }
    }

    /// The flags that are not what they were in `before`, or reach something that is not; ascending. A flag that was put
    /// in or taken out is among them.
    ///
    /// Snapshots that were made from one another share what did not change; a line that was compiled anew is another.
    pub fn changed_since(&self, before: &Self) -> Vec<Arc<str>> {
        let flags = self.flags.differing(&before.flags).map(|flag| Entity::Flag(flag.key.clone()));
        let segments = self.segments.differing(&before.segments);
        let segments = segments.map(|segment| Entity::Segment(segment.key.clone()));
        let lists = self.lists.differing(&before.lists).map(|list| Entity::List(list.key.clone()));
        let differing = flags.chain(segments).chain(lists).collect();
        let changed = self.links.dependents(differing).into_iter().filter_map(|entity| match entity {
            Entity::Flag(key) => Some(key),
            Entity::Segment(_) | Entity::List(_) => None,
        });
        changed.collect()
    }

    /// Whether what `path` leads to must not leave the process: the environment says so of it or of what it lies in.
    pub fn is_private(&self, path: &Path) -> bool {
        self.environment.private.covers(path)
    }

    /// How many flags there are, unreadable ones included.
    pub const fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there is no flag.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys of all flags, in no order.
    pub fn flag_keys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.flags.iter().map(|flag| &flag.key)
    }

    /// The type of a flag, if its line could be read.
    pub fn flag_type(&self, key: &str) -> Option<FlagType> {
        self.flags.find(key)?.body.as_ref().map(|body| body.flag_type)
    }

    /// Every reference that leads nowhere, round in a circle, or too far: unsupported wherever it is evaluated.
    pub fn broken_references(&self) -> Vec<BrokenReference> {
        let all = self.links.edges().iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
        // A reference may be mentioned often, and is told once.
        let all: BTreeSet<_> = all.collect();
        let broken = all.into_iter().filter_map(|(from, to)| {
            let exists = match to {
                Entity::Flag(key) => self.flags.find(key).is_some(),
                Entity::Segment(key) => self.segments.find(key).is_some(),
                Entity::List(key) => self.lists.find(key).is_some(),
            };
            let code = if exists { self.links.severs(from, to)? } else { "dangling" };
            Some(BrokenReference { from: from.clone(), to: to.clone(), code })
        });
        broken.collect()
    }
}

/// The new references of those whose references are not what they were.
#[derive(Default)]
struct Touched {
    edges: BTreeMap<Entity, Arc<[Entity]>>,
}

impl Touched {
    fn note(&mut self, entity: Entity, old: Option<&[Entity]>, new: &[Entity]) {
        if old.unwrap_or_default() != new || self.edges.contains_key(&entity) {
            self.edges.insert(entity, new.into());
        }
    }
}
