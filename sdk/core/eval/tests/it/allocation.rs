//! An evaluation allocates nothing.

use flagstone_model::context::Context;
use flagstone_model::value::FlagType;

use super::{NOW, compile, flag_if};

#[test]
fn a_call_by_name_with_details_segments_and_prerequisites_allocates_nothing() {
    let flag = r#"{"flag":"f","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","needs":[{"flag":"p","is":["on"]},{"time":{"since":"2026-11-01T00:00:00Z"}}],"rules":[{"id":"staff","if":[{"segment":["staff"]}],"serve":"on"},{"id":"ramp","if":[{"bucket":{"by":"org.id","salt":"r","ramp":[["2026-12-01T09:00:00Z",1]],"linear":true}}],"serve":"on"},{"id":"rollout","split":{"by":"org.id","salt":"f","ranges":[[0,1,"on"],[1,100000,"off"]]},"exp":"f.1"}],"fallthrough":"off"}"#;
    let parent = flag_if("p", r#"{"not":{"attr":"country","in":["US"]}}"#);
    let staff = r#"{"segment":"staff","if":[{"any":[{"attr":"email","ends":["@acme.com"]},{"attr":"roles","in":["a","b","c","d","e","f","g","h","i"]}]}]}"#;
    let snapshot = compile(&[flag, &parent, staff]);
    let context = Context::with_targeting_key("u-1")
        .set("country", "DE")
        .set("email", "x@example.org")
        .set("roles", vec!["reader"])
        .set("org", Context::new().set("id", 42));
    let mut served = None;
    let counted = allocation_counter::measure(|| {
        let details = snapshot.evaluate("f", Some(FlagType::Bool), &context, NOW);
        served = Some((details.rule.is_some(), details.bucket.is_some(), details.exp.is_some()));
    });
    assert_eq!(served, Some((true, true, true)), "the whole way down to the split");
    assert_eq!(counted.count_total, 0);
}

#[test]
fn no_test_of_an_attribute_allocates() {
    let tests = [
        r#""exists":true,"has_all":["abc"],"in":["abc"],"starts":["a"],"ends":["c"],"contains":["b"]"#,
        r#""has_all":["abc"],"in":["abc"],"starts":["a"],"ends":["c"],"contains":["b"],"fold":"ascii""#,
        r#""semver":">=1.0.0 <2.0.0-0""#,
        r#""since":"2020-01-01T00:00:00Z","before":"2030-01-01T00:00:00Z""#,
        r#""cidr":["10.0.0.0/8","2001:db8::/32"]"#,
        r#""listed":"held""#,
        r#""gt":1,"lt":100,"as":"number""#,
        r#""in":["42"],"starts":["4"],"as":"string""#,
        r#""hashed":{"salt":"s","starts":[[1,"f4bf9f7fcbedaba0"]]}"#,
        r#""hashed":{"salt":"s","starts":[[1,"f4bf9f7fcbedaba0"]]},"fold":"ascii""#,
    ];
    let leaves: Vec<_> =
        tests.iter().map(|tests| format!(r#"{{"attr":"a","absent":false,{tests}}}"#)).collect();
    let flag = flag_if("f", &format!(r#"{{"any":[{}]}},{{"any":[]}}"#, leaves.join(",")));
    let snapshot = super::generate::with_held(&compile(&[&flag, super::generate::LISTS[1]]));
    for value in [
        "abc",
        "ABC",
        "1.4.0-rc.1",
        "2026-12-02T12:00:00.25+01:00",
        "10.1.2.3",
        "2001:db8::1",
        "zz",
        "12.5",
        "",
    ] {
        // Two elements, so that none decides early.
        let context = Context::new().set("a", vec!["-", value, "-"]).set("b", value);
        let counted = allocation_counter::measure(|| {
            snapshot.evaluate("f", Some(FlagType::Bool), &context, NOW);
        });
        assert_eq!(counted.count_total, 0, "{value}");
    }
    let context = Context::new().set("a", 42);
    assert_eq!(
        allocation_counter::measure(|| _ = snapshot.evaluate("f", None, &context, NOW)).count_total,
        0
    );
}

#[test]
fn an_expression_allocates_once_for_a_thread() {
    let flag = flag_if("f", r#"{"attr":"a","matches":"^(?:beta|rc)-[0-9]{1,3}(?:é|ü)?$"}"#);
    let snapshot = compile(&[&flag]);
    let context = |value: &str| Context::new().set("a", value);
    let (first, second) = (context("beta-7"), context("rc-123é"));
    assert!(snapshot.evaluate("f", None, &first, NOW).rule.is_some());
    let again = allocation_counter::measure(|| {
        for _ in 0..100 {
            assert!(snapshot.evaluate("f", None, &first, NOW).rule.is_some());
        }
    });
    assert_eq!(again.count_total, 0);
    // Another subject may show the engine states that it has not met.
    assert!(snapshot.evaluate("f", None, &second, NOW).rule.is_some());
    let again = allocation_counter::measure(|| _ = snapshot.evaluate("f", None, &second, NOW));
    assert_eq!(again.count_total, 0);
}
