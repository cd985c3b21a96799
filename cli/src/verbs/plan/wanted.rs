//! From files and what the server has to the changes that make them equal.

use std::collections::BTreeSet;
use std::path::PathBuf;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, SegmentKey, ViewId};
use flagstone_publisher::author::{Environment, MAX_CHANGES, Mentioned, Targeting};
use flagstone_publisher::log::Entity;

use super::server::Server;
use crate::failure::{Failure, Spot, closest};
use crate::screen::Screen;
use crate::tree::Read;

/// Most bytes of the changes of one request, whose body may have 1 MiB.
const MAX_PART_BYTES: usize = 1_000_000;

/// A change that is wanted.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// As the server takes it.
    pub(super) change: Json<'static>,
    /// What it is about, for people.
    pub(super) what: String,
    entity: Option<Entity>,
    /// The segments that it asks for, if it is one.
    mentions: Vec<String>,
    /// The file it comes from, and where in it the document stands.
    origin: Option<(PathBuf, String)>,
}

/// Everything that files want otherwise than the server has it.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) changes: Vec<Planned>,
    remarks: Vec<String>,
}

impl Planned {
    fn new(entity: Entity, revision: u64, members: Vec<(&str, Json<'_>)>) -> Self {
        let text = |text: &dyn std::fmt::Display| Json::from(text.to_string());
        let mut all = match &entity {
            Entity::Targeting(environment, key) => {
                vec![("flag", text(key)), ("environment", text(environment))]
            }
            Entity::Segment(environment, key) => {
                vec![("segment", text(key)), ("environment", text(environment))]
            }
            Entity::Flag(key) => vec![("flag", text(key))],
            Entity::View(id) => vec![("view", text(id))],
            _ => Vec::new(),
        };
        all.extend(members);
        all.push(("revision", Json::from(revision)));
        let what = name(&entity);
        Self {
            change: Json::object(all).into_owned(),
            what,
            entity: Some(entity),
            mentions: Vec::new(),
            origin: None,
        }
    }

    fn standing_in(mut self, file: Option<&PathBuf>, pointer: String) -> Self {
        self.origin = file.map(|file| (file.clone(), pointer));
        self
    }

    /// A change out of a plan file.
    pub(super) fn of_plan(change: Json<'static>) -> Self {
        let text = |name: &str| change.member(name).and_then(Json::as_str);
        let environment = text("environment").map_or(String::new(), |id| format!(" in {id}"));
        let what = match (text("flag"), text("segment"), text("view")) {
            (Some(key), _, _) => format!("flag `{key}`{environment}"),
            (None, Some(key), _) => format!("segment `{key}`{environment}"),
            (None, None, Some(id)) => format!("view `{id}`"),
            (None, None, None) if change.member("attributes").is_some() => "attributes".to_owned(),
            (None, None, None) => "a change".to_owned(),
        };
        Self { change, what, entity: None, mentions: Vec::new(), origin: None }
    }

    /// Whether it is about something of which the server has nothing yet.
    pub(super) fn is_new(&self, server: &Server) -> bool {
        match &self.entity {
            Some(Entity::Targeting(environment, key)) => {
                !server.tree.flags.contains_key(key) || !server.tree.environments.contains_key(environment)
            }
            Some(entity) => !server.revisions.contains_key(entity),
            None => false,
        }
    }
}

fn name(entity: &Entity) -> String {
    match entity {
        Entity::Flag(key) => format!("flag `{key}`"),
        Entity::Targeting(environment, key) => format!("flag `{key}` in {environment}"),
        Entity::Segment(environment, key) => format!("segment `{key}` in {environment}"),
        Entity::View(id) => format!("view `{id}`"),
        other => other.to_string(),
    }
}

/// Changes in parts that are an entry each: one, unless they are too many or too large for that.
///
/// In parts, definitions come first, then segments, those that others ask for before them, then targetings: so each part
/// finds what it refers to.
pub(super) fn parts(changes: Vec<Planned>) -> Vec<Vec<Planned>> {
    let size = |planned: &Planned| planned.change.to_string().len();
    if changes.len() <= MAX_CHANGES && changes.iter().map(size).sum::<usize>() <= MAX_PART_BYTES {
        return vec![changes];
    }
    let (mut definitions, mut segments, mut targetings) = (Vec::new(), Vec::new(), Vec::new());
    for planned in changes {
        match planned.entity {
            // What is declared decides what may be client-visible.
            Some(Entity::Flag(_) | Entity::Attributes | Entity::View(_)) => definitions.push(planned),
            Some(Entity::Segment(..)) => segments.push(planned),
            _ => targetings.push(planned),
        }
    }
    let defined: BTreeSet<FlagKey> = definitions.iter().filter_map(Planned::flag).cloned().collect();
    for planned in &mut targetings {
        if planned.flag().is_some_and(|key| defined.contains(key)) {
            planned.raise();
        }
    }
    let mut parts = filled(definitions);
    parts.extend(filled(ordered(segments).into_iter().chain(targetings)));
    parts
}

/// Changes in parts that each fit into a request, in their order.
fn filled(changes: impl IntoIterator<Item = Planned>) -> Vec<Vec<Planned>> {
    let mut parts: Vec<Vec<Planned>> = Vec::new();
    let mut held = 0_usize;
    for planned in changes {
        let bytes = planned.change.to_string().len();
        match parts.last_mut() {
            Some(part) if part.len() < MAX_CHANGES && held.saturating_add(bytes) <= MAX_PART_BYTES => {
                part.push(planned);
                held = held.saturating_add(bytes);
            }
            _ => {
                parts.push(vec![planned]);
                held = bytes;
            }
        }
    }
    parts
}

/// Segments, each after those it asks for. What lies on a circle stays where it is: the server says so.
fn ordered(mut segments: Vec<Planned>) -> Vec<Planned> {
    let mut ordered: Vec<Planned> = Vec::with_capacity(segments.len());
    while !segments.is_empty() {
        let asks_for_another = |planned: &Planned| {
            let named = |other: &Planned| {
                let key = other.entity.as_ref().map(Entity::to_string);
                planned.mentions.iter().any(|mention| Some(mention) == key.as_ref())
            };
            segments.iter().any(|other| other.entity != planned.entity && named(other))
        };
        let at = segments.iter().position(|planned| !asks_for_another(planned)).unwrap_or_default();
        ordered.push(segments.remove(at));
    }
    ordered
}

/// Compares files with the server. What has no file stays, unless `prune`.
pub(super) fn all(read: &Read, server: &Server, prune: bool) -> Wanted {
    let mut wanted = Wanted::default();
    wanted.views(read, server);
    wanted.flags(read, server);
    wanted.segments(read, server);
    wanted.gone(read, server, prune);
    for (id, environment) in &read.tree.environments {
        if server.tree.environments.get(id).is_some_and(|present| present != environment) {
            wanted.remarks.push(format!(
                "what the environment `{id}` is called differs: `flagstone env edit {id}` changes it, `flagstone export` \
                 takes it over"
            ));
        }
    }
    wanted
}

impl Wanted {
    fn flags(&mut self, read: &Read, server: &Server) {
        for (key, flag) in &read.tree.flags {
            let file = read.flags.get(key);
            let present = server.tree.flags.get(key);
            let revision = |entity: &Entity| server.revisions.get(entity).copied().unwrap_or_default();
            let redefined = present.is_none_or(|present| present.definition != flag.definition);
            if redefined {
                let entity = Entity::Flag(key.clone());
                let members = vec![("definition", flag.definition.to_json())];
                self.changes.push(
                    Planned::new(entity.clone(), revision(&entity), members).standing_in(file, String::new()),
                );
            }
            for (id, targeting) in &flag.targetings {
                let stated = targeting.clone().stated(&flag.definition);
                let same = match present {
                    // What nobody targets is untouched, also of a flag or in an environment that is made now.
                    None => stated == Targeting::untouched(&flag.definition),
                    // A new definition may lead to another untouched targeting: the server knows.
                    Some(_) if redefined => false,
                    Some(present) => match present.targetings.get(id) {
                        Some(present) => *present == stated,
                        None => stated == Targeting::untouched(&flag.definition),
                    },
                };
                if !same {
                    let entity = Entity::Targeting(id.clone(), key.clone());
                    let pointer = flagstone_publisher::author::pointer(["targeting", id.as_str()]);
                    // In an environment that is made now, a flag begins at the revision of its definition.
                    let seen = server.revisions.get(&entity).copied();
                    let planned = Planned::new(
                        entity,
                        seen.unwrap_or_default(),
                        vec![("targeting", targeting.to_json())],
                    );
                    let planned =
                        if seen.is_none() && present.is_some() { planned.unconditional() } else { planned };
                    self.changes.push(planned.standing_in(file, pointer));
                }
            }
        }
    }

