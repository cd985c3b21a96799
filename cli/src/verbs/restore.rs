//! `restore`: a flag's targeting, or a whole environment, as it stood after an entry.

use flagstone_model::json::Json;
use reqwest::Method;

use super::plan::{agreed, show_changes};
use crate::api::{Api, Expected};
use crate::args::Restore;
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::flag::expected;
use crate::verbs::told;

pub(super) async fn run(args: &Restore, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let body = Json::object([("seq", Json::from(args.seq))]);
    let environment = api.environment().to_string();
    if let Some(key) = &args.key {
        let path = api.targeting(key);
        let expected = expected(api.get(&path).await?.revision);
        let path = format!("{path}/restore");
        let answer = api.write(Method::POST, &path, Some(&body), expected, &args.write).await?;
        let key = screen.paint(Paint::Bold, key);
        return told::change(
            screen,
            &answer,
            &format!("{key} is in {environment} as after entry {}", args.seq),
        );
    }
    let path = api.in_environment("restore");
    // Tried first with what has been agreed to, so that a question is about what would really happen.
    let confirm = if args.write.confirm { "&confirm=true" } else { "" };
    let trial = api.ask(&format!("{path}?dry_run=true{confirm}"), &body).await?;
    let changes = trial.body.member("changes").and_then(Json::as_array).unwrap_or_default();
    if !screen.is_json() {
        show_changes(screen, changes)?;
        for flag in trial.body.member("skipped").and_then(Json::as_array).unwrap_or_default() {
            screen.note(format_args!("flag {} is archived, and stays so", told::text(flag, "flag")));
        }
    }
    if changes.is_empty() {
        return if screen.is_json() { screen.json(&trial.body) } else { screen.line("nothing to do") };
    }
    if !args.yes {
        agreed(surroundings, screen)?;
    }
    let answer = api.write(Method::POST, &path, Some(&body), Expected::Nothing, &args.write).await?;
    let environment = screen.paint(Paint::Bold, environment);
    told::change(screen, &answer, &format!("{environment} is as after entry {}", args.seq))
}
