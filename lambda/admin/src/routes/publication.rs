//! What is published of an environment, and doing it now.

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::json::Json;
use flagstone_publisher::author::{self, Role};

use super::{Answer, plain, reason, run_on};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer};

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let publication = service.control.publication(&call.environment()?).await?;
    Ok(answer::json(StatusCode::OK, publication.to_string()))
}

/// Brings the streams up to date with the log. Only an adoption changes something, and is recorded.
pub(crate) async fn publish(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let environment = call.environment()?;
    let (body, reason) = reason(call.optional_json(Media::Json)?)?;
    let asked = Asked::of(&body)?;
    if !matches!(asked, Asked::Changes) {
        call.principal().require(Role::Admin, Some(&environment))?;
    }
    let terms = call.creation(reason).await?;
    let (control, stream) = (service.control.clone(), environment.clone());
    let published = run_on(async move {
        match asked {
            Asked::Changes => control.publish(&stream).await,
            Asked::Rebuild => control.rebuild(&stream).await,
            Asked::Adoption => control.adopt(&stream, terms).await,
        }
    })
    .await?;
    let publication = answer::publication(&[(environment, published)].into());
    Ok(answer::json(StatusCode::OK, Json::object([("publication", publication)]).to_string()))
}

/// What a publication is asked to do beyond the changes in the log.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Changes,
    Rebuild,
    Adoption,
}

impl Asked {
    /// Reads `{"rebuild":true}` or `{"adopt":true}`; neither is plain publishing.
    fn of(body: &Json<'_>) -> Result<Self, Problem> {
        let mut asked = Self::Changes;
        for (name, value) in body.as_object().unwrap_or_default() {
            let pointer = author::pointer([&**name]);
            let this = match &**name {
                "rebuild" => Self::Rebuild,
                "adopt" => Self::Adoption,
                _ => {
                    let detail = format!("the body has `reason`, `rebuild`, and `adopt`, not `{name}`");
                    return Err(Problem::body(&pointer, detail));
                }
            };
            match (value.as_bool(), asked) {
                (Some(false), _) => {}
                (Some(true), Self::Changes) => asked = this,
                (Some(true), _) => {
                    return Err(Problem::body(&pointer, "one of `rebuild` and `adopt` at a time"));
                }
                (None, _) => return Err(Problem::body(&pointer, "`true` or `false` is wanted here")),
            }
        }
        Ok(asked)
    }
}
