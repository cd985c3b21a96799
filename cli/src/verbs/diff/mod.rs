//! `diff`: whom a change would move that nobody has made yet.

mod show;

use std::io::Read as _;
use std::path::Path;

use flagstone_model::json::Json;
use flagstone_publisher::preview::MAX_CONTEXTS;

use crate::api::Api;
use crate::args::{Diff, OfRule};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::surroundings::Surroundings;
use crate::verbs::plan;

pub(super) async fn run(args: &Diff, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let mut question = question(args)?;
    let answer = match change(args)? {
        Some(mut change) => {
            change.append(&mut question);
            api.ask(&api.in_environment("preview"), &Json::object(change)).await?
        }
        None => match plan::ask_about_files(&api, &args.dir, args.prune, question, screen).await? {
            Some(answer) => answer,
            None if screen.is_json() => {
                return screen.json(&Json::object([("changes", Json::Array(Vec::new()))]));
            }
            None => return screen.line("nothing to do"),
        },
    };
    if screen.is_json() {
        return screen.json(&answer.body);
    }
    show::answer(screen, &answer.body, api.environment())
}

type Members = Vec<(&'static str, Json<'static>)>;

/// The change that the command line names; `None` if it is what files want.
fn change(args: &Diff) -> Result<Option<Members>, Failure> {
    let change = match args {
        Diff { targeting: Some(given), .. } => ("targeting", given.read("--targeting")?),
        Diff { rollout: Some(percent), variation, .. } => {
            let share = [("variation", Json::from(variation.to_string())), ("percent", Json::from(*percent))];
            ("rollout", Json::object(share))
        }
        Diff { on: true, .. } => ("on", Json::from(true)),
        Diff { off: true, .. } => ("on", Json::from(false)),
        Diff { of_rule: OfRule { pause: true, rule, .. }, .. } => ("pause", of_rule(rule.as_deref())),
        Diff { of_rule: OfRule { reshuffle: true, rule, .. }, .. } => ("reshuffle", of_rule(rule.as_deref())),
        Diff { to_seq: Some(seq), .. } => ("restore", Json::object([("seq", Json::from(*seq))])),
        Diff { key: Some(key), .. } => {
            return Err(Failure::usage(format!("what would change about `{key}`?"))
                .hint("--targeting, --rollout, --on, --off, --pause, --reshuffle, or --to-seq says it"));
        }
        _ => return Ok(None),
    };
    let flag = args.key.as_ref().map(|key| ("flag", Json::from(key.to_string())));
    Ok(Some(flag.into_iter().chain([change]).collect()))
}

fn of_rule(rule: Option<&str>) -> Json<'static> {
    Json::object(rule.map(|rule| ("rule", Json::from(rule.to_owned()))))
}

/// For whom, and when.
fn question(args: &Diff) -> Result<Members, Failure> {
    let mut members = match &args.contexts {
        Some(file) => vec![("contexts", contexts(file)?)],
        None => {
            let size = args.sample.map(|size| ("size", Json::from(u64::from(size))));
            let seed = ("seed", Json::from(u64::from(args.seed)));
            vec![("sample", Json::object(size.into_iter().chain([seed])))]
        }
    };
    members.extend(args.at.as_ref().map(|at| ("at", Json::from(at.clone()))));
    Ok(members)
}

/// The contexts in a file, one a line.
fn contexts(file: &Path) -> Result<Json<'static>, Failure> {
    let wrong = |detail: String| Failure::usage(format!("--contexts: {}: {detail}", file.display()));
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    read.map_err(|error| wrong(error.to_string()))?;
    let mut contexts = Vec::new();
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1_u32..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let context = Json::parse(line).map_err(|error| wrong(format!("line {number}: {error}")))?;
        if context.as_object().is_none() {
            return Err(wrong(format!("line {number}: a context is a JSON object, on one line")));
        }
        if contexts.len() >= MAX_CONTEXTS {
            return Err(wrong(format!("more than {MAX_CONTEXTS} contexts")));
        }
        contexts.push(context.into_owned());
    }
    if contexts.is_empty() { Err(wrong("no context".to_owned())) } else { Ok(Json::Array(contexts)) }
}
