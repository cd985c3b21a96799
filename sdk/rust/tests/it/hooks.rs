//! Hooks see what the application asks for, and can harm nobody.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use flagstone::{Context, ErrorCode, Evaluation, EvaluationCounts, EvaluationEvents, Reason, TestData};
use tracing::field::{Field, Visit};

fn flags() -> TestData {
    TestData::new().flag("a", true).flag("b", "text")
}

fn user() -> Context {
    Context::with_targeting_key("mina@example.com").set("plan", "secret-plan")
}

#[test]
fn a_hook_sees_each_getter_and_nothing_else() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to_see = Arc::clone(&seen);
    let hook = move |evaluation: &Evaluation<'_>| {
        assert_eq!((evaluation.set, evaluation.version.is_some()), ("test/test", true));
        let variation = evaluation.variation.map(ToOwned::to_owned);
        to_see.lock().unwrap().push((
            evaluation.flag.to_owned(),
            variation,
            evaluation.reason,
            evaluation.error_code,
            evaluation.overridden,
        ));
    };
    let client = flags().builder().hook(hook).overrides([("c", 1)]).build().unwrap();
    client.all_flags(&user());
    client.flag_keys();
    assert!(seen.lock().unwrap().is_empty());
    client.is_enabled("a", &user());
    client.string_details("b", "", &user());
    client.variation("missing", &user());
    client.int("a", 0, &user());
    client.details("c", &user());
    let of = |flag: &str, variation: Option<&str>, reason, code, overridden| {
        (flag.to_owned(), variation.map(ToOwned::to_owned), reason, code, overridden)
    };
    assert_eq!(
        *seen.lock().unwrap(),
        [
            of("a", Some("on"), Reason::Static, None, false),
            of("b", Some("v1"), Reason::Static, None, false),
            of("missing", None, Reason::Error, Some(ErrorCode::FlagNotFound), false),
            of("a", None, Reason::Error, Some(ErrorCode::TypeMismatch), false),
            of("c", Some("(override)"), Reason::Static, None, true),
        ]
    );
}

#[test]
fn a_hook_that_panics_is_counted_and_the_next_one_is_called() {
    let counts = EvaluationCounts::new();
    let client = flags()
        .builder()
        .hook(|_: &Evaluation<'_>| panic!("of the application's own making"))
        .hook(counts.clone())
        .build()
        .unwrap();
    assert!(client.is_enabled("a", &user()));
    assert!(client.is_enabled("a", &user()));
    assert_eq!(client.status().counters.hook_panics, 2);
    assert_eq!(counts.read()[0].count, 2);
}

#[test]
fn evaluations_are_counted_by_flag_variation_and_reason() {
    let counts = EvaluationCounts::new();
    let flags = flags();
    let client = flags.builder().hook(counts.clone()).build().unwrap();
    for _ in 0..3 {
        client.is_enabled("a", &user());
    }
    flags.flag("a", false).check().unwrap();
    client.is_enabled("a", &user());
    client.is_enabled("missing", &user());
    let read: Vec<_> = counts
        .read()
        .into_iter()
        .map(|counted| (counted.flag, counted.variation.unwrap_or_default(), counted.reason, counted.count))
        .collect();
    let of =
        |flag: &str, variation: &str, reason, count| (flag.to_owned(), variation.to_owned(), reason, count);
    assert_eq!(
        read,
        [
            of("a", "off", Reason::Static, 1),
            of("a", "on", Reason::Static, 3),
            of("missing", "", Reason::Error, 1)
        ]
    );
}

/// Keeps the fields of each event.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl tracing::Subscriber for Events {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "feature_flag"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(BTreeMap::from([("name".to_owned(), event.metadata().name().to_owned())]));
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// The names and the lower case are those of OpenTelemetry's semantic conventions for feature flags.
#[test]
fn an_evaluation_event_has_the_attributes_of_opentelemetry_and_nothing_of_the_context() {
    let client = flags().builder().hook(EvaluationEvents).build().unwrap();
    let version = client.status().version.unwrap().to_string();
    let events = Events::default();
    tracing::subscriber::with_default(events.clone(), || {
        client.is_enabled("a", &user());
        client.is_enabled("missing", &user());
    });
    let fields = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let expected = [
        fields(&[
            ("name", "feature_flag.evaluation"),
            ("feature_flag.key", "a"),
            ("feature_flag.provider.name", "flagstone"),
            ("feature_flag.result.variant", "on"),
            ("feature_flag.result.reason", "static"),
            ("feature_flag.set.id", "test/test"),
            ("feature_flag.version", &version),
        ]),
        fields(&[
            ("name", "feature_flag.evaluation"),
            ("feature_flag.key", "missing"),
            ("feature_flag.provider.name", "flagstone"),
            ("feature_flag.result.reason", "error"),
            ("feature_flag.set.id", "test/test"),
            ("feature_flag.version", &version),
            ("error.type", "flag_not_found"),
        ]),
    ];
    let events = events.0.lock().unwrap();
    assert_eq!(*events, expected);
    assert!(!format!("{events:?}").contains("mina") && !format!("{events:?}").contains("secret-plan"));
}
