//! Client views: what an SDK without a key gets, and that nobody gets more than that.

use std::path::{Path, PathBuf};

use flagstone_bundle::container::{Caps, decode_frame};

use crate::support::*;

/// All files below a directory, each unpacked if it is packed, and deltas out of manifests.
fn published(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            published(&path, found);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "gz" || extension == "zst") {
            found.push((path, unpacked(&bytes)));
            continue;
        }
        let text = String::from_utf8(bytes).unwrap();
        let inline = text.lines().filter_map(|line| line.strip_prefix("{\"inline\":\"")?.strip_suffix("\"}"));
        found.extend(inline.map(|inline| (path.clone(), unpacked(&base64(inline)))));
        found.push((path, text));
    }
}

fn unpacked(stored: &[u8]) -> String {
    String::from_utf8(decode_frame(stored, Caps::SNAPSHOT).unwrap()).unwrap()
}

/// RFC 4648, the standard alphabet.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        let value = ALPHABET.iter().position(|known| *known == digit).unwrap();
        bits = (bits << 6 | u32::try_from(value).unwrap()) & 0xfff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    bytes
}

const SEGMENT: &str = r#"{"description":"canary-words","include":["canary-included"],"exclude":["canary-excluded"],
    "rules":[{"if":[{"attr":"email","ends":["@canary.example"]},{"attr":"country","in":["DE"]}]}]}"#;
const OPEN: &str = r#"{"on":true,"off":"off","targets":{"on":["canary-target"]},"rules":[
    {"id":"ours","if":[{"segment":["canary-segment"]},{"not":{"attr":"email","in":["canary-mail@canary.example"]}}],"serve":"on"}],
    "fallthrough":{"serve":"off"}}"#;
const HIDDEN: &str = r#"{"on":true,"off":"off","rules":[{"id":"canary-rule","if":[{"attr":"canary.private","in":["canary-operand"]},
    {"attr":"email","matches":"canary"}],"serve":"on"}],"fallthrough":{"rollout":{"by":"canary.private","weights":{"on":50000,"off":50000}}}}"#;

