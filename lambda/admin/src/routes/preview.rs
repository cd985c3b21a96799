//! Whom a change would concern that nobody has made yet.

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey};
use flagstone_publisher::author::{self, Change, Role};
use flagstone_publisher::control::{
    Contexts, ControlError, Operation, Precondition, Preview, Several, Trial,
};
use flagstone_publisher::preview::share::{Lands, Share};
use flagstone_publisher::preview::{FlagMoves, targeting_key};
use flagstone_publisher::state::change::Refusal;

use super::{Answer, Subject, authored, past};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer};

/// What a body says beside the change itself.
const QUESTION: [&str; 3] = ["contexts", "sample", "at"];
/// Changes that are no document but an action on a flag.
const ACTIONS: [&str; 5] = ["on", "rollout", "restore", "reshuffle", "pause"];
/// Where the one change of a body stands among several.
const ONE: &str = "/changes/0";

pub(crate) async fn preview(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&[])?;
    for name in ["If-Match", "If-None-Match"] {
        if call.has_header(name) {
            return Err(Problem::header(name, "a preview says in `revision` what its author saw"));
        }
    }
    let environment = call.environment()?;
    let Json::Object(members) = call.json(Media::Json)?.into_owned() else {
        return Err(Problem::body("", "a JSON object is wanted as body"));
    };
    let (question, wanted): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|(name, _)| QUESTION.contains(&&**name));
    let question = Json::Object(question);
    let at = past::when_in(&question)?.at;
    let Wanted { trial, revision, told } = wanted_of(&environment, Json::Object(wanted), &call)?;
    let is_sample = question.member("contexts").is_none();
    let (contexts, seed) = contexts(&question)?;
    let mut terms = call.write_with(&query, None, async { Ok(0) }).await?;
    terms.precondition = revision.map_or(Precondition::Any, Precondition::Revision);
    let preview = service.control.preview(&environment, &trial, &terms, contexts, at).await;
    let preview = preview.map_err(|error| told.place(error))?;
    Ok(answer::json(StatusCode::OK, shown(&preview, is_sample.then_some(seed)).to_string()))
}

/// The change that a body asks about.
struct Wanted {
    trial: Trial,
    /// The revision that the author of an action saw.
    revision: Option<u64>,
    told: Told,
}

