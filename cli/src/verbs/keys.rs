//! `keys show`: what the root document says.

use std::path::{Path, PathBuf};

use flagstone_bundle::root::{Pin, Root, UnverifiedRoot};
use flagstone_model::digest::Digest;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;

use crate::api::Api;
use crate::args::KeysShow;
use crate::failure::{Failure, sentence};
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::told;

/// The root document beside the keys.
const ROOT: &str = "keys/root.1.json";
/// Longest root document that is read, in bytes.
const MAX_ROOT_BYTES: u64 = 64 * 1024;

/// The project a data directory belongs to, as its root document says.
pub(super) fn project_of(data: &Path) -> Result<ProjectId, Failure> {
    Ok(root_of(data)?.project().clone())
}

/// The root document of a data directory.
pub(super) fn root_of(data: &Path) -> Result<Root, Failure> {
    let path = data.join(ROOT);
    let unreadable = |why: String| {
        Failure::refused("unreadable", format!("no root document at {}: {why}", path.display()))
            .hint("--data is the directory that `flagstone serve` was given")
    };
    let size = std::fs::metadata(&path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > MAX_ROOT_BYTES {
        return Err(unreadable(format!("it has {size} bytes")));
    }
    let file = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
    by_itself(&file)
}

/// Reads a root by the pin that it has itself: whole and signed, but by whom, only a pin can tell.
fn by_itself(file: &[u8]) -> Result<Root, Failure> {
    let payload = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let pin = Pin { root: 1, sha256: Digest::of(payload) };
    UnverifiedRoot::parse(file)
        .map_err(|error| sentence(error.code(), &error))?
        .verify_pinned(&pin)
        .map_err(|error| sentence(error.code(), &error))
}

pub(super) async fn show(
    args: &KeysShow,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let data = args.data.clone().or_else(|| surroundings.setting("FLAGSTONE_DATA").map(PathBuf::from));
    let root = match data {
        Some(data) => root_of(&data)?,
        None => by_itself(&Api::new(&args.api, surroundings)?.root().await?)?,
    };
    let described = root.describe();
    if screen.is_json() { screen.json(&described) } else { tell(&described, screen) }
}

fn instant(json: &Json<'_>, name: &str) -> String {
    let ms = told::number(json, name).unwrap_or_default();
    Instant::from_millis(ms).to_string()
}

fn tell(root: &Json<'_>, screen: &Screen) -> Result<(), Failure> {
    let name = |text: &str| screen.paint(Paint::Dim, format!("{text:<9}"));
    screen.line(format!("{}{}", name("project"), told::text(root, "project")))?;
    screen.line(format!("{}{}", name("root"), told::text(root, "pin")))?;
    let (from, to) = (instant(root, "issued_ms"), instant(root, "expires_ms"));
    screen.line(format!("{}from {from} to {to}\n", name("valid")))?;
    let mut rows = vec![["key", "public key (Ed25519)", "note"].map(str::to_owned).to_vec()];
    for key in root.member("keys").and_then(Json::as_array).unwrap_or_default() {
        rows.push(["keyid", "public", "note"].map(|member| told::text(key, member).to_owned()).to_vec());
    }
    screen.table(&rows)?;
    screen.line("")?;
    let mut rows = vec![["may sign", "epoch", "needs", "keys"].map(str::to_owned).to_vec()];
    let mut add = |what: &str, role: &Json<'_>| {
        let ids = role.member("keyids").and_then(Json::as_array).unwrap_or_default();
        let epoch = told::number(role, "epoch").map_or_else(String::new, |epoch| epoch.to_string());
        let needs = format!("{} of {}", told::number(role, "threshold").unwrap_or_default(), ids.len());
        let ids: Vec<_> = ids.iter().map(told::plain).collect();
        rows.push(vec![what.to_owned(), epoch, needs, ids.join(", ")]);
    };
    add("new roots", root.member("root_role").unwrap_or(&Json::Null));
    let environments = root.member("environments").and_then(Json::as_object).unwrap_or_default();
    for (scope, role) in environments {
        let what = match &**scope {
            "*" if environments.len() == 1 => "every environment",
            "*" => "every other environment",
            named => named,
        };
        add(what, role);
    }
    screen.table(&rows)
}