    fn views(&mut self, read: &Read, server: &Server) {
        let revision = |entity: &Entity| server.revisions.get(entity).copied().unwrap_or_default();
        if let Some(attributes) = &read.tree.attributes
            && server.tree.attributes.as_ref() != Some(attributes)
        {
            let entity = Entity::Attributes;
            let body = attributes.to_json();
            let declared = body.member("attributes").cloned().unwrap_or(Json::Null);
            let planned = Planned::new(entity.clone(), revision(&entity), vec![("attributes", declared)]);
            self.changes.push(planned.standing_in(read.attributes.as_ref(), "/attributes".to_owned()));
        }
        for (id, view) in &read.tree.views {
            if server.tree.views.get(id) != Some(view) {
                let entity = Entity::View(id.clone());
                let members = vec![("definition", view.to_json())];
                let planned = Planned::new(entity.clone(), revision(&entity), members);
                self.changes.push(planned.standing_in(read.views.get(id), String::new()));
            }
        }
    }

    fn segments(&mut self, read: &Read, server: &Server) {
        for (place @ (id, key), segment) in &read.tree.segments {
            if server.tree.segments.get(place) == Some(segment) {
                continue;
            }
            let entity = Entity::Segment(id.clone(), key.clone());
            let revision = server.revisions.get(&entity).copied().unwrap_or_default();
            let mut planned = Planned::new(entity, revision, vec![("definition", segment.to_json())]);
            let segments = segment.mentions().into_iter().filter_map(|mention| match mention.of {
                Mentioned::Segment(key) => Some(Entity::Segment(id.clone(), key.clone()).to_string()),
                _ => None,
            });
            planned.mentions = segments.collect();
            self.changes.push(planned.standing_in(read.segments.get(place), String::new()));
        }
    }

