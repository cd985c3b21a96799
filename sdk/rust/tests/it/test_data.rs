//! Flags made up for tests.

use std::sync::{Arc, Mutex};

use flagstone::{BuildError, Context, Json, Reason, Source, TestData, TestDataError};

fn unit(key: &str) -> Context {
    Context::with_targeting_key(key)
}

#[test]
fn a_client_of_made_up_flags_is_ready_without_a_network_and_a_runtime() {
    let flags = TestData::new()
        .flag("bool", true)
        .flag("text", "blue")
        .flag("int", 7)
        .flag("float", 0.5)
        .flag("json", Json::parse(br#"{"b":1,"a":[2]}"#).unwrap().into_owned());
    let (client, context) = (flags.client().unwrap(), Context::new());
    let status = client.status();
    assert!(status.ready && !status.is_stale());
    assert_eq!((status.source, status.code()), (Some(Source::TestData), None));
    assert!(client.is_enabled("bool", &context));
    assert_eq!(&*client.string("text", "", &context), "blue");
    assert_eq!((client.int("int", 0, &context), client.float("float", 0.0, &context)), (7, 0.5));
    assert_eq!(client.json("json", Json::Null, &context).to_string(), r#"{"b":1,"a":[2]}"#);
    assert_eq!(client.bool_details("bool", false, &context).reason, Reason::Static);
    assert_eq!(client.flag_keys().len(), 5);
}

#[test]
fn a_unit_is_served_what_was_said_for_it() {
    let flags = TestData::new()
        .flag_for("u-1", "new", true)
        .flag_for("u-1", "limit", 10)
        .flag_for("u-2", "limit", 20)
        .flag("kept", false)
        .flag_for("u-1", "kept", true)
        .flag("kept", false);
    let client = flags.client().unwrap();
    assert!(client.is_enabled("new", &unit("u-1")) && !client.is_enabled("new", &unit("u-2")));
    let limits = ["u-1", "u-2", "u-3"].map(|key| client.int("limit", -1, &unit(key)));
    assert_eq!(limits, [10, 20, -1]);
    assert!(client.is_enabled("kept", &unit("u-1")) && !client.is_enabled("kept", &unit("u-2")));
    let details = client.int_details("limit", -1, &unit("u-1"));
    assert_eq!((details.variation.as_deref(), details.reason), (Some("v1"), Reason::TargetingMatch));
}

#[test]
fn variations_are_served_by_name() {
    let flags = TestData::new()
        .variations("search", [("vector", "v"), ("classic", "c"), ("neural", "n")])
        .serve_for("u-1", "search", "neural");
    let client = flags.client().unwrap();
    let served = |key: &str| client.variation("search", &unit(key)).unwrap().to_string();
    assert_eq!([served("u-1"), served("u-2")], ["neural", "vector"]);
    flags.serve("search", "classic").check().unwrap();
    assert_eq!([served("u-1"), served("u-2")], ["neural", "classic"]);
}

#[test]
fn a_change_is_seen_by_all_clients_before_the_call_returns() {
    let flags = TestData::new().flag("a", false).flag("b", 1);
    let clients = [flags.client().unwrap(), flags.client().unwrap()];
    let told = Arc::new(Mutex::new(Vec::new()));
    let (heard, again) = (Arc::clone(&told), flags.clone());
    clients[0].on_change(move |change| {
        heard.lock().unwrap().push((change.version, change.keys.iter().map(ToString::to_string).collect()));
        // A listener may look at, and change, what it was told of.
        again.check().unwrap();
    });
    let before = clients[1].status().version.unwrap();
    let flags = flags.flag("a", true);
    assert!(clients.iter().all(|client| client.is_enabled("a", &Context::new())));
    let flags = flags.without("b");
    assert_eq!(clients[0].int("b", -1, &Context::new()), -1);
    let keys = |key: &str| vec![key.to_owned()];
    assert_eq!(*told.lock().unwrap(), [(Some(before + 1), keys("a")), (Some(before + 2), keys("b"))]);
    drop(clients);
    assert_eq!(flags.flag("a", false).client().unwrap().status().version, Some(before + 3));
}

#[test]
fn whole_lines_are_served_with_what_they_name() {
    let flags = TestData::new()
        .line(r#"{"segment":"staff","if":[{"attr":"email","ends":["@acme.com"]}]}"#)
        .line(r#"{"flag":"beta","type":"bool","rev":3,"on":true,"values":{"off":false,"on":true},"off":"off","rules":[{"id":"staff","if":[{"segment":["staff"]}],"serve":"on"}],"fallthrough":"off"}"#);
    let client = flags.client().unwrap();
    let mina = unit("u-1").set("email", "mina@acme.com");
    assert_eq!(client.bool_details("beta", false, &mina).rule.as_deref(), Some("staff"));
    assert!(!client.is_enabled("beta", &unit("u-1")));
    flags.line(r#"{"segment":"staff","if":[]}"#).check().unwrap();
    assert!(client.is_enabled("beta", &unit("u-1")));
}

#[test]
fn what_is_not_possible_changes_nothing_and_is_told() {
    let good = || TestData::new().flag("a", true);
    let variation =
        |name: &str| TestDataError::Variation { flag: "a".to_owned(), variation: name.to_owned() };
    let none: [(&str, i32); 0] = [];
    for (flags, error, code) in [
        (good().flag("a b", true), TestDataError::Key("a b".to_owned()), "flag-key"),
        (good().flag("f", f64::INFINITY), TestDataError::Value("f".to_owned()), "flag-value"),
        (good().flag_for("u", "a", 1), TestDataError::Type("a".to_owned()), "flag-type"),
        (good().serve("a", "maybe"), variation("maybe"), "no-such-variation"),
        (good().variations("a", none), variation(""), "no-such-variation"),
        (good().variations("a", [("x", 1), ("x", 2)]), variation("x"), "no-such-variation"),
        (good().line("no line"), TestDataError::Line { pointer: String::new(), code: "no-head" }, "no-head"),
        (
            good().line(r#"{"flag":"a","type":"bool","rev":1,"on":true,"values":{"on":true},"off":"none"}"#),
            TestDataError::Line { pointer: "/off".to_owned(), code: "unreadable" },
            "unreadable",
        ),
    ] {
        assert_eq!(flags.check(), Err(error.clone()));
        let refused = flags.client().unwrap_err();
        assert_eq!(refused.code(), code);
        assert!(matches!(refused, BuildError::TestData(told) if told == error));
    }
    let flags = good();
    let client = flags.client().unwrap();
    assert!(flags.flag_for("u", "a", 1).flag("a", false).check().is_err());
    assert!(!client.is_enabled("a", &unit("u")), "the call after it was possible");
}

#[test]
fn a_message_names_the_key_that_was_meant() {
    let flags = TestData::new().flag("new-checkout", true).flag("search", "classic").flag("z", 1);
    let (client, context) = (flags.client().unwrap(), Context::new());
    let message = |key: &str| client.message(key, &client.bool_details(key, false, &context));
    assert_eq!(message("new-checkout"), None);
    assert_eq!(
        message("new-chekout").as_deref(),
        Some("no flag `new-chekout`; did you mean `new-checkout`?")
    );
    assert_eq!(message("billing").as_deref(), Some("no flag `billing`"));
    assert_eq!(
        message("search").as_deref(),
        Some("flag `search` is of type string, and was asked for as another")
    );
}

#[test]
fn all_flags_are_those_of_one_snapshot_with_their_details() {
    let flags = TestData::new().flag("a", true).flag_for("u-1", "b", 10);
    let client = flags.client().unwrap();
    let all = client.all_flags(&unit("u-1"));
    assert_eq!(all.keys().map(|key| &**key).collect::<Vec<_>>(), ["a", "b"]);
    for (key, details) in &all {
        assert_eq!(*details, client.details(key, &unit("u-1")));
    }
    let none = TestData::new().client().unwrap();
    assert!(none.all_flags(&unit("u-1")).is_empty());
}
