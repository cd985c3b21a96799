//! What a client adds to a snapshot and asks of it: overrides, units, private attributes, the clock.

use std::cell::Cell;
use std::sync::Arc;

use flagstone_eval::{OVERRIDE_VARIATION, Override, Snapshot};
use flagstone_model::context::Context;
use flagstone_model::details::{ErrorCode, Reason};
use flagstone_model::json::Json;
use flagstone_model::path::Path;
use flagstone_model::value::{FlagType, Value};

use super::{NOW, compile, flag_if};

const DEPENDENT: &str = r#"{"flag":"child","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","needs":[{"flag":"base","is":["on"]}],"fallthrough":"on"}"#;

fn overridden(lines: &[&str], overrides: &[(&str, Override)]) -> (Snapshot, Vec<String>) {
    let overrides: Vec<(Arc<str>, &Override)> =
        overrides.iter().map(|(key, wanted)| (Arc::from(*key), wanted)).collect();
    let (snapshot, keys) =
        compile(lines).with_overrides(overrides.iter().map(|(key, wanted)| (key, *wanted)));
    (snapshot, keys.iter().map(ToString::to_string).collect())
}

fn served(snapshot: &Snapshot, flag: &str) -> (Option<Value>, Option<String>, Reason) {
    let details = snapshot.evaluate(flag, None, &Context::new(), NOW);
    (details.value.cloned(), details.variation.map(ToString::to_string), details.reason)
}

