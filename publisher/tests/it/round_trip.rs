//! Documents of the authored form, drawn at random, and the law that each reads back as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flagstone_model::details::Reason;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::{FlagKey, ListKey, RuleId, SegmentKey, VariationKey};
use flagstone_model::path::Path;
use flagstone_model::value::{FlagType, Value};
use flagstone_publisher::author::{
    AttributeTest, Between, Bucket, By, Check, Condition, Day, Edge, Environment, Expect, ExperimentName,
    Fallthrough, FlagDefinition, FlagKind, FlagTest, Holdout, Keys, Layer, Moment, Off, Operand, Ramp,
    RampTo, Rollout, Rule, Segment, SegmentRule, Served, Share, Slot, Target, Targeting, Term, Test, Then,
    Turned, Weight, Window, Zone,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use crate::project::json;

fn key() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,6}"
}

fn variation() -> impl Strategy<Value = VariationKey> {
    "[a-e]".prop_map(|name| VariationKey::parse(&name).unwrap())
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<i32>().prop_map(f64::from), (-1e300..1e300f64), Just(0.1), Just(1e21), Just(-1e-7)]
        .prop_map(|number| number + 0.0)
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        any::<bool>().prop_map(Operand::Bool),
        number()
            .prop_filter("an attribute can be it", |number| number.abs() < 9e15)
            .prop_map(Operand::Number),
        "\\PC{0,8}".prop_map(|text| Operand::String(text.into())),
    ]
}

fn target() -> impl Strategy<Value = Operand> {
    operand().prop_filter("a key is no boolean", |operand| !matches!(operand, Operand::Bool(_)))
}

fn sorted<T: Ord + Clone + std::fmt::Debug>(
    item: impl Strategy<Value = T>,
    min: usize,
) -> impl Strategy<Value = Vec<T>> {
    btree_set(item, min..5).prop_map(|set| set.into_iter().collect())
}

fn path() -> impl Strategy<Value = Path> {
    vec("[a-zA-Z~.]{1,4}", 1..4).prop_map(|names| {
        let text =
            names.iter().map(|name| name.replace('~', "~0").replace('.', "~1")).collect::<Vec<_>>().join(".");
        Path::parse(&text).unwrap()
    })
}

fn by() -> impl Strategy<Value = By> {
    option::of(path()).prop_map(|path| path.map(By::of).unwrap_or_default())
}

/// A zone whose clocks are never put forward or back: 5 hours and 30 minutes ahead.
fn zone() -> Zone {
    Zone::parse("Asia/Kolkata").unwrap()
}

/// An instant in one of its spellings; the last only where `time_zone` stands around it.
fn spelled(seconds: i64, spelling: u8, around: Option<&Zone>) -> Moment {
    let local = |ahead: i64| {
        let text = Instant::from_millis((seconds + ahead) * 1_000).to_string();
        text.trim_end_matches('Z').to_owned()
    };
    let text = match spelling % 5 {
        0 => local(0) + "Z",
        1 => local(3_600) + "+01:00",
        2 => local(19_800) + "[Asia/Kolkata]",
        3 => local(19_800) + "+05:30[Asia/Kolkata]",
        _ if around.is_some() => local(19_800),
        _ => local(-34_200) + "-09:30",
    };
    let moment = Moment::written(&text, around).unwrap();
    assert_eq!(moment.at(), Instant::from_millis(seconds * 1_000), "{text}");
    moment
}

fn window() -> impl Strategy<Value = Window> {
    let end = || (100_000i64..4_000_000_000, any::<u8>());
    (option::of(end()), option::of(end()), any::<bool>()).prop_filter_map(
        "a span of time",
        |(since, before, zoned)| {
            let zone = zoned.then(zone);
            let spelled = |end: Option<(i64, u8)>| end.map(|(at, how)| spelled(at, how, zone.as_ref()));
            match (since, before) {
                (None, None) => None,
                (Some((a, _)), Some((b, _))) if a >= b => None,
                (since, before) => Some(Window { since: spelled(since), before: spelled(before), zone }),
            }
        },
    )
}

