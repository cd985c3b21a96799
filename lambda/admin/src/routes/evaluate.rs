//! Evaluation on the server: what an SDK would answer now, or at another time.

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use super::{Answer, plain};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer};

const MEMBERS: [&str; 3] = ["context", "flag", "at"];

pub(crate) async fn evaluate(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let environment = call.environment()?;
    let body = call.json(Media::Json)?;
    let (flag, context, at) = question(&body)?;
    let evaluated = service.control.evaluate(&environment, flag, &context, at).await?;
    let version = evaluated.version;
    let mut flags = evaluated.flags.iter();
    let answer = match (flag, flags.next()) {
        (Some(_), Some((key, on, details))) => {
            format!(r#"{{"flag":{},"version":{version},{}}}"#, Json::from(&**key), members(*on, details))
        }
        (_, first) => {
            let all = first.into_iter().chain(flags);
            let all =
                all.map(|(key, on, details)| format!("{}:{{{}}}", Json::from(&**key), members(*on, details)));
            format!(r#"{{"version":{version},"flags":{{{}}}}}"#, all.collect::<Vec<_>>().join(","))
        }
    };
    Ok(answer::json(StatusCode::OK, answer))
}

/// The members of one flag's answer.
fn members(on: bool, details: &str) -> String {
    let separator = if details.is_empty() { "" } else { "," };
    format!(r#""on":{on}{separator}{details}"#)
}

fn question<'b>(body: &'b Json<'_>) -> Result<(Option<&'b str>, Context, Option<Instant>), Problem> {
    for (name, _) in body.as_object().unwrap_or_default() {
        if !MEMBERS.contains(&&**name) {
            // Where somebody put attributes beside `context`, their names may not come back.
            return Err(Problem::body(
                "",
                "the body has the members `context`, `flag`, and `at`, and no other",
            ));
        }
    }
    let Some(context) = body.member("context") else {
        return Err(Problem::body("/context", "the member `context` is missing"));
    };
    let Some(context) = Context::from_json(context) else {
        return Err(Problem::body("/context", "a context is an object"));
    };
    let flag = match body.member("flag") {
        None => None,
        Some(flag) => Some(flag.as_str().ok_or_else(|| Problem::body("/flag", "a string is wanted here"))?),
    };
    let at = match body.member("at") {
        None => None,
        Some(Json::String(text)) => Some(Instant::parse(text).map_err(|error| Problem::body("/at", error))?),
        Some(number) => Some(number.as_integer().map(Instant::from_millis).ok_or_else(|| {
            Problem::body("/at", "an instant, or milliseconds since the epoch, is wanted here")
        })?),
    };
    Ok((flag, context, at))
}
