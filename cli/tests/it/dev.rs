//! `dev`: from the first start to the last.

use std::path::Path;
use std::process::Stdio;

use crate::support::*;

fn refused(listen: &str, data: &Path) -> Ran {
    run(&["--json", "dev", "--listen", listen, "--data", data.to_str().unwrap()])
}

#[test]
fn the_first_start_prints_one_json_line_with_all_that_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(&directory.path().join("new/data"));
    let api = dev.api();
    assert!(api.starts_with("http://127.0.0.1:") && !api.ends_with(":0"), "{api}");
    assert_eq!(text(&dev.ready, &["cdn"]), format!("{api}/cdn"));
    assert_eq!(text(&dev.ready, &["project"]), "demo");
    for environment in ["production", "staging"] {
        let server = dev.connection(environment);
        let base = api.replace("http://", "flagstone+http://");
        let begin = format!("{base}/cdn?project=demo&environment={environment}&view=server&root=1:");
        assert!(server.starts_with(&begin), "{server}");
        assert!(text(&dev.ready, &["environments", environment, "client"]).contains("view=client"));
        assert!(!dev.sdk_key(environment).is_empty());
    }
    let samples = dev.done(&["flag", "list"]);
    assert_eq!(at(&samples, &["items"]).as_array().unwrap().len(), 3);
    assert_eq!(dev.process.terminate(), Some(0));
    assert_eq!(dev.process.rest(), "", "exactly one line");
}

#[cfg(unix)]
#[test]
fn secrets_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let dev = Dev::start(&data);
    for secret in ["admin.token", "sdk-keys.json", "keys/root.key", "keys/manifest.key", "log.sqlite"] {
        let mode = std::fs::metadata(data.join(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{secret}");
    }
    let token = std::fs::read_to_string(data.join("admin.token")).unwrap();
    assert_eq!(token.trim_end(), dev.token());
}

#[test]
fn a_change_by_the_cli_is_seen_by_an_sdk_that_watches() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    dev.done(&["flag", "create", "new-checkout", "--reason", "first"]);
    let mut command = dev.command();
    command.args(["watch", &dev.connection("production"), "--poll-ms", "20"]);
    command.args(["--flag", "new-checkout", "--context", r#"{"targetingKey":"u-1"}"#]);
    let mut watch = Running::start(&mut command);
    let ready = watch.line_where(|line| text(line, &["event"]) == "ready");
    assert_eq!(text(&ready, &["values", "new-checkout", "reason"]), "DISABLED");

    let written = dev.done(&["on", "new-checkout", "-m", "launch"]);
    let published = at(&written, &["publication", "production", "server"]);
    assert_eq!(text(published, &["state"]), "announced");
    let version = number(published, &["version"]);
    let swap =
        watch.line_where(|line| text(line, &["event"]) == "swap" && number(line, &["version"]) >= version);
    assert_eq!(at(&swap, &["keys"]).to_string(), "[\"new-checkout\"]");
    assert_eq!(
        at(&swap, &["values", "new-checkout"]).to_string(),
        r#"{"value":true,"variation":"on","reason":"STATIC"}"#
    );
    assert!(number(&swap, &["fetched"]) < 4_000, "a delta, not a snapshot: {swap}");

    let history = dev.done(&["history", "new-checkout", "--limit", "1"]);
    let item = &at(&history, &["items"]).as_array().unwrap()[0];
    assert_eq!(text(item, &["reason"]), "launch");
    assert_eq!(text(item, &["actor", "via"]), "cli");
    assert_eq!(watch.terminate(), Some(0));
}

#[test]
fn a_second_start_finds_its_data_and_prints_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Dev::start(directory.path());
    first.done(&["flag", "create", "kept"]);
    let address = first.api().replace("http://", "");
    assert_eq!(first.process.terminate(), Some(0));
    let second = Dev::start_on(&address, directory.path());
    assert_eq!(second.ready, first.ready);
    assert_eq!(text(&second.done(&["flag", "show", "kept"]), &["definition", "key"]), "kept");
}

#[test]
fn a_second_dev_on_the_same_data_works_beside_the_first() {
    let directory = tempfile::tempdir().unwrap();
    // Both at once on a new directory: the sample project is there once.
    let mut one = Dev::spawn("127.0.0.1:0", directory.path());
    let mut two = Dev::spawn("127.0.0.1:0", directory.path());
    let ready = [one.line().unwrap(), two.line().unwrap()].map(|line| parse(&line));
    let [a, b] =
        [(one, &ready[0]), (two, &ready[1])].map(|(process, ready)| Dev { process, ready: ready.clone() });
    assert_eq!(a.token(), b.token());
    assert_eq!(a.sdk_key("staging"), b.sdk_key("staging"));
    a.done(&["flag", "create", "shared"]);
    b.done(&["on", "shared"]);
    let seen = a.done(&["flag", "show", "shared"]);
    assert_eq!(at(&seen, &["targeting", "on"]).as_bool(), Some(true));
    assert_eq!(a.run(&["verify", &a.connection("production")]).code, 0);
    let audit = run(&["--json", "audit", "verify", "--data", directory.path().to_str().unwrap()]);
    assert_eq!(audit.code, 0, "{}", audit.out);
    // 14 sample changes, each once, and these two.
    assert_eq!(number(&audit.json(), &["entries"]), 16);
}

#[test]
fn a_new_environment_gets_an_sdk_key_and_a_stream() {
    let directory = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(directory.path());
    dev.done(&["env", "create", "qa"]);
    let address = dev.api().replace("http://", "");
    dev.process.terminate();
    let dev = Dev::start_on(&address, directory.path());
    let verified = dev
        .command()
        .args(["verify", &dev.connection("qa")])
        .env("FLAGSTONE_SDK_KEY", dev.sdk_key("qa"))
        .output()
        .unwrap();
    assert!(verified.status.success());
    // The key of another environment opens nothing of it.
    let ran = dev.run(&["--json", "verify", &dev.connection("qa")]);
    assert_eq!((ran.code, text(&ran.json(), &["code"]).as_str()), (1, "not-found"));
}

#[test]
fn a_busy_port_is_one_clear_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(&directory.path().join("a"));
    let address = dev.api().replace("http://", "");
    let ran = refused(&address, &directory.path().join("b"));
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert_eq!(text(&ran.error(), &["code"]), "address-in-use");
    assert!(ran.err.contains(&address), "{}", ran.err);
    assert!(!directory.path().join("b").exists(), "nothing is made before the port is there");
}

