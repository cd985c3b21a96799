//! The verbs of the API, against a real `dev`.

use crate::support::*;

#[test]
fn a_typing_error_is_told_with_what_was_probably_meant() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    dev.done(&["flag", "create", "new-checkout"]);
    for arguments in [
        &["on", "new-chekout"][..],
        &["eval", "new-chekout"],
        &["history", "new-chekout"],
        &["flag", "show", "new-chekout"],
    ] {
        let ran = dev.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{arguments:?}");
        assert!(ran.err.contains("no flag `new-chekout`; did you mean `new-checkout`?"), "{}", ran.err);
        assert_eq!(ran.err.matches("did you mean").count(), 1, "{}", ran.err);
    }
    let ran = dev.run(&["--json", "on", "new-checkout", "--env", "prodution"]);
    assert_eq!(text(&ran.error(), &["code"]), "environment-not-found");
    assert_eq!(text(&ran.error(), &["suggestion"]), "production");
    let ran = dev.run(&["--json", "segment", "show", "stuff"]);
    assert_eq!(text(&ran.error(), &["suggestion"]), "staff");
}

#[test]
fn a_rollout_serves_its_share() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    dev.done(&["flag", "create", "new-checkout"]);
    let written = dev.done(&["rollout", "new-checkout", "30%"]);
    let weights = at(&written, &["fallthrough", "rollout", "weights"]);
    assert_eq!((number(weights, &["on"]), number(weights, &["off"])), (30_000, 70_000));
    dev.done(&["on", "new-checkout"]);
    let on = (0..200).filter(|unit| {
        let context = format!("{{\"targetingKey\":\"u-{unit}\"}}");
        // 200 starts of a process would take a while: the batch of this is tried elsewhere.
        *unit % 20 == 0 && {
            let details = dev.done(&["eval", "new-checkout", "--context", &context]);
            assert_eq!(text(&details, &["reason"]), "SPLIT");
            at(&details, &["value"]).as_bool() == Some(true)
        }
    });
    assert!(on.count() < 10);
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    let before = dev.done(&["flag", "show", "welcome-banner"]);
    let ran =
        dev.run(&["--json", "flag", "edit", "welcome-banner", "--targeting", r#"{"on":true,"of":"off"}"#]);
    assert_eq!((ran.code, text(&ran.error(), &["code"]).as_str()), (1, "invalid-request"));
    let error = ran.error();
    assert_eq!(text(&at(&error, &["errors"]).as_array().unwrap()[0], &["pointer"]), "/of");
    let ran = dev.run(&["--json", "flag", "create", "welcome-banner"]);
    assert_eq!(text(&ran.error(), &["code"]), "already-exists");
    let ran = dev.run(&["--json", "segment", "put", "staff", "{"]);
    assert_eq!(ran.code, 2);
    assert_eq!(dev.done(&["flag", "show", "welcome-banner"]), before);
}

#[test]
fn what_is_published_otherwise_than_it_was_written_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    let targeting =
        r#"{"on":true,"rules":[{"id":"rc","if":[{"attr":"build","matches":"^rc-\\d+$"}],"serve":"on"}]}"#;
    let ran = dev.run(&["flag", "edit", "welcome-banner", "--targeting", targeting]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told = r"published as ^rc-[0-9]+$, written ^rc-\d+$ at /rules/0/if/0/matches";
    assert!(ran.out.contains(told), "{}", ran.out);
}

#[test]
fn a_flag_lives_from_its_definition_to_its_archive() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    let made = dev.done(&[
        "flag",
        "create",
        "ranking",
        "--type",
        "string",
        "--variation",
        r#"old="v1""#,
        "--variation",
        r#"new="v2""#,
        "--kind",
        "experiment",
        "--tag",
        "search",
        "--tag",
        "web",
        "--client-visible",
    ]);
    assert_eq!(at(&made, &["variations"]).to_canonical(), r#"{"new":"v2","old":"v1"}"#);
    assert_eq!(at(&made, &["client_visible"]).as_bool(), Some(true));
    let edited = dev.done(&[
        "flag",
        "edit",
        "ranking",
        "--description",
        "which ranking",
        "--patch",
        r#"{"tags":["web"]}"#,
    ]);
    assert_eq!(at(&edited, &["tags"]).to_string(), "[\"web\"]");
    assert_eq!(number(&edited, &["revision"]), 2);
    dev.done(&[
        "flag",
        "edit",
        "ranking",
        "--targeting",
        r#"{"on":true,"off":"old","fallthrough":{"serve":"new"}}"#,
    ]);
    let details = dev.done(&["eval", "ranking"]);
    assert_eq!(text(&details, &["value"]), "v2");
    dev.done(&["flag", "archive", "ranking"]);
    let ran = dev.run(&["--json", "flag", "create", "ranking"]);
    assert_eq!(text(&ran.error(), &["code"]), "key-retired");
}

#[test]
fn a_segment_is_written_read_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    assert_eq!(number(&dev.done(&["segment", "put", "vip", r#"{"include":["u-1"]}"#]), &["revision"]), 1);
    assert_eq!(number(&dev.done(&["segment", "put", "vip", r#"{"include":["u-2"]}"#]), &["revision"]), 2);
    assert_eq!(at(&dev.done(&["segment", "show", "vip"]), &["include"]).to_string(), "[\"u-2\"]");
    let ran = dev.run(&["--json", "segment", "delete", "staff"]);
    assert_eq!(ran.code, 1, "a segment that flags refer to stays");
    dev.done(&["segment", "delete", "vip"]);
    let ran = dev.run(&["--json", "segment", "show", "vip"]);
    assert_eq!(text(&ran.error(), &["code"]), "segment-not-found");
}

#[test]
fn switches_of_many_at_once_all_happen() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    let flags = ["welcome-banner", "search-ranking", "beta-dashboard"];
    std::thread::scope(|scope| {
        for flag in flags {
            for word in ["off", "on"] {
                let dev = &dev;
                scope.spawn(move || dev.done(&[word, flag]));
            }
        }
    });
    let audit = run(&["--json", "audit", "verify", "--data", directory.path().to_str().unwrap()]);
    assert_eq!(audit.code, 0, "{}", audit.out);
}

/// Reads one HTTP request to its end.
fn request(stream: &std::net::TcpStream) -> String {
    use std::io::{BufRead, BufReader, Read};
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

#[test]
fn a_change_whose_answer_is_lost_is_sent_again_as_the_same_request() {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (first, _) = listener.accept().unwrap();
        let lost = request(&first);
        drop(first);
        let (mut second, _) = listener.accept().unwrap();
        let again = request(&second);
        let body = r#"{"key":"twice","revision":1,"seq":1,"publication":{}}"#;
        write!(second, "HTTP/1.1 201 Created\r\ncontent-length: {}\r\netag: \"1\"\r\n\r\n{body}", body.len())
            .unwrap();
        (lost, again)
    });
    let ran = flagstone()
        .args(["flag", "create", "twice", "--reason", "why not"])
        .env("FLAGSTONE_URL", url)
        .env("FLAGSTONE_TOKEN", "t0ken")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let (lost, again) = server.join().unwrap();
    assert_eq!(lost, again);
    assert!(lost.starts_with("POST /v1/projects/demo/flags HTTP/1.1\r\n"), "{lost}");
    for header in [
        "idempotency-key: ",
        "authorization: Bearer t0ken",
        "x-flagstone-reason: why%20not",
        "user-agent: flagstone-cli/",
    ] {
        assert!(lost.contains(header), "{header} in {lost}");
    }
}

#[test]
fn a_change_of_what_exists_names_the_revision_that_was_read() {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        for body in [
            r#"{"key":"a","on":false}"#,
            r#"{"code":"stale-revision","detail":"stale","current_revision":8}"#,
        ] {
            seen.push(request(&stream));
            let status = if seen.len() == 1 { "200 OK" } else { "412 Precondition Failed" };
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"7\"\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
        seen
    });
    let ran = flagstone()
        .args(["--json", "rollout", "a", "10"])
        .env("FLAGSTONE_URL", url)
        .env("FLAGSTONE_TOKEN", "t0ken")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(4));
    let error = parse(String::from_utf8(ran.stderr).unwrap().trim_end());
    assert_eq!(number(&error, &["error", "current_revision"]), 8);
    let seen = server.join().unwrap();
    assert!(seen[1].contains("if-match: \"7\"\r\n"), "{}", seen[1]);
}

#[test]
fn a_schedule_is_told_in_words_before_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    dev.done(&["flag", "create", "new-checkout"]);
    dev.done(&["on", "new-checkout"]);
    let set = [
        "schedule",
        "set",
        "new-checkout",
        "--step",
        "2098-12-02T10:00=10%",
        "--step",
        "2098-12-04T10:00=100%",
        "--zone",
        "Europe/Berlin",
    ];
    let plan = "`on` to 10 % from 2 Dec 2098 10:00 Europe/Berlin, 100 % from 4 Dec 10:00; all others `off`";
    let tried = dev.run(&[&set[..], &["--dry-run"]].concat());
    assert_eq!(tried.code, 0, "{}", tried.err);
    assert!(tried.out.contains(plan) && tried.out.contains("nothing was written"), "{}", tried.out);
    assert_eq!(
        dev.done(&["schedule", "new-checkout"]).member("schedules").unwrap().as_array().unwrap().len(),
        0
    );
    let written = dev.done(&set);
    assert_eq!(
        at(&written, &["fallthrough"]).to_canonical(),
        r#"{"ramp":{"serve":"on","steps":[["2098-12-02T10:00",10000],["2098-12-04T10:00",100000]],"time_zone":"Europe/Berlin"}}"#
    );
    let shown = dev.run(&["schedule", "new-checkout"]);
    assert!(shown.out.contains(plan), "{}", shown.out);
    assert!(
        shown.out.contains("now: nobody yet; next 10 % from 2 Dec 2098 10:00 Europe/Berlin"),
        "{}",
        shown.out
    );
    let start =
        ["schedule", "set", "new-checkout", "--start", "2098-12-01T00:00Z", "--end", "2099-01-01T00:00Z"];
    let written = dev.done(&start);
    assert_eq!(text(&written, &["schedule", "start"]), "2098-12-01T00:00Z");
    let paused = dev.done(&["schedule", "pause", "new-checkout"]);
    assert_eq!(text(&paused, &["reached", "rollout"]), "0%");
    let again = dev.run(&["--json", "schedule", "pause", "new-checkout"]);
    assert_eq!((again.code, text(&again.error(), &["code"]).as_str()), (1, "ramp-not-running"));
    let cleared = dev.done(&["schedule", "clear", "new-checkout"]);
    assert_eq!(at(&cleared, &["fallthrough"]).to_canonical(), r#"{"serve":"off"}"#);
    assert!(cleared.member("schedule").is_none());
    let nothing = dev.run(&["--json", "schedule", "clear", "new-checkout"]);
    assert_eq!((nothing.code, text(&nothing.error(), &["code"]).as_str()), (1, "no-schedule"));
}

#[test]
fn a_schedule_that_is_wrong_is_told_and_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    dev.done(&["flag", "create", "new-checkout"]);
    let before = dev.done(&["flag", "show", "new-checkout"]);
    let refused = |arguments: &[&str], code: &str| {
        let ran = dev.run(&[&["--json", "schedule", "set", "new-checkout"], arguments].concat());
        assert_eq!(text(&ran.error(), &["code"]), code, "{arguments:?}");
    };
    refused(&["--start", "2098-12-01T00:00", "--zone", "Europe/Berln"], "unknown-time-zone");
    refused(&["--start", "2098-12-01T00:00Z", "--end", "2098-11-01T00:00Z"], "schedule-overlap");
    refused(&["--end", "2020-11-01T00:00Z"], "schedule-in-past");
    refused(&["--rule", "beta", "--end", "2098-11-01T00:00Z"], "rule-not-found");
    refused(&[], "usage");
    assert_eq!(dev.done(&["flag", "show", "new-checkout"]), before);
}

#[test]
fn a_token_and_a_key_are_made_shown_once_and_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    let made = dev.done(&["token", "create", "--name", "web", "--role", "viewer", "--only", "staging"]);
    let (id, secret) = (text(&made, &["id"]), text(&made, &["token"]));
    assert!(secret.starts_with(&format!("fat_{id}_")));
    let shown = dev.run(&["token", "show", &id]);
    assert!(shown.out.contains("viewer") && !shown.out.contains(&secret), "{}", shown.out);
    assert!(dev.run(&["token", "list"]).out.contains(&id));
    dev.done(&["token", "revoke", &id]);
    assert!(!dev.run(&["token", "list"]).out.contains(&id));
    let key = dev.done(&["key", "create", "--name", "servers"]);
    let id = text(&key, &["id"]);
    assert!(dev.run(&["key", "list"]).out.contains(&id));
    dev.done(&["key", "revoke", &id]);
    let access = dev.run(&["token", "access"]);
    assert!(access.out.contains("/tokens/{token}") && !access.out.contains(&secret), "{}", access.out);
}

#[test]
fn what_init_made_is_found_by_what_comes_next() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut command = flagstone();
    command.args(["init", "--project", "acme", "--env", "production", "--data"]).arg(&data);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    // Without it `login` asks for the default project, which is not there.
    assert!(told.contains("login URL --project acme"), "{told}");
    let data = data.to_str().unwrap();
    let proved = run(&["audit", "verify", "--data", data]);
    assert!(proved.code == 0 && proved.out.contains("the log of acme"), "{} {}", proved.out, proved.err);
    let other = run(&["--json", "audit", "verify", "--data", data, "--project", "demo"]);
    assert_eq!((other.code, text(&other.json(), &["code"]).as_str()), (1, "project-not-found"));
}
