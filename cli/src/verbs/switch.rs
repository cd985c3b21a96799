//! `on`, `off`, and `rollout`.

use flagstone_model::json::Json;
use reqwest::Method;

use crate::api::Api;
use crate::args::{Rollout, Switch};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::flag::expected;
use crate::verbs::told;

/// How often a switch is tried while others edit the same flag.
const TRIES: usize = 4;

pub(super) async fn switch(
    args: &Switch,
    on: bool,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.targeting(&args.key);
    let word = if on { "on" } else { "off" };
    let post = format!("{path}/{word}");
    let mut tries = 0;
    let answer = loop {
        tries += 1;
        let expected = expected(api.get(&path).await?.revision);
        match api.write(Method::POST, &post, None, expected, &args.write).await {
            // What else was changed meanwhile does not matter to a switch, least of all to a kill switch.
            Err(failure) if failure.code == "stale-revision" && tries < TRIES => {}
            done => break done?,
        }
    };
    let key = screen.paint(Paint::Bold, &args.key);
    let word = screen.paint(if on { Paint::Green } else { Paint::Red }, word);
    told::change(screen, &answer, &format!("{key} is {word} in {}", api.environment()))
}

pub(super) async fn rollout(
    args: &Rollout,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.targeting(&args.key);
    let before = api.get(&path).await?;
    let body = Json::object([
        ("variation", Json::from(args.variation.to_string())),
        ("percent", Json::from(args.percent)),
    ]);
    let answer = api
        .write(Method::POST, &format!("{path}/rollout"), Some(&body), expected(before.revision), &args.write)
        .await?;
    let key = screen.paint(Paint::Bold, &args.key);
    let (percent, variation) = (args.percent, &args.variation);
    told::change(
        screen,
        &answer,
        &format!("{key} serves {percent} % `{variation}` in {}", api.environment()),
    )?;
    if !screen.is_json() && answer.body.member("on").and_then(Json::as_bool) == Some(false) {
        screen.note(format!("the flag is off there: `flagstone on {}` lets the rollout decide", args.key));
    }
    Ok(())
}
