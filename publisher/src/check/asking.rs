//! Flags and segments that are left out, and all that asks for them.

use std::collections::BTreeSet;

use flagstone_eval::Entity;
use flagstone_model::json::Json;
use flagstone_model::line::{Head, Kind};

use super::reached::references;

/// Entities, and all that asks for them: without the first, the others would answer something else.
#[derive(Debug)]
pub struct Asking(BTreeSet<Entity>);

impl Asking {
    /// These, and whatever of the lines asks for one, itself or through others.
    pub fn of<'l>(lines: impl IntoIterator<Item = &'l [u8]>, mut entities: BTreeSet<Entity>) -> Self {
        let asked = |line| Some((entity(&Head::parse(line)?)?, references(&Json::parse(line).ok()?)));
        let asked: Vec<(Entity, Vec<Entity>)> = lines.into_iter().filter_map(asked).collect();
        loop {
            let before = entities.len();
            let asking = asked.iter().filter(|(_, names)| names.iter().any(|name| entities.contains(name)));
            let asking: Vec<Entity> = asking.map(|(entity, _)| entity.clone()).collect();
            entities.extend(asking);
            if entities.len() == before {
                return Self(entities);
            }
        }
    }

    /// Whether a line is of one of them, or a check of one.
    pub fn has(&self, head: &Head<'_>) -> bool {
        match head.kind() {
            Kind::Check => {
                flag_of_check(head.key).is_some_and(|flag| self.0.contains(&Entity::Flag(flag.into())))
            }
            _ => entity(head).is_some_and(|entity| self.0.contains(&entity)),
        }
    }

    /// The flags among them.
    pub fn flags(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|entity| match entity {
            Entity::Flag(key) => Some(&**key),
            _ => None,
        })
    }
}

/// The flag whose check has this key: the key of a flag has no `/`.
pub fn flag_of_check(key: &str) -> Option<&str> {
    Some(key.rsplit_once('/')?.0)
}

/// The flag or the segment that a line is of.
pub fn entity(head: &Head<'_>) -> Option<Entity> {
    match head.kind() {
        Kind::Flag => Some(Entity::Flag(head.key.into())),
        Kind::Segment => Some(Entity::Segment(head.key.into())),
        _ => None,
    }
}
