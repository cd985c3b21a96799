//! `experiment list|show|reshuffle`.

use flagstone_model::json::Json;
use flagstone_model::key::FlagKey;
use reqwest::Method;

use crate::api::{Api, Expected};
use crate::args::{ExperimentList, ExperimentReshuffle, ExperimentShow};
use crate::failure::{Failure, closest};
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::explain::percent;
use crate::verbs::told;

pub(super) async fn list(
    args: &ExperimentList,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let items = api.list(&api.in_environment("experiments")).await?;
    if screen.is_json() {
        return screen.items(items);
    }
    if items.is_empty() {
        return screen.line(format!("no experiments in {}", api.environment()));
    }
    let of = |kind: &str| items.iter().filter(|item| told::text(item, "kind") == kind).collect::<Vec<_>>();
    let (experiments, holdouts, layers) = (of("experiment"), of("holdout"), of("layer"));
    let mut rows = vec![
        ["EXPERIMENT", "RECORDED AS", "FLAG", "RULE", "STATE", "LAYER", "SHARES"].map(str::to_owned).to_vec(),
    ];
    rows.extend(experiments.into_iter().map(row));
    if rows.len() > 1 {
        screen.table(&rows)?;
    }
    for holdout in holdouts {
        let flags = holdout.member("flags").and_then(Json::as_array).unwrap_or_default();
        let flags: Vec<_> = flags.iter().map(|flag| told::text(flag, "flag")).collect();
        let name = screen.paint(Paint::Bold, told::text(holdout, "name"));
        let (share, flags) = (share(holdout, "share"), flags.join(", "));
        screen.line(format!("holdout {name}: {share} of {flags}"))?;
    }
    for layer in layers {
        let name = screen.paint(Paint::Bold, told::text(layer, "name"));
        screen.line(format!("layer {name}: {} free", share(layer, "free")))?;
        for slot in layer.member("slots").and_then(Json::as_array).unwrap_or_default() {
            let (rule, flag) = (told::text(slot, "rule"), told::text(slot, "flag"));
            screen.line(format!("  {} {flag}, rule {rule}: {}", share(slot, "share"), spans(slot)))?;
        }
    }
    Ok(())
}

pub(super) async fn show(
    args: &ExperimentShow,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let experiment = find(&api, &args.name).await?;
    if screen.is_json() {
        return screen.json(&experiment);
    }
    let text = |name: &str| told::text(&experiment, name);
    screen.line(format!("{} is recorded as {}", screen.paint(Paint::Bold, &args.name), text("exp")))?;
    let state = if is_on(&experiment) { "on" } else { "off" };
    screen.line(format!("  rule {} of flag {}, which is {state}", text("rule"), text("flag")))?;
    if experiment.member("salt").is_some() {
        screen.line(format!("  by {}, salt {}", text("by"), text("salt")))?;
        screen.line(format!("  shares: {}", shares(&experiment)))?;
    }
    if let Some(layer) = experiment.member("layer") {
        let name = told::text(layer, "name");
        screen.line(format!("  {} of layer {name}: {}", share(layer, "share"), spans(layer)))?;
    }
    let holdouts = experiment.member("holdouts").and_then(Json::as_array).unwrap_or_default();
    if !holdouts.is_empty() {
        let names: Vec<_> = holdouts.iter().map(told::plain).collect();
        screen.line(format!("  without those held out by {}", names.join(", ")))?;
    }
    Ok(())
}

pub(super) async fn reshuffle(
    args: &ExperimentReshuffle,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let experiment = find(&api, &args.name).await?;
    let flag = told::text(&experiment, "flag");
    let key = FlagKey::parse(flag).map_err(|error| Failure::refused("invalid-answer", error.to_string()))?;
    let path = api.targeting(&key);
    let expected = api.get(&path).await?.revision.map_or(Expected::Nothing, Expected::Revision);
    let body = Json::object([("rule", Json::from(told::text(&experiment, "rule").to_owned()))]);
    let answer =
        api.write(Method::POST, &format!("{path}/reshuffle"), Some(&body), expected, &args.write).await?;
    let name = screen.paint(Paint::Bold, &args.name);
    told::change(screen, &answer, &format!("the users of {name} are shuffled anew in {}", api.environment()))
}

/// An experiment by its name.
async fn find(api: &Api, name: &str) -> Result<Json<'static>, Failure> {
    let items = api.list(&api.in_environment("experiments")).await?;
    let experiments = items.into_iter().filter(|item| told::text(item, "kind") == "experiment");
    let experiments: Vec<_> = experiments.collect();
    match experiments.iter().find(|item| told::text(item, "name") == name) {
        Some(found) => Ok(found.clone()),
        None => {
            let suggestion = closest(name, experiments.iter().map(|item| told::text(item, "name")));
            let detail = format!("there is no experiment `{name}` in {}", api.environment());
            Err(Failure::refused("experiment-not-found", detail).suggest(suggestion))
        }
    }
}

fn is_on(item: &Json<'_>) -> bool {
    item.member("on").and_then(Json::as_bool) == Some(true)
}

fn row(item: &Json<'static>) -> Vec<String> {
    let layer = item.member("layer").map_or_else(
        || "-".to_owned(),
        |layer| format!("{} {}", told::text(layer, "name"), share(layer, "share")),
    );
    let text = |name: &str| told::text(item, name).to_owned();
    let state = if is_on(item) { "on" } else { "off" }.to_owned();
    vec![text("name"), text("exp"), text("flag"), text("rule"), state, layer, shares(item)]
}

/// A share of 100 000 in percent.
fn share(item: &Json<'_>, member: &str) -> String {
    percent(told::number(item, member).unwrap_or_default(), 100_000)
}

fn shares(item: &Json<'_>) -> String {
    let weights = item.member("weights").and_then(Json::as_object).unwrap_or_default();
    let told = weights.iter().map(|(variation, weight)| {
        format!("{variation} {}", percent(weight.as_integer().unwrap_or_default(), 100_000))
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() { "one variation".to_owned() } else { told.join(", ") }
}

/// The buckets of a slot: `20000-60000`.
fn spans(slot: &Json<'_>) -> String {
    let spans = slot.member("in").and_then(Json::as_array).unwrap_or_default();
    let told = spans.iter().map(|span| match span.as_array() {
        Some([start, end]) => format!("{start}-{end}"),
        _ => span.to_string(),
    });
    format!("buckets {}", told.collect::<Vec<_>>().join(", "))
}
