//! A project as files: export, plan, apply, import, restore.

use std::fs;
use std::path::Path;

use flagstone_model::json::Json;

use crate::support::*;

/// A project with what makes files interesting.
fn dev(directory: &Path) -> Dev {
    let dev = Dev::start(&directory.join("data"));
    dev.done(&["flag", "create", "Team:a@b"]);
    dev.done(&["flag", "create", "team:a@b", "--description", "other case"]);
    dev.done(&["rollout", "team:a@b", "33.3"]);
    dev.done(&["segment", "put", "VIP", r#"{"include":["u-1"]}"#]);
    dev
}

/// The seq of the last entry.
fn head(dev: &Dev) -> u64 {
    let (status, body) = dev.http().send("GET", "/v1/projects/demo/log?limit=1000", &[], "").unwrap();
    assert_eq!(status, 200);
    let items = parse(&body).member("items").and_then(Json::as_array).unwrap().len();
    u64::try_from(items).unwrap()
}

fn exported(dev: &Dev, directory: &Path) -> String {
    let files = directory.join("files").to_str().unwrap().to_owned();
    dev.done(&["export", "--dir", &files]);
    files
}

/// Replaces text in a file, which has to be there.
fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn after_an_export_there_is_nothing_to_plan_and_nothing_to_write() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let files = exported(&dev, place.path());
    let plan = dev.done(&["plan", "--dir", &files, "--detailed-exitcode"]);
    assert_eq!(plan.member("changes").unwrap().to_string(), "[]");
    let again = dev.done(&["export", "--dir", &files]);
    assert_eq!((number(&again, &["written"]), number(&again, &["removed"])), (0, 0));
    let before = head(&dev);
    let ran = dev.run(&["apply", "--dir", &files]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "nothing to do\n"), "{}", ran.err);
    assert_eq!(head(&dev), before);
    let flag = fs::read_to_string(place.path().join("files/flags/team%3aa%40b.json")).unwrap();
    assert!(flag.starts_with("{\n  \"key\": \"team:a@b\",\n  \"type\": \"bool\",\n"), "{flag}");
    assert!(!flag.contains("revision"), "{flag}");
}

#[test]
fn files_become_one_entry_and_a_second_apply_makes_none() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let files = exported(&dev, place.path());
    let flags = place.path().join("files/flags");
    edit(&flags.join("team%3aa%40b.json"), "\"on\": 33300", "\"on\": \"50%\"");
    edit(&flags.join("team%3aa%40b.json"), "\"off\": 66700", "\"off\": 50000");
    fs::write(
        flags.join("new.json"),
        r#"{"key":"new","type":"bool","targeting":{"staging":{"on":true,"fallthrough":{"serve":"on"}}}}"#,
    )
    .unwrap();
    fs::write(place.path().join("files/segments/staging.json"), "{}").unwrap();
    let ran = dev.run(&["plan", "--dir", &files]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for wanted in [
        "+ flag new: created",
        "~ flag new in staging: updated",
        "~ flag team:a@b in production: updated",
        "~ fallthrough.rollout.weights.on: 33.3 % → 50 %",
        "1 created, 2 updated, in one entry",
    ] {
        assert!(ran.out.contains(wanted), "{wanted} in {}", ran.out);
    }
    assert_eq!(dev.run(&["plan", "--dir", &files, "--detailed-exitcode"]).code, 5);
    let before = head(&dev);
    let asked = dev.run(&["apply", "--dir", &files]);
    assert_eq!((asked.code, head(&dev)), (2, before), "without a terminal it takes --yes");
    assert!(asked.err.contains("--yes"), "{}", asked.err);
    let applied = dev.done(&["apply", "--dir", &files, "--yes", "-m", "half of them"]);
    assert_eq!(number(&applied, &["seq"]), before + 1);
    assert_eq!(head(&dev), before + 1);
    let again = dev.done(&["apply", "--dir", &files, "--yes"]);
    assert_eq!(again.member("seq"), Some(&Json::Null));
    assert_eq!(head(&dev), before + 1);
    assert_eq!(text(&dev.done(&["eval", "new", "-e", "staging"]), &["reason"]), "STATIC");
}

