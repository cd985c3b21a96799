//! Reading what was there at an earlier time.

use axum::response::Response;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;
use flagstone_publisher::control::{ControlError, Entity, Moment, When};

use crate::call::Call;
use crate::problem::Problem;
use crate::query::Query;
use crate::{Service, answer};

/// The parameters that say when.
const PARAMETERS: [&str; 2] = ["at", "seq"];

/// What the query string says of when, and what was there.
pub(crate) struct Past {
    pub(crate) moment: Moment,
    /// The entry the state stands at, unless it is the newest state that was asked for.
    pub(crate) seq: Option<u64>,
}

impl Past {
    /// Reads `at` and `seq`, of which a request has one at most, and looks there.
    pub(crate) async fn of(service: &Service, query: &Query) -> Result<Self, Problem> {
        let when = when(query)?;
        if when.at.is_some() && when.seq.is_some() {
            return Err(Problem::parameter("seq", "`at` and `seq` exclude each other"));
        }
        let moment = service.control.moment(when).await.map_err(parameter)?;
        let seq = (!when.is_now()).then(|| moment.seq());
        Ok(Self { moment, seq })
    }

    /// The same for a read of one entity, with no other parameters.
    pub(crate) async fn of_one(service: &Service, call: &Call) -> Result<Self, Problem> {
        Self::of(service, &call.query(&PARAMETERS)?).await
    }

    /// The list that cursors of an answer belong to: the path, and the entry where it was read, so that no page mixes
    /// what was with what is.
    pub(crate) fn list(&self, call: &Call) -> String {
        self.seq.map_or_else(|| call.path().to_owned(), |seq| format!("{}@{seq}", call.path()))
    }

    /// The answer to reading one entity. One of an earlier time has no tag: it never changes, and nothing can be
    /// written over it.
    pub(crate) fn answer(
        &self,
        call: &Call,
        environment: Option<&EnvironmentId>,
        found: Entity,
    ) -> Result<Response, Problem> {
        let known = call.if_none_match()?;
        Ok(match self.seq {
            None => answer::entity(environment, found, known.as_ref()),
            Some(seq) => answer::entity_at(environment, found, seq),
        })
    }
}

/// `at` and `seq` of a query string.
pub(crate) fn when(query: &Query) -> Result<When, Problem> {
    let at = query.text("at").map(Instant::parse).transpose();
    let at = at.map_err(|error| Problem::parameter("at", error))?;
    Ok(When { at, seq: query.number("seq")? })
}

/// `at` and `seq` of a body.
pub(crate) fn when_in(body: &Json<'_>) -> Result<When, Problem> {
    let at = match body.member("at") {
        None => None,
        Some(Json::String(text)) => Some(Instant::parse(text).map_err(|error| Problem::body("/at", error))?),
        Some(number) => Some(number.as_integer().map(Instant::from_millis).ok_or_else(|| {
            Problem::body("/at", "an instant, or milliseconds since the epoch, is wanted here")
        })?),
    };
    let seq = match body.member("seq") {
        None => None,
        Some(seq) => Some(
            seq.as_integer()
                .and_then(|seq| u64::try_from(seq).ok())
                .ok_or_else(|| Problem::body("/seq", "the seq of an entry of this log is wanted here"))?,
        ),
    };
    Ok(When { at, seq })
}

/// A refusal of the control plane that is about one of these parameters.
pub(crate) fn parameter(error: ControlError) -> Problem {
    told(error, "parameter", ["at", "seq"])
}

/// The same where they are members of the body.
pub(crate) fn member(error: ControlError) -> Problem {
    told(error, "pointer", ["/at", "/seq"])
}

fn told(error: ControlError, member: &'static str, [at, seq]: [&'static str; 2]) -> Problem {
    let place = match &error {
        ControlError::AtInFuture => Some(at),
        ControlError::SeqBeyondHead { .. } => Some(seq),
        _ => None,
    };
    let problem = Problem::from(error);
    match place {
        Some(place) => problem.with(member, Json::from(place)),
        None => problem,
    }
}