/// Where in the body a refusal is told.
enum Told {
    /// Where the control plane says.
    AsIs,
    /// The body is itself what it takes for the first of several changes.
    AtTop,
    /// What it takes for the whole body is this member.
    Below(&'static str),
}

fn wanted_of(environment: &EnvironmentId, wanted: Json<'static>, call: &Call) -> Result<Wanted, Problem> {
    if wanted.member("changes").is_some() {
        return several(&wanted, call, Told::AsIs);
    }
    let action = ACTIONS.into_iter().find(|action| wanted.member(action).is_some());
    if let Some(action) = action {
        return of_action(environment, action, &wanted);
    }
    let Json::Object(mut members) = wanted else { return Err(Problem::internal()) };
    if !members.iter().any(|(name, _)| ["flag", "segment"].contains(&&**name)) {
        return Err(Problem::body("", "a preview names a `flag`, a `segment`, or `changes`"));
    }
    let is = |name: &str| members.iter().any(|(present, _)| present == name);
    let is_here = is("targeting") || is("segment");
    match members.iter().find(|(name, _)| name == "environment") {
        Some((_, id)) if id.as_str() != Some(environment.as_str()) => {
            return Err(Problem::body("/environment", "the path has another environment"));
        }
        None if is_here => members.push(("environment".into(), Json::from(environment.to_string()))),
        _ => {}
    }
    let key = members.iter().find(|(name, _)| ["flag", "segment"].contains(&&**name));
    let key = key.and_then(|(_, key)| key.as_str()).unwrap_or_default().to_owned();
    for (name, body) in &mut members {
        // What was read may be sent as it came: the members that the server adds are left aside.
        let of_environment = name == "targeting" || is_here;
        if of_environment && ["targeting", "definition"].contains(&&**name) {
            let subject = Subject { key: &key, environment: Some(environment) };
            *body = authored(std::mem::replace(body, Json::Null), subject)?;
        }
    }
    let one = Json::object([("changes", Json::Array(vec![Json::Object(members)]))]);
    several(&one, call, Told::AtTop)
}

fn several(body: &Json<'_>, call: &Call, told: Told) -> Result<Wanted, Problem> {
    let changes = Change::parse_all(body);
    let changes = changes.map_err(|problems| told.place(ControlError::from(Refusal::from(problems))))?;
    for change in &changes {
        // What is refused elsewhere says what is there.
        call.principal().require(Role::Viewer, change.wish.environment())?;
    }
    Ok(Wanted { trial: Trial::Several(Several::Changes(changes)), revision: None, told })
}

fn of_action(environment: &EnvironmentId, action: &'static str, body: &Json<'_>) -> Result<Wanted, Problem> {
    for (name, _) in body.as_object().unwrap_or_default() {
        if ![action, "flag", "revision"].contains(&&**name) {
            let detail = format!("beside `{action}` there is `flag` and `revision`, and no `{name}`");
            return Err(Problem::body(&author::pointer([&**name]), detail));
        }
    }
    let revision = match body.member("revision") {
        None => None,
        Some(revision) => Some(
            revision
                .as_integer()
                .and_then(|revision| u64::try_from(revision).ok())
                .ok_or_else(|| Problem::body("/revision", "a revision is a natural number"))?,
        ),
    };
    let of = body.member(action).cloned().unwrap_or(Json::Null).into_owned();
    let flag = match body.member("flag") {
        None => None,
        Some(key) => Some(
            FlagKey::parse(key.as_str().unwrap_or_default())
                .map_err(|error| Problem::body("/flag", error.to_string()))?,
        ),
    };
    let environment = environment.clone();
    let trial = match (action, flag) {
        ("restore", None) => Trial::Several(Several::RestoreEnvironment(environment, of)),
        (_, None) => return Err(Problem::body("/flag", "the member `flag` is missing")),
        ("restore", Some(flag)) => Trial::One(Operation::RestoreTargeting(environment, flag, of)),
        ("reshuffle", Some(flag)) => Trial::One(Operation::Reshuffle(environment, flag, of)),
        ("pause", Some(flag)) => Trial::One(Operation::PauseRamp(environment, flag, of)),
        ("rollout", Some(flag)) => Trial::One(Operation::Rollout(environment, flag, of)),
        (_, Some(flag)) => {
            let on = of.as_bool().ok_or_else(|| Problem::body("/on", "`true` or `false` is wanted here"))?;
            Trial::One(Operation::Switch(environment, flag, on))
        }
    };
    Ok(Wanted { trial, revision, told: Told::Below(action) })
}

impl Told {
    fn place(&self, error: ControlError) -> Problem {
        match error {
            ControlError::Refused(Refusal::Invalid { mut problems }) => {
                for problem in &mut problems {
                    problem.pointer = self.pointer(&problem.pointer);
                }
                ControlError::Refused(Refusal::Invalid { problems }).into()
            }
            ControlError::Refused(Refusal::At { pointer, refusal }) => {
                ControlError::Refused(Refusal::At { pointer: self.pointer(&pointer), refusal }).into()
            }
            other => past::member(other),
        }
    }

