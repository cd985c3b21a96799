//! `login`, `logout`, `doctor`, `keys show`, `completions`.

use std::path::Path;
use std::process::Command;

use flagstone_model::json::Json;

use crate::serve::{Served, init};
use crate::support::*;

/// The binary of a user whose configuration lies here.
fn user(home: &Path, arguments: &[&str]) -> Command {
    let mut command = flagstone();
    command.env("XDG_CONFIG_HOME", home).args(arguments);
    command
}

fn ran(command: &mut Command, input: &str) -> Ran {
    with_input(command, input.as_bytes())
}

#[test]
fn who_is_logged_in_needs_neither_variables_nor_options() {
    let (directory, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    init(directory.path(), &["production"]);
    let served = Served::start(directory.path(), &[]);
    let file = home.path().join("flagstone/credentials.json");
    let login = ["--json", "login", &served.api(), "--project", "acme"];
    let told = ran(&mut user(home.path(), &login), &format!("{}\n", served.token()));
    assert_eq!(told.code, 0, "{}", told.err);
    assert_eq!(text(&told.json(), &["file"]), file.to_str().unwrap());
    assert!(!told.out.contains(&served.token()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let made = ran(&mut user(home.path(), &["--json", "flag", "create", "by-login"]), "");
    assert_eq!(made.code, 0, "{}", made.err);
    // A variable comes first.
    let mut other = user(home.path(), &["--json", "flag", "list", "--url", &served.api()]);
    let refused = ran(other.env("FLAGSTONE_TOKEN", "fst_another"), "");
    assert_eq!((refused.code, text(&refused.error(), &["code"]).as_str()), (1, "unauthenticated"));
    let out = ran(&mut user(home.path(), &["logout"]), "");
    assert_eq!(out.code, 0, "{}", out.err);
    assert!(!std::fs::read_to_string(&file).unwrap().contains(&served.token()));
    let gone = ran(&mut user(home.path(), &["--json", "flag", "list", "--url", &served.api()]), "");
    assert_eq!(gone.code, 2);
    assert!(text(&gone.error(), &["detail"]).contains("flagstone login"), "{}", gone.err);
    assert_eq!(ran(&mut user(home.path(), &["logout"]), "").code, 1);
}

#[test]
fn a_token_that_the_server_does_not_take_is_not_kept() {
    let (directory, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let served = Served::start(directory.path(), &[]);
    let login = ["--json", "login", &served.api(), "--project", "acme"];
    let refused = ran(&mut user(home.path(), &login), "fst_wr0ng");
    assert_eq!((refused.code, text(&refused.error(), &["code"]).as_str()), (1, "unauthenticated"));
    assert!(!refused.err.contains("fst_wr0ng"));
    for (input, code) in [("", 2), ("two words", 2), (&*"x".repeat(4_097), 2)] {
        assert_eq!(ran(&mut user(home.path(), &login), input).code, code);
    }
    assert!(!home.path().join("flagstone/credentials.json").exists());
}

#[cfg(unix)]
#[test]
fn credentials_that_others_can_read_or_put_there_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("flagstone");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("credentials.json");
    std::fs::write(&file, r#"{"servers":{"http://127.0.0.1:1":{"token":"t"}}}"#).unwrap();
    let list = ["--json", "flag", "list", "--url", "http://127.0.0.1:1"];
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = ran(&mut user(home.path(), &list), "");
    assert_eq!((refused.code, text(&refused.error(), &["code"]).as_str()), (1, "credentials-exposed"));
    assert!(text(&refused.error(), &["hint"]).starts_with("chmod 600 "), "{}", refused.err);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(ran(&mut user(home.path(), &list), "").code, 3, "it is read now, and nothing answers there");
    let elsewhere = home.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    let refused = ran(&mut user(home.path(), &list), "");
    assert_eq!(text(&refused.error(), &["code"]), "credentials-exposed");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "nonsense").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let refused = ran(&mut user(home.path(), &list), "");
    assert_eq!(text(&refused.error(), &["code"]), "credentials-malformed");
}

/// The checks of a doctor, as (name, level).
fn levels(told: &Json<'_>) -> Vec<(String, String)> {
    let checks = at(told, &["checks"]).as_array().unwrap();
    checks.iter().map(|check| (text(check, &["name"]), text(check, &["level"]))).collect()
}

fn has(told: &Json<'_>, name: &str, level: &str) -> bool {
    levels(told).contains(&(name.to_owned(), level.to_owned()))
}

#[test]
fn a_doctor_finds_a_healthy_server_healthy() {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &["production"]);
    let served = Served::start(directory.path(), &[]);
    let keys = parse(&std::fs::read_to_string(directory.path().join("sdk-keys.json")).unwrap());
    let connection = text(&served.ready, &["environments", "production", "server"]);
    let data = directory.path().to_str().unwrap();
    let mut command = served.verb(&["--json", "doctor", "--data", data, &connection]);
    let told = ran(command.env("FLAGSTONE_SDK_KEY", text(&keys, &["production"])), "");
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let told = told.json();
    assert_eq!(at(&told, &["ok"]).as_bool(), Some(true));
    for name in ["settings", "server", "clock", "token", "project", "data", "secrets", "keys", "root", "log"]
    {
        assert!(has(&told, name, "ok"), "{name}: {told}");
    }
    assert_eq!(levels(&told).iter().filter(|(name, level)| name == "stream" && level == "ok").count(), 3);
    // One root key that lies beside the others is worth a word.
    assert!(has(&told, "root", "warn") && has(&told, "keys", "warn"), "{told}");
    assert!(!told.to_string().contains(&served.token()));
}

#[test]
fn a_doctor_finds_that_the_stores_of_a_data_directory_can_be_trusted() {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &["production"]);
    let served = Served::start(directory.path(), &[]);
    let told = ran(&mut served.verb(&["--json", "doctor", "store"]), "");
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let told = told.json();
    let fair = ["create", "replace", "stale", "claim"].map(|race| (race.to_owned(), "ok".to_owned()));
    assert_eq!((at(&told, &["ok"]).as_bool(), levels(&told)), (Some(true), fair.to_vec()));
}

#[test]
fn a_doctor_says_what_is_wrong_and_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let told = ran(&mut user(home.path(), &["--json", "doctor"]), "");
    assert_eq!(told.code, 1);
    assert!(has(&told.json(), "settings", "fail"));
    let mut away = user(home.path(), &["--json", "doctor", "--url", "http://127.0.0.1:1"]);
    let told = ran(away.env("FLAGSTONE_TOKEN", "t"), "");
    assert!(has(&told.json(), "server", "fail"), "{}", told.out);
    assert_eq!(told.code, 1);

    let directory = tempfile::tempdir().unwrap();
    init(directory.path(), &["production"]);
    let data = directory.path().to_str().unwrap();
    std::fs::remove_file(directory.path().join("keys/manifest.key")).unwrap();
    let log = directory.path().join("log.sqlite");
    std::fs::write(&log, "nothing of the kind, whatever the name of the file may say about it").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let told = ran(&mut user(home.path(), &["--json", "doctor", "--data", data]), "");
    let json = told.json();
    assert_eq!(told.code, 1);
    for name in [
        "keys",
        "log",
        #[cfg(unix)]
        "secrets",
    ] {
        assert!(has(&json, name, "fail"), "{name}: {json}");
    }
    for check in at(&json, &["checks"]).as_array().unwrap() {
        let bad = text(check, &["level"]) != "ok";
        assert_eq!(check.member("advice").is_some(), bad, "{check}");
    }
    let none = ran(&mut user(home.path(), &["--json", "doctor", "--data", "/nonexistent/flagstone"]), "");
    assert!(has(&none.json(), "data", "fail"));
}

#[test]
fn keys_show_tells_the_root_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let made = init(directory.path(), &["production"]);
    let data = directory.path().to_str().unwrap();
    let local = run(&["--json", "keys", "show", "--data", data]);
    assert_eq!(local.code, 0, "{}", local.err);
    assert_eq!(text(&local.json(), &["pin"]), text(&made, &["root"]));
    let served = Served::start(directory.path(), &[]);
    assert_eq!(served.done(&["keys", "show"]).to_string(), local.json().to_string());
    let people = run(&["keys", "show", "--data", data]);
    for part in ["every environment", "1 of 1", &text(&made, &["root"])] {
        assert!(people.out.contains(part), "{part}: {}", people.out);
    }
    for key in ["root.key", "manifest.key"] {
        let pem = std::fs::read_to_string(directory.path().join("keys").join(key)).unwrap();
        let secret = pem.lines().nth(1).unwrap();
        assert!(!people.out.contains(secret) && !local.out.contains(secret));
    }
}

#[test]
fn completions_are_there_for_each_shell_and_know_the_verbs() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        for verb in ["rollout", "restore-backup", "doctor"] {
            assert!(ran.out.contains(verb), "{shell} {verb}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).code, 2);
}
