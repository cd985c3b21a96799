//! The hot path allocates nothing: counted by an allocator that this binary has to itself.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

use std::sync::Arc;

use allocation_counter::measure;
use flagstone::{Client, Connection, Context, Evaluation, EvaluationCounts, Reason, Record, TestData};

/// The worked example: a segment, a rollout, prerequisites absent.
const BUNDLE: &[u8] = include_bytes!("../../../testdata/example/stream.bundle");
const CONNECTION: &str = "flagstone://cdn.example?project=shop&environment=production&view=server\
    &root=1:04862e2461b74b1612c58325e4dba3edca6c1330dcef495a72cc6ed5bfbd2565";

fn client() -> Client {
    let connection: Connection = CONNECTION.parse().unwrap();
    Client::builder(connection).bundle(BUNDLE).offline().unwrap()
}

#[test]
fn a_call_by_name_with_details_allocates_nothing() {
    let client = client();
    let staff = Context::with_targeting_key("u-1").set("email", "someone@example.com");
    let others = Context::with_targeting_key("u-2").set("email", "someone@elsewhere.example");
    // Whatever is set up once per thread.
    client.bool("new-checkout", false, &staff);

    let mut reasons = Vec::with_capacity(3);
    let counted = measure(|| {
        for (key, context) in [("dark-mode", &staff), ("new-checkout", &staff), ("new-checkout", &others)] {
            let details = client.bool_details(key, false, context);
            reasons.push(details.reason);
            client.bool(key, false, context);
            client.is_enabled(key, context);
            client.variation(key, context);
        }
        client.bool_details("missing", false, &staff);
        client.int_details("new-checkout", 1, &staff);
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert_eq!(reasons[..2], [Reason::Static, Reason::TargetingMatch]);
}

#[test]
fn a_default_text_is_allocated_only_where_it_is_returned() {
    let client = client();
    let context = Context::new();
    let shared: Arc<str> = "default".into();
    let counted = measure(|| {
        client.string_details("missing", Arc::clone(&shared), &context);
    });
    assert_eq!(counted.count_total, 0);
    let counted = measure(|| {
        client.string_details("missing", "default", &context);
    });
    assert_eq!(counted.count_total, 1);
}

#[test]
fn overrides_hooks_and_known_exposures_allocate_nothing() {
    let line = r#"{"flag":"cta","type":"bool","rev":1,"on":true,"values":{"on":true},"rules":[{"id":"test","split":{"salt":"cta","ranges":[[0,100000,"on"]]},"exp":"cta.1"}]}"#;
    let client = TestData::new()
        .line(line)
        .flag("other", true)
        .builder()
        .overrides([("other", false)])
        .hook(|evaluation: &Evaluation<'_>| assert!(evaluation.variation.is_some()))
        .hook(EvaluationCounts::new())
        .sink(|_: &Record| {})
        .build()
        .unwrap();
    let context = Context::with_targeting_key("u-1");
    for key in ["cta", "other"] {
        client.bool(key, false, &context);
    }
    let counted = measure(|| {
        for key in ["cta", "other"] {
            client.bool(key, false, &context);
            client.bool_details(key, false, &context);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert!(client.bool_details("other", true, &context).overridden);
}
