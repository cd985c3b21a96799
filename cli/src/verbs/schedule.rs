//! `schedule`: when flags and rules hold and how shares grow, in words.

use flagstone_model::json::Json;
use flagstone_model::key::FlagKey;
use flagstone_publisher::author::words::{Described, describe};
use flagstone_publisher::author::{Problem, Targeting};
use reqwest::Method;

use crate::api::Api;
use crate::args::{
    ApiArgs, Schedule, ScheduleClear, SchedulePause, ScheduleSet, ScheduleVerb, Where, WriteArgs,
};
use crate::failure::{Failure, Spot};
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::flag::expected;
use crate::verbs::{now, told};

type Members = Vec<(std::borrow::Cow<'static, str>, Json<'static>)>;

pub(super) async fn run(
    args: &Schedule,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    match (&args.verb, &args.key) {
        (Some(ScheduleVerb::Set(args)), _) => set(args, surroundings, screen).await,
        (Some(ScheduleVerb::Pause(args)), _) => pause(args, surroundings, screen).await,
        (Some(ScheduleVerb::Clear(args)), _) => clear(args, surroundings, screen).await,
        (None, Some(key)) => show(key, &args.api, surroundings, screen).await,
        (None, None) => Err(Failure::usage("which flag?")),
    }
}

async fn show(
    key: &FlagKey,
    api: &ApiArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(api, surroundings)?;
    let targeting = authored(api.get(&api.targeting(key)).await?.body);
    let words = words(&targeting)?;
    if screen.is_json() {
        return screen.json(&Json::object([("schedules", words_json(&words))]));
    }
    if words.is_empty() {
        return screen.line(format!("{key} has no schedule in {}", api.environment()));
    }
    screen.line(format!("{} in {}", screen.paint(Paint::Bold, key), api.environment()))?;
    tell(screen, &words)?;
    off_note(screen, key, &targeting);
    Ok(())
}

async fn set(args: &ScheduleSet, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    if args.steps.is_empty() && args.start.is_none() && args.end.is_none() {
        return Err(Failure::usage("nothing to schedule: give --step, --start, or --end"));
    }
    let api = Api::new(&args.api, surroundings)?;
    let change = Change { api: &api, key: &args.key, place: &args.place, write: &args.write };
    let what = "has this schedule";
    change
        .make(screen, what, |targeting| {
            let rule = args.place.rule.as_deref();
            if args.start.is_some() || args.end.is_some() {
                let zone = args.zone.as_ref();
                let members = [("start", &args.start), ("end", &args.end)];
                let members =
                    members.into_iter().filter_map(|(name, at)| Some((name, Json::from(at.clone()?))));
                let zone = zone.map(|zone| ("time_zone", Json::from(zone.clone())));
                put(holder(targeting, rule)?, "schedule", Some(Json::object(members.chain(zone))));
            }
            if args.steps.is_empty() { Ok(()) } else { set_ramp(args, targeting) }
        })
        .await
}

fn set_ramp(args: &ScheduleSet, targeting: &mut Members) -> Result<(), Failure> {
    let (place, name) = match args.place.rule.as_deref() {
        Some(rule) => (holder(targeting, Some(rule))?, "ramp"),
        None => (targeting, "fallthrough"),
    };
    let is_rule = name == "ramp";
    let present = member(place, name).cloned().unwrap_or(Json::Null);
    // What is recorded goes on being recorded.
    let experiment = present.member("experiment").cloned().map(|experiment| ("experiment", experiment));
    let (ramp, others) = if is_rule {
        (present, None)
    } else {
        if present.member("rollout").is_some() {
            return Err(Failure::usage("the fallthrough is a rollout, which a ramp would replace").hint(
                "give everybody one variation with `flagstone rollout` first, or name a rule with --rule",
            ));
        }
        (present.member("ramp").cloned().unwrap_or(Json::Null), present.member("serve").cloned())
    };
    let mut ramp = match ramp {
        Json::Object(members) => members,
        _ => Vec::new(),
    };
    if args.to.is_some() || ramp.is_empty() {
        let to = args.to.as_ref().map_or_else(|| "on".to_owned(), ToString::to_string);
        put(&mut ramp, "rollout", None);
        put(&mut ramp, "serve", Some(Json::from(to)));
    }
    let step = |step: &crate::args::Step| {
        [step.at.clone(), step.percent.clone()].into_iter().map(Json::from).collect::<Json<'static>>()
    };
    put(&mut ramp, "steps", Some(args.steps.iter().map(step).collect()));
    put(&mut ramp, "linear", args.linear.then(|| Json::from(true)));
    if let Some(zone) = &args.zone {
        put(&mut ramp, "time_zone", Some(Json::from(zone.clone())));
    }
    if is_rule {
        for outcome in ["serve", "rollout"] {
            put(place, outcome, None);
        }
        put(place, "ramp", Some(Json::Object(ramp)));
    } else {
        // Who is served the same without the ramp would not notice it: all others get the off variation.
        let same = ramp.iter().any(|(name, serve)| name == "serve" && Some(serve) == others.as_ref());
        let others = others.filter(|_| !same).map(|serve| ("serve", serve));
        let fallthrough = [("ramp", Json::Object(ramp))].into_iter().chain(others).chain(experiment);
        put(place, "fallthrough", Some(Json::object(fallthrough)));
    }
    Ok(())
}

