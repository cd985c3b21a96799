//! Why a context gets what it gets.

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::context::Context;
use flagstone_model::json::Json;
use flagstone_model::key::FlagKey;
use flagstone_publisher::control::{Alteration, AlterationPlace, AlteredBy, Explained};

use super::evaluate::context_of;
use super::{Answer, past, plain};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer, cursor};

pub(crate) async fn explain(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let environment = call.environment()?;
    let body = call.json(Media::Json)?;
    let (flag, context) = question(&body)?;
    let when = past::when_in(&body)?;
    let explained =
        service.control.explain(&environment, &flag, &context, when).await.map_err(past::member)?;
    Ok(answer::json(StatusCode::OK, told(explained).to_string()))
}

/// `flag`, `on`, `version`, `seq`, `at`, and the rest of the explanation.
pub(crate) fn told(explained: Explained) -> Json<'static> {
    let mut members = match explained.told {
        Json::Object(members) => members,
        _ => Vec::new(),
    };
    let own = [
        ("on", Json::Bool(explained.on)),
        ("version", Json::from(explained.version)),
        ("seq", Json::from(explained.seq)),
        ("at", Json::from(explained.at.to_string())),
    ];
    let place = members.len().min(1);
    members.splice(place..place, own.map(|(name, value)| (name.into(), value)));
    Json::Object(members)
}

/// The same for a user of whom nothing but the key is known, with the changes that altered it.
pub(crate) async fn audit(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&["user_id", "at", "limit", "cursor"])?;
    let page = query.page(call.path())?;
    let (environment, flag) = (call.environment()?, call.flag()?);
    let Some(user) = query.text("user_id").filter(|user| !user.is_empty()) else {
        return Err(Problem::parameter("user_id", "the targeting key of a user is wanted here"));
    };
    let context = Context::with_targeting_key(user);
    let when = past::when(&query)?;
    let before = match &page.after {
        None => None,
        Some(place) => Some(
            place_of(place)
                .ok_or_else(|| Problem::parameter("cursor", "not a cursor that this list has given"))?,
        ),
    };
    let explained =
        service.control.explain(&environment, &flag, &context, when).await.map_err(past::parameter)?;
    let altered = service.control.alterations(&environment, &flag, &context, when, before, page.limit).await;
    let altered = altered.map_err(past::parameter)?;
    let mut body = told(explained);
    if let Json::Object(members) = &mut body {
        members.push(("changes".into(), altered.items.into_iter().map(alteration).collect()));
        if let Some((time, seq)) = altered.next {
            let next = cursor::write(call.path(), &format!("{time}.{seq}"));
            members.push(("next".into(), Json::from(next)));
        }
    }
    Ok(answer::json(StatusCode::OK, body.to_string()))
}

fn place_of(place: &str) -> Option<AlterationPlace> {
    let (time, seq) = place.split_once('.')?;
    Some((time.parse().ok()?, seq.parse().ok()?))
}

fn alteration(altered: Alteration) -> Json<'static> {
    let details = |details: Option<Json<'static>>| details.unwrap_or(Json::Null);
    let time = ("time", Json::from(altered.time.to_string()));
    let ends = [("from", details(altered.from)), ("to", details(altered.to))];
    match altered.by {
        AlteredBy::Entry { seq, actor, actor_name, reason, entities } => {
            let own = [
                ("seq", Json::from(seq)),
                time,
                ("by", Json::from("entry")),
                ("actor", super::targeting::actor(actor, actor_name)),
                ("entities", entities.into_iter().map(Json::from).collect()),
            ];
            let reason = reason.map(|reason| ("reason", Json::from(reason)));
            Json::object(own.into_iter().chain(reason).chain(ends))
        }
        _ => Json::object([time, ("by", Json::from("schedule"))].into_iter().chain(ends)),
    }
}

fn question(body: &Json<'_>) -> Result<(FlagKey, Context), Problem> {
    let context = context_of(body, &["context", "flag", "at", "seq"])?;
    let Some(flag) = body.member("flag") else {
        return Err(Problem::body("/flag", "the member `flag` is missing"));
    };
    let flag = flag.as_str().ok_or_else(|| Problem::body("/flag", "a string is wanted here"))?;
    let flag = FlagKey::parse(flag).map_err(|error| Problem::body("/flag", error))?;
    Ok((flag, context))
}
