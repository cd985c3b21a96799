//! Conditions as people write them, and what they become.

use std::net::Ipv4Addr;

use flagstone_eval::Snapshot;
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::limits;
use flagstone_publisher::author::{Condition, Problem, Targeting, Test};
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{self, Terms};

use proptest::prelude::*;

use crate::authoring::instructions;
use crate::project::{Project, flag, json, production, told};

const INVALID: &str = "invalid-request";
const UNSUPPORTED: &str = "unsupported-test";

/// The targeting whose one rule has this condition.
fn around(condition: &str) -> String {
    format!(r#"{{"on":true,"rules":[{{"id":"r","if":[{condition}],"serve":"on"}}]}}"#)
}

fn read(condition: &str) -> Result<Condition, Vec<Problem>> {
    let targeting = Targeting::parse(&json(&around(condition)))?;
    Ok(targeting.rules[0].when[0].clone())
}

fn lowered(condition: &str) -> String {
    read(condition).unwrap_or_else(|problems| panic!("{condition}: {problems:?}")).lower().to_string()
}

/// Code, place in the condition, and text of the one problem.
fn refused(condition: &str) -> (&'static str, String, String) {
    let problems = read(condition).err().unwrap_or_else(|| panic!("{condition} was taken"));
    let [problem] = &problems[..] else { panic!("{condition}: {problems:?}") };
    let at = problem.pointer.strip_prefix("/rules/0/if/0").unwrap_or(&problem.pointer);
    (problem.code, at.to_owned(), problem.detail.clone())
}

/// Written as the first, published as the second; the first is its own normal form.
fn becomes(cases: &[(&str, &str)]) {
    for (written, published) in cases {
        assert_eq!(lowered(written), *published, "{written}");
        assert_eq!(read(written).unwrap().to_json().to_string(), *written);
    }
}

#[test]
fn what_the_wire_has_is_written_as_it_stands() {
    for condition in [
        r#"{"attr":"a","exists":true}"#,
        r#"{"attr":"a.b~1c","in":[true,1,2.5,"x"]}"#,
        r#"{"attr":"a","as":"number","in":[1]}"#,
        r#"{"attr":"a","as":"string","fold":"ascii","in":["1","true"]}"#,
        r#"{"attr":"a","has_all":["x","y"]}"#,
        r#"{"attr":"a","starts":["x"],"ends":["y"],"contains":["z"]}"#,
        r#"{"attr":"a","matches":"^(?:beta|rc)-[0-9]+$"}"#,
        r#"{"attr":"a","lt":5,"lte":4,"gt":1,"gte":2}"#,
        r#"{"attr":"a","semver":">=2.4.0 <3.0.0"}"#,
        r#"{"attr":"a","since":"2026-12-01T00:00:00Z","before":"2027-01-01T00:00:00.001Z"}"#,
        r#"{"attr":"a","cidr":["10.0.0.0/8","2001:db8::/32"]}"#,
        r#"{"attr":"a","in":[],"absent":true}"#,
        r#"{"segment":["a","b"]}"#,
        r#"{"flag":"f","is":["on"]}"#,
        r#"{"bucket":{"by":"org.key","salt":"s","of":1000,"in":[[0,5],[7,9]]},"absent":false}"#,
        r#"{"bucket":{"salt":"s","ramp":[["2026-12-01T00:00:00Z",5]],"linear":true}}"#,
        r#"{"time":{"since":"2026-12-01T00:00:00Z"}}"#,
        r#"{"all":[{"any":[]},{"not":{"all":[]}}]}"#,
    ] {
        becomes(&[(condition, condition)]);
    }
}

#[test]
fn what_must_not_hold_is_a_not_of_its_own() {
    becomes(&[
        (r#"{"attr":"a","not_in":["x"]}"#, r#"{"not":{"attr":"a","in":["x"]}}"#),
        (r#"{"attr":"a","not_starts":["x"]}"#, r#"{"not":{"attr":"a","starts":["x"]}}"#),
        (r#"{"attr":"a","not_ends":["x"]}"#, r#"{"not":{"attr":"a","ends":["x"]}}"#),
        (r#"{"attr":"a","not_contains":["x"]}"#, r#"{"not":{"attr":"a","contains":["x"]}}"#),
        (r#"{"attr":"a","not_matches":"x"}"#, r#"{"not":{"attr":"a","matches":"x"}}"#),
        (r#"{"attr":"a","not_cidr":["10.0.0.0/8"]}"#, r#"{"not":{"attr":"a","cidr":["10.0.0.0/8"]}}"#),
        (
            r#"{"attr":"a","starts":["x"],"lt":3,"not_in":["xy"],"not_ends":["z"]}"#,
            r#"{"all":[{"attr":"a","starts":["x"],"lt":3},{"not":{"attr":"a","in":["xy"]}},{"not":{"attr":"a","ends":["z"]}}]}"#,
        ),
        (r#"{"attr":"a","not_in":["x"],"absent":true}"#, r#"{"not":{"attr":"a","in":["x"],"absent":false}}"#),
        (
            r#"{"attr":"a","as":"string","fold":"ascii","in":["A","b"],"not_starts":["C"],"absent":false}"#,
            r#"{"all":[{"attr":"a","as":"string","fold":"ascii","in":["a","b"],"absent":false},{"not":{"attr":"a","as":"string","fold":"ascii","starts":["c"],"absent":true}}]}"#,
        ),
        (r#"{"not_segment":["a","b"]}"#, r#"{"not":{"segment":["a","b"]}}"#),
        (r#"{"none":[{"attr":"a","not_in":[1]}]}"#, r#"{"not":{"any":[{"not":{"attr":"a","in":[1]}}]}}"#),
    ]);
}

#[test]
fn between_and_on_are_two_tests() {
    becomes(&[
        (r#"{"attr":"a","between":[18,65.5]}"#, r#"{"attr":"a","lte":65.5,"gte":18}"#),
        (r#"{"attr":"a","in":[20],"between":[18,18]}"#, r#"{"attr":"a","in":[20],"lte":18,"gte":18}"#),
        (
            r#"{"attr":"a","on":"2026-12-01","time_zone":"Europe/Berlin"}"#,
            r#"{"attr":"a","since":"2026-11-30T23:00:00Z","before":"2026-12-01T23:00:00Z"}"#,
        ),
        (
            r#"{"attr":"a","on":"2026-03-29[Europe/Berlin]","absent":true}"#,
            r#"{"attr":"a","since":"2026-03-28T23:00:00Z","before":"2026-03-29T22:00:00Z","absent":true}"#,
        ),
        (
            r#"{"attr":"a","between":["2026-12-01","2026-12-24"],"time_zone":"UTC"}"#,
            r#"{"attr":"a","since":"2026-12-01T00:00:00Z","before":"2026-12-25T00:00:00Z"}"#,
        ),
        (
            r#"{"attr":"a","between":["2026-12-01T10:00","2026-12-24[UTC]"],"time_zone":"America/New_York"}"#,
            r#"{"attr":"a","since":"2026-12-01T15:00:00Z","before":"2026-12-25T00:00:00Z"}"#,
        ),
        (
            r#"{"attr":"a","between":["2026-12-01T10:00:00Z","2026-12-01T10:00:00Z"]}"#,
            r#"{"attr":"a","since":"2026-12-01T10:00:00Z","before":"2026-12-01T10:00:00.001Z"}"#,
        ),
    ]);
}

#[test]
fn times_and_days_have_a_time_zone() {
    becomes(&[
        (
            r#"{"attr":"a","since":"2026-12-01T10:00[Europe/Berlin]","before":"2027-01-01[Europe/Berlin]"}"#,
            r#"{"attr":"a","since":"2026-12-01T09:00:00Z","before":"2026-12-31T23:00:00Z"}"#,
        ),
        (
            r#"{"attr":"a","since":"2026-12-01T10:00+01:00"}"#,
            r#"{"attr":"a","since":"2026-12-01T09:00:00Z"}"#,
        ),
        (
            r#"{"time":{"since":"2026-12-01","before":"2026-12-24T18:00","time_zone":"Asia/Tokyo"}}"#,
            r#"{"time":{"since":"2026-11-30T15:00:00Z","before":"2026-12-24T09:00:00Z"}}"#,
        ),
        // Midnight is skipped there on this day: it begins at one.
        (
            r#"{"attr":"a","on":"2018-11-04[America/Sao_Paulo]"}"#,
            r#"{"attr":"a","since":"2018-11-04T03:00:00Z","before":"2018-11-05T02:00:00Z"}"#,
        ),
    ]);
    let text =
        around(r#"{"attr":"a","on":"2026-12-01"}"#).replacen("true", r#"true,"time_zone":"Asia/Tokyo""#, 1);
    let targeting = Targeting::parse(&json(&text)).unwrap();
    assert_eq!(
        targeting.rules[0].when[0].lower().to_string(),
        r#"{"attr":"a","since":"2026-11-30T15:00:00Z","before":"2026-12-01T15:00:00Z"}"#
    );
    for (condition, at, says) in [
        (r#"{"attr":"a","on":"2026-12-01"}"#, "/on", "this day has no time zone"),
        (r#"{"attr":"a","since":"2026-12-01"}"#, "/since", "this day has no time zone"),
        (r#"{"attr":"a","since":"2026-12-01T10:00"}"#, "/since", "this local time has no time zone"),
        (r#"{"attr":"a","on":"2026-12-01T10:00:00Z"}"#, "/on", "a day is written"),
        (r#"{"attr":"a","on":"2026-02-29[UTC]"}"#, "/on", "a day is written"),
        (r#"{"attr":"a","on":1}"#, "/on", "a day is written"),
        (r#"{"attr":"a","on":"9999-12-31[UTC]"}"#, "/on", "in the years 1970 to 9999"),
        (r#"{"attr":"a","on":"2011-12-30[Pacific/Apia]"}"#, "/on", "skip this day"),
        (r#"{"attr":"a","between":["2026-12-02[UTC]","2026-12-01[UTC]"]}"#, "/between", "not above"),
        (r#"{"attr":"a","between":[2,1]}"#, "/between", "not above"),
        (r#"{"attr":"a","between":[1]}"#, "/between", "two ends"),
        (r#"{"attr":"a","between":[1,"2026-12-01[UTC]"]}"#, "/between", "two numbers, or two times"),
    ] {
        let (code, place, detail) = refused(condition);
        assert_eq!((code, &*place), (INVALID, at), "{condition}");
        assert!(detail.contains(says), "{condition}: {detail}");
    }
    let (code, at, detail) = refused(r#"{"attr":"a","on":"2026-12-01","time_zone":"Europe/Berlln"}"#);
    assert_eq!((code, &*at), ("unknown-time-zone", "/time_zone"));
    assert!(detail.contains("did you mean `Europe/Berlin`?"), "{detail}");
}

#[test]
fn expressions_versions_and_networks_are_published_in_their_one_form() {
    becomes(&[
        (
            r#"{"attr":"a","matches":"^\\d+-(\\w)*?$"}"#,
            r#"{"attr":"a","matches":"^[0-9]+-(?:[0-9A-Z_a-z])*$"}"#,
        ),
        (r#"{"attr":"a","matches":"(?i)beta"}"#, r#"{"attr":"a","matches":"[Bb][Ee][Tt][Aa]"}"#),
        (r#"{"attr":"a","semver":"^1.2"}"#, r#"{"attr":"a","semver":">=1.2.0-0 <2.0.0-0"}"#),
        (r#"{"attr":"a","semver":">= 1.2, <2"}"#, r#"{"attr":"a","semver":">=1.2.0 <2.0.0"}"#),
        (
            r#"{"attr":"a","cidr":["192.0.2.7","2001:DB8::/32","::1"]}"#,
            r#"{"attr":"a","cidr":["192.0.2.7/32","2001:db8::/32","::1/128"]}"#,
        ),
        (
            r#"{"attr":"a","cidr":["10.0.0.0/8","::ffff:10.0.0.0/104"]}"#,
            r#"{"attr":"a","cidr":["10.0.0.0/8"]}"#,
        ),
        (
            r#"{"attr":"a","fold":"ascii","in":[1,"B","a","b","Ä"],"ends":["@Acme.com"]}"#,
            r#"{"attr":"a","fold":"ascii","in":[1,"a","b","Ä"],"ends":["@acme.com"]}"#,
        ),
        (
            r#"{"bucket":{"by":"org.key","salt":"s","percent":"12.5%"},"absent":true}"#,
            r#"{"bucket":{"by":"org.key","salt":"s","in":[[0,12500]]},"absent":true}"#,
        ),
        (r#"{"bucket":{"salt":"s","percent":"0%"}}"#, r#"{"bucket":{"salt":"s","in":[]}}"#),
        (r#"{"bucket":{"salt":"s","percent":"100%"}}"#, r#"{"bucket":{"salt":"s","in":[[0,100000]]}}"#),
    ]);
    let number = read(r#"{"bucket":{"salt":"s","percent":12.5}}"#).unwrap();
    assert_eq!(number.to_json().to_string(), r#"{"bucket":{"salt":"s","percent":"12.5%"}}"#);
}

#[test]
fn what_can_not_be_written_is_refused_with_a_way_out() {
    for (condition, at, says) in [
        (
            r#"{"attr":"a","matches":"a(?=b)"}"#,
            "/matches",
            "at byte 1: look-around is not supported: write two",
        ),
        (r#"{"attr":"a","matches":"a(b"}"#, "/matches", "at byte 1: "),
        (r#"{"attr":"a","matches":["a"]}"#, "/matches", "`(?:…)|(?:…)`"),
        (r#"{"attr":"a","semver":">1.2"}"#, "/semver", "write all three numbers"),
        (r#"{"attr":"a","semver":"1.2.3 || 2"}"#, "/semver", "`||` is none of"),
        (r#"{"attr":"a","cidr":["10.1.2.3/8"]}"#, "/cidr/0", "did you mean `10.0.0.0/8`?"),
        (r#"{"attr":"a","cidr":["::1","2001:db8::1/32"]}"#, "/cidr/1", "did you mean `2001:db8::/32`?"),
        (r#"{"attr":"a","cidr":["fe80::1%eth0"]}"#, "/cidr/0", "an address has no zone"),
        (r#"{"attr":"a","cidr":["10.0.0.0/33"]}"#, "/cidr/0", "is no network"),
        (r#"{"attr":"a","cidr":["localhost"]}"#, "/cidr/0", "`localhost` is no network"),
        (r#"{"attr":"a","in":[9007199254740993]}"#, "/in/0", "write a string"),
        (r#"{"attr":"a","lt":9007199254740993}"#, "/lt", "write a string"),
        (r#"{"attr":"a","between":[0,9007199254740993]}"#, "/between/1", "write a string"),
        (r#"{"attr":"a","in":[1e300]}"#, "/in/0", "write a string"),
        (r#"{"attr":"a","as":"int","in":[1]}"#, "/as", r#""number" or "string""#),
        (r#"{"attr":"a","as":"number","starts":["1"]}"#, "/as", "`starts` never holds of a number"),
        (r#"{"attr":"a","as":"string","between":[1,2]}"#, "/as", "`between` never holds of a string"),
        (r#"{"attr":"a","fold":"unicode","in":["x"]}"#, "/fold", r#"`fold` is "ascii""#),
        (r#"{"attr":"a","fold":"ascii","lt":1}"#, "/fold", "write two conditions"),
        (r#"{"attr":"a","fold":"ascii","exists":true,"in":["x"]}"#, "/fold", "`exists`"),
        (r#"{"attr":"a","fold":"ascii","not_matches":"x"}"#, "/fold", "`(?i)`"),
        (r#"{"attr":"a","gte":1,"between":[1,2]}"#, "/between", "stands for `gte` and `lte`"),
        (
            r#"{"attr":"a","since":"2026-12-01T00:00:00Z","on":"2026-12-01[UTC]"}"#,
            "/on",
            "`since` and `before`",
        ),
        (r#"{"attr":"a","absent":true,"fold":"ascii"}"#, "", "at least one test"),
        (r#"{"attr":"a","eq":"x"}"#, "/eq", r#"{"in":["DE"]}"#),
        (r#"{"attr":"a","not_equals":"x"}"#, "/not_equals", "`not_in`"),
        (r#"{"attr":"a","in":["x"],"ignore_case":true}"#, "/ignore_case", r#""fold":"ascii""#),
        (r#"{"attr":"a","not_semver":"^1"}"#, "/not_semver", r#"{"not":{"attr":…}}"#),
        (r#"{"attr":"a","stars":["x"]}"#, "/stars", "did you mean `starts`?"),
        (r#"{"bucket":{"salt":"s","percent":"12.5"}}"#, "/bucket/percent", r#""12.5%" or 12.5"#),
        (r#"{"bucket":{"salt":"s","percent":100.5}}"#, "/bucket/percent", "from 0 to 100"),
        (r#"{"bucket":{"salt":"s","percent":1.0005}}"#, "/bucket/percent", "three decimals"),
        (r#"{"bucket":{"salt":"s","of":10,"percent":1}}"#, "/bucket", "`of` belongs to `in` and `ramp`"),
        (r#"{"bucket":{"salt":"s","linear":true,"percent":1}}"#, "/bucket", "`linear` belongs to `ramp`"),
        (r#"{"bucket":{"percent":"10%"}}"#, "/bucket/salt", "missing"),
        (
            r#"{"bucket":{"salt":"s","in":[],"percent":1}}"#,
            "/bucket",
            "exactly one of `in`, `ramp`, `percent`",
        ),
        (r#"{"segment":["a"],"not_segment":["b"]}"#, "", "not both"),
    ] {
        let (code, place, detail) = refused(condition);
        assert_eq!((code, &*place), (INVALID, at), "{condition}: {detail}");
        assert!(detail.contains(says), "{condition}: {detail}");
    }
}

/// FORMAT M-4.10.
#[test]
fn what_the_model_does_without_is_refused_by_name() {
    for (member, says) in [
        (r#""weekday":["Mon"]"#, "where somebody is"),
        (r#""hour":[9,17]"#, "where somebody is"),
        (r#""modulo":[10,1]"#, r#"{"bucket":"#),
        (r#""size":3"#, "put the number into the context"),
        (r#""index":0"#, "elements of arrays are scalars"),
        (r#""$elemMatch":{}"#, "elements of arrays are scalars"),
        (r#""hashed":{"salt":"s","in":[]}"#, "the publisher makes it"),
        (r#""lt":"b""#, "strings have no order here"),
        (r#""gte":"2.0.0""#, "versions are compared by `semver`"),
    ] {
        let (code, _, detail) = refused(&format!(r#"{{"attr":"a",{member}}}"#).replace(r#"a",""#, r#"a",""#));
        assert_eq!(code, UNSUPPORTED, "{member}: {detail}");
        assert!(detail.contains(says), "{member}: {detail}");
    }
}

#[test]
fn conditions_nest_at_most_eight_deep_with_what_sugar_adds() {
    let nested =
        |depth: usize, leaf: &str| format!("{}{leaf}{}", r#"{"all":["#.repeat(depth), "]}".repeat(depth));
    let plain = r#"{"attr":"a","in":[1]}"#;
    let negated = r#"{"attr":"a","not_in":[1]}"#;
    let both = r#"{"attr":"a","exists":true,"not_in":[1]}"#;
    for (leaf, most) in [(plain, 8), (negated, 7), (both, 6), (r#"{"not_segment":["s"]}"#, 7)] {
        assert!(read(&nested(most, leaf)).is_ok(), "{leaf}");
        assert!(refused(&nested(most + 1, leaf)).2.contains("at most 8 deep"), "{leaf}");
    }
    assert_eq!(lowered(&nested(6, both)).matches("all").count(), 7);
}

#[test]
fn leaves_are_counted_as_they_are_published() {
    let two = r#"{"attr":"a","exists":true,"not_in":[1]}"#;
    let all = |count: usize| format!(r#"{{"all":[{}]}}"#, vec![two; count].join(","));
    assert!(read(&all(2_048)).is_ok());
    assert!(refused(&all(2_049)).2.contains("at most 4096 conditions, this has 4098"));
}

#[test]
fn days_are_settled_once_and_a_replay_asks_no_database() {
    let mut project = Project::new();
    project.create(r#"{"key":"f","type":"bool"}"#);
    let on = r#"{"attr":"signed_up","on":"2026-12-01","time_zone":"Europe/Berlin"}"#;
    project.put("f", &around(on));
    project.segment("s", &format!(r#"{{"rules":[{{"if":[{on}]}}]}}"#));
    let settled = r#""since":"2026-11-30T23:00:00Z","before":"2026-12-01T23:00:00Z""#;
    for head in [r#"{"flag""#, r#"{"segment""#] {
        assert!(project.line(head).contains(settled), "{}", project.line(head));
    }
    let kept = r#""instants":{"2026-12-01[Europe/Berlin]":"2026-11-30T23:00:00Z","2026-12-02[Europe/Berlin]":"2026-12-01T23:00:00Z"}"#;
    for edit in [
        project.try_put("f", &around(on)).unwrap(),
        project.try_segment("s", &format!(r#"{{"rules":[{{"if":[{on}]}}]}}"#)).unwrap(),
    ] {
        assert!(edit[0].state.to_string().contains(kept), "{}", edit[0].state);
    }
    // What the log settled counts, whatever a later database says.
    let moved = edit_of(&project, on).replace("2026-11-30T23:00:00Z", "2026-11-30T22:00:00Z");
    let state = flagstone_publisher::state::SettledTargeting::from_json(&json(&moved)).unwrap();
    let line = state.authored.rules[0].when[0].lower().to_string();
    assert!(line.contains(r#""since":"2026-11-30T22:00:00Z""#), "{line}");
}

fn edit_of(project: &Project, condition: &str) -> String {
    project.try_put("f", &around(condition)).unwrap()[0].state.to_string()
}

#[test]
fn a_number_that_an_older_log_holds_is_still_read() {
    let text = r#"{"authored":{"on":true,"rules":[{"id":"r","if":[{"attr":"a","in":[1e300]}],"serve":"on"}]},"splits":{}}"#;
    assert!(
        flagstone_publisher::state::SettledTargeting::from_json(&Json::parse(text.as_bytes()).unwrap())
            .is_some()
    );
}

/// The rows of every table of the page: what is written, and what is published.
fn documented() -> Vec<(String, String)> {
    let page = include_str!("../../../docs/CONDITIONS.md");
    let cell = |cell: &str| Some(cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let row = |line: &str| {
        let (written, published) = line.strip_prefix('|')?.strip_suffix('|')?.split_once(" | ")?;
        Some((cell(written)?, cell(published)?))
    };
    page.lines().filter_map(row).collect()
}

#[test]
fn the_page_of_conditions_says_what_is_published() {
    let rows = documented();
    assert!(rows.len() > 45, "{}", rows.len());
    for (written, published) in &rows {
        assert_eq!(lowered(written), *published, "{written}");
        let read_back = read(written).unwrap().to_json().into_owned();
        assert_eq!(read(&read_back.to_string()), read(written));
    }
}

#[test]
fn the_page_of_conditions_has_every_test_and_every_form() {
    let all: String = documented().into_iter().map(|(written, _)| written).collect();
    let negated = Test::NEGATED.iter().map(|(written, _)| *written);
    let forms = ["all", "any", "none", "not", "segment", "not_segment", "flag", "bucket", "time"];
    let more = ["as", "fold", "absent", "time_zone", "percent", "ramp", "by"];
    for name in Test::NAMES.into_iter().chain(negated).chain(forms).chain(more) {
        assert!(all.contains(&format!(r#""{name}":"#)), "{name} is not on the page");
    }
}

#[test]
fn the_checks_of_the_page_hold() {
    let page = include_str!("../../../docs/CONDITIONS.md");
    let body = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let mut project = Project::new();
    project.create(r#"{"key":"cart","type":"bool"}"#);
    project.put("cart", body);
    let checks = project.lines().into_iter().filter(|line| line.starts_with(r#"{"check":"cart/"#));
    assert_eq!(checks.count(), 2);
}

/// Whether a context meets a condition, by way of what is published for it.
fn meets(condition: &str, context: &str) -> bool {
    let line = format!(
        r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"off":false,"on":true}},"off":"off","rules":[{{"id":"r","if":[{}],"serve":"on"}}],"fallthrough":"off"}}"#,
        lowered(condition)
    );
    let (snapshot, report) = Snapshot::compile([line.as_bytes()]);
    assert!(report.is_clean(), "{line}: {report:?}");
    let context = Context::from_json(&json(context)).unwrap();
    let details = snapshot.evaluate("f", None, &context, Instant::from_millis(0));
    details.variation.map(|key| &**key) == Some("on")
}

#[test]
fn a_percentage_keeps_who_is_in_when_it_is_raised() {
    let inside = |percent: &str| {
        let condition = format!(r#"{{"bucket":{{"salt":"s","percent":"{percent}"}}}}"#);
        let units = (0..2_000).map(|number| format!(r#"{{"targetingKey":"u-{number}"}}"#));
        units.filter(|unit| meets(&condition, unit)).collect::<Vec<_>>()
    };
    let mut before = inside("0%");
    assert!(before.is_empty());
    for (percent, least, most) in
        [("5%", 60, 140), ("12.5%", 200, 300), ("60%", 1_100, 1_300), ("100%", 2_000, 2_000)]
    {
        let after = inside(percent);
        assert!((least..=most).contains(&after.len()), "{percent}: {}", after.len());
        assert!(before.iter().all(|unit| after.contains(unit)), "{percent}");
        before = after;
    }
}

/// A lower-cased or upper-cased text of few letters.
fn word() -> impl Strategy<Value = String> {
    "[aAbB]{0,3}"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Each kind of sugar beside a reading of it that shares nothing with the lowering.
    #[test]
    fn sugar_means_what_it_says(
        (low, high, number) in (-4i64..4, -4i64..4, -5i64..5),
        (day, days, millis) in (100i64..104, 0i64..3, 99i64 * 86_400_000..108 * 86_400_000),
        (operands, value, absent) in (prop::collection::btree_set(word(), 0..3), prop::option::of(word()), prop::option::of(any::<bool>())),
        elements in prop::collection::vec(word(), 0..3),
        (base, version) in ((0u64..3, 0u64..3, 0u64..3), (0u64..4, 0u64..4, 0u64..4)),
        (network, bits, address) in (any::<u32>(), 0u32..=32, any::<u32>()),
    ) {
        // Both ends of `between` are inside.
        let (low, high) = (low.min(high), low.max(high));
        let between = format!(r#"{{"attr":"a","between":[{low},{high}]}}"#);
        prop_assert_eq!(meets(&between, &format!(r#"{{"a":{number}}}"#)), low <= number && number <= high);

        // A day of Kolkata begins five and a half hours before that of UTC.
        let date = |day: i64| Instant::from_millis(day * 86_400_000).to_string()[..10].to_owned();
        let there = (millis + 19_800_000).div_euclid(86_400_000);
        let when = format!(r#"{{"a":{millis}}}"#);
        let on = format!(r#"{{"attr":"a","on":"{}","time_zone":"Asia/Kolkata"}}"#, date(day));
        prop_assert_eq!(meets(&on, &when), there == day);
        let span = format!(r#"{{"attr":"a","between":["{}[Asia/Kolkata]","{}[Asia/Kolkata]"]}}"#, date(day), date(day + days));
        prop_assert_eq!(meets(&span, &when), day <= there && there <= day + days);

        // None of the operands; of an array, no element is one; missing is what `absent` says, and else no match.
        let set = operands.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(",");
        let said = absent.map(|absent| format!(r#","absent":{absent}"#)).unwrap_or_default();
        let not_in = format!(r#"{{"attr":"a","not_in":[{set}]{said}}}"#);
        let context = value.as_ref().map_or("{}".to_owned(), |value| format!(r#"{{"a":{value:?}}}"#));
        let expected = value.as_ref().map_or(absent.unwrap_or(false), |value| !operands.contains(value));
        prop_assert_eq!(meets(&not_in, &context), expected);
        let array = format!(r#"{{"a":{elements:?}}}"#);
        prop_assert_eq!(meets(&not_in, &array), !elements.iter().any(|element| operands.contains(element)));

        // Letters that differ in case are the same, in operands and in the attribute.
        let fold = format!(r#"{{"attr":"a","fold":"ascii","ends":[{set}]}}"#);
        let value = value.unwrap_or_default();
        let ends = operands.iter().any(|end| {
            value.len() >= end.len() && value[value.len() - end.len()..].eq_ignore_ascii_case(end)
        });
        prop_assert_eq!(meets(&fold, &format!(r#"{{"a":{value:?}}}"#)), ends);
        let any_case = r#"{"attr":"a","matches":"(?i)^a\\w*$"}"#;
        prop_assert_eq!(meets(any_case, &format!(r#"{{"a":{value:?}}}"#)), value.starts_with(['a', 'A']));

        // Up to the next change of the first number that is not 0; and of the minor number.
        let text = |(major, minor, patch): (u64, u64, u64)| format!("{major}.{minor}.{patch}");
        let context = format!(r#"{{"a":"{}"}}"#, text(version));
        let same = match base {
            (0, 0, _) => version == base,
            (0, minor, _) => (version.0, version.1) == (0, minor),
            (major, ..) => version.0 == major,
        };
        let caret = format!(r#"{{"attr":"a","semver":"^{}"}}"#, text(base));
        prop_assert_eq!(meets(&caret, &context), version >= base && same);
        let tilde = format!(r#"{{"attr":"a","semver":"~{}"}}"#, text(base));
        prop_assert_eq!(meets(&tilde, &context), version >= base && (version.0, version.1) == (base.0, base.1));

        // The first bits are the same.
        let shift = 32 - bits;
        let prefix = |address: u32| u64::from(address) >> shift;
        let first = Ipv4Addr::from_bits(u32::try_from(prefix(network) << shift).unwrap());
        let cidr = format!(r#"{{"attr":"a","cidr":["{first}/{bits}"]}}"#);
        let context = format!(r#"{{"a":"{}"}}"#, Ipv4Addr::from_bits(address));
        prop_assert_eq!(meets(&cidr, &context), prefix(network) == prefix(address));
    }
}

#[test]
fn the_expressions_of_an_environment_have_a_limit_together() {
    let limit = limits::MAX_ENVIRONMENT_INSTRUCTIONS;
    let line = limits::MAX_LINE_INSTRUCTIONS;
    let rule = |count| format!(r#""if":[{}]"#, instructions(count));
    let targeting = |count| format!(r#"{{"on":true,"rules":[{{"id":"r",{},"serve":"on"}}]}}"#, rule(count));
    let mut project = Project::new();
    for index in 0..limit / line {
        let key = format!("f{index}");
        project.create(&format!(r#"{{"key":"{key}","type":"bool"}}"#));
        project.put(&key, &targeting(if index == 0 { line - 1 } else { line }));
    }
    project.create(r#"{"key":"last","type":"bool"}"#);
    let one = |count| format!(r#"{{"rules":[{{{}}}]}}"#, rule(count));
    assert_eq!(told(project.try_segment("s", &one(2))), [(INVALID, String::new())]);
    project.segment("s", &one(1));
    let before = project.lines();
    let refusal = project.try_put("last", &targeting(1)).unwrap_err();
    assert!(
        refusal.problems()[0].detail.contains("`production` would have 256001 instructions together"),
        "{refusal:?}"
    );
    assert_eq!(told(project.try_put("f0", &targeting(line))), [(INVALID, String::new())]);
    assert_eq!(
        told(project.try_several(&format!(
            r#"{{"flag":"last","environment":"production","targeting":{}}}"#,
            targeting(1)
        ))),
        [(INVALID, "/changes".to_owned())]
    );
    assert_eq!(project.lines(), before);
    // What takes something out goes through, and makes room.
    project.put("f0", &targeting(line - 2));
    project.put("last", &targeting(1));
}

#[test]
fn expressions_over_a_limit_that_is_newer_than_the_log_are_read_and_can_be_switched_off() {
    let mut project = Project::new();
    project.create(r#"{"key":"x","type":"bool"}"#);
    let limit = limits::MAX_LINE_INSTRUCTIONS;
    let of =
        |condition: &str| format!(r#"{{"rules":[{{"id":"r","if":[{condition}],"serve":"on"}}],"on":true}}"#);
    let copies = r#"{"attr":"a","matches":"(?:a{60}){60}"}"#;
    let many = instructions(limit + 1);
    for condition in [copies, &many] {
        // As an entry has it that a release without the limit wrote.
        let fine = project.try_put("x", &of(r#"{"attr":"a","matches":"b"}"#)).unwrap();
        let old = fine.into_iter().map(|mut edit| {
            let state = edit.state.to_string().replace(r#"{"attr":"a","matches":"b"}"#, condition);
            edit.state = json(&state);
            edit
        });
        let old = old.collect();
        project.record(old);
        let segment = |conditions: &str| format!(r#"{{"rules":[{{"if":[{conditions}]}}]}}"#);
        let fine = project.try_segment("s", &segment(r#"{"attr":"a","matches":"b"}"#)).unwrap();
        let old = fine.into_iter().map(|mut edit| {
            edit.state = json(&edit.state.to_string().replace(r#"{"attr":"a","matches":"b"}"#, condition));
            edit
        });
        let old = old.collect();
        project.record(old);
        let state = project.refolded();
        assert_eq!(state.to_lines(), project.state.to_lines());
        let lines = state.to_lines().unwrap();
        assert_eq!(State::from_lines(state.id(), &lines).unwrap().to_lines(), Some(lines));
        // Its line has it as it was written, it can be switched off, and is not taken again.
        let expression = if condition == copies { "(?:a{60}){60}" } else { r#""matches":"# };
        assert!(project.line(r#"{"flag":"x""#).contains(expression));
        let off = change::switch(&project.state, &production(), &flag("x"), false, Terms::default()).unwrap();
        project.record(off);
        assert!(project.line(r#"{"flag":"x""#).contains(r#""on":false"#));
        assert_eq!(told(project.try_put("x", &of(condition)))[0].0, INVALID);
        assert_eq!(told(project.try_segment("s", &segment(condition)))[0].0, INVALID);
    }
}
