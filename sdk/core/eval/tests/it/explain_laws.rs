//! The law of explanations: each ends where the evaluation does, and each truth follows from those inside it.

use flagstone_eval::Truth;
use flagstone_eval::explain::{Explained, ExplainedRule, Explanation, Parts};
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use proptest::prelude::*;

use super::explain::World;
use super::{NOW, generate};

/// FORMAT M-4.1, as a table of its own: the least of these in this order decides `all`, the greatest `any`.
fn rank(truth: Truth, order: [Truth; 4]) -> usize {
    order.iter().position(|other| *other == truth).unwrap()
}

fn all(truths: impl Iterator<Item = Truth>) -> Truth {
    const ORDER: [Truth; 4] = [Truth::False, Truth::Unsupported, Truth::Unknown, Truth::True];
    truths.min_by_key(|truth| rank(*truth, ORDER)).unwrap_or(Truth::True)
}

fn any(truths: impl Iterator<Item = Truth>) -> Truth {
    const ORDER: [Truth; 4] = [Truth::True, Truth::Unsupported, Truth::Unknown, Truth::False];
    truths.min_by_key(|truth| rank(*truth, ORDER)).unwrap_or(Truth::False)
}

fn outcomes<'a>(parts: &'a [Explained<'a>]) -> impl Iterator<Item = Truth> + 'a {
    parts.iter().map(|part| part.outcome)
}

fn check_condition(told: &Explained<'_>) {
    let undecided = matches!(told.outcome, Truth::Unknown | Truth::Unsupported);
    match &told.parts {
        Parts::None => assert!(undecided && told.why.is_some()),
        Parts::All(parts) => assert_eq!(told.outcome, all(outcomes(parts))),
        Parts::Any(parts) => assert_eq!(told.outcome, any(outcomes(parts))),
        Parts::Not(parts) => {
            let opposite = match parts[0].outcome {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                other => other,
            };
            assert_eq!(told.outcome, opposite);
        }
        Parts::Attribute { value, tests } => {
            assert_eq!(undecided || told.by_absent, told.why.is_some());
            // Elements of an array are tested together, so that two tests may be true of different ones.
            let is_array = matches!(value, Some(Json::Array(_)));
            if !is_array && told.outcome != Truth::Unsupported && !told.by_absent {
                assert_eq!(told.outcome, all(tests.iter().map(|test| test.outcome)), "{told:?}");
            }
        }
        Parts::Segments(segments) => {
            assert_eq!(told.outcome, any(segments.iter().map(|segment| segment.outcome)));
            for segment in segments {
                if segment.why.is_none() && !segment.truncated {
                    let inside = all(outcomes(&segment.conditions));
                    let two_valued = if inside == Truth::Unknown { Truth::False } else { inside };
                    assert_eq!(segment.outcome, two_valued);
                }
                segment.conditions.iter().for_each(check_condition);
            }
        }
        Parts::Flag(flag) => {
            assert_eq!(told.outcome == Truth::Unsupported, told.why.is_some());
            if let Some(flag) = flag {
                check(flag);
                let is = told.condition.member("is").unwrap().as_array().unwrap();
                let served = flag
                    .details
                    .variation
                    .is_some_and(|served| is.iter().any(|name| name.as_str() == Some(served)));
                if told.outcome != Truth::Unsupported {
                    assert_eq!(told.outcome == Truth::True, served);
                }
            }
        }
        Parts::Bucket(bucket) => assert_eq!(bucket.bucket.is_none(), told.why.is_some()),
        Parts::Time(_) => assert!(!undecided),
        other => panic!("{other:?}"),
    }
    if let Parts::All(parts) | Parts::Any(parts) | Parts::Not(parts) = &told.parts {
        parts.iter().for_each(check_condition);
    }
}

fn check_rule(rule: &ExplainedRule<'_>) {
    let inside = all(outcomes(&rule.conditions));
    let expected = match rule.why.map(flagstone_eval::explain::Cause::code) {
        Some("unreadable-rule" | "unknown-hash") => Some(Truth::Unsupported),
        _ if rule.outcome.is_none() => None,
        _ => Some(inside),
    };
    assert_eq!(rule.outcome, expected, "{rule:?}");
    rule.conditions.iter().for_each(check_condition);
}

fn check(told: &Explanation<'_>) {
    if told.truncated {
        return;
    }
    let decided = told.rules.iter().position(|rule| rule.decided);
    let met = all(outcomes(&told.needs));
    told.needs.iter().for_each(check_condition);
    told.rules.iter().for_each(check_rule);
    let expected = match told.exit.step() {
        8 if met == Truth::Unsupported => "need-undecidable",
        8 => "need-not-met",
        9 => match told.rules[decided.unwrap()].outcome.unwrap() {
            Truth::Unsupported => "rule-undecidable",
            Truth::True if told.details.bucket.is_some() => "split-served",
            Truth::True => "rule-served",
            other => panic!("{other:?}"),
        },
        _ => told.exit.code(),
    };
    assert_eq!(told.exit.code(), expected);
    assert_eq!(decided.is_some(), told.exit.step() == 9);
    if told.exit.step() > 8 {
        assert_eq!(met, Truth::True);
    }
    for (index, rule) in told.rules.iter().enumerate() {
        let reached = told.exit.step() > 9 || decided.is_some_and(|last| index <= last);
        assert_eq!(rule.outcome.is_some(), reached);
    }
    if let Some(rule) = decided {
        assert_eq!(told.rules[rule].id, told.details.rule.map(|id| &**id));
    }
}

fn leaf() -> impl Strategy<Value = String> {
    let fixed = [
        r#"{"attr":"n","gte":2,"lt":7}"#,
        r#"{"attr":"n","in":[1,"a",true],"absent":true}"#,
        r#"{"attr":"t","in":["a","b"]}"#,
        r#"{"attr":"t","starts":["a"],"ends":["a","b"]}"#,
        r#"{"attr":"t","contains":["b"],"absent":false}"#,
        r#"{"attr":"o.t","exists":true}"#,
        r#"{"attr":"o.t","exists":false,"in":["a"]}"#,
        r#"{"attr":"t","geo_within":["a"]}"#,
        r#"{"attr":"t","starts":"a"}"#,
        r#"{"bucket":{"salt":"s","in":[[0,30000],[50000,80000]]}}"#,
        r#"{"bucket":{"by":"n","salt":"s","in":[[0,50000]]},"absent":true}"#,
        r#"{"bucket":{"salt":"s","ramp":[["2026-12-01T00:00:00Z",20000],["2026-12-03T00:00:00Z",90000]],"linear":true}}"#,
        r#"{"bucket":{"salt":"s","hash":"murmur3","in":[]}}"#,
        r#"{"time":{"since":"2026-12-02T00:00:00Z"}}"#,
        r#"{"time":{"before":"2026-12-02T00:00:00Z"}}"#,
        r#"{"segment":["s0"]}"#,
        r#"{"segment":["s1","s0"]}"#,
        r#"{"segment":["s1","nobody"]}"#,
        r#"{"flag":"f1","is":["on"]}"#,
        r#"{"flag":"f2","is":["off","on"]}"#,
        r#"{"flag":"f0","is":["off"]}"#,
        r#"{"flag":"nobody","is":["off"]}"#,
        r#"{"what":"ever"}"#,
    ];
    // Of the generator's attributes, `a` and `b` are drawn beside; `c.d` is never there.
    prop_oneof![prop::sample::select(fixed.to_vec()).prop_map(str::to_owned), generate::leaf(),]
}

fn tree() -> impl Strategy<Value = String> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| parts.join(","));
        prop_oneof![
            list.clone().prop_map(|parts| format!(r#"{{"all":[{parts}]}}"#)),
            list.prop_map(|parts| format!(r#"{{"any":[{parts}]}}"#)),
            inner.prop_map(|part| format!(r#"{{"not":{part}}}"#)),
        ]
    })
}

fn rule() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec![
        r#""serve":"on""#,
        r#""serve":"off""#,
        r#""serve":"on","exp":"e""#,
        r#""split":{"salt":"r","ranges":[[0,40000,"on"],[60000,100000,"off"]]}"#,
        r#""split":{"by":"o.id","salt":"r","ranges":[[0,100000,"on"]]}"#,
        r#""split":{"salt":"r","hash":"murmur3","ranges":[]}"#,
        r#""serve":"nobody""#,
    ]);
    (prop::collection::vec(tree(), 0..3), action)
        .prop_map(|(conditions, action)| format!(r#""if":[{}],{action}"#, conditions.join(",")))
}

fn flag(key: &'static str) -> impl Strategy<Value = String> {
    let needs = prop::collection::vec(tree(), 0..2);
    let end = prop::sample::select(vec!["", r#","fallthrough":"off""#, r#","mood":1"#]);
    let on = prop::bool::weighted(0.9);
    (needs, prop::collection::vec(rule(), 0..4), end, on).prop_map(move |(needs, rules, end, on)| {
        let rules: Vec<_> = rules.iter().enumerate().map(|(n, rule)| format!(r#"{{"id":"r{n}",{rule}}}"#)).collect();
        format!(
            r#"{{"flag":"{key}","type":"bool","rev":1,"on":{on},"values":{{"off":false,"on":true}},"off":"off","needs":[{}],"rules":[{}]{end}}}"#,
            needs.join(","),
            rules.join(",")
        )
    })
}

fn segment(key: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(tree(), 0..3)
        .prop_map(move |parts| format!(r#"{{"segment":"{key}","if":[{}]}}"#, parts.join(",")))
}

fn context() -> impl Strategy<Value = Context> {
    let value = prop::sample::select(vec![
        "1",
        "3",
        "9",
        "2.5",
        "\"a\"",
        "\"ab\"",
        "true",
        "null",
        "[]",
        "[\"a\",\"b\"]",
        "[3,\"x\"]",
        "{\"t\":\"a\",\"id\":4}",
    ]);
    let drawn = prop::sample::select(
        generate::VALUES.iter().copied().filter(|value| *value != "-").collect::<Vec<_>>(),
    );
    let value = prop_oneof![value, drawn];
    let name = prop::sample::select(vec!["n", "t", "o", "targetingKey", "a", "a", "b"]);
    let key = prop::option::of("[a-z]{1,3}");
    (key, prop::collection::vec((name, value), 0..4)).prop_map(|(key, members)| {
        let context = key.map_or_else(Context::new, |key| Context::with_targeting_key(key.as_str()));
        members.into_iter().fold(context, |context, (name, value)| {
            let json = Json::parse(value.as_bytes()).unwrap();
            context.set(name, flagstone_model::context::Attribute::from_json(&json))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        // With four contexts and three flags each: well over 10 000 explanations.
        cases: 1_000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(42),
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_explanation_ends_as_the_evaluation_and_each_truth_follows_from_those_inside_it(
        lines in (flag("f0"), flag("f1"), flag("f2"), segment("s0"), segment("s1")),
        asked in prop::collection::vec((context(), 0i64..400), 4),
    ) {
        let (f0, f1, f2, s0, s1) = lines;
        let [away, held] = generate::LISTS.map(str::to_owned);
        let mut world = World::of(&[f0, f1, f2, s0, s1, away, held]);
        world.snapshot = generate::with_held(&world.snapshot);
        for (context, hours) in &asked {
            // From 24 November to 10 December: before, within, and after every time there is.
            let now = Instant::from_millis(NOW.millis() + (hours - 200) * 3_600_000);
            for key in ["f0", "f1", "f2"] {
                let told = world.explain(key, context, now);
                prop_assert_eq!(told.details, world.snapshot.evaluate(key, None, context, now));
                check(&told);
                Json::parse_with(told.to_json().to_string().as_bytes(), flagstone_model::json::ParseOptions {
                    max_depth: 120, duplicates: flagstone_model::json::Duplicates::Refuse,
                }).unwrap();
            }
        }
    }
}
