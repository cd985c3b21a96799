//! What an evaluation costs beside the least it could: a hash look-up, one XXH32, and a comparison.
//!
//! `cargo bench -p flagstone-eval`; figures are in `docs/PERFORMANCE.md`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark is a program of its own")]

use std::collections::HashMap;
use std::sync::Arc;

use divan::{Bencher, black_box};
use flagstone_eval::{List, Snapshot, bucket, seed};
use flagstone_model::context::Context;
use flagstone_model::digest::Digest;
use flagstone_model::instant::Instant;
use flagstone_model::value::FlagType;

const NOW: Instant = Instant::from_millis(1_796_212_800_000);
const FLAGS: usize = 10_000;

fn main() {
    divan::main();
}

/// A flag with a 30 % rollout; one in ten also has a rule on a segment and one on attributes.
fn line(n: usize, rev: usize) -> String {
    let rules = if n.is_multiple_of(10) {
        r#"{"id":"staff","if":[{"segment":["staff"]}],"serve":"on"},{"id":"eu","if":[{"attr":"country","in":["AT","DE"]},{"attr":"age","gte":18}],"serve":"on"},"#
    } else {
        ""
    };
    format!(
        r#"{{"flag":"flag-{n:05}","type":"bool","rev":{rev},"on":true,"values":{{"off":false,"on":true}},"off":"off","rules":[{rules}{{"id":"rollout","split":{{"salt":"flag-{n:05}","ranges":[[0,30000,"on"]]}}}}],"fallthrough":"off"}}"#
    )
}

fn lines() -> Vec<String> {
    let segment = r#"{"segment":"staff","if":[{"attr":"email","ends":["@acme.com"]}]}"#;
    (0..FLAGS).map(|n| line(n, 1)).chain([segment.to_owned()]).collect()
}

fn compile(lines: &[String]) -> Snapshot {
    Snapshot::compile(lines.iter().map(String::as_bytes)).0
}

fn context() -> Context {
    Context::with_targeting_key("user-0001234")
        .set("country", "FR")
        .set("age", 41)
        .set("email", "mina@example.org")
}

/// The floor: what any implementation has to do.
#[divan::bench(sample_size = 1_000)]
fn baseline_lookup_xxh32_compare(bencher: Bencher) {
    let table: HashMap<String, (u32, u64)> =
        (0..FLAGS).map(|n| format!("flag-{n:05}")).map(|key| (key.clone(), (seed(&key), 30_000))).collect();
    let unit = "user-0001234";
    bencher.bench_local(|| {
        let (seed, share) = table.get(black_box("flag-00123")).unwrap();
        bucket(black_box(unit).as_bytes(), *seed, 100_000) < *share
    });
}

#[divan::bench(sample_size = 1_000)]
fn rollout_by_name_with_details(bencher: Bencher) {
    let (snapshot, context) = (compile(&lines()), context());
    bencher.bench_local(|| {
        snapshot.evaluate(black_box("flag-00123"), Some(FlagType::Bool), black_box(&context), NOW)
    });
}

#[divan::bench(sample_size = 1_000)]
fn segment_and_attribute_rules_then_rollout(bencher: Bencher) {
    let (snapshot, context) = (compile(&lines()), context());
    bencher.bench_local(|| {
        snapshot.evaluate(black_box("flag-00120"), Some(FlagType::Bool), black_box(&context), NOW)
    });
}

#[divan::bench(sample_count = 20)]
fn load_10_000_flags(bencher: Bencher) {
    let lines = lines();
    bencher.bench_local(|| compile(black_box(&lines)));
}

#[divan::bench]
fn update_one_flag_among_10_000(bencher: Bencher) {
    let snapshot = compile(&lines());
    let line = line(123, 2);
    bencher.bench_local(|| snapshot.update([black_box(line.as_bytes())], []));
}

/// One test of an attribute each, in a flag of its own: to be read beside `in`.
const TESTS: [(&str, &str); 14] = [
    ("in", r#""attr":"email","in":["lea@example.org","mina@example.org"]"#),
    ("in_fold", r#""attr":"email","in":["lea@example.org","mina@example.org"],"fold":"ascii""#),
    ("in_as_string", r#""attr":"age","in":["40","41"],"as":"string""#),
    ("has_all", r#""attr":"roles","has_all":["editor","reader"]"#),
    ("ends", r#""attr":"email","ends":["@acme.com","@example.org"]"#),
    ("contains_fold", r#""attr":"email","contains":["@acme","@example"],"fold":"ascii""#),
    ("gte", r#""attr":"age","gte":18"#),
    ("matches", r#""attr":"email","matches":"^[a-z]+@example\\.(?:org|net)$""#),
    ("semver", r#""attr":"version","semver":">=2.4.0 <3.0.0-0""#),
    ("since", r#""attr":"joined","since":"2026-01-01T00:00:00Z""#),
    ("cidr", r#""attr":"ip","cidr":["10.0.0.0/8","192.0.2.0/24"]"#),
    ("listed_1_000_000", r#""attr":"targetingKey","listed":"million""#),
    ("hashed_whole", r#""attr":"email","hashed":{"salt":"k3f9","in":["2a4fd9c97f1b"]}"#),
    ("hashed_end", r#""attr":"email","hashed":{"salt":"k3f9","ends":[[12,"2a4fd9c97f1b"]]}"#),
];

#[divan::bench(args = TESTS.map(|(name, _)| name), sample_size = 1_000)]
fn one_test(bencher: Bencher, name: &str) {
    let (_, test) = TESTS.iter().find(|(other, _)| *other == name).unwrap();
    let flag = format!(
        r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off","rules":[{{"id":"r","if":[{{{test}}}],"serve":"on"}}],"fallthrough":"off"}}"#
    );
    let digest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let list = format!(
        r#"{{"list":"million","encoding":"zstd","sha256":"{digest}","size":1,"raw_size":13000000,"count":1000000}}"#
    );
    let snapshot = compile(&[flag, list]);
    let keys: String = (0..1_000_000).map(|n| format!("user-{n:07}\n")).collect();
    let keys = Arc::new(List::parse(keys.into_bytes()).unwrap());
    let snapshot = snapshot.with_list(Digest::parse(digest).unwrap(), &keys);
    let context = context()
        .set("roles", vec!["reader", "editor"])
        .set("version", "2.11.3")
        .set("joined", "2026-03-04T05:06:07+01:00")
        .set("ip", "192.0.2.77");
    bencher.bench_local(|| snapshot.evaluate(black_box("f"), None, black_box(&context), NOW));
}
