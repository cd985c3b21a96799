//! Phases of experiments (FORMAT M-7.4, P7): what starts one, what does not, and the law behind it.

use std::collections::BTreeMap;

use flagstone_eval::Snapshot;
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_publisher::state::change::{self, Confirmation, Terms};
use proptest::prelude::*;

use crate::project::{Project, flag, json, production, salt, told};

const CONFIRMED: Terms = Terms {
    precondition: change::Precondition::Any,
    confirmation: Confirmation::Given,
    now_ms: 1_795_253_123_200,
};

fn project() -> Project {
    let mut project = Project::new();
    project.create(r#"{"key":"x","type":"string","variations":{"a":"A","b":"B","c":"C"}}"#);
    for parent in ["p", "q"] {
        project.create(&format!(r#"{{"key":"{parent}","type":"bool"}}"#));
    }
    // The flag `p` is on in Germany only.
    project.put(
        "p",
        r#"{"on":true,"rules":[{"id":"r","if":[{"attr":"country","in":["DE"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#,
    );
    project.segment("seg", r#"{"include":["u-1"]}"#);
    project
}

/// What the last write of `x` began, as the log has it: `from → to: because`.
fn begun(project: &Project) -> Vec<String> {
    let flag = project.state.environment("production").unwrap().live_flag("x").unwrap().clone();
    let told = flag.targeting.splits.phases.begun().iter().map(|begun| {
        let because: Vec<_> = begun.because.iter().map(|cause| cause.as_str()).collect();
        format!("{} → {}: {}", begun.from.as_deref().unwrap_or("-"), begun.to, because.join(", "))
    });
    told.collect()
}

fn put(project: &mut Project, targeting: &str) -> Vec<String> {
    let edits = project.try_put_with("x", targeting, CONFIRMED).unwrap();
    project.record(edits);
    begun(project)
}

/// A targeting with an experiment `e` in the rule `r`; members before the rule, in it, and its weights.
fn targeting(around: &str, earlier: &str, own: &str, weights: &str) -> String {
    format!(
        r#"{{"on":true,"off":"a",{around}"rules":[{earlier}{{"id":"r",{own}"rollout":{{"weights":{weights}}},"experiment":{{"name":"e"}}}},{{"id":"later","serve":"c"}}],"fallthrough":{{"serve":"a"}}}}"#
    )
}

const HALVES: &str = r#"{"a":50000,"b":50000}"#;
const TENTHS: &str = r#"{"a":10000,"b":10000}"#;

#[test]
fn a_new_experiment_is_in_phase_1_and_a_change_of_nothing_stays_in_it() {
    let mut project = project();
    let plain = targeting("", "", "", HALVES);
    assert_eq!(put(&mut project, &plain), ["- → e.1: new"]);
    assert_eq!(put(&mut project, &plain), [""; 0]);
    for on in [false, true] {
        let edits = change::switch(&project.state, &production(), &flag("x"), on, CONFIRMED).unwrap();
        project.record(edits);
        assert_eq!(begun(&project), [""; 0]);
    }
}

#[test]
fn what_moves_anybody_starts_a_new_phase_and_says_why() {
    let rule = r#"{"id":"first","if":[{"attr":"country","in":["DE"]}],"serve":"c"},"#;
    let holdout = |share: u64| format!(r#""holdouts":[{{"name":"h","share":{share},"serve":"a"}}],"#);
    let ramp = |steps: &str| format!(r#""if":[{{"bucket":{{"salt":"g","ramp":{steps}}}}}],"#);
    let tenths = |around: &str, earlier: &str, own: &str| targeting(around, earlier, own, TENTHS);
    for (from, to, because) in [
        // An earlier rule of any kind.
        (tenths("", "", ""), tenths(r#""targets":{"b":["u-1"]},"#, "", ""), "earlier-rule"),
        (tenths("", "", ""), tenths(r#""deny":{"b":["u-1"]},"#, "", ""), "earlier-rule"),
        (tenths("", "", ""), tenths("", rule, ""), "earlier-rule"),
        (tenths("", rule, ""), tenths("", &rule.replace("DE", "AT"), ""), "earlier-rule"),
        (tenths("", rule, ""), tenths("", "", ""), "earlier-rule"),
        // Its own conditions, its slot too, and what the flag needs.
        (tenths("", "", ""), tenths(r#""prerequisites":[{"flag":"p","is":["on"]}],"#, "", ""), "if"),
        (
            tenths(r#""prerequisites":[{"flag":"p","is":["on"]}],"#, "", ""),
            tenths(r#""prerequisites":[{"flag":"p","is":["off"]}],"#, "", ""),
            "if",
        ),
        (tenths("", "", ""), tenths("", "", r#""if":[{"segment":["seg"]}],"#), "if"),
        (
            tenths("", "", r#""layer":{"name":"l","share":10000},"#),
            tenths("", "", r#""layer":{"name":"l","share":20000},"#),
            "if",
        ),
        (tenths("", "", ""), tenths("", "", &ramp(r#"[["2026-12-01T09:00:00Z",1]]"#)), "if"),
        (
            tenths("", "", r#""if":[{"time":{"since":"2026-12-01T00:00:00Z"}}],"#),
            tenths("", "", r#""if":[{"time":{"since":"2026-12-02T00:00:00Z"}}],"#),
            "if",
        ),
        // Its split.
        (tenths("", "", ""), tenths("", "", "").replace(r#""weights""#, r#""salt":"s","weights""#), "salt"),
        (tenths("", "", ""), targeting("", "", "", r#"{"a":9999,"b":10000}"#), "variation"),
        (tenths("", "", ""), targeting("", "", "", r#"{"b":10000,"c":10000}"#), "variation, proportions"),
        (tenths("", "", ""), targeting("", "", "", r#"{"a":10000,"b":20000}"#), "proportions"),
        (tenths("", "", ""), targeting("", "", "", r#"{"a":10000,"b":10000,"c":2}"#), "proportions"),
        (
            tenths("", "", ""),
            tenths("", "", "").replace(r#""rollout":{"weights":{"a":10000,"b":10000}}"#, r#""serve":"a""#),
            "variation",
        ),
    ] {
        let mut project = project();
        put(&mut project, &from);
        let wanted = format!("e.1 → e.2: {because}");
        assert_eq!(put(&mut project, &to), [wanted], "{from}\n{to}");
        assert!(project.line(r#"{"flag":"x""#).contains(r#""exp":"e.2""#));
    }
    // By another attribute nobody is where he was: the layout starts afresh too.
    let mut project = project();
    put(&mut project, &tenths("", "", ""));
    let by = tenths("", "", "").replace(r#""weights""#, r#""by":"org","weights""#);
    assert_eq!(put(&mut project, &by), ["e.1 → e.2: by"]);
    // A holdout before an experiment is one of its earlier rules, and is recorded itself.
    put(&mut project, &tenths(&holdout(1_000), "", ""));
    assert_eq!(
        put(&mut project, &tenths(&holdout(2_000), "", "")),
        ["h → h.2: if", "e.3 → e.4: earlier-rule"]
    );
}

#[test]
fn what_moves_nobody_starts_no_new_phase() {
    let tenths = |own: &str| targeting("", "", own, TENTHS);
    let ramp = |steps: &str| {
        format!(
            r#"{{"on":true,"off":"a","rules":[{{"id":"r","ramp":{{"rollout":{{"weights":{HALVES}}},"steps":{steps}}},"experiment":{{"name":"e"}}}}]}}"#
        )
    };
    let window = |end: &str| tenths(&format!(r#""schedule":{{"end":"{end}"}},"#));
    let gate = |at: u64| {
        tenths(&format!(r#""if":[{{"bucket":{{"salt":"g","ramp":[["2026-12-01T09:00:00Z",{at}]]}}}}],"#))
    };
    for (from, to) in [
        // Gaps are filled in the old proportions, to one bucket.
        (tenths(""), targeting("", "", "", HALVES)),
        (tenths(""), targeting("", "", "", r#"{"a":10001,"b":10000}"#)),
        (tenths(""), targeting("", "", "", r#"{"a":33333,"b":33334}"#)),
        // A point of a ramp, of its own or in its conditions.
        (
            ramp(r#"[["2026-12-01T09:00:00Z",1000]]"#),
            ramp(r#"[["2026-12-01T09:00:00Z",1000],["2026-12-02T09:00:00Z",50000]]"#),
        ),
        (gate(1_000), gate(2_000)),
        // Its own schedule: when, not who.
        (window("2027-01-01T00:00:00Z"), window("2027-02-01T00:00:00Z")),
        (tenths(""), window("2027-02-01T00:00:00Z")),
        // When the flag is there at all, and the order of what it needs.
        (tenths(""), targeting(r#""schedule":{"end":"2027-01-01T00:00:00Z"},"#, "", "", TENTHS)),
        (
            targeting(
                r#""prerequisites":[{"flag":"p","is":["on"]},{"flag":"q","is":["on"]}],"#,
                "",
                "",
                TENTHS,
            ),
            targeting(
                r#""prerequisites":[{"flag":"q","is":["on"]},{"flag":"p","is":["on"]}],"#,
                "",
                "",
                TENTHS,
            ),
        ),
        // What comes after it, and what it is called.
        (tenths(""), tenths("").replace("later", "last")),
        (tenths(""), tenths("").replace(r#""fallthrough":{"serve":"a"}"#, r#""fallthrough":{"serve":"b"}"#)),
        (tenths(""), tenths("").replace(r#""off":"a""#, r#""off":"b""#)),
    ] {
        let mut project = project();
        put(&mut project, &from);
        assert_eq!(put(&mut project, &to), [""; 0], "{from}\n{to}");
        assert!(project.line(r#"{"flag":"x""#).contains(r#""exp":"e.1""#));
    }
}

#[test]
fn a_segment_that_changes_starts_no_new_phase() {
    // The condition of the rule is the same; who must not drift is held in a list, or by a reshuffle.
    let mut project = project();
    put(&mut project, &targeting("", "", r#""if":[{"segment":["seg"]}],"#, HALVES));
    project.segment("seg", r#"{"include":["u-1","u-2"]}"#);
    assert!(project.line(r#"{"flag":"x""#).contains(r#""exp":"e.1""#));
}

#[test]
fn a_new_phase_keeps_its_salt_unless_a_reshuffle_is_asked_for() {
    let mut project = project();
    put(&mut project, &targeting("", "", "", HALVES));
    put(&mut project, &targeting("", "", "", r#"{"a":40000,"b":60000}"#));
    let line = project.line(r#"{"flag":"x""#);
    assert!(line.contains(r#""salt":"e.1""#) && line.contains(r#""exp":"e.2""#), "{line}");
    let before =
        project.state.environment("production").unwrap().live_flag("x").unwrap().targeting.authored.clone();
    let reshuffle = |project: &Project, body: &str| {
        change::reshuffle(&project.state, &production(), &flag("x"), &json(body), CONFIRMED)
    };
    let edits = reshuffle(&project, "{}").unwrap();
    project.record(edits);
    assert_eq!(begun(&project), ["e.2 → e.3: salt"]);
    let line = project.line(r#"{"flag":"x""#);
    assert!(line.contains(r#""salt":"e.3""#) && line.contains(r#""exp":"e.3""#), "{line}");
    // Nothing of it is left to fire again.
    let flag = project.state.environment("production").unwrap().live_flag("x").unwrap().clone();
    assert_eq!(flag.targeting.authored, before);
    let again = before.to_json().to_string();
    assert_eq!(put(&mut project, &again), [""; 0]);
    for (body, at) in
        [(r#"{"rule":"later"}"#, "/rule"), (r#"{"rule":1}"#, "/rule"), (r#"{"rul":"r"}"#, "/rul"), ("[]", "")]
    {
        assert_eq!(told(reshuffle(&project, body)), [("invalid-request", at.to_owned())], "{body}");
    }
    put(&mut project, &targeting("", "", "", HALVES).replace(r#""weights""#, r#""salt":"mine","weights""#));
    assert_eq!(told(reshuffle(&project, r#"{"rule":"r"}"#)), [("invalid-request", "/rule".to_owned())]);
    put(&mut project, r#"{"on":true}"#);
    assert_eq!(told(reshuffle(&project, "{}")), [("invalid-request", "/rule".to_owned())]);
}

#[test]
fn a_reshuffle_keeps_those_a_ramp_has_reached() {
    let mut project = project();
    put(
        &mut project,
        &format!(
            r#"{{"on":true,"off":"a","rules":[{{"id":"r","ramp":{{"rollout":{{"weights":{HALVES}}},"steps":[["2026-11-01T09:00:00Z",50000]]}},"experiment":{{"name":"e"}}}}]}}"#
        ),
    );
    let edits = change::reshuffle(
        &project.state,
        &production(),
        &flag("x"),
        &json("{}"),
        Terms { confirmation: Confirmation::Ask, ..CONFIRMED },
    );
    project.record(edits.unwrap());
    let line = project.line(r#"{"flag":"x""#);
    assert!(line.contains(r#""salt":"e.1.ramp""#) && line.contains(r#""salt":"e.2""#), "{line}");
}

#[test]
fn a_rollout_that_becomes_an_experiment_keeps_its_users() {
    let mut project = project();
    let recorded = targeting("", "", "", HALVES);
    put(&mut project, &recorded.replace(r#","experiment":{"name":"e"}"#, ""));
    assert_eq!(put(&mut project, &recorded), ["- → e.1: new"]);
    assert!(project.line(r#"{"flag":"x""#).contains(r#""split":{"salt":"x.r","#));
}

#[test]
fn a_phase_never_comes_back() {
    let mut project = project();
    put(&mut project, &targeting("", "", "", HALVES));
    let first = project.state.seq();
    put(&mut project, &targeting("", "", "", TENTHS));
    put(&mut project, r#"{"on":true,"off":"a"}"#);
    // Gone and back.
    assert_eq!(put(&mut project, &targeting("", "", "", HALVES)), ["- → e.3: new"]);
    put(&mut project, &targeting("", "", "", r#"{"a":20000,"b":80000}"#));
    // Restored, with the ranges it had, under the next number.
    let older =
        project.entries[usize::try_from(first).unwrap() - 1].read_data().unwrap().unwrap().states.remove(0);
    let edits =
        change::restore_targeting(&project.state, &production(), &flag("x"), &older, CONFIRMED).unwrap();
    project.record(edits);
    let line = project.line(r#"{"flag":"x""#);
    assert!(line.contains(r#""ranges":[[0,50000,"a"],[50000,100000,"b"]]},"exp":"e.5""#), "{line}");
    assert_eq!(project.refolded().to_lines(), project.state.to_lines());
}

#[test]
fn an_environment_that_comes_back_goes_on_counting() {
    let mut project = project();
    put(&mut project, &targeting("", "", "", HALVES));
    let then = project.state.environment("production").unwrap().clone();
    put(&mut project, &targeting("", "", "", r#"{"a":20000,"b":80000}"#));
    let edits = change::restore_environment(&project.state, &production(), &then, CONFIRMED).unwrap();
    project.record(edits);
    assert_eq!(begun(&project), ["e.2 → e.3: variation, proportions"]);
    assert!(
        project
            .line(r#"{"flag":"x""#)
            .contains(r#""ranges":[[0,50000,"a"],[50000,100000,"b"]]},"exp":"e.3""#)
    );
    // It is so already, whatever it is recorded as.
    assert!(change::restore_environment(&project.state, &production(), &then, CONFIRMED).unwrap().is_empty());
}

#[test]
fn the_rollout_operation_on_a_fallthrough_that_is_recorded_begins_a_phase() {
    let mut project = project();
    put(
        &mut project,
        &format!(
            r#"{{"on":true,"off":"a","fallthrough":{{"rollout":{{"weights":{HALVES}}},"experiment":{{"name":"e"}}}}}}"#
        ),
    );
    project.roll_out("x", r#"{"variation":"a","percent":60}"#);
    assert_eq!(begun(&project), ["e.1 → e.2: variation, proportions"]);
}

#[test]
fn a_copied_environment_has_the_phases_and_has_begun_none() {
    let mut project = project();
    put(&mut project, &targeting("", "", "", HALVES));
    let edits = change::create_environment(
        &project.state,
        &json(r#"{"id":"staging","copy_from":"production"}"#),
        &salt(),
    )
    .unwrap();
    project.record(edits);
    let copy = project.state.environment("staging").unwrap().live_flag("x").unwrap().clone();
    assert!(copy.targeting.splits.phases.begun().is_empty());
    assert!(copy.line().contains(r#""exp":"e.1""#));
}

/// A targeting drawn from few parts, so that edits often meet.
fn any_edit() -> impl Strategy<Value = String> {
    let pick = |all: &'static [&'static str]| proptest::sample::select(all);
    let around = pick(&[
        "",
        "",
        r#""targets":{"b":["u-1"]},"#,
        r#""holdouts":[{"name":"h","share":5000,"serve":"a"}],"#,
        r#""prerequisites":[{"flag":"p","is":["on"]}],"#,
    ]);
    let earlier = pick(&["", "", r#"{"id":"first","if":[{"attr":"country","in":["DE"]}],"serve":"c"},"#]);
    let own = pick(&[
        "",
        "",
        r#""if":[{"attr":"country","in":["DE","AT"]}],"#,
        r#""layer":{"name":"l","share":30000},"#,
        r#""layer":{"name":"l","share":50000},"#,
        r#""schedule":{"end":"2027-01-01T00:00:00Z"},"#,
    ]);
    let weights = prop_oneof![
        Just((10_000, 10_000)),
        Just((50_000, 50_000)),
        Just((30_000, 60_000)),
        (0u64..=50_000, 0u64..=50_000)
    ];
    let salt = pick(&["", "", "", r#""salt":"s","#]);
    (around, earlier, own, weights, salt).prop_map(|(around, earlier, own, (a, b), salt)| {
        let weights = format!(r#"{{"a":{a},"b":{b}}}"#);
        targeting(around, earlier, own, &weights).replace(r#""weights""#, &format!(r#"{salt}"weights""#))
    })
}

/// What a sample of users is recorded as and served: unit and country → (exp, variation).
fn recorded(project: &Project) -> BTreeMap<(u32, &'static str), (String, String)> {
    let lines = project.lines();
    let (snapshot, report) = Snapshot::compile(lines.iter().map(String::as_bytes));
    assert!(report.is_clean());
    let mut found = BTreeMap::new();
    for unit in 0..100 {
        for country in ["DE", "AT", "FR"] {
            let context = json(&format!(r#"{{"targetingKey":"u-{unit}","country":"{country}"}}"#));
            let context = Context::from_json(&context).unwrap();
            let details = snapshot.evaluate("x", None, &context, Instant::from_millis(CONFIRMED.now_ms));
            if let (Some(exp), Some(variation)) = (details.exp, details.variation) {
                found.insert((unit, country), (exp.to_string(), variation.to_string()));
            }
        }
    }
    found
}

/// Weights of the split that is recorded as `exp`.
fn weights(line: &str, exp: &str) -> BTreeMap<String, i64> {
    let line = json(line);
    let rules = line.member("rules").and_then(Json::as_array).unwrap();
    let rule = rules.iter().find(|rule| rule.member("exp").and_then(Json::as_str) == Some(exp)).unwrap();
    let mut weights = BTreeMap::new();
    let ranges =
        rule.member("split").and_then(|split| split.member("ranges")?.as_array()).unwrap_or_default();
    for range in ranges {
        let [start, end, variation] = range.as_array().unwrap() else { panic!("{range}") };
        *weights.entry(variation.as_str().unwrap().to_owned()).or_default() +=
            end.as_integer().unwrap() - start.as_integer().unwrap();
    }
    weights
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Of everybody who is recorded under the same name before and after an edit, nobody changed variation, nobody left,
    /// and who joined did so in the old proportions (FORMAT P7).
    #[test]
    fn p7_whoever_is_compared_under_one_name_stays_comparable(
        edits in proptest::collection::vec((any_edit(), any::<bool>()), 2..6),
    ) {
        let mut project = project();
        let mut seen: BTreeMap<String, BTreeMap<(u32, &str), String>> = BTreeMap::new();
        let mut before: Option<(String, BTreeMap<_, (String, String)>)> = None;
        for (edit, reshuffle) in edits {
            put(&mut project, &edit);
            if reshuffle
                && let Ok(edits) =
                    change::reshuffle(&project.state, &production(), &flag("x"), &json("{}"), CONFIRMED)
            {
                project.record(edits);
            }
            let line = project.line(r#"{"flag":"x""#);
            let now = recorded(&project);
            // Ever since the first time: a name that comes back later would be found too.
            for (who, (exp, variation)) in &now {
                let earlier = seen.entry(exp.clone()).or_default().insert(*who, variation.clone());
                prop_assert!(earlier.is_none_or(|earlier| earlier == *variation), "{who:?} {exp}");
            }
            if let Some((before, then)) = &before {
                let names = |line: &str| -> Vec<String> {
                    let names = line.split(r#""exp":""#).skip(1);
                    names.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
                };
                for exp in names(before).into_iter().filter(|exp| names(&line).contains(exp)) {
                    for (who, (of, variation)) in then {
                        if *of == exp {
                            prop_assert_eq!(now.get(who), Some(&(exp.clone(), variation.clone())));
                        }
                    }
                    let (then, now) = (weights(before, &exp), weights(&line, &exp));
                    let (all_then, all_now) = (then.values().sum::<i64>(), now.values().sum::<i64>());
                    for variation in ["a", "b", "c"] {
                        let of = |weights: &BTreeMap<String, i64>| weights.get(variation).copied().unwrap_or(0);
                        prop_assert!((of(&now) * all_then - of(&then) * all_now).abs() <= all_then);
                    }
                }
            }
            before = Some((line, now));
        }
        prop_assert_eq!(project.refolded().to_lines(), project.state.to_lines());
    }

    /// The slots of a layer are disjoint over all flags, whatever is asked for (FORMAT P5).
    #[test]
    fn p5_slots_are_disjoint_after_any_edits(
        edits in proptest::collection::vec((0usize..3, 1u64..=100_000, 0u8..4), 1..12),
    ) {
        let mut project = Project::new();
        let keys = ["p", "q", "r"];
        for key in keys {
            project.create(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
        }
        let rule = |id: &str, share: u64| {
            format!(r#"{{"id":"{id}","layer":{{"name":"l","share":{share}}},"serve":"on"}}"#)
        };
        for (index, share, kind) in edits {
            let of = |rules: String| format!(r#"{{"on":true,"rules":[{rules}]}}"#);
            let key = keys[index];
            let other = keys[(index + 1) % 3];
            let edited = match kind {
                0 => project.try_put(key, &of(rule("one", share))),
                1 => project.try_put(key, &of(format!("{},{}", rule("one", share / 2 + 1), rule("two", share / 3 + 1)))),
                2 => project.try_put(key, r#"{"on":true}"#),
                _ => project.try_several(&format!(
                    r#"{{"flag":"{key}","environment":"production","targeting":{}}},{{"flag":"{other}","environment":"production","targeting":{}}}"#,
                    of(rule("one", share / 2 + 1)),
                    of(rule("two", share / 2 + 1))
                )),
            };
            match edited {
                Ok(edits) if edits.is_empty() => {}
                Ok(edits) => project.record(edits),
                Err(refused) => prop_assert_eq!(refused.code(), "layer-full"),
            }
            let mut spans = Vec::new();
            for line in project.lines() {
                for part in line.split(r#""salt":"layer-l","in":"#).skip(1) {
                    let text = part.split('}').next().unwrap();
                    for span in json(text).as_array().unwrap() {
                        let bounds: Vec<_> =
                            span.as_array().unwrap().iter().map(|bound| bound.as_integer().unwrap()).collect();
                        spans.push((bounds[0], bounds[1]));
                    }
                }
            }
            spans.sort_unstable();
            prop_assert!(spans.iter().all(|(start, end)| start < end && *end <= 100_000));
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{:?}", spans);
            prop_assert_eq!(project.refolded().to_lines(), project.state.to_lines());
        }
    }
}
