//! The change log, as it is.

use axum::extract::State;

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
    let part = service.control.log(after, page.limit).await?;
    let items = part.entries.into_iter().map(|(seq, entry)| (seq.to_string(), entry));
    Ok(answer::part(call.path(), items.collect(), part.more))
}
