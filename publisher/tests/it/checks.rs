//! Checks: those that authors write hold or nothing is written, and others are made for them (FORMAT M-1.8, P8).

use flagstone_eval::Entity;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::FlagKey;
use flagstone_publisher::author::{MAX_CHECK_CONTEXT_BYTES, MAX_CHECK_CONTEXT_DEPTH, MAX_CHECKS, Targeting};
use flagstone_publisher::check::{MAX_PUBLISHED, Reached, generate};
use flagstone_publisher::state::change::{self, Confirmation, Precondition, Refusal, Terms};
use proptest::prelude::*;

use crate::project::{Project, flag, json, production, segment, told};

const FAILED: &str = "check-failed";
const ASKED: &str = "needs-confirmation";
const CONFIRMED: Terms =
    Terms { precondition: Precondition::Any, confirmation: Confirmation::Given, now_ms: 0 };
const AT: &str = "2026-12-02T12:00:00Z";

/// The flag `cart`, which serves `on` to staff and to Germany.
fn project() -> Project {
    let mut project = Project::new();
    project.create(r#"{"key":"cart","type":"bool"}"#);
    project.create(r#"{"key":"pay","type":"bool"}"#);
    project.segment("staff", r#"{"rules":[{"if":[{"attr":"email","ends":["@acme.com"]}]}]}"#);
    project
}

fn cart(checks: &str) -> String {
    format!(
        r#"{{"on":true,"off":"off","rules":[{{"id":"staff","if":[{{"segment":["staff"]}}],"serve":"on"}},{{"id":"eu","if":[{{"attr":"country","in":["DE"]}}],"serve":"on"}}],"fallthrough":{{"serve":"off"}},"checks":[{checks}]}}"#
    )
}

fn check(context: &str, expect: &str) -> String {
    format!(r#"{{"at":"{AT}","context":{context},"expect":{expect}}}"#)
}

fn check_lines(project: &Project) -> Vec<String> {
    project.lines().into_iter().filter(|line| line.starts_with(r#"{"check":"#)).collect()
}

#[test]
fn what_an_author_expects_is_a_line_of_its_own() {
    let mut project = project();
    let staff = check(r#"{"targetingKey":"u-1","email":"a@acme.com"}"#, r#"{"variation":"on"}"#);
    let others = check("{}", r#"{"variation":"off","reason":"DEFAULT","rule":null}"#);
    project.put("cart", &cart(&format!("{staff},{others}")));
    assert_eq!(
        check_lines(&project),
        [
            format!(
                r#"{{"check":"cart/1","flag":"cart","at":"{AT}","context":{{"email":"a@acme.com","targetingKey":"u-1"}},"expect":{{"variation":"on","reason":"TARGETING_MATCH","rule":"staff"}}}}"#
            ),
            format!(
                r#"{{"check":"cart/2","flag":"cart","at":"{AT}","expect":{{"variation":"off","reason":"DEFAULT"}}}}"#
            ),
        ]
    );
    assert!(project.lines().is_sorted());
    // The number belongs to the author's list, whatever its line's place in the order.
    let eleven = vec![others; 11].join(",");
    project.put("cart", &cart(&eleven));
    let numbers: Vec<String> = check_lines(&project)
        .iter()
        .map(|line| json(line).member("check").unwrap().as_str().unwrap().to_owned())
        .collect();
    assert_eq!(numbers[..4], ["cart/1", "cart/10", "cart/11", "cart/2"]);
    assert_eq!(project.refolded().seq(), project.state.seq());
}

#[test]
fn a_check_that_does_not_hold_refuses_the_write_and_says_what_came() {
    let mut project = project();
    let refusal = project
        .try_put(
            "cart",
            &cart(&format!(
                "{},{},{}",
                check(r#"{"country":"DE"}"#, r#"{"variation":"off","rule":"staff"}"#),
                check(r#"{"country":"DE"}"#, r#"{"variation":"on"}"#),
                check("{}", r#"{"reason":"SPLIT","rule":"eu"}"#),
            )),
        )
        .unwrap_err();
    assert_eq!(refusal.code(), FAILED);
    let told: Vec<_> =
        refusal.problems().iter().map(|problem| (&*problem.pointer, &*problem.detail)).collect();
    assert_eq!(
        told,
        [
            (
                "/checks/0",
                "expected variation `off`, rule `staff`; came variation `on`, reason TARGETING_MATCH, rule `eu`"
            ),
            ("/checks/2", "expected reason SPLIT, rule `eu`; came variation `off`, reason DEFAULT, no rule"),
        ]
    );
    project.put("cart", &cart(&check(r#"{"country":"DE"}"#, r#"{"variation":"on"}"#)));
    assert_eq!(check_lines(&project).len(), 1);
}

#[test]
fn a_change_elsewhere_that_breaks_a_check_asks_whether_it_may_be_left_out() {
    let mut project = project();
    let member = check(r#"{"email":"a@acme.com"}"#, r#"{"variation":"on"}"#);
    project.put("cart", &cart(&member));
    let asked = |refusal: Result<Vec<change::Edit>, Refusal>| {
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.code(), ASKED);
        refusal.to_string()
    };
    let question = "check 1 of flag `cart` in environment `production` would not hold any more: expected variation `on`; \
                    came variation `off`, reason DEFAULT, no rule; confirm that it may be left out";
    assert_eq!(asked(project.try_segment("staff", "{}")), question);
    let several = r#"{"segment":"staff","environment":"production","definition":{}}"#;
    assert_eq!(asked(project.try_several(several)), question);
    // A request that has the checks themselves can mend them.
    let both = format!(
        r#"{several},{{"flag":"cart","environment":"production","targeting":{}}}"#,
        cart(&format!("{},{member}", check("{}", r#"{"variation":"off"}"#)))
    );
    assert_eq!(told(project.try_several(&both)), [(FAILED, "/changes/1/targeting/checks/1".into())]);
    // What breaks no check is taken, and together with a check that fits any change is.
    project
        .segment("staff", r#"{"include":["u-1"],"rules":[{"if":[{"attr":"email","ends":["@acme.com"]}]}]}"#);
    let mended = format!(
        r#"{several},{{"flag":"cart","environment":"production","targeting":{}}}"#,
        cart(&check(r#"{"email":"a@acme.com"}"#, r#"{"variation":"off"}"#))
    );
    project.several(&mended);
    assert_eq!(check_lines(&project).len(), 1);
}

#[test]
fn a_check_that_was_confirmed_to_break_is_left_out_and_asked_about_no_more() {
    let mut project = project();
    let checks = [("{}", "off"), (r#"{"email":"a@acme.com"}"#, "on"), (r#"{"country":"DE"}"#, "on")];
    let checks = checks.map(|(context, is)| check(context, &format!(r#"{{"variation":"{is}"}}"#))).join(",");
    project.put("cart", &cart(&checks));
    assert_eq!(check_lines(&project).len(), 3);
    let edits = change::put_segment(&project.state, &production(), &segment("staff"), &json("{}"), CONFIRMED);
    project.record(edits.unwrap());
    let others = check_lines(&project);
    assert!(others[0].contains(r#""cart/1""#) && others[1].contains(r#""cart/3""#), "{others:?}");
    assert_eq!(others.len(), 2);
    // It broke before: what comes after is asked about the others only.
    project.segment("staff", r#"{"description":"nobody","include":["u-1"]}"#);
    let all = project.try_segment("staff", r#"{"rules":[{"if":[]}]}"#).unwrap_err().to_string();
    assert!(all.starts_with("check 1 of") && !all.contains("check 2 of"), "{all}");
    // A copy of the environment has it as it is.
    let copy = json(r#"{"id":"copy","copy_from":"production"}"#);
    assert!(change::create_environment(&project.state, &copy, &crate::project::salt()).is_ok());
    // Whoever writes the targeting is asked about it, and refused a check that is new.
    let again = cart(&checks).replace("DE", "AT");
    let put = project.try_put("cart", &again).unwrap_err();
    assert_eq!(put.code(), ASKED);
    assert!(
        put.to_string()
            .starts_with("check 2 of flag `cart` in environment `production` still does not hold: "),
        "{put}"
    );
    let several =
        project.try_several(&format!(r#"{{"flag":"cart","environment":"production","targeting":{again}}}"#));
    assert_eq!(several.unwrap_err().code(), ASKED);
    assert!(project.try_put_with("cart", &again, CONFIRMED).is_ok());
    let other = cart(&checks).replace("a@acme.com", "b@acme.com");
    assert_eq!(told(project.try_put_with("cart", &other, CONFIRMED)), [(FAILED, "/checks/1".into())]);
}

#[test]
fn a_rollout_to_nobody_a_restore_and_a_pause_wait_for_no_check() {
    let mut project = project();
    project.create(r#"{"key":"new","type":"bool"}"#);
    project.time_ms = Instant::parse(AT).unwrap().millis();
    let terms = Terms { now_ms: project.time_ms, ..Terms::default() };
    let good = project.state.clone();
    let on = check(r#"{"targetingKey":"u-1"}"#, r#"{"variation":"on"}"#);
    let all = format!(
        r#"{{"on":true,"off":"off","fallthrough":{{"rollout":{{"weights":{{"on":100000}}}}}},"checks":[{on}]}}"#
    );
    project.put("new", &all);
    let roll_out = |confirmation: Confirmation| {
        let body = json(r#"{"variation":"on","percent":0}"#);
        let terms = Terms { confirmation, ..terms };
        change::roll_out(&project.state, &production(), &flag("new"), &body, terms)
    };
    assert_eq!(roll_out(Confirmation::Ask).unwrap_err().code(), ASKED);
    let zero = project.state.with(&roll_out(Confirmation::Given).unwrap()).unwrap();
    assert!(zero.environment("production").unwrap().checks(&flag("new")).is_empty());
    // The environment as it was: `new` was off then, so that its checks rest; but `cart` had one that breaks.
    let member = check(r#"{"email":"a@acme.com"}"#, r#"{"variation":"on"}"#);
    project.put("cart", &cart(&member));
    let edits = change::put_segment(&project.state, &production(), &segment("staff"), &json("{}"), CONFIRMED);
    let emptied = project.state.with(&edits.unwrap()).unwrap();
    project
        .segment("staff", r#"{"include":["u-9"],"rules":[{"if":[{"attr":"email","ends":["@acme.com"]}]}]}"#);
    let then = emptied.environment("production").unwrap();
    let restore = |terms| change::restore_environment(&project.state, &production(), then, terms);
    assert_eq!(restore(Terms::default()).unwrap_err().code(), ASKED);
    assert!(restore(CONFIRMED).is_ok());
    assert!(
        change::restore_environment(
            &project.state,
            &production(),
            good.environment("production").unwrap(),
            terms
        )
        .is_ok()
    );
    // A pause is never asked about anything.
    let ramp = format!(
        r#"{{"on":true,"off":"off","fallthrough":{{"ramp":{{"serve":"on","steps":[["2026-12-01T00:00:00Z","1%"],["2026-12-03T00:00:00Z","100%"]]}}}},"checks":[{}]}}"#,
        on.replace(AT, "2026-12-04T00:00:00Z")
    );
    let edits =
        project.try_put_with("new", &ramp, Terms { confirmation: Confirmation::Given, ..terms }).unwrap();
    project.record(edits);
    assert!(change::pause_ramp(&project.state, &production(), &flag("new"), &json("{}"), terms).is_ok());
}

#[test]
fn switching_off_asks_no_check_and_rests_those_of_flags_that_depend_on_it() {
    let mut project = project();
    project.put("pay", r#"{"on":true,"fallthrough":{"serve":"on"}}"#);
    let needy = cart(&check(r#"{"country":"DE"}"#, r#"{"variation":"on","reason":"TARGETING_MATCH"}"#))
        .replacen(r#""rules""#, r#""prerequisites":[{"flag":"pay","is":["on"]}],"rules""#, 1);
    project.put("cart", &needy);
    assert_eq!(check_lines(&project).len(), 1);
    for key in ["pay", "cart"] {
        for (on, lines) in [(false, 0), (true, 1)] {
            let edits =
                change::switch(&project.state, &production(), &flag(key), on, Terms::default()).unwrap();
            project.record(edits);
            assert_eq!(check_lines(&project).len(), lines, "{key} {on}");
        }
    }
    // While it rests anything may be written; what then does not hold is found when it is switched on.
    project.put("cart", &needy.replacen("true", "false", 1).replace(r#"["DE"]"#, r#"["AT"]"#));
    let on = change::switch(&project.state, &production(), &flag("cart"), true, Terms::default());
    assert_eq!(on.unwrap_err().code(), ASKED);
}

#[test]
fn what_is_no_check_is_refused_at_its_place() {
    let refused = |check: &str| {
        let targeting = Targeting::parse(&json(&format!(r#"{{"on":true,"checks":[{check}]}}"#)));
        let problems = targeting.unwrap_err();
        problems.iter().map(|problem| problem.pointer.clone()).collect::<Vec<_>>()
    };
    for (check, at) in [
        ("1", ""),
        (r#"{"expect":{"variation":"on"}}"#, "/at"),
        (r#"{"at":"2026-12-02","expect":{"variation":"on"}}"#, "/at"),
        (r#"{"at":"2026-12-02T12:00:00Z"}"#, "/expect"),
        (r#"{"at":"2026-12-02T12:00:00Z","expect":{}}"#, "/expect"),
        (r#"{"at":"2026-12-02T12:00:00Z","expect":{"variation":1}}"#, "/expect/variation"),
        (r#"{"at":"2026-12-02T12:00:00Z","expect":{"reason":"FINE"}}"#, "/expect/reason"),
        (r#"{"at":"2026-12-02T12:00:00Z","expect":{"rule":null,"value":true}}"#, "/expect/value"),
        (r#"{"at":"2026-12-02T12:00:00Z","context":[],"expect":{"rule":null}}"#, "/context"),
    ] {
        assert_eq!(refused(check), [format!("/checks/0{at}")], "{check}");
    }
    let unknown = project().try_put("cart", &cart(&check("{}", r#"{"variation":"maybe"}"#)));
    assert_eq!(told(unknown), [("invalid-request", "/checks/0/expect/variation".into())]);
}

#[test]
fn checks_and_their_contexts_have_limits() {
    let parse = |checks: &str| Targeting::parse(&json(&format!(r#"{{"on":true,"checks":[{checks}]}}"#)));
    let one = check("{}", r#"{"rule":null}"#);
    assert!(parse(&vec![one.clone(); MAX_CHECKS].join(",")).is_ok());
    assert!(parse(&vec![one; MAX_CHECKS + 1].join(",")).is_err());
    let sized = |bytes: usize| check(&format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8)), r#"{"rule":null}"#);
    assert!(parse(&sized(MAX_CHECK_CONTEXT_BYTES)).is_ok());
    assert!(parse(&sized(MAX_CHECK_CONTEXT_BYTES + 1)).is_err());
    let nested = |depth: usize| {
        let (open, close) = (r#"{"a":"#.repeat(depth), "}".repeat(depth));
        let text =
            format!(r#"{{"on":true,"checks":[{}]}}"#, check(&format!("{open}1{close}"), r#"{"rule":null}"#));
        let options = flagstone_model::json::ParseOptions {
            max_depth: 64,
            duplicates: flagstone_model::json::Duplicates::Refuse,
        };
        Targeting::parse(&Json::parse_with(text.as_bytes(), options).unwrap().into_owned())
    };
    assert!(nested(MAX_CHECK_CONTEXT_DEPTH).is_ok());
    assert!(nested(MAX_CHECK_CONTEXT_DEPTH + 1).is_err());
}

/// The checks that are generated for a flag, as lines.
fn generated(project: &Project, key: &str) -> Vec<String> {
    let lines = project.lines();
    let line = |entity: &Entity| {
        let head = if let Entity::Flag(key) = entity {
            format!(r#"{{"flag":"{key}","#)
        } else if let Entity::Segment(key) = entity {
            format!(r#"{{"segment":"{key}""#)
        } else {
            return None;
        };
        lines.iter().find(|line| line.starts_with(&head)).map(String::as_bytes)
    };
    let reached = Reached::of(key, line).unwrap();
    generate(&reached).iter().zip(1..).map(|(check, number)| check.line(key, number)).collect()
}

#[test]
fn each_rule_that_can_be_reached_is_reached_by_a_generated_check() {
    let mut project = project();
    project.create(r#"{"key":"many","type":"string","variations":{"a":"1","b":"2"}}"#);
    project.put(
        "many",
        r#"{"on":true,"off":"a","prerequisites":[],"deny":{"a":["u-13"]},"targets":{"b":["u-7"]},
            "rules":[{"id":"in","if":[{"attr":"country","in":["DE"]}],"serve":"b"},
                     {"id":"deep","if":[{"attr":"org.plan","starts":["p"],"ends":["o"]}],"serve":"b"},
                     {"id":"number","if":[{"attr":"age","between":[18,65]},{"not":{"attr":"beta","in":[true]}}],"serve":"b"},
                     {"id":"segment","if":[{"segment":["staff"]}],"serve":"b"},
                     {"id":"nested","if":[{"any":[{"all":[{"attr":"x","contains":["y"]},{"attr":"z","gt":1}]},{"attr":"w","exists":true}]}],"serve":"b"},
                     {"id":"time","schedule":{"start":"2027-01-01T00:00:00Z"},"if":[{"attr":"q","in":["r"]}],"serve":"b"},
                     {"id":"bucket","if":[{"bucket":{"salt":"s","in":[[99000,100000]]}}],"serve":"b"},
                     {"id":"ramp","if":[{"attr":"k","in":[1]}],"ramp":{"serve":"b","steps":[["2026-12-01T00:00:00Z","1%"]]}},
                     {"id":"split","if":[{"attr":"v","in":["v"]}],"rollout":{"by":"org.key","weights":{"a":50000,"b":50000}}}],
            "fallthrough":{"rollout":{"weights":{"a":"50%","b":"50%"}}}}"#,
    );
    let lines = generated(&project, "many");
    let hit = |rule: &str| lines.iter().any(|line| line.ends_with(&format!(r#","rule":"{rule}"}}}}"#)));
    for rule in [
        "deny:a", "target:b", "in", "deep", "number", "segment", "nested", "time", "bucket", "ramp", "split",
        "rollout",
    ] {
        assert!(hit(rule), "{rule} in {lines:#?}");
    }
    assert!(lines.contains(&r#"{"check":"many/1","flag":"many","at":"2026-01-01T00:00:00Z","context":{"targetingKey":"u-13"},"expect":{"variation":"a","reason":"TARGETING_MATCH","rule":"deny:a"}}"#.to_owned()));
    // None is published: no test of them could be read in two ways.
    assert_eq!(check_lines(&project), Vec::<String>::new());
}

#[test]
fn a_flag_without_delicate_tests_has_no_generated_lines_and_a_kill_leaves_none() {
    let mut project = project();
    project.put("cart", &cart(""));
    assert_eq!(check_lines(&project), Vec::<String>::new());
    let of_time =
        r#"{"on":true,"rules":[{"id":"r","schedule":{"start":"2026-12-01T00:00:00Z"},"serve":"on"}]}"#;
    project.put("cart", of_time);
    assert_eq!(check_lines(&project), Vec::<String>::new(), "a schedule is no test of an attribute");
}

#[test]
fn flags_with_delicate_tests_have_two_generated_checks() {
    let mut project = project();
    let rule = |test: &str| {
        let rule = format!(r#"{{"id":"r","if":[{test}],"serve":"on"}}"#);
        format!(r#"{{"on":true,"off":"off","rules":[{rule}],"fallthrough":{{"serve":"off"}}}}"#)
    };
    let line = |number: usize, context: &str, expect: &str| {
        let at = "2026-01-01T00:00:00Z";
        format!(
            r#"{{"check":"cart/{number}","flag":"cart","at":"{at}","context":{context},"expect":{expect}}}"#
        )
    };
    let on = r#"{"variation":"on","reason":"TARGETING_MATCH","rule":"r"}"#;
    let off = r#"{"variation":"off","reason":"DEFAULT"}"#;
    for (test, hit, missed) in [
        (r#"{"attr":"v","semver":"^1.2.3"}"#, r#"{"v":"1.2.3"}"#, r#"{"v":"1.2.2"}"#),
        (r#"{"attr":"v","matches":"^(ab|c)\\d$"}"#, r#"{"v":"ab0"}"#, r#"{"v":"ab"}"#),
        (r#"{"attr":"v","cidr":["10.0.0.0/8"]}"#, r#"{"v":"10.0.0.0"}"#, r#"{"v":"9.255.255.255"}"#),
        (
            r#"{"attr":"v","since":"2026-12-01T00:00:00Z"}"#,
            r#"{"v":"2026-12-01T00:00:00Z"}"#,
            r#"{"v":"2026-11-30T23:59:59.999Z"}"#,
        ),
        (
            r#"{"attr":"v","fold":"ascii","ends":["@acme.com"]}"#,
            r#"{"v":"@ACME.COM"}"#,
            r#"{"v":"@ACME.CO"}"#,
        ),
    ] {
        project.put("cart", &rule(test));
        assert_eq!(check_lines(&project), [line(1, hit, on), line(2, missed, off)], "{test}");
        assert_eq!(check_lines(&project).len(), MAX_PUBLISHED);
    }
    // Through a segment, too, and after the author's own, which alone is left while it is off: it holds then, too.
    project.segment("staff", r#"{"rules":[{"if":[{"attr":"v","semver":">=2.0.0"}]}]}"#);
    let own = check(r#"{"v":"1.0.0"}"#, r#"{"variation":"off"}"#);
    project.put(
        "cart",
        &rule(r#"{"segment":["staff"]}"#)
            .replace(r#""serve":"off"}}"#, &format!(r#""serve":"off"}},"checks":[{own}]}}"#)),
    );
    assert_eq!(
        check_lines(&project)[1..],
        [line(2, r#"{"v":"2.0.0"}"#, on), line(3, r#"{"v":"1.0.0"}"#, off)]
    );
    let edits =
        change::switch(&project.state, &production(), &flag("cart"), false, Terms::default()).unwrap();
    project.record(edits);
    let lines = check_lines(&project);
    assert!(matches!(&lines[..], [own] if own.contains(r#""check":"cart/1""#)), "{lines:?}");
}

#[test]
fn segments_are_forgotten_when_nothing_refers_to_them() {
    let project = project();
    let edits = change::delete_segment(&project.state, &production(), &segment("staff"), Terms::default());
    assert!(edits.is_ok());
    let key = FlagKey::parse("gone").unwrap();
    assert!(project.state.environment("production").unwrap().checks(&key).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn generated_checks_hold_of_all_lines_and_are_always_the_same(targeting in crate::invariants::grounded()) {
        let mut project = crate::invariants::project();
        if crate::invariants::put(&mut project, &targeting).is_none() {
            return Ok(());
        }
        let lines = generated(&project, "x");
        prop_assert!(!lines.is_empty());
        prop_assert_eq!(&lines, &generated(&project, "x"));
        let snapshot = crate::invariants::compiled(&project);
        for line in &lines {
            let line = json(line);
            let context = line.member("context").map_or_else(Default::default, |context| {
                flagstone_model::context::Context::from_json(context).unwrap()
            });
            let at = flagstone_model::instant::Instant::parse(line.member("at").unwrap().as_str().unwrap()).unwrap();
            let details = snapshot.evaluate("x", None, &context, at);
            let expect = line.member("expect").unwrap();
            let text = |member: &str| expect.member(member).and_then(Json::as_str);
            prop_assert_eq!(text("variation"), details.variation.map(|key| &**key));
            prop_assert_eq!(text("reason"), Some(details.reason.as_str()));
            prop_assert_eq!(text("rule"), details.rule.map(|key| &**key));
        }
        let refolded = project.refolded();
        let again = flagstone_publisher::build::build(&refolded, &production(), &flagstone_model::key::ViewId::server()).unwrap();
        let again: Vec<String> = again.iter().map(ToString::to_string).collect();
        prop_assert_eq!(again, project.lines());
    }
}
