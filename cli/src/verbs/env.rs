//! `env list|create|edit`.

use flagstone_model::json::Json;
use reqwest::Method;

use crate::api::{Api, Expected, escaped};
use crate::args::{EnvCreate, EnvEdit, ListArgs};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::flag::{already, expected};
use crate::verbs::told;

pub(super) async fn list(
    args: &ListArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let environments = api.list(&api.in_project("environments")).await?;
    if screen.is_json() {
        return screen.items(environments);
    }
    for environment in &environments {
        screen.line(told::text(environment, "key"))?;
    }
    Ok(())
}

pub(super) async fn create(
    args: &EnvCreate,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let copied = args.copy_from.as_ref().map(ToString::to_string);
    let members =
        [("name", args.name.clone()), ("description", args.description.clone()), ("copy_from", copied)];
    let members = members.into_iter().filter_map(|(name, value)| Some((name, Json::from(value?))));
    let body = Json::object([("id", Json::from(args.id.to_string()))].into_iter().chain(members));
    let path = api.in_project("environments");
    let answer = api
        .write(Method::POST, &path, Some(&body), Expected::Nothing, &args.write)
        .await
        .map_err(|failure| already(failure, "environment", args.id.as_str()))?;
    let id = screen.paint(Paint::Bold, &args.id);
    let what = match &args.copy_from {
        Some(source) => format!("environment {id} was created as a copy of {source}"),
        None => format!("environment {id} was created; every flag is off in it"),
    };
    told::change(screen, &answer, &what)
}

pub(super) async fn edit(
    args: &EnvEdit,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    // An empty text is none.
    let value = |text: &String| if text.is_empty() { Json::Null } else { Json::from(text.clone()) };
    let members = [("name", &args.name), ("description", &args.description)];
    let members: Vec<_> =
        members.into_iter().filter_map(|(name, text)| Some((name, value(text.as_ref()?)))).collect();
    if members.is_empty() {
        return Err(Failure::usage("nothing to change: give --name or --description"));
    }
    let path = api.in_project(&format!("environments/{}", escaped(args.id.as_str())));
    let expected = expected(api.get(&path).await?.revision);
    let answer = api.write(Method::PATCH, &path, Some(&Json::object(members)), expected, &args.write).await?;
    told::change(screen, &answer, &format!("environment {} was changed", screen.paint(Paint::Bold, &args.id)))
}
