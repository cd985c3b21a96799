//! Previews: what a change would do, held against what it does once it is made.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use flagstone_eval::Snapshot;
use flagstone_model::context::Context;
use flagstone_model::details::ErrorCode;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::limits::BUCKETS;
use flagstone_publisher::author::Change;
use flagstone_publisher::control::{
    Action, Contexts, ControlError, Kind, Operation, Precondition, Preview, Several, Trial,
};
use flagstone_publisher::preview::share::{Among, Lands};
use flagstone_publisher::preview::{MAX_CONTEXTS, MAX_TOLD_OF_FLAG};
use proptest::prelude::*;

use super::control::{Bench, NOW_MS, request};
use super::project::{flag, json, production, segment};

/// A unit in each of the 100 000 buckets of one salt, found by hashing (FORMAT M-5.5) until each has one.
static UNITS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut units = vec![String::new(); usize::try_from(BUCKETS).unwrap()];
    let (seed, mut missing) = (flagstone_eval::seed("search"), units.len());
    for number in 0_u32.. {
        let unit = format!("u{number}");
        let bucket = flagstone_eval::bucket(unit.as_bytes(), seed, BUCKETS);
        let place = &mut units[usize::try_from(bucket).unwrap()];
        if place.is_empty() {
            *place = unit;
            missing -= 1;
            if missing == 0 {
                break;
            }
        }
    }
    units
});

fn several(changes: &str) -> Trial {
    Trial::Several(Several::Changes(Change::parse_all(&json(changes)).unwrap()))
}

fn put(key: &str, targeting: &str) -> Trial {
    Trial::One(Operation::PutTargeting(production(), flag(key), json(targeting)))
}

fn given(contexts: &[&str]) -> Contexts {
    Contexts::Given(contexts.iter().map(|context| json(context)).collect())
}

fn sample(size: usize) -> Contexts {
    Contexts::Sample { size: Some(size), seed: 7 }
}

async fn preview(bench: &Bench, trial: &Trial, contexts: Contexts) -> Result<Preview, ControlError> {
    bench.control.preview(&production(), trial, &request(None, ""), contexts, None).await
}

