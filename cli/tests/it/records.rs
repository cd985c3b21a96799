//! What happened and why: `history`, `explain`, `audit user`, `erase`, and `publish`.

use crate::support::*;

/// A running `dev` with the flag `ck`: made, switched on, and given to a tenth, in the entries that are answered.
fn with_flag(data: &std::path::Path) -> (Dev, [u64; 3]) {
    let dev = Dev::start(data);
    let made = dev.done(&["flag", "create", "ck"]);
    let on = dev.done(&["on", "ck", "-m", "for Ada"]);
    let tenth = dev.done(&["rollout", "ck", "10"]);
    let seqs = [&made, &on, &tenth].map(|told| number(told, &["seq"]));
    (dev, seqs)
}

/// The lines of a text, without times and whose they are.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).collect()
}

fn refusal(dev: &Dev, arguments: &[&str]) -> (i32, String) {
    let ran = dev.run(&[&["--json"], arguments].concat());
    (ran.code, text(&ran.error(), &["code"]))
}

#[test]
fn a_history_tells_who_when_why_and_from_what_to_what_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    let (dev, [made, on, tenth]) = with_flag(directory.path());
    let ran = dev.run(&["history", "ck"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let told = lines(&ran.out);
    let heads: Vec<_> = told.iter().filter(|line| line.starts_with("seq ")).collect();
    assert_eq!(heads.len(), 3, "{}", ran.out);
    for (head, (seq, entity)) in heads.iter().zip([
        (tenth, "flag/production/ck 2 -> 3"),
        (on, "flag/production/ck 1 -> 2"),
        (made, "flag/ck 0 -> 1"),
    ]) {
        assert!(head.starts_with(&format!("seq {seq}  20")), "{head}");
        assert!(head.ends_with(&format!("Z  admin via cli  {entity}")), "{head}");
    }
    let after = |seq: u64| {
        let head = told.iter().position(|line| line.starts_with(&format!("seq {seq} "))).unwrap();
        told[head + 1..].iter().take_while(|line| !line.starts_with("seq ")).copied().collect::<Vec<_>>()
    };
    assert_eq!(after(on), ["    “for Ada”", "    switched on", "      /on: false -> true"]);
    assert_eq!(after(made), ["    created"]);
    assert_eq!(after(tenth)[0], "    fallthrough on → off 90 %, on 10 %");

    let json = dev.done(&["history", "ck", "--limit", "2"]);
    let items = at(&json, &["items"]).as_array().unwrap();
    assert_eq!(items.iter().map(|item| number(item, &["seq"])).collect::<Vec<_>>(), [tenth, on]);
    assert_eq!(text(&items[1], &["summary"]), "switched on");
    assert_eq!(text(&items[1], &["reason"]), "for Ada");
    assert_eq!(text(&items[1], &["actor", "via"]), "cli");
    let change = at(&items[1], &["changes"]).to_string();
    assert_eq!(change, r#"[{"path":"/on","from":false,"to":true}]"#);
    assert!(dev.run(&["history", "ck", "--limit", "2"]).err.contains("--limit"), "there is more");
    assert_eq!(refusal(&dev, &["history", "nope"]), (1, "flag-not-found".to_owned()));
}

#[test]
fn an_explanation_tells_each_rule_and_what_decided_also_of_the_past() {
    let directory = tempfile::tempdir().unwrap();
    let (dev, [made, on, _]) = with_flag(directory.path());
    let evaluated = dev.done(&["eval", "ck", "--context", r#"{"targetingKey":"u-42"}"#]);
    let json = dev.done(&["explain", "ck", "--user", "u-42"]);
    assert_eq!(text(&json, &["details", "variation"]), text(&evaluated, &["variation"]));
    assert_eq!(text(&json, &["details", "reason"]), "SPLIT");
    let ran = dev.run(&["explain", "ck", "--user", "u-42", "--seq", &on.to_string()]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let told = lines(&ran.out);
    assert!(told[0].starts_with("ck = true  (STATIC at 20"), "{}", ran.out);
    assert!(told[0].ends_with(&format!(", seq {on})")), "{}", ran.out);
    assert_eq!(
        told[1..3],
        ["  + switched on", "on is served: there are no rules, so the fallthrough serves."]
    );
    let before = dev.done(&["explain", "ck", "--user", "u-42", "--seq", &made.to_string()]);
    assert_eq!(text(&before, &["details", "reason"]), "DISABLED");
    assert_eq!(at(&before, &["on"]).as_bool(), Some(false));
    // A segment that the context is not in: the rule and its condition are told with their outcome.
    let beta = dev.done(&["explain", "beta-dashboard", "--user", "u-42"]);
    let rules = at(&beta, &["rules"]).as_array().unwrap();
    assert_eq!(rules.len(), 1, "{beta}");
    assert!(dev.run(&["explain", "beta-dashboard", "--user", "u-42"]).out.contains("staff"));
    assert_eq!(refusal(&dev, &["explain", "nope", "--user", "u"]), (1, "flag-not-found".to_owned()));
}

#[test]
fn an_audit_of_a_user_tells_each_change_that_altered_it_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (dev, [made, on, _]) = with_flag(directory.path());
    let all = dev.done(&["rollout", "ck", "100"]);
    // Somebody else's change alters nothing for this user.
    dev.done(&["flag", "create", "other"]);
    dev.done(&["off", "ck", "-m", "it was wrong"]);
    let json = dev.done(&["audit", "user", "ck", "u-42"]);
    let changes = at(&json, &["changes"]).as_array().unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            let of = |end: &str| match at(change, &[end]).member("variation") {
                Some(variation) => variation.as_str().unwrap().to_owned(),
                None => "none".to_owned(),
            };
            (number(change, &["seq"]), of("from"), of("to"))
        })
        .collect();
    assert_eq!(
        (told.first().unwrap().2.as_str(), text(changes.first().unwrap(), &["reason"]).as_str()),
        ("off", "it was wrong")
    );
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let (_, from, to) = told[told.len() - 2].clone();
    assert_eq!((told[told.len() - 2].0, (from, to)), (on, pair("off", "on")));
    let (seq, from, to) = told[told.len() - 1].clone();
    assert_eq!((seq, (from, to)), (made, pair("none", "off")));
    assert!(told.windows(2).all(|two| two[0].0 > two[1].0), "newest first: {told:?}");
    assert!(told.iter().all(|(seq, ..)| *seq <= number(&all, &["seq"]) + 2));

    let ran = dev.run(&["audit", "user", "ck", "u-42"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("ck = false  (DISABLED at 20"), "{}", ran.out);
    let at_on = lines(&ran.out).iter().position(|line| line.starts_with(&format!("seq {on} "))).unwrap();
    assert_eq!(lines(&ran.out)[at_on + 1..at_on + 3], ["    off -> on", "    “for Ada”"]);
}

#[test]
fn an_erased_entry_is_a_hole_that_the_audit_names() {
    let directory = tempfile::tempdir().unwrap();
    let (mut dev, [made, on, tenth]) = with_flag(directory.path());
    assert_eq!(refusal(&dev, &["erase", "--seq", &tenth.to_string()]), (1, "not-yet-superseded".to_owned()));
    assert_eq!(refusal(&dev, &["erase", "--seq", "9999"]), (1, "entry-not-found".to_owned()));
    assert_eq!(dev.run(&["--json", "erase"]).code, 2, "what is to be erased has to be said");
    let before = dev.done(&["explain", "ck", "--user", "u-42"]);
    let ran = dev.run(&["erase", "--seq", &on.to_string(), "-m", "asked to be forgotten"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let history = dev.run(&["history", "ck"]).out;
    assert!(!history.contains("for Ada"), "{history}");
    let after = dev.done(&["explain", "ck", "--user", "u-42"]);
    assert_eq!(text(&after, &["details", "variation"]), text(&before, &["details", "variation"]));
    assert!(made < on);
    assert_eq!(dev.process.terminate(), Some(0));
    let data = directory.path().to_str().unwrap();
    let audit = run(&["--json", "audit", "verify", "--project", "demo", "--data", data]);
    assert_eq!(audit.code, 0, "{} {}", audit.out, audit.err);
    assert!(audit.out.contains(&format!("[{on}]")), "{}", audit.out);
}

#[test]
fn a_stream_is_published_by_hand_and_what_is_claimed_is_not_adopted() {
    let directory = tempfile::tempdir().unwrap();
    let (dev, [.., tenth]) = with_flag(directory.path());
    let version = |told| number(told, &["publication", "production", "server", "version"]);
    let json = dev.done(&["publish"]);
    assert_eq!(text(&json, &["publication", "production", "server", "state"]), "announced");
    let again = dev.done(&["publish"]);
    assert_eq!(version(&again), version(&json), "up to date is up to date");
    let ran = dev.run(&["publish", "--rebuild"]);
    assert_eq!((ran.code, lines(&ran.out)[0]), (0, "published"));
    for (line, view) in lines(&ran.out)[1..].iter().zip(["client", "server"]) {
        assert!(line.starts_with(&format!("  production/{view} version ")), "{}", ran.out);
        assert!(line.ends_with(": announced"), "{}", ran.out);
    }
    assert_eq!(refusal(&dev, &["publish", "--adopt"]), (1, "nothing-to-adopt".to_owned()));
    assert_eq!(refusal(&dev, &["publish", "--env", "nope"]), (1, "environment-not-found".to_owned()));
    // Publishing writes no change.
    let json = dev.done(&["history", "ck"]);
    assert_eq!(number(&at(&json, &["items"]).as_array().unwrap()[0], &["seq"]), tenth);
}
