//! FORMAT M-7.2 and M-7.3: what is recorded, when, for whom, and what never is.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flagstone::{
    BuildError, Client, Context, EXPOSURES_REMEMBERED, Exposure, JsonLinesFile, MAX_EVENT_CHARS,
    MAX_RECORD_QUEUE, Record, TestBuilder, TestData, TrackError,
};

/// A split by the targeting key, one by the organisation, a bucket condition, and a rule with none of them.
const LINES: [&str; 4] = [
    r#"{"flag":"cta","type":"string","rev":1,"on":true,"values":{"blue":"b","red":"r"},"rules":[{"id":"test","split":{"salt":"cta","ranges":[[0,100000,"red"]]},"exp":"cta.1"}]}"#,
    r#"{"flag":"org","type":"string","rev":1,"on":true,"values":{"red":"r"},"rules":[{"id":"test","split":{"by":"org.key","salt":"org","ranges":[[0,100000,"red"]]},"exp":"org.1"}]}"#,
    r#"{"flag":"held","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"rules":[{"id":"holdout","if":[{"bucket":{"by":"device","salt":"h","in":[[0,100000]]}}],"serve":"off","exp":"holdout.1"}],"fallthrough":"on"}"#,
    r#"{"flag":"plain","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"needs":[{"flag":"cta","is":["red"]}],"rules":[{"id":"all","serve":"on","exp":"plain.1"}]}"#,
];
const PATIENCE: Duration = Duration::from_mins(1);

fn flags() -> TestData {
    LINES.iter().fold(TestData::new(), |flags, line| flags.line(line))
}

fn user(key: &str) -> Context {
    Context::with_targeting_key(key).set("email", "mina@example.com")
}

/// A client and what its sink was given.
fn recorded(flags: &TestData, set_up: impl FnOnce(TestBuilder) -> TestBuilder) -> (Client, Recorded) {
    let records = Recorded::default();
    let sink = Arc::clone(&records.0);
    let builder =
        set_up(flags.builder()).sink(move |record: &Record| sink.lock().unwrap().push(record.clone()));
    (builder.build().unwrap(), records)
}

#[derive(Default)]
struct Recorded(Arc<Mutex<Vec<Record>>>);

impl Recorded {
    fn take(&self, client: &Client) -> Vec<Record> {
        assert!(flushed(client, PATIENCE));
        core::mem::take(&mut self.0.lock().unwrap())
    }

    fn exposures(&self, client: &Client) -> Vec<Exposure> {
        let exposure = |record| match record {
            Record::Exposure(exposure) => exposure,
            other => panic!("{other:?}"),
        };
        self.take(client).into_iter().map(exposure).collect()
    }

    fn units(&self, client: &Client) -> Vec<String> {
        self.exposures(client).iter().map(|exposure| exposure.unit.to_string()).collect()
    }
}

/// On a runtime without timers and I/O, as any executor is.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn flushed(client: &Client, patience: Duration) -> bool {
    block_on(client.flush(patience))
}

#[test]
fn an_exposure_says_who_saw_what_and_nothing_else() {
    let (client, records) = recorded(&flags(), |builder| builder);
    assert_eq!(&*client.string("cta", "", &user("u-1")), "r");
    let exposures = records.exposures(&client);
    let [exposure] = &exposures[..] else { panic!("{exposures:?}") };
    // Computed by Python's hashlib over ["exposure","test","test","cta.1","cta","red","targetingKey","u-1"].
    assert_eq!(exposure.id, "e843ec6fa24d5f4a044f522a79e0cf78");
    assert_eq!((&*exposure.exp, &*exposure.flag, &*exposure.variation), ("cta.1", "cta", "red"));
    assert_eq!((&*exposure.by, &*exposure.unit, &*exposure.rule), ("targetingKey", "u-1", "test"));
    assert_eq!(Some(exposure.version), client.status().version);
    let json = Record::Exposure(exposure.clone()).to_json().to_string();
    assert!(!json.contains("mina"), "{json}");
}

#[test]
fn the_unit_is_that_of_the_split_else_of_the_bucket_else_the_targeting_key() {
    let (client, records) = recorded(&flags(), |builder| builder);
    let context = user("u-1").set("device", "d-1").set("org", Context::new().set("key", 42));
    client.string("org", "", &context);
    client.bool("held", true, &context);
    client.bool("plain", true, &context);
    let units = records.exposures(&client);
    let units: Vec<_> =
        units.iter().map(|exposure| (&*exposure.exp, &*exposure.by, &*exposure.unit)).collect();
    assert_eq!(
        units,
        [("org.1", "org.key", "42"), ("holdout.1", "device", "d-1"), ("plain.1", "targetingKey", "u-1")]
    );
    // Text and number are one unit, so this is the same exposure.
    client.string("org", "", &user("u-1").set("org", Context::new().set("key", "42")));
    assert!(records.exposures(&client).is_empty());
}

