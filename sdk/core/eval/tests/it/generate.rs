//! Draws tests on attributes, good and bad, and values for them: what each law is tried on.

use proptest::prelude::*;

/// A test: its name, operands it takes, and operands it does not.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
    /// Whether `fold` may stand beside it.
    folds: bool,
}

const fn kind(
    name: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
    folds: bool,
) -> Kind {
    Kind { name, good, bad, folds }
}

/// Every test of the model. Lists: `held` holds `a`, `7`, and `u-1`; `away` is not there.
pub(crate) const KINDS: [Kind; 17] = [
    kind("exists", &["true", "false"], &["1", "null"], false),
    kind(
        "in",
        &[r#"["a","x"]"#, "[7,true]", r#"["a","b","c","d","e","f","g","h","i"]"#, "[]"],
        &["[null]", "7"],
        true,
    ),
    kind("has_all", &[r#"["a"]"#, r#"["a",7]"#, "[true]", "[]"], &["[[]]", r#""a""#], true),
    kind("starts", &[r#"["a","1"]"#, r#"["ab"]"#, r#"[""]"#], &["[1]", "{}"], true),
    kind("ends", &[r#"["a","z"]"#, r#"["bz"]"#], &["[true]", "null"], true),
    kind("contains", &[r#"["b"]"#, r#"["0","a"]"#], &["[[]]", "0"], true),
    kind("matches", &[r#""^a.*""#, r#""[0-9]{2}""#, r#""(?:z|é)$""#], &[r#""\\d""#, r#""(a)""#, "7"], false),
    kind("lt", &["10", "-1.5", "1e300"], &[r#""10""#, "null"], false),
    kind("lte", &["7", "0"], &["[7]", "true"], false),
    kind("gt", &["7", "1e-7"], &[r#""7""#], false),
    kind("gte", &["7", "100"], &["{}"], false),
    kind("semver", &[r#"">=1.2.0 <2.0.0-0""#, r#""=7.0.0""#], &[r#""^1""#, r#"">=1.2""#, "1"], false),
    kind(
        "since",
        &[r#""2026-12-02T12:00:00Z""#, r#""1970-01-01T00:00:00.007Z""#],
        &[r#""2026""#, "7"],
        false,
    ),
    kind(
        "before",
        &[r#""2026-12-02T12:00:00Z""#, r#""1970-01-01T00:00:00.007Z""#],
        &[r#""now""#, "7"],
        false,
    ),
    kind(
        "cidr",
        &[r#"["10.0.0.0/8"]"#, r#"["2001:db8::/32","10.1.2.3/32"]"#],
        &[r#"["10.0.0.1/8"]"#, r#""10.0.0.0/8""#],
        false,
    ),
    kind("listed", &[r#""held""#, r#""held""#, r#""held""#], &[r#""away""#, r#""nobody""#, "7"], false),
    kind(
        "hashed",
        // SHA-256("as"), and of "z" ‖ "s" for the end.
        &[
            r#"{"salt":"s","in":["f4bf9f7fcbedaba0392f108c59d8f4a38b3838efb64877380171b54475c2ade8"]}"#,
            r#"{"salt":"s","starts":[[1,"f4bf9f7fcbed"]],"ends":[[2,"043a718774c5"]]}"#,
        ],
        &[r#"{"salt":"s","in":["f4"]}"#, r#"{"in":[]}"#],
        true,
    ),
];

/// Values of an attribute, as JSON; `-` is none.
pub(crate) const VALUES: [&str; 40] = [
    "-",
    "null",
    "true",
    "false",
    "7",
    "7.0",
    "-0.0",
    "7.5",
    "42",
    "-3",
    "9007199254740991",
    "9007199254740992",
    "1e300",
    r#""""#,
    r#""a""#,
    r#""A""#,
    r#""abz""#,
    r#""ABZ""#,
    r#""7""#,
    r#""10""#,
    r#""1e3""#,
    r#""07""#,
    r#""u-1""#,
    r#""é""#,
    r#""1.2.3""#,
    r#""v1.9""#,
    r#""1.2.0-rc.1""#,
    r#""7""#,
    r#""2026-12-02T12:00:00Z""#,
    r#""2026-12-02T13:00:00.5+02:00""#,
    r#""10.1.2.3""#,
    r#""11.0.0.1""#,
    r#""2001:db8::7""#,
    r#""::ffff:10.1.2.3""#,
    "[]",
    r#"["a","x"]"#,
    r#"["A",7,true]"#,
    r#"["z",null,{}]"#,
    r#"[7,"1.3","10.9.9.9"]"#,
    r#"{"a":"a"}"#,
];

/// The lines of the lists that tests name, to which `held` has the object of [`HELD`].
pub(crate) const LISTS: [&str; 2] = [
    r#"{"list":"away","encoding":"zstd","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","size":9,"raw_size":8,"count":2,"add":["a"]}"#,
    r#"{"list":"held","encoding":"zstd","sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":9,"raw_size":8,"count":2,"add":["u-1"],"drop":["b"]}"#,
];
/// The digest and the keys of the object that is there.
pub(crate) const HELD: (&str, &str) =
    ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "7\na\nb\n");

/// The snapshot with the object that is there.
pub(crate) fn with_held(snapshot: &flagstone_eval::Snapshot) -> flagstone_eval::Snapshot {
    let list = flagstone_eval::List::parse(HELD.1.as_bytes()).unwrap();
    snapshot.with_list(flagstone_model::digest::Digest::parse(HELD.0).unwrap(), &std::sync::Arc::new(list))
}

/// One test, without braces, and whether its operand can be read.
pub(crate) fn test() -> impl Strategy<Value = (usize, String)> {
    (0..KINDS.len(), any::<prop::sample::Index>(), prop::bool::weighted(0.15)).prop_map(
        |(index, operand, is_bad)| {
            let Kind { name, good, bad, .. } = &KINDS[index];
            let operand = if is_bad { operand.get(bad) } else { operand.get(good) };
            (index, format!(r#""{name}":{operand}"#))
        },
    )
}

/// A modifier before its comma: mostly none, mostly one that fits.
fn modifier(folds: bool) -> impl Strategy<Value = &'static str> {
    let fits = if folds { r#","fold":"ascii""# } else { r#","as":"number""# };
    prop_oneof![
        12 => Just(""),
        3 => Just(fits),
        3 => Just(r#","as":"string""#),
        1 => Just(r#","fold":"ascii""#),
        1 => Just(r#","fold":"unicode-15""#),
    ]
}

/// A leaf of one test on `a` with its modifiers, and which test it is.
pub(crate) fn single() -> impl Strategy<Value = (usize, String)> {
    test().prop_flat_map(|(index, test)| {
        modifier(KINDS[index].folds)
            .prop_map(move |modifier| (index, format!(r#"{{"attr":"a",{test}{modifier}}}"#)))
    })
}

/// A leaf of up to three tests on one of three attributes, perhaps with a modifier, perhaps with `absent`.
pub(crate) fn leaf() -> impl Strategy<Value = String> {
    let absent =
        prop::sample::select(vec!["", "", r#","absent":true"#, r#","absent":false"#, r#","absent":1"#]);
    let attr = prop::sample::select(vec!["a", "a", "b", "c.d"]);
    (attr, prop::collection::vec(test(), 1..4), modifier(true), absent).prop_map(
        |(attr, tests, modifier, absent)| {
            // A test stands once.
            let tests: std::collections::BTreeMap<_, _> = tests.into_iter().collect();
            let tests = tests.into_values().collect::<Vec<_>>().join(",");
            format!(r#"{{"attr":"{attr}",{tests}{modifier}{absent}}}"#)
        },
    )
}

/// A condition over leaves of every kind.
pub(crate) fn tree() -> impl Strategy<Value = String> {
    let others = prop::sample::select(vec![
        r#"{"bucket":{"salt":"s","in":[[0,50000]]}}"#,
        r#"{"bucket":{"by":"a","salt":"s","in":[[0,50000]]},"absent":true}"#,
        r#"{"time":{"since":"2026-12-02T12:00:00Z"}}"#,
        r#"{"segment":["s"]}"#,
        r#"{"flag":"g","is":["on"]}"#,
        r#"{"what":1}"#,
    ]);
    let leaf = prop_oneof![4 => leaf(), 1 => others.prop_map(str::to_owned)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| parts.join(","));
        prop_oneof![
            list.clone().prop_map(|parts| format!(r#"{{"all":[{parts}]}}"#)),
            list.prop_map(|parts| format!(r#"{{"any":[{parts}]}}"#)),
            inner.prop_map(|part| format!(r#"{{"not":{part}}}"#)),
        ]
    })
}

/// A context for those trees, as JSON.
pub(crate) fn context() -> impl Strategy<Value = String> {
    let value = || prop::sample::select(VALUES.to_vec());
    (value(), value(), value(), 0..9u32).prop_map(|(a, b, d, key)| {
        let mut members =
            vec![format!(r#""targetingKey":"u-{key}""#), format!(r#""c":{{"x":0{}}}"#, member("d", d))];
        members.extend(
            [("a", a), ("b", b)]
                .iter()
                .filter(|(_, value)| *value != "-")
                .map(|(name, value)| format!(r#""{name}":{value}"#)),
        );
        format!("{{{}}}", members.join(","))
    })
}

fn member(name: &str, value: &str) -> String {
    if value == "-" { String::new() } else { format!(r#","{name}":{value}"#) }
}