fn ramp(min: usize) -> impl Strategy<Value = Ramp> {
    let steps = vec((1i64..100_000_000, 0u64..=1_000, any::<u8>()), min..6);
    (100_000i64..4_000_000_000, steps, any::<bool>(), any::<bool>()).prop_map(
        |(start, steps, linear, zoned)| {
            let (mut at, mut share) = (start, 0);
            let zone = zoned.then(zone);
            let points = steps
                .into_iter()
                .map(|(seconds, growth, how)| {
                    at += seconds;
                    share += growth;
                    (spelled(at, how, zone.as_ref()), share)
                })
                .collect();
            Ramp { points, linear, zone }
        },
    )
}

fn bucket() -> impl Strategy<Value = Bucket> {
    let share = prop_oneof![
        btree_set(0u64..=100_000, 0..8).prop_map(|bounds| {
            let bounds: Vec<u64> = bounds.into_iter().collect();
            Share::In(bounds.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
        }),
        ramp(0).prop_map(Share::Ramp),
    ];
    let of = prop_oneof![Just(100_000u64), Just(1 << 32), 100_001u64..4_000_000];
    let percent = (0u64..=100_000).prop_map(|parts| Share::Percent(Weight::of_parts(parts).unwrap()));
    let shares = prop_oneof![3 => (of, share), 1 => (Just(100_000u64), percent)];
    (by(), key(), shares).prop_map(|(by, salt, (of, share))| Bucket { by, salt, of, share })
}

fn term(texts: &'static [&'static str], read: fn(&str) -> Term) -> impl Strategy<Value = Term> {
    proptest::sample::select(texts).prop_map(read)
}

fn pattern() -> impl Strategy<Value = Term> {
    let texts = &["^a+$", r"^\d{3}-\w+$", "(?i)beta|rc", "x.*?y", "(ab)+", "(?s).", r"\.", "ä|ö"];
    term(texts, |text| Term::of_pattern(text).unwrap())
}

fn versions() -> impl Strategy<Value = Term> {
    let texts = &["^1.2", "~2.0.1", ">=1.0.0 <2.0.0-rc.1", "3.x", "=1.2.3", "> 1.0.0, <= 2.0.0", "0.0.1-0"];
    term(texts, |text| Term::of_versions(text).unwrap())
}