#[test]
fn a_plan_is_made_as_it_was_shown_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let files = exported(&dev, place.path());
    let flags = place.path().join("files/flags");
    let plan = place.path().join("change.plan").to_str().unwrap().to_owned();
    edit(&flags.join("team%3aa%40b.json"), "other case", "another");
    edit(&flags.join("welcome-banner.json"), "\"kind\": \"ops\"", "\"kind\": \"release\"");
    let out = ["plan", "--dir", &files, "--out", &plan];
    assert_eq!(dev.run(&out).code, 0);
    dev.done(&["flag", "edit", "welcome-banner", "--owner", "somebody-else"]);
    let before = head(&dev);
    let ran = dev.run(&["--json", "apply", &plan, "--yes"]);
    assert_eq!((ran.code, text(&ran.error(), &["code"]).as_str()), (4, "stale-revision"), "{}", ran.err);
    assert!(text(&ran.error(), &["detail"]).starts_with("flag `welcome-banner` was changed"), "{}", ran.err);
    assert_eq!(head(&dev), before);
    let drift = dev.run(&out);
    assert!(drift.err.contains("flag/welcome-banner"), "{}", drift.err);
    let applied = dev.done(&["apply", &plan, "--yes"]);
    assert_eq!(number(&applied, &["seq"]), before + 1);
    let again = dev.run(&["apply", &plan, "--yes"]);
    assert_eq!((again.code, again.out.as_str()), (0, "nothing to do\n"), "{}", again.err);
    assert_eq!(head(&dev), before + 1);
    let other = dev.run(&["--json", "apply", &plan, "--yes", "--project", "other"]);
    assert_eq!(text(&other.error(), &["code"]), "other-project");
    fs::write(&plan, "{}").unwrap();
    assert_eq!(dev.run(&["apply", &plan, "--yes"]).code, 2);
    let directory = dev.run(&["apply", &files, "--yes"]);
    assert!(directory.code == 2 && directory.err.contains("--dir"), "{}", directory.err);
    assert_eq!(dev.run(&out).code, 2, "a file that is no plan is not written over");
}

#[test]
fn what_is_wrong_is_told_with_its_file_and_line() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let files = exported(&dev, place.path());
    let flag = place.path().join("files/flags/welcome-banner.json");
    let good = fs::read_to_string(&flag).unwrap();
    edit(&flag, "\"client_visible\"", "\"client_visble\"");
    let ran = dev.run(&["plan", "--dir", &files]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("welcome-banner.json:") && ran.err.contains("at /client_visble"), "{}", ran.err);
    // What only the server knows is told at its place too.
    let needs = "{\n  \"key\": \"needs\",\n  \"type\": \"bool\",\n  \"targeting\": {\n    \"production\": {\n      \"on\": true,\n      \"prerequisites\": [\n        {\n          \"flag\": \"welcome-baner\",\n          \"is\": [\"on\"]\n        }\n      ]\n    }\n  }\n}\n";
    fs::write(&flag, good).unwrap();
    fs::write(place.path().join("files/flags/needs.json"), needs).unwrap();
    let ran = dev.run(&["plan", "--dir", &files]);
    assert_eq!(ran.code, 1);
    let wanted = "needs.json:9 at /targeting/production/prerequisites/0/flag";
    assert!(ran.err.contains(wanted) && ran.err.contains("did you mean"), "{}", ran.err);
    fs::write(
        place.path().join("files/flags/needs.json"),
        r#"{"key":"needs","type":"bool","targeting":{"prodution":{"on":true}}}"#,
    )
    .unwrap();
    let ran = dev.run(&["--json", "plan", "--dir", &files]);
    assert_eq!(text(&ran.error(), &["code"]), "environment-not-found");
    assert_eq!(text(&ran.error(), &["suggestion"]), "production");
}

