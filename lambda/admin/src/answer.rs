//! Answers: entities, writes, and pages.

use std::collections::BTreeMap;

use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ViewId};
use flagstone_publisher::author::Note;
use flagstone_publisher::control::{Changed, ChangedEntity, Entity as Present, Published, Written};
use flagstone_publisher::log::Entity;
use flagstone_publisher::lower::phase::Begun;

use crate::cursor;
use crate::etag::{self, EntityTags};
use crate::query::Page;
use crate::record::Made;

/// Members that the server adds to every entity. A body may repeat them, so that what was read can be edited and sent
/// back.
pub(crate) const OWN_MEMBERS: [&str; 7] =
    ["key", "environment", "revision", "seq", "notes", "publication", "phases"];

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A JSON answer.
pub(crate) fn json(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

/// An entity with the members the server adds: `key` and `environment` first, `revision` last.
pub(crate) fn members(
    key: &str,
    environment: Option<&EnvironmentId>,
    body: Json<'static>,
    revision: u64,
) -> Json<'static> {
    let mut members = vec![("key".into(), Json::from(key.to_owned()))];
    if let Some(environment) = environment {
        members.push(("environment".into(), Json::from(environment.to_string())));
    }
    if let Json::Object(body) = body {
        members.extend(body.into_iter().filter(|(name, _)| !OWN_MEMBERS.contains(&&**name)));
    }
    members.push(("revision".into(), Json::from(revision)));
    Json::Object(members)
}

/// The answer to reading one entity: itself, or 304 if the caller has it.
pub(crate) fn entity(
    environment: Option<&EnvironmentId>,
    entity: Present,
    known: Option<&EntityTags>,
) -> Response {
    let tag = etag::of_revision(entity.revision);
    let mut response = if known.is_some_and(|known| known.matches_weakly(&tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let members = members(&entity.key, environment, entity.body, entity.revision);
        json(StatusCode::OK, members.to_string())
    };
    response.headers_mut().insert(ETAG, etag::value_of_revision(entity.revision));
    response
}

/// The answer to reading one entity as it was at an entry.
pub(crate) fn entity_at(environment: Option<&EnvironmentId>, entity: Present, seq: u64) -> Response {
    let mut body = members(&entity.key, environment, entity.body, entity.revision);
    if let Json::Object(members) = &mut body {
        members.push(("seq".into(), Json::from(seq)));
    }
    json(StatusCode::OK, body.to_string())
}

/// The answer to a write.
pub(crate) fn written(
    key: &str,
    environment: Option<&EnvironmentId>,
    waited: bool,
    written: Written,
) -> Response {
    answer_to_write(key, environment, waited, written, None)
}

/// The answer to the making of a secret, which tells it.
pub(crate) fn told_once(
    key: &str,
    environment: Option<&EnvironmentId>,
    waited: bool,
    written: Written,
    secret: (&'static str, String),
) -> Response {
    answer_to_write(key, environment, waited, written, Some(secret))
}

fn answer_to_write(
    key: &str,
    environment: Option<&EnvironmentId>,
    waited: bool,
    written: Written,
    secret: Option<(&'static str, String)>,
) -> Response {
    let mut entity = members(key, environment, written.entity, written.revision);
    if let Json::Object(members) = &mut entity {
        members.extend(secret.map(|(name, text)| (name.into(), Json::from(text))));
        members.extend(phases(&written.phases).map(|(name, phases)| (name.into(), phases)));
        members.push(("seq".into(), Json::from(written.seq)));
        members.extend(notes(&written.notes).map(|notes| ("notes".into(), notes.into_owned())));
        members.push(("publication".into(), publication(&written.publication)));
    }
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = json(status, entity.to_string());
    response.headers_mut().insert(ETAG, etag::value_of_revision(written.revision));
    if !waited {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    }
    response.extensions_mut().insert(Made(written.seq));
    response
}

/// What is published in another way than it was written, if anything is.
fn notes(notes: &[Note]) -> Option<Json<'_>> {
    let told = notes.iter().map(|Note { pointer, written, published }| {
        let members = [("pointer", pointer), ("written", written), ("published", published)];
        Json::object(members.map(|(name, text)| (name, Json::from(text.as_str()))))
    });
    (!notes.is_empty()).then(|| told.collect())
}

/// The answer to several changes at once. `on_trial` tells what they would do, from what to what.
pub(crate) fn changed(changed: &Changed, waited: bool, on_trial: bool) -> Response {
    let mut members = vec![("seq", changed.seq.map_or(Json::Null, Json::from))];
    if on_trial {
        members.push(("dry_run", Json::from(true)));
        members.push(("head", Json::from(changed.head)));
    }
    members.push(("changes", changed.changes.iter().map(changed_entity).collect()));
    if !changed.skipped.is_empty() {
        let skipped = changed.skipped.iter().map(|key| Json::object([("flag", Json::from(key.to_string()))]));
        members.push(("skipped", skipped.collect()));
    }
    members.push(("publication", publication(&changed.publication)));
    let mut response = json(StatusCode::OK, Json::object(members).to_string());
    if !waited {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
    }
    if let (Some(seq), false) = (changed.seq, on_trial) {
        response.extensions_mut().insert(Made(seq));
    }
    response
}

/// `{flag or segment, environment, action, revision}`: the revision is what is there now.
pub(crate) fn seen_entity(changed: &ChangedEntity) -> Json<'static> {
    let seen =
        ChangedEntity { revision: (changed.revision.0, changed.revision.0), states: None, ..changed.clone() };
    changed_entity(&seen)
}

/// `{flag or segment, environment, action, revision}`, and `from` and `to` if they are told.
fn changed_entity(changed: &ChangedEntity) -> Json<'static> {
    let text = |text: &dyn std::fmt::Display| Json::from(text.to_string());
    let mut members = match &changed.entity {
        Entity::Flag(key) => vec![("flag", text(key))],
        Entity::Targeting(environment, key) => {
            vec![("flag", text(key)), ("environment", text(environment))]
        }
        Entity::Segment(environment, key) => {
            vec![("segment", text(key)), ("environment", text(environment))]
        }
        Entity::List(environment, key) => {
            vec![("list", text(key)), ("environment", text(environment))]
        }
        Entity::Attributes => vec![("attributes", Json::from(true))],
        Entity::View(id) => vec![("view", text(id))],
        other => vec![("entity", text(other))],
    };
    members.push(("action", Json::from(changed.action.as_str())));
    members.extend(phases(&changed.phases));
    let (before, after) = changed.revision;
    match &changed.states {
        None => members.push(("revision", Json::from(after))),
        Some((from, to)) => {
            // What a plan has to name, so that nobody gets in between.
            members.push(("revision", Json::from(before)));
            members.push(("from", from.clone().unwrap_or(Json::Null)));
            members.push(("to", to.clone().unwrap_or(Json::Null)));
        }
    }
    members.extend(notes(&changed.notes).map(|notes| ("notes", notes.into_owned())));
    Json::object(members)
}