fn networks() -> impl Strategy<Value = Vec<Term>> {
    let texts =
        &["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "::ffff:10.0.0.0/104", "0.0.0.0/0", "::1/128"];
    sorted(term(texts, |text| Term::of_network(text).unwrap()), 0)
}

/// A day in one of its spellings; the last only where `time_zone` stands around it.
fn day(around: Option<Zone>) -> impl Strategy<Value = Day> {
    (100_000i64..4_000_000_000, any::<bool>()).prop_map(move |(seconds, bare)| {
        let date = Instant::from_millis(seconds * 1_000).to_string()[..10].to_owned();
        let zone = if bare && around.is_some() { "" } else { "[Asia/Kolkata]" };
        Day::written(&format!("{date}{zone}"), around.as_ref()).unwrap()
    })
}

fn edge(around: Option<Zone>) -> impl Strategy<Value = Edge> {
    prop_oneof![day(around.clone()).prop_map(Edge::On), moment(around).prop_map(Edge::At)]
}

fn moment(around: Option<Zone>) -> impl Strategy<Value = Moment> {
    (100_000i64..4_000_000_000, any::<u8>()).prop_map(move |(at, how)| spelled(at, how, around.as_ref()))
}

fn between(around: Option<Zone>) -> impl Strategy<Value = Between> {
    prop_oneof![
        (number(), number()).prop_map(|(a, b)| Between::Numbers(a.min(b), a.max(b))),
        (edge(around.clone()), edge(around)).prop_map(|(a, b)| {
            if a.first() < b.after() { Between::Times(a, b) } else { Between::Times(b, a) }
        }),
    ]
}

/// One test of this name.
fn test(name: &'static str, around: Option<Zone>) -> BoxedStrategy<Test> {
    let texts = || sorted("\\PC{0,6}".prop_map(Arc::<str>::from), 0);
    match name {
        "exists" => any::<bool>().prop_map(Test::Exists).boxed(),
        "in" => sorted(operand(), 0).prop_map(Test::In).boxed(),
        "has_all" => sorted(operand(), 0).prop_map(Test::HasAll).boxed(),
        "starts" => texts().prop_map(Test::Starts).boxed(),
        "ends" => texts().prop_map(Test::Ends).boxed(),
        "contains" => texts().prop_map(Test::Contains).boxed(),
        "matches" => pattern().prop_map(Test::Matches).boxed(),
        "lt" => number().prop_map(Test::Lt).boxed(),
        "lte" => number().prop_map(Test::Lte).boxed(),
        "gt" => number().prop_map(Test::Gt).boxed(),
        "gte" => number().prop_map(Test::Gte).boxed(),
        "between" => between(around).prop_map(Test::Between).boxed(),
        "semver" => versions().prop_map(Test::Semver).boxed(),
        "since" => moment(around).prop_map(Test::Since).boxed(),
        "before" => moment(around).prop_map(Test::Before).boxed(),
        "on" => day(around).prop_map(Test::On).boxed(),
        "cidr" => networks().prop_map(Test::Cidr).boxed(),
        "listed" => "[a-z]{1,4}".prop_map(|key| Test::Listed(ListKey::parse(&key).unwrap())).boxed(),
        other => panic!("a test without a generator: {other}"),
    }
}

/// Which tests stand beside each other, by name: of those that exclude one another only the first.
fn names(drawn: Vec<bool>, folded: bool, turned: Option<Turned>) -> Vec<&'static str> {
    let names = Test::NAMES.into_iter().zip(drawn).filter_map(|(name, drawn)| drawn.then_some(name));
    let mut kept: Vec<&str> = names.filter(|name| fits(name, folded, turned)).collect();
    if kept.contains(&"between") {
        kept.retain(|name| !["lt", "lte", "gt", "gte", "since", "before", "on"].contains(name));
    } else if kept.contains(&"on") {
        kept.retain(|name| !["since", "before"].contains(name));
    }
    kept
}

fn fits(name: &str, folded: bool, turned: Option<Turned>) -> bool {
    let of_text = ["starts", "ends", "contains", "matches", "semver", "cidr"].contains(&name);
    let of_numbers = ["lt", "lte", "gt", "gte", "between"].contains(&name);
    let folds = ["in", "has_all", "starts", "ends", "contains"].contains(&name);
    (folds || !folded)
        && match turned {
            None => true,
            Some(Turned::Number) => !of_text,
            Some(Turned::String) => !of_numbers,
        }
}

fn attribute() -> impl Strategy<Value = AttributeTest> {
    let turned = option::weighted(0.2, proptest::sample::select(vec![Turned::Number, Turned::String]));
    let drawn = vec(prop::bool::weighted(0.2), Test::NAMES.len());
    let not = vec(prop::bool::weighted(0.1), Test::NEGATED.len());
    let modifiers = (turned, prop::bool::weighted(0.2), option::of(any::<bool>()), any::<bool>());
    (path(), modifiers, drawn, not).prop_flat_map(|(path, (turned, folded, absent, zoned), drawn, not)| {
        let time_zone = zoned.then(zone);
        let mut names = names(drawn, folded, turned);
        let not: Vec<&str> =
            Test::NEGATED.iter().zip(not).filter_map(|((_, name), not)| not.then_some(*name)).collect();
        let not: Vec<&str> = not.into_iter().filter(|name| fits(name, folded, turned)).collect();
        if names.is_empty() && not.is_empty() {
            names.push("in");
        }
        let of = |names: Vec<&'static str>| {
            names.into_iter().map(|name| test(name, time_zone.clone())).collect::<Vec<_>>()
        };
        let (tests, not) = (of(names), of(not));
        (Just((path, turned, folded, absent, time_zone)), tests, not).prop_map(
            |((path, turned, folded, absent, time_zone), tests, not)| AttributeTest {
                path,
                turned,
                folded,
                tests,
                not,
                time_zone,
                absent,
            },
        )
    })
}

