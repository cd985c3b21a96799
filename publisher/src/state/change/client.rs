//! A change that would keep a client-visible flag out of public views is refused (FORMAT M-9.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey};

use crate::author::{Problem, code, push_pointer};
use crate::log::Entity;
use crate::state::view::{Obstacle, ObstacleAt};
use crate::state::{EnvironmentState, State};
use crate::view::Unfit;

/// Most flags that are told one by one.
const MAX_TOLD: usize = 16;

/// Where a request speaks of what it changes, for pointers.
#[derive(Debug, Clone, Default)]
pub(super) struct Spoken {
    places: BTreeMap<Entity, (String, bool)>,
    elsewhere: String,
}

impl Spoken {
    /// A request that is one document about one entity.
    pub(super) fn of(entity: Entity) -> Self {
        Self { places: BTreeMap::from([(entity, (String::new(), true))]), elsewhere: String::new() }
    }

    /// A request that speaks of nothing in particular but at `elsewhere`.
    pub(super) fn elsewhere(elsewhere: &str) -> Self {
        Self { places: BTreeMap::new(), elsewhere: elsewhere.to_owned() }
    }

    /// Adds an entity and where the request speaks of it; `is_document` if its own document stands there.
    pub(super) fn add(&mut self, entity: Entity, pointer: String, is_document: bool) {
        self.places.insert(entity, (pointer, is_document));
    }
}

/// Says which client-visible flags `next` would keep out of public views that are in them `before`, or are new there,
/// each with the reason and the remedy. A flag that can not be in them already stays as free as any other.
pub(super) fn check(before: &State, next: &State, spoken: &Spoken) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (id, environment) in next.environments() {
        let earlier = before.environment(id.as_str());
        if earlier.is_some_and(|earlier| Arc::ptr_eq(earlier, environment)) {
            continue;
        }
        let unfit = environment.unfit();
        if unfit.is_empty() {
            continue;
        }
        let already = earlier.map(|earlier| earlier.unfit()).unwrap_or_default();
        for (key, obstacles) in unfit.into_iter().filter(|(key, _)| !already.contains_key(key)) {
            problems.extend(obstacles.iter().map(|obstacle| told(id, environment, key, obstacle, spoken)));
        }
    }
    // The same definition is unfit in every environment for the same reason, and told once.
    let mut seen = std::collections::BTreeSet::new();
    problems.retain(|problem: &Problem| seen.insert((problem.pointer.clone(), problem.detail.clone())));
    problems.truncate(MAX_TOLD);
    problems
}

fn told(
    id: &EnvironmentId,
    environment: &EnvironmentState,
    key: &FlagKey,
    obstacle: &Obstacle,
    spoken: &Spoken,
) -> Problem {
    let Obstacle { at, unfit } = obstacle;
    let (pointer, is_own) = pointer(id, environment, key, obstacle, spoken);
    let flag = if is_own { "the flag".to_owned() } else { format!("flag `{key}`") };
    let place = match at {
        ObstacleAt::Flag(other) if other == key => String::new(),
        ObstacleAt::Flag(other) => format!(" and asks for flag `{other}`, where"),
        ObstacleAt::Segment(segment) => format!(" and asks for segment `{segment}`, where"),
    };
    let colon = if place.is_empty() { ":" } else { "" };
    // What a flag's values are is the same everywhere.
    let where_ = if matches!(unfit, Unfit::LargeValue { .. }) {
        String::new()
    } else {
        format!(" in environment `{id}`")
    };
    let detail = format!("{flag} is client-visible{where_}{place}{colon} {unfit}");
    Problem::new(code::CLIENT_VIEW_REFUSED, pointer, detail)
}

