//! Why a context gets what it gets.

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::context::Context;
use flagstone_model::json::Json;
use flagstone_model::key::FlagKey;
use flagstone_publisher::control::Explained;

use super::evaluate::context_of;
use super::{Answer, past, plain};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer};

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

fn question(body: &Json<'_>) -> Result<(FlagKey, Context), Problem> {
    let context = context_of(body, &["context", "flag", "at", "seq"])?;
    let Some(flag) = body.member("flag") else {
        return Err(Problem::body("/flag", "the member `flag` is missing"));
    };
    let flag = flag.as_str().ok_or_else(|| Problem::body("/flag", "a string is wanted here"))?;
    let flag = FlagKey::parse(flag).map_err(|error| Problem::body("/flag", error))?;
    Ok((flag, context))
}