#[test]
fn an_override_is_static_and_is_the_variation_of_its_value() {
    let base = flag_if("base", r#"{"attr":"x","in":["never"]}"#);
    for wanted in [Override::from(true), Override::Variation("on".into())] {
        let (snapshot, keys) = overridden(&[&base], &[("base", wanted)]);
        assert_eq!(keys, ["base"]);
        let on = (Some(Value::Bool(true)), Some("on".to_owned()), Reason::Static);
        assert_eq!(served(&snapshot, "base"), on);
        let details = snapshot.evaluate("base", Some(FlagType::String), &Context::new(), NOW);
        assert_eq!(details.error_code, Some(ErrorCode::TypeMismatch));
    }
}

#[test]
fn a_prerequisite_sees_the_overridden_variation() {
    let base = flag_if("base", r#"{"attr":"x","in":["never"]}"#);
    let child = |wanted: Option<Override>| {
        let overrides: Vec<_> = wanted.map(|wanted| ("base", wanted)).into_iter().collect();
        served(&overridden(&[&base, DEPENDENT], &overrides).0, "child").2
    };
    assert_eq!(child(None), Reason::Disabled);
    assert_eq!(child(Some(true.into())), Reason::Default);
    assert_eq!(child(Some(Override::Variation("on".into()))), Reason::Default);
    assert_eq!(child(Some(false.into())), Reason::Disabled);
    // A value that no variation has equals no name in `is`.
    assert_eq!(child(Some("on".into())), Reason::Disabled);
}

#[test]
fn an_override_needs_no_flag_and_mends_one_that_cannot_be_read() {
    let (snapshot, keys) = overridden(
        &[r#"{"flag":"broken","type":"bool"}"#],
        &[("broken", true.into()), ("missing", "text".into())],
    );
    assert_eq!(keys, ["broken", "missing"]);
    let expected = (Some(Value::String("text".into())), Some(OVERRIDE_VARIATION.to_owned()), Reason::Static);
    assert_eq!(served(&snapshot, "missing"), expected);
    assert_eq!(served(&snapshot, "broken").0, Some(Value::Bool(true)));
}

#[test]
fn a_variation_that_the_flag_does_not_have_overrides_nothing() {
    let base = flag_if("base", r#"{"attr":"x","in":["never"]}"#);
    let named = Override::Variation("none".into());
    let (snapshot, keys) = overridden(&[&base], &[("base", named.clone()), ("missing", named)]);
    assert!(keys.is_empty());
    assert_eq!(served(&snapshot, "base").2, Reason::Default);
    assert_eq!(snapshot.len(), 1);
}

#[test]
fn a_value_is_read_as_the_flags_type_where_its_getter_could() {
    let line = |kind: &str, value: &str| {
        format!(
            r#"{{"flag":"f","type":"{kind}","rev":4,"on":true,"values":{{"a":{value}}},"fallthrough":"a"}}"#
        )
    };
    let of = |kind: &str, value: &str, wanted: Override| {
        served(&overridden(&[&line(kind, value)], &[("f", wanted)]).0, "f")
    };
    assert_eq!(of("float", "2", 2.into()).0, Some(Value::Float(2.0)));
    assert_eq!(of("float", "2", 2.into()).1.as_deref(), Some("a"));
    assert_eq!(of("int", "2", 2.5.into()).0, Some(Value::Float(2.5)));
    assert_eq!(of("int", "2", 2.0.into()).0, Some(Value::Float(2.0)));
    let json = Json::parse(br#"{"b":1,"a":2}"#).unwrap().into_owned();
    assert_eq!(of("json", r#"{"a":2,"b":1}"#, json.into()).1.as_deref(), Some("a"));
    assert_eq!(of("json", "true", true.into()).1.as_deref(), Some("a"));
    let (snapshot, _) = overridden(&[&line("int", "2")], &[("f", 3.into())]);
    assert_eq!(snapshot.evaluate("f", None, &Context::new(), NOW).rev, Some(4));
}

#[test]
fn details_say_which_edit_decided_unless_there_is_none_to_name() {
    let line = |rest: &str| {
        let line =
            r#"{"flag":"f","type":"bool","rev":7,"on":true,"values":{"off":false,"on":true},"off":"off""#;
        compile(&[&format!("{line},{rest}}}")])
    };
    for rest in [
        r#""fallthrough":"on""#,
        r#""rules":[{"id":"r","serve":"on"}]"#,
        r#""rules":[{"id":"r","if":[{"what":1}],"serve":"on"}]"#,
        r#""rules":[{"id":"r","split":{"salt":"s","ranges":[[0,100000,"on"]]}}]"#,
        r#""needs":[{"any":[]}]"#,
        r#""rules":[]"#,
    ] {
        let snapshot = line(rest);
        let details = snapshot.evaluate("f", None, &Context::new(), NOW);
        assert_eq!(details.rev, Some(7), "{rest}: {:?}", details.reason);
        assert_eq!(snapshot.evaluate("f", Some(FlagType::String), &Context::new(), NOW).rev, None);
    }
}

#[test]
fn of_variations_of_one_value_the_first_by_its_key_is_meant() {
    for values in [r#"{"b":1,"c":1,"d":2}"#, r#"{"c":1,"b":1,"d":2}"#] {
        let line =
            format!(r#"{{"flag":"f","type":"int","rev":1,"on":true,"values":{values},"fallthrough":"d"}}"#);
        let (snapshot, _) = overridden(&[&line], &[("f", 1.into())]);
        assert_eq!(served(&snapshot, "f").1.as_deref(), Some("b"));
    }
}

#[test]
fn an_override_cuts_a_cycle() {
    let a = flag_if("a", r#"{"flag":"b","is":["on"]}"#);
    let b = flag_if("b", r#"{"flag":"a","is":["on"]}"#);
    assert_eq!(served(&compile(&[&a, &b]), "a").2, Reason::Unknown);
    let (snapshot, _) = overridden(&[&a, &b], &[("b", true.into())]);
    assert_eq!(served(&snapshot, "a").1.as_deref(), Some("on"));
    assert!(snapshot.broken_references().is_empty());
    let b: Arc<str> = "b".into();
    assert_eq!(snapshot.dependents([&b]), [Arc::from("a"), b]);
}

#[test]
fn decisions_are_counted_by_the_split_else_the_first_bucket() {
    let rules = r#"[{"id":"split","if":[{"bucket":{"by":"no","salt":"s","in":[]}}],"split":{"by":"org.key","salt":"s","ranges":[]}},{"id":"bucket","if":[{"not":{"bucket":{"by":"device","salt":"s","in":[]}}},{"bucket":{"by":"other","salt":"s","in":[]}}],"serve":"a"},{"id":"nested","if":[{"time":{}},{"all":[{"any":[{"bucket":{"by":"deep","salt":"s","in":[]}}]}]}],"serve":"a"},{"id":"default","split":{"salt":"s","ranges":[]}},{"id":"plain","serve":"a"}]"#;
    let line = format!(r#"{{"flag":"f","type":"int","rev":1,"on":true,"values":{{"a":1}},"rules":{rules}}}"#);
    let snapshot = compile(&[&line]);
    let by = |rule: &str| snapshot.unit_path("f", rule).map(ToString::to_string);
    assert_eq!(by("split").as_deref(), Some("org.key"));
    assert_eq!(by("bucket").as_deref(), Some("device"));
    assert_eq!(by("nested").as_deref(), Some("deep"));
    assert_eq!(by("default").as_deref(), Some("targetingKey"));
    assert_eq!(by("plain"), None);
    assert_eq!(by("none"), None);
    assert_eq!(snapshot.unit_path("none", "plain"), None);
}

#[test]
fn a_private_attribute_covers_what_lies_in_it_and_nothing_beside_it() {
    let line = |private: &str| {
        format!(r#"{{"environment":"production","project":"shop","view":"server"{private}}}"#)
    };
    let hidden = |snapshot: &Snapshot, path: &str| snapshot.is_private(&Path::parse(path).unwrap());
    let snapshot = compile(&[&line(r#","private":["email","org.key"]"#)]);
    for (path, private) in [
        ("email", true),
        ("email.x", true),
        ("org.key", true),
        ("org", false),
        ("org.name", false),
        ("e", false),
    ] {
        assert_eq!(hidden(&snapshot, path), private, "{path}");
    }
    assert!(!hidden(&compile(&[&line("")]), "email"));
    assert!(!hidden(&compile(&[]), "email"));
    let next = snapshot.update([line(r#","private":["e"]"#).as_bytes()], []).snapshot;
    assert!(hidden(&next, "e") && !hidden(&next, "email"));
}

#[test]
fn what_cannot_be_read_makes_everything_private() {
    for line in [
        r#"{"environment":"production","private":"email"}"#,
        r#"{"environment":"production","private":["a..b"]}"#,
        r#"{"environment":"production","private":[1]}"#,
        r#"{"environment":"production",}"#,
    ] {
        let (snapshot, report) = Snapshot::compile([line.as_bytes()]);
        assert!(snapshot.is_private(&Path::of_name("targetingKey")), "{line}");
        assert_eq!(report.problems.len(), 1, "{line}");
    }
}

#[test]
fn the_clock_is_read_only_where_the_time_may_matter() {
    let lines = [
        flag_if("plain", r#"{"attr":"x","in":["a"]}"#),
        flag_if("bucket", r#"{"bucket":{"salt":"s","in":[[0,9]]}}"#),
        flag_if("scheduled", r#"{"any":[{"not":{"time":{"since":"2026-12-01T00:00:00Z"}}}]}"#),
        flag_if("ramp", r#"{"all":[{"bucket":{"salt":"s","ramp":[["2026-12-01T00:00:00Z",5]]}}]}"#),
        flag_if("asks", r#"{"segment":["s"]}"#),
        DEPENDENT.to_owned(),
        r#"{"segment":"s","if":[{"time":{"since":"2026-12-01T00:00:00Z"}}]}"#.to_owned(),
    ];
    let snapshot = compile(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for (flag, reads) in [
        ("plain", false),
        ("bucket", false),
        ("scheduled", true),
        ("ramp", true),
        ("asks", true),
        ("child", true),
        ("missing", false),
    ] {
        let asked = Cell::new(false);
        let now = || {
            asked.set(true);
            NOW
        };
        snapshot.evaluate_when(flag, None, &Context::new(), now);
        assert_eq!(asked.get(), reads, "{flag}");
    }
    assert_eq!(served(&snapshot, "asks").1.as_deref(), Some("on"));
}
