//! The change log, as it is.

use axum::extract::State;
use flagstone_model::json::Json;

use super::Answer;
use crate::call::Call;
use crate::problem::Problem;
use crate::{Service, answer};

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
    let entries = service.control.log(after, page.limit.saturating_add(1)).await?;
    let seq = |entry: &Json<'_>| entry.member("header")?.member("seq")?.as_integer();
    let items = entries.into_iter().map(|entry| (seq(&entry).unwrap_or_default().to_string(), entry));
    Ok(answer::page(call.path(), &page, items.collect()))
}
