//! Laws that hold of every input, by property.

use flagstone_eval::{Snapshot, batch};
use flagstone_model::context::Context;
use flagstone_model::details::Reason;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::value::Value;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::{NOW, generate, truth_beside};

const LINES: &str = include_str!("../../../../../testdata/example/model-lines.jsonl");
const CASES: &str = include_str!("../../../../../testdata/example/model-cases.jsonl");

fn answers(lines: &[Vec<u8>]) -> Vec<String> {
    let (snapshot, _) = Snapshot::compile(lines.iter().map(Vec::as_slice));
    CASES.lines().map(|case| batch::answer(&snapshot, case.as_bytes(), NOW)).collect()
}

/// JSON out of the format's own words, so that much of it gets past the parser.
fn json() -> impl Strategy<Value = Json<'static>> {
    let word = prop::sample::select(vec![
        "all",
        "any",
        "not",
        "attr",
        "segment",
        "flag",
        "is",
        "bucket",
        "time",
        "since",
        "before",
        "in",
        "starts",
        "ends",
        "contains",
        "has_all",
        "matches",
        "semver",
        "cidr",
        "listed",
        "hashed",
        "fold",
        "ascii",
        "as",
        "number",
        "string",
        ">=1.0.0",
        "10.0.0.0/8",
        "043a718774c5",
        "lt",
        "gte",
        "exists",
        "absent",
        "salt",
        "by",
        "of",
        "hash",
        "ramp",
        "linear",
        "ranges",
        "on",
        "off",
        "a",
        "staff",
        "payments",
        "targetingKey",
        "xxh32",
        "2026-12-01T09:00:00Z",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        prop_oneof![Just(0u64), Just(1), Just(50_000), Just(100_000), any::<u64>()].prop_map(Json::from),
        any::<f64>().prop_filter("JSON has finite numbers", |number| number.is_finite()).prop_map(Json::from),
        word.clone().prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            prop::collection::vec((word.clone(), inner), 0..5).prop_map(Json::object),
        ]
    })
}

fn flag_with(needs: &Json<'_>, rules: &Json<'_>) -> String {
    format!(
        r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off","needs":[{needs}],"rules":[{{"id":"r","if":[{rules}],"serve":"on"}},{rules}],"fallthrough":"off"}}"#
    )
}