#[test]
fn a_foreign_data_file_is_one_clear_sentence_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log.sqlite");
    let text_file = b"Dear diary, this is no data base, however long it goes on and on.".to_vec();
    // The head of an SQLite file of another program: its application id is at byte 68.
    let mut sqlite = std::fs::read({
        let other = tempfile::tempdir().unwrap();
        let mut dev = Dev::start(other.path());
        dev.process.terminate();
        let path = directory.path().join("other");
        std::fs::copy(other.path().join("log.sqlite"), &path).unwrap();
        path
    })
    .unwrap();
    sqlite[68..72].copy_from_slice(b"MINE");
    for foreign in [text_file, sqlite] {
        std::fs::write(&file, &foreign).unwrap();
        let ran = refused("127.0.0.1:0", directory.path());
        assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (1, "", 1), "{}", ran.err);
        assert_eq!(text(&ran.error(), &["code"]), "foreign-file");
        assert!(ran.err.contains("log.sqlite"), "{}", ran.err);
        assert_eq!(std::fs::read(&file).unwrap(), foreign);
    }
}

#[test]
fn a_file_in_place_of_the_directory_is_one_clear_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    for data in [file.clone(), file.join("data")] {
        let ran = refused("127.0.0.1:0", &data);
        assert_eq!((ran.code, text(&ran.error(), &["code"]).as_str()), (1, "not-a-directory"));
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[cfg(unix)]
#[test]
fn a_read_only_directory_is_one_clear_sentence() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(data.join("probe"), "").is_ok() {
        // The system itself has some that not even root can write.
        println!("SKIPPED in part: this user writes where it is forbidden to; /proc stands in");
        let ran = refused("127.0.0.1:0", Path::new("/proc/flagstone"));
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{}", ran.err);
        return;
    }
    let ran = refused("127.0.0.1:0", &data);
    assert_eq!((ran.code, text(&ran.error(), &["code"]).as_str()), (1, "storage-read-only"));
}

