//! What is recorded in an environment.

use axum::extract::State;

use super::Answer;
use super::past::Past;
use crate::call::Call;
use crate::{Service, answer};

/// The experiments, holdouts, and layers, by kind and name.
pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&["limit", "cursor", "at", "seq"])?;
    let environment = call.environment()?;
    let past = Past::of(&service, &query).await?;
    let list = past.list(&call);
    let page = query.page(&list)?;
    let recorded = past.moment.experiments(&environment)?.into_iter();
    let later = recorded.filter(|item| page.after.as_ref().is_none_or(|after| item.position > *after));
    let items = later.map(|item| (item.position, item.body)).collect();
    Ok(answer::page_at(&list, &page, items, past.seq))
}
