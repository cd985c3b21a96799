//! `publish` and `erase`.

use flagstone_model::json::Json;
use reqwest::Method;

use crate::api::{Api, Expected};
use crate::args::{Erase, Publish, WriteArgs};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::surroundings::Surroundings;
use crate::verbs::told;

pub(super) async fn publish(
    args: &Publish,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let asked = [("rebuild", args.rebuild), ("adopt", args.adopt)];
    let body =
        Json::object(asked.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| (name, Json::from(true))));
    let how = with_reason(args.reason.as_ref());
    let path = api.in_environment("publish");
    let answer = api.write(Method::POST, &path, Some(&body), Expected::Nothing, &how).await?;
    let what = if args.adopt { "what is announced was adopted" } else { "published" };
    told::change(screen, &answer, what)
}

pub(super) async fn erase(args: &Erase, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let what = &args.what;
    let member = match (&what.actor, &what.user_id) {
        (Some(actor), _) => ("actor", Json::from(actor.clone())),
        (None, Some(key)) => ("user_id", Json::from(key.clone())),
        (None, None) => ("seq", what.seqs.iter().map(|seq| Json::from(*seq)).collect()),
    };
    let (body, how) = (Json::object([member]), with_reason(args.reason.as_ref()));
    let answer =
        api.write(Method::POST, &api.in_project("erase"), Some(&body), Expected::Nothing, &how).await?;
    if screen.is_json() {
        return screen.json(&answer.body);
    }
    let numbers = |name: &str| {
        let all = answer.body.member(name).and_then(Json::as_array).unwrap_or_default();
        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match numbers("erased") {
        none if none.is_empty() => screen.line("nothing to erase")?,
        erased => screen.line(format!("erased: {erased} (recorded as {})", numbers("entries")))?,
    }
    for kept in answer.body.member("kept").and_then(Json::as_array).unwrap_or_default() {
        let entities = kept.member("entities").and_then(Json::as_array).unwrap_or_default();
        let entities: Vec<_> = entities.iter().filter_map(Json::as_str).collect();
        let seq = told::number(kept, "seq").unwrap_or_default();
        screen.note(format!("entry {seq} stays until these are written anew: {}", entities.join(", ")));
    }
    Ok(())
}

fn with_reason(reason: Option<&String>) -> WriteArgs {
    WriteArgs { reason: reason.cloned(), confirm: false, no_wait: false }
}