#[test]
fn dev_refuses_to_listen_beyond_this_machine() {
    let ran = run(&["dev", "--listen", "0.0.0.0:0"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("loopback only"), "{}", ran.err);
}

#[test]
fn logs_are_json_and_hold_no_secret_and_no_context() {
    let directory = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(directory.path().join("log")).unwrap();
    let mut command = flagstone();
    command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(directory.path().join("data"));
    let mut process = Running::start(command.env("FLAGSTONE_LOG", "trace").stderr(Stdio::from(log)));
    let ready = parse(&process.line().unwrap());
    let mut dev = Dev { process, ready };
    dev.done(&["off", "welcome-banner"]);
    dev.done(&[
        "eval",
        "search-ranking",
        "--context",
        r#"{"targetingKey":"c4nary","email":"c4nary@example.com"}"#,
    ]);
    dev.run(&["flag", "show", "c4nary"]);
    let (mut http, mut thief) = (dev.http(), Http::new(&dev.api(), "c4nary"));
    thief.send("GET", "/v1/projects/demo/flags?c4nary=c4nary", &[], "").unwrap();
    let e = "/v1/projects/demo/environments/production";
    for (path, headers, body) in [
        ("/c4nary", &[("cookie", "c4nary=c4nary"), ("x-flagstone-key", "c4nary")][..], ""),
        (&*format!("{e}/evaluate"), &[], r#"{"context":{"c4nary":"c4nary""#),
        (&format!("{e}/evaluate"), &[], r#"{"context":{},"c4nary":1}"#),
        (&format!("{e}/evaluate?c4nary=c4nary"), &[], r#"{"context":{"targetingKey":"c4nary"}}"#),
        (
            &format!("{e}/flags/welcome-banner/on"),
            &[("idempotency-key", "c4nary"), ("x-flagstone-reason", "c4nary")],
            "",
        ),
    ] {
        http.send("POST", path, headers, body).unwrap();
    }
    let (status, metrics) = http.send("GET", "/metrics", &[], "").unwrap();
    assert!(status == 200 && metrics.contains("flagstone_http_requests_total{"), "{metrics}");
    assert!(!metrics.contains("c4nary") && !metrics.contains("welcome-banner"), "{metrics}");
    dev.process.terminate();
    let logs = std::fs::read_to_string(directory.path().join("log")).unwrap();
    assert!(logs.lines().count() > 3);
    for line in logs.lines() {
        parse(line);
    }
    assert!(logs.contains("\"sdk\""), "a swap is told");
    for secret in [dev.token(), dev.sdk_key("production"), dev.sdk_key("staging"), "c4nary".to_owned()] {
        assert!(!logs.contains(&secret), "{secret} is in the logs");
    }
}

#[test]
fn the_format_of_log_lines_can_be_chosen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let start = |format: &str| {
        let log = std::fs::File::create(&path).unwrap();
        let mut command = flagstone();
        command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(directory.path().join("data"));
        Running::start(command.env("FLAGSTONE_LOG_FORMAT", format).stderr(Stdio::from(log)))
    };
    let mut process = start("text");
    process.line().unwrap();
    process.terminate();
    let logs = std::fs::read_to_string(&path).unwrap();
    assert!(!logs.is_empty() && logs.lines().all(|line| !line.starts_with('{')), "{logs}");
    let mut process = start("xml");
    assert_eq!(process.line(), None, "it does not start");
    let logs = std::fs::read_to_string(&path).unwrap();
    assert!(logs.contains("FLAGSTONE_LOG_FORMAT"), "{logs}");
}