#[test]
fn what_has_no_file_goes_only_when_it_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let files = exported(&dev, place.path());
    fs::remove_file(place.path().join("files/flags/%54eam%3aa%40b.json")).unwrap();
    fs::remove_file(place.path().join("files/segments/production/%56%49%50.json")).unwrap();
    let ran = dev.run(&["plan", "--dir", &files, "--detailed-exitcode"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("1 flags of the server have no file"), "{}", ran.err);
    let pruned = dev.done(&["apply", "--dir", &files, "--prune", "--yes"]);
    let changes = pruned.member("changes").and_then(Json::as_array).unwrap();
    let actions: Vec<_> = changes.iter().map(|change| text(change, &["action"])).collect();
    assert_eq!(actions, ["archived", "deleted"]);
    let ran = dev.run(&["--json", "flag", "create", "Team:a@b"]);
    assert_eq!(text(&ran.error(), &["code"]), "key-retired");
}

/// The lines that an environment serves, without revisions, and without what names the environment and the project.
fn served(dev: &Dev, environment: &str) -> Vec<String> {
    let list = |what: &str| dev.done(&[what, "list", "-e", environment]);
    let mut lines = Vec::new();
    for what in ["flag", "segment"] {
        for item in list(what).member("items").and_then(Json::as_array).unwrap() {
            let key = text(item, &["key"]);
            let shown = dev.done(&[what, "show", &key, "-e", environment]);
            lines.push(without_revisions(&shown).to_string());
        }
    }
    lines
}

