//! `flag create|list|show|edit|archive`.

use std::borrow::Cow;

use flagstone_model::json::Json;
use reqwest::Method;

use crate::api::{Api, Expected};
use crate::args::{DefinitionArgs, FlagArchive, FlagCreate, FlagEdit, FlagShow, ListArgs};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::told;

type Members = Vec<(Cow<'static, str>, Json<'static>)>;

/// Sets a member, over the one of that name.
fn set(members: &mut Members, name: &'static str, value: Json<'static>) {
    members.retain(|(known, _)| known != name);
    members.push((name.into(), value));
}

fn members_of(json: Json<'static>, what: &str) -> Result<Members, Failure> {
    match json {
        Json::Object(members) => Ok(members),
        _ => Err(Failure::usage(format!("{what} is no JSON object"))),
    }
}

fn apply(members: &mut Members, definition: &DefinitionArgs) {
    let DefinitionArgs { kind, description, tags, owner, client_visible } = definition;
    for (name, value) in [("kind", kind), ("description", description), ("owner", owner)] {
        if let Some(value) = value {
            set(members, name, Json::from(value.clone()));
        }
    }
    if !tags.is_empty() {
        set(members, "tags", tags.iter().map(|tag| Json::from(tag.clone())).collect());
    }
    if let Some(visible) = client_visible {
        set(members, "client_visible", Json::from(*visible));
    }
}

pub(super) async fn create(
    args: &FlagCreate,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let mut members = match &args.body {
        Some(body) => members_of(body.read("--body")?, "--body")?,
        None => Vec::new(),
    };
    if let Some(key) = &args.key {
        set(&mut members, "key", Json::from(key.to_string()));
    }
    let typed = members.iter().any(|(name, _)| name == "type");
    match &args.flag_type {
        Some(flag_type) => set(&mut members, "type", Json::from(flag_type.clone())),
        None if !typed => set(&mut members, "type", Json::from("bool")),
        None => {}
    }
    if !args.variations.is_empty() {
        let mut variations: Members = Vec::new();
        for variation in &args.variations {
            let value = variation.value.read(&format!("--variation {}", variation.name))?;
            if variations.iter().any(|(known, _)| *known == variation.name.as_str()) {
                return Err(Failure::usage(format!("--variation {} stands there twice", variation.name)));
            }
            variations.push((variation.name.to_string().into(), value));
        }
        set(&mut members, "variations", Json::Object(variations));
    }
    apply(&mut members, &args.definition);
    let body = Json::Object(members);
    let answer = api
        .write(Method::POST, &api.in_project("flags"), Some(&body), Expected::Nothing, &args.write)
        .await
        .map_err(|failure| already(failure, "flag", told::text(&body, "key")))?;
    let key = answer.text("key").unwrap_or_default();
    told::change(
        screen,
        &answer,
        &format!("{} was created; it is off everywhere", screen.paint(Paint::Bold, key)),
    )
}

pub(super) async fn list(
    args: &ListArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let definitions = api.list(&api.in_project("flags")).await?;
    if screen.is_json() {
        return screen.items(definitions);
    }
    let targetings = api.list(&api.in_environment("flags")).await?;
    let state = |key: &str| {
        let targeting = targetings.iter().find(|targeting| told::text(targeting, "key") == key);
        match targeting.and_then(|targeting| targeting.member("on")).and_then(Json::as_bool) {
            Some(true) => "on",
            Some(false) => "off",
            None => "-",
        }
    };
    let mut rows =
        vec![["KEY", "TYPE", "KIND", api.environment().as_str(), "DESCRIPTION"].map(str::to_owned).to_vec()];
    for definition in &definitions {
        let key = told::text(definition, "key");
        let archived = definition.member("archived").and_then(Json::as_bool) == Some(true);
        let cells = [
            key,
            told::text(definition, "type"),
            told::text(definition, "kind"),
            if archived { "archived" } else { state(key) },
            told::text(definition, "description"),
        ];
        rows.push(cells.map(str::to_owned).to_vec());
    }
    screen.table(&rows)
}

pub(super) async fn show(
    args: &FlagShow,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let definition = api.get(&api.definition(&args.key)).await?;
    let targeting = api.find(&api.targeting(&args.key)).await?;
    let environment = api.environment().to_string();
    if screen.is_json() {
        let targeting = targeting.map_or(Json::Null, |targeting| targeting.body);
        return screen.json(&Json::object([
            ("definition", definition.body),
            ("environment", Json::from(environment)),
            ("targeting", targeting),
        ]));
    }
    let revision =
        |revision: Option<u64>| revision.map_or_else(String::new, |revision| format!(" revision {revision}"));
    let head = screen.paint(Paint::Bold, &args.key);
    screen.line(format!("{head}{}", revision(definition.revision)))?;
    told::entity(screen, &definition.body)?;
    if let Some(targeting) = targeting {
        let head = screen.paint(Paint::Bold, format!("in {environment}"));
        screen.line(format!("{head}{}", revision(targeting.revision)))?;
        told::entity(screen, &targeting.body)?;
    }
    Ok(())
}

pub(super) async fn edit(
    args: &FlagEdit,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let key = screen.paint(Paint::Bold, &args.key);
    if let Some(targeting) = &args.targeting {
        let body = targeting.read("--targeting")?;
        let path = api.targeting(&args.key);
        let expected = expected(api.get(&path).await?.revision);
        let answer = api.write(Method::PUT, &path, Some(&body), expected, &args.write).await?;
        return told::change(screen, &answer, &format!("{key} has a new targeting in {}", api.environment()));
    }
    let mut members = match &args.patch {
        Some(patch) => members_of(patch.read("--patch")?, "--patch")?,
        None => Vec::new(),
    };
    apply(&mut members, &args.definition);
    if members.is_empty() {
        return Err(Failure::usage("nothing to change: give an option, --patch, or --targeting"));
    }
    let path = api.definition(&args.key);
    let expected = expected(api.get(&path).await?.revision);
    let answer = api.write(Method::PATCH, &path, Some(&Json::Object(members)), expected, &args.write).await?;
    told::change(screen, &answer, &format!("{key} was changed"))
}

pub(super) async fn archive(
    args: &FlagArchive,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.definition(&args.key);
    let expected = expected(api.get(&path).await?.revision);
    let answer = api.write(Method::DELETE, &path, None, expected, &args.write).await?;
    let key = screen.paint(Paint::Bold, &args.key);
    told::change(screen, &answer, &format!("{key} is archived; its key is retired"))
}

/// Says what exists already.
pub(super) fn already(mut failure: Failure, what: &str, key: &str) -> Failure {
    if failure.code == "already-exists" {
        failure.detail = format!("the {what} `{key}` exists already");
    }
    failure
}

/// What a write of something that was just read expects.
pub(super) fn expected(revision: Option<u64>) -> Expected {
    revision.map_or(Expected::Nothing, Expected::Revision)
}
