//! How much an environment may hold, and that switching off never meets a limit.

use flagstone_model::key::ViewId;
use flagstone_model::limits::{MAX_LINE_BYTES, MAX_LINES, MAX_STORED_BYTES};
use flagstone_publisher::author::{Change, Targeting};
use flagstone_publisher::build::build;
use flagstone_publisher::log::{Entity, EntityChange};
use flagstone_publisher::lower::Splits;
use flagstone_publisher::state::change::{self, Edit, Refusal, Terms};
use flagstone_publisher::state::{
    MAX_KEYED_BYTES, MAX_PACKED_BYTES, MAX_PUBLIC_BYTES, SettledTargeting, State,
};

use crate::project::{Project, flag, json, production, segment, told};

const INVALID: &str = "invalid-request";
/// `rev` has at most 16 digits, and a new flag's has one.
const SPARE: usize = 15;

/// The first edit of an entity, whatever a writer would say of it.
fn first(entity: Entity, state: &str) -> Edit {
    let change = EntityChange { entity, revision: (0, 1), prior_seq: 0 };
    Edit { change, state: json(state) }
}

fn definition(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","type":"string","variations":{{"a":"{value}"}}}}"#)
}

/// What a view of `production` has raw.
fn raw(state: &State, view: &ViewId) -> usize {
    build(state, &production(), view).unwrap().iter().map(|line| line.len() + 1).sum()
}

/// A project with so many flags, each of one value that `value` makes.
fn filled(count: usize, mut value: impl FnMut(usize) -> String) -> State {
    let defined = |number: usize| {
        let key = format!("f-{number:04}");
        first(Entity::Flag(flag(&key)), &definition(&key, &value(number)))
    };
    let edits: Vec<Edit> = (0..count).map(defined).collect();
    Project::new().state.with(&edits).unwrap()
}

fn created(state: &State, key: &str, bytes: usize) -> Result<State, Refusal> {
    let edits = change::create_flag(state, &json(&definition(key, &"v".repeat(bytes))))?;
    Ok(state.with(&edits).unwrap())
}

fn put(state: &State, key: &str, targeting: &str) -> Result<Vec<Edit>, Refusal> {
    change::put_targeting(state, &production(), &flag(key), &json(targeting), Terms::default())
}

fn switch(state: &State, key: &str, on: bool) -> Result<State, Refusal> {
    let edits = change::switch(state, &production(), &flag(key), on, Terms::default())?;
    Ok(state.with(&edits).unwrap())
}

