//! `kill -9` of `dev` under concurrent writers: nothing that was acknowledged is lost, nothing half done is seen.
//!
//! `FLAGSTONE_KILLS` (default 20) and `FLAGSTONE_SEED` (default 1) choose how many kills, and which.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use flagstone_model::json::Json;

use crate::support::*;

const WRITERS: u64 = 4;
const FLAGS: u64 = 6;
const ENVIRONMENTS: [&str; 2] = ["production", "staging"];

/// One request of a writer.
#[derive(Debug, Clone)]
struct Attempt {
    id: String,
    environment: &'static str,
    flag: String,
    on: bool,
    /// The seq that was answered; `None` if no answer came.
    seq: Option<u64>,
}

impl Attempt {
    fn path(&self) -> String {
        let word = if self.on { "on" } else { "off" };
        format!("/v1/projects/demo/environments/{}/flags/{}/{word}", self.environment, self.flag)
    }

    /// Sends it, for the first time or again.
    fn send(&mut self, http: &mut Http) -> bool {
        let Ok((status, body)) = http.send("POST", &self.path(), &[("idempotency-key", &self.id)], "") else {
            return false;
        };
        assert_eq!(status, 200, "{body}");
        let answer = parse(&body);
        assert_eq!(at(&answer, &["on"]).as_bool(), Some(self.on), "{body}");
        self.seq = Some(number(&answer, &["seq"]));
        true
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Writes until the server is gone; the last attempt is the one in flight.
fn write(api: &str, token: &str, mut random: Random, name: &str, sent: &Sender<()>) -> Vec<Attempt> {
    let mut http = Http::new(api, token);
    let mut attempts = Vec::new();
    for number in 0.. {
        let mut attempt = Attempt {
            id: format!("{name}-{number}"),
            environment: ENVIRONMENTS[usize::from(random.below(4) == 0)],
            flag: format!("crash-{}", random.below(FLAGS)),
            on: random.below(2) == 0,
            seq: None,
        };
        // Nobody counts after the kill.
        let _ = sent.send(());
        let answered = attempt.send(&mut http);
        attempts.push(attempt);
        if !answered {
            break;
        }
    }
    attempts
}

#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    in_flight: u64,
    while_starting: u64,
    of_two: u64,
    retried: u64,
}

#[test]
fn nothing_acknowledged_is_lost_when_dev_is_killed() {
    let (kills, seed) = (setting("FLAGSTONE_KILLS", 20), setting("FLAGSTONE_SEED", 1));
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let mut random = Random(seed);
    let mut tally = Tally::default();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut flags_are_there = false;
    let round = AtomicU64::new(0);
    while tally.kills < kills {
        let round = round.fetch_add(1, Ordering::SeqCst);
        if random.below(8) == 0 {
            let mut starting = Dev::spawn("127.0.0.1:0", data);
            std::thread::sleep(Duration::from_micros(random.below(15_000)));
            starting.kill();
            tally.kills += 1;
            tally.while_starting += 1;
            continue;
        }
        let mut devs = vec![Dev::start(data)];
        if random.below(4) == 0 {
            devs.push(Dev::start(data));
        }
        if !flags_are_there {
            create_flags(&devs[0]);
            flags_are_there = true;
        }
        // What was in flight at an earlier kill is sent again, some of it: it happened once or not at all.
        let mut http = devs[0].http();
        for attempt in attempts.iter_mut().filter(|attempt| attempt.seq.is_none()) {
            if random.below(2) == 0 {
                assert!(attempt.send(&mut http), "{attempt:?}");
                tally.retried += 1;
            }
        }
        attempts.extend(kill_under_load(&mut devs, round, &mut random, &mut tally));
        let audit = random.below(10) == 0;
        if audit {
            assert_verifies(data);
        }
    }
    assert_verifies(data);
    settle(data, &attempts);
    // Past the harness, which keeps what a passing test prints to itself.
    let _ = writeln!(
        std::io::stderr(),
        "kill -9: {} kills, seed {seed}: {} with a request in flight, {} while starting, {} of two processes; \
         {} requests acknowledged, {} retried after a kill, {} never answered",
        tally.kills,
        tally.in_flight,
        tally.while_starting,
        tally.of_two,
        attempts.iter().filter(|attempt| attempt.seq.is_some()).count(),
        tally.retried,
        attempts.iter().filter(|attempt| attempt.seq.is_none()).count(),
    );
    assert!(tally.in_flight * 4 >= tally.kills, "a good part of the kills met a request: {tally:?}");
}

fn create_flags(dev: &Dev) {
    let mut http = dev.http();
    for flag in 0..FLAGS {
        let body = format!("{{\"key\":\"crash-{flag}\",\"type\":\"bool\"}}");
        let headers = [("content-type", "application/json"), ("idempotency-key", &*format!("create-{flag}"))];
        let (status, answer) = http.send("POST", "/v1/projects/demo/flags", &headers, &body).unwrap();
        assert_eq!(status, 201, "{answer}");
    }
}

/// Lets writers loose on one or two processes, and kills each at a moment of its own.
fn kill_under_load(devs: &mut [Dev], round: u64, random: &mut Random, tally: &mut Tally) -> Vec<Attempt> {
    let mut all = Vec::new();
    let two = devs.len() == 2;
    std::thread::scope(|scope| {
        let mut writers: Vec<Vec<_>> = Vec::new();
        let mut counters = Vec::new();
        for (process, dev) in devs.iter().enumerate() {
            let (sent, counted) = channel();
            counters.push(counted);
            let of_process = (0..WRITERS).map(|writer| {
                let (api, token, sent) = (dev.api(), dev.token(), sent.clone());
                let random = Random(random.next());
                let name = format!("r{round}-p{process}-w{writer}");
                scope.spawn(move || write(&api, &token, random, &name, &sent))
            });
            writers.push(of_process.collect());
        }
        for ((dev, counted), writers) in devs.iter_mut().zip(&counters).zip(writers) {
            for _ in 0..=random.below(40) {
                counted.recv().expect("the writers write");
            }
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            dev.process.kill();
            let attempts: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
            tally.kills += 1;
            tally.of_two += u64::from(two);
            tally.in_flight += u64::from(attempts.iter().any(|attempt| attempt.seq.is_none()));
            all.extend(attempts);
        }
    });
    all
}

fn assert_verifies(data: &Path) {
    let ran = run(&["--json", "audit", "verify", "--data", data.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

/// Starts once more and compares log, acknowledgements, and what clients get.
fn settle(data: &Path, attempts: &[Attempt]) {
    let mut dev = Dev::start(data);
    let mut http = dev.http();
    for environment in ENVIRONMENTS {
        let path = format!("/v1/projects/demo/environments/{environment}/publish");
        until("the announcement", || {
            let (status, body) = http.send("POST", &path, &[], "").unwrap();
            status == 200 && body.contains("announced")
        });
        let verified = dev
            .command()
            .args(["verify", &dev.connection(environment)])
            .env("FLAGSTONE_SDK_KEY", dev.sdk_key(environment))
            .output()
            .unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    }
    let log = read_log(&mut http);
    for (entry, seq) in log.iter().zip(1..) {
        assert_eq!(number(entry, &["header", "seq"]), seq, "no gap");
    }
    let by_id: BTreeMap<String, &Json<'static>> =
        log.iter().map(|entry| (text(entry, &["header", "request", "id"]), entry)).collect();
    assert_eq!(by_id.len(), log.len(), "each request is recorded once");
    let mut asked = BTreeSet::new();
    for attempt in attempts {
        asked.insert(attempt.id.clone());
        let entry = by_id.get(&attempt.id);
        if let Some(seq) = attempt.seq {
            let entry = entry.unwrap_or_else(|| panic!("acknowledged and lost: {attempt:?}"));
            assert_eq!(number(entry, &["header", "seq"]), seq, "{attempt:?}");
        }
        if let Some(entry) = entry {
            let entity = format!("flag/{}/{}", attempt.environment, attempt.flag);
            assert_eq!(text(entry, &["header", "entity"]), entity);
            assert_eq!(on(entry), attempt.on, "{attempt:?}");
        }
    }
    let strangers = by_id.keys().filter(|id| id.starts_with('r') && !asked.contains(*id)).count();
    assert_eq!(strangers, 0, "nothing is recorded that nobody asked for");
    for environment in ENVIRONMENTS {
        assert_announces_the_fold(data, environment, &log);
    }
    assert_eq!(dev.process.terminate(), Some(0));
    assert_verifies(data);
}

fn read_log(http: &mut Http) -> Vec<Json<'static>> {
    let mut log: Vec<Json<'static>> = Vec::new();
    loop {
        let path = format!("/v1/projects/demo/log?limit=1000&after={}", log.len());
        let (status, body) = http.send("GET", &path, &[], "").unwrap();
        assert_eq!(status, 200, "{body}");
        let page = parse(&body);
        let items = at(&page, &["items"]).as_array().unwrap();
        if items.is_empty() {
            return log;
        }
        log.extend_from_slice(items);
    }
}

fn on(entry: &Json<'_>) -> bool {
    let states = at(entry, &["data", "states"]).as_array().unwrap();
    at(&states[0], &["authored", "on"]).as_bool().unwrap()
}

/// The bucket's own bytes, unpacked by hand, say of each flag what its last entry says.
fn assert_announces_the_fold(data: &Path, environment: &str, log: &[Json<'static>]) {
    let base = data.join("bucket/closed/demo/v1");
    let manifest = std::fs::read_to_string(base.join(format!("e/{environment}/server/manifest"))).unwrap();
    let manifest = parse(manifest.lines().next().unwrap());
    let object = base.join(format!("s/{}.jsonl.zst", text(&manifest, &["snapshot", "sha256"])));
    let lines = zstd::stream::decode_all(std::fs::File::open(object).unwrap()).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    for flag in (0..FLAGS).map(|flag| format!("crash-{flag}")) {
        let entity = format!("flag/{environment}/{flag}");
        let last = log.iter().rev().find(|entry| {
            at(entry, &["header"]).member("entity").and_then(Json::as_str) == Some(entity.as_str())
        });
        let expected = last.is_some_and(on);
        let head = format!("{{\"flag\":\"{flag}\",");
        let line = lines.lines().find(|line| line.starts_with(&head)).expect("every flag has a line");
        assert!(line.contains(&format!("\"on\":{expected}")), "{line}");
    }
}
