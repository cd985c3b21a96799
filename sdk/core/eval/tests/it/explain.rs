//! Explanations: they tell what happened, and all of it.

use std::collections::BTreeMap;

use flagstone_eval::explain::{
    Explanation, MAX_EXPLAINED_DEPTH, MAX_EXPLAINED_ELEMENTS, MAX_EXPLAINED_STEPS, Parts,
};
use flagstone_eval::{Entity, Snapshot};
use flagstone_model::context::Context;
use flagstone_model::details::Reason;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::value::FlagType;

use super::{NOW, flag_if, generate};

/// Lines, compiled and by entity.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    lines: BTreeMap<Entity, String>,
}

impl World {
    pub(super) fn of<L: AsRef<str>>(lines: &[L]) -> Self {
        let entity = |line: &str| {
            let json = Json::parse(line.as_bytes()).unwrap();
            let (kind, key) = json.as_object().unwrap()[0].clone();
            let key = key.as_str().unwrap().into();
            match &*kind {
                "flag" => Entity::Flag(key),
                "segment" => Entity::Segment(key),
                _ => Entity::List(key),
            }
        };
        let (snapshot, _) = Snapshot::compile(lines.iter().map(|line| line.as_ref().as_bytes()));
        let lines = lines.iter().map(|line| (entity(line.as_ref()), line.as_ref().to_owned())).collect();
        Self { snapshot, lines }
    }

    pub(super) fn explain(&self, flag: &str, context: &Context, now: Instant) -> Explanation<'_> {
        let lines = |entity: &Entity| self.lines.get(entity).map(String::as_bytes);
        self.snapshot.explain(flag, None, context, now, &lines)
    }

    /// Of a flag whose one rule has one condition: that condition, as JSON.
    fn condition(&self, flag: &str, context: &str) -> String {
        let context = Context::from_json(&Json::parse(context.as_bytes()).unwrap()).unwrap();
        let told = self.explain(flag, &context, NOW).to_json();
        let rules = told.member("rules").unwrap().as_array().unwrap();
        rules[0].member("conditions").unwrap().as_array().unwrap()[0].to_string()
    }
}

fn condition(condition: &str, context: &str) -> String {
    World::of(&[flag_if("f", condition)]).condition("f", context)
}

