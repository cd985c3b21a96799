//! Which members a test of an attribute has, and what is said to those who write others.

use super::problem::code;
use super::read::{Advice, Members};

pub(super) const ATTRIBUTE: Members = Members {
    what: "a test of an attribute",
    known: &[
        "attr",
        "as",
        "fold",
        "exists",
        "in",
        "has_all",
        "starts",
        "ends",
        "contains",
        "matches",
        "lt",
        "lte",
        "gt",
        "gte",
        "between",
        "semver",
        "since",
        "before",
        "on",
        "cidr",
        "listed",
        "not_in",
        "not_starts",
        "not_ends",
        "not_contains",
        "not_matches",
        "not_cidr",
        "not_listed",
        "time_zone",
        "absent",
    ],
    pending: &[],
};

/// What the model does without (FORMAT M-4.10), and other words for what it has.
pub(super) const ADVICE: &[Advice] = &[
    said(
        &["eq", "equals", "equal", "is", "one_of", "any_of", "has_any"],
        r#"equality is `in`, such as {"in":["DE"]}"#,
    ),
    said(
        &["ne", "neq", "not_equals", "is_not", "not_one_of", "none_of", "has_none"],
        "it is written `not_in`",
    ),
    said(&["not_exists", "missing", "is_null"], r#"it is written {"exists":false}"#),
    said(
        &["ignore_case", "case_insensitive", "case_sensitive"],
        r#"the case of ASCII letters is ignored with "fold":"ascii", in an expression with `(?i)`"#,
    ),
    said(&["regex", "regexp", "pattern"], "it is written `matches`"),
    said(&["ip", "in_cidr", "network"], "it is written `cidr`"),
    said(&["version"], "it is written `semver`"),
    said(&["after"], "it is written `since`, which has its own instant inside"),
    said(&["zone", "timezone", "tz"], "it is written `time_zone`"),
    said(
        &["not_has_all", "not_lt", "not_lte", "not_gt", "not_gte", "not_between", "not_semver", "not_on"],
        r#"write {"not":{"attr":…}} around the test"#,
    ),
    said(&["negate", "negated", "inverted"], r#"write `not_in` and the like, or {"not":{"attr":…}}"#),
    said(
        &["percent", "percentage"],
        r#"a share of all units is a condition of its own: {"bucket":{"salt":…,"percent":"10%"}}"#,
    ),
    never(
        &["hashed"],
        "the publisher makes it, for views of clients; write the operands themselves, and declare the attribute `hashed`",
    ),
    never(
        &["weekday", "weekdays", "day_of_week", "hour", "hours", "time_of_day", "month"],
        "which weekday or hour it is depends on where somebody is; put it into the context and test that with `in`",
    ),
    never(
        &["mod", "modulo"],
        r#"write {"bucket":{"salt":…,"percent":…}}, or put the remainder into the context"#,
    ),
    never(
        &["size", "length", "count", "empty"],
        "arrays and strings are not counted; put the number into the context",
    ),
    never(
        &["elem_match", "$elemMatch", "some", "every", "index", "at"],
        "elements of arrays are scalars: all tests of a condition hold of one of them; put what is meant into the context",
    ),
];

const fn said(names: &'static [&'static str], instead: &'static str) -> Advice {
    Advice { names, code: code::INVALID_REQUEST, instead }
}

const fn never(names: &'static [&'static str], instead: &'static str) -> Advice {
    Advice { names, code: code::UNSUPPORTED_TEST, instead }
}
