//! What can be seen from where the CLI is: server, clock, token, environments, streams.

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;

use super::{Checks, days, now_ms};
use crate::api::{Api, Reached, Who};
use crate::args::ApiArgs;
use crate::surroundings::Surroundings;
use crate::verbs::told;

/// A clock that is off by more than this, in seconds, is worth a word: `Date` has whole seconds.
const CLOCK_WARN: u64 = 5;
/// More than the format allows a clock to be off (FORMAT T-1.8), in seconds.
const CLOCK_FAIL: u64 = 60;
/// A token that ends within this time is worth a word, in milliseconds.
const TOKEN_SOON_MS: i64 = 14 * 86_400_000;
/// A stream that was not announced for this long has missed several heartbeats, in milliseconds.
const STALE_MS: i64 = 15 * 60_000;

pub(super) async fn look(args: &ApiArgs, surroundings: &Surroundings, checks: &mut Checks) {
    let reached = match Reached::of(args, surroundings) {
        Ok(reached) => reached,
        Err(failure) => return checks.failed("settings", &failure),
    };
    let token = if reached.token.is_some() { reached.token_from } else { "nowhere" };
    let api = match Api::new(args, surroundings) {
        Ok(api) => api,
        Err(failure) => return checks.failed("settings", &failure),
    };
    checks.ok(
        "settings",
        format!(
            "{} (from {}), token from {token}, project {}, environment {}",
            reached.url,
            reached.url_from,
            api.project(),
            api.environment()
        ),
    );
    match api.probe().await {
        Ok(date) => {
            checks.ok("server", "it answers");
            clock(date, checks);
        }
        Err(failure) => return checks.failed("server", &failure),
    }
    match api.whoami().await {
        Ok(who) => token_of(&who, checks),
        Err(failure) => return checks.failed("token", &failure),
    }
    match api.list(&api.in_project("environments")).await {
        Ok(environments) => streams(&api, &environments, checks).await,
        Err(failure) => checks.failed("project", &failure),
    }
}

fn clock(date: Option<u64>, checks: &mut Checks) {
    let Some(server) = date else {
        return checks.warn(
            "clock",
            "the server does not say what time it is",
            "a proxy may take its Date header away",
        );
    };
    let here = u64::try_from(now_ms() / 1_000).unwrap_or_default();
    let apart = here.abs_diff(server);
    let sense = if here > server { "ahead of" } else { "behind" };
    let detail = format!("this clock is {apart} s {sense} the server's");
    let advice = "set both clocks by NTP: schedules and the age of a stream are read off them";
    if apart > CLOCK_FAIL {
        checks.fail("clock", detail, advice);
    } else if apart > CLOCK_WARN {
        checks.warn("clock", detail, advice);
    } else {
        checks.ok("clock", "this clock and the server's agree");
    }
}

fn token_of(who: &Who, checks: &mut Checks) {
    let role = who.role.as_deref().map_or_else(|| "it is taken".to_owned(), |role| format!("role {role}"));
    let left = who.expires.as_deref().and_then(|expires| Instant::parse(expires).ok());
    match left.map(|expires| expires.millis().saturating_sub(now_ms())) {
        Some(left) if left < TOKEN_SOON_MS => {
            checks.warn(
                "token",
                format!("{role}, ends in {}", days(left)),
                "make a new one: flagstone token create",
            );
        }
        Some(left) => checks.ok("token", format!("{role}, ends in {}", days(left))),
        None => checks.ok("token", role),
    }
}

async fn streams(api: &Api, environments: &[Json<'_>], checks: &mut Checks) {
    let ids: Vec<_> = environments
        .iter()
        .filter_map(|environment| {
            let id = environment.member("id").or_else(|| environment.member("key"))?;
            EnvironmentId::parse(id.as_str()?).ok()
        })
        .collect();
    let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
    if ids.is_empty() {
        let advice = "flagstone env create production";
        return checks.warn("project", format!("{} has no environment", api.project()), advice);
    }
    if ids.contains(api.environment()) {
        checks.ok("project", format!("{} with {}", api.project(), names.join(", ")));
    } else {
        let detail = format!(
            "{} has no environment {}; it has {}",
            api.project(),
            api.environment(),
            names.join(", ")
        );
        checks.warn("project", detail, "--env or FLAGSTONE_ENV names another one");
    }
    for environment in &ids {
        let path = api.in_project(&format!("environments/{environment}/publication"));
        match api.get(&path).await {
            Ok(answer) => {
                for (view, published) in answer.body.as_object().unwrap_or_default() {
                    if published.as_object().is_some() {
                        stream(&format!("{environment}/{view}"), published, checks);
                    }
                }
            }
            Err(failure) => checks.failed("stream", &failure),
        }
    }
}

fn stream(name: &str, published: &Json<'_>, checks: &mut Checks) {
    let version = told::number(published, "version").unwrap_or_default();
    let behind = told::number(published, "head_seq").unwrap_or_default()
        - told::number(published, "covered_seq").unwrap_or_default();
    if told::text(published, "state") != "announced" {
        let detail = format!("{name}: version {version} is not announced yet, {behind} entries behind");
        return checks.warn("stream", detail, "look again in a few seconds, then at the server's log");
    }
    if let Some(flags) = flags(published, "withheld") {
        checks.warn(
            "stream",
            format!("{name}: not announced as written: flag {flags}"),
            "a check of the publisher failed: the server's log says which; write the flag in another way, or upgrade",
        );
    }
    if let Some(flags) = flags(published, "left_out") {
        checks.warn(
            "stream",
            format!("{name}: clients do not get the client-visible flag {flags}"),
            "`flagstone attribute set` declares what its rules test, or `flagstone flag edit FLAG \
             --client-visible=false` says so",
        );
    }
    let age = told::number(published, "issued_ms").map(|issued| now_ms().saturating_sub(issued));
    match age {
        Some(age) if age > STALE_MS => checks.warn(
            "stream",
            format!("{name}: version {version}, announced {} min ago", age / 60_000),
            "heartbeats are missing: clients will say that it is stale; look at the server's log",
        ),
        _ => checks.ok("stream", format!("{name}: version {version}, announced")),
    }
}

/// The first flag in a member, and how many more there are.
fn flags(published: &Json<'_>, member: &str) -> Option<String> {
    match published.member(member)?.as_array()? {
        [] => None,
        [first] => Some(told::plain(first)),
        [first, more @ ..] => Some(format!("{} and {} more", told::plain(first), more.len())),
    }
}