    fn pointer(&self, pointer: &str) -> String {
        let is_question =
            QUESTION.iter().any(|name| pointer.strip_prefix('/').is_some_and(|rest| rest.starts_with(name)));
        match self {
            _ if is_question => pointer.to_owned(),
            Self::AsIs => pointer.to_owned(),
            Self::AtTop => pointer.strip_prefix(ONE).unwrap_or_default().to_owned(),
            Self::Below(action) => format!("/{action}{pointer}"),
        }
    }
}

/// The contexts that a body gives or asks for, and the seed of a sample.
fn contexts(question: &Json<'static>) -> Result<(Contexts, u64), Problem> {
    let given = question.member("contexts");
    let Some(sample) = question.member("sample") else {
        return match given {
            None => Ok((Contexts::Sample { size: None, seed: 0 }, 0)),
            Some(Json::Array(contexts)) => Ok((Contexts::Given(contexts.clone()), 0)),
            Some(_) => Err(Problem::body("/contexts", "an array of contexts is wanted here")),
        };
    };
    if given.is_some() {
        return Err(Problem::body("/sample", "there are `contexts`, or a `sample` is made, not both"));
    }
    let Some(members) = sample.as_object() else {
        return Err(Problem::body("/sample", "an object with `size` and `seed`, or neither, is wanted here"));
    };
    let mut read = (None, 0);
    for (name, value) in members {
        let pointer = format!("/sample{}", author::pointer([&**name]));
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        let number = number.ok_or_else(|| Problem::body(&pointer, "a natural number is wanted here"));
        match &**name {
            "size" => read.0 = Some(usize::try_from(number?).unwrap_or(usize::MAX)),
            "seed" => read.1 = number?,
            _ => return Err(Problem::body(&pointer, "a sample has `size` and `seed`, and no other member")),
        }
    }
    Ok((Contexts::Sample { size: read.0, seed: read.1 }, read.1))
}

/// The answer; `seed` is that of a sample.
fn shown(preview: &Preview, seed: Option<u64>) -> Json<'static> {
    let count = |count: usize| Json::from(u64::try_from(count).unwrap_or(u64::MAX));
    let size = count(preview.contexts.len());
    let sample = seed.map(|seed| Json::object([("size", size.clone()), ("seed", Json::from(seed))]));
    let asked = preview.asked.as_ref().map(|asked| {
        Json::object([("code", Json::from(asked.code)), ("detail", Json::from(asked.detail.clone()))])
    });
    let contexts = seed.is_some().then_some(preview.contexts.as_slice());
    let flags = preview.moves.flags.iter().map(|of| flag(of, &preview.contexts, contexts));
    let members = [
        Some(("head", Json::from(preview.head))),
        Some(("at", Json::from(preview.at.to_string()))),
        Some(("contexts", size.clone())),
        sample.map(|sample| ("sample", sample)),
        Some(("changes", preview.changes.iter().map(answer::seen_entity).collect())),
        asked.map(|asked| ("needs_confirmation", asked)),
        Some(("moved", count(preview.moves.moved))),
        Some(("flags", flags.collect())),
    ];
    Json::object(members.into_iter().flatten())
}

/// What becomes of one flag; of a sample, with the `made` contexts.
fn flag(of: &FlagMoves, all: &[Json<'static>], made: Option<&[Json<'static>]>) -> Json<'static> {
    let count = |count: usize| Json::from(u64::try_from(count).unwrap_or(u64::MAX));
    let groups = of.groups.iter().map(|group| {
        Json::object([
            ("from", group.from.to_json()),
            ("to", group.to.to_json()),
            ("contexts", count(group.contexts)),
        ])
    });
    let units = of.units.iter().map(|moved| {
        let unit = all.get(moved.index).and_then(targeting_key).cloned();
        let context = made.and_then(|made| made.get(moved.index)).cloned();
        let members = [
            Some(("index", count(moved.index))),
            unit.map(|unit| ("unit", unit)),
            Some(("group", count(moved.group))),
            context.map(|context| ("context", context)),
        ];
        Json::object(members.into_iter().flatten())
    });
    let members = [
        Some(("flag", Json::from(of.flag.to_string()))),
        Some(("moved", count(of.moved))),
        Some(("otherwise", count(of.otherwise))),
        Some(("groups", groups.collect())),
        Some(("units", units.collect())),
        of.share.as_ref().map(|share| ("share", self::share(share))),
    ];
    Json::object(members.into_iter().flatten())
}

fn share(share: &Share) -> Json<'static> {
    let lands = |name: &'static str, lands: &Lands| match lands {
        Lands::Variation(variation) => Some((name, Json::from(variation.clone()))),
        Lands::Default => Some((name, Json::Null)),
        Lands::Later => None,
    };
    let moves = share.moves.iter().map(|moved| {
        let members = [
            lands("from", &moved.from),
            lands("to", &moved.to),
            Some(("buckets", Json::from(moved.buckets))),
            Some(("percent", Json::from(share.percent(moved.buckets)))),
        ];
        Json::object(members.into_iter().flatten())
    });
    let members = [
        Some(("among", Json::from(share.among.as_str()))),
        share.by.as_ref().map(|by| ("by", Json::from(by.clone()))),
        Some(("of", Json::from(share.of))),
        Some(("moved", Json::from(share.moved()))),
        Some(("percent", Json::from(share.percent(share.moved())))),
        Some(("moves", moves.collect())),
    ];
    Json::object(members.into_iter().flatten())
}