#[test]
fn every_test_of_an_attribute_is_told_on_its_own() {
    assert_eq!(
        condition(r#"{"attr":"age","gte":18,"lt":65}"#, r#"{"age":70}"#),
        r#"{"condition":{"attr":"age","gte":18,"lt":65},"outcome":"false","value":70,"tests":[{"test":{"gte":18},"outcome":"true"},{"test":{"lt":65},"outcome":"false"}]}"#
    );
}

#[test]
fn unknown_says_whether_the_attribute_is_missing_or_of_a_wrong_type() {
    assert_eq!(
        condition(r#"{"attr":"age","gte":18}"#, "{}"),
        r#"{"condition":{"attr":"age","gte":18},"outcome":"unknown","why":"attribute-missing","tests":[{"test":{"gte":18},"outcome":"unknown","why":"attribute-missing"}]}"#
    );
    assert_eq!(
        condition(r#"{"attr":"age","gte":18}"#, r#"{"age":"old"}"#),
        r#"{"condition":{"attr":"age","gte":18},"outcome":"unknown","why":"wrong-type","value":"old","tests":[{"test":{"gte":18},"outcome":"unknown","why":"wrong-type"}]}"#
    );
}

#[test]
fn absent_in_place_of_unknown_is_told() {
    assert_eq!(
        condition(r#"{"attr":"age","exists":true,"gte":18,"absent":true}"#, r#"{"age":true}"#),
        r#"{"condition":{"attr":"age","exists":true,"gte":18,"absent":true},"outcome":"true","why":"wrong-type","by_absent":true,"value":true,"tests":[{"test":{"exists":true},"outcome":"true"},{"test":{"gte":18},"outcome":"unknown","why":"wrong-type"}]}"#
    );
    assert_eq!(
        condition(r#"{"bucket":{"by":"org.id","salt":"s","in":[[0,1]]},"absent":false}"#, "{}"),
        r#"{"condition":{"bucket":{"by":"org.id","salt":"s","in":[[0,1]]},"absent":false},"outcome":"false","why":"no-unit","by_absent":true,"bucket":{"by":"org.id","unit_present":false,"of":100000,"ranges":[[0,1]]}}"#
    );
}

#[test]
fn unsupported_says_why() {
    for (condition, why) in [
        (r#"{"attr":"pos","geo_within":["x"]}"#, "unknown-test"),
        (r#"{"attr":"age","gte":"18"}"#, "unreadable-operand"),
        (r#"{"attr":"a..b","exists":true}"#, "unreadable-operand"),
        (r#"{"attr":"age","matches":"\\d"}"#, "unreadable-operand"),
        (r#"{"attr":"age","in":["x"],"fold":"unicode-15"}"#, "unknown-modifier"),
        (r#"{"attr":"age","lt":1,"as":"int"}"#, "unknown-modifier"),
        (r#"{"attr":"age","lt":1,"fold":"ascii"}"#, "unfit-modifier"),
        (r#"{"attr":"age","in":[1],"exists":true,"fold":"ascii"}"#, "unfit-modifier"),
        (r#"{"attr":"age","fold":"ascii"}"#, "unreadable-operand"),
        (r#"{"attr":"age","listed":"nobody"}"#, "missing-list"),
        (r#"{"attr":"age","listed":"bad","absent":true}"#, "unreadable-list"),
        (r#"{"attr":"age","in":["x"],"listed":"away"}"#, "list-not-held"),
        (r#"{"attr":"a"}"#, "unreadable-operand"),
        (r#"{"between":[1,2]}"#, "unknown-form"),
        (r#"{"all":[],"any":[]}"#, "unknown-form"),
        (r#"{"all":[],"absent":true}"#, "unknown-member"),
        (r#"{"segment":["s"],"absent":true}"#, "unknown-member"),
        (r#"{"flag":"f","is":["on"],"absent":true}"#, "unknown-member"),
        (r#"{"flag":"f"}"#, "unreadable-operand"),
        (r#"{"flag":"f","is":1}"#, "unreadable-operand"),
        (r#"{"flag":"f","mood":1}"#, "unknown-member"),
        (r#"{"all":1}"#, "unreadable-operand"),
        (r#"{"bucket":{"salt":"s","in":[]},"mood":1}"#, "unknown-member"),
        (r#"{"bucket":{"salt":"s","in":[[5,1]]},"absent":true}"#, "unreadable-operand"),
        (r#"{"bucket":{"salt":"s","hash":"xxh32","in":[[5,1]]}}"#, "unreadable-operand"),
        (r#"{"bucket":{"salt":"s","hash":"murmur3","in":[]}}"#, "unknown-hash"),
        (r#"{"bucket":{"salt":"s","in":[[5,1]]}}"#, "unreadable-operand"),
        (r#"{"time":{"since":"today"}}"#, "unreadable-operand"),
        (r#"{"flag":"nobody","is":["on"]}"#, "missing-flag"),
        (r#"{"flag":"broken","is":["on"]}"#, "unreadable-flag"),
        (r#"{"flag":"undecidable","is":["on"]}"#, "undecidable-flag"),
        (r#"{"flag":"f","is":["on"]}"#, "cycle"),
    ] {
        let undecidable = flag_if("undecidable", r#"{"what":1}"#);
        let [away, _] = generate::LISTS.map(str::to_owned);
        let bad = r#"{"list":"bad"}"#.to_owned();
        let world =
            World::of(&[flag_if("f", condition), r#"{"flag":"broken"}"#.to_owned(), undecidable, away, bad]);
        let told = world.condition("f", r#"{"targetingKey":"u","age":3}"#);
        assert!(told.contains(&format!(r#""outcome":"unsupported","why":"{why}""#)), "{condition}: {told}");
    }
    for (open, close) in [(r#"{"not":"#, "}"), (r#"{"all":["#, "]}"), (r#"{"any":["#, "]}")] {
        let deep = format!("{}{}{}", open.repeat(9), r#"{"all":[]}"#, close.repeat(9));
        assert!(condition(&deep, "{}").contains(r#""why":"too-deep""#), "{open}");
    }
}

#[test]
fn a_test_is_told_with_the_modifiers_beside_it() {
    assert_eq!(
        condition(r#"{"attr":"age","gte":18,"matches":"8","as":"number"}"#, r#"{"age":"18"}"#),
        r#"{"condition":{"attr":"age","gte":18,"matches":"8","as":"number"},"outcome":"unknown","why":"wrong-type","value":"18","tests":[{"test":{"gte":18},"outcome":"true"},{"test":{"matches":"8"},"outcome":"unknown","why":"wrong-type"}]}"#
    );
    assert_eq!(
        condition(r#"{"attr":"m","ends":["@acme.com"],"in":["x"],"fold":"ascii"}"#, r#"{"m":"A@ACME.COM"}"#),
        r#"{"condition":{"attr":"m","ends":["@acme.com"],"in":["x"],"fold":"ascii"},"outcome":"false","value":"A@ACME.COM","tests":[{"test":{"ends":["@acme.com"]},"outcome":"true"},{"test":{"in":["x"]},"outcome":"false"}]}"#
    );
    assert_eq!(
        condition(r#"{"attr":"m","in":["x"],"lt":1,"fold":"ascii"}"#, r#"{"m":"X"}"#),
        r#"{"condition":{"attr":"m","in":["x"],"lt":1,"fold":"ascii"},"outcome":"unsupported","why":"unfit-modifier","tests":[{"test":{"in":["x"]},"outcome":"true"},{"test":{"lt":1},"outcome":"unsupported","why":"unfit-modifier"}]}"#
    );
}

#[test]
fn a_list_that_is_there_is_told_as_any_test_and_one_that_is_not_says_so() {
    let told = |list: &str| {
        let [away, held] = generate::LISTS.map(str::to_owned);
        let flag = flag_if("f", &format!(r#"{{"attr":"a","listed":"{list}"}}"#));
        let mut world = World::of(&[flag, away, held]);
        world.snapshot = generate::with_held(&world.snapshot);
        world.condition("f", r#"{"a":"u-1"}"#)
    };
    assert_eq!(
        told("held"),
        r#"{"condition":{"attr":"a","listed":"held"},"outcome":"true","value":"u-1","tests":[{"test":{"listed":"held"},"outcome":"true"}]}"#
    );
    assert_eq!(
        told("away"),
        r#"{"condition":{"attr":"a","listed":"away"},"outcome":"unsupported","why":"list-not-held","value":"u-1","tests":[{"test":{"listed":"away"},"outcome":"unsupported","why":"list-not-held"}]}"#
    );
}

#[test]
fn what_the_limit_of_steps_leaves_out_is_told_where_it_is_left_out() {
    // The first condition fills the explanation; of the second, the parts behind the deciding one are not told.
    let many = vec![r#"{"time":{}}"#; MAX_EXPLAINED_STEPS].join(",");
    let of = |second: &str| {
        let line = flag_if("f", &format!(r#"{{"all":[{many}]}},{second}"#));
        World::of(&[line]).explain("f", &Context::new(), NOW).to_json().to_string()
    };
    for (second, end) in [
        (r#"{"any":[{"time":{}},{"time":{}}]}"#, true),
        (r#"{"all":[{"time":{"before":"2020-01-01T00:00:00Z"}},{"time":{}}]}"#, true),
        (r#"{"any":[{"time":{"before":"2020-01-01T00:00:00Z"}},{"time":{}}]}"#, false),
        (r#"{"any":[{"time":{"before":"2020-01-01T00:00:00Z"}},{"not":{"all":[]}}]}"#, false),
    ] {
        let told = of(second);
        let condition = told.contains(r#""now":"2026-12-02T12:00:00Z"}],"truncated":true}"#);
        assert_eq!((condition, told.ends_with(r#""truncated":true}"#)), (end, end), "{second}");
    }
    // Of a rule, and of needs.
    let rule = flag_if("f", &format!(r#"{{"all":[{many}]}},{{"any":[]}},{{"time":{{}}}}"#));
    let told = World::of(&[rule]).explain("f", &Context::new(), NOW).to_json();
    assert!(told.to_string().contains(r#""truncated":true}],"truncated":true}"#), "the rule and the whole");
    let needs = format!(
        r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"on":true}},"needs":[{{"all":[{many}]}},{{"any":[]}},{{"time":{{}}}}]}}"#
    );
    let world = World::of(&[needs]);
    let told = world.explain("f", &Context::new(), NOW);
    assert_eq!((told.truncated, told.needs.len()), (true, 2));
    assert_eq!(told.details.need, Some(1));
    // Behind the last one there is nothing to leave out.
    let last = vec![r#"{"time":{}}"#; MAX_EXPLAINED_STEPS - 2].join(",");
    let needs = format!(
        r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"on":true}},"needs":[{{"all":[{last}]}},{{"any":[]}}]}}"#
    );
    let world = World::of(&[needs]);
    let told = world.explain("f", &Context::new(), NOW);
    assert_eq!((told.truncated, told.needs.len(), told.details.need), (false, 2, Some(1)));
}

#[test]
fn what_is_left_out_of_a_segment_is_told_there_and_outwards() {
    let many = vec![r#"{"time":{}}"#; MAX_EXPLAINED_STEPS].join(",");
    let segment = format!(r#"{{"segment":"s","if":[{many}]}}"#);
    let world = World::of(&[flag_if("f", r#"{"segment":["s"]}"#), segment]);
    let told = world.explain("f", &Context::new(), NOW);
    let condition = &told.rules[0].conditions[0];
    let Parts::Segments(segments) = &condition.parts else { panic!("{condition:?}") };
    assert!(segments[0].truncated && condition.truncated && told.rules[0].truncated && told.truncated);
    assert!(segments[0].conditions.iter().all(|condition| !condition.truncated));
}

#[test]
fn of_a_long_array_the_first_elements_are_told_and_how_many_are_left() {
    let told = |elements: usize| {
        let operand: Vec<_> = (0..elements).map(|n| n.to_string()).collect();
        condition(&format!(r#"{{"attr":"a","in":[{}]}}"#, operand.join(",")), "{}")
    };
    assert!(told(MAX_EXPLAINED_ELEMENTS).contains(",30,31]}"));
    assert!(told(MAX_EXPLAINED_ELEMENTS + 2).contains(r#",30,31,"… 2 more"]}"#));
}

#[test]
fn a_number_that_json_does_not_have_is_told_as_null() {
    let world = World::of(&[flag_if("f", r#"{"attr":"a","in":[1]}"#)]);
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let told = world.explain("f", &Context::new().set("a", number), NOW);
        let Parts::Attribute { value, .. } = &told.rules[0].conditions[0].parts else { panic!("{told:?}") };
        assert_eq!(value, &Some(Json::Null));
    }
}

#[test]
fn segments_are_told_with_their_conditions_and_the_one_that_is_not_there() {
    let staff = r#"{"segment":"staff","if":[{"attr":"team","in":["a"]}]}"#;
    let world = World::of(&[flag_if("f", r#"{"segment":["nobody","staff"]}"#).as_str(), staff]);
    assert_eq!(
        world.condition("f", "{}"),
        r#"{"condition":{"segment":["nobody","staff"]},"outcome":"unsupported","segments":[{"segment":"nobody","outcome":"unsupported","why":"missing-segment","conditions":[]},{"segment":"staff","outcome":"false","conditions":[{"condition":{"attr":"team","in":["a"]},"outcome":"unknown","why":"attribute-missing","tests":[{"test":{"in":["a"]},"outcome":"unknown","why":"attribute-missing"}]}]}]}"#
    );
}

#[test]
fn another_flag_is_told_with_what_it_served_and_why() {
    let world = World::of(&[flag_if("f", r#"{"flag":"p","is":["off"]}"#), flag_if("p", r#"{"time":{}}"#)]);
    assert_eq!(
        world.condition("f", "{}"),
        r#"{"condition":{"flag":"p","is":["off"]},"outcome":"false","flag":{"flag":"p","details":{"value":true,"variation":"on","reason":"TARGETING_MATCH","rule":"r"},"exit":{"step":9,"code":"rule-served"},"needs":[],"rules":[{"id":"r","outcome":"true","decided":true,"serve":"on","conditions":[{"condition":{"time":{}},"outcome":"true","now":"2026-12-02T12:00:00Z"}]}]}}"#
    );
}

#[test]
fn buckets_and_ramps_are_told_with_what_is_in() {
    // FORMAT M-12.4: u-22 has bucket 8268, and on 2 December 10 % are in.
    let ramp = r#"{"bucket":{"salt":"new-cart","ramp":[["2026-12-01T09:00:00Z",1000],["2026-12-02T09:00:00Z",10000],["2026-12-03T09:00:00Z",50000]]}}"#;
    let told = condition(ramp, r#"{"targetingKey":"u-22"}"#);
    assert!(
        told.ends_with(r#""outcome":"true","bucket":{"by":"targetingKey","unit_present":true,"bucket":8268,"of":100000,"share":10000,"next":{"at":"2026-12-03T09:00:00Z","share":50000}}}"#),
        "{told}"
    );
    // A point that is now is reached.
    let ramp = r#"{"bucket":{"salt":"s","ramp":[["2026-12-01T09:00:00Z",1],["2026-12-02T12:00:00Z",2],["2026-12-03T09:00:00Z",3]]}}"#;
    let told = condition(ramp, r#"{"targetingKey":"u-22"}"#);
    assert!(told.contains(r#""share":2,"next":{"at":"2026-12-03T09:00:00Z","share":3}"#), "{told}");
    // A range ends before its end.
    let told = condition(
        r#"{"bucket":{"salt":"new-cart","in":[[0,8268],[8268,9000]]}}"#,
        r#"{"targetingKey":"u-22"}"#,
    );
    assert!(told.contains(r#""bucket":8268,"of":100000,"range":[8268,9000],"ranges""#), "{told}");
    // FORMAT M-12.2: u-3 has bucket 93920, in the gap; u-4 23679.
    let line = r#"{"flag":"f","type":"string","rev":1,"on":true,"values":{"classic":"v1","neural":"v3"},"rules":[{"id":"r","split":{"salt":"search","ranges":[[20000,30000,"neural"]]}},{"id":"s","serve":"classic"}]}"#;
    let world = World::of(&[line]);
    let rules = |unit| {
        world
            .explain("f", &Context::with_targeting_key(unit), NOW)
            .to_json()
            .member("rules")
            .unwrap()
            .to_string()
    };
    assert_eq!(
        rules("u-3"),
        r#"[{"id":"r","outcome":"true","why":"gap","conditions":[],"bucket":{"by":"targetingKey","unit_present":true,"bucket":93920,"of":100000,"ranges":[[20000,30000,"neural"]]}},{"id":"s","outcome":"true","decided":true,"serve":"classic","conditions":[]}]"#
    );
    assert_eq!(
        rules("u-4"),
        r#"[{"id":"r","outcome":"true","decided":true,"conditions":[],"bucket":{"by":"targetingKey","unit_present":true,"bucket":23679,"of":100000,"range":[20000,30000,"neural"],"ranges":[[20000,30000,"neural"]]}},{"id":"s","outcome":"not-reached","serve":"classic","conditions":[]}]"#
    );
}

#[test]
fn a_segment_that_cannot_be_read_and_one_behind_the_deciding_one_are_told_as_such() {
    let of = |keys: &str| {
        let lines = [
            flag_if("f", &format!(r#"{{"segment":[{keys}]}}"#)),
            r#"{"segment":"bad","if":1}"#.to_owned(),
            r#"{"segment":"all"}"#.to_owned(),
        ];
        World::of(&lines).condition("f", "{}")
    };
    let bad = of(r#""bad""#);
    assert!(bad.contains(r#""segment":"bad","outcome":"unsupported","why":"unreadable-segment""#), "{bad}");
    let behind = of(r#""all","nobody""#);
    assert!(behind.contains(r#""why":"missing-segment","after_decision":true"#), "{behind}");
    assert!(!of(r#""nobody","all""#).contains("after_decision"));
}

#[test]
fn of_a_connective_only_its_parts_are_told() {
    for condition in [r#"{"all":[{"time":{}}]}"#, r#"{"any":[{"time":{}}]}"#, r#"{"not":{"time":{}}}"#] {
        let world = World::of(&[flag_if("f", condition)]);
        let told = world.explain("f", &Context::new(), NOW);
        assert_eq!(told.rules[0].conditions[0].condition, Json::Null, "{condition}");
    }
}

#[test]
fn what_stands_in_for_unknown_is_told_only_where_it_decided() {
    let bucket = r#"{"bucket":{"salt":"s","in":[[0,100000]]}"#;
    for (condition, context, told) in [
        (format!("{bucket},\"absent\":false}}"), r#"{"targetingKey":"u"}"#, false),
        (format!("{bucket},\"absent\":false}}"), "{}", true),
        (format!("{bucket}}}"), "{}", false),
    ] {
        let explained = self::condition(&condition, context);
        assert_eq!(explained.contains("by_absent"), told, "{explained}");
    }
}

#[test]
fn a_condition_after_the_deciding_one_is_told_and_marked() {
    let told = condition(r#"{"any":[{"time":{}},{"attr":"a","in":[1]}]}"#, "{}");
    let expected = r#"{"outcome":"true","any":[{"condition":{"time":{}},"outcome":"true","now":"2026-12-02T12:00:00Z"},{"condition":{"attr":"a","in":[1]},"outcome":"unknown","why":"attribute-missing","after_decision":true,"tests":[{"test":{"in":[1]},"outcome":"unknown","why":"attribute-missing"}]}]}"#;
    assert_eq!(told, expected);
}

#[test]
fn every_exit_has_its_name() {
    let line = |key: &str, rest: &str| {
        format!(
            r#"{{"flag":"{key}","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off",{rest}}}"#
        )
    };
    let world = World::of(&[
        r#"{"flag":"unreadable","type":"bool"}"#.to_owned(),
        line("not-understood", r#""mood":"good""#),
        r#"{"flag":"off","type":"bool","rev":1,"on":false,"values":{"on":true}}"#.to_owned(),
        line("need-undecidable", r#""needs":[{"what":1}]"#),
        line("need-not-met", r#""needs":[{"any":[]}]"#),
        line("rule-undecidable", r#""rules":[{"id":"r","if":[{"what":1}],"serve":"on"}]"#),
        line("rule-served", r#""rules":[{"id":"r","serve":"on"}]"#),
        line(
            "in-ramp",
            r#""rules":[{"id":"r","if":[{"bucket":{"salt":"s","in":[[0,100000]]}}],"serve":"on"}]"#,
        ),
        line("split-served", r#""rules":[{"id":"r","split":{"salt":"s","ranges":[[0,100000,"on"]]}}]"#),
        line("fallthrough", r#""fallthrough":"on""#),
        line(
            "unit-missing",
            r#""rules":[{"id":"r","split":{"by":"nobody","salt":"s","ranges":[[0,100000,"on"]]}}]"#,
        ),
        line("no-variation", r#""rules":[{"id":"r","if":[{"any":[]}],"serve":"on"}]"#),
    ]);
    let context = Context::with_targeting_key("u");
    let exit = |key: &str| world.explain(key, &context, NOW).exit;
    let lines = |_: &Entity| None;
    let other = world.snapshot.explain("fallthrough", Some(FlagType::String), &context, NOW, &lines).exit;
    assert_eq!((other.code(), other.step()), ("type-mismatch", 4));
    for (key, step) in [
        ("not-understood", 6),
        ("off", 7),
        ("need-undecidable", 8),
        ("need-not-met", 8),
        ("rule-undecidable", 9),
        ("rule-served", 9),
        ("split-served", 9),
        ("fallthrough", 10),
        ("unit-missing", 11),
        ("no-variation", 12),
    ] {
        assert_eq!((exit(key).code(), exit(key).step()), (key, step));
    }
    // What a bucket has a say in is a split for whoever reads the reason; the rule served it all the same.
    assert_eq!(world.explain("in-ramp", &context, NOW).details.reason, Reason::Split);
    assert_eq!(exit("in-ramp").code(), "rule-served");
    assert_eq!(exit("nobody").code(), "flag-not-found");
    assert_eq!(exit("unreadable").code(), "flag-unreadable");
}

#[test]
fn a_chain_is_told_to_its_limit_and_evaluated_to_its_end() {
    let chain = |length: usize| {
        let mut lines = vec![flag_if("f0", r#"{"time":{}}"#)];
        lines.extend(
            (1..=length)
                .map(|n| flag_if(&format!("f{n}"), &format!(r#"{{"flag":"f{}","is":["on"]}}"#, n - 1))),
        );
        World::of(&lines)
    };
    let depth = |told: &Explanation<'_>| {
        let json = told.to_json().to_string();
        json.matches(r#""flag":{"flag":"#).count()
    };
    for (length, told_depth, truncated) in [
        (MAX_EXPLAINED_DEPTH, MAX_EXPLAINED_DEPTH, false),
        (MAX_EXPLAINED_DEPTH + 1, MAX_EXPLAINED_DEPTH + 1, true),
        (MAX_EXPLAINED_DEPTH + 20, MAX_EXPLAINED_DEPTH + 1, true),
    ] {
        let world = chain(length);
        let told = world.explain(&format!("f{length}"), &Context::new(), NOW);
        assert_eq!((depth(&told), told.truncated), (told_depth, truncated), "{length}");
        assert_eq!(told.details.reason, Reason::TargetingMatch);
    }
}

#[test]
fn a_diamond_is_told_to_the_limit_of_steps() {
    let both = |n: usize| {
        format!(
            r#"{{"all":[{{"flag":"f{n}","is":["on"]}},{{"flag":"f{n}","is":["on"]}},{{"flag":"f{n}","is":["on"]}}]}}"#
        )
    };
    let mut lines = vec![flag_if("f0", r#"{"time":{}}"#)];
    lines.extend((1..8).map(|n| flag_if(&format!("f{n}"), &both(n - 1))));
    let world = World::of(&lines);
    let told = world.explain("f7", &Context::new(), NOW);
    assert!(told.truncated);
    assert_eq!(told.details, world.snapshot.evaluate("f7", None, &Context::new(), NOW));
    let outcomes = told.to_json().to_string().matches(r#""outcome""#).count();
    assert!(outcomes <= MAX_EXPLAINED_STEPS, "{outcomes}");
    assert!(outcomes > MAX_EXPLAINED_STEPS / 2, "{outcomes}");
    let small = world.explain("f3", &Context::new(), NOW);
    assert!(!small.truncated);
}