fn flag_test() -> impl Strategy<Value = FlagTest> {
    (key(), sorted(variation(), 0))
        .prop_map(|(flag, is)| FlagTest { flag: FlagKey::parse(&flag).unwrap(), is })
}

fn segments() -> impl Strategy<Value = Vec<SegmentKey>> {
    sorted(key().prop_map(|key| SegmentKey::parse(&key).unwrap()), 0)
}

fn condition_tree() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        4 => attribute().prop_map(Condition::Attribute),
        1 => segments().prop_map(Condition::Segment),
        1 => segments().prop_map(Condition::NoSegment),
        1 => flag_test().prop_map(Condition::Flag),
        1 => (bucket(), option::of(any::<bool>()))
            .prop_map(|(bucket, absent)| Condition::Bucket { bucket, absent }),
        1 => window().prop_map(Condition::Time),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Condition::All),
            vec(inner.clone(), 0..3).prop_map(Condition::Any),
            vec(inner.clone(), 0..3).prop_map(Condition::None),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

fn rollout() -> impl Strategy<Value = Rollout> {
    (by(), option::of(key()), btree_set(variation(), 1..5), vec(0u64..=100_000, 4)).prop_map(
        |(by, salt, variations, mut cuts)| {
            cuts.truncate(variations.len() - 1);
            cuts.extend([0, 100_000]);
            cuts.sort_unstable();
            let parts = cuts.windows(2).map(|pair| Weight::of_parts(pair[1] - pair[0]).unwrap());
            Rollout { by, salt, weights: variations.into_iter().zip(parts).collect() }
        },
    )
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        variation().prop_map(Then::Serve),
        rollout().prop_map(Then::Rollout),
        ramp_to().prop_map(Then::Ramp),
    ]
}

fn ramp_to() -> impl Strategy<Value = RampTo> {
    let served = prop_oneof![variation().prop_map(Served::Variation), rollout().prop_map(Served::Rollout)];
    (served, by(), option::of(key()), ramp(1)).prop_map(|(serve, by, salt, ramp)| {
        // Under one salt, a ramp would reach one variation of its rollout after the other.
        let salt = salt.map(|salt| format!("{salt}-ramp"));
        RampTo { serve, by, salt, ramp }
    })
}

fn keys() -> impl Strategy<Value = Keys> {
    let untils = vec(option::of((100_000i64..4_000_000_000, 0u8..4)), 8);
    (btree_map(variation(), sorted(target(), 1), 0..3), untils).prop_map(|(keys, untils)| {
        let mut seen = BTreeSet::new();
        let mut kept = BTreeMap::new();
        for (variation, mut keys) in keys {
            keys.retain(|key| seen.insert(key.clone()));
            let untils = untils.iter().cycle().map(|until| until.map(|(at, how)| spelled(at, how, None)));
            let targets: Vec<_> =
                keys.into_iter().zip(untils).map(|(key, until)| Target { key, until }).collect();
            if !targets.is_empty() {
                kept.insert(variation, targets);
            }
        }
        kept
    })
}

fn name(text: &str) -> ExperimentName {
    ExperimentName::of(text).unwrap()
}

/// A slot of one of two layers, which have room for four.
fn layer() -> impl Strategy<Value = Layer> {
    let slot = prop_oneof![
        4 => (1u64..=25_000).prop_map(|parts| Slot::Share(Weight::of_parts(parts).unwrap())),
        // There is but one rule that has its slot by number: it stands in a layer of its own.
        1 => (0u64..50_000, 1u64..50_000).prop_map(|(start, width)| Slot::In(vec![(start, start + width)])),
    ];
    (any::<bool>(), slot, "[a-z0-9]{8}").prop_map(|(by_org, slot, own)| {
        let layer = if matches!(slot, Slot::In(_)) { own } else { format!("l{}", u8::from(by_org)) };
        let by = if by_org { By::of(Path::parse("org.key").unwrap()) } else { By::default() };
        Layer { name: name(&layer), by, slot }
    })
}

