//! No log line, error, or `Debug` holds an SDK key or anything of a context.

use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flagstone::{Context, EvaluationEvents, Record, Sink, TestData};
use tracing::field::{Field, Visit};

use crate::world::World;

/// In every secret of this test, and in nothing else of this binary.
const CANARY: &str = "canary-7f3a";

/// Counts what is logged by any thread, and keeps what it must not find.
#[derive(Clone, Default)]
struct Cage(Arc<Mutex<(usize, Vec<String>)>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl tracing::Subscriber for Cage {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(event.metadata().target().to_owned());
        event.record(&mut text);
        let mut cage = self.0.lock().unwrap();
        if text.0.contains(CANARY) {
            cage.1.push(text.0);
        } else if text.0.starts_with("flagstone") || text.0.starts_with("feature_flag") {
            cage.0 += 1;
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

struct Failing;

impl Sink for Failing {
    fn deliver(&mut self, record: &Record) -> io::Result<()> {
        Err(io::Error::other(record.to_json().to_string()))
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_said_holds_a_key_or_anything_of_a_context() {
    let cage = Cage::default();
    tracing::subscriber::set_global_default(cage.clone()).unwrap();
    let secret = |name: &str| format!("{CANARY}-{name}");
    let context = Context::with_targeting_key(secret("unit"))
        .set("email", secret("email"))
        .set("org", Context::new().set("key", secret("org")));
    let mut said = format!("{context:?}");

    let world = World::new();
    let client = world.builder().sdk_key(secret("key")).sink(Failing).build().unwrap();
    let refused = client.refresh().await.unwrap_err();
    let track = client.track("bought", None, &context).unwrap_err();
    write!(said, "{refused} {refused:?} {track} {track:?} {client:?} {:?}", client.status()).unwrap();
    client.close().await;

    let flags = TestData::new()
        .line(r#"{"flag":"cta","type":"string","rev":1,"on":true,"values":{"red":"r"},"rules":[{"id":"test","if":[{"attr":"email","contains":["@"],"absent":true}],"split":{"salt":"cta","ranges":[[0,100000,"red"]]},"exp":"cta.1"}]}"#)
        .line(r#"{"flag":"org","type":"string","rev":1,"on":true,"values":{"red":"r"},"rules":[{"id":"test","split":{"by":"org.key","salt":"org","ranges":[[0,100000,"red"]]},"exp":"org.1"}]}"#);
    let builder = flags.builder().hook(EvaluationEvents).sink(Failing);
    let client = builder.sink(|_: &Record| panic!("of the application's own making")).build().unwrap();
    for key in ["cta", "org", "missing"] {
        let details = client.bool_details(key, false, &context);
        write!(said, "{details:?} {:?}", client.message(key, &details)).unwrap();
        client.string(key, "", &context);
    }
    client.track("bought", Some(1.0), &context).unwrap();
    assert!(client.flush(Duration::from_mins(1)).await);
    write!(said, "{client:?} {:?} {flags:?}", client.status()).unwrap();
    client.close().await;

    let mut world = World::new();
    let line = r#"{"flag":"vip","type":"string","rev":1,"on":true,"values":{"on":"SECRET-value"},"rules":[{"id":"r","if":[{"any":[{"attr":"email","in":["SECRET-in"],"absent":true},{"attr":"email","ends":["SECRET-email"]}]}],"serve":"on"}]}"#;
    let check = r#"{"check":"vip/1","flag":"vip","at":"2026-11-21T00:00:00Z","context":{"email":"SECRET-check"},"expect":{"variation":"off","reason":"STATIC"}}"#;
    world.publisher.set_line("vip", &line.replace("SECRET", CANARY));
    world.publisher.set_line("check", &check.replace("SECRET", CANARY));
    let published = world.next();
    world.upload(&published);
    let directory = tempfile::tempdir().unwrap();
    let builder = || world.builder().cache_dir(directory.path());
    let (polling, manual) = (world.client().await, builder().manual().unwrap());
    manual.refresh().await.unwrap();
    let offline = builder().offline().unwrap();
    polling.refresh().await.unwrap();
    for client in [&polling, &manual, &offline] {
        client.set_override("release", secret("override")).unwrap();
        assert!(client.string("vip", "", &context).contains(CANARY) && client.status().is_stale());
        write!(said, "{client:?} {:?} {:?}", client.status(), client.events().next().await).unwrap();
        client.close().await;
    }

    assert!(!said.contains(CANARY), "{said}");
    let cage = cage.0.lock().unwrap();
    assert!(cage.1.is_empty(), "{:?}", cage.1);
    assert!(cage.0 > 5, "something was logged");
}
