//! What one flag's answer depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flagstone_eval::Entity;
use flagstone_model::key::{ListKey, SegmentKey};

use super::EnvironmentState;
use super::entity::Reference;

/// The lines that a flag's answer depends on, its own among them; `None` where something is named that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// By what they are of.
    pub lines: BTreeMap<Entity, Option<Arc<str>>>,
    /// The lines of the lists that these look in, by key.
    pub lists: BTreeMap<ListKey, Option<Arc<str>>>,
}

impl Reach {
    /// Whether these are the very same lines.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |(a, b): (&Option<Arc<str>>, &Option<Arc<str>>)| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
            (None, None) => true,
            _ => false,
        };
        self.lines.keys().eq(other.lines.keys()) && self.lines.values().zip(other.lines.values()).all(same)
    }

    /// The line of an entity.
    pub fn line(&self, entity: &Entity) -> Option<&Arc<str>> {
        self.lines.get(entity)?.as_ref()
    }
}

impl EnvironmentState {
    /// The lines that a flag's answer depends on, through prerequisites and segments.
    pub fn reach(&self, flag: &str) -> Reach {
        let mut reach = Reach::default();
        let mut open = vec![Entity::Flag(flag.into())];
        while let Some(entity) = open.pop() {
            if reach.lines.contains_key(&entity) {
                continue;
            }
            let (line, references) = match &entity {
                Entity::Flag(key) => match self.live_flag(key) {
                    Some(flag) => (Some(Arc::clone(flag.line())), &flag.targeting.references[..]),
                    None => (None, &[][..]),
                },
                Entity::Segment(key) => {
                    let found =
                        SegmentKey::parse(key).ok().and_then(|key| Some((self.segments.get(&key)?, key)));
                    match found {
                        Some((segment, key)) => (segment.line(&key).cloned(), &segment.references[..]),
                        None => (None, &[][..]),
                    }
                }
                Entity::List(_) => (None, &[][..]),
            };
            for reference in references {
                match reference {
                    Reference::Flag(test) => open.push(Entity::Flag(test.flag.as_str().into())),
                    Reference::Segment(key) => open.push(Entity::Segment(key.as_str().into())),
                    Reference::List(key) => {
                        let line = self.lists.get(key).and_then(|list| list.line(key).cloned());
                        reach.lists.insert(key.clone(), line);
                    }
                }
            }
            reach.lines.insert(entity, line);
        }
        reach
    }
    /// These flags, and those that ask for one of them or for one of these segments, themselves or through others.
    pub fn flags_asking<'e>(
        &'e self,
        mut flags: BTreeSet<&'e str>,
        mut segments: BTreeSet<&'e str>,
    ) -> BTreeSet<&'e str> {
        loop {
            let asks = |references: &[Reference]| {
                references.iter().any(|reference| match reference {
                    Reference::Flag(test) => flags.contains(test.flag.as_str()),
                    Reference::Segment(key) => segments.contains(key.as_str()),
                    Reference::List(_) => false,
                })
            };
            let more = self
                .live_flags()
                .filter(|(key, flag)| !flags.contains(key.as_str()) && asks(&flag.targeting.references));
            let more: Vec<&str> = more.map(|(key, _)| key.as_str()).collect();
            let also = self
                .live_segments()
                .filter(|(key, segment)| !segments.contains(key.as_str()) && asks(&segment.references));
            let also: Vec<&str> = also.map(|(key, _)| key.as_str()).collect();
            if more.is_empty() && also.is_empty() {
                return flags;
            }
            flags.extend(more);
            segments.extend(also);
        }
    }
}
