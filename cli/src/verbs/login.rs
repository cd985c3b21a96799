//! `login` and `logout`.

use std::io::{Read, stdin};

use flagstone_model::json::Json;

use crate::api::{self, Api};
use crate::args::{Login, Logout};
use crate::credentials::{self, Credentials};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::surroundings::Surroundings;

/// Longest token that is read, in bytes.
const MAX_TOKEN_BYTES: u64 = 4_096;

pub(super) async fn login(args: &Login, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let url = credentials::server(&args.url);
    let project = api::project(args.project.as_ref(), surroundings)?;
    // Found out before anybody types.
    credentials::path(surroundings)?;
    Credentials::read(surroundings)?;
    let token = ask(surroundings, &url)?;
    let api = Api::at(&url, token.clone(), project.clone())?;
    let who = api.whoami().await?;
    let login = credentials::Login { token, project: Some(project.to_string()) };
    Credentials::change(surroundings, |credentials| {
        credentials.servers.insert(url.clone(), login);
        credentials.current = Some(url.clone());
    })?;
    let path = credentials::path(surroundings)?;
    if screen.is_json() {
        let mut members = vec![
            ("url", Json::from(url)),
            ("project", Json::from(project.to_string())),
            ("file", Json::from(path.display().to_string())),
        ];
        members.extend(who.role.map(|role| ("role", Json::from(role))));
        return screen.json(&Json::object(members));
    }
    let role = who.role.map_or_else(String::new, |role| format!(" as {role}"));
    screen.line(format!("Logged in to {url}, project {project}{role}."))?;
    screen.line(format!("  the token is in {}", path.display()))?;
    if surroundings.token.is_some() {
        screen.note("FLAGSTONE_TOKEN is set, and comes before the token that was kept now");
    }
    Ok(())
}

/// The token, without an echo from a terminal, else the first line of standard input.
fn ask(surroundings: &Surroundings, url: &str) -> Result<String, Failure> {
    let text = if surroundings.terminal_in {
        rpassword::prompt_password(format!("Token for {url}: "))
            .map_err(|error| Failure::usage(format!("no token could be read: {error}")))?
    } else {
        let mut text = String::new();
        stdin()
            .take(MAX_TOKEN_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(|error| Failure::usage(format!("standard input: {error}")))?;
        text
    };
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::usage("there is no token on standard input"));
    }
    if token.len() as u64 > MAX_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage("what was read is no token").hint("a token is one word, such as fst_…"));
    }
    Ok(token.to_owned())
}

pub(super) fn logout(args: &Logout, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let known = Credentials::read(surroundings)?;
    let url = match &args.url {
        Some(url) => credentials::server(url),
        None => {
            known.current.clone().ok_or_else(|| Failure::refused("not-logged-in", "nobody is logged in"))?
        }
    };
    if !known.servers.contains_key(&url) {
        let meant = crate::failure::closest(&url, known.servers.keys().map(String::as_str));
        let detail = format!("no token for {url} is kept");
        return Err(Failure::refused("not-logged-in", detail).suggest(meant));
    }
    Credentials::change(surroundings, |credentials| {
        credentials.servers.remove(&url);
        if credentials.current.as_deref() == Some(&url) {
            credentials.current = None;
        }
    })?;
    if screen.is_json() {
        return screen.json(&Json::object([("url", Json::from(url))]));
    }
    screen.line(format!("Logged out of {url}. The server still takes the token until it is revoked there."))
}
