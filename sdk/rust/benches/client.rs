//! What a getter costs: bare, with hooks, with a sink.
//!
//! `cargo bench -p flagstone`; figures are in `docs/PERFORMANCE.md`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark is a program of its own")]

use divan::{Bencher, black_box};
use flagstone::{Client, Context, Evaluation, EvaluationCounts, Record, TestBuilder, TestData};

fn main() {
    divan::main();
}

/// A thousand flags with a 30 % rollout that counts exposures, and one on a schedule.
fn flags() -> TestData {
    let rollout = (0..1_000).fold(TestData::new(), |flags, n| {
        flags.line(&format!(
            r#"{{"flag":"flag-{n:05}","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off","rules":[{{"id":"rollout","split":{{"salt":"flag-{n:05}","ranges":[[0,30000,"on"],[30000,100000,"off"]]}},"exp":"flag-{n:05}.1"}}],"fallthrough":"off"}}"#
        ))
    });
    rollout.line(r#"{"flag":"scheduled","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","needs":[{"time":{"since":"2026-01-01T00:00:00Z"}}],"fallthrough":"on"}"#)
}

fn context() -> Context {
    Context::with_targeting_key("user-0001234").set("country", "FR")
}

fn client(set_up: impl FnOnce(TestBuilder) -> TestBuilder) -> Client {
    set_up(flags().builder()).build().unwrap()
}

fn ask(bencher: Bencher<'_, '_>, client: &Client, key: &str) {
    let context = context();
    bencher.bench_local(|| client.bool(black_box(key), false, black_box(&context)));
}

#[divan::bench(sample_size = 1_000)]
fn bool_by_name(bencher: Bencher<'_, '_>) {
    ask(bencher, &client(|builder| builder), "flag-00123");
}

/// Both clocks are read.
#[divan::bench(sample_size = 1_000)]
fn bool_on_a_schedule(bencher: Bencher<'_, '_>) {
    ask(bencher, &client(|builder| builder), "scheduled");
}

#[divan::bench(sample_size = 1_000)]
fn bool_details_by_name(bencher: Bencher<'_, '_>) {
    let (client, context) = (client(|builder| builder), context());
    bencher.bench_local(|| client.bool_details(black_box("flag-00123"), false, black_box(&context)));
}

#[divan::bench(sample_size = 1_000)]
fn bool_with_an_override_elsewhere(bencher: Bencher<'_, '_>) {
    ask(bencher, &client(|builder| builder.overrides([("flag-00001", true)])), "flag-00123");
}

#[divan::bench(sample_size = 1_000)]
fn bool_with_an_empty_hook(bencher: Bencher<'_, '_>) {
    let hook = |evaluation: &Evaluation<'_>| {
        black_box(evaluation);
    };
    ask(bencher, &client(|builder| builder.hook(hook)), "flag-00123");
}

#[divan::bench(sample_size = 1_000)]
fn bool_with_counts(bencher: Bencher<'_, '_>) {
    ask(bencher, &client(|builder| builder.hook(EvaluationCounts::new())), "flag-00123");
}

/// The exposure was recorded before: only the look whether it was remains.
#[divan::bench(sample_size = 1_000)]
fn bool_with_a_known_exposure(bencher: Bencher<'_, '_>) {
    ask(bencher, &client(|builder| builder.sink(|_: &Record| {})), "flag-00123");
}

/// Every unit is new: the exposure goes to the queue.
#[divan::bench(sample_size = 1_000)]
fn bool_with_a_new_exposure(bencher: Bencher<'_, '_>) {
    let client = client(|builder| builder.sink(|_: &Record| {}));
    let mut unit = 0_u32;
    bencher
        .with_inputs(|| {
            unit += 1;
            Context::with_targeting_key(unit)
        })
        .bench_local_refs(|context| client.bool(black_box("flag-00123"), false, context));
}