async fn clear(args: &ScheduleClear, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let change = Change { api: &api, key: &args.key, place: &args.place, write: &args.write };
    change
        .make(screen, "has no such schedule any more", |targeting| {
            let reached = parsed(targeting)?;
            let reached: Vec<(String, u64)> = reached
                .reached(now())
                .into_iter()
                .map(|(rule, share)| (rule.to_owned(), share.parts()))
                .collect();
            let is_done = |rule: &str| reached.iter().any(|(id, parts)| id == rule && *parts == 100_000);
            let rule = args.place.rule.as_deref();
            let place = holder(targeting, rule)?;
            let had_window = member(place, "schedule").is_some();
            put(place, "schedule", None);
            let had_ramp = match rule {
                Some(rule) => {
                    let ramp = member(place, "ramp").cloned();
                    let served = ramp.as_ref().filter(|_| is_done(rule)).and_then(served_by);
                    match served {
                        Some((outcome, served)) => {
                            put(place, "ramp", None);
                            put(place, outcome, Some(served));
                        }
                        None if ramp.is_some() => without_rule(targeting, rule),
                        None => {}
                    }
                    ramp.is_some()
                }
                None => {
                    let fallthrough = member(targeting, "fallthrough").cloned().unwrap_or(Json::Null);
                    let ramp = fallthrough.member("ramp");
                    if let Some(ramp) = ramp {
                        let served = served_by(ramp).filter(|_| is_done("rollout"));
                        let others =
                            fallthrough.member("serve").or_else(|| member(targeting, "off")).cloned();
                        let others = others.map(|serve| ("serve", serve));
                        let next = served.or(others).filter(|(_, serve)| *serve != Json::Null);
                        let experiment = fallthrough.member("experiment").cloned();
                        let next = next.map(|next| {
                            let experiment = experiment.filter(|_| next.0 == "rollout");
                            let experiment = experiment.map(|experiment| ("experiment", experiment));
                            Json::object([next].into_iter().chain(experiment))
                        });
                        put(targeting, "fallthrough", next);
                    }
                    ramp.is_some()
                }
            };
            if had_window || had_ramp {
                Ok(())
            } else {
                Err(Failure::refused("no-schedule", "there is no schedule to clear")
                    .hint(format!("`flagstone schedule {}` shows all of them", args.key)))
            }
        })
        .await
}

/// The outcome that a ramp leads to.
fn served_by(ramp: &Json<'static>) -> Option<(&'static str, Json<'static>)> {
    ["serve", "rollout"].into_iter().find_map(|outcome| Some((outcome, ramp.member(outcome)?.clone())))
}

async fn pause(args: &SchedulePause, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.targeting(&args.key);
    let before = api.get(&path).await?;
    let body = Json::object(args.rule.iter().map(|rule| ("rule", Json::from(rule.clone()))));
    let answer = api
        .write(Method::POST, &format!("{path}/pause"), Some(&body), expected(before.revision), &args.write)
        .await?;
    let reached = answer.body.member("reached").and_then(Json::as_object).unwrap_or_default();
    let reached: Vec<String> = reached
        .iter()
        .map(|(rule, share)| format!("{rule} at {}", told::plain(share).replace('%', " %")))
        .collect();
    let key = screen.paint(Paint::Bold, &args.key);
    told::change(
        screen,
        &answer,
        &format!("{key} is paused in {}: {}", api.environment(), reached.join(", ")),
    )
}

/// A change of a targeting that is told in words before it is written.
struct Change<'a> {
    api: &'a Api,
    key: &'a FlagKey,
    place: &'a Where,
    write: &'a WriteArgs,
}