    fn gone(&mut self, read: &Read, server: &Server, prune: bool) {
        let flags = server.tree.flags.keys().filter(|key| !read.tree.flags.contains_key(*key));
        let flags: Vec<&FlagKey> = flags.collect();
        let known = |id: &EnvironmentId| read.tree.environments.contains_key(id);
        let segments = server
            .tree
            .segments
            .keys()
            .filter(|place| known(&place.0) && !read.tree.segments.contains_key(*place));
        let segments: Vec<&(EnvironmentId, SegmentKey)> = segments.collect();
        let views: Vec<&ViewId> =
            server.tree.views.keys().filter(|id| !read.tree.views.contains_key(*id)).collect();
        if !prune {
            for (count, what) in
                [(flags.len(), "flags"), (segments.len(), "segments"), (views.len(), "views")]
            {
                if count > 0 {
                    self.remarks.push(format!(
                        "{count} {what} of the server have no file and stay; --prune takes them away"
                    ));
                }
            }
            return;
        }
        let revision = |entity: &Entity| server.revisions.get(entity).copied().unwrap_or_default();
        for key in flags {
            let entity = Entity::Flag(key.clone());
            self.changes.push(Planned::new(
                entity.clone(),
                revision(&entity),
                vec![("archive", Json::from(true))],
            ));
        }
        for id in views {
            let entity = Entity::View(id.clone());
            let members = vec![("delete", Json::from(true))];
            self.changes.push(Planned::new(entity.clone(), revision(&entity), members));
        }
        for (id, key) in segments {
            let entity = Entity::Segment(id.clone(), key.clone());
            self.changes.push(Planned::new(
                entity.clone(),
                revision(&entity),
                vec![("delete", Json::from(true))],
            ));
        }
    }

    /// What there is to say beside the changes.
    pub(super) fn remarks(&self, screen: &Screen) {
        self.remarks.iter().for_each(|remark| screen.note(remark));
    }

    /// Environments that files speak of and the server does not have.
    pub(super) fn missing_environments(&self, server: &Server, read: &Read) -> Vec<Environment> {
        let named = self.changes.iter().filter_map(|planned| match &planned.entity {
            Some(Entity::Targeting(id, _) | Entity::Segment(id, _)) => Some(id),
            _ => None,
        });
        let mut ids: Vec<&EnvironmentId> = named.chain(read.tree.environments.keys()).collect();
        ids.sort();
        ids.dedup();
        ids.retain(|id| !server.tree.environments.contains_key(*id));
        let plain =
            |id: &EnvironmentId| Environment::parse(&Json::object([("id", Json::from(id.as_str()))])).ok();
        ids.into_iter()
            .filter_map(|id| read.tree.environments.get(id).cloned().or_else(|| plain(id)))
            .collect()
    }

    /// An environment is made on its own, so that applying is one entry.
    pub(super) fn check_environments(&self, server: &Server, read: &Read) -> Result<(), Failure> {
        let missing = self.missing_environments(server, read);
        let Some(first) = missing.first() else { return Ok(()) };
        let known = server.tree.environments.keys().map(EnvironmentId::as_str);
        let suggestion = closest(first.id.as_str(), known);
        let detail = format!("the files have the environment `{}`, and the server has not", first.id);
        let hint =
            format!("`flagstone env create {}` makes it, with --copy-from as a copy of another", first.id);
        Err(Failure::refused("environment-not-found", detail).suggest(suggestion).hint(hint))
    }
}

impl Planned {
    /// The flag it is about, if it is about one.
    const fn flag(&self) -> Option<&FlagKey> {
        match &self.entity {
            Some(Entity::Flag(key) | Entity::Targeting(_, key)) => Some(key),
            _ => None,
        }
    }