/// Where the request says what is in the way, as nearly as can be told; and whether that is in the flag's own document.
fn pointer(
    id: &EnvironmentId,
    environment: &EnvironmentState,
    key: &FlagKey,
    obstacle: &Obstacle,
    spoken: &Spoken,
) -> (String, bool) {
    let Spoken { places, elsewhere } = spoken;
    let Obstacle { at, unfit } = obstacle;
    let (entity, authored) = match at {
        ObstacleAt::Flag(other) => {
            let targeting =
                environment.live_flag(other.as_str()).map(|flag| flag.targeting.authored.to_json());
            (Entity::Targeting(id.clone(), other.clone()), targeting)
        }
        ObstacleAt::Segment(other) => {
            let segment = environment.live_segment(other.as_str()).map(|segment| segment.to_json());
            (Entity::Segment(id.clone(), other.clone()), segment)
        }
    };
    let is_own = *at == ObstacleAt::Flag(key.clone());
    let is_value = matches!(unfit, Unfit::LargeValue { .. });
    if let (Some((pointer, is_document)), false) = (places.get(&entity), is_value) {
        let inside = authored.filter(|_| *is_document).and_then(|authored| locate(&authored, unfit));
        return (format!("{pointer}{}", inside.unwrap_or_default()), is_own);
    }
    if let (Some((pointer, is_document)), Some((path, _))) = (places.get(&Entity::Attributes), unfit.test()) {
        let mut pointer = pointer.clone();
        if *is_document {
            push_pointer(&mut pointer, "attributes");
            push_pointer(&mut pointer, path);
        }
        return (pointer, false);
    }
    // The definition of the flag, or of the one that it asks for and that is not client-visible any more.
    let hidden = match unfit {
        Unfit::HiddenFlag { flag } => flag.parse::<FlagKey>().ok(),
        _ => None,
    };
    for flag in [Some(key), hidden.as_ref()].into_iter().flatten() {
        let Some((pointer, is_document)) = places.get(&Entity::Flag(flag.clone())) else { continue };
        let mut pointer = pointer.clone();
        match unfit {
            Unfit::LargeValue { variation, .. } if *is_document => {
                push_pointer(&mut pointer, "variations");
                push_pointer(&mut pointer, variation);
            }
            _ if *is_document => push_pointer(&mut pointer, "client_visible"),
            _ => {}
        }
        return (pointer, flag == key);
    }
    let own = places.get(&Entity::Targeting(id.clone(), key.clone()));
    own.map_or_else(|| (elsewhere.clone(), false), |(pointer, _)| (pointer.clone(), true))
}

/// Where an authored document says what is in the way: the test of that attribute, or the mention of that flag.
fn locate(authored: &Json<'_>, unfit: &Unfit) -> Option<String> {
    match unfit {
        Unfit::HiddenFlag { flag } => {
            find(authored, &|json| (json.member("flag")?.as_str()? == flag).then_some("flag"))
        }
        Unfit::PrivateUnit { path, .. } => {
            find(authored, &|json| (json.member("by")?.as_str()? == path).then_some("by"))
        }
        _ => {
            let (path, test) = unfit.test()?;
            let test = test.unwrap_or("attr");
            let of_path = |json: &Json<'_>| json.member("attr").and_then(Json::as_str) == Some(path);
            let exact = |json: &Json<'_>| {
                let name = ["in", "starts", "ends", "contains", "matches", "has_all", "cidr", "listed"];
                let name = name.into_iter().find(|name| *name == test)?;
                (of_path(json) && json.member(name).is_some()).then_some(name)
            };
            let leaf = || find(authored, &|json| of_path(json).then_some("attr"));
            let keys = || {
                let keys = ["deny", "targets", "include", "exclude"].into_iter().find(|keys| {
                    let found = authored.member(keys);
                    found.is_some_and(|found| {
                        found.as_array().is_some_and(|keys| !keys.is_empty())
                            || found.as_object().is_some_and(|keys| !keys.is_empty())
                    })
                })?;
                Some(format!("/{keys}"))
            };
            find(authored, &exact).or_else(leaf).or_else(keys)
        }
    }
}

/// The pointer to the member that `of` names, in the first object that it names one of.
fn find(json: &Json<'_>, of: &dyn Fn(&Json<'_>) -> Option<&'static str>) -> Option<String> {
    if let Some(member) = of(json) {
        return Some(format!("/{member}"));
    }
    let below = |step: &str, inner: &Json<'_>| {
        let found = find(inner, of)?;
        let mut pointer = String::new();
        push_pointer(&mut pointer, step);
        Some(pointer + &found)
    };
    match json {
        Json::Array(elements) => {
            elements.iter().enumerate().find_map(|(index, inner)| below(&index.to_string(), inner))
        }
        Json::Object(members) => members.iter().find_map(|(name, inner)| below(name, inner)),
        _ => None,
    }
}
