//! Evaluation on the server: what an SDK would answer now, or at another time.

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::context::Context;
use flagstone_model::json::Json;

use super::{Answer, past, plain};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer};

const MEMBERS: [&str; 4] = ["context", "flag", "at", "seq"];

pub(crate) async fn evaluate(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let environment = call.environment()?;
    let body = call.json(Media::Json)?;
    let (flag, context) = question(&body)?;
    let when = past::when_in(&body)?;
    let evaluated =
        service.control.evaluate(&environment, flag, &context, when).await.map_err(past::member)?;
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

fn question<'b>(body: &'b Json<'_>) -> Result<(Option<&'b str>, Context), Problem> {
    let context = context_of(body, &MEMBERS)?;
    let flag = match body.member("flag") {
        None => None,
        Some(flag) => Some(flag.as_str().ok_or_else(|| Problem::body("/flag", "a string is wanted here"))?),
    };
    Ok((flag, context))
}

/// The context in a body that has the members `known`.
pub(super) fn context_of(body: &Json<'_>, known: &[&str]) -> Result<Context, Problem> {
    for (name, _) in body.as_object().unwrap_or_default() {
        if !known.contains(&&**name) {
            // Where somebody put attributes beside `context`, their names may not come back.
            return Err(Problem::body(
                "",
                "the body has the members `context`, `flag`, `at`, and `seq`, and no other",
            ));
        }
    }
    let Some(context) = body.member("context") else {
        return Err(Problem::body("/context", "the member `context` is missing"));
    };
    Context::from_json(context).ok_or_else(|| Problem::body("/context", "a context is an object"))
}
