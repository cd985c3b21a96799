//! Flags in an environment: targeting, the switch, rollouts, and history.

use axum::extract::State;
use axum::response::Response;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey};
use flagstone_publisher::author::Targeting;
use flagstone_publisher::control::{Difference, HistoryItem, Operation, Write};
use flagstone_publisher::log::Actor;

use super::past::Past;
use super::{Answer, Subject, authored, only_reason, reason, revision, run_on, write};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::query::Page;
use crate::{Service, answer};

pub(crate) async fn list(State(service): State<Service>, call: Call) -> Answer {
    let query = call.query(&["limit", "cursor", "at", "seq"])?;
    let environment = call.environment()?;
    let past = Past::of(&service, &query).await?;
    let list = past.list(&call);
    let page = query.page(&list)?;
    let targetings = past.moment.targetings(&environment)?;
    Ok(answer::entities(&list, &page, Some(&environment), targetings, past.seq))
}

pub(crate) async fn read(State(service): State<Service>, call: Call) -> Answer {
    let environment = call.environment()?;
    let past = Past::of_one(&service, &call).await?;
    past.answer(&call, Some(&environment), past.moment.targeting(&environment, &call.flag()?)?)
}

pub(crate) async fn put(State(service): State<Service>, call: Call) -> Answer {
    let target = Target::of(&call)?;
    let body = authored(call.json(Media::Json)?, target.subject())?;
    let terms = target.terms(&service, &call, None).await?;
    target.write(&service, Operation::PutTargeting(target.environment(), target.flag(), body), terms).await
}

pub(crate) async fn on(State(service): State<Service>, call: Call) -> Answer {
    switch(&service, &call, true).await
}

pub(crate) async fn off(State(service): State<Service>, call: Call) -> Answer {
    switch(&service, &call, false).await
}

async fn switch(service: &Service, call: &Call, on: bool) -> Answer {
    let target = Target::of(call)?;
    let reason = only_reason(call.optional_json(Media::Json)?)?;
    let terms = target.terms(service, call, reason).await?;
    target.write(service, Operation::Switch(target.environment(), target.flag(), on), terms).await
}

pub(crate) async fn rollout(State(service): State<Service>, call: Call) -> Answer {
    let target = Target::of(&call)?;
    let (body, reason) = reason(Some(call.json(Media::Json)?))?;
    let terms = target.terms(&service, &call, reason).await?;
    target.write(&service, Operation::Rollout(target.environment(), target.flag(), body), terms).await
}

pub(crate) async fn restore(State(service): State<Service>, call: Call) -> Answer {
    let target = Target::of(&call)?;
    let (body, reason) = reason(Some(call.json(Media::Json)?))?;
    let terms = target.terms(&service, &call, reason).await?;
    target
        .write(&service, Operation::RestoreTargeting(target.environment(), target.flag(), body), terms)
        .await
}

/// Deals the users of an experiment a variation anew.
pub(crate) async fn reshuffle(State(service): State<Service>, call: Call) -> Answer {
    let target = Target::of(&call)?;
    let (body, reason) = reason(call.optional_json(Media::Json)?)?;
    let terms = target.terms(&service, &call, reason).await?;
    target.write(&service, Operation::Reshuffle(target.environment(), target.flag(), body), terms).await
}

/// Stops a ramp; the answer says how far each ramp of the flag has got.
pub(crate) async fn pause(State(service): State<Service>, call: Call) -> Answer {
    let target = Target::of(&call)?;
    let (body, reason) = reason(call.optional_json(Media::Json)?)?;
    let terms = target.terms(&service, &call, reason).await?;
    let waited = terms.wait;
    let operation = Operation::PauseRamp(target.environment(), target.flag(), body);
    let control = service.control.clone();
    let mut written = run_on(async move { control.write(operation, terms).await }).await?;
    let reached = reached(&written.entity, service.control.now());
    if let Json::Object(members) = &mut written.entity {
        members.push(("reached".into(), reached));
    }
    let subject = target.subject();
    Ok(answer::written(subject.key, subject.environment, waited, written))
}

/// `{rule: percentage}`
fn reached(targeting: &Json<'_>, now: Instant) -> Json<'static> {
    let targeting = Targeting::parse(targeting).ok();
    let ramps = targeting.iter().flat_map(|targeting| targeting.reached(now));
    Json::object(ramps.map(|(rule, share)| (rule.to_owned(), Json::from(share.to_string()))))
}

pub(crate) async fn history(State(service): State<Service>, call: Call) -> Answer {
    let page = call.query(&["limit", "cursor"])?.page(call.path())?;
    let target = Target::of(&call)?;
    let before = page.after.as_ref().and_then(|seq| seq.parse().ok());
    let limit = page.limit.saturating_add(1);
    let items = service.control.history(&target.environment, &target.flag, before, limit).await?;
    Ok(history_page(&call, &page, items))
}

/// A page of changes; `items` may hold one more.
pub(super) fn history_page(call: &Call, page: &Page, items: Vec<HistoryItem>) -> Response {
    let items = items.into_iter().map(|item| (item.seq.to_string(), history_item(item)));
    answer::page(call.path(), page, items.collect())
}

/// Who did something: `type`, `id`, `via`, and `name` unless it was erased.
pub(super) fn actor(actor: Actor, name: Option<String>) -> Json<'static> {
    let name = name.map(|name| ("name", Json::from(name)));
    let actor = [
        ("type", Json::from(actor.kind.as_str())),
        ("id", Json::from(actor.id)),
        ("via", Json::from(actor.via)),
    ];
    Json::object(actor.into_iter().chain(name))
}

fn history_item(item: HistoryItem) -> Json<'static> {
    let actor = actor(item.actor, item.actor_name);
    let (before, after) = item.revision;
    let members = [
        Some(("seq", Json::from(item.seq))),
        Some(("time", Json::from(item.time.to_string()))),
        Some(("actor", actor)),
        Some(("entity", Json::from(item.entity))),
        Some(("revision", [Json::from(before), Json::from(after)].into_iter().collect())),
        item.reason.map(|reason| ("reason", Json::from(reason))),
        Some(("summary", Json::from(item.summary))),
        Some(("changes", item.changes.iter().map(Difference::to_json).collect())),
        answer::phases(&item.phases),
        Some(("from", item.from.unwrap_or(Json::Null))),
        Some(("to", item.to.unwrap_or(Json::Null))),
    ];
    Json::object(members.into_iter().flatten())
}

/// A flag in an environment, as the path names it.
struct Target {
    environment: EnvironmentId,
    flag: FlagKey,
}

impl Target {
    fn of(call: &Call) -> Result<Self, Problem> {
        Ok(Self { environment: call.environment()?, flag: call.flag()? })
    }

    fn environment(&self) -> EnvironmentId {
        self.environment.clone()
    }

    fn flag(&self) -> FlagKey {
        self.flag.clone()
    }

    fn subject(&self) -> Subject<'_> {
        Subject { key: self.flag.as_str(), environment: Some(&self.environment) }
    }

    async fn terms(&self, service: &Service, call: &Call, reason: Option<String>) -> Result<Write, Problem> {
        let current = async { revision(service.control.targeting(&self.environment, &self.flag).await) };
        call.write(reason, current).await
    }

    async fn write(
        &self,
        service: &Service,
        operation: Operation,
        terms: Write,
    ) -> Result<Response, Problem> {
        write(service, operation, terms, self.subject()).await
    }
}
