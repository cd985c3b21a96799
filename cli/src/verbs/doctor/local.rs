//! What can be seen in a data directory. Nothing is written but one file that goes again.

use std::fs;
use std::path::Path;

use flagstone_bundle::root::Root;
use flagstone_publisher::causes::with_causes;
use flagstone_publisher::sqlite::SqliteStore;

use super::{Checks, days, now_ms};
use crate::verbs::keys;

/// A root that ends within this time is worth a word, in milliseconds.
const ROOT_SOON_MS: i64 = 30 * 86_400_000;
/// Less free space than this is worth a word, in bytes.
const SPACE_WARN: u64 = 1 << 30;
/// Less free space than this is not enough to go on with, in bytes.
const SPACE_FAIL: u64 = 64 << 20;

pub(super) async fn look(data: &Path, checks: &mut Checks) {
    let shown = data.display();
    if !data.is_dir() {
        let advice = "flagstone init makes one";
        return checks.fail("data", format!("there is no directory {shown}"), advice);
    }
    match mode(data) {
        Some(mode) if mode & 0o077 != 0 => {
            checks.warn("data", format!("{shown} can be entered by others"), format!("chmod 700 {shown}"));
        }
        _ => checks.ok("data", format!("{shown} is for its owner only")),
    }
    writable(data, checks);
    space(data, checks);
    files(data, checks);
    match keys::root_of(data) {
        Ok(root) => root_of(&root, checks),
        Err(failure) => checks.failed("root", &failure),
    }
    log(data, checks).await;
}

fn writable(data: &Path, checks: &mut Checks) {
    let probe = data.join(format!(".doctor-{}", std::process::id()));
    let tried = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => checks.ok("data", "it can be written"),
        Err(error) => checks.fail(
            "data",
            format!("it cannot be written: {error}"),
            "run this as the user that `flagstone serve` runs as, and look at the mount",
        ),
    }
}

#[cfg(unix)]
fn space(data: &Path, checks: &mut Checks) {
    match rustix::fs::statvfs(data) {
        Ok(facts) => {
            let free = facts.f_bavail.saturating_mul(facts.f_frsize);
            let detail = format!("{} MB are free", free / 1_000_000);
            let advice = "make room: without it no change is taken";
            if free < SPACE_FAIL {
                checks.fail("disk", detail, advice);
            } else if free < SPACE_WARN {
                checks.warn("disk", detail, advice);
            } else {
                checks.ok("disk", detail);
            }
        }
        Err(error) => checks.warn("disk", format!("free space is not known: {error}"), "look with df"),
    }
}

#[cfg(not(unix))]
fn space(_data: &Path, _checks: &mut Checks) {}

/// Files that hold a secret are for their owner only.
fn files(data: &Path, checks: &mut Checks) {
    let mut secrets: Vec<_> =
        ["admin.token", "sdk-keys.json", "log.sqlite"].map(|name| data.join(name)).into();
    let keys = fs::read_dir(data.join("keys")).into_iter().flatten().flatten();
    secrets.extend(
        keys.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "key")),
    );
    let exposed: Vec<_> =
        secrets.iter().filter(|path| mode(path).is_some_and(|mode| mode & 0o077 != 0)).collect();
    for path in &exposed {
        let path = path.display();
        let advice = format!("chmod 600 {path}, and replace what it holds if others may have read it");
        checks.fail("secrets", format!("{path} can be read by others"), advice);
    }
    if exposed.is_empty() {
        checks.ok("secrets", "keys, tokens, and log can be read by their owner only");
    }
    if data.join("keys/manifest.key").exists() {
        checks.ok("keys", "the manifest key is there");
    } else {
        let advice = "copy it there from where it is kept: without it nothing can be announced";
        checks.fail("keys", "keys/manifest.key is missing", advice);
    }
    if data.join("keys/root.key").exists() {
        let advice = "move it to where it is offline; it is needed to make a new root, and never to serve";
        checks.warn("keys", "keys/root.key lies on this machine", advice);
    }
}

fn root_of(root: &Root, checks: &mut Checks) {
    let role = &root.body().root_role;
    if role.threshold < 2 {
        let detail = format!("{} of {} keys make a new root", role.threshold, role.keyids.len());
        checks.warn("root", detail, "who steals that key can replace all others: prefer 2 of 3");
    } else {
        checks.ok("root", format!("{} of {} keys make a new root", role.threshold, role.keyids.len()));
    }
    let left = root.expires_ms().saturating_sub(now_ms());
    let advice = "make a new root: clients go on, and say root-expired";
    if left <= 0 {
        checks.fail("root", "it has expired", advice);
    } else if left < ROOT_SOON_MS {
        checks.warn("root", format!("it expires in {}", days(left)), advice);
    } else {
        checks.ok("root", format!("it expires in {}", days(left)));
    }
}

async fn log(data: &Path, checks: &mut Checks) {
    let path = data.join("log.sqlite");
    if !path.exists() {
        return checks.fail("log", format!("there is no {}", path.display()), "flagstone init makes one");
    }
    let checked = match SqliteStore::open_read_only(&path).await {
        Ok(store) => store.quick_check().await,
        Err(error) => Err(error),
    };
    match checked {
        Ok(()) => checks.ok("log", "SQLite finds it whole; `flagstone audit verify` proves what it says"),
        Err(error) => checks.fail(
            "log",
            format!("{} [{}]", with_causes(&error), error.code()),
            "stop the server, keep a copy of the file, and restore a backup: flagstone restore-backup",
        ),
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).ok().map(|facts| facts.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_path: &Path) -> Option<u32> {
    None
}