/// How many percent of a rule are in its experiment, if it is one.
fn part() -> impl Strategy<Value = Option<u64>> {
    option::of(prop_oneof![Just(100), 1u64..100])
}

fn holdouts() -> impl Strategy<Value = Vec<Holdout>> {
    let holdout = (option::of("[a-z]{3}:[a-z]{3}"), by(), 1u64..=100_000, variation());
    vec(holdout, 0..3).prop_map(|all| {
        let of =
            |(index, (id, by, share, serve)): (usize, (Option<String>, By, u64, VariationKey))| Holdout {
                name: name(&format!("h{index}")),
                id: id.map(|id| RuleId::parse(&format!("{id}{index}")).unwrap()),
                by,
                share: Weight::of_parts(share).unwrap(),
                serve,
            };
        all.into_iter().enumerate().map(of).collect()
    })
}

fn check() -> impl Strategy<Value = Check> {
    let reason =
        proptest::sample::select(vec![Reason::Static, Reason::Split, Reason::Disabled, Reason::Error]);
    let expect = (option::of(option::of(variation())), reason, option::of(option::of(key())));
    let context = btree_map("[a-z]{1,3}", any_json(), 0..3).prop_map(|members| {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        // By way of its canonical text, which is what the normal form keeps.
        json(&json(&format!("{{{}}}", members.join(","))).to_canonical())
    });
    (moment(None), context, expect, any::<bool>()).prop_map(
        |(at, context, (variation, reason, rule), both)| {
            let reason = (both || (variation.is_none() && rule.is_none())).then_some(reason);
            Check { at, context, expect: Expect { variation, reason, rule } }
        },
    )
}

