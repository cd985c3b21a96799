//! Who used the API to change something, who signed in, and who was refused.

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_publisher::access::AccessRow;
use flagstone_publisher::storage::StorageError;

use super::Answer;
use crate::call::Call;
use crate::problem::Problem;
use crate::{Service, answer, cursor};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&["after", "limit", "cursor"])?;
    let page = query.page(call.path())?;
    let after = match (query.number("after")?, &page.after) {
        (Some(_), Some(_)) => {
            return Err(Problem::parameter("after", "`after` and `cursor` exclude each other"));
        }
        (Some(after), None) => after,
        (None, Some(position)) => position.parse().unwrap_or_default(),
        (None, None) => 0,
    };
    let (log, project) = (service.recorder.log(), service.control.project());
    let newest = log.newest(project).await.map_err(unread)?;
    let rows = log.read(project, after, page.limit).await.map_err(unread)?;
    let last = rows.last().map(|row| row.number).filter(|last| *last < newest);
    let next = last.map(|last| ("next", Json::from(cursor::write(call.path(), &last.to_string()))));
    let items = ("items", rows.into_iter().map(item).collect());
    let members = [items, ("newest", Json::from(newest))].into_iter().chain(next);
    Ok(answer::json(StatusCode::OK, Json::object(members).to_string()))
}

fn item(row: AccessRow) -> Json<'static> {
    let AccessRow { number, first_ms, access } = row;
    let instant = |ms| Json::from(Instant::from_millis(ms).to_string());
    let members = [
        Some(("number", Json::from(number))),
        Some(("first", instant(first_ms))),
        Some(("last", instant(access.time_ms))),
        Some(("count", Json::from(access.count))),
        access.principal.map(|principal| ("principal", Json::from(principal))),
        Some(("via", Json::from(access.via))),
        Some(("method", Json::from(access.method))),
        Some(("route", Json::from(access.route))),
        access.environment.map(|environment| ("environment", Json::from(environment.to_string()))),
        Some(("status", Json::from(u64::from(access.status)))),
        access.code.map(|code| ("code", Json::from(code))),
        Some(("request_id", Json::from(access.request_id))),
        access.seq.map(|seq| ("seq", Json::from(seq))),
    ];
    Json::object(members.into_iter().flatten())
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function of `map_err`")]
fn unread(error: StorageError) -> Problem {
    tracing::error!(
        target: "flagstone_admin",
        code = error.code(),
        error = &error as &(dyn std::error::Error + 'static),
        "the access log could not be read"
    );
    Problem::busy(1)
}
