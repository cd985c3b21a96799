//! Whether the stores can be trusted.

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::json::Json;
use flagstone_publisher::control::ControlError;
use flagstone_publisher::publish::PublishError;
use flagstone_publisher::trial::{CONDITIONS_IGNORED, RACERS, Trial, TrialError};
use tracing::Instrument as _;

use super::{Answer, plain};
use crate::call::Call;
use crate::problem::Problem;
use crate::{Service, answer};

/// Lets writers race for the stores, and tells what came of it.
pub(crate) async fn try_stores(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let control = service.control.clone();
    let tried = tokio::spawn(async move { control.try_stores().await }.in_current_span()).await;
    let trial = tried.map_err(|_| Problem::internal())?.map_err(problem)?;
    if trial.is_ignored() {
        tracing::error!(target: "flagstone_admin", code = CONDITIONS_IGNORED, ?trial, "a store ignores conditions");
    }
    Ok(answer::json(StatusCode::OK, told(&trial).to_string()))
}

fn told(trial: &Trial) -> Json<'static> {
    let races = trial.races.iter().map(|race| {
        Json::object([
            ("race", Json::from(race.course.as_str())),
            ("won", Json::from(race.won as u64)),
            ("may_win", Json::from(race.course.may_win() as u64)),
            ("verdict", Json::from(race.verdict.as_str())),
        ])
    });
    let ignored = trial.is_ignored().then(|| ("code", Json::from(CONDITIONS_IGNORED)));
    let members = [
        ("trusted", Json::from(trial.is_trusted())),
        ("racers", Json::from(RACERS as u64)),
        ("races", races.collect()),
    ];
    Json::object(members.into_iter().chain(ignored))
}

fn problem(error: TrialError) -> Problem {
    match error {
        TrialError::Log(error) => Problem::from(*error),
        TrialError::Store(error) => Problem::from(ControlError::from(PublishError::from(error))),
        TrialError::Publication(error) => Problem::from(ControlError::from(error)),
        TrialError::Publisher(error) => Problem::from(ControlError::from(error)),
        TrialError::Taken => Problem::new(StatusCode::CONFLICT, error.code(), &error),
        _ => Problem::internal(),
    }
}
