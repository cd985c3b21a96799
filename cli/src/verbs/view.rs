//! `attribute list|set|unset` and `view list|set|delete`.

use flagstone_model::json::Json;
use reqwest::Method;

use crate::api::{Api, Expected, escaped};
use crate::args::{AttributeSet, AttributeUnset, ListArgs, ViewDelete, ViewSet, WriteArgs};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::flag::expected;
use crate::verbs::told;

pub(super) async fn attributes(
    args: &ListArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let declared = api.get(&api.in_project("attributes")).await?.body;
    if screen.is_json() {
        return screen.json(&declared);
    }
    let mut rows = vec![["ATTRIBUTE", "TO CLIENTS"].map(str::to_owned).to_vec()];
    for (path, word) in members(&declared) {
        rows.push(vec![path, word]);
    }
    screen.table(&rows)?;
    screen.note("every other attribute is private to clients");
    Ok(())
}

pub(super) async fn declare(
    args: &AttributeSet,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let new: Vec<_> =
        args.declared.iter().map(|one| (one.path.to_string(), one.visibility.clone())).collect();
    let what = new.iter().map(|(path, word)| format!("{} is {word}", screen.paint(Paint::Bold, path)));
    let what = format!("{} to clients", what.collect::<Vec<_>>().join(", "));
    redeclare(&api, &args.write, screen, &what, move |declared| {
        declared.retain(|(path, _)| !new.iter().any(|(other, _)| other == path));
        declared.extend(new);
        Ok(())
    })
    .await
}

pub(super) async fn undeclare(
    args: &AttributeUnset,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let paths: Vec<String> = args.paths.iter().map(ToString::to_string).collect();
    let what = format!("{} declared no more", paths.join(", "));
    redeclare(&api, &args.write, screen, &what, move |declared| {
        for path in paths {
            let Some(at) = declared.iter().position(|(known, _)| *known == path) else {
                let detail = format!("`{path}` is not declared");
                return Err(
                    Failure::refused("not-declared", detail).hint("`flagstone attribute list` shows what is")
                );
            };
            declared.remove(at);
        }
        Ok(())
    })
    .await
}

/// Writes all declarations anew, unless somebody else has meanwhile.
async fn redeclare(
    api: &Api,
    write: &WriteArgs,
    screen: &Screen,
    what: &str,
    change: impl FnOnce(&mut Vec<(String, String)>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let path = api.in_project("attributes");
    let present = api.get(&path).await?;
    let mut declared = members(&present.body);
    change(&mut declared)?;
    declared.sort();
    let declared = Json::object(declared.into_iter().map(|(path, word)| (path, Json::from(word))));
    let body = Json::object([("attributes", declared)]);
    let answer = api.write(Method::PUT, &path, Some(&body), expected(present.revision), write).await?;
    told::change(screen, &answer, what)
}

/// What is declared, by path.
fn members(declared: &Json<'_>) -> Vec<(String, String)> {
    let members = declared.member("attributes").and_then(Json::as_object).unwrap_or_default();
    members.iter().map(|(path, word)| (path.to_string(), told::plain(word))).collect()
}

pub(super) async fn list(
    args: &ListArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let views = api.list(&api.in_project("views")).await?;
    if screen.is_json() {
        return screen.items(views);
    }
    let mut rows = vec![["VIEW", "AUDIENCE", "FLAGS"].map(str::to_owned).to_vec()];
    for view in &views {
        let flags = match told::text(view, "include") {
            "all" => "all".to_owned(),
            "client" => "client-visible".to_owned(),
            _ => format!("with the tag {}", told::text(view, "tag")),
        };
        rows.push(vec![told::text(view, "key").to_owned(), told::text(view, "audience").to_owned(), flags]);
    }
    screen.table(&rows)
}

pub(super) async fn set(args: &ViewSet, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let text = |text: &str| Json::from(text.to_owned());
    let tag = args.tag.as_deref().map(|tag| ("tag", text(tag)));
    let members = [("audience", text(&args.audience)), ("include", text(&args.include))];
    let body = Json::object(members.into_iter().chain(tag));
    let path = api.in_project(&format!("views/{}", escaped(args.id.as_str())));
    let expected = api.find(&path).await?.map_or(Expected::Absent, |view| expected(view.revision));
    let answer = api.write(Method::PUT, &path, Some(&body), expected, &args.write).await?;
    let id = screen.paint(Paint::Bold, &args.id);
    told::change(screen, &answer, &format!("view {id} is published in every environment"))
}

pub(super) async fn delete(
    args: &ViewDelete,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.in_project(&format!("views/{}", escaped(args.id.as_str())));
    let expected = expected(api.get(&path).await?.revision);
    let answer = api.write(Method::DELETE, &path, None, expected, &args.write).await?;
    let id = screen.paint(Paint::Bold, &args.id);
    told::change(screen, &answer, &format!("view {id} is published no more"))
}
