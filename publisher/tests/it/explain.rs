//! Why somebody gets what they get, at any time of a history, and what altered it.

use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_publisher::clock::Clock;
use flagstone_publisher::control::{AlteredBy, ControlError, Erasure, Kind, Operation, When, Write};
use flagstone_publisher::log::Entity;

use super::control::{Bench, NOW_MS, request};
use super::project::{flag, json, production, segment};

const HOUR_MS: i64 = 3_600_000;

/// A generator of numbers, seeded.
struct Numbers(u64);

impl Numbers {
    /// One below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const TARGETINGS: [&str; 7] = [
    r#"{"on":true,"off":"off","fallthrough":{"serve":"on"}}"#,
    r#"{"on":true,"off":"off","rules":[{"id":"s","if":[{"segment":["s"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#,
    r#"{"on":true,"off":"off","rules":[{"id":"r","if":[{"attr":"n","gte":3}],"rollout":{"weights":{"on":50000,"off":50000}}}],"fallthrough":{"serve":"off"}}"#,
    r#"{"on":true,"off":"off","targets":{"on":["u-1"]},"deny":{"off":["u-2"]},"fallthrough":{"rollout":{"weights":{"on":30000,"off":70000}}}}"#,
    r#"{"on":true,"off":"off","rules":[{"id":"t","if":[{"time":{"since":"2026-12-03T00:00:00Z","before":"2026-12-04T12:00:00Z"}}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#,
    r#"{"on":true,"off":"off","rules":[{"id":"l","ramp":{"serve":"on","linear":true,"steps":[["2026-12-02T12:00:00Z",0],["2026-12-05T12:00:00Z",100000]]}}],"fallthrough":{"serve":"off"}}"#,
    r#"{"on":false,"off":"off","fallthrough":{"serve":"on"}}"#,
];

const SEGMENTS: [&str; 3] = [
    r#"{"include":["u-1"]}"#,
    r#"{"exclude":["u-1"],"rules":[{"if":[{"attr":"n","lt":5}]}]}"#,
    r#"{"rules":[{"if":[{"time":{"since":"2026-12-03T06:00:00Z"}}]}]}"#,
];

