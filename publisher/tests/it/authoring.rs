//! The authored form: read, refused, written back.

use std::collections::BTreeSet;

use flagstone_model::json::Json;
use flagstone_model::limits;
use flagstone_publisher::author::{
    Environment, FlagDefinition, MAX_LABEL_BYTES, MAX_META, MAX_META_BYTES, Off, Problem, Segment, Targeting,
};

use crate::project::{json, places};

const INVALID: &str = "invalid-request";
const UNSUPPORTED: &str = "unsupported-test";
const OVERLAP: &str = "schedule-overlap";

fn targeting(text: &str) -> Result<Targeting, Vec<Problem>> {
    Targeting::parse(&json(text))
}

fn refused(text: &str) -> Vec<(&'static str, String)> {
    places(&targeting(text).unwrap_err())
}

/// The problems of one condition, below `/rules/0/if/0`.
fn condition_refused(condition: &str) -> Vec<(&'static str, String)> {
    let text = format!(r#"{{"on":true,"rules":[{{"id":"r","if":[{condition}],"serve":"on"}}]}}"#);
    refused(&text)
        .into_iter()
        .map(|(code, at)| (code, at.strip_prefix("/rules/0/if/0").unwrap_or(&at).to_owned()))
        .collect()
}

fn condition(text: &str) -> String {
    let text = format!(r#"{{"on":true,"rules":[{{"id":"r","if":[{text}],"serve":"on"}}]}}"#);
    let targeting = targeting(&text).unwrap();
    targeting.rules[0].when[0].to_json().to_string()
}

#[test]
fn every_problem_is_told_with_its_place() {
    let told = refused(
        r#"{"on":1,"of":"x","deny":{"a b!":["u"]},"rules":[{"id":"rollout","serve":"on"},{"id":"b","if":[{"attr":"","in":[null]}]}],"fallthrough":{"rollout":{"weights":{"on":1,"off":2}}}}"#,
    );
    let places: BTreeSet<&str> = told.iter().map(|(_, at)| at.as_str()).collect();
    for place in [
        "/on",
        "/of",
        "/deny/a b!",
        "/rules/0/id",
        "/rules/1",
        "/rules/1/if/0/attr",
        "/rules/1/if/0/in/0",
        "/fallthrough/rollout/weights",
    ] {
        assert!(places.contains(place), "{place} in {places:?}");
    }
    assert!(told.iter().all(|(code, _)| *code == INVALID));
}

#[test]
fn a_pointer_escapes_what_stands_in_a_name() {
    assert_eq!(refused(r#"{"on":true,"a/b~c":1}"#), [(INVALID, "/a~1b~0c".into())]);
}

#[test]
fn an_unknown_member_is_named_with_the_likely_one() {
    let problems = targeting(r#"{"on":true,"falthrough":{"serve":"on"}}"#).unwrap_err();
    assert_eq!(problems[0].detail, "a targeting has no member `falthrough`; did you mean `fallthrough`?");
}

#[test]
fn parts_that_cannot_be_lowered_yet_are_refused_by_name() {
    for member in ["tail", "hash", "seed"] {
        let told = condition_refused(&format!(r#"{{"bucket":{{"salt":"s","in":[],"{member}":1}}}}"#));
        assert_eq!(told, [(UNSUPPORTED, format!("/bucket/{member}"))]);
    }
}

#[test]
fn a_condition_has_exactly_one_form_and_its_own_members() {
    for (text, at) in [
        ("{}", ""),
        ("[]", ""),
        (r#"{"all":[],"any":[]}"#, ""),
        (r#"{"all":{}}"#, "/all"),
        (r#"{"not":[]}"#, "/not"),
        (r#"{"attr":"x"}"#, ""),
        (r#"{"attr":"x","absent":true}"#, ""),
        (r#"{"attr":"x","exists":1}"#, "/exists"),
        (r#"{"attr":"x","in":"a"}"#, "/in"),
        (r#"{"attr":"x","starts":[1]}"#, "/starts/0"),
        (r#"{"attr":"x","lt":null}"#, "/lt"),
        (r#"{"attr":"x..y","in":[]}"#, "/attr"),
        (r#"{"attr":"x","equals":1,"in":[]}"#, "/equals"),
        (r#"{"segment":"a"}"#, "/segment"),
        (r#"{"segment":["a b"]}"#, "/segment/0"),
        (r#"{"segment":["a"],"absent":true}"#, "/absent"),
        (r#"{"flag":"a"}"#, "/is"),
        (r#"{"flag":"a","is":"on"}"#, "/is"),
        (r#"{"bucket":{"in":[]}}"#, "/bucket/salt"),
        (r#"{"bucket":{"salt":"","in":[]}}"#, "/bucket/salt"),
        (r#"{"bucket":{"salt":"s"}}"#, "/bucket"),
        (r#"{"bucket":{"salt":"s","in":[],"ramp":[]}}"#, "/bucket"),
        (r#"{"bucket":{"salt":"s","in":[],"linear":true}}"#, "/bucket"),
        (r#"{"bucket":{"salt":"s","in":[[0]]}}"#, "/bucket/in/0"),
        (r#"{"bucket":{"salt":"s","in":[[5,5]]}}"#, "/bucket/in/0"),
        (r#"{"bucket":{"salt":"s","in":[[0,100001]]}}"#, "/bucket/in/0"),
        (r#"{"bucket":{"salt":"s","in":[[5,9],[0,5]]}}"#, "/bucket/in"),
        (r#"{"bucket":{"salt":"s","in":[[0,5],[4,9]]}}"#, "/bucket/in"),
        (r#"{"bucket":{"salt":"s","of":0,"in":[]}}"#, "/bucket/of"),
        (r#"{"time":{}}"#, "/time"),
        (r#"{"time":{"since":1}}"#, "/time/since"),
        (r#"{"time":{"since":"2026-01-01T00:00:00"}}"#, "/time/since"),
        (r#"{"bucket":{"salt":"s","in":[],"time_zone":"UTC"}}"#, "/bucket"),
    ] {
        assert_eq!(condition_refused(text), [(INVALID, at.to_owned())], "{text}");
    }
}

#[test]
fn points_in_time_follow_one_another() {
    for (text, at) in [
        (r#"{"time":{"since":"2026-01-01T00:00:00Z","before":"2026-01-01T00:00:00Z"}}"#, "/time/before"),
        (r#"{"time":{"since":"2026-01-01T01:00+01:00","before":"2026-01-01T00:00:00Z"}}"#, "/time/before"),
        (
            r#"{"bucket":{"salt":"s","ramp":[["2026-12-01T09:00:00Z",2],["2026-12-01T09:00:00Z",3]]}}"#,
            "/bucket/ramp/1",
        ),
    ] {
        assert_eq!(condition_refused(text), [(OVERLAP, at.to_owned())], "{text}");
    }
    let told = refused(
        r#"{"on":true,"schedule":{"start":"2026-12-02T00:00:00Z","end":"2026-12-01T00:00:00Z"},
            "rules":[{"id":"r","schedule":{"start":"2026-12-02T00:00:00Z","end":"2026-12-02T00:00:00Z"},"serve":"on"},
                     {"id":"s","ramp":{"serve":"on","time_zone":"Europe/Berlin","steps":[["2026-10-25T03:00",1],["2026-10-25T02:30",2]]}}]}"#,
    );
    assert_eq!(
        told,
        [
            (OVERLAP, "/schedule/end".to_owned()),
            (OVERLAP, "/rules/0/schedule/end".to_owned()),
            (OVERLAP, "/rules/1/ramp/steps/1".to_owned())
        ]
    );
}

#[test]
fn a_schedule_that_is_wrong_is_told_where() {
    let ramp = r#"{"serve":"on","steps":[["2026-12-01T09:00:00Z",1]]}"#;
    for (text, at) in [
        (r#""schedule":{}"#.to_owned(), "/schedule"),
        (r#""schedule":{"end":"2026-12-01T09:00:00Z","since":1}"#.into(), "/schedule/since"),
        (r#""schedule":{"start":"2026-12-01"}"#.into(), "/schedule/start"),
        (r#""schedule":{"start":"2026-12-01T09:00"}"#.into(), "/schedule/start"),
        (r#""time_zone":1"#.into(), "/time_zone"),
        (r#""targets":{"on":[{"key":"u"}]}"#.into(), "/targets/on/0/until"),
        (r#""targets":{"on":[{"until":"2026-12-01T09:00:00Z"}]}"#.into(), "/targets/on/0/key"),
        (r#""targets":{"on":["u",{"key":"u","until":"2026-12-01T09:00:00Z"}]}"#.into(), "/targets/on"),
        (r#""deny":{"on":[{"key":true,"until":"2026-12-01T09:00:00Z"}]}"#.into(), "/deny/on/0/key"),
        (
            format!(r#""fallthrough":{{"ramp":{ramp},"rollout":{{"weights":{{"on":100000}}}}}}"#),
            "/fallthrough/rollout",
        ),
        (format!(r#""fallthrough":{{"ramp":{ramp},"without_key":"on"}}"#), "/fallthrough/without_key"),
        (
            r#""fallthrough":{"ramp":{"steps":[["2026-12-01T09:00:00Z",1]]}}"#.into(),
            "/fallthrough/ramp/serve",
        ),
        (r#""fallthrough":{"ramp":{"serve":"on"}}"#.into(), "/fallthrough/ramp/steps"),
        (
            r#""fallthrough":{"rollout":{"weights":{"on":100000},"steps":[]}}"#.into(),
            "/fallthrough/rollout/steps",
        ),
    ] {
        assert_eq!(refused(&format!(r#"{{"on":true,{text}}}"#)), [(INVALID, at.to_owned())], "{text}");
    }
    for (text, at) in [
        (r#""time_zone":"Europe/Berln""#, "/time_zone"),
        (r#""schedule":{"start":"2026-12-01T09:00","time_zone":"Berlin"}"#, "/schedule/time_zone"),
        (r#""schedule":{"start":"2026-12-01T09:00[Mars/Olympus]"}"#, "/schedule/start"),
    ] {
        let told = refused(&format!(r#"{{"on":true,{text}}}"#));
        assert_eq!(told, [("unknown-time-zone", at.to_owned())], "{text}");
    }
}

#[test]
fn ramps_rise_in_whole_seconds() {
    let ramp = |steps: &str| {
        refused(&format!(r#"{{"on":true,"rules":[{{"id":"r","ramp":{{"serve":"on","steps":{steps}}}}}]}}"#))
    };
    for (steps, at) in [
        ("[]", "/rules/0/ramp/steps"),
        (r#"[["2026-12-01T09:00:00.5Z",1]]"#, "/rules/0/ramp/steps/0/0"),
        (r#"[["2026-12-01T09:00:00.500Z",1]]"#, "/rules/0/ramp/steps/0/0"),
        (r#"[["2026-12-01T09:00:00Z","half"]]"#, "/rules/0/ramp/steps/0/1"),
        (r#"[["2026-12-01T09:00:00Z",2],["2026-12-01T09:00:01Z",1]]"#, "/rules/0/ramp/steps/1"),
        (r#"[["2026-12-01T09:00:00Z",2],["2036-11-30T21:00:01Z",3]]"#, "/rules/0/ramp/steps/1"),
    ] {
        assert_eq!(ramp(steps), [(INVALID, at.to_owned())], "{steps}");
    }
    // Ten years, to the second.
    let longest = r#"{"bucket":{"salt":"s","ramp":[["2026-12-01T09:00:00Z",2],["2036-11-30T21:00:00Z",3]]}}"#;
    assert_eq!(condition(longest), longest);
    // What 53 bits can not interpolate.
    let wide = r#"{"bucket":{"salt":"s","of":4294967296,"ramp":[["2026-12-01T09:00:00Z",0],["2036-11-01T00:00:00Z",4294967296]],"linear":true}}"#;
    assert_eq!(condition_refused(wide), [(INVALID, "/bucket/ramp/1".to_owned())]);
}

#[test]
fn weights_sum_to_100_000_and_may_be_percentages() {
    let weights = |weights: &str| {
        targeting(&format!(r#"{{"on":true,"fallthrough":{{"rollout":{{"weights":{weights}}}}}}}"#))
    };
    let same = [r#"{"a":33300,"b":66700}"#, r#"{"a":"33.3%","b":"66.7%"}"#, r#"{"b":66700.0,"a":"33.300%"}"#];
    for text in same {
        assert_eq!(weights(text).unwrap(), weights(same[0]).unwrap(), "{text}");
    }
    for (text, at) in [
        (r#"{"a":99999}"#, ""),
        (r#"{"a":100000,"b":1}"#, ""),
        ("{}", ""),
        ("[]", ""),
        (r#"{"a":"100"}"#, "/a"),
        (r#"{"a":-1}"#, "/a"),
        (r#"{"a":0.5}"#, "/a"),
        (r#"{"a":"33.3333%"}"#, "/a"),
        (r#"{"a":100001}"#, "/a"),
        (r#"{"/":100000}"#, "/~1"),
    ] {
        let told = places(&weights(text).unwrap_err());
        assert_eq!(told, [(INVALID, format!("/fallthrough/rollout/weights{at}"))], "{text}");
    }
}

#[test]
fn rules_are_named_once_and_not_like_generated_ones() {
    for id in ["rollout", "deny:on", "target:on", "target:x", ""] {
        let text = format!(r#"{{"on":true,"rules":[{{"id":"{id}","serve":"on"}}]}}"#);
        assert_eq!(refused(&text), [(INVALID, "/rules/0/id".into())], "{id}");
    }
    assert_eq!(refused(r#"{"on":true,"rules":[{"serve":"on"}]}"#), [(INVALID, "/rules/0/id".into())]);
    assert_eq!(
        refused(r#"{"on":true,"rules":[{"id":"a","serve":"on"},{"id":"a","serve":"off"}]}"#),
        [(INVALID, "/rules/1/id".into())]
    );
    for then in ["", r#","serve":"on","rollout":{"weights":{"on":100000}}"#] {
        let text = format!(r#"{{"on":true,"rules":[{{"id":"a"{then}}}]}}"#);
        assert_eq!(refused(&text), [(INVALID, "/rules/0".into())]);
    }
}

#[test]
fn a_targeting_key_stands_under_one_variation() {
    assert_eq!(
        refused(r#"{"on":true,"targets":{"a":["u-1","u-2"],"b":["u-2"]}}"#),
        [(INVALID, "/targets/b".into())]
    );
    assert!(targeting(r#"{"on":true,"deny":{"a":["u-1"]},"targets":{"b":["u-1"]}}"#).is_ok());
}

#[test]
fn sets_are_sorted_booleans_numbers_strings_and_each_once() {
    assert_eq!(
        condition(r#"{"absent":false,"in":["b","a",10,9.5,-0,1e3,true,false,"a",0,"é","z"],"attr":"x~1y"}"#),
        r#"{"attr":"x~1y","in":[false,true,0,9.5,10,1000,"a","b","z","é"],"absent":false}"#
    );
    assert_eq!(condition(r#"{"segment":["b","a","b"]}"#), r#"{"segment":["a","b"]}"#);
    assert_eq!(condition(r#"{"flag":"f","is":["on","off"]}"#), r#"{"flag":"f","is":["off","on"]}"#);
}

#[test]
fn without_key_may_stand_in_the_rollout_or_beside_it() {
    let beside = r#"{"on":true,"fallthrough":{"rollout":{"weights":{"a":100000}},"without_key":"b"}}"#;
    let inside = r#"{"on":true,"fallthrough":{"rollout":{"weights":{"a":100000},"without_key":"b"}}}"#;
    assert_eq!(targeting(inside).unwrap(), targeting(beside).unwrap());
    assert_eq!(targeting(beside).unwrap().to_json().to_string(), beside);
    let both = r#"{"on":true,"fallthrough":{"rollout":{"weights":{"a":100000},"without_key":"b"},"without_key":"b"}}"#;
    assert_eq!(refused(both), [(INVALID, "/fallthrough/rollout".into())]);
    assert_eq!(
        refused(r#"{"on":true,"fallthrough":{"serve":"a","without_key":"b"}}"#),
        [(INVALID, "/fallthrough/without_key".into())]
    );
}

#[test]
fn off_and_fallthrough_may_be_left_to_the_caller() {
    let said = targeting(r#"{"on":true,"off":null,"fallthrough":null}"#).unwrap();
    assert_eq!((said.off, said.fallthrough), (Off::CallersDefault, None));
    assert_eq!(targeting(r#"{"on":true}"#).unwrap().off, Off::Unstated);
}

// Definitions

fn definition(text: &str) -> Result<FlagDefinition, Vec<Problem>> {
    FlagDefinition::parse(&json(text))
}

#[test]
fn a_bool_flag_has_on_and_off_unless_said() {
    let flag = definition(r#"{"key":"a","type":"bool"}"#).unwrap();
    assert_eq!(
        flag.to_json().to_string(),
        r#"{"key":"a","type":"bool","variations":{"off":false,"on":true},"kind":"release","tags":[],"client_visible":false}"#
    );
}

#[test]
fn a_definition_that_is_wrong_is_told_where() {
    for (text, at) in [
        ("[]", ""),
        (r#"{"type":"bool"}"#, "/key"),
        (r#"{"key":"a"}"#, "/type"),
        (r#"{"key":"a b","type":"bool"}"#, "/key"),
        (r#"{"key":"a","type":"boolean"}"#, "/type"),
        (r#"{"key":"a","type":"string"}"#, "/variations"),
        (r#"{"key":"a","type":"string","variations":{}}"#, "/variations"),
        (r#"{"key":"a","type":"string","variations":{"x":1}}"#, "/variations/x"),
        (r#"{"key":"a","type":"int","variations":{"x":1.5}}"#, "/variations/x"),
        (r#"{"key":"a","type":"int","variations":{"x":9007199254740992}}"#, "/variations/x"),
        (r#"{"key":"a","type":"float","variations":{"x":9007199254740993}}"#, "/variations/x"),
        (r#"{"key":"a","type":"json","variations":{"x":{"ids":[-9007199254740993]}}}"#, "/variations/x"),
        (r#"{"key":"a","type":"json","variations":{"x":18446744073709551615}}"#, "/variations/x"),
        (r#"{"key":"a","type":"bool","variations":{" x":true}}"#, "/variations/ x"),
        (r#"{"key":"a","type":"bool","kind":"killswitch"}"#, "/kind"),
        (r#"{"key":"a","type":"bool","tags":[""]}"#, "/tags/0"),
        (r#"{"key":"a","type":"bool","owner":7}"#, "/owner"),
        (r#"{"key":"a","type":"bool","clientVisible":true}"#, "/clientVisible"),
    ] {
        assert_eq!(places(&definition(text).unwrap_err()), [(INVALID, at.to_owned())], "{text}");
    }
    for text in [
        r#"{"key":"a","type":"float","variations":{"x":9007199254740992,"y":1e300,"z":-9007199254740994}}"#,
        r#"{"key":"a","type":"json","variations":{"x":[100000000000000000000,1e-7,9223372036854776000]}}"#,
    ] {
        definition(text).unwrap();
    }
}

#[test]
fn what_is_written_elsewhere_is_told_where() {
    let told = |problems: Vec<Problem>| {
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        (problem.code, problem.pointer.clone(), problem.detail.clone())
    };
    let parsed = [
        (definition(r#"{"key":"a","type":"bool","checks":[]}"#).err(), "/checks", "in the targeting"),
        (Targeting::parse(&json(r#"{"on":true,"lists":[]}"#)).err(), "/lists", r#""listed":KEY"#),
        (Segment::parse(&json(r#"{"include_list":"vips"}"#)).err(), "/include_list", r#""listed":KEY"#),
        (Segment::parse(&json(r#"{"listed":"vips"}"#)).err(), "/listed", r#""listed":KEY"#),
        (
            Environment::parse(&json(r#"{"id":"e","private":["email"]}"#)).err(),
            "/private",
            "`flagstone attribute set`",
        ),
    ];
    for (problems, at, says) in parsed {
        let (code, pointer, detail) = told(problems.unwrap());
        assert_eq!((code, &*pointer), (INVALID, at));
        assert!(detail.contains(says), "{detail}");
    }
}

#[test]
fn metadata_are_strings_numbers_and_bools_by_name() {
    let of = |meta: &str| definition(&format!(r#"{{"key":"a","type":"bool","meta":{meta}}}"#));
    let flag = of(r#"{"z":1.50,"team":"web","ä":true,"Z":-0}"#).unwrap();
    let written = flag.to_json().to_string();
    assert!(
        written.ends_with(r#""client_visible":false,"meta":{"Z":0,"team":"web","z":1.5,"ä":true}}"#),
        "{written}"
    );
    assert!(!of("{}").unwrap().to_json().to_string().contains("meta"));
    for (meta, at) in [
        ("[]", "/meta"),
        ("null", "/meta"),
        (r#"{"a":null}"#, "/meta/a"),
        (r#"{"a":["x"]}"#, "/meta/a"),
        (r#"{"a":{"b":1}}"#, "/meta/a"),
        (r#"{"a":9007199254740993}"#, "/meta/a"),
        (r#"{"":1}"#, "/meta/"),
    ] {
        assert_eq!(places(&of(meta).unwrap_err()), [(INVALID, at.to_owned())], "{meta}");
    }
}

#[test]
fn int_values_may_be_spelled_as_floats() {
    let flag = definition(r#"{"key":"a","type":"int","variations":{"x":1.0,"y":-0}}"#).unwrap();
    assert!(flag.to_json().to_string().contains(r#"{"x":1,"y":0}"#));
}

// Limits, each at its edge

fn within(limit: usize, text: impl Fn(usize) -> String) {
    assert!(targeting(&text(limit)).is_ok(), "{limit} is allowed");
    assert!(targeting(&text(limit + 1)).is_err(), "{limit} and one more is refused");
}

fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(",")
}

fn with_condition(condition: &str) -> String {
    format!(r#"{{"on":true,"rules":[{{"id":"r","if":[{condition}],"serve":"on"}}]}}"#)
}

/// A condition whose expressions have so many instructions together.
pub(crate) fn instructions(count: usize) -> String {
    // The end is one more than the characters.
    let leaf = |test, count: usize| {
        let characters = count - 1;
        let expression = format!("{}a{{{}}}", "a{255}".repeat(characters / 255), characters % 255);
        format!(r#"{{"attr":"a","{test}":"{expression}"}}"#)
    };
    let (full, rest) = (count / 4_000, count % 4_000);
    let mut leaves = vec![leaf("matches", 4_000); full];
    leaves.extend((rest > 0).then(|| leaf("not_matches", rest)));
    format!(r#"{{"any":[{}]}}"#, leaves.join(","))
}

#[test]
fn limits_of_a_targeting_hold_at_their_edges() {
    within(limits::MAX_RULES, |n| {
        format!(r#"{{"on":true,"rules":[{}]}}"#, list(n, |i| format!(r#"{{"id":"{i}","serve":"on"}}"#)))
    });
    within(limits::MAX_RULES - 3, |n| {
        let rules = list(n, |i| format!(r#"{{"id":"{i}","serve":"on"}}"#));
        format!(
            r#"{{"on":true,"deny":{{"a":[1]}},"targets":{{"a":[2]}},"rules":[{rules}],"fallthrough":{{"rollout":{{"weights":{{"a":100000}}}}}}}}"#
        )
    });
    within(limits::MAX_LEAVES, |n| {
        let leaf = r#"{"attr":"a","exists":true}"#.to_owned();
        with_condition(&format!(r#"{{"any":[{}]}}"#, list(n, |_| leaf.clone())))
    });
    within(limits::MAX_OPERANDS, |n| {
        with_condition(&format!(r#"{{"attr":"a","in":[{}]}}"#, list(n, |i| i.to_string())))
    });
    within(limits::MAX_OPERANDS, |n| {
        format!(r#"{{"on":true,"deny":{{"a":[{}]}}}}"#, list(n, |i| i.to_string()))
    });
    within(limits::MAX_OPERAND_BYTES, |n| {
        with_condition(&format!(r#"{{"attr":"a","in":["{}"]}}"#, "x".repeat(n)))
    });
    within(limits::MAX_PATH_SEGMENTS, |n| {
        with_condition(&format!(r#"{{"attr":"{}","exists":true}}"#, vec!["a"; n].join(".")))
    });
    within(limits::MAX_RANGES, |n| {
        let spans = list(n, |i| format!("[{},{}]", i * 2, i * 2 + 1));
        with_condition(&format!(r#"{{"bucket":{{"salt":"s","in":[{spans}]}}}}"#))
    });
    within(limits::MAX_RAMP_POINTS, |n| {
        let points = list(n, |i| format!(r#"["2026-12-01T{:02}:{:02}:00Z",{i}]"#, i / 60, i % 60));
        with_condition(&format!(r#"{{"bucket":{{"salt":"s","ramp":[{points}]}}}}"#))
    });
    within(limits::MAX_RULE_ID_CHARS, |n| {
        format!(r#"{{"on":true,"rules":[{{"id":"{}","serve":"on"}}]}}"#, "é".repeat(n))
    });
    within(limits::MAX_LINE_INSTRUCTIONS, |n| with_condition(&instructions(n)));
    let nested = |form: &str, n: usize| {
        let leaf = r#"{"attr":"a","exists":true}"#.to_owned();
        with_condition(&(0..n).fold(leaf, |inner, _| match form {
            "not" => format!(r#"{{"not":{inner}}}"#),
            form => format!(r#"{{"{form}":[{inner}]}}"#),
        }))
    };
    within(limits::MAX_CONDITION_NESTING, |n| nested("all", n));
    within(limits::MAX_CONDITION_NESTING, |n| nested("not", n));
    // `none` is `not` of `any` on the wire.
    within(limits::MAX_CONDITION_NESTING / 2, |n| nested("none", n));
}

#[test]
fn limits_of_a_definition_hold_at_their_edges() {
    let within = |limit: usize, text: &dyn Fn(usize) -> String| {
        assert!(definition(&text(limit)).is_ok(), "{limit} is allowed");
        assert!(definition(&text(limit + 1)).is_err(), "{limit} and one more is refused");
    };
    within(limits::MAX_VARIATIONS, &|n| {
        let variations = list(n, |i| format!(r#""v{i}":{i}"#));
        format!(r#"{{"key":"a","type":"int","variations":{{{variations}}}}}"#)
    });
    within(limits::MAX_KEY_BYTES, &|n| format!(r#"{{"key":"{}","type":"bool"}}"#, "k".repeat(n)));
    let meta = |members: String| format!(r#"{{"key":"a","type":"bool","meta":{{{members}}}}}"#);
    within(MAX_META, &|n| meta(list(n, |i| format!(r#""m{i}":{i}"#))));
    within(MAX_META_BYTES, &|n| meta(format!(r#""a":"{}""#, "x".repeat(n))));
    within(MAX_LABEL_BYTES, &|n| meta(format!(r#""{}":1"#, "x".repeat(n))));
    within(limits::MAX_VARIATION_KEY_BYTES, &|n| {
        format!(r#"{{"key":"a","type":"int","variations":{{"{}":1}}}}"#, "k".repeat(n))
    });
    // The line's own object and its `values` are around a value; the document's own are, too.
    let deep = |n: usize| format!(r#"{{"v":{}1{}}}"#, "[".repeat(n), "]".repeat(n));
    let parse = |n: usize| {
        let text = format!(r#"{{"key":"a","type":"json","variations":{}}}"#, deep(n));
        let options = flagstone_model::json::ParseOptions {
            max_depth: 100,
            duplicates: flagstone_model::json::Duplicates::Refuse,
        };
        FlagDefinition::parse(&Json::parse_with(text.as_bytes(), options).unwrap())
    };
    assert!(parse(limits::MAX_JSON_DEPTH - 2).is_ok());
    assert!(parse(limits::MAX_JSON_DEPTH - 1).is_err());
}

#[test]
fn limits_of_a_segment_hold_at_their_edges() {
    let segment = |text: &str| Segment::parse(&json(text));
    let keys = |n: usize| list(n, |i| format!(r#""u-{i}""#));
    for member in ["include", "exclude"] {
        assert!(segment(&format!(r#"{{"{member}":[{}]}}"#, keys(limits::MAX_OPERANDS))).is_ok());
        assert!(segment(&format!(r#"{{"{member}":[{}]}}"#, keys(limits::MAX_OPERANDS + 1))).is_err());
    }
    let nested = |n: usize| {
        let leaf = r#"{"attr":"a","exists":true}"#.to_owned();
        (0..n).fold(leaf, |inner, _| format!(r#"{{"all":[{inner}]}}"#))
    };
    let plain = |n: usize| segment(&format!(r#"{{"rules":[{{"if":[{}]}}]}}"#, nested(n)));
    assert!(plain(8).is_ok());
    assert!(plain(9).is_err());
    // `any` of include and rules, `all` of exclude and rules, `any` of rules.
    let full = |n: usize| {
        let rule = format!(r#"{{"if":[{}]}}"#, nested(n));
        segment(&format!(r#"{{"include":["a"],"exclude":["b"],"rules":[{rule},{rule}]}}"#))
    };
    let expressions = |n: usize| {
        let conditions = instructions(n);
        segment(&format!(r#"{{"rules":[{{"if":[{conditions}]}}]}}"#))
    };
    assert!(expressions(limits::MAX_LINE_INSTRUCTIONS).is_ok());
    let problem = &expressions(limits::MAX_LINE_INSTRUCTIONS + 1).unwrap_err()[0];
    assert!(problem.detail.contains("at most 32000 instructions together, repeats written out, these 32001"));
    assert!(full(5).is_ok());
    assert_eq!(places(&full(6).unwrap_err()), [(INVALID, "/rules".into())]);
}

// parse ∘ to_json = identity
