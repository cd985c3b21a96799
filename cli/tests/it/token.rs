//! `token create`: what its holder may do, and where.

use flagstone_model::digest::Digest;

use crate::support::*;

/// A verb by the holder of a token.
fn by(dev: &Dev, token: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = dev.command();
    command.env("FLAGSTONE_TOKEN", token).arg("--json").args(arguments);
    let output = command.output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let code = if output.status.success() {
        String::new()
    } else {
        text(&parse(err.lines().last().expect("an error")), &["error", "code"])
    };
    (output.status.code().unwrap(), code)
}

fn refused(code: &str) -> (i32, String) {
    (1, code.to_owned())
}

#[test]
fn a_token_limited_to_an_environment_is_refused_in_others_and_nothing_changes() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    dev.done(&["flag", "create", "ck"]);
    let made = dev.done(&["token", "create", "--name", "web", "--role", "editor", "--only", "staging"]);
    let (id, token) = (text(&made, &["id"]), text(&made, &["token"]));
    assert_eq!(at(&made, &["environments"]).to_string(), r#"["staging"]"#);
    let done = (0, String::new());
    assert_eq!(by(&dev, &token, &["on", "ck", "--env", "staging"]), done);
    assert_eq!(by(&dev, &token, &["on", "ck", "--env", "production"]), refused("forbidden"));
    assert_eq!(by(&dev, &token, &["history", "ck", "--env", "production"]), refused("forbidden"));
    assert_eq!(by(&dev, &token, &["publish", "--env", "production"]), refused("forbidden"));
    assert_eq!(by(&dev, &token, &["flag", "create", "mine"]), refused("forbidden"));
    assert_eq!(
        by(&dev, &token, &["token", "create", "--name", "x", "--role", "admin"]),
        refused("forbidden")
    );
    let on = |environment: &str| {
        let shown = dev.done(&["explain", "ck", "--user", "u", "--env", environment]);
        at(&shown, &["on"]).as_bool()
    };
    assert_eq!((on("staging"), on("production")), (Some(true), Some(false)));
    dev.done(&["token", "revoke", &id]);
    assert_eq!(by(&dev, &token, &["on", "ck", "--env", "staging"]), refused("unauthenticated"));
}

#[test]
fn a_viewer_reads_and_an_unknown_environment_makes_no_token() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    let ran = dev.run(&["--json", "token", "create", "--name", "x", "--role", "viewer", "--only", "stagin"]);
    assert_eq!((ran.code, text(&ran.error(), &["code"]).as_str()), (1, "invalid-request"));
    let made = dev.done(&["token", "create", "--name", "dashboard", "--role", "viewer"]);
    let token = text(&made, &["token"]);
    assert_eq!(by(&dev, &token, &["history", "welcome-banner"]), (0, String::new()));
    assert_eq!(by(&dev, &token, &["off", "welcome-banner"]), refused("forbidden"));
    let listed = dev.done(&["token", "list"]);
    let secret = token.rsplit('_').next().unwrap();
    assert!(listed.to_string().contains("dashboard") && !listed.to_string().contains(secret));
    assert_eq!(by(&dev, &token.replace(secret, "wrong"), &["flag", "list"]), refused("unauthenticated"));
}

#[test]
fn the_table_of_a_cdn_has_the_hash_of_each_key_until_it_is_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    let made = dev.done(&["key", "create", "--env", "staging"]);
    let (id, key) = (text(&made, &["id"]), text(&made, &["sdk_key"]));
    let row = format!("{} demo/staging;\n", Digest::of(key.as_bytes()));
    let told = dev.run(&["key", "table", "--for", "nginx"]);
    assert_eq!((told.code, told.out.as_str()), (0, row.as_str()), "{}", told.err);
    dev.done(&["key", "revoke", &id, "--env", "staging"]);
    assert_eq!(dev.run(&["key", "table", "--for", "nginx"]).out.trim(), "");
    let listed = dev.done(&["key", "table", "--for", "cloudfront"]);
    assert_eq!(at(&listed, &["items"]).to_string(), "[]");
    let viewer = text(&dev.done(&["token", "create", "--name", "x", "--role", "viewer"]), &["token"]);
    assert_eq!(by(&dev, &viewer, &["key", "table", "--for", "nginx"]), refused("forbidden"));
}

#[test]
fn the_table_of_a_cdn_replaces_a_file_whole_or_leaves_it_as_it_is() {
    let (directory, edge) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dev = Dev::start(directory.path());
    let key = text(&dev.done(&["key", "create", "--env", "staging"]), &["sdk_key"]);
    let file = edge.path().join("keys.map");
    let arguments = ["key", "table", "--for", "nginx", "--out", file.to_str().unwrap()];
    let told = dev.done(&arguments);
    assert_eq!(
        (text(&told, &["file"]).as_str(), at(&told, &["keys"]).to_string()),
        (arguments[5], "1".to_owned())
    );
    let written = format!("{} demo/staging;\n", Digest::of(key.as_bytes()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    let names = || {
        let entries = std::fs::read_dir(edge.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let viewer = text(&dev.done(&["token", "create", "--name", "x", "--role", "viewer"]), &["token"]);
    assert_eq!(by(&dev, &viewer, &arguments), refused("forbidden"));
    assert_eq!((std::fs::read_to_string(&file).unwrap(), names()), (written, vec!["keys.map".to_owned()]));

    // What cannot be replaced: nothing is left beside it.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(file.join("full")).unwrap();
    let token = text(&dev.done(&["token", "create", "--name", "y", "--role", "admin"]), &["token"]);
    assert_eq!(by(&dev, &token, &arguments), refused("unwritable"));
    assert_eq!(names(), ["keys.map"]);
}