#[test]
fn the_lines_of_an_environment_have_a_limit_of_bytes_which_switching_off_and_shrinking_pass() {
    const VALUE: usize = 60_000;
    let count = MAX_KEYED_BYTES / (VALUE + 115);
    let state = filled(count, |_| "v".repeat(VALUE));
    let around = raw(&created(&state, "z", 0).unwrap(), &ViewId::server()) + (count + 1) * SPARE;
    let (full, refused) =
        (created(&state, "z", MAX_KEYED_BYTES - around), created(&state, "z", MAX_KEYED_BYTES - around + 1));
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains(&format!("{} bytes", MAX_KEYED_BYTES + 1)), "{refused}");
    assert_eq!(told::<State>(Err(refused)), [(INVALID, String::new())]);
    // Full to the byte: nothing more comes in, and what takes nothing passes.
    let full = full.unwrap();
    let rule = r#"{"on":true,"rules":[{"id":"r","serve":"a"}]}"#;
    assert_eq!(told(put(&full, "z", rule)), [(INVALID, String::new())]);
    let more = format!(r#"{{"flag":"z","environment":"production","targeting":{rule}}}"#);
    let more = Change::parse_all(&json(&format!(r#"{{"changes":[{more}]}}"#)));
    let several = change::change_several(&full, &more.unwrap(), Terms::default());
    assert_eq!(told(several), [(INVALID, "/changes".into())]);
    let segment = change::put_segment(&full, &production(), &segment("s"), &json("{}"), Terms::default());
    assert_eq!(told(segment), [(INVALID, String::new())]);
    let on = switch(&full, "z", true).unwrap();
    let described = change::patch_flag(&on, &flag("z"), &json(r#"{"description":"d"}"#), Terms::default());
    let on = on.with(&described.unwrap()).unwrap();
    let off = switch(&on, "z", false).unwrap();
    // What is over the limit already may shrink, and be switched off.
    let over = filled(count + 20, |_| "v".repeat(VALUE));
    assert!(switch(&switch(&over, "f-0000", true).unwrap(), "f-0000", false).is_ok());
    assert_eq!(told(put(&over, "f-0000", rule)), [(INVALID, String::new())]);
    let less = json(&format!(r#"{{"variations":{{"a":"{}"}}}}"#, "v".repeat(VALUE - 1)));
    assert!(change::patch_flag(&over, &flag("f-0001"), &less, Terms::default()).is_ok());
    let archived = change::archive_flag(&off, &flag("f-0001"), Terms::default()).unwrap();
    assert!(put(&off.with(&archived).unwrap(), "z", rule).is_ok());
}

/// Values of so many bytes that do not pack: of any printable byte but those that are escaped, by a generator of full
/// period (Knuth's MMIX).
fn noise(bytes: usize) -> impl FnMut(usize) -> String {
    let mut random = 1u64;
    move |_| {
        let byte = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b"!#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"[(random >> 33) as usize % 92])
        };
        core::iter::repeat_with(byte).take(bytes).collect()
    }
}

#[test]
fn what_does_not_pack_is_refused_before_it_is_too_large_to_be_stored() {
    const VALUE: usize = 60_000;
    let mut noise = noise(VALUE);
    // Of 92 equally frequent bytes each holds 6.52 bits, and a packer spends little more.
    let fits = MAX_PACKED_BYTES * 8 * 100 / 652 / VALUE;
    let state = filled(fits - fits / 40, &mut noise);
    assert!(raw(&state, &ViewId::server()) as u64 > MAX_STORED_BYTES && created(&state, "z", 10).is_ok());
    let state = filled(fits + 1, &mut noise);
    let refused = created(&state, "z", 10).unwrap_err();
    assert!(refused.to_string().contains("when they are packed"), "{refused}");
    assert_eq!(told::<State>(Err(refused)), [(INVALID, String::new())]);
    assert!(switch(&state, "f-0000", true).is_ok_and(|on| switch(&on, "f-0000", false).is_ok()));
}

#[test]
fn what_packs_worse_is_refused_though_it_is_no_longer_and_what_packs_better_passes_though_it_is() {
    const VALUE: usize = 60_000;
    const FLAT: usize = 8;
    let mut noise = noise(VALUE);
    let fits = MAX_PACKED_BYTES * 8 * 100 / 652 / VALUE;
    let count = fits + 1;
    // As many values of one letter come first as are too many if they were noise.
    let flat = "v".repeat(VALUE);
    let mut state = filled(count, |number| if number < FLAT { flat.clone() } else { noise(number) });
    let patched = |state: &State, number: usize, value: &str| {
        let patch = json(&format!(r#"{{"variations":{{"a":"{value}"}}}}"#));
        change::patch_flag(state, &flag(&format!("f-{number:04}")), &patch, Terms::default())
    };
    let refused = (0..FLAT).find_map(|number| match patched(&state, number, &noise(number)) {
        Ok(edits) => {
            state = state.with(&edits).unwrap();
            None
        }
        Err(refused) => Some(refused),
    });
    let refused = refused.unwrap();
    assert!(refused.to_string().contains("when they are packed"), "{refused}");
    // What was over the limit before, as by another release, may be written if it packs no larger; and be switched.
    let over = filled(count + FLAT, &mut noise);
    assert!(patched(&over, 0, &"v".repeat(VALUE + 1)).is_ok());
    assert!(patched(&over, 0, &noise(0)[1_000..]).is_ok());
    let packed = told(patched(&over, 0, &format!("{}{}", noise(0), &noise(0)[..1_000])));
    assert_eq!(packed, [(INVALID, String::new())]);
    let on = switch(&over, "f-0000", true).unwrap();
    assert!(switch(&on, "f-0000", false).is_ok());
}

#[test]
fn what_clients_get_has_a_limit_packed_too() {
    // Digests, of which each byte that is shown holds half a byte, beside values that do not pack.
    const OPERANDS: usize = 1_700;
    let mut noise = noise(15_000);
    let values = MAX_PACKED_BYTES * 3 / 4 / 45_000;
    let mut edits = vec![first(Entity::Attributes, r#"{"attributes":{"email":"hashed"}}"#)];
    let visible = |key: &str, values: &str| {
        format!(r#"{{"key":"{key}","type":"string","client_visible":true,"variations":{{{values}}}}}"#)
    };
    edits.extend((0..values).map(|number| {
        let key = format!("v-{number:04}");
        let values = ["a", "b", "c"].map(|name| format!(r#""{name}":"{}""#, noise(number))).join(",");
        first(Entity::Flag(flag(&key)), &visible(&key, &values))
    }));
    let targeting = |from: usize, operands: usize| {
        let rule = |id: &str, from: usize, to: usize| {
            let operands = (from..to).map(|operand| format!(r#""{operand}""#)).collect::<Vec<_>>().join(",");
            format!(r#"{{"id":"{id}","if":[{{"attr":"email","in":[{operands}]}}],"serve":"a"}}"#)
        };
        let half = from + operands / 2;
        format!(
            r#"{{"on":true,"off":null,"rules":[{},{}]}}"#,
            rule("r", from, half),
            rule("s", half, from + operands)
        )
    };
    let mut flags = 0;
    let mut add = |edits: &mut Vec<Edit>| {
        let key = flag(&format!("f-{flags:04}"));
        edits.push(first(Entity::Flag(key.clone()), &visible(key.as_str(), r#""a":"v""#)));
        let authored = json(&targeting(flags * OPERANDS, OPERANDS));
        let settled = SettledTargeting::new(Targeting::parse(&authored).unwrap(), Splits::default());
        let mut edit = first(Entity::Targeting(production(), key), &settled.to_json().to_string());
        edit.change.revision = (1, 2);
        edits.push(edit);
        flags += 1;
    };
    // 32 digits, quotes, and a comma for each operand: over what a reader takes packed, and not over the raw limit.
    let digests = (MAX_PUBLIC_BYTES - values * 45_500) / (OPERANDS * 35 + 700);
    (0..digests).for_each(|_| add(&mut edits));
    let state = Project::new().state.with(&edits).unwrap();
    let size = raw(&state, &ViewId::client());
    assert!(size < MAX_PUBLIC_BYTES && size > MAX_PUBLIC_BYTES * 9 / 10, "{size}");
    let key = "f-0000";
    let refused = put(&state, key, &targeting(1_000_000, OPERANDS + 10)).unwrap_err();
    assert!(
        refused.to_string().contains("that clients get") && refused.to_string().contains("packed"),
        "{refused}"
    );
    assert_eq!(told::<State>(Err(refused)), [(INVALID, String::new())]);
    assert!(put(&state, key, &targeting(0, OPERANDS / 2)).is_ok());
    assert!(switch(&state, key, false).is_ok());
}

#[test]
fn the_lines_that_clients_get_have_a_limit_of_their_own() {
    const VALUE: usize = 14_720;
    let value = "v".repeat(VALUE);
    let visible = |key: &str, last: usize| {
        let last = "v".repeat(last);
        format!(
            r#"{{"key":"{key}","type":"string","client_visible":true,"variations":{{"a":"{value}","b":"{value}","c":"{value}","d":"{last}"}}}}"#
        )
    };
    let count = MAX_PUBLIC_BYTES / (4 * VALUE + 110);
    let mut edits = vec![first(Entity::Attributes, r#"{"attributes":{"targetingKey":"public"}}"#)];
    // Segments that no client gets to do not count.
    let keys = (0..1_000).map(|key| format!(r#""{key:0>1000}""#)).collect::<Vec<_>>().join(",");
    edits.extend((0..3).map(|number| {
        let entity = Entity::Segment(production(), segment(&format!("s-{number}")));
        first(entity, &format!(r#"{{"include":[{keys}]}}"#))
    }));
    edits.push(first(Entity::Segment(production(), segment("s-9")), "{}"));
    edits.extend((0..count).map(|number| {
        let key = format!("f-{number:04}");
        first(Entity::Flag(flag(&key)), &visible(&key, VALUE))
    }));
    let state = Project::new().state.with(&edits).unwrap();
    let created = |last: usize| {
        let edits = change::create_flag(&state, &json(&visible("z", last)))?;
        Ok::<_, Refusal>(state.with(&edits).unwrap())
    };
    let around = raw(&created(0).unwrap(), &ViewId::client()) + (count + 1) * SPARE;
    let left = MAX_PUBLIC_BYTES - around;
    let full = created(left).unwrap();
    let refused = created(left + 1).unwrap_err();
    assert!(refused.to_string().contains("that clients get"), "{refused}");
    assert!(switch(&switch(&full, "z", true).unwrap(), "z", false).is_ok());
    // What clients do not see is not in their way.
    assert!(self::created(&full, "hidden", 1_000).is_ok());
    let shown = change::patch_flag(
        &self::created(&full, "hidden", 1_000).unwrap(),
        &flag("hidden"),
        &json(r#"{"client_visible":true}"#),
        Terms::default(),
    );
    assert_eq!(told(shown), [(INVALID, String::new())]);
    // Nor may one that they see exchange a segment for another that is as long to name.
    let naming =
        |key| format!(r#"{{"on":true,"rules":[{{"id":"r","if":[{{"segment":["{key}"]}}],"serve":"a"}}]}}"#);
    let small = state.with(&put(&state, "f-0000", &naming("s-9")).unwrap()).unwrap();
    assert_eq!(told(put(&small, "f-0000", &naming("s-0"))), [(INVALID, String::new())]);
}

#[test]
fn lines_are_counted_in_one_way_whatever_adds_one() {
    // Flags of a hundred checks each, and flags without: one line is left.
    const CHECKS: usize = 100;
    let check = r#"{"at":"2026-12-02T12:00:00Z","expect":{"rule":null}}"#;
    let checks = vec![check; CHECKS].join(",");
    let with = (MAX_LINES - 2) / (CHECKS + 1);
    let without = MAX_LINES - 2 - with * (CHECKS + 1);
    let state = filled(with + without, |_| "v".into());
    // Checks are made for the first, and one of them has room while the last line is left.
    let delicate = r#""rules":[{"id":"r","if":[{"attr":"v","semver":">=1.0.0"}],"serve":"a"}]"#;
    let body = format!(r#"{{"on":true,{delicate},"checks":[{checks}]}}"#);
    let first_one = json(&body);
    let first_one = SettledTargeting::new(Targeting::parse(&first_one).unwrap(), Splits::default());
    let first_one = first_one.to_json().to_string();
    let body = format!(r#"{{"on":true,"checks":[{checks}]}}"#);
    let targeting = json(&body);
    let targeting = Targeting::parse(&targeting).unwrap();
    let settled = SettledTargeting::new(targeting, Splits::default());
    let settled = settled.to_json().to_string();
    let targeted = (0..with).map(|number| {
        let settled = if number == 0 { &first_one } else { &settled };
        let mut edit = first(Entity::Targeting(production(), flag(&format!("f-{number:04}"))), settled);
        edit.change.revision = (1, 2);
        edit
    });
    let state = state.with(&targeted.collect::<Vec<_>>()).unwrap();
    let last = created(&state, "last", 1).unwrap();
    assert_eq!(last.environment("production").unwrap().live_flags().count(), with + without + 1);
    assert_eq!(told(created(&last, "more", 1).map(drop)), [(INVALID, String::new())]);
    for (state, made) in [(&state, 1), (&last, 0)] {
        let lines = build(state, &production(), &ViewId::server()).unwrap();
        let checks = lines.iter().filter(|line| line.starts_with(r#"{"check":"#)).count();
        assert_eq!((lines.len(), checks), (MAX_LINES, with * CHECKS + made));
        assert!(lines.is_sorted());
    }
    let segment_of = |state: &State| {
        change::put_segment(state, &production(), &segment("s"), &json("{}"), Terms::default())
    };
    assert!(segment_of(&state).is_ok());
    assert_eq!(told(segment_of(&last)), [(INVALID, String::new())]);
    assert_eq!(
        told(put(&last, "last", &format!(r#"{{"on":true,"checks":[{check}]}}"#))),
        [(INVALID, String::new())]
    );
    assert!(put(&state, &format!("f-{with:04}"), &format!(r#"{{"on":true,"checks":[{check}]}}"#)).is_ok());
}

#[test]
fn a_flag_at_its_limit_can_be_switched_off_whatever_its_edit_number() {
    let project = Project::new();
    let around = {
        let mut project = Project::new();
        project.create(&definition("x", ""));
        project.line(r#"{"flag""#).len()
    };
    let sized = |bytes: usize| created(&project.state, "x", bytes - SPARE - around);
    assert_eq!(told(sized(MAX_LINE_BYTES + 1).map(drop)), [(INVALID, String::new())]);
    let mut state = sized(MAX_LINE_BYTES).unwrap();
    for _ in 0..10 {
        state = switch(&switch(&state, "x", true).unwrap(), "x", false).unwrap();
    }
    let line = build(&state, &production(), &ViewId::server()).unwrap()[1].len();
    assert!(line <= MAX_LINE_BYTES && line > MAX_LINE_BYTES - SPARE, "{line}");
}

#[test]
fn a_flag_at_its_limit_for_clients_can_be_switched_off_too() {
    let mut project = Project::new();
    project.several(r#"{"attributes":{"email":"hashed"}}"#);
    project.create(r#"{"key":"x","type":"bool","client_visible":true}"#);
    let targeting = |keys: usize| {
        let part = |name: &str, keys: std::ops::Range<usize>| {
            let keys = keys.map(|key| format!(r#""{key}""#)).collect::<Vec<_>>().join(",");
            format!(r#"{{"id":"{name}","if":[{{"attr":"email","in":[{keys}]}}],"serve":"on"}}"#)
        };
        let rules = [part("a", 0..900), part("b", 900..keys)].join(",");
        format!(r#"{{"on":true,"off":"off","rules":[{rules}]}}"#)
    };
    let (mut fits, mut does_not) = (1_000, 1_900);
    while does_not - fits > 1 {
        let middle = usize::midpoint(fits, does_not);
        let refused = project.try_put("x", &targeting(middle));
        *(if refused.is_ok() { &mut fits } else { &mut does_not }) = middle;
    }
    assert_eq!(told(project.try_put("x", &targeting(does_not)))[0].0, "client-view-refused");
    project.put("x", &targeting(fits));
    for on in [false, true].repeat(5) {
        let edits = change::switch(&project.state, &production(), &flag("x"), on, Terms::default()).unwrap();
        project.record(edits);
    }
    let lines = build(&project.state, &production(), &ViewId::client()).unwrap();
    let line = lines.iter().find(|line| line.starts_with(r#"{"flag""#)).unwrap().len();
    // One digest more would not fit: 32 digits, quotes, and a comma.
    assert!(line <= MAX_LINE_BYTES && line > MAX_LINE_BYTES - SPARE - 1 - 35, "{line}");
}