pub(crate) fn any_targeting() -> impl Strategy<Value = Targeting> {
    let off =
        prop_oneof![Just(Off::Unstated), Just(Off::CallersDefault), variation().prop_map(Off::Variation)];
    let rule = (option::of(window()), vec(condition_tree(), 0..3), option::of(layer()), then(), part());
    let rules = btree_map("[a-z ]{1,5}x", rule, 0..4);
    let rules = rules.prop_map(|rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(index, (id, (schedule, when, layer, mut then, part)))| {
                let experiment = part.map(|part| {
                    match &mut then {
                        Then::Rollout(rollout)
                        | Then::Ramp(RampTo { serve: Served::Rollout(rollout), .. }) => {
                            let parts =
                                |weight: &Weight| Weight::of_parts(weight.parts() * part / 100).unwrap();
                            rollout.weights.values_mut().for_each(|weight| *weight = parts(weight));
                        }
                        _ => {}
                    }
                    name(&format!("e{index}"))
                });
                Rule { id: RuleId::parse(&id).unwrap(), schedule, when, layer, then, experiment }
            })
            .collect::<Vec<_>>()
    });
    let recorded = || any::<bool>().prop_map(|recorded| recorded.then(|| name("last")));
    let fallthrough = option::of(prop_oneof![
        variation().prop_map(Fallthrough::Serve),
        (rollout(), option::of(variation()), recorded()).prop_map(|(rollout, without_key, experiment)| {
            Fallthrough::Rollout { rollout, without_key, experiment }
        }),
        (ramp_to(), option::of(variation()), recorded())
            .prop_map(|(ramp, serve, experiment)| Fallthrough::Ramp { ramp, serve, experiment }),
    ]);
    let rules = (holdouts(), rules);
    let schedule = (option::of(window()), any::<bool>());
    let fallthrough = (fallthrough, vec(check(), 0..3));
    (any::<bool>(), off, schedule, vec(flag_test(), 0..3), keys(), keys(), rules, fallthrough).prop_map(
        |(
            on,
            off,
            (schedule, zoned),
            prerequisites,
            deny,
            targets,
            (holdouts, rules),
            (fallthrough, checks),
        )| {
            Targeting {
                on,
                off,
                time_zone: zoned.then(zone),
                schedule,
                prerequisites,
                deny,
                targets,
                holdouts,
                rules,
                fallthrough,
                checks,
            }
        },
    )
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
        number().prop_map(|number| Json::from(number).to_string()),
        "[a-z\\\\\"]{0,4}".prop_map(|text| Json::from(text).to_string()),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(","))),
            btree_map("[a-z]{1,3}", inner, 0..3).prop_map(|all| {
                let members: Vec<_> =
                    all.iter().rev().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn any_definition() -> impl Strategy<Value = FlagDefinition> {
    let text = || option::of("\\PC{0,12}");
    let kinds = proptest::sample::select(FlagKind::ALL.to_vec());
    let types = proptest::sample::select(FlagType::ALL.to_vec());
    let values =
        btree_map(variation(), (any::<bool>(), "\\PC{0,6}", any::<i32>(), number(), any_json()), 1..4);
    let of_meta = prop_oneof![
        any::<bool>().prop_map(Json::from),
        "\\PC{0,6}".prop_map(Json::from),
        (-9_000_000i64..9_000_000).prop_map(|number| json(&number.to_string())),
    ];
    let meta = btree_map("\\PC{1,4}", of_meta, 0..4);
    let bools = any::<[bool; 2]>();
    (key(), types, values, kinds, text(), sorted("[a-z]{1,4}", 0), text(), (bools, meta)).prop_map(
        |(key, flag_type, values, kind, description, tags, owner, ([client_visible, archived], meta))| {
            let value =
                |(truth, text, int, float, json_text): (bool, String, i32, f64, String)| match flag_type {
                    FlagType::Bool => Value::Bool(truth),
                    FlagType::String => Value::String(text.into()),
                    FlagType::Int => Value::Int(int.into()),
                    FlagType::Float => Value::Float(float),
                    // By way of its canonical text, which is what the normal form keeps.
                    FlagType::Json => Value::Json(Arc::new(json(&json(&json_text).to_canonical()))),
                };
            let variations = values.into_iter().map(|(name, of)| (name, value(of))).collect();
            FlagDefinition {
                key: FlagKey::parse(&key).unwrap(),
                flag_type,
                variations,
                kind,
                description,
                tags,
                owner,
                client_visible,
                meta,
                archived,
            }
        },
    )
}

fn any_segment() -> impl Strategy<Value = Segment> {
    let rules = vec(vec(condition_tree(), 0..3).prop_map(|when| SegmentRule { when }), 0..3);
    (option::of("\\PC{0,9}"), sorted(target(), 0), sorted(target(), 0), rules)
        .prop_map(|(description, include, exclude, rules)| Segment { description, include, exclude, rules })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_targeting_reads_back_as_it_was_written(targeting in any_targeting()) {
        let written = targeting.to_json().to_string();
        let read = Targeting::parse(&json(&written)).unwrap();
        prop_assert_eq!(&read, &targeting);
        prop_assert_eq!(read.to_json().to_string(), written);
    }

    #[test]
    fn a_definition_reads_back_as_it_was_written(definition in any_definition()) {
        let written = definition.to_json().to_string();
        let read = FlagDefinition::parse(&json(&written)).unwrap();
        prop_assert_eq!(&read, &definition);
        prop_assert_eq!(read.to_json().to_string(), written);
    }

    #[test]
    fn a_segment_reads_back_as_it_was_written(segment in any_segment()) {
        let written = segment.to_json().to_string();
        match Segment::parse(&json(&written)) {
            Ok(read) => prop_assert_eq!(read, segment),
            Err(problems) => prop_assert!(problems.iter().all(|problem| problem.detail.contains("nest"))),
        }
    }

    #[test]
    fn reading_never_panics(text in any_json()) {
        let any = json(&text);
        let _ = (Targeting::parse(&any), Segment::parse(&any), FlagDefinition::parse(&any), Environment::parse(&any));
    }
}
