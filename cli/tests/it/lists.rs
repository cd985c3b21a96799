//! Lists by the command line: written, looked at, kept as files, audited.

use std::fs;
use std::path::{Path, PathBuf};

use flagstone_model::json::Json;

use crate::support::*;

const SEGMENT: &str = r#"{"rules":[{"if":[{"attr":"targetingKey","listed":"vips"}]}]}"#;
const TARGETING: &str = r#"{"on":true,"off":"off","rules":[{"id":"vip","if":[{"segment":["vip"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#;

/// A list of many keys, a segment that looks in it, and a flag that asks for the segment.
fn dev(data: &Path) -> Dev {
    let dev = Dev::start(data);
    let keys: String = (0..5_000).map(|number| format!("user-{number:04}\n")).collect();
    let file = data.with_extension("txt");
    fs::write(&file, keys).unwrap();
    let put = dev.done(&["list", "put", "vips", file.to_str().unwrap()]);
    assert_eq!((number(&put, &["count"]), number(&put, &["revision"])), (5_000, 1));
    dev.done(&["segment", "put", "vip", SEGMENT]);
    dev.done(&["flag", "create", "lounge"]);
    dev.done(&["flag", "edit", "lounge", "--targeting", TARGETING]);
    dev
}

fn serves(dev: &Dev, key: &str) -> String {
    let context = format!(r#"{{"targetingKey":"{key}"}}"#);
    text(&dev.done(&["eval", "lounge", "--context", &context]), &["variation"])
}

#[test]
fn a_list_is_written_edited_and_evaluated() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(&place.path().join("data"));
    assert_eq!((serves(&dev, "user-0007").as_str(), serves(&dev, "mina").as_str()), ("on", "off"));
    dev.done(&["list", "add", "vips", "mina", "user-0001"]);
    dev.done(&["list", "drop", "vips", "user-0007"]);
    assert_eq!((serves(&dev, "user-0007").as_str(), serves(&dev, "mina").as_str()), ("off", "on"));
    let shown = dev.done(&["list", "show", "vips"]);
    assert_eq!((number(&shown, &["count"]), number(&shown, &["edits", "add"])), (5_000, 1));
    assert_eq!(dev.run(&["list", "contains", "vips", "mina"]).code, 0);
    assert_eq!(dev.run(&["list", "contains", "vips", "user-0007"]).code, 1);
    let keys = dev.run(&["list", "keys", "vips"]);
    assert!(keys.out.starts_with("mina\nuser-0000\n") && keys.out.lines().count() == 5_000);
    let table = dev.run(&["list", "list"]);
    assert!(table.out.contains("vips") && table.out.contains("5000"), "{}", table.out);
}

#[test]
fn what_is_no_list_is_refused_with_its_line_before_anything_is_sent() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(&place.path().join("data"));
    let file = place.path().join("bad.txt");
    fs::write(&file, "a\nb\tc\n").unwrap();
    let ran = dev.run(&["list", "put", "vips", file.to_str().unwrap()]);
    assert!(ran.code != 0 && ran.err.contains("line 2 has a control character"), "{}", ran.err);
    let kept = dev.run(&["list", "delete", "vips"]);
    assert!(kept.code != 0 && kept.err.contains("segment `vip`"), "{}", kept.err);
    let slip = dev.run(&["list", "show", "vip"]);
    assert!(slip.code != 0 && slip.err.contains("vips"), "{}", slip.err);
    assert_eq!(number(&dev.done(&["list", "show", "vips"]), &["count"]), 5_000);
}

#[test]
fn lists_are_files_of_a_project_and_come_back_from_them() {
    let place = tempfile::tempdir().unwrap();
    let dev = dev(&place.path().join("data"));
    let files = place.path().join("files");
    let dir = files.to_str().unwrap();
    dev.done(&["export", "--dir", dir]);
    let list = files.join("lists/production/vips.txt");
    let text = fs::read_to_string(&list).unwrap();
    assert!(text.starts_with("user-0000\nuser-0001\n") && text.lines().count() == 5_000);
    let same = dev.done(&["plan", "--dir", dir]);
    assert_eq!(
        (at(&same, &["lists"]).to_string(), at(&same, &["changes"]).to_string()),
        ("[]".into(), "[]".into())
    );
    fs::write(&list, text.replace("user-0000\n", "") + "zoe\n").unwrap();
    fs::create_dir_all(files.join("lists/staging")).unwrap();
    fs::write(files.join("lists/staging/beta.txt"), "b\na\n").unwrap();
    let plan = dev.run(&["plan", "--dir", dir]);
    for wanted in ["~ list vips in production: +1 −1 keys", "+ list beta in staging: 2 keys"] {
        assert!(plan.out.contains(wanted), "{}", plan.out);
    }
    let ran = dev.run(&["apply", "--dir", dir, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!((serves(&dev, "user-0000").as_str(), serves(&dev, "zoe").as_str()), ("off", "on"));
    fs::remove_file(files.join("lists/staging/beta.txt")).unwrap();
    let ran = dev.run(&["apply", "--dir", dir, "--yes", "--prune"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(dev.run(&["list", "show", "beta", "-e", "staging"]).code, 1);
    // Into another project, lists before what names them.
    let other = Dev::start(&place.path().join("other"));
    let ran = other.run(&["import", dir, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!((serves(&other, "zoe").as_str(), serves(&other, "user-0000").as_str()), ("on", "off"));
    // A copied environment has them too.
    other.done(&["env", "create", "preview", "--copy-from", "production"]);
    assert_eq!(number(&other.done(&["list", "show", "vips", "-e", "preview"]), &["count"]), 5_000);
}

/// The objects of lists in a bucket.
fn objects(data: &Path) -> Vec<PathBuf> {
    let folder = data.join("bucket/closed/demo/v1/k");
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn lists_are_audited_down_to_their_keys() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let mut dev = dev(&data);
    dev.done(&["list", "add", "vips", "mina"]);
    assert_eq!(dev.process.terminate(), Some(0));
    let audit = || run(&["--json", "audit", "verify", "--data", data.to_str().unwrap()]);
    let told = audit();
    assert_eq!((told.code, number(&told.json(), &["lists"])), (0, 1), "{}{}", told.out, told.err);
    let [object] = &objects(&data)[..] else { panic!("one object") };
    let bytes = fs::read(object).unwrap();
    let mut altered = bytes.clone();
    let end = altered.len() - 1;
    altered[end] ^= 1;
    fs::write(object, altered).unwrap();
    assert_eq!(text(&audit().json(), &["code"]), "digest-mismatch");
    fs::remove_file(object).unwrap();
    assert_eq!(text(&audit().json(), &["code"]), "object-missing");
    fs::write(object, bytes).unwrap();
    assert_eq!(audit().code, 0);
    // What the log keeps to itself is looked at as well.
    let log = rusqlite::Connection::open(data.join("log.sqlite")).unwrap();
    log.execute("DELETE FROM private_object", []).unwrap();
    drop(log);
    let lost = audit().json();
    assert_eq!(text(&lost, &["code"]), "object-missing");
    assert!(lost.member("seq").and_then(Json::as_integer).is_some());
}
