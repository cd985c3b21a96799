//! `explain` and `audit user`: why somebody gets what they get, and what altered it.

mod sentence;
mod tree;

pub(super) use sentence::percent;

use flagstone_model::json::Json;

use crate::api::{Answer, Api, escaped};
use crate::args::{AuditUser, Explain};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::told;

/// Alterations that `explain --changes` shows.
const CHANGES_SHOWN: u16 = 20;

pub(super) async fn run(args: &Explain, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    if let (true, Some(user)) = (args.changes, &args.user) {
        let answer = audit(&api, args.key.as_str(), user, args.at.as_deref(), CHANGES_SHOWN).await?;
        if screen.is_json() {
            return screen.json(&answer.body);
        }
        tree::draw(screen, &answer.body)?;
        screen.line("")?;
        return changes(screen, &answer);
    }
    let mut body = vec![("context", context(args)?), ("flag", Json::from(args.key.as_str()))];
    body.extend(args.at.as_deref().map(|at| ("at", Json::from(at))));
    body.extend(args.seq.map(|seq| ("seq", Json::from(seq))));
    let answer = api.ask(&api.in_environment("explain"), &Json::object(body)).await?;
    if screen.is_json() {
        return screen.json(&answer.body);
    }
    tree::draw(screen, &answer.body)
}

pub(super) async fn user(
    args: &AuditUser,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let answer = audit(&api, args.key.as_str(), &args.user, args.at.as_deref(), args.limit).await?;
    if screen.is_json() {
        return screen.json(&answer.body);
    }
    tree::head(screen, &answer.body)?;
    screen.line(sentence::of(&answer.body))?;
    screen.line("")?;
    changes(screen, &answer)
}

async fn audit(api: &Api, key: &str, user: &str, at: Option<&str>, limit: u16) -> Result<Answer, Failure> {
    let at = at.map(|at| format!("&at={}", escaped(at))).unwrap_or_default();
    let path = format!("flags/{}/audit?limit={limit}&user_id={}{at}", escaped(key), escaped(user));
    api.get(&api.in_environment(&path)).await
}

fn context(args: &Explain) -> Result<Json<'static>, Failure> {
    let given = args.context.as_ref().map(|given| given.read("--context")).transpose()?;
    let mut members = match given {
        None => Vec::new(),
        Some(Json::Object(members)) => members,
        Some(_) => return Err(Failure::usage("--context is no JSON object")),
    };
    if let Some(user) = &args.user {
        members.retain(|(name, _)| name != "targetingKey");
        members.insert(0, ("targetingKey".into(), Json::from(user.clone())));
    }
    Ok(Json::Object(members))
}

/// What altered the answer, newest first.
fn changes(screen: &Screen, answer: &Answer) -> Result<(), Failure> {
    let none = Json::Null;
    let items = answer.body.member("changes").and_then(Json::as_array).unwrap_or_default();
    if items.is_empty() {
        screen.line("nothing altered it in the part of the log that was looked at")?;
    }
    let arrow = screen.marks().arrow;
    for item in items {
        let place = match told::number(item, "seq") {
            Some(seq) => format!("seq {seq}"),
            None => "schedule".to_owned(),
        };
        let actor = item.member("actor").unwrap_or(&none);
        let who = match (told::text(actor, "name"), told::text(actor, "id")) {
            ("", id) => id,
            (name, _) => name,
        };
        let served = |name: &str| match item.member(name) {
            Some(details @ Json::Object(_)) => sentence::served(details),
            _ => "no such flag".to_owned(),
        };
        let (from, to) = (served("from"), screen.paint(Paint::Green, served("to")));
        let place = screen.paint(Paint::Bold, place);
        screen.line(format!("{place}  {}  {who}", told::text(item, "time")).trim_end())?;
        screen.line(format!("    {from} {arrow} {to}"))?;
        match told::text(item, "reason") {
            "" => {}
            reason => screen.line(format!("    “{reason}”"))?,
        }
    }
    if answer.text("next").is_some() {
        screen.note("there is more: --limit shows it, or --at an earlier time");
    }
    Ok(())
}