#[test]
fn a_client_view_is_followed_without_a_key_and_shows_no_canary() {
    let directory = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(directory.path());
    dev.done(&[
        "attribute",
        "set",
        "country=public",
        "email=hashed",
        "targetingKey=hashed",
        "canary.private=private",
        "-m",
        "canary-reason",
    ]);
    dev.done(&["segment", "put", "canary-segment", SEGMENT]);
    let definition = ["--description", "canary-about", "--owner", "canary-owner", "--tag", "canary-tag"];
    dev.done(&[&["flag", "create", "shown", "--client-visible"], &definition[..]].concat());
    dev.done(&["flag", "edit", "shown", "--targeting", OPEN, "-m", "canary-reason"]);
    dev.done(&[&["flag", "create", "canary-flag"], &definition[..]].concat());
    dev.done(&["flag", "edit", "canary-flag", "--targeting", HIDDEN]);
    dev.done(&["token", "create", "--name", "canary-token", "--role", "viewer"]);
    dev.done(&["env", "edit", "production", "--name", "canary-name", "--description", "canary-purpose"]);
    dev.done(&["view", "set", "mobile", "--audience", "public", "--include", "tag", "--tag", "canary-tag"]);
    let refused = dev.run(&["--json", "flag", "edit", "canary-flag", "--client-visible"]);
    assert_eq!(text(&refused.error(), &["code"]), "client-view-refused");

    // An SDK without a key follows it, and tells apart whom the digests stand for.
    let client = text(&dev.ready, &["environments", "production", "client"]);
    let mut command = flagstone();
    command.env_remove("FLAGSTONE_SDK_KEY").args(["watch", &client, "--poll-ms", "20"]);
    command.args([
        "--flag",
        "shown",
        "--context",
        r#"{"targetingKey":"u-1","email":"a@canary.example","country":"DE"}"#,
    ]);
    let mut watch = Running::start(&mut command);
    let ready = watch.line_where(|line| text(line, &["event"]) == "ready");
    assert_eq!(
        at(&ready, &["values", "shown"]).to_string(),
        r#"{"value":true,"variation":"on","reason":"TARGETING_MATCH","rule":"ours"}"#
    );
    let off = dev.done(&["off", "shown"]);
    assert_eq!(text(&off, &["publication", "production", "client", "state"]), "announced");
    let swap = watch.line_where(|line| text(line, &["event"]) == "swap");
    assert_eq!(text(&swap, &["values", "shown", "reason"]), "DISABLED");
    assert_eq!(watch.terminate(), Some(0));
    dev.done(&["on", "shown"]);

    let connections = [client.clone(), client.replace("view=client", "view=mobile") + "&access=open"];
    for connection in &connections {
        let ran = run(&["verify", connection]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
    let closed = run(&["verify", &connections[1].replace("&access=open", "")]);
    assert_eq!(closed.code, 1, "its objects do not lie where a key would be asked for");
    assert_eq!(dev.process.terminate(), Some(0));
    let audit = run(&["--json", "audit", "verify", "--data", directory.path().to_str().unwrap()]);
    assert_eq!(audit.code, 0, "{}", audit.out);
    assert_eq!(at(&audit.json(), &["streams"]).as_array().unwrap().len(), 6);

    let mut found = Vec::new();
    published(&directory.path().join("bucket/open"), &mut found);
    assert!(
        found.iter().filter(|(_, text)| text.contains("\"shown\"") && text.contains("\"hashed\"")).count()
            >= 4
    );
    for (path, text) in &found {
        for canary in ["canary", "owner", "beta-dashboard", "\"log\"", "\"private\"", "example.com"] {
            assert!(!text.contains(canary), "{canary} in {}: {text}", path.display());
        }
    }
    // The same words are in what holders of a key get.
    let mut closed = Vec::new();
    published(&directory.path().join("bucket/closed"), &mut closed);
    for canary in ["canary-segment", "canary-operand", "canary-target", "@canary.example", "canary.private"] {
        assert!(closed.iter().any(|(_, text)| text.contains(canary)), "{canary}");
    }
}

#[test]
fn attributes_and_views_are_listed_changed_and_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    assert_eq!(at(&dev.done(&["attribute", "list"]), &["attributes"]).to_string(), "{}");
    dev.done(&["attribute", "set", "country=public", "email=hashed"]);
    dev.done(&["attribute", "set", "email=public", "app.version=public"]);
    dev.done(&["attribute", "unset", "country"]);
    let declared = dev.done(&["attribute", "list"]);
    assert_eq!(at(&declared, &["attributes"]).to_string(), r#"{"app.version":"public","email":"public"}"#);
    assert_eq!(
        text(&dev.run(&["--json", "attribute", "unset", "country"]).error(), &["code"]),
        "not-declared"
    );
    assert_eq!(run(&["attribute", "set", "country=open"]).code, 2);
    let table = dev.run(&["attribute", "list"]);
    assert!(table.out.contains("app.version") && table.err.contains("private"), "{}{}", table.out, table.err);

    dev.done(&["view", "set", "kiosk", "--audience", "keyed", "--include", "tag", "--tag", "kiosk"]);
    dev.done(&["view", "set", "kiosk", "--audience", "keyed", "--include", "client"]);
    let views = dev.run(&["view", "list"]);
    let rows: Vec<Vec<&str>> = views.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[1..],
        [
            vec!["client", "public", "client-visible"],
            vec!["kiosk", "keyed", "client-visible"],
            vec!["server", "keyed", "all"]
        ]
    );
    dev.done(&["view", "delete", "kiosk"]);
    for (arguments, code) in [
        (&["view", "delete", "kiosk"][..], "view-not-found"),
        (&["view", "delete", "server"], "view-built-in"),
        (&["view", "set", "kiosk", "--audience", "keyed", "--include", "all"], "key-retired"),
        (&["view", "set", "open", "--audience", "public", "--include", "all"], "invalid-request"),
    ] {
        let ran = dev.run(&[&["--json"], arguments].concat());
        assert_eq!(text(&ran.error(), &["code"]), code, "{arguments:?}");
    }
}

#[test]
fn attributes_and_views_travel_with_a_projects_files() {
    let (one, two, files) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = files.path().to_str().unwrap();
    let dev = Dev::start(one.path());
    dev.done(&["attribute", "set", "email=hashed", "country=public"]);
    dev.done(&["view", "set", "mobile", "--audience", "public", "--include", "tag", "--tag", "app"]);
    dev.done(&["flag", "create", "shown", "--client-visible", "--tag", "app"]);
    dev.done(&[
        "flag",
        "edit",
        "shown",
        "--targeting",
        r#"{"on":true,"rules":[{"id":"r","if":[{"attr":"email","ends":["@acme.com"]}],"serve":"on"}]}"#,
    ]);
    dev.done(&["export", "--dir", dir]);
    let read = |name: &str| std::fs::read_to_string(files.path().join(name)).unwrap();
    assert_eq!(
        parse(&read("attributes.json")).to_string(),
        r#"{"attributes":{"country":"public","email":"hashed"}}"#
    );
    assert_eq!(
        parse(&read("views/mobile.json")).to_string(),
        r#"{"id":"mobile","audience":"public","include":"tag","tag":"app"}"#
    );

    // All of it at once: the flag could not be made without what is declared.
    let other = Dev::start(two.path());
    let ran = other.run(&["apply", "--dir", dir, "--yes"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let plan = other.run(&["plan", "--dir", dir, "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}{}", plan.out, plan.err);
    assert_eq!(
        at(&other.done(&["attribute", "list"]), &["attributes"]).to_string(),
        r#"{"country":"public","email":"hashed"}"#
    );

    // A declaration that would hide it is refused, where it stands.
    std::fs::write(
        files.path().join("attributes.json"),
        "{\n  \"attributes\": {\n    \"country\": \"public\",\n    \"email\": \"private\"\n  }\n}\n",
    )
    .unwrap();
    let ran = other.run(&["plan", "--dir", dir]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains("attributes.json:4") && ran.err.contains("`shown`"), "{}", ran.err);
    std::fs::remove_file(files.path().join("attributes.json")).unwrap();
    std::fs::remove_file(files.path().join("views/mobile.json")).unwrap();
    let ran = other.run(&["apply", "--dir", dir, "--prune", "--yes"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(at(&other.done(&["view", "list"]), &["items"]).as_array().unwrap().len(), 2);
    assert_eq!(
        at(&other.done(&["attribute", "list"]), &["attributes", "email"]).as_str(),
        Some("hashed"),
        "what has no file stays"
    );
}
