use std::fs;

use flagstone_publisher::author::{
    Attributes, Environment, FlagDefinition, Segment, Targeting, ViewDefinition,
};

use super::*;

fn json(text: &str) -> Json<'static> {
    Json::parse(text.as_bytes()).unwrap().into_owned()
}

fn flag(key: &str) -> Flag {
    let definition = format!(r#"{{"key":"{key}","type":"bool","description":"a \"flag\" ü"}}"#);
    let targeting = r#"{"on":true,"off":"off","rules":[{"id":"r","if":[{"segment":["S:1"]}],"rollout":{"weights":{"on":"33.3%","off":66700}}}],"fallthrough":{"serve":"on"}}"#;
    Flag {
        definition: FlagDefinition::parse(&json(&definition)).unwrap(),
        targetings: [(EnvironmentId::parse("con").unwrap(), Targeting::parse(&json(targeting)).unwrap())]
            .into(),
    }
}

/// Keys that differ by case, have what file systems dislike, or are as long as can be.
fn tree() -> Tree {
    let id = |text: &str| EnvironmentId::parse(text).unwrap();
    let long = format!("K{}", "k".repeat(127));
    let keys = ["a", "A", "con", "nul.x", "Team:a@b|c+d~e", long.as_str()];
    let segment =
        Segment::parse(&json(r#"{"include":["u-1",2],"rules":[{"if":[{"attr":"x","in":[1.5]}]}]}"#));
    Tree {
        project: ProjectId::parse("shop").unwrap(),
        environments: ["con", "production"]
            .map(|text| {
                (id(text), Environment::parse(&json(&format!(r#"{{"id":"{text}","name":"N"}}"#))).unwrap())
            })
            .into(),
        flags: keys.iter().map(|key| (FlagKey::parse(key).unwrap(), flag(key))).collect(),
        segments: ["S:1", "s:1"]
            .map(|key| ((id("con"), SegmentKey::parse(key).unwrap()), segment.clone().unwrap()))
            .into(),
        lists: ["L:1", "l:1", "con"]
            .map(|key| {
                let keys = ListKeys::from_text(format!("u-2\n{key}\n").as_bytes()).unwrap();
                ((id("con"), ListKey::parse(key).unwrap()), keys)
            })
            .into(),
        attributes: Some(
            Attributes::parse(&json(r#"{"attributes":{"app.version":"public","email":"hashed"}}"#)).unwrap(),
        ),
        views: ["con", "mobile"]
            .map(|id| {
                let view = json(r#"{"audience":"public","include":"tag","tag":"app"}"#);
                (ViewId::parse(id).unwrap(), ViewDefinition::parse(&view).unwrap())
            })
            .into(),
    }
}

#[test]
fn what_is_written_reads_back_and_writing_it_again_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let tree = tree();
    let first = write(place.path(), &tree, false).unwrap();
    assert_eq!((first.written, first.same, first.removed), (tree.files().len(), 0, 0));
    assert_eq!(read(place.path()).unwrap().tree, tree);
    let again = write(place.path(), &tree, false).unwrap();
    assert_eq!((again.written, again.same, again.removed), (0, tree.files().len(), 0));
}

#[test]
fn files_of_what_is_gone_are_taken_away_and_those_of_others_are_not() {
    let place = tempfile::tempdir().unwrap();
    let mut tree = tree();
    write(place.path(), &tree, false).unwrap();
    let kept = ["flags/notes.json", "flags/README.md", "flags/.hidden.json", "segments/%63on/mine.json"];
    for name in kept {
        fs::write(place.path().join(name), "{\"key\":\"other\"}").unwrap();
    }
    tree.flags.remove("con");
    tree.segments.clear();
    tree.lists.remove(&(EnvironmentId::parse("con").unwrap(), ListKey::parse("L:1").unwrap()));
    tree.environments.remove("production");
    let outcome = write(place.path(), &tree, false).unwrap();
    assert_eq!((outcome.written, outcome.removed), (0, 5));
    for name in kept {
        assert!(place.path().join(name).exists(), "{name}");
    }
    assert!(!place.path().join("flags/%63on.json").exists());
}

#[test]
fn a_file_that_is_not_recognised_is_not_written_over_and_nothing_else_is_written() {
    let place = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("flags/a.json", "{\"key\":\"b\",\"type\":\"bool\"}"),
        ("flags/a.json", "not JSON"),
        ("environments/production.json", "{\"id\":\"staging\"}"),
        ("flagstone.json", "{\"format\":\"flagstone-project/1\",\"project\":\"other\"}"),
        ("flagstone.json", "{\"name\":\"npm\"}"),
    ] {
        let file = place.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        let refused = write(place.path(), &tree(), false).unwrap_err();
        assert_eq!(refused.code, "foreign-file", "{name}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert!(!place.path().join("flags/%41.json").exists());
        fs::remove_file(&file).unwrap();
    }
    fs::write(place.path().join("flags/a.json"), "not JSON").unwrap();
    write(place.path(), &tree(), true).unwrap();
    assert_eq!(read(place.path()).unwrap().tree, tree());
}

#[test]
fn everything_that_is_wrong_is_told_with_its_file_and_line() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), &tree(), false).unwrap();
    let put = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    put("flags/bad.json", "{\n  \"key\": \"bad\",\n  \"type\": \"bol\"\n}");
    put(
        "flags/worse.json",
        "{\n  \"key\": \"worse\",\n  \"type\": \"bool\",\n  \"targeting\": {\n    \"con\": {\n      \"on\": true,\n      \"of\": \"off\"\n    }\n  }\n}",
    );
    put("flags/again.json", "{\"key\":\"a\",\"type\":\"bool\"}");
    put("flags/broken.json", "{");
    put("segments/%63on/odd.json", "{\n  \"key\": \"odd\",\n  \"inclde\": []\n}");
    put("segments/%63on/nameless.json", "{}");
    put("lists/%63on/tabs.txt", "a\nb\tc\n");
    put("lists/%63on/Upper.txt", "a\n");
    let refused = read(place.path()).unwrap_err();
    let told: Vec<_> = refused.spots.iter().map(|spot| spot.pointer.as_str()).collect();
    for wanted in [
        "flags/bad.json:3 at /type",
        "flags/worse.json:7 at /targeting/con/of",
        "flags/again.json:1 at /key",
        "flags/broken.json",
        "segments/%63on/odd.json:3 at /inclde",
        "segments/%63on/nameless.json:1 at /key",
        "lists/%63on/tabs.txt",
        "lists/%63on/Upper.txt:1",
    ] {
        assert!(told.iter().any(|told| told.ends_with(wanted)), "{wanted} in {told:?}");
    }
    assert_eq!(refused.code, "invalid-files");
}

#[test]
fn a_directory_of_another_kind_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(read(place.path()).unwrap_err().code, "unknown-format");
    for text in
        ["{\"format\":\"other/1\"}", "{}", "{\"format\":\"flagstone-project/2\",\"project\":\"shop\"}"]
    {
        fs::write(place.path().join(MARKER), text).unwrap();
        assert_eq!(read(place.path()).unwrap_err().code, "unknown-format", "{text}");
    }
}