/// The phases of experiments that began, `[{rule, from, to, because}]`; nothing if none did.
pub(crate) fn phases(begun: &[Begun]) -> Option<(&'static str, Json<'static>)> {
    (!begun.is_empty()).then(|| ("phases", begun.iter().map(Begun::to_json).collect()))
}

/// `{environment: {view: {version, state}}}`
pub(crate) fn publication(
    publication: &BTreeMap<EnvironmentId, BTreeMap<ViewId, Published>>,
) -> Json<'static> {
    Json::object(publication.iter().map(|(environment, views)| {
        let views = views.iter().map(|(view, published)| (view.to_string(), self::published(published)));
        (environment.to_string(), Json::object(views))
    }))
}

/// `{version, state}`, and `alarm` where the stream stands still.
pub(crate) fn published(published: &Published) -> Json<'static> {
    let members = [
        Some(("version", Json::from(published.version))),
        Some(("state", Json::from(published.state.as_str()))),
        published.alarm.map(|code| ("alarm", Json::from(code))),
    ];
    Json::object(members.into_iter().flatten())
}

/// A page of items, each beside its position in the list, in the list's order.
///
/// `items` may hold more than the page: then there is a next one.
pub(crate) fn page(list: &str, page: &Page, items: Vec<(String, Json<'static>)>) -> Response {
    page_at(list, page, items, None)
}

/// The same as it was at an entry, unless that is the newest.
pub(crate) fn page_at(
    list: &str,
    page: &Page,
    items: Vec<(String, Json<'static>)>,
    seq: Option<u64>,
) -> Response {
    let more = items.len() > page.limit;
    part_at(list, items.into_iter().take(page.limit).collect(), more, seq)
}

/// A part of a list, with a cursor if there is more.
pub(crate) fn part(list: &str, items: Vec<(String, Json<'static>)>, more: bool) -> Response {
    part_at(list, items, more, None)
}

/// The same as it was at an entry.
fn part_at(list: &str, items: Vec<(String, Json<'static>)>, more: bool, seq: Option<u64>) -> Response {
    let next = items.last().filter(|_| more).map(|(position, _)| cursor::write(list, position));
    let items = items.into_iter().map(|(_, item)| item).collect();
    let next = next.map(|next| ("next", Json::from(next)));
    let seq = seq.map(|seq| ("seq", Json::from(seq)));
    let body = Json::object([("items", items)].into_iter().chain(next).chain(seq));
    json(StatusCode::OK, body.to_string())
}

/// A page of entities, which are in the order of their keys; `seq` says which entry they stand at, unless that is the
/// newest.
pub(crate) fn entities(
    list: &str,
    page: &Page,
    environment: Option<&EnvironmentId>,
    entities: Vec<Present>,
    seq: Option<u64>,
) -> Response {
    let later = |entity: &Present| page.after.as_ref().is_none_or(|after| entity.key > *after);
    let items = entities.into_iter().filter(later).take(page.limit.saturating_add(1));
    let items = items.map(|entity| {
        let members = members(&entity.key, environment, entity.body, entity.revision);
        (entity.key, members)
    });
    let items: Vec<_> = items.collect();
    let more = items.len() > page.limit;
    part_at(list, items.into_iter().take(page.limit).collect(), more, seq)
}