fn without_revisions(json: &Json<'static>) -> Json<'static> {
    match json {
        Json::Object(members) => {
            let kept = members.iter().filter(|(name, _)| name != "revision");
            Json::Object(kept.map(|(name, value)| (name.clone(), without_revisions(value))).collect())
        }
        other => other.clone(),
    }
}

#[test]
fn an_export_is_taken_into_an_empty_project_and_gives_the_same() {
    let place = tempfile::tempdir().unwrap();
    let from = dev(place.path());
    from.done(&["env", "create", "preview", "--copy-from", "production", "--name", "Preview"]);
    let files = exported(&from, place.path());
    let to = Dev::start(&place.path().join("other"));
    // The samples of a first start are the same flags: they are in the way only where they differ.
    let before = head(&to);
    let imported = to.done(&["import", &files]);
    assert_eq!(number(&imported, &["seq"]), before + 2, "the environment, then the rest");
    for environment in ["production", "staging", "preview"] {
        assert_eq!(served(&to, environment), served(&from, environment), "{environment}");
    }
    let again = to.done(&["import", &format!("{files}/flagstone.json")]);
    assert_eq!(again.member("seq"), Some(&Json::Null));
    assert_eq!(to.done(&["plan", "--dir", &files]).member("changes").unwrap().to_string(), "[]");
    to.done(&["off", "welcome-banner"]);
    edit(&place.path().join("files/flags/welcome-banner.json"), "\"kind\": \"ops\"", "\"kind\": \"release\"");
    let ran = to.run(&["--json", "import", &files]);
    assert_eq!(text(&ran.error(), &["code"]), "already-exists");
    to.done(&["import", &files, "--yes"]);
}

#[test]
fn what_is_more_than_one_entry_takes_is_imported_in_several_and_not_applied() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let files = exported(&dev, place.path());
    for number in 0..260 {
        let text = format!(
            r#"{{"key":"f-{number}","type":"bool","targeting":{{"staging":{{"on":true,"rules":[{{"id":"r","if":[{{"segment":["vip"]}}],"serve":"on"}}]}}}}}}"#
        );
        fs::write(place.path().join(format!("files/flags/f-{number}.json")), text).unwrap();
    }
    fs::create_dir_all(place.path().join("files/segments/staging")).unwrap();
    fs::write(place.path().join("files/segments/staging/vip.json"), r#"{"key":"vip","include":["u-1"]}"#)
        .unwrap();
    let before = head(&dev);
    let ran = dev.run(&["--json", "apply", "--dir", &files, "--yes"]);
    assert_eq!((text(&ran.error(), &["code"]).as_str(), head(&dev)), ("too-large", before));
    let ran = dev.run(&["import", &files]);
    assert_eq!((ran.code, head(&dev)), (0, before + 2), "{}", ran.err);
    assert_eq!(
        text(
            &dev.done(&["eval", "f-259", "-e", "staging", "--context", r#"{"targetingKey":"u-1"}"#]),
            &["reason"]
        ),
        "TARGETING_MATCH"
    );
    assert_eq!(dev.done(&["plan", "--dir", &files]).member("changes").unwrap().to_string(), "[]");
}

#[test]
fn a_change_that_takes_confirmation_is_shown_and_made_only_with_it() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let files = exported(&dev, place.path());
    let file = place.path().join("files/flags/welcome-banner.json");
    edit(
        &file,
        "\"off\": \"off\",",
        "\"off\": \"off\", \"rules\": [{\"id\":\"r\",\"schedule\":{\"end\":\"2020-01-01T00:00:00Z\"},\"serve\":\"on\"}],",
    );
    let plan = dev.done(&["plan", "--dir", &files]);
    assert_eq!(at(&plan, &["needs_confirmation"]).as_bool(), Some(true));
    let before = head(&dev);
    let ran = dev.run(&["--json", "apply", "--dir", &files, "--yes"]);
    assert_eq!((text(&ran.error(), &["code"]).as_str(), head(&dev)), ("schedule-in-past", before));
    dev.done(&["apply", "--dir", &files, "--yes", "--confirm"]);
    assert_eq!(head(&dev), before + 1);
}

#[test]
fn foreign_files_are_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let file = place.path().join("flagstone.json");
    for text_of in ["{\"flags\":{}}", "{\"format\":\"vendor/3\"}"] {
        fs::write(&file, text_of).unwrap();
        for from in [place.path(), file.as_path()] {
            let ran = dev.run(&["--json", "import", from.to_str().unwrap()]);
            assert_eq!((ran.code, text(&ran.error(), &["code"]).as_str()), (1, "unknown-format"));
        }
    }
    let other = place.path().join("launch.json");
    fs::write(&other, "{}").unwrap();
    let ran = dev.run(&["--json", "import", other.to_str().unwrap()]);
    assert_eq!(text(&ran.error(), &["code"]), "unknown-format");
    assert_eq!(dev.run(&["import", "/nonexistent/here"]).code, 2);
    fs::write(&file, "{\"format\":\"vendor/3\"}").unwrap();
    let ran = dev.run(&["--json", "export", "--dir", place.path().to_str().unwrap()]);
    assert_eq!(text(&ran.error(), &["code"]), "foreign-file");
}

#[test]
fn an_environment_goes_back_and_is_called_otherwise() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(place.path());
    let good = head(&dev);
    let before = served(&dev, "production");
    dev.done(&["on", "Team:a@b"]);
    dev.done(&["segment", "delete", "VIP"]);
    let seq = good.to_string();
    assert_eq!(dev.run(&["restore", "--seq", &seq]).code, 2, "without a terminal it takes --yes");
    let back = dev.done(&["restore", "--seq", &seq, "--yes", "-m", "as it was"]);
    assert_eq!(number(&back, &["seq"]), good + 3);
    assert_eq!(served(&dev, "production"), before);
    let ran = dev.run(&["restore", "--seq", &seq]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "nothing to do\n"));
    dev.done(&["off", "team:a@b"]);
    dev.done(&["rollout", "team:a@b", "90"]);
    let flag = dev.done(&["restore", "team:a@b", "--seq", &seq]);
    assert_eq!(number(at(&flag, &["fallthrough", "rollout", "weights"]), &["on"]), 33_300);
    let named = dev.done(&["env", "edit", "staging", "--name", "Stage"]);
    assert_eq!(text(&named, &["name"]), "Stage");
    assert!(dev.done(&["env", "edit", "staging", "--name", ""]).member("name").is_none());
    assert_eq!(dev.run(&["env", "edit", "staging"]).code, 2);
}
