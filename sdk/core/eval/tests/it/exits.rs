//! Every exit of the evaluation, with its exact reason and code (FORMAT M-8).

use super::{answer, compile};

/// A string flag with the given tail of members after `values`.
fn flag(key: &str, on: bool, rest: &str) -> String {
    format!(r#"{{"flag":"{key}","type":"string","rev":1,"on":{on},"values":{{"a":"A","b":"B"}}{rest}}}"#)
}

fn one(on: bool, rest: &str, context: &str) -> String {
    answer(&compile(&[&flag("f", on, rest)]), "f", context)
}

const DEFAULTED: &str = r#"{"value":"code default","#;

#[test]
fn step_2_no_such_flag() {
    let expected = format!(r#"{DEFAULTED}"reason":"ERROR","error_code":"FLAG_NOT_FOUND"}}"#);
    assert_eq!(answer(&compile(&[]), "f", "{}"), expected);
}

#[test]
fn step_3_type_values_or_on_unreadable() {
    let expected = format!(r#"{DEFAULTED}"reason":"ERROR","error_code":"PARSE_ERROR"}}"#);
    for line in [
        r#"{"flag":"f","type":"str","rev":1,"on":true,"values":{"a":"A"}}"#,
        r#"{"flag":"f","rev":1,"on":true,"values":{"a":"A"}}"#,
        r#"{"flag":"f","type":"string","rev":1,"on":1,"values":{"a":"A"}}"#,
        r#"{"flag":"f","type":"string","rev":1,"values":{"a":"A"}}"#,
        r#"{"flag":"f","type":"string","rev":1,"on":true}"#,
        r#"{"flag":"f","type":"string","rev":1,"on":true,"values":{}}"#,
        r#"{"flag":"f","type":"string","rev":1,"on":true,"values":{"a":1}}"#,
        r#"{"flag":"f","type":"int","rev":1,"on":true,"values":{"a":1.5}}"#,
        r#"{"flag":"f","type":"string","rev":1,"on":true,"values":{"a":"A"},"values":{"a":"A"}}"#,
        r#"{"flag":"f"} trailing"#,
        r#"{"flag":"f","#,
    ] {
        assert_eq!(answer(&compile(&[line]), "f", "{}"), expected, "{line}");
    }
}

#[test]
fn step_4_and_5_type_comes_before_context() {
    let snapshot = compile(&[&flag("f", true, r#","fallthrough":"a""#)]);
    let ask = |case: &str| flagstone_eval::batch::answer(&snapshot, case.as_bytes(), super::NOW);
    assert_eq!(
        ask(r#"{"flag":"f","context":[],"type":"int","default":3}"#),
        r#"{"value":3,"reason":"ERROR","error_code":"TYPE_MISMATCH"}"#
    );
    assert_eq!(
        ask(r#"{"flag":"f","context":"text","default":3}"#),
        r#"{"value":3,"reason":"ERROR","error_code":"INVALID_CONTEXT"}"#
    );
    assert_eq!(ask(r#"{"flag":"f","context":null}"#), r#"{"reason":"ERROR","error_code":"INVALID_CONTEXT"}"#);
    assert_eq!(
        ask(r#"{"flag":"f","context":{},"type":"json"}"#),
        r#"{"value":"A","variation":"a","reason":"STATIC"}"#
    );
}

#[test]
fn step_6_a_member_that_is_not_understood_serves_off() {
    for rest in [
        r#","off":"b","percent":5"#,
        r#","off":"b","fallthrough":"zzz""#,
        r#","off":"b","rules":{}"#,
        r#","off":"b","needs":{}"#,
        r#","off":"b","meta":[]"#,
    ] {
        assert_eq!(one(true, rest, "{}"), r#"{"value":"B","variation":"b","reason":"UNKNOWN"}"#, "{rest}");
        assert_eq!(one(false, rest, "{}"), r#"{"value":"B","variation":"b","reason":"UNKNOWN"}"#, "{rest}");
    }
    // An `off` that does not exist is absent: the caller's default, with the same reason.
    assert_eq!(one(true, r#","off":"zzz""#, "{}"), format!(r#"{DEFAULTED}"reason":"UNKNOWN"}}"#));
    for rev in ["", r#""rev":0,"#, r#""rev":"1","#] {
        let line =
            format!(r#"{{"flag":"f","type":"bool",{rev}"on":true,"values":{{"on":true}},"off":"on"}}"#);
        assert_eq!(
            answer(&compile(&[&line]), "f", "{}"),
            r#"{"value":true,"variation":"on","reason":"UNKNOWN"}"#
        );
    }
}

#[test]
fn meta_is_never_read() {
    let answer = one(true, r#","fallthrough":"a","meta":{"x":{"y":[1]}}"#, "{}");
    assert_eq!(answer, r#"{"value":"A","variation":"a","reason":"STATIC"}"#);
}

#[test]
fn step_7_off_serves_off_or_the_default() {
    assert_eq!(one(false, r#","off":"b""#, "{}"), r#"{"value":"B","variation":"b","reason":"DISABLED"}"#);
    assert_eq!(one(false, "", "{}"), format!(r#"{DEFAULTED}"reason":"DISABLED"}}"#));
}

#[test]
fn step_8_needs_must_be_true() {
    let needs =
        |need: &str| one(true, &format!(r#","off":"b","needs":[{need}],"fallthrough":"a""#), r#"{"x":1}"#);
    assert_eq!(needs(r#"{"attr":"x","in":[1]}"#), r#"{"value":"A","variation":"a","reason":"DEFAULT"}"#);
    assert_eq!(needs(r#"{"attr":"x","in":[2]}"#), r#"{"value":"B","variation":"b","reason":"DISABLED"}"#);
    assert_eq!(needs(r#"{"attr":"y","in":[2]}"#), r#"{"value":"B","variation":"b","reason":"DISABLED"}"#);
    assert_eq!(needs(r#"{"attr":"y","geo":[2]}"#), r#"{"value":"B","variation":"b","reason":"UNKNOWN"}"#);
}

#[test]
fn step_8_names_the_first_need_that_is_not_true() {
    let line =
        flag("f", true, r#","off":"b","needs":[{"time":{}},{"attr":"x","in":[2]},{"attr":"y","in":[2]}]"#);
    let snapshot = compile(&[&line]);
    let details = snapshot.evaluate("f", None, &flagstone_model::context::Context::new(), super::NOW);
    assert_eq!(details.need, Some(1));
}

#[test]
fn step_9_the_first_rule_that_holds_serves() {
    let rules = |rules: &str| {
        one(true, &format!(r#","off":"b","rules":[{rules}],"fallthrough":"b""#), r#"{"targetingKey":"u-3"}"#)
    };
    assert_eq!(
        rules(r#"{"id":"no","if":[{"attr":"z","in":[1]}],"serve":"b"},{"id":"yes","serve":"a","exp":"e.1"}"#),
        r#"{"value":"A","variation":"a","reason":"TARGETING_MATCH","rule":"yes","exp":"e.1"}"#
    );
    assert_eq!(
        rules(r#"{"id":"r","if":[{"any":[{"not":{"bucket":{"salt":"search","in":[]}}}]}],"serve":"a"}"#),
        r#"{"value":"A","variation":"a","reason":"SPLIT","rule":"r"}"#
    );
    assert_eq!(
        rules(
            r#"{"id":"r","split":{"salt":"search","ranges":[[0,93920,"b"],[93920,93921,"a"]]},"exp":"e.1"}"#
        ),
        r#"{"value":"A","variation":"a","reason":"SPLIT","rule":"r","exp":"e.1","bucket":93920}"#
    );
    assert_eq!(
        rules(r#"{"id":"r","split":{"salt":"search","ranges":[[0,93920,"a"],[93921,100000,"a"]]}}"#),
        r#"{"value":"B","variation":"b","reason":"DEFAULT"}"#
    );
}

#[test]
fn step_9_a_bucket_condition_counts_wherever_it_stands_and_readable_or_not() {
    let deep = format!(r#"{}{{"bucket":7}}{}"#, r#"{"all":["#.repeat(9), "]}".repeat(9));
    for beside in [r#"{"not":{"bucket":{"salt":"s","in":[]}}}"#, &deep, r#"{"all":[{"bucket":{}}],"x":1}"#] {
        let rest =
            format!(r#","rules":[{{"id":"r","if":[{{"any":[{{"time":{{}}}},{beside}]}}],"serve":"a"}}]"#);
        let expected = r#"{"value":"A","variation":"a","reason":"SPLIT","rule":"r"}"#;
        assert_eq!(one(true, &rest, r#"{"targetingKey":"u"}"#), expected, "{beside}");
    }
}

#[test]
fn step_9_an_unreadable_rule_stops_the_evaluation_where_it_is_reached() {
    let unknown = r#"{"value":"B","variation":"b","reason":"UNKNOWN","rule":"r"}"#;
    for rule in [
        r#"{"id":"r","serve":"zzz"}"#,
        r#"{"id":"r"}"#,
        r#"{"id":"r","serve":"a","split":{"salt":"s","ranges":[]}}"#,
        r#"{"id":"r","serve":"a","percent":5}"#,
        r#"{"id":"r","if":{},"serve":"a"}"#,
        r#"{"id":"r","serve":"a","exp":""}"#,
        r#"{"id":"r","serve":"a","exp":7}"#,
        r#"{"id":"r","split":{"salt":"s"}}"#,
        r#"{"id":"r","split":{"ranges":[]}}"#,
        r#"{"id":"r","split":{"salt":"s","ranges":[[0,1,"zzz"]]}}"#,
        r#"{"id":"r","split":{"salt":"s","ranges":[[0,2,"a"],[1,3,"b"]]}}"#,
        r#"{"id":"r","split":{"salt":"s","ranges":[[0,100001,"a"]]}}"#,
        r#"{"id":"r","split":{"salt":"s","ranges":[],"in":[]}}"#,
        r#"{"id":"r","split":{"salt":"s","ranges":[],"seed":-1}}"#,
        r#"{"id":"r","split":{"salt":"s","ranges":[],"tail":0}}"#,
        r#"{"id":"r","if":[{"attr":"x","geo":1}],"serve":"a"}"#,
    ] {
        let rest = format!(r#","off":"b","rules":[{rule}],"fallthrough":"a""#);
        assert_eq!(one(true, &rest, r#"{"targetingKey":"u"}"#), unknown, "{rule}");
        // An earlier rule that decides is not affected, nor is a user for whom a known condition is already false.
        let before = format!(r#","off":"b","rules":[{{"id":"first","serve":"a"}},{rule}]"#);
        assert!(one(true, &before, "{}").contains("TARGETING_MATCH"), "{rule}");
    }
    for rule in [r#"{"serve":"a"}"#, r#"{"id":"","serve":"a"}"#, r#"{"id":7,"serve":"a"}"#, "7"] {
        let rest = format!(r#","off":"b","rules":[{rule}],"fallthrough":"a""#);
        assert_eq!(one(true, &rest, "{}"), r#"{"value":"B","variation":"b","reason":"UNKNOWN"}"#, "{rule}");
    }
}

#[test]
fn step_9_a_hash_it_does_not_have_is_unsupported_once_there_is_a_unit() {
    let rest = r#","off":"b","rules":[{"id":"r","split":{"salt":"s","hash":"sha1-52","of":4503599627370496,"ranges":[[0,4503599627370496,"a"]]}}],"fallthrough":"a""#;
    assert_eq!(
        one(true, rest, r#"{"targetingKey":"u"}"#),
        r#"{"value":"B","variation":"b","reason":"UNKNOWN","rule":"r"}"#
    );
    assert_eq!(one(true, rest, "{}"), r#"{"value":"A","variation":"a","reason":"DEFAULT"}"#);
}

#[test]
fn step_10_static_only_without_rules_and_needs() {
    assert_eq!(
        one(true, r#","fallthrough":"a""#, "{}"),
        r#"{"value":"A","variation":"a","reason":"STATIC"}"#
    );
    assert_eq!(
        one(true, r#","rules":[],"needs":[],"fallthrough":"a""#, "{}"),
        r#"{"value":"A","variation":"a","reason":"STATIC"}"#
    );
    assert_eq!(
        one(true, r#","needs":[{"time":{}}],"fallthrough":"a""#, "{}"),
        r#"{"value":"A","variation":"a","reason":"DEFAULT"}"#
    );
}

#[test]
fn steps_11_and_12_nothing_decides() {
    let split = r#","rules":[{"id":"r","split":{"salt":"s","ranges":[]}}]"#;
    assert_eq!(
        one(true, split, r#"{"targetingKey":true}"#),
        format!(r#"{DEFAULTED}"reason":"ERROR","error_code":"TARGETING_KEY_MISSING"}}"#)
    );
    assert_eq!(one(true, split, r#"{"targetingKey":"u"}"#), format!(r#"{DEFAULTED}"reason":"DEFAULT"}}"#));
    assert_eq!(one(true, "", "{}"), format!(r#"{DEFAULTED}"reason":"DEFAULT"}}"#));
}

#[test]
fn values_of_every_type_are_served_as_they_are() {
    for (kind, value, served) in [
        ("int", "-9007199254740991", "-9007199254740991"),
        ("float", "0.1", "0.1"),
        ("float", "1e21", "1e+21"),
        ("json", r#"{"b":[1,null],"a":"x"}"#, r#"{"a":"x","b":[1,null]}"#),
        ("json", "null", "null"),
    ] {
        let line = format!(
            r#"{{"flag":"f","type":"{kind}","rev":1,"on":true,"values":{{"v":{value}}},"fallthrough":"v"}}"#
        );
        let expected = format!(r#"{{"value":{served},"variation":"v","reason":"STATIC"}}"#);
        assert_eq!(answer(&compile(&[&line]), "f", "{}"), expected);
    }
}
