//! Conditions: every form and test, each result it can have (FORMAT M-4).

use super::truth;

fn check(table: &[(&str, &str, &str)]) {
    for (condition, context, expected) in table {
        assert_eq!(truth(condition, context), *expected, "{condition} of {context}");
    }
}

#[test]
fn exists_is_never_unknown() {
    check(&[
        (r#"{"attr":"a","exists":true}"#, r#"{"a":0}"#, "true"),
        (r#"{"attr":"a","exists":true}"#, r#"{"a":[]}"#, "true"),
        (r#"{"attr":"a","exists":true}"#, r#"{"a":{}}"#, "true"),
        (r#"{"attr":"a","exists":true}"#, r#"{"a":9007199254740992}"#, "true"),
        (r#"{"attr":"a","exists":true}"#, r#"{"a":null}"#, "false"),
        (r#"{"attr":"a","exists":true}"#, "{}", "false"),
        (r#"{"attr":"a","exists":false}"#, "{}", "true"),
        (r#"{"attr":"a.b","exists":false}"#, r#"{"a":"x"}"#, "true"),
        (r#"{"attr":"a","exists":1}"#, "{}", "unsupported"),
    ]);
}

#[test]
fn in_is_equality_of_the_same_type() {
    let condition = r#"{"attr":"a","in":[true,42,"42","x"]}"#;
    check(&[
        (condition, r#"{"a":42}"#, "true"),
        (condition, r#"{"a":42.0}"#, "true"),
        (condition, r#"{"a":"42"}"#, "true"),
        (condition, r#"{"a":true}"#, "true"),
        (condition, r#"{"a":false}"#, "false"),
        (condition, r#"{"a":43}"#, "false"),
        (condition, r#"{"a":"X"}"#, "false"),
        (condition, r#"{"a":{}}"#, "unknown"),
        (condition, r#"{"a":9007199254740992}"#, "unknown"),
        (condition, "{}", "unknown"),
        (r#"{"attr":"a","in":[]}"#, r#"{"a":1}"#, "false"),
        (r#"{"attr":"a","in":[]}"#, "{}", "unknown"),
        (r#"{"attr":"a","in":[0]}"#, r#"{"a":-0.0}"#, "true"),
        (r#"{"attr":"a","in":["1"]}"#, r#"{"a":1}"#, "false"),
        (r#"{"attr":"a","in":[null]}"#, r#"{"a":1}"#, "unsupported"),
        (r#"{"attr":"a","in":[[1]]}"#, r#"{"a":1}"#, "unsupported"),
        (r#"{"attr":"a","in":"x"}"#, r#"{"a":"x"}"#, "unsupported"),
        (r#"{"attr":"a","in":["a","b","c","d","e","f","g","h","i","j"]}"#, r#"{"a":"j"}"#, "true"),
        (r#"{"attr":"a","in":["a","b","c","d","e","f","g","h","i","j"]}"#, r#"{"a":"k"}"#, "false"),
    ]);
}

#[test]
fn text_tests_compare_bytes_and_are_defined_for_strings_only() {
    check(&[
        (r#"{"attr":"a","starts":["x","ñ"]}"#, r#"{"a":"ñandú"}"#, "true"),
        (r#"{"attr":"a","starts":["n\u0303"]}"#, r#"{"a":"ñandú"}"#, "false"),
        (r#"{"attr":"a","starts":[""]}"#, r#"{"a":""}"#, "true"),
        (r#"{"attr":"a","ends":["@acme.com"]}"#, r#"{"a":"x@acme.com"}"#, "true"),
        (r#"{"attr":"a","ends":["@acme.com"]}"#, r#"{"a":"x@ACME.com"}"#, "false"),
        (r#"{"attr":"a","contains":["cm"]}"#, r#"{"a":"acme"}"#, "true"),
        (r#"{"attr":"a","contains":["mc"]}"#, r#"{"a":"acme"}"#, "false"),
        (r#"{"attr":"a","contains":[]}"#, r#"{"a":"acme"}"#, "false"),
        (r#"{"attr":"a","contains":["4"]}"#, r#"{"a":42}"#, "unknown"),
        (r#"{"attr":"a","ends":["x"]}"#, "{}", "unknown"),
        (r#"{"attr":"a","starts":[1]}"#, r#"{"a":"1"}"#, "unsupported"),
        (r#"{"attr":"a","ends":"x"}"#, r#"{"a":"x"}"#, "unsupported"),
    ]);
}

#[test]
fn number_tests_are_ieee_comparisons_within_53_bits() {
    check(&[
        (r#"{"attr":"a","gte":18,"lt":65}"#, r#"{"a":18}"#, "true"),
        (r#"{"attr":"a","gte":18,"lt":65}"#, r#"{"a":65}"#, "false"),
        (r#"{"attr":"a","gt":0.1}"#, r#"{"a":0.1}"#, "false"),
        (r#"{"attr":"a","lte":0.1}"#, r#"{"a":0.1}"#, "true"),
        (r#"{"attr":"a","lt":1e300}"#, r#"{"a":9007199254740991}"#, "true"),
        (r#"{"attr":"a","lt":1e300}"#, r#"{"a":9007199254740992}"#, "unknown"),
        (r#"{"attr":"a","lt":1}"#, r#"{"a":"0"}"#, "unknown"),
        (r#"{"attr":"a","lt":1}"#, r#"{"a":false}"#, "unknown"),
        (r#"{"attr":"a","lt":1}"#, "{}", "unknown"),
        (r#"{"attr":"a","lt":"1"}"#, r#"{"a":0}"#, "unsupported"),
    ]);
}

#[test]
fn several_tests_must_all_hold_of_the_same_value() {
    check(&[
        // Of another type: `in` is false, which outweighs the unknown of `gte`.
        (r#"{"attr":"a","in":["x"],"gte":18}"#, r#"{"a":"y"}"#, "false"),
        (r#"{"attr":"a","in":["x"],"gte":18}"#, r#"{"a":"x"}"#, "unknown"),
        (r#"{"attr":"a","exists":true,"in":["x"]}"#, "{}", "false"),
        (r#"{"attr":"a","exists":false,"in":["x"]}"#, "{}", "unknown"),
        (r#"{"attr":"a"}"#, r#"{"a":1}"#, "unsupported"),
        (r#"{"attr":"a","absent":true}"#, "{}", "unsupported"),
    ]);
}

#[test]
fn an_array_is_asked_for_any_element() {
    check(&[
        (r#"{"attr":"a","in":["x"]}"#, r#"{"a":["y","x"]}"#, "true"),
        (r#"{"attr":"a","in":["x"]}"#, r#"{"a":["y"]}"#, "false"),
        (r#"{"attr":"a","in":["x"]}"#, r#"{"a":[]}"#, "false"),
        (r#"{"attr":"a","in":["x"]}"#, r#"{"a":["y",null]}"#, "unknown"),
        (r#"{"attr":"a","in":["x"]}"#, r#"{"a":[["x"]]}"#, "unknown"),
        (r#"{"attr":"a","in":["x"]}"#, r#"{"a":[null,"x"]}"#, "true"),
        // Both tests on one element, not one each.
        (r#"{"attr":"a","gt":1,"lt":3}"#, r#"{"a":[0,5]}"#, "false"),
        (r#"{"attr":"a","gt":1,"lt":3}"#, r#"{"a":[0,2]}"#, "true"),
        (r#"{"attr":"a","exists":true,"in":["x"]}"#, r#"{"a":[]}"#, "false"),
        (r#"{"attr":"a","exists":false,"in":["x"]}"#, r#"{"a":["x"]}"#, "false"),
        (r#"{"attr":"a","in":["x"],"absent":true}"#, r#"{"a":[]}"#, "false"),
        (r#"{"attr":"a","in":["x"],"absent":true}"#, r#"{"a":[1,{}]}"#, "true"),
    ]);
}

#[test]
fn absent_stands_in_for_unknown() {
    check(&[
        (r#"{"attr":"a","in":["x"],"absent":true}"#, "{}", "true"),
        (r#"{"attr":"a","in":["x"],"absent":false}"#, "{}", "false"),
        (r#"{"attr":"a","in":["x"],"absent":true}"#, r#"{"a":"y"}"#, "false"),
        (r#"{"attr":"a","in":["x"],"absent":1}"#, "{}", "unsupported"),
        (r#"{"bucket":{"salt":"s","in":[[0,100000]]},"absent":true}"#, "{}", "true"),
        (r#"{"bucket":{"salt":"s","in":[[0,100000]]},"absent":false}"#, "{}", "false"),
        (r#"{"bucket":{"salt":"s","in":[],"absent":true}}"#, "{}", "unsupported"),
    ]);
}

#[test]
fn connectives_follow_the_four_valued_tables() {
    let (t, f) = (r#"{"attr":"a","exists":true}"#, r#"{"attr":"a","exists":false}"#);
    let (u, x) = (r#"{"attr":"z","in":[1]}"#, r#"{"attr":"z","geo_within":["x"]}"#);
    let all = |parts: &[&str]| truth(&format!(r#"{{"all":[{}]}}"#, parts.join(",")), r#"{"a":1}"#);
    let any = |parts: &[&str]| truth(&format!(r#"{{"any":[{}]}}"#, parts.join(",")), r#"{"a":1}"#);
    assert_eq!(
        [all(&[]), all(&[t, t]), all(&[u, t]), all(&[x, u]), all(&[x, f])],
        ["true", "true", "unknown", "unsupported", "false"]
    );
    assert_eq!(
        [any(&[]), any(&[f, f]), any(&[u, f]), any(&[x, u]), any(&[x, t])],
        ["false", "false", "unknown", "unsupported", "true"]
    );
}

#[test]
fn the_ninth_connective_on_a_path_is_unsupported() {
    let nested =
        |depth: usize| format!("{}{{\"time\":{{}}}}{}", r#"{"all":["#.repeat(depth), "]}".repeat(depth));
    // One `not` of the harness is around it, so seven are eight.
    assert_eq!(truth(&nested(7), "{}"), "true");
    let snapshot = super::compile(&[&super::flag_if("f", &nested(8)), &super::flag_if("g", &nested(9))]);
    assert!(super::answer(&snapshot, "f", "{}").contains("TARGETING_MATCH"));
    assert!(super::answer(&snapshot, "g", "{}").contains("UNKNOWN"));
}

#[test]
fn time_is_since_inclusive_and_before_exclusive() {
    check(&[
        (r#"{"time":{}}"#, "{}", "true"),
        (r#"{"time":{"since":"2026-12-02T12:00:00Z"}}"#, "{}", "true"),
        (r#"{"time":{"since":"2026-12-02T12:00:00.001Z"}}"#, "{}", "false"),
        (r#"{"time":{"before":"2026-12-02T12:00:00Z"}}"#, "{}", "false"),
        (r#"{"time":{"since":"2026-12-01T00:00:00Z","before":"2026-12-03T00:00:00Z"}}"#, "{}", "true"),
        (r#"{"time":{"since":1796212800000}}"#, "{}", "unsupported"),
        (r#"{"time":{"since":"tomorrow"}}"#, "{}", "unsupported"),
        (r#"{"time":{"zone":"UTC"}}"#, "{}", "unsupported"),
        (r#"{"time":[]}"#, "{}", "unsupported"),
    ]);
}

#[test]
fn bucket_conditions_need_a_unit_and_well_formed_ranges() {
    // u-3 is in bucket 93 920 of `search`, u-1 in 91 879 of `new-cart`.
    let context = r#"{"targetingKey":"u-3"}"#;
    check(&[
        (r#"{"bucket":{"salt":"search","in":[[93920,93921]]}}"#, context, "true"),
        (r#"{"bucket":{"salt":"search","in":[[0,93920],[93921,100000]]}}"#, context, "false"),
        (r#"{"bucket":{"salt":"search","in":[]}}"#, context, "false"),
        (r#"{"bucket":{"salt":"search","in":[[0,100000]]}}"#, r#"{"targetingKey":true}"#, "unknown"),
        (r#"{"bucket":{"by":"org.id","salt":"cli","in":[[43956,43957]]}}"#, r#"{"org":{"id":42}}"#, "true"),
        (
            r#"{"bucket":{"salt":"search","tail":"t","hash":"xxh32","seed":3,"of":100000,"in":[[0,93920]]}}"#,
            context,
            "false",
        ),
        (r#"{"bucket":{"salt":"s","of":1,"in":[[0,1]]}}"#, context, "true"),
        (r#"{"bucket":{"salt":"s","of":4294967296,"in":[[0,4294967296]]}}"#, context, "true"),
        (r#"{"bucket":{"salt":"s","of":4294967297,"in":[]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","of":0,"in":[]}}"#, context, "unsupported"),
        (r#"{"bucket":{"in":[]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s"}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","in":[],"ramp":[]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","ranges":[]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","in":[[5,5]]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","in":[[0,5],[4,6]]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","in":[[5,6],[0,1]]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","in":[[0,100001]]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","in":[[-1,1]]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","in":[[0,0.5]]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","in":[[0,1,"on"]]}}"#, context, "unsupported"),
        (r#"{"bucket":{"by":"a..b","salt":"s","in":[]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","hash":"murmur3-mod","in":[[0,100000]]}}"#, context, "unsupported"),
        (r#"{"bucket":{"salt":"s","hash":"murmur3-mod","in":[[0,100000]]}}"#, "{}", "unsupported"),
    ]);
}

#[test]
fn ramps_are_whole_seconds_that_rise() {
    // u-22 is in bucket 8 268 of `new-cart`.
    let context = r#"{"targetingKey":"u-22"}"#;
    let ramp = |points: &str| format!(r#"{{"bucket":{{"salt":"new-cart","ramp":{points}}}}}"#);
    check(&[
        (&ramp(r#"[["2026-12-02T12:00:00Z",8269]]"#), context, "true"),
        (&ramp(r#"[["2026-12-02T12:00:00Z",8268]]"#), context, "false"),
        (&ramp(r#"[["2026-12-02T12:00:01Z",100000]]"#), context, "false"),
        (&ramp("[]"), context, "false"),
        (&ramp(r#"[["2026-12-02T12:00:00.500Z",8269]]"#), context, "unsupported"),
        (&ramp(r#"[["2026-12-02T12:00:00Z",5],["2026-12-02T12:00:00Z",6]]"#), context, "unsupported"),
        (&ramp(r#"[["2026-12-02T12:00:00Z",5],["2026-12-03T12:00:00Z",4]]"#), context, "unsupported"),
        (&ramp(r#"[["2026-12-02T12:00:00Z",100001]]"#), context, "unsupported"),
        // Half way between 0 and 20 000.
        (
            r#"{"bucket":{"salt":"new-cart","ramp":[["2026-12-01T12:00:00Z",0],["2026-12-03T12:00:00Z",20000]],"linear":true}}"#,
            context,
            "true",
        ),
        (
            r#"{"bucket":{"salt":"new-cart","ramp":[["2026-12-01T12:00:00Z",0],["2026-12-03T12:00:00Z",20000]],"linear":false}}"#,
            context,
            "false",
        ),
        (r#"{"bucket":{"salt":"new-cart","in":[],"linear":true}}"#, context, "unsupported"),
    ]);
}

#[test]
fn a_condition_has_one_form_and_no_stray_member() {
    check(&[
        ("{}", "{}", "unsupported"),
        ("true", "{}", "unsupported"),
        (r#"{"in":["x"]}"#, "{}", "unsupported"),
        (r#"{"all":[],"any":[]}"#, "{}", "unsupported"),
        (r#"{"attr":"a","in":["x"],"all":[]}"#, r#"{"a":"x"}"#, "unsupported"),
        (r#"{"all":[],"absent":true}"#, "{}", "unsupported"),
        (r#"{"all":{}}"#, "{}", "unsupported"),
        (r#"{"segment":[],"absent":true}"#, "{}", "unsupported"),
        (r#"{"segment":"a"}"#, "{}", "unsupported"),
        (r#"{"segment":[]}"#, "{}", "false"),
        (r#"{"time":{},"absent":true}"#, "{}", "unsupported"),
        (r#"{"attr":"a","in":["x"],"percent":50}"#, r#"{"a":"x"}"#, "unsupported"),
        (r#"{"attr":"a~2","in":["x"]}"#, "{}", "unsupported"),
        (r#"{"attr":7,"in":["x"]}"#, "{}", "unsupported"),
    ]);
}