    /// Counts the edit of the flag's definition that is made before it, with which its own revision rises.
    fn raise(&mut self) {
        if let Json::Object(members) = &mut self.change
            && let Some((_, revision)) = members.iter_mut().find(|(name, _)| name == "revision")
            && let Some(seen) = revision.as_integer()
        {
            *revision = Json::from(seen.saturating_add(1));
        }
    }

    /// The same, whatever the revision.
    fn unconditional(mut self) -> Self {
        if let Json::Object(members) = &mut self.change {
            members.retain(|(name, _)| name != "revision");
        }
        self
    }
}

/// The same failure, told where the files say what is wrong.
pub(super) fn in_files(mut failure: Failure, changes: &[Planned], read: Option<&Read>) -> Failure {
    let mut stale = None;
    let moved = failure.spots.iter().map(|spot| {
        let mut steps = spot.pointer.splitn(4, '/').skip(1);
        let (changes_member, index, rest) = (steps.next(), steps.next(), steps.next().unwrap_or_default());
        let planned = index.and_then(|index| changes.get(index.parse::<usize>().ok()?));
        let Some(planned) = planned.filter(|_| changes_member == Some("changes")) else {
            return spot.clone();
        };
        stale = stale.take().or_else(|| Some(planned.what.clone()));
        // The first step is the member of the change; the document stands below it.
        let below = rest.split_once('/').map_or(String::new(), |(_, below)| format!("/{below}"));
        let pointer = match (&planned.origin, read) {
            (Some((file, base)), Some(read)) => read.place(file, &format!("{base}{below}")),
            _ => format!("{}{}{below}", planned.what, if below.is_empty() { "" } else { " at " }),
        };
        Spot { pointer, ..spot.clone() }
    });
    let moved = moved.collect();
    failure.spots = moved;
    if failure.code == "stale-revision"
        && let Some(what) = stale
    {
        let current = failure
            .current_revision
            .map_or(String::new(), |current| format!("; it is at revision {current}"));
        failure.detail = format!("{what} was changed since the plan was made{current}");
        failure.hint = Some("`flagstone plan` shows what is there now; nothing was changed".to_owned());
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str, mentions: &[&str]) -> Planned {
        let entity = Entity::parse(text).unwrap();
        let mentions = mentions.iter().map(|mention| (*mention).to_owned()).collect();
        Planned { mentions, ..Planned::new(entity, 0, Vec::new()) }
    }

    fn told(parts: &[Vec<Planned>]) -> Vec<usize> {
        parts.iter().map(Vec::len).collect()
    }

    #[test]
    fn what_fits_is_one_part_and_one_more_is_two() {
        let flags =
            |count: usize| (0..count).map(|number| planned(&format!("flag/f-{number}"), &[])).collect();
        assert_eq!(told(&parts(flags(MAX_CHANGES))), [MAX_CHANGES]);
        assert_eq!(told(&parts(flags(MAX_CHANGES + 1))), [MAX_CHANGES, 1]);
        assert_eq!(told(&parts(Vec::new())), [0]);
        let mut large: Vec<Planned> = flags(3);
        for planned in &mut large {
            planned.change = Json::from("x".repeat(MAX_PART_BYTES / 2));
        }
        assert_eq!(told(&parts(large)), [1, 1, 1]);
    }

    #[test]
    fn a_part_finds_what_it_refers_to_in_those_before_it() {
        let mut changes: Vec<Planned> =
            (0..MAX_CHANGES).map(|number| planned(&format!("flag/production/f-{number}"), &[])).collect();
        changes.push(planned("segment/production/a", &["segment/production/b", "segment/production/gone"]));
        changes.push(planned("segment/production/b", &["segment/production/c"]));
        changes.push(planned("segment/production/c", &[]));
        changes.push(planned("flag/f-0", &[]));
        let parts = parts(changes);
        assert_eq!(told(&parts), [1, MAX_CHANGES, 3]);
        let names = |part: &[Planned]| -> Vec<String> {
            part.iter().take(4).map(|planned| planned.entity.as_ref().unwrap().to_string()).collect()
        };
        assert_eq!(names(&parts[0]), ["flag/f-0"]);
        assert_eq!(
            names(&parts[1]),
            ["segment/production/c", "segment/production/b", "segment/production/a", "flag/production/f-0"]
        );
        let revision = |planned: &Planned| planned.change.member("revision").and_then(Json::as_integer);
        assert_eq!(revision(&parts[1][3]), Some(1), "its definition is made before it");
        assert_eq!(revision(&parts[1][4]), Some(0));
        let circle = vec![
            planned("segment/production/a", &["segment/production/b"]),
            planned("segment/production/b", &["segment/production/a"]),
        ];
        assert_eq!(ordered(circle).len(), 2, "a circle ends too");
    }
}
