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
