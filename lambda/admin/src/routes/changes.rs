//! Several changes in one entry, and environments restored.

use axum::extract::State;
use flagstone_publisher::author::{Change, Role, Wish};
use flagstone_publisher::control::{ControlError, Several, Write};
use flagstone_publisher::state::change::Refusal;

use super::{Answer, reason, revision, run_on};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer};

/// The parameters of a request for several changes.
const PARAMETERS: [&str; 2] = ["confirm", "dry_run"];

pub(crate) async fn make(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&PARAMETERS)?;
    let on_trial = query.truth("dry_run")?;
    for name in ["If-Match", "If-None-Match"] {
        if call.has_header(name) {
            return Err(Problem::header(name, "each change says in `revision` what its author saw"));
        }
    }
    let (body, reason) = reason(Some(call.json(Media::Json)?))?;
    let changes = Change::parse_all(&body).map_err(|problems| ControlError::from(Refusal::from(problems)))?;
    for change in &changes {
        // What clients may know, and which streams there are, is for those who may make environments.
        let role = match change.wish {
            Wish::Attributes(_) | Wish::View(..) | Wish::DeleteView(_) => Role::Admin,
            _ => Role::Editor,
        };
        call.principal().require(role, change.wish.environment())?;
    }
    let terms = call.write_with(&query, reason, async { Ok(0) }).await?;
    several(&service, Several::Changes(changes), terms, on_trial).await
}

pub(crate) async fn restore(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&PARAMETERS)?;
    let on_trial = query.truth("dry_run")?;
    let environment = call.environment()?;
    let (body, reason) = reason(Some(call.json(Media::Json)?))?;
    let current = async { revision(service.control.environment(&environment).await) };
    let terms = call.write_with(&query, reason, current).await?;
    several(&service, Several::RestoreEnvironment(environment.clone(), body), terms, on_trial).await
}

/// Makes the changes, or tells what they would do. What has begun runs on even if the caller goes away.
async fn several(service: &Service, several: Several, terms: Write, on_trial: bool) -> Answer {
    let control = service.control.clone();
    if on_trial {
        let changed = control.try_change(&several, &terms).await?;
        return Ok(answer::changed(&changed, true, true));
    }
    let waited = terms.wait;
    let changed = run_on(async move { control.change(&several, &terms).await }).await?;
    Ok(answer::changed(&changed, waited, false))
}
