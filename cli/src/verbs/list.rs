//! `list list|show|put|add|drop|contains|keys|delete`.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use flagstone_model::json::Json;
use flagstone_publisher::list::{ListKeys, MAX_EDITS_AT_ONCE};
use reqwest::Method;

use crate::api::{Answer, Api, Expected, escaped};
use crate::args::{ListArgs, ListContains, ListDelete, ListEdit, ListPut, ListShow, ListVerb};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::flag::expected;
use crate::verbs::told;

pub(super) async fn run(
    verb: &ListVerb,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    match verb {
        ListVerb::List(args) => list(args, surroundings, screen).await?,
        ListVerb::Show(args) => show(args, surroundings, screen).await?,
        ListVerb::Put(args) => put(args, surroundings, screen).await?,
        ListVerb::Add(args) => edit(args, "add", surroundings, screen).await?,
        ListVerb::Drop(args) => edit(args, "drop", surroundings, screen).await?,
        ListVerb::Contains(args) => return contains(args, surroundings, screen).await,
        ListVerb::Keys(args) => keys(args, surroundings, screen).await?,
        ListVerb::Delete(args) => delete(args, surroundings, screen).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &ListArgs, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let lists = api.list(&api.in_environment("lists")).await?;
    if screen.is_json() {
        return screen.items(lists);
    }
    let mut rows = vec![["KEY", "KEYS", "OBJECT"].map(str::to_owned).to_vec()];
    for list in &lists {
        let size = list.member("object").and_then(|object| told::number(object, "size")).unwrap_or_default();
        let count = told::number(list, "count").unwrap_or_default();
        rows.push(vec![told::text(list, "key").to_owned(), count.to_string(), format!("{size} bytes")]);
    }
    screen.table(&rows)
}

async fn show(args: &ListShow, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let list = api.get(&api.keys_of(&args.key)).await?;
    if screen.is_json() {
        return screen.json(&list.body);
    }
    screen.line(format!("{} in {}", screen.paint(Paint::Bold, &args.key), api.environment()))?;
    told::entity(screen, &list.body)
}

async fn put(args: &ListPut, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let keys = read(&args.file)?;
    let path = api.keys_of(&args.key);
    let expected = api.find(&path).await?.map_or(Expected::Absent, |list| expected(list.revision));
    let path = if args.rebase { format!("{path}?rebase=true") } else { path };
    let answer = api.write_text(&path, keys.as_text(), expected, &args.write).await?;
    told_change(screen, &answer, &format!("list {} was written", screen.paint(Paint::Bold, &args.key)), &api)
}

/// What became of a list, with how many keys that moved.
fn told_change(screen: &Screen, answer: &Answer, what: &str, api: &Api) -> Result<(), Failure> {
    let count = told::number(&answer.body, "count").unwrap_or_default();
    let changed = answer.body.member("changed");
    let of = |name| changed.and_then(|changed| told::number(changed, name)).unwrap_or_default();
    let (added, dropped) = (of("added"), of("dropped"));
    let keys = if count == 1 { "1 key".to_owned() } else { format!("{count} keys") };
    told::change(
        screen,
        answer,
        &format!("{what} in {}: {keys}, {added} more, {dropped} fewer", api.environment()),
    )
}

/// The keys in a file, checked here, where the file is.
fn read(file: &Path) -> Result<ListKeys, Failure> {
    let shown = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let unreadable = |error: std::io::Error| Failure::usage(format!("{shown} cannot be read: {error}"));
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(unreadable)?;
        bytes
    } else {
        std::fs::read(file).map_err(unreadable)?
    };
    ListKeys::from_text(&bytes).map_err(|fault| {
        let code = if fault.is_too_large() { "too-large" } else { "invalid-keys" };
        Failure::refused(code, format!("{shown}: {fault}"))
    })
}

async fn edit(
    args: &ListEdit,
    member: &'static str,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let keys = match &args.keys[..] {
        [only] if only == "-" => read(Path::new("-"))?.iter().map(str::to_owned).collect(),
        keys => keys.to_vec(),
    };
    let done = if member == "add" { "got keys" } else { "lost keys" };
    let what = format!("list {} {done}", screen.paint(Paint::Bold, &args.key));
    // More than one request may have are several, each an entry of its own: each may be repeated.
    for part in keys.chunks(MAX_EDITS_AT_ONCE) {
        let body =
            Json::object([(member, part.iter().map(|key| Json::from(key.clone())).collect::<Json<'_>>())]);
        let path = api.keys_of(&args.key);
        let answer = api.write(Method::PATCH, &path, Some(&body), Expected::Nothing, &args.write).await?;
        told_change(screen, &answer, &what, &api)?;
    }
    Ok(())
}

async fn contains(
    args: &ListContains,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = format!("{}?key={}", api.keys_of(&args.key), escaped(&args.listed));
    let answer = api.get(&path).await?;
    let is_in = answer.body.member("contains").and_then(Json::as_bool).unwrap_or_default();
    if screen.is_json() {
        screen.json(&answer.body)?;
    } else {
        screen.line(if is_in { "yes" } else { "no" })?;
    }
    Ok(if is_in { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn keys(args: &ListShow, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let (text, _) = api.text(&format!("{}/keys", api.keys_of(&args.key))).await?;
    if screen.is_json() {
        let keys: Json<'_> = text.split_terminator('\n').map(Json::from).collect();
        return screen.json(&Json::object([("keys", keys)]));
    }
    match text.strip_suffix('\n') {
        Some(keys) => screen.line(keys),
        None => Ok(()),
    }
}

async fn delete(args: &ListDelete, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.keys_of(&args.key);
    let expected = expected(api.get(&path).await?.revision);
    let answer = api.write(Method::DELETE, &path, None, expected, &args.write).await?;
    let key = screen.paint(Paint::Bold, &args.key);
    told::change(screen, &answer, &format!("list {key} was deleted in {}", api.environment()))
}
