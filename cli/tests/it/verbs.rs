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
