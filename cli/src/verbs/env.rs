//! `env list|create`.

use flagstone_model::json::Json;
use reqwest::Method;

use crate::api::{Api, Expected};
use crate::args::{EnvCreate, ListArgs};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::flag::already;
use crate::verbs::told;

pub(super) async fn list(
    args: &ListArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let environments = api.list(&api.in_project("environments")).await?;
    if screen.is_json() {
        return screen.json(&Json::object([("items", Json::Array(environments))]));
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
    let body = Json::object([("id", Json::from(args.id.to_string()))]);
    let path = api.in_project("environments");
    let answer = api
        .write(Method::POST, &path, Some(&body), Expected::Nothing, &args.write)
        .await
        .map_err(|failure| already(failure, "environment", args.id.as_str()))?;
    let id = screen.paint(Paint::Bold, &args.id);
    told::change(screen, &answer, &format!("environment {id} was created; every flag is off in it"))
}