/// A condition that is understood, of parts of which some depend on the time: it changes between 0 and 200 s after
/// `NOW`.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(r#"{"time":{"since":"2026-12-02T12:01:40Z"}}"#.to_owned()),
        Just(r#"{"bucket":{"salt":"s","ramp":[["2026-12-02T12:00:00Z",20000],["2026-12-02T12:03:20Z",90000]],"linear":true}}"#.to_owned()),
        Just(r#"{"bucket":{"salt":"t","in":[[0,50000]]}}"#.to_owned()),
        Just(r#"{"attr":"targetingKey","exists":true}"#.to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|parts| format!(r#"{{"all":[{}]}}"#, parts.join(","))),
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|parts| format!(r#"{{"any":[{}]}}"#, parts.join(","))),
            inner.prop_map(|part| format!(r#"{{"not":{part}}}"#)),
        ]
    })
}

/// What a condition says, beside the lists of [`generate`].
fn says(condition: &str, context: &str) -> &'static str {
    thread_local! {
        static LISTS: Snapshot = generate::with_held(&super::compile(&generate::LISTS));
    }
    LISTS.with(|lists| truth_beside(lists, condition, context))
}

/// The generator is worth its name: each test comes to each result it can have, often.
#[test]
fn every_test_comes_to_each_of_its_results() {
    const RESULTS: [&str; 4] = ["true", "false", "unknown", "unsupported"];
    const DRAWS: usize = 12_000;
    let mut hits = [[0; 4]; generate::KINDS.len()];
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]),
    );
    let drawn = (generate::single(), prop::sample::select(generate::VALUES.to_vec()));
    for _ in 0..DRAWS {
        let ((kind, leaf), value) = drawn.new_tree(&mut runner).unwrap().current();
        let context = if value == "-" { "{}".to_owned() } else { format!(r#"{{"a":{value}}}"#) };
        let result = says(&leaf, &context);
        hits[kind][RESULTS.iter().position(|name| *name == result).unwrap()] += 1;
    }
    for (kind, hits) in generate::KINDS.iter().zip(hits) {
        for (result, hits) in RESULTS.iter().zip(hits) {
            if (kind.name, *result) == ("exists", "unknown") {
                assert_eq!(hits, 0, "exists is never unknown");
            } else {
                assert!(hits >= 20, "{} is {result} {hits} times", kind.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(42),
        ..ProptestConfig::default()
    })]

    #[test]
    fn compiling_and_evaluating_anything_ends_with_an_answer(
        needs in json(), rules in json(), context in json(), now in any::<i64>(), junk in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let flag = flag_with(&needs, &rules);
        let segment = format!(r#"{{"segment":"staff","if":[{rules}]}}"#);
        let headed = [b"{\"flag\":\"payments\",".as_slice(), &junk].concat();
        let lines = [flag.as_bytes(), segment.as_bytes(), &headed, &junk];
        let (snapshot, _) = Snapshot::compile(lines);
        let context = Context::from_json(&context).unwrap_or_default();
        for key in ["f", "payments", "g"] {
            let details = snapshot.evaluate(key, None, &context, Instant::from_millis(now));
            prop_assert_eq!(details.variation.is_some(), details.value.is_some());
            prop_assert_eq!(details.error_code.is_some(), details.reason.as_str() == "ERROR");
        }
    }

    /// Over every test and modifier, with operands that can be read and such that cannot.
    #[test]
    fn a_condition_comes_to_one_result_whatever_the_order_of_members_and_operands(
        condition in generate::tree(), context in generate::context(),
    ) {
        let lines = |condition: &str| {
            let flag = super::flag_if("f", condition);
            let asked = super::flag_if("g", r#"{"attr":"a","exists":true}"#);
            let segment = r#"{"segment":"s","if":[{"attr":"b","in":["a",7]}]}"#.to_owned();
            [flag, asked, segment, generate::LISTS[0].to_owned(), generate::LISTS[1].to_owned()]
        };
        let answer = |lines: &[String]| {
            let (snapshot, _) = Snapshot::compile(lines.iter().map(String::as_bytes));
            super::answer(&generate::with_held(&snapshot), "f", &context)
        };
        let plain = lines(&condition);
        let expected = answer(&plain);
        let json = Json::parse(condition.as_bytes()).unwrap();
        let mut other = lines(&turned(&json, false).to_string());
        other.reverse();
        prop_assert_eq!(answer(&other), expected.as_str(), "{}", condition);
        // Members of the context, too; its values are as they were.
        let context = Json::parse(context.as_bytes()).unwrap();
        let Json::Object(members) = &context else { panic!("a context is an object") };
        let reversed = Json::object(members.iter().rev().cloned());
        let (snapshot, _) = Snapshot::compile(plain.iter().map(String::as_bytes));
        prop_assert_eq!(super::answer(&generate::with_held(&snapshot), "f", &reversed.to_string()), expected, "{}", condition);
    }

    /// Of one value, a leaf is what its tests are one by one; `absent` stands in for unknown alone.
    #[test]
    fn a_leaf_of_a_scalar_is_all_of_its_tests(
        tests in prop::collection::vec(generate::test(), 1..4), value in prop::sample::select(generate::VALUES.to_vec()),
    ) {
        prop_assume!(!value.starts_with('['));
        let tests: std::collections::BTreeMap<_, _> = tests.into_iter().collect();
        let context = if value == "-" { "{}".to_owned() } else { format!(r#"{{"a":{value}}}"#) };
        let leaf = |tests: &str| says(&format!(r#"{{"attr":"a",{tests}}}"#), &context);
        let together = leaf(&tests.values().cloned().collect::<Vec<_>>().join(","));
        let each: Vec<_> = tests.values().map(|test| leaf(test)).collect();
        // A leaf that cannot be read, or whose list is not there, is unsupported as a whole; else it is `all`.
        let order = ["unsupported", "false", "unknown", "true"];
        let expected = order.into_iter().find(|result| each.contains(result)).unwrap();
        prop_assert_eq!(together, expected, "{:?} of {}", tests, value);
    }

    /// The value alone, or in an array of one: alike, but for the tests that see the whole array.
    #[test]
    fn an_array_of_one_scalar_is_that_scalar(
        drawn in generate::single(), value in prop::sample::select(generate::VALUES.to_vec()),
    ) {
        let (kind, leaf) = drawn;
        prop_assume!(!value.starts_with('[') && value != "-");
        let name = generate::KINDS[kind].name;
        let alone = says(&leaf, &format!(r#"{{"a":{value}}}"#));
        let within = says(&leaf, &format!(r#"{{"a":[{value}]}}"#));
        // A null is missing, and in an array it is an element; what equals nothing there is unknown alone.
        let differs = name == "exists" && value == "null" || name == "has_all" && alone == "unknown";
        prop_assert!(differs || alone == within, "{} of {}: {} and {}", leaf, value, alone, within);
    }

    #[test]
    fn an_override_is_served_whatever_the_line_says(
        needs in json(), rules in json(), context in json(), now in any::<i64>(), wanted in any::<bool>(),
    ) {
        let flag = flag_with(&needs, &rules);
        let asks = r#"{"flag":"g","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","needs":[{"flag":"f","is":["on"]}],"fallthrough":"on"}"#;
        let (snapshot, _) = Snapshot::compile([flag.as_bytes(), asks.as_bytes()]);
        let readable = snapshot.flag_type("f").is_some();
        let (snapshot, in_force) = snapshot.with_overrides([(&"f".into(), &wanted.into())]);
        prop_assert_eq!(in_force.len(), 1);
        let context = Context::from_json(&context).unwrap_or_default();
        let details = |key: &str| snapshot.evaluate(key, None, &context, Instant::from_millis(now));
        prop_assert_eq!(details("f").value, Some(&Value::Bool(wanted)));
        prop_assert_eq!(details("f").reason, Reason::Static);
        // The variations of a line that cannot be read are not known.
        prop_assert_eq!(details("g").value, Some(&Value::Bool(wanted && readable)));
    }

    /// Asked through another flag, which reads the clock for all it asks, the answer is the same.
    #[test]
    fn leaving_the_clock_unread_never_changes_an_answer(
        conditions in prop::collection::vec(condition(), 1..4), second in 0..200i64, unit in 0..50u32,
    ) {
        let flag = flag_with(&Json::object([("all", [].into_iter().collect())]), &Json::Null)
            .replace(r#""if":[null]"#, &format!(r#""if":[{}]"#, conditions.join(",")))
            .replace(",null]", "]");
        let asks = r#"{"flag":"g","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","needs":[{"flag":"f","is":["on"]}],"fallthrough":"on"}"#;
        let (snapshot, report) = Snapshot::compile([flag.as_bytes(), asks.as_bytes()]);
        prop_assert!(report.is_clean(), "{:?} {}", report, flag);
        let context = Context::with_targeting_key(unit);
        let now = Instant::from_millis(NOW.millis() + second * 1_000);
        let value = |key: &str| snapshot.evaluate(key, None, &context, now).value.cloned();
        prop_assert_eq!(value("f"), value("g"));
    }

    #[test]
    fn flipping_a_byte_of_a_line_costs_no_other_flag(at in 0..LINES.len(), to in any::<u8>()) {
        let mut bytes = LINES.as_bytes().to_vec();
        prop_assume!(bytes[at] != b'\n' && to != b'\n');
        bytes[at] = to;
        let lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        // `payments` and `new-cart` stand alone in the example: only their own lines can change what they serve.
        let own = |key: &str| LINES.lines().position(|line| line.starts_with(&format!("{{\"flag\":\"{key}\""))).unwrap();
        let touched = LINES[..at].matches('\n').count();
        let whole: Vec<Vec<u8>> = LINES.lines().map(|line| line.as_bytes().to_vec()).collect();
        let (before, after) = (answers(&whole), answers(&lines));
        for key in ["payments", "new-cart"] {
            if touched != own(key) && !lines[touched].starts_with(format!("{{\"flag\":\"{key}\"").as_bytes()) {
                for (case, (before, after)) in CASES.lines().zip(before.iter().zip(&after)) {
                    if case.contains(&format!("\"flag\":\"{key}\"")) {
                        prop_assert_eq!(before, after);
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_lines_and_members_never_matters(order in Just((0..13usize).collect::<Vec<_>>()).prop_shuffle()) {
        let plain: Vec<Vec<u8>> = LINES.lines().map(|line| line.as_bytes().to_vec()).collect();
        let shuffled: Vec<Vec<u8>> = order.iter().map(|index| reversed_members(&plain[*index])).collect();
        prop_assert_eq!(answers(&plain), answers(&shuffled));
    }

    #[test]
    fn a_split_over_all_buckets_serves_every_unit_exactly_one_variation(
        unit in "\\PC{1,24}", cuts in prop::collection::btree_set(1u64..100_000, 0..20),
    ) {
        let mut bounds = vec![0];
        bounds.extend(cuts);
        bounds.push(100_000);
        let ranges: Vec<_> = bounds.windows(2).enumerate().map(|(n, pair)| format!("[{},{},\"v{n}\"]", pair[0], pair[1])).collect();
        let values: Vec<_> = (0..ranges.len()).map(|n| format!("\"v{n}\":{n}")).collect();
        let line = format!(
            r#"{{"flag":"f","type":"int","rev":1,"on":true,"values":{{{}}},"rules":[{{"id":"r","split":{{"salt":"s","ranges":[{}]}}}}]}}"#,
            values.join(","), ranges.join(","),
        );
        let (snapshot, report) = Snapshot::compile([line.as_bytes()]);
        prop_assert!(report.is_clean());
        let details = snapshot.evaluate("f", None, &Context::with_targeting_key(unit.as_str()), NOW);
        let bucket = details.bucket.unwrap();
        let expected = bounds.iter().rposition(|start| *start <= bucket).unwrap();
        prop_assert_eq!(details.variation.map(ToString::to_string), Some(format!("v{expected}")));
    }

    #[test]
    fn whoever_is_in_a_ramp_stays_in(
        unit in "[a-z0-9]{1,12}", linear in any::<bool>(), earlier in 0i64..400_000, later in 0i64..400_000,
        shares in prop::collection::vec(0u64..=100_000, 3),
    ) {
        let mut shares = shares;
        shares.sort_unstable();
        let line = format!(
            r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"on":true}},"rules":[{{"id":"r","if":[{{"bucket":{{"salt":"s","ramp":[["1970-01-02T00:00:00Z",{}],["1970-01-03T00:00:00Z",{}],["1970-01-04T00:00:00Z",{}]],"linear":{linear}}}}}],"serve":"on"}}]}}"#,
            shares[0], shares[1], shares[2],
        );
        let (snapshot, report) = Snapshot::compile([line.as_bytes()]);
        prop_assert!(report.is_clean());
        let context = Context::with_targeting_key(unit.as_str());
        let is_in = |second: i64| snapshot.evaluate("f", None, &context, Instant::from_millis(second * 1_000)).variation.is_some();
        prop_assert!(!is_in(earlier.min(later)) || is_in(earlier.max(later)));
    }
}

/// A condition with the members of every object reversed, and the elements of every array that is a set or a list of
/// conditions.
fn turned<'a>(json: &Json<'a>, is_sequence: bool) -> Json<'a> {
    match json {
        // `ranges`, `ramp`, and the pairs in them are as they are.
        Json::Array(elements) if is_sequence => Json::Array(elements.clone()),
        Json::Array(elements) => {
            elements.iter().rev().map(|element| turned(element, matches!(element, Json::Array(_)))).collect()
        }
        Json::Object(members) => Json::object(
            members.iter().rev().map(|(name, value)| (name.clone(), turned(value, name == "bucket"))),
        ),
        scalar => scalar.clone(),
    }
}

/// The line with the members of every object reversed, but for the first of the line.
fn reversed_members(line: &[u8]) -> Vec<u8> {
    fn reverse<'a>(json: &Json<'a>) -> Json<'a> {
        match json {
            Json::Array(elements) => elements.iter().map(reverse).collect(),
            Json::Object(members) => {
                Json::object(members.iter().rev().map(|(name, value)| (name.clone(), reverse(value))))
            }
            scalar => scalar.clone(),
        }
    }
    let json = Json::parse(line).unwrap();
    let Json::Object(members) = reverse(&json) else { panic!("a line is an object") };
    let (head, rest) = members.split_last().unwrap();
    let members = std::iter::once(head).chain(rest).cloned();
    Json::object(members).to_string().into_bytes()
}