/// A flag `search` of three variations, on, that serves `a`, in a project with a few more.
async fn shop() -> Bench {
    let bench = Bench::new().await;
    let definition = r#"{"key":"search","type":"string","variations":{"a":"A","b":"B","c":"C"}}"#;
    bench.write(Operation::CreateFlag(json(definition))).await.unwrap();
    made(&bench, &put("search", r#"{"on":true,"off":"c","fallthrough":{"serve":"a"}}"#)).await;
    let staff = r#"{"rules":[{"if":[{"attr":"email","ends":["@example.com"]}]}]}"#;
    bench.write(Operation::PutSegment(production(), segment("staff"), json(staff))).await.unwrap();
    for key in ["beta", "needs-beta", "alone"] {
        bench.create(key).await;
    }
    let beta = r#"{"on":true,"rules":[{"id":"staff","if":[{"segment":["staff"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#;
    made(&bench, &put("beta", beta)).await;
    let needs = r#"{"on":true,"prerequisites":[{"flag":"beta","is":["on"]}],"fallthrough":{"serve":"on"}}"#;
    made(&bench, &put("needs-beta", needs)).await;
    bench
}

/// Makes a change that was tried.
async fn made(bench: &Bench, trial: &Trial) {
    let how = flagstone_publisher::control::Write { confirm: true, ..request(None, "") };
    match trial {
        Trial::One(operation) => drop(bench.control.write(operation.clone(), how).await.unwrap()),
        Trial::Several(several) => drop(bench.control.change(several, &how).await.unwrap()),
        _ => unreachable!(),
    }
}

/// What each flag serves each context, as a client with the newest lines has it.
async fn served(bench: &Bench, contexts: &[Json<'static>], at: Instant) -> BTreeMap<String, Vec<String>> {
    let state = bench.control.state().await.unwrap();
    let environment = state.environment("production").unwrap();
    let lines = environment.lines(state.id(), &flagstone_model::key::ViewId::server());
    let (snapshot, report) = Snapshot::compile(lines.iter().map(|line| line.as_bytes()));
    assert!(report.is_clean());
    let told = |key: &str, context: &Json<'_>| {
        let context = Context::from_json(context).unwrap();
        let details = snapshot.evaluate(key, None, &context, at);
        format!("{:?} {:?}", details.variation, details.value)
    };
    let of_flag =
        |key: &Arc<str>| (key.to_string(), contexts.iter().map(|context| told(key, context)).collect());
    snapshot.flag_keys().map(of_flag).collect()
}

/// Previews a change, makes it, and compares what was told with what has come of it.
async fn holds(bench: &Bench, trial: &Trial, contexts: Contexts) -> Preview {
    let told = preview(bench, trial, contexts).await.unwrap();
    let before = served(bench, &told.contexts, told.at).await;
    let head = bench.head().await;
    assert_eq!(told.head, head);
    made(bench, trial).await;
    let after = served(bench, &told.contexts, told.at).await;
    let nothing = vec![String::from("None None"); told.contexts.len()];
    let mut moved = vec![false; told.contexts.len()];
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let (from, to) = (before.get(key).unwrap_or(&nothing), after.get(key).unwrap_or(&nothing));
        let differ: Vec<usize> = (0..from.len()).filter(|index| from[*index] != to[*index]).collect();
        for index in &differ {
            moved[*index] = true;
        }
        let of_flag = told.moves.flags.iter().find(|of| *of.flag == **key);
        let Some(of_flag) = of_flag else {
            assert!(differ.is_empty(), "{key} moves and was not told");
            continue;
        };
        assert_eq!(of_flag.moved, differ.len(), "{key}");
        assert_eq!(of_flag.groups.iter().map(|group| group.contexts).sum::<usize>(), differ.len());
        let units: Vec<usize> = of_flag.units.iter().map(|unit| unit.index).collect();
        assert_eq!(units, differ[..differ.len().min(MAX_TOLD_OF_FLAG)]);
        for unit in &of_flag.units {
            let group = &of_flag.groups[unit.group];
            let [was, is] = [&group.from, &group.to].map(|served| format!("{:?}", served.variation));
            assert!(from[unit.index].starts_with(&was) && to[unit.index].starts_with(&is));
        }
    }
    assert_eq!(told.moves.moved, moved.into_iter().filter(|moved| *moved).count());
    told
}

#[tokio::test]
async fn a_preview_tells_who_moves_from_what_to_what_by_which_rule_and_writes_nothing() {
    let bench = shop().await;
    let before = bench.head().await;
    let trial = put(
        "search",
        r#"{"on":true,"off":"c","rules":[{"id":"eu","if":[{"attr":"country","in":["AT","DE"]}],"serve":"b"}],"fallthrough":{"serve":"a"}}"#,
    );
    let contexts = [r#"{"targetingKey":"u-1","country":"AT"}"#, r#"{"country":"US"}"#, r#"{"country":"DE"}"#];
    let told = preview(&bench, &trial, given(&contexts)).await.unwrap();
    assert_eq!(bench.head().await, before);
    assert_eq!((told.head, told.moves.moved, told.asked), (before, 2, None));
    let changed = &told.changes[0];
    assert_eq!(
        (changed.entity.to_string().as_str(), changed.action),
        ("flag/production/search", Action::Updated)
    );
    assert_eq!(changed.revision, (2, 3));
    let [search] = &told.moves.flags[..] else { panic!("{:?}", told.moves.flags) };
    assert_eq!((&*search.flag, search.moved, search.otherwise), ("search", 2, 1));
    let [group] = &search.groups[..] else { panic!("{:?}", search.groups) };
    assert_eq!(group.contexts, 2);
    assert_eq!(group.from.to_json().to_string(), r#"{"value":"A","variation":"a","reason":"STATIC"}"#);
    let to = r#"{"value":"B","variation":"b","reason":"TARGETING_MATCH","rule":"eu"}"#;
    assert_eq!(group.to.to_json().to_string(), to);
    assert_eq!(search.units.iter().map(|unit| unit.index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(search.share, None);
}

#[tokio::test]
async fn an_edit_of_a_segment_reaches_the_flags_that_ask_for_it_and_those_behind_them() {
    let bench = shop().await;
    let trial = several(
        r#"{"changes":[{"segment":"staff","environment":"production","definition":{"include":["u-1"]}}]}"#,
    );
    let contexts = [r#"{"targetingKey":"u-1"}"#, r#"{"email":"x@example.com"}"#, "{}"];
    let told = holds(&bench, &trial, given(&contexts)).await;
    let keys: Vec<&str> = told.moves.flags.iter().map(|of| &*of.flag).collect();
    assert_eq!(keys, ["beta", "needs-beta"]);
    assert_eq!(told.moves.flags.iter().map(|of| of.moved).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn what_refuses_a_change_refuses_its_preview_and_what_is_asked_first_is_told() {
    let bench = shop().await;
    for (trial, code) in [
        (put("nobody", r#"{"on":true}"#), "flag-not-found"),
        (put("search", r#"{"on":true,"fallthrough":{"serve":"z"}}"#), "invalid-request"),
        (
            put("search", r#"{"on":true,"rules":[{"id":"x","if":[{"segment":["no"]}],"serve":"a"}]}"#),
            "dangling-reference",
        ),
        (
            put("beta", r#"{"on":true,"prerequisites":[{"flag":"needs-beta","is":["on"]}]}"#),
            "prerequisite-cycle",
        ),
        (several(r#"{"changes":[{"flag":"search","archive":true,"revision":9}]}"#), "stale-revision"),
    ] {
        let error = preview(&bench, &trial, sample(10)).await.unwrap_err();
        assert_eq!(error.code(), code, "{trial:?}");
    }
    let write =
        flagstone_publisher::control::Write { precondition: Precondition::Revision(1), ..request(None, "") };
    let on = Trial::One(Operation::Switch(production(), flag("search"), false));
    let stale = bench.control.preview(&production(), &on, &write, sample(10), None).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::Precondition { current: 2 });
    // A schedule that is over is only written by somebody who confirms it.
    let over = put(
        "search",
        r#"{"on":true,"off":"c","schedule":{"end":"2020-01-01T00:00:00Z"},"fallthrough":{"serve":"a"}}"#,
    );
    let told = preview(&bench, &over, sample(10)).await.unwrap();
    assert_eq!(told.asked.unwrap().code, "schedule-in-past");
    assert_eq!(told.moves.moved, 10);
}

#[tokio::test]
async fn a_change_that_touches_most_flags_is_previewed_and_its_question_told() {
    let bench = shop().await;
    for number in 0..20 {
        let key = format!("f-{number}");
        bench.create(&key).await;
        let asks = r#"{"on":true,"rules":[{"id":"s","if":[{"segment":["staff"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#;
        made(&bench, &put(&key, asks)).await;
    }
    let everybody = Operation::PutSegment(production(), segment("staff"), json("{}"));
    let told = holds(&bench, &Trial::One(everybody), sample(20)).await;
    assert_eq!(told.asked.unwrap().code, "needs-confirmation");
    assert_eq!(told.moves.flags.len(), 22);
}

#[tokio::test]
async fn flags_that_come_and_go_move_from_and_to_nothing() {
    let bench = shop().await;
    let trial = several(
        r#"{"changes":[{"flag":"new","definition":{"type":"bool"}},{"flag":"alone","archive":true}]}"#,
    );
    let told = holds(&bench, &trial, given(&["{}"])).await;
    let codes = told.moves.flags.iter().map(|of| {
        let group = &of.groups[0];
        (&*of.flag, group.from.error_code.map(ErrorCode::as_str), group.to.error_code.map(ErrorCode::as_str))
    });
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes, [("alone", None, Some("FLAG_NOT_FOUND")), ("new", Some("FLAG_NOT_FOUND"), None)]);
}

#[tokio::test]
async fn a_preview_looks_at_1_to_10000_contexts_that_are_objects() {
    let bench = shop().await;
    let off = Trial::One(Operation::Switch(production(), flag("search"), false));
    for (contexts, pointer) in [
        (Contexts::Given(Vec::new()), "/contexts"),
        (Contexts::Given(vec![json("{}"); MAX_CONTEXTS + 1]), "/contexts"),
        (given(&["{}", "[]"]), "/contexts/1"),
        (sample(0), "/sample/size"),
        (sample(MAX_CONTEXTS + 1), "/sample/size"),
    ] {
        let error = preview(&bench, &off, contexts).await.unwrap_err();
        assert_eq!((error.code(), &*error.problems()[0].pointer), ("invalid-request", pointer));
    }
    let told = preview(&bench, &off, Contexts::Given(vec![json("{}"); MAX_CONTEXTS])).await.unwrap();
    assert_eq!((told.moves.moved, told.moves.flags[0].units.len()), (MAX_CONTEXTS, MAX_TOLD_OF_FLAG));
}

#[tokio::test]
async fn schedules_and_ramps_are_those_of_the_time_that_is_asked_about() {
    let bench = shop().await;
    let ramp = put(
        "search",
        r#"{"on":true,"off":"c","fallthrough":{"ramp":{"serve":"b","linear":true,"steps":[["2026-12-03T00:00:00Z",0],["2026-12-05T00:00:00Z","50%"]]},"serve":"a"}}"#,
    );
    for (at, moved) in
        [("2026-12-02T12:00:00Z", 0), ("2026-12-04T00:00:00Z", 25_000), ("2027-01-01T00:00:00Z", 50_000)]
    {
        let at = Instant::parse(at).unwrap();
        let told =
            bench.control.preview(&production(), &ramp, &request(None, ""), sample(10), Some(at)).await;
        let share = told.unwrap().moves.flags[0].share.clone().unwrap();
        assert_eq!(
            (share.moved(), share.among, share.by.as_deref()),
            (moved, Among::All, Some("targetingKey"))
        );
    }
}

#[tokio::test]
async fn a_share_is_of_everybody_or_of_those_who_reach_the_rule() {
    let bench = shop().await;
    let rollout = |a: u64| {
        let (b, rule) =
            (100_000 - a, r#"{"id":"eu","if":[{"attr":"country","in":["AT"]}],"rollout":{"weights":"#);
        format!(
            r#"{{"on":true,"off":"c","rules":[{rule}{{"a":{a},"b":{b}}}}}}},{{"id":"z","if":[{{"attr":"z","exists":true}}],"serve":"c"}}],"fallthrough":{{"serve":"a"}}}}"#
        )
    };
    made(&bench, &put("search", &rollout(70_000))).await;
    let told = preview(&bench, &put("search", &rollout(57_500)), sample(10)).await.unwrap();
    let share = told.moves.flags[0].share.clone().unwrap();
    assert_eq!((share.among, share.moved(), share.percent(share.moved())), (Among::Reaching, 12_500, 12.5));
    assert_eq!(share.moves[0].from, Lands::Variation("a".to_owned()));
    assert_eq!(share.moves[0].to, Lands::Variation("b".to_owned()));
    // Another condition, another salt, another value: not a change of shares alone.
    for other in [
        rollout(50_000).replace("AT", "DE"),
        rollout(50_000).replace(r#""weights""#, r#""salt":"other","weights""#),
        rollout(50_000).replace(r#""off":"c""#, r#""off":"b""#),
        rollout(50_000).replace(r#""rules":["#, r#""deny":{"c":["u-1"]},"rules":["#),
    ] {
        let told = preview(&bench, &put("search", &other), sample(10)).await.unwrap();
        assert_eq!(told.moves.flags[0].share, None, "{other}");
    }
}

/// What stands in the fallthrough, in words that can be put there.
fn any_fallthrough() -> impl Strategy<Value = String> {
    let weights = (0..=100_000_u64, 0..=100_000_u64).prop_map(|(x, y)| {
        let (low, high) = (x.min(y), x.max(y));
        format!(r#"{{"rollout":{{"weights":{{"a":{low},"b":{},"c":{}}}}}}}"#, high - low, BUCKETS - high)
    });
    let constant =
        prop::sample::select(vec!["a", "b", "c"]).prop_map(|name| format!(r#"{{"serve":"{name}"}}"#));
    let ramp = (0..=100_000_u64, 0..=100_000_u64, any::<bool>()).prop_map(|(x, y, linear)| {
        let steps =
            format!(r#"[["2026-12-01T00:00:00Z",{}],["2026-12-05T00:00:00Z",{}]]"#, x.min(y), x.max(y));
        format!(r#"{{"ramp":{{"serve":"b","linear":{linear},"steps":{steps}}},"serve":"a"}}"#)
    });
    prop_oneof![3 => weights, 1 => constant, 2 => ramp]
}

fn any_change() -> impl Strategy<Value = Vec<(String, bool)>> {
    prop::collection::vec((any_fallthrough(), prop::bool::weighted(0.8)), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn the_exact_share_is_what_all_buckets_do_and_the_counts_are_what_the_change_does(changes in any_change()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = shop().await;
            for (fallthrough, on) in changes {
                let trial = put("search", &format!(r#"{{"on":{on},"off":"c","fallthrough":{fallthrough}}}"#));
                let before = brute_force(&bench).await;
                let told = holds(&bench, &trial, sample(200)).await;
                let after = brute_force(&bench).await;
                let of_search = told.moves.flags.iter().find(|of| &*of.flag == "search").unwrap();
                let Some(share) = &of_search.share else {
                    assert_eq!(of_search.moved, 0);
                    continue;
                };
                let mut pairs: BTreeMap<(String, String), u64> = BTreeMap::new();
                for (from, to) in before.iter().zip(&after).filter(|(from, to)| from != to) {
                    *pairs.entry((from.clone(), to.clone())).or_default() += 1;
                }
                let name = |lands: &Lands| match lands {
                    Lands::Variation(name) => name.clone(),
                    other => panic!("{other:?}"),
                };
                let told = share.moves.iter().map(|moved| ((name(&moved.from), name(&moved.to)), moved.buckets));
                assert_eq!(told.collect::<BTreeMap<_, _>>(), pairs);
                assert_eq!(share.moved(), pairs.values().sum::<u64>());
            }
        });
    }
}

/// What `search` serves a unit in each bucket.
async fn brute_force(bench: &Bench) -> Vec<String> {
    let state = bench.control.state().await.unwrap();
    let line = Arc::clone(state.environment("production").unwrap().live_flag("search").unwrap().line());
    let snapshot = Snapshot::compile([line.as_bytes()]).0;
    let at = Instant::from_millis(NOW_MS);
    let serve = |unit: &String| {
        let context = Context::with_targeting_key(unit.as_str());
        snapshot.evaluate("search", None, &context, at).variation.unwrap().to_string()
    };
    UNITS.iter().map(serve).collect()
}