#[test]
fn only_the_flag_that_is_asked_for_is_recorded() {
    let (client, records) = recorded(&flags(), |builder| builder);
    client.all_flags(&user("u-1"));
    assert!(records.exposures(&client).is_empty());
    client.details("plain", &user("u-1"));
    let exposures = records.exposures(&client);
    assert_eq!(exposures.iter().map(|exposure| &*exposure.flag).collect::<Vec<_>>(), ["plain"]);
    client.set_override("cta", "mine").unwrap();
    client.string("cta", "", &user("u-1"));
    assert!(records.exposures(&client).is_empty());
}

#[test]
fn every_getter_records_and_each_unit_once_a_process() {
    let (client, records) = recorded(&flags(), |builder| builder);
    for _ in 0..3 {
        client.string("cta", "", &user("u-1"));
        client.string_details("cta", "", &user("u-1"));
        client.variation("cta", &user("u-2"));
        client.details("cta", &user("u-3"));
    }
    assert_eq!(records.units(&client), ["u-1", "u-2", "u-3"]);
    assert_eq!(client.status().counters.exposures, 3);
    assert_eq!(client.status().counters.delivered, 3);
}

#[test]
fn an_exposure_by_a_private_attribute_is_withheld() {
    let environment = |private: &str| {
        format!(r#"{{"environment":"test","project":"test","view":"server","private":[{private}]}}"#)
    };
    let flags = flags().line(&environment(r#""org""#));
    let (client, records) = recorded(&flags, |builder| builder);
    let context = user("u-1").set("org", Context::new().set("key", "secret-org"));
    client.string("org", "", &context);
    client.string("cta", "", &context);
    assert_eq!(records.units(&client), ["u-1"]);
    assert_eq!(client.status().counters.withheld, 1);
    client.track("bought", None, &context).unwrap();
    assert_eq!(records.take(&client).len(), 1);

    let _flags = flags.line(&environment(r#""targetingKey""#));
    client.string("cta", "", &user("u-2"));
    assert_eq!(client.track("bought", None, &user("u-2")), Err(TrackError::Private));
    assert!(records.take(&client).is_empty());
    assert_eq!(client.status().counters.withheld, 3);
}

#[test]
fn without_a_unit_to_count_by_nothing_is_recorded() {
    let open = r#"{"flag":"open","type":"bool","rev":1,"on":true,"values":{"on":true},"rules":[{"id":"all","serve":"on","exp":"open.1"}]}"#;
    let (client, records) = recorded(&flags().line(open), |builder| builder);
    assert!(client.is_enabled("open", &Context::new()));
    assert_eq!(client.status().counters.without_unit, 1);
    // The split does not decide either.
    assert_eq!(&*client.string("cta", "default", &Context::new()), "default");
    assert!(records.take(&client).is_empty());
    assert_eq!(client.status().counters.without_unit, 1);
}

#[test]
fn an_event_goes_with_the_targeting_key_and_its_value() {
    let (client, records) = recorded(&flags(), |builder| builder);
    client.track("bought", Some(12.5), &user("u-1")).unwrap();
    client.track("seen", None, &Context::with_targeting_key(42)).unwrap();
    client.track(&"é".repeat(MAX_EVENT_CHARS), None, &user("u-1")).unwrap();
    let records = records.take(&client);
    let [Record::Tracked(bought), Record::Tracked(seen), Record::Tracked(_)] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!((&*bought.event, bought.value, &*bought.unit), ("bought", Some(12.5), "u-1"));
    assert_eq!((&*seen.event, seen.value, &*seen.unit), ("seen", None, "42"));

    for (event, value, context, code) in [
        ("", None, user("u-1"), "event-name"),
        (&*"é".repeat(MAX_EVENT_CHARS + 1), None, user("u-1"), "event-name"),
        ("bought", Some(f64::NAN), user("u-1"), "event-value"),
        ("bought", None, Context::new(), "no-unit"),
        ("bought", None, Context::with_targeting_key(1.5), "no-unit"),
    ] {
        assert_eq!(client.track(event, value, &context).unwrap_err().code(), code);
    }
    assert_eq!(client.status().counters.tracked, 3);
    // Without a sink, what is wrong is told all the same, and nothing is kept.
    let bare = flags().client().unwrap();
    assert_eq!(bare.track("", None, &user("u-1")), Err(TrackError::Name));
    bare.track("bought", None, &user("u-1")).unwrap();
    assert_eq!(bare.status().counters.tracked, 0);
    assert!(flushed(&bare, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn before_anything_is_loaded_nobody_knows_what_is_private() {
    let world = crate::world::World::new();
    let client = world.builder().sink(|_: &Record| {}).manual().unwrap();
    assert_eq!(client.track("bought", None, &user("u-1")), Err(TrackError::NotReady));
    client.refresh().await.unwrap();
    client.track("bought", None, &user("u-1")).unwrap();
}

/// What is recorded of a signed stream names its project and environment, and what it keeps private is what is signed.
#[tokio::test(start_paused = true)]
async fn an_exposure_is_one_of_its_stream() {
    let mut world = crate::world::World::new();
    world.publisher.set_line("cta", LINES[0]);
    world.publisher.set_line("org", LINES[1]);
    world.publisher.set_line(
        "environment",
        r#"{"environment":"production","project":"shop","view":"server","private":["org"]}"#,
    );
    let update = world.next();
    world.upload(&update);
    let records = Recorded::default();
    let sink = Arc::clone(&records.0);
    let builder = world.builder().sink(move |record: &Record| sink.lock().unwrap().push(record.clone()));
    let client = builder.build().unwrap();
    client.wait_for_ready(PATIENCE).await.unwrap();
    let context = user("u-1").set("org", Context::new().set("key", "secret-org"));
    client.string("org", "", &context);
    client.string("cta", "", &context);
    client.close().await;
    let records = records.0.lock().unwrap();
    let [Record::Exposure(exposure)] = &records[..] else { panic!("{records:?}") };
    // Computed by Python's hashlib over ["exposure","shop","production","cta.1","cta","red","targetingKey","u-1"].
    assert_eq!(exposure.id, "7c4543f6e2f0365f1db8f3cf743561d3");
    assert_eq!(exposure.version, update.body.version);
    assert_eq!(client.status().counters.withheld, 1);
}

/// A sink that says when it was given something, and then waits until its gate is opened.
fn gated() -> (impl FnMut(&Record) + Send, Receiver<String>, Sender<()>) {
    let ((entered, entries), (open, gate)) = (channel(), channel::<()>());
    let sink = move |record: &Record| {
        let text = record.to_json().member("unit").and_then(flagstone::Json::as_str).map(ToOwned::to_owned);
        entered.send(text.unwrap()).unwrap();
        // Closed once the other end is gone.
        let _ = gate.recv();
    };
    (sink, entries, open)
}

#[test]
fn a_sink_that_blocks_for_ever_slows_no_getter_and_costs_the_oldest_records() {
    let (sink, entries, gate) = gated();
    let client = flags().builder().record_queue(5).sink(sink).build().unwrap();
    client.string("cta", "", &user("u-0"));
    assert_eq!(entries.recv().unwrap(), "u-0");
    for n in 1..=20 {
        assert_eq!(&*client.string("cta", "", &user(&format!("u-{n}"))), "r");
    }
    let counters = client.status().counters;
    assert_eq!((counters.exposures, counters.dropped, counters.delivered), (21, 15, 0));
    assert!(!flushed(&client, Duration::from_millis(1)));

    drop(gate);
    assert!(flushed(&client, PATIENCE));
    let units: Vec<_> = entries.try_iter().collect();
    assert_eq!(units, ["u-16", "u-17", "u-18", "u-19", "u-20"]);
    assert_eq!(client.status().counters.delivered, 6);
    // What was dropped was not seen by anybody, so it counts as new.
    client.string("cta", "", &user("u-1"));
    client.string("cta", "", &user("u-20"));
    assert!(flushed(&client, PATIENCE));
    assert_eq!(entries.try_iter().collect::<Vec<_>>(), ["u-1"]);
}

#[test]
fn the_queue_takes_at_least_one_record_and_at_most_its_limit() {
    let build = |records| flags().builder().record_queue(records).sink(|_: &Record| {}).build();
    for records in [0, MAX_RECORD_QUEUE + 1] {
        let refused = build(records).unwrap_err();
        assert!(matches!(refused, BuildError::RecordQueue));
        assert_eq!(refused.code(), "record-queue");
    }
    build(1).unwrap();
}

#[test]
fn a_sink_that_panics_or_fails_is_counted_and_the_exposure_comes_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let (client, records) = recorded(&flags(), |builder| {
        builder.sink(move |_: &Record| {
            assert!(counted.fetch_add(1, Ordering::Relaxed) > 0, "the first record is one too many");
        })
    });
    for _ in 0..3 {
        client.string("cta", "", &user("u-1"));
        // The other sink is given it each time: whoever collects knows it by its id.
        assert!(flushed(&client, PATIENCE));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(records.units(&client), ["u-1", "u-1"]);
    let counters = client.status().counters;
    assert_eq!((counters.undelivered, counters.delivered), (1, 1));
}

#[test]
fn closing_delivers_what_there_is_and_takes_nothing_more() {
    let (client, records) = recorded(&flags(), |builder| builder);
    for n in 0..100 {
        client.track("bought", None, &user(&format!("u-{n}"))).unwrap();
    }
    block_on(client.close());
    assert_eq!(records.0.lock().unwrap().len(), 100);
    client.string("cta", "", &user("u-1"));
    assert_eq!(client.status().counters.dropped, 1);
    assert!(flushed(&client, PATIENCE), "there is nothing left to wait for");
    block_on(client.close());
    assert_eq!(records.0.lock().unwrap().len(), 100);
}

#[test]
fn a_client_that_is_dropped_lets_its_sinks_finish() {
    struct Ends(Sender<usize>, usize);
    impl flagstone::Sink for Ends {
        fn deliver(&mut self, _: &Record) -> std::io::Result<()> {
            self.1 += 1;
            Ok(())
        }
    }
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.send(self.1).unwrap();
        }
    }
    let (sender, ended) = channel();
    let client = flags().builder().sink(Ends(sender, 0)).build().unwrap();
    for n in 0..10 {
        client.string("cta", "", &user(&format!("u-{n}")));
    }
    drop(client);
    assert_eq!(ended.recv().unwrap(), 10);
}

#[test]
fn many_threads_record_each_unit_and_lose_none() {
    let (client, records) = recorded(&flags(), |builder| builder);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..500 {
                    client.string("cta", "", &user(&format!("u-{n}")));
                }
            });
        }
    });
    let mut units = records.units(&client);
    units.sort();
    let before = units.len();
    units.dedup();
    assert_eq!((units.len(), before), (500, 500));
    assert_eq!(client.status().counters.dropped, 0);
}

/// The table in front is rough and forgets early; behind it stands an exact memory.
#[test]
fn as_many_units_as_are_remembered_are_delivered_once_each() {
    let delivered = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&delivered);
    let sink = move |_: &Record| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let client = flags().builder().record_queue(MAX_RECORD_QUEUE).sink(sink).build().unwrap();
    let all = || {
        for unit in 0..EXPOSURES_REMEMBERED {
            client.variation("cta", &Context::with_targeting_key(unit));
        }
        assert!(flushed(&client, PATIENCE));
    };
    all();
    all();
    assert_eq!(delivered.load(Ordering::Relaxed), EXPOSURES_REMEMBERED);
    let counters = client.status().counters;
    assert!(counters.repeated > 0);
    assert_eq!((counters.forgotten, counters.dropped), (0, 0));
    client.variation("cta", &user("one more"));
    assert!(flushed(&client, PATIENCE));
    assert_eq!(client.status().counters.forgotten, 1);
}

#[test]
fn lines_of_a_file_are_what_a_callback_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records.jsonl");
    let (client, records) = recorded(&flags(), |builder| builder.sink(JsonLinesFile::open(&path).unwrap()));
    client.string("cta", "", &user("u-1"));
    client.track("bought", Some(1.0), &user("u-1")).unwrap();
    block_on(client.close());
    let given: Vec<_> = records.0.lock().unwrap().iter().map(|record| record.to_json().to_string()).collect();
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().collect::<Vec<_>>(), given);
    assert!(!written.contains("mina"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_counted_and_flags_are_served_on() {
    let client = flags().builder().sink(JsonLinesFile::open("/dev/full").unwrap()).build().unwrap();
    for n in 0..3 {
        assert_eq!(&*client.string("cta", "", &user(&format!("u-{n}"))), "r");
    }
    assert!(flushed(&client, PATIENCE));
    let counters = client.status().counters;
    assert_eq!((counters.undelivered, counters.delivered), (3, 0));
}
