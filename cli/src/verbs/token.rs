//! `token create|list|show|revoke|access` and `key create|list|revoke`.

use flagstone_model::json::Json;
use reqwest::Method;

use crate::api::{Answer, Api, Expected, escaped};
use crate::args::{KeyCreate, ListArgs, TokenAccess, TokenCreate, TokenRevoke, TokenShow};
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::flag::expected;
use crate::verbs::told;

pub(super) async fn create(
    args: &TokenCreate,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let only = || ("environments", args.only.iter().map(|id| Json::from(id.to_string())).collect());
    let expires = args.expires.clone().map(|expires| ("expires", Json::from(expires)));
    let members = [("name", Json::from(args.name.clone())), ("role", Json::from(args.role.clone()))];
    let limited = (!args.only.is_empty()).then(only);
    let body = Json::object(members.into_iter().chain(limited).chain(expires));
    let path = api.in_project("tokens");
    let answer = api.write(Method::POST, &path, Some(&body), Expected::Nothing, &args.write).await?;
    secret(screen, &answer, "token", "FLAGSTONE_TOKEN")
}

/// A secret that was just made: for people it stands alone on its line.
fn secret(screen: &Screen, answer: &Answer, member: &str, variable: &str) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json(&answer.body);
    }
    screen.line(answer.text(member).unwrap_or_default())?;
    let id = screen.paint(Paint::Bold, answer.text("id").unwrap_or_default());
    screen.line(format!("  {id}: keep it now, it is not shown again; it goes into {variable}"))
}

pub(super) async fn list(
    args: &ListArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let tokens = api.list(&api.in_project("tokens")).await?;
    if screen.is_json() {
        return screen.items(tokens);
    }
    let mut rows = vec![["ID", "NAME", "ROLE", "ONLY", "EXPIRES"].map(str::to_owned).to_vec()];
    for token in &tokens {
        let only = token.member("environments").and_then(Json::as_array).unwrap_or_default();
        let only: Vec<_> = only.iter().filter_map(Json::as_str).collect();
        let mut row = ["id", "name", "role"].map(|name| told::text(token, name).to_owned()).to_vec();
        row.extend([only.join(","), told::text(token, "expires").to_owned()]);
        rows.push(row);
    }
    screen.table(&rows)
}

pub(super) async fn show(
    args: &TokenShow,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let id = args.id.as_deref().unwrap_or("self");
    let token = api.get(&api.in_project(&format!("tokens/{}", escaped(id)))).await?;
    if screen.is_json() {
        return screen.json(&token.body);
    }
    screen.line(screen.paint(Paint::Bold, token.text("id").unwrap_or_default()))?;
    told::entity(screen, &token.body)
}

pub(super) async fn revoke(
    args: &TokenRevoke,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.in_project(&format!("tokens/{}", escaped(&args.id)));
    let expected = expected(api.get(&path).await?.revision);
    let answer = api.write(Method::DELETE, &path, None, expected, &args.write).await?;
    let id = screen.paint(Paint::Bold, &args.id);
    told::change(screen, &answer, &format!("token {id} was revoked"))
}

pub(super) async fn access(
    args: &TokenAccess,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.in_project("access");
    let newest = api.get(&format!("{path}?limit=1")).await?;
    let newest = told::number(&newest.body, "newest").unwrap_or_default();
    let after = newest.saturating_sub(i64::from(args.limit)).max(0);
    let answer = api.get(&format!("{path}?after={after}&limit={}", args.limit)).await?;
    if screen.is_json() {
        return screen.json(&answer.body);
    }
    let heads = ["LAST", "COUNT", "WHO", "METHOD", "ROUTE", "STATUS", "CODE", "SEQ"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for item in answer.items() {
        let names = ["last", "count", "principal", "method", "route", "status", "code", "seq"];
        rows.push(names.map(|name| item.member(name).map_or_else(|| "-".to_owned(), told::plain)).to_vec());
    }
    screen.table(&rows)
}

pub(super) async fn create_key(
    args: &KeyCreate,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let body = Json::object(args.name.clone().map(|name| ("name", Json::from(name))));
    let path = api.in_environment("keys");
    let answer = api.write(Method::POST, &path, Some(&body), Expected::Nothing, &args.write).await?;
    secret(screen, &answer, "sdk_key", "FLAGSTONE_SDK_KEY")
}

pub(super) async fn list_keys(
    args: &ListArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let keys = api.list(&api.in_environment("keys")).await?;
    if screen.is_json() {
        return screen.items(keys);
    }
    let mut rows = vec![["ID", "NAME", "CREATED"].map(str::to_owned).to_vec()];
    let row =
        |key: &Json<'_>| ["id", "name", "created"].map(|name| told::text(key, name).to_owned()).to_vec();
    rows.extend(keys.iter().map(row));
    screen.table(&rows)
}

pub(super) async fn revoke_key(
    args: &TokenRevoke,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let path = api.in_environment(&format!("keys/{}", escaped(&args.id)));
    let expected = expected(api.get(&path).await?.revision);
    let answer = api.write(Method::DELETE, &path, None, expected, &args.write).await?;
    let id = screen.paint(Paint::Bold, &args.id);
    told::change(screen, &answer, &format!("SDK key {id} was revoked in {}", api.environment()))
}
