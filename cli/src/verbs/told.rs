//! How entities and what became of a change are told to people.

use flagstone_model::json::Json;
use flagstone_publisher::lower::phase::Begun;

use crate::api::Answer;
use crate::failure::Failure;
use crate::screen::{Paint, Screen};

/// Members the server adds to every entity; they are no part of it.
pub(super) const OF_THE_SERVER: [&str; 8] =
    ["key", "id", "environment", "revision", "seq", "notes", "publication", "phases"];

/// A member as an integer.
pub(super) fn number(json: &Json<'_>, name: &str) -> Option<i64> {
    json.member(name).and_then(Json::as_integer)
}

/// A member as text, or nothing.
pub(super) fn text<'j>(json: &'j Json<'_>, name: &str) -> &'j str {
    json.member(name).and_then(Json::as_str).unwrap_or_default()
}

/// A change that was recorded: the answer itself for programs, a sentence and its publication for people.
pub(super) fn change(screen: &Screen, answer: &Answer, what: &str) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json(&answer.body);
    }
    let revision = answer.revision.map(|revision| format!("revision {revision}"));
    let seq = number(&answer.body, "seq").map(|seq| format!("seq {seq}"));
    let places: Vec<_> = revision.into_iter().chain(seq).collect();
    let places = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    screen.line(format!("{what}{places}"))?;
    for told in notes(&answer.body).into_iter().chain(phases(&answer.body)) {
        screen.line(format!("  {told}"))?;
    }
    let publication = answer.body.member("publication").and_then(Json::as_object).unwrap_or_default();
    for (environment, views) in publication {
        for (view, published) in views.as_object().unwrap_or_default() {
            let version = number(published, "version").unwrap_or_default();
            let state = match text(published, "state") {
                "announced" => screen.paint(Paint::Green, "announced"),
                other => screen.paint(Paint::Yellow, other),
            };
            screen.line(format!("  {environment}/{view} version {version}: {state}"))?;
        }
    }
    Ok(())
}

/// What is published in another spelling than it was written in, each with its place.
pub(super) fn notes(change: &Json<'_>) -> Vec<String> {
    let notes = change.member("notes").and_then(Json::as_array).unwrap_or_default();
    let told = notes.iter().map(|note| {
        let (place, published) = (text(note, "pointer"), text(note, "published"));
        format!("published as {published}, written {} at {place}", text(note, "written"))
    });
    told.collect()
}

/// What changed: its kind, and its name in words, such as `flag KEY in ENVIRONMENT`.
pub(super) fn changed(change: &Json<'_>) -> (&'static str, String) {
    const KINDS: [&str; 4] = ["flag", "segment", "list", "view"];
    let keyed = KINDS.into_iter().find_map(|kind| Some((kind, change.member(kind)?.as_str()?)));
    let (kind, name) = match keyed {
        Some((kind, key)) => (kind, format!("{kind} {key}")),
        None if change.member("attributes").is_some() => ("attributes", "attributes".to_owned()),
        None => ("entity", text(change, "entity").to_owned()),
    };
    match text(change, "environment") {
        "" => (kind, name),
        id => (kind, format!("{name} in {id}")),
    }
}

/// The phases of experiments that began with a change, in words.
pub(super) fn phases(change: &Json<'_>) -> Vec<String> {
    let begun = change.member("phases").and_then(Json::as_array).unwrap_or_default();
    begun.iter().filter_map(Begun::from_json).map(|begun| format!("new phase: {begun}")).collect()
}

/// An entity: its members, one a line; lists and objects as compact JSON.
pub(super) fn entity(screen: &Screen, json: &Json<'_>) -> Result<(), Failure> {
    let own = |name: &str| !OF_THE_SERVER.contains(&name);
    let members: Vec<_> = json.as_object().unwrap_or_default().iter().filter(|(name, _)| own(name)).collect();
    let width = members.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, value) in members {
        let head = format!("{name:<width$}");
        match value.as_array() {
            Some(elements @ [_, _, ..]) if elements.iter().all(|element| element.as_object().is_some()) => {
                screen.line(format!("  {}", screen.paint(Paint::Dim, head)))?;
                for element in elements {
                    screen.line(format!("    {element}"))?;
                }
            }
            _ => screen.line(format!("  {}  {}", screen.paint(Paint::Dim, head), plain(value)))?,
        }
    }
    Ok(())
}

/// A value without the quotes of a string.
pub(super) fn plain(json: &Json<'_>) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}