impl Change<'_> {
    async fn make(
        &self,
        screen: &Screen,
        what: &str,
        edit: impl FnOnce(&mut Members) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { api, key, place, write } = self;
        let path = api.targeting(key);
        let before = api.get(&path).await?;
        let mut targeting = authored(before.body);
        edit(&mut targeting)?;
        let words = words(&targeting)?;
        if !screen.is_json() {
            tell(screen, &words)?;
        }
        let body = Json::Object(targeting.clone());
        if place.dry_run {
            if screen.is_json() {
                return screen.json(&Json::object([
                    ("dry_run", Json::from(true)),
                    ("targeting", body),
                    ("schedules", words_json(&words)),
                ]));
            }
            return screen.line("nothing was written (--dry-run)");
        }
        let answer = api.write(Method::PUT, &path, Some(&body), expected(before.revision), write).await?;
        let shown = screen.paint(Paint::Bold, key);
        told::change(screen, &answer, &format!("{shown} {what} in {}", api.environment()))?;
        off_note(screen, key, &targeting);
        Ok(())
    }
}

/// What its author wrote, out of an answer.
fn authored(body: Json<'static>) -> Members {
    match body {
        Json::Object(mut members) => {
            members.retain(|(name, _)| !told::OF_THE_SERVER.contains(&&**name));
            members
        }
        _ => Vec::new(),
    }
}

fn member<'m>(members: &'m Members, name: &str) -> Option<&'m Json<'static>> {
    members.iter().find(|(present, _)| present == name).map(|(_, value)| value)
}

/// Sets a member, or takes it away.
fn put(members: &mut Members, name: &'static str, value: Option<Json<'static>>) {
    members.retain(|(present, _)| present != name);
    members.extend(value.map(|value| (name.into(), value)));
}

/// What a schedule belongs to: a rule, or the targeting itself.
fn holder<'t>(targeting: &'t mut Members, rule: Option<&str>) -> Result<&'t mut Members, Failure> {
    let Some(wanted) = rule else { return Ok(targeting) };
    let rules = targeting.iter_mut().find(|(name, _)| name == "rules").map(|(_, rules)| rules);
    let rules = match rules {
        Some(Json::Array(rules)) => rules.iter_mut().collect(),
        _ => Vec::new(),
    };
    let mut ids = Vec::new();
    for rule in rules {
        let Json::Object(members) = rule else { continue };
        let id = member(members, "id").and_then(Json::as_str).unwrap_or_default().to_owned();
        if id == wanted {
            return Ok(members);
        }
        ids.push(id);
    }
    let suggestion = crate::failure::closest(wanted, ids.iter().map(String::as_str));
    Err(Failure::refused("rule-not-found", format!("the flag has no rule `{wanted}`")).suggest(suggestion))
}

fn without_rule(targeting: &mut Members, rule: &str) {
    if let Some((_, Json::Array(rules))) = targeting.iter_mut().find(|(name, _)| name == "rules") {
        rules.retain(|present| present.member("id").and_then(Json::as_str) != Some(rule));
    }
}

fn parsed(targeting: &Members) -> Result<Targeting, Failure> {
    Targeting::parse(&Json::Object(targeting.clone())).map_err(|problems| refused(&problems))
}

fn words(targeting: &Members) -> Result<Vec<Described>, Failure> {
    Ok(describe(&parsed(targeting)?, now()))
}

/// The same as the server would say.
fn refused(problems: &[Problem]) -> Failure {
    let first = problems.first();
    let code = first.map_or("invalid-request", |problem| problem.code);
    let detail = first.map_or_else(String::new, |problem| problem.detail.clone());
    let mut failure = Failure::refused(code, detail);
    let spot = |problem: &Problem| Spot {
        pointer: problem.pointer.clone(),
        code: problem.code.to_owned(),
        detail: problem.detail.clone(),
    };
    failure.spots = problems.iter().map(spot).collect();
    failure
}

fn tell(screen: &Screen, words: &[Described]) -> Result<(), Failure> {
    for Described { of, plan, now } in words {
        screen.line(format!("  {of}: {plan}"))?;
        screen.line(format!("    {} {now}", screen.paint(Paint::Dim, "now:")))?;
    }
    Ok(())
}

fn words_json(words: &[Described]) -> Json<'static> {
    let told = words.iter().map(|Described { of, plan, now }| {
        let members = [("of", of), ("plan", plan), ("now", now)];
        Json::object(members.map(|(name, text)| (name, Json::from(text.clone()))))
    });
    told.collect()
}

fn off_note(screen: &Screen, key: &FlagKey, targeting: &Members) {
    if !screen.is_json() && member(targeting, "on").and_then(Json::as_bool) == Some(false) {
        screen.note(format!("the flag is off there: `flagstone on {key}` lets its schedule decide"));
    }
}
