//! Evaluates in a loop, for counting instructions:
//!
//! ```text
//! cargo build --release -p flagstone-eval --example evaluate_loop
//! valgrind --tool=callgrind --toggle-collect='*measured*' target/release/examples/evaluate_loop
//! ```

use std::hint::black_box;

use flagstone_eval::Snapshot;
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::value::FlagType;

/// 2026-12-02T12:00:00Z
const NOW: Instant = Instant::from_millis(1_796_212_800_000);
const ROUNDS: usize = 100_000;

const LINES: [&str; 4] = [
    r#"{"flag":"plain","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","rules":[{"id":"rollout","split":{"salt":"plain","ranges":[[0,30000,"on"]]}}],"fallthrough":"off"}"#,
    r#"{"flag":"ruled","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","needs":[{"flag":"plain","is":["off","on"]}],"rules":[{"id":"staff","if":[{"segment":["staff"]}],"serve":"on"},{"id":"eu","if":[{"attr":"country","in":["AT","DE"]},{"attr":"age","gte":18}],"serve":"on"},{"id":"ramp","if":[{"bucket":{"salt":"ruled","ramp":[["2026-12-01T09:00:00Z",1000]]}},{"time":{"since":"2026-11-01T00:00:00Z"}}],"serve":"on"},{"id":"rollout","split":{"salt":"ruled.2","ranges":[[0,30000,"on"]]}}],"fallthrough":"off"}"#,
    r#"{"flag":"still","type":"bool","rev":1,"on":false,"values":{"off":false,"on":true},"off":"off","fallthrough":"on"}"#,
    r#"{"segment":"staff","if":[{"any":[{"attr":"email","ends":["@acme.com"]},{"not":{"attr":"plan","in":["free"]}}]}]}"#,
];

fn main() {
    let (snapshot, _) = Snapshot::compile(LINES.iter().map(|line| line.as_bytes()));
    let context = Context::with_targeting_key("user-0001234")
        .set("country", "FR")
        .set("age", 41)
        .set("plan", "free")
        .set("email", "mina@example.org");
    measured(&snapshot, &context);
}

#[inline(never)]
fn measured(snapshot: &Snapshot, context: &Context) {
    for _ in 0..ROUNDS {
        for flag in ["plain", "ruled", "still"] {
            black_box(snapshot.evaluate(
                black_box(flag),
                Some(FlagType::Bool),
                black_box(context),
                black_box(NOW),
            ));
        }
    }
}