/// Three days of changes, one at a time: the flag `b` needs `a`, and both ask for the segment `s`.
async fn history(seed: u64) -> Bench {
    let bench = Bench::new().await;
    let mut numbers = Numbers(seed);
    bench.write(Operation::PutSegment(production(), segment("s"), json(SEGMENTS[0]))).await.unwrap();
    for key in ["a", "b", "other"] {
        bench.create(key).await;
    }
    for _ in 0..40 {
        bench.clock.advance(1 + i64::try_from(numbers.below(4)).unwrap() * HOUR_MS);
        let (targeting, key) = (numbers.of(&TARGETINGS), numbers.of(&["a", "b", "b", "other"]));
        let needs = key == "b" && numbers.below(2) == 0;
        let targeting = if needs {
            targeting.replacen('{', r#"{"prerequisites":[{"flag":"a","is":["on"]}],"#, 1)
        } else {
            targeting.to_owned()
        };
        let operation = match numbers.below(8) {
            0 => Operation::Switch(production(), flag(key), numbers.below(2) == 0),
            1 | 2 => Operation::PutSegment(production(), segment("s"), json(numbers.of(&SEGMENTS))),
            3 => Operation::PatchFlag(flag(key), json(r#"{"description":"new words"}"#)),
            _ => Operation::PutTargeting(production(), flag(key), json(&targeting)),
        };
        let confirmed = Write { confirm: true, ..request(None, "") };
        if let Err(refused) = bench.control.write(operation, confirmed).await {
            assert_eq!(refused.code(), "schedule-in-past", "a ramp that is over by now");
        }
    }
    bench.clock.advance(30 * HOUR_MS);
    bench
}

fn contexts() -> [Context; 3] {
    [
        Context::with_targeting_key("u-1"),
        Context::with_targeting_key("u-2").set("n", 4),
        Context::new().set("n", 9),
    ]
}

async fn evaluated(bench: &Bench, key: &str, context: &Context, when: When) -> Option<Json<'static>> {
    let found = bench.control.evaluate(&production(), Some(key), context, when).await.ok()?;
    Some(json(&format!("{{{}}}", found.flags[0].2)))
}

#[tokio::test]
async fn an_explanation_ends_as_the_evaluation_at_every_time_of_a_history() {
    for seed in [1, 2, 3] {
        let bench = history(seed).await;
        let head = bench.head().await;
        let mut numbers = Numbers(seed);
        let (mut found, mut missing) = (0, 0);
        for _ in 0..80 {
            let seq = u64::try_from(numbers.below(usize::try_from(head).unwrap())).unwrap() + 1;
            let hours = i64::try_from(numbers.below(120)).unwrap();
            let at = Instant::from_millis(NOW_MS + (hours - 10) * HOUR_MS);
            let (key, contexts) = (numbers.of(&["a", "b"]), contexts());
            let context = &contexts[numbers.below(3)];
            let both = When { at: Some(at), seq: Some(seq) };
            for when in [When::at(at), When::seq(seq), both] {
                let expected = evaluated(&bench, key, context, when).await;
                let told = bench.control.explain(&production(), &flag(key), context, when).await;
                let told = told.ok().map(|told| told.told.member("details").unwrap().clone());
                assert_eq!(
                    told.as_ref().map(Json::to_canonical),
                    expected.as_ref().map(Json::to_canonical),
                    "{key} {when:?}"
                );
                if expected.is_some() { found += 1 } else { missing += 1 }
            }
        }
        assert!(found > 150 && missing > 5, "{found} {missing}");
    }
}

/// What somebody notices of an answer.
fn noticed(details: Option<&Json<'_>>) -> Option<Vec<Option<String>>> {
    let details = details?;
    Some(["value", "variation", "rule"].map(|name| details.member(name).map(Json::to_canonical)).to_vec())
}

#[tokio::test]
async fn the_alterations_of_an_answer_are_all_there_is_to_it() {
    let (mut by_entry, mut by_schedule) = (0, 0);
    for seed in [4, 5, 6] {
        let bench = history(seed).await;
        for context in contexts() {
            let altered = bench
                .control
                .alterations(&production(), &flag("b"), &context, When::NOW, None, 1_000)
                .await
                .unwrap();
            assert_eq!(altered.next, None);
            for item in &altered.items {
                match &item.by {
                    AlteredBy::Entry { entities, actor_name, .. } => {
                        by_entry += 1;
                        assert!(!entities.is_empty() && !entities.iter().any(|name| name.contains("other")));
                        assert_eq!(actor_name.as_deref(), Some("Mina"));
                    }
                    _ => by_schedule += 1,
                }
            }
            for pair in altered.items.windows(2) {
                assert!(pair[0].time >= pair[1].time);
                assert_eq!(noticed(pair[0].from.as_ref()), noticed(pair[1].to.as_ref()));
            }
            // At any time the answer is that of the last alteration before.
            for minutes in (0..9_000).step_by(211) {
                let at = Instant::from_millis(NOW_MS + minutes * 60_000);
                if at.millis() > bench.clock.now_ms() {
                    break;
                }
                let last = altered.items.iter().find(|item| item.time <= at);
                let told = last.and_then(|item| noticed(item.to.as_ref()));
                let expected = evaluated(&bench, "b", &context, When::at(at)).await;
                assert_eq!(told, noticed(expected.as_ref()), "{at}");
            }
            // In pages of two they are the same.
            let (mut paged, mut next) = (Vec::new(), None);
            loop {
                let part = bench
                    .control
                    .alterations(&production(), &flag("b"), &context, When::NOW, next, 2)
                    .await
                    .unwrap();
                paged.extend(part.items.iter().map(|item| item.time));
                next = part.next;
                if next.is_none() {
                    break;
                }
            }
            assert_eq!(paged, altered.items.iter().map(|item| item.time).collect::<Vec<_>>());
        }
    }
    assert!(by_entry > 20 && by_schedule > 2, "{by_entry} {by_schedule}");
}

#[tokio::test]
async fn a_history_says_in_words_and_member_by_member_what_changed() {
    let bench = Bench::new().await;
    bench.create("a").await;
    bench.write(Operation::Switch(production(), flag("a"), true)).await.unwrap();
    let body = json(r#"{"variation":"on","percent":10}"#);
    bench.write(Operation::Rollout(production(), flag("a"), body)).await.unwrap();
    let body = json(r#"{"variation":"on","percent":20}"#);
    bench.write(Operation::Rollout(production(), flag("a"), body)).await.unwrap();
    bench.write(Operation::PutSegment(production(), segment("s"), json(SEGMENTS[0]))).await.unwrap();
    bench
        .write(Operation::PutSegment(production(), segment("s"), json(r#"{"include":["u-2"]}"#)))
        .await
        .unwrap();
    bench.write(Operation::DeleteSegment(production(), segment("s"))).await.unwrap();
    let items = bench.control.history(&production(), &flag("a"), None, 10).await.unwrap();
    let summaries: Vec<_> = items.iter().map(|item| item.summary.as_str()).collect();
    assert_eq!(summaries[0], "rollout of the fallthrough: off 90 % → 80 %, on 10 % → 20 %");
    assert_eq!(summaries[2..], ["switched on", "created"]);
    let paths: Vec<_> = items[0].changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["/fallthrough/rollout/weights/off", "/fallthrough/rollout/weights/on"]);
    let of = Entity::Segment(production(), segment("s"));
    let items = bench.control.history_of(of, None, 10).await.unwrap();
    let summaries: Vec<_> = items.iter().map(|item| item.summary.as_str()).collect();
    assert_eq!(summaries, ["deleted", "inclusion of u-2 added, inclusion of u-1 removed", "created"]);
    assert_eq!(items[0].to, None);
    let unknown = bench.control.history_of(Entity::Flag(flag("nobody")), None, 10).await.unwrap_err();
    assert_eq!(unknown.code(), "flag-not-found");
}

/// The flag `a` asks for the segment `s`, whose first state has been erased; the entries of its two states.
async fn erased_segment() -> (Bench, u64, u64) {
    let bench = Bench::new().await;
    bench.create("a").await;
    bench.create("other").await;
    let put = |body: &str| Operation::PutSegment(production(), segment("s"), json(body));
    bench.write(Operation::PutTargeting(production(), flag("a"), json(TARGETINGS[0]))).await.unwrap();
    bench.write(Operation::PutSegment(production(), segment("s"), json(SEGMENTS[0]))).await.unwrap();
    let asks = Operation::PutTargeting(production(), flag("a"), json(TARGETINGS[1]));
    bench.clock.advance(HOUR_MS);
    bench.write(asks).await.unwrap();
    bench.clock.advance(HOUR_MS);
    let first = bench.write(put(r#"{"include":["u-1","u-9"]}"#)).await.unwrap().seq;
    bench.clock.advance(HOUR_MS);
    let second = bench.write(put(r#"{"include":["u-2"]}"#)).await.unwrap().seq;
    let erased = bench.control.erase(&Erasure::UserId("u-9".into()), request(None, "")).await.unwrap();
    assert_eq!(erased.erased, [first]);
    bench.clock.advance(HOUR_MS);
    (bench, first, second)
}

fn is_erased<T: std::fmt::Debug>(read: Result<T, ControlError>, by: u64) {
    let refused = read.unwrap_err();
    assert!(matches!(refused, ControlError::DataErased { seq } if seq == by), "{refused}");
    assert_eq!((refused.code(), refused.kind()), ("data-erased", Kind::NotFound));
}

#[tokio::test]
async fn what_has_been_erased_is_refused_and_never_told_as_something_else() {
    let (bench, first, second) = erased_segment().await;
    let context = &contexts()[0];
    let (env, a, other, s) = (production(), flag("a"), flag("other"), segment("s"));
    let control = &bench.control;
    let then = When::seq(first);
    let moment = control.moment(then).await.unwrap();
    is_erased(moment.segment(&env, &s), first);
    is_erased(moment.segments(&env), first);
    is_erased(control.evaluate(&env, Some("a"), context, then).await, first);
    is_erased(control.evaluate(&env, None, context, then).await, first);
    is_erased(control.explain(&env, &a, context, then).await, first);
    is_erased(
        control.explain(&env, &a, context, When::at(Instant::from_millis(NOW_MS + 5 * HOUR_MS / 2))).await,
        first,
    );
    // What does not depend on it is known, and so is what was there before and after.
    assert_eq!(moment.targetings(&env).unwrap().len(), 2);
    assert_eq!(moment.flags().unwrap().len(), 2);
    assert!(moment.targeting(&env, &a).is_ok() && moment.flag(&a).is_ok());
    assert!(control.evaluate(&env, Some("other"), context, then).await.is_ok());
    assert!(control.explain(&env, &other, context, then).await.is_ok());
    for known in [When::seq(first - 1), When::seq(second), When::NOW] {
        assert!(control.moment(known).await.unwrap().segment(&env, &s).is_ok());
        assert!(control.explain(&env, &a, context, known).await.is_ok());
    }
}

#[tokio::test]
async fn an_audit_leaves_what_has_been_erased_open() {
    let (bench, first, second) = erased_segment().await;
    let altered = bench
        .control
        .alterations(&production(), &flag("a"), &contexts()[0], When::NOW, None, 100)
        .await
        .unwrap();
    let by = |item: &flagstone_publisher::control::Alteration| match &item.by {
        AlteredBy::Entry { seq, .. } => *seq,
        _ => 0,
    };
    let variation = |details: &Option<Json<'static>>| {
        details.as_ref().map(|told| told.member("variation").and_then(Json::as_str).unwrap().to_owned())
    };
    let told: Vec<_> = altered
        .items
        .iter()
        .take(2)
        .map(|item| (by(item), variation(&item.from), variation(&item.to)))
        .collect();
    assert_eq!(told, [(second, None, Some("off".into())), (first, Some("on".into()), None)]);
}

#[tokio::test]
async fn a_history_tells_what_is_erased_from_what_was_deleted_or_made() {
    let (bench, ..) = erased_segment().await;
    bench.write(Operation::PutTargeting(production(), flag("a"), json(TARGETINGS[0]))).await.unwrap();
    bench.write(Operation::DeleteSegment(production(), segment("s"))).await.unwrap();
    let of = Entity::Segment(production(), segment("s"));
    let items = bench.control.history_of(of, None, 10).await.unwrap();
    let summaries: Vec<_> = items.iter().map(|item| item.summary.as_str()).collect();
    assert_eq!(summaries, ["deleted", "changed; what was there before is erased", "erased", "created"]);
}
