//! `backup` while it is written, and what can be made of it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flagstone_model::json::Json;

use crate::serve::{Served, init, serve};
use crate::support::*;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn audit(data: &Path) -> Json<'static> {
    let ran = run(&["--json", "audit", "verify", "--project", "acme", "--data", path(data)]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    ran.json()
}

#[test]
fn a_backup_under_a_storm_of_writes_is_whole_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let [data, to, again] = ["data", "backup", "again"].map(|name| directory.path().join(name));
    init(&data, &["production", "staging"]);
    let mut served = Served::start(&data, &[]);
    served.done(&["flag", "create", "storm"]);
    let (over, begun) = (AtomicBool::new(false), AtomicBool::new(false));
    let backup = std::thread::scope(|scope| {
        for environment in ["production", "staging"] {
            let (api, token) = (served.api(), served.token());
            let (over, begun) = (&over, &begun);
            scope.spawn(move || {
                let mut http = Http::new(&api, &token);
                let mut on = true;
                while !over.load(Ordering::SeqCst) {
                    let action = if on { "on" } else { "off" };
                    let path = format!("/v1/projects/acme/environments/{environment}/flags/storm/{action}");
                    assert_eq!(http.send("POST", &path, &[], "").unwrap().0, 200);
                    begun.store(true, Ordering::SeqCst);
                    on = !on;
                }
            });
        }
        until("a storm", || begun.load(Ordering::SeqCst));
        let ran = run(&["--json", "backup", "--data", path(&data), "--to", path(&to), "--with-keys"]);
        over.store(true, Ordering::SeqCst);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.json()
    });
    let at_backup = number(&backup, &["head", "seq"]);
    assert!(at_backup > 4, "the storm had begun");
    let now = number(&audit(&data), &["entries"]);
    assert!(now >= at_backup);
    served.process.terminate();
    // The same again into a new directory, which is served.
    let restored = run(&["--json", "restore-backup", "--from", path(&to), "--data", path(&again)]);
    assert_eq!(restored.code, 0, "{}", restored.err);
    assert_eq!(number(&audit(&again), &["entries"]), at_backup);
    let mut restored = Served::start(&again, &[]);
    assert_eq!(restored.token(), served.token());
    assert_eq!(text(&restored.ready, &["root"]), text(&served.ready, &["root"]));
    let keys = parse(&std::fs::read_to_string(again.join("sdk-keys.json")).unwrap());
    for environment in ["production", "staging"] {
        let verify = || {
            let connection = text(&restored.ready, &["environments", environment, "server"]);
            let mut command = restored.verb(&["--json", "verify", &connection]);
            let ran = command.env("FLAGSTONE_SDK_KEY", text(&keys, &[environment])).output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
            parse(String::from_utf8(ran.stdout).unwrap().trim_end())
        };
        let before = number(&verify(), &["version"]);
        restored.done(&["flag", "create", &format!("after-{environment}")]);
        let changed = restored.done(&["on", "storm", "--env", environment]);
        let published = at(&changed, &["publication", environment, "server"]);
        assert_eq!(text(published, &["state"]), "announced");
        assert!(number(&verify(), &["version"]) > before);
    }
    assert_eq!(restored.process.terminate(), Some(0));
    audit(&again);
}

#[test]
fn secrets_stay_behind_unless_they_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let [data, to, again] = ["data", "backup", "again"].map(|name| directory.path().join(name));
    init(&data, &["production"]);
    let ran = run(&["backup", "--data", path(&data), "--to", path(&to)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("it has no keys"), "{}", ran.err);
    assert!(to.join("keys/root.1.json").exists());
    for secret in ["keys/root.key", "keys/manifest.key", "admin.token", "sdk-keys.json"] {
        assert!(data.join(secret).exists() && !to.join(secret).exists(), "{secret}");
    }
    let keys = data.join("keys");
    let from = ["--from", path(&to), "--data", path(&again)];
    let bare = run(&[&["--json", "restore-backup"], &from[..]].concat());
    assert_eq!(bare.code, 0, "{}", bare.err);
    let refused = serve(&again).arg("--json").output().unwrap();
    assert!(String::from_utf8(refused.stderr).unwrap().contains("key-missing"));
    std::fs::remove_dir_all(&again).unwrap();
    let ran = run(&[&["restore-backup"], &from[..], &["--keys", path(&keys)]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let _served = Served::start(&again, &[]);
}

#[test]
fn nothing_is_overwritten_and_nothing_half_done_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let [data, to, again] = ["data", "backup", "again"].map(|name| directory.path().join(name));
    init(&data, &["production"]);
    let code = |arguments: &[&str]| {
        let ran = run(&[&["--json"], arguments].concat());
        assert_eq!(ran.code, 1, "{}", ran.out);
        text(&ran.error(), &["code"])
    };
    let backup = ["backup", "--data", path(&data), "--to", path(&to)];
    assert_eq!(run(&backup).code, 0);
    assert_eq!(code(&backup), "not-empty");
    assert_eq!(
        code(&["backup", "--data", path(&directory.path().join("none")), "--to", path(&again)]),
        "unreadable"
    );
    let restore = ["restore-backup", "--from", path(&to), "--data", path(&data)];
    assert_eq!(code(&restore), "not-empty");
    assert_eq!(code(&["restore-backup", "--from", path(&data), "--data", path(&again)]), "backup-malformed");
    // A log that was cut is noticed, and no directory is made.
    let log = to.join("log.sqlite");
    let rows = rusqlite::Connection::open(&log).unwrap();
    rows.execute_batch("DROP TRIGGER entry_stays; DELETE FROM entry WHERE seq = 2").unwrap();
    drop(rows);
    assert_ne!(code(&["restore-backup", "--from", path(&to), "--data", path(&again)]), "");
    assert!(!again.exists());
    let names: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("partial")), "{names:?}");
}

#[test]
fn a_manifest_that_does_not_verify_is_no_backup() {
    let directory = tempfile::tempdir().unwrap();
    let [data, to] = ["data", "backup"].map(|name| directory.path().join(name));
    init(&data, &["production"]);
    let manifest = data.join("bucket/closed/acme/v1/e/production/server/manifest");
    let mut bytes = std::fs::read(&manifest).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&manifest, bytes).unwrap();
    let ran = run(&["--json", "backup", "--data", path(&data), "--to", path(&to)]);
    assert_eq!(ran.code, 1);
    assert!(text(&ran.error(), &["detail"]).contains("production/server/manifest"), "{}", ran.err);
    assert!(!to.exists());
}
