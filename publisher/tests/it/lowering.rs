//! From what people write to the lines SDKs read, byte for byte.

use flagstone_model::key::ViewId;
use flagstone_publisher::build::build;
use flagstone_publisher::state::change::{self, Terms};

use crate::project::{Project, flag, json, production};

fn search() -> Project {
    let mut project = Project::new();
    project.create(r#"{"key":"payments","type":"bool"}"#);
    project.create(
        r#"{"key":"search","type":"string","variations":{"classic":"v1","neural":"v3","vector":"v2"},"kind":"experiment","description":"secret plans","tags":["ml"],"owner":"ann"}"#,
    );
    project
        .segment("staff", r#"{"include":["u-7"],"rules":[{"if":[{"attr":"email","ends":["@acme.com"]}]}]}"#);
    project
}

#[test]
fn a_flag_nobody_has_targeted_is_off_and_would_serve_on() {
    let mut project = search();
    project.create(r#"{"key":"odd","type":"int","variations":{"one":1,"two":2}}"#);
    assert_eq!(
        project.lines(),
        [
            r#"{"environment":"production","project":"shop","view":"server"}"#,
            r#"{"flag":"odd","type":"int","rev":1,"on":false,"values":{"one":1,"two":2}}"#,
            r#"{"flag":"payments","type":"bool","rev":1,"on":false,"values":{"off":false,"on":true},"off":"off","fallthrough":"on"}"#,
            r#"{"flag":"search","type":"string","rev":1,"on":false,"values":{"classic":"v1","neural":"v3","vector":"v2"}}"#,
            r#"{"segment":"staff","if":[{"any":[{"attr":"targetingKey","in":["u-7"]},{"attr":"email","ends":["@acme.com"]}]}]}"#,
        ]
    );
}

#[test]
fn what_applications_are_told_of_a_flag_is_its_last_member() {
    let mut project = Project::new();
    project.create(
        r#"{"key":"a","type":"bool","client_visible":true,"meta":{"team":"web","tier":1,"beta":true}}"#,
    );
    let plain = r#"{"flag":"a","type":"bool","rev":1,"on":false,"values":{"off":false,"on":true},"off":"off","fallthrough":"on""#;
    assert_eq!(
        project.line(r#"{"flag""#),
        format!(r#"{plain},"meta":{{"beta":true,"team":"web","tier":1}}}}"#)
    );
    let client = build(&project.state, &production(), &ViewId::client()).unwrap();
    assert!(client.iter().any(|line| **line == *format!("{plain}}}")), "{client:?}");
    let edits = change::patch_flag(
        &project.state,
        &flag("a"),
        &json(r#"{"meta":{"team":null,"beta":null,"tier":2}}"#),
        Terms::default(),
    );
    project.record(edits.unwrap());
    assert!(project.line(r#"{"flag""#).ends_with(r#","meta":{"tier":2}}"#));
    assert_eq!(project.refolded().to_lines(), project.state.to_lines());
}

#[test]
fn the_worked_targeting_becomes_its_line() {
    let mut project = search();
    project.put(
        "search",
        r#"{"on":true,"off":"classic","prerequisites":[{"flag":"payments","is":["on"]}],"deny":{"classic":["u-13"]},"targets":{"neural":["u-7",42],"classic":["u-9"]},
            "rules":[{"id":"eu","if":[{"attr":"country","in":["DE","AT"]},{"attr":"age","lt":65,"gte":18}],"rollout":{"by":"targetingKey","weights":{"vector":20000,"neural":10000,"classic":70000}}},
                     {"id":"ramp","ramp":{"serve":"neural","by":"org.key","steps":[["2026-12-01T09:00:00Z","1%"],["2026-12-02T09:00:00Z",10000]],"linear":true}},
                     {"id":"staff","if":[{"segment":["staff"]},{"none":[{"attr":"plan","in":["free"],"absent":true}]}],"serve":"neural"}],
            "fallthrough":{"rollout":{"weights":{"classic":"99.5%","vector":"0.5%"}},"without_key":"vector"}}"#,
    );
    assert_eq!(
        project.line(r#"{"flag":"search""#),
        concat!(
            r#"{"flag":"search","type":"string","rev":2,"on":true,"values":{"classic":"v1","neural":"v3","vector":"v2"},"off":"classic","#,
            r#""needs":[{"flag":"payments","is":["on"]}],"rules":["#,
            r#"{"id":"deny:classic","if":[{"attr":"targetingKey","in":["u-13"]}],"serve":"classic"},"#,
            r#"{"id":"target:classic","if":[{"attr":"targetingKey","in":["u-9"]}],"serve":"classic"},"#,
            r#"{"id":"target:neural","if":[{"attr":"targetingKey","in":[42,"u-7"]}],"serve":"neural"},"#,
            r#"{"id":"eu","if":[{"attr":"country","in":["AT","DE"]},{"attr":"age","lt":65,"gte":18}],"split":{"salt":"search.eu","ranges":[[0,70000,"classic"],[70000,80000,"neural"],[80000,100000,"vector"]]}},"#,
            r#"{"id":"ramp","if":[{"bucket":{"by":"org.key","salt":"search.ramp","ramp":[["2026-12-01T09:00:00Z",1000],["2026-12-02T09:00:00Z",10000]],"linear":true}}],"serve":"neural"},"#,
            r#"{"id":"staff","if":[{"segment":["staff"]},{"not":{"any":[{"attr":"plan","in":["free"],"absent":true}]}}],"serve":"neural"},"#,
            r#"{"id":"rollout","split":{"salt":"search","ranges":[[0,99500,"classic"],[99500,100000,"vector"]]}}],"#,
            r#""fallthrough":"vector"}"#
        )
    );
}

#[test]
fn a_rollout_serves_the_off_variation_without_a_key_unless_said() {
    let mut project = search();
    project.put(
        "search",
        r#"{"on":true,"off":"neural","fallthrough":{"rollout":{"weights":{"vector":100000}}}}"#,
    );
    assert!(project.line(r#"{"flag":"search""#).ends_with(r#","fallthrough":"neural"}"#));
    project
        .put("search", r#"{"on":true,"off":null,"fallthrough":{"rollout":{"weights":{"vector":100000}}}}"#);
    let line = project.line(r#"{"flag":"search""#);
    assert!(!line.contains("fallthrough") && !line.contains(r#""off""#), "{line}");
}

#[test]
fn segments_are_conditions_and_nothing_else() {
    let mut project = Project::new();
    let mut line = |body: &str| {
        project.segment("s", body);
        project.line(r#"{"segment""#)
    };
    let de = r#"{"attr":"country","in":["DE"]}"#;
    let pro = r#"{"attr":"plan","in":["pro"]}"#;
    let not_excluded = r#"{"not":{"attr":"targetingKey","in":["x"],"absent":false}}"#;
    for (body, when) in [
        ("{}".to_owned(), r#"{"any":[]}"#.to_owned()),
        (r#"{"exclude":["x"]}"#.into(), r#"{"any":[]}"#.into()),
        (r#"{"include":["b","a"]}"#.into(), r#"{"attr":"targetingKey","in":["a","b"]}"#.into()),
        (format!(r#"{{"rules":[{{"if":[{de},{pro}]}}]}}"#), format!("{de},{pro}")),
        (
            format!(r#"{{"rules":[{{"if":[{de},{pro}]}},{{"if":[{pro}]}},{{"if":[]}}]}}"#),
            format!(r#"{{"any":[{{"all":[{de},{pro}]}},{pro},{{"all":[]}}]}}"#),
        ),
        (format!(r#"{{"exclude":["x"],"rules":[{{"if":[{de}]}}]}}"#), format!("{not_excluded},{de}")),
        (
            format!(r#"{{"include":["a"],"exclude":["x"],"rules":[{{"if":[{de}]}}]}}"#),
            format!(r#"{{"any":[{{"attr":"targetingKey","in":["a"]}},{{"all":[{not_excluded},{de}]}}]}}"#),
        ),
    ] {
        assert_eq!(line(&body), format!(r#"{{"segment":"s","if":[{when}]}}"#), "{body}");
    }
    // Everybody: the one segment without conditions.
    assert_eq!(line(r#"{"rules":[{"if":[]}]}"#), r#"{"segment":"s"}"#);
}

#[test]
fn nothing_an_author_wrote_about_a_flag_enters_its_line() {
    let project = search();
    let lines = project.lines().join("\n");
    for secret in ["secret plans", "ml", "ann", "experiment", "client_visible"] {
        assert!(!lines.contains(secret), "{secret}");
    }
}

#[test]
fn values_are_canonical() {
    let mut project = Project::new();
    project
        .create(r#"{"key":"j","type":"json","variations":{"b":{"z":1.0,"a":[1e21,-0,"é\u2028"]},"a":null}}"#);
    project.create(r#"{"key":"f","type":"float","variations":{"x":1e-7,"y":100.0}}"#);
    assert!(
        project
            .line(r#"{"flag":"j""#)
            .contains("\"values\":{\"a\":null,\"b\":{\"a\":[1e+21,0,\"é\u{2028}\"],\"z\":1}}")
    );
    assert!(project.line(r#"{"flag":"f""#).contains(r#""values":{"x":1e-7,"y":100}"#));
}

#[test]
fn an_edit_keeps_salts_and_moves_the_fewest() {
    let mut project = search();
    let put = |project: &mut Project, weights: &str, more: &str| {
        let rollout = format!(r#"{{"weights":{weights}{more}}}"#);
        project.put(
            "search",
            &format!(r#"{{"on":true,"off":"classic","fallthrough":{{"rollout":{rollout}}}}}"#),
        );
        let line = project.line(r#"{"flag":"search""#);
        let split = line.split(r#""split":"#).nth(1).unwrap();
        split.split("}]").next().unwrap().to_owned()
    };
    let first = put(&mut project, r#"{"classic":80000,"neural":10000,"vector":10000}"#, "");
    assert_eq!(
        first,
        r#"{"salt":"search","ranges":[[0,80000,"classic"],[80000,90000,"neural"],[90000,100000,"vector"]]}"#
    );
    let second = put(&mut project, r#"{"classic":70000,"neural":10000,"vector":20000}"#, "");
    assert_eq!(
        second,
        r#"{"salt":"search","ranges":[[0,70000,"classic"],[70000,80000,"vector"],[80000,90000,"neural"],[90000,100000,"vector"]]}"#
    );
    // A salt of the author's own is an explicit reshuffle: it starts afresh, and is kept when it is no longer said.
    let reshuffled =
        put(&mut project, r#"{"classic":70000,"neural":10000,"vector":20000}"#, r#","salt":"again""#);
    assert_eq!(
        reshuffled,
        r#"{"salt":"again","ranges":[[0,70000,"classic"],[70000,80000,"neural"],[80000,100000,"vector"]]}"#
    );
    assert_eq!(put(&mut project, r#"{"classic":70000,"neural":10000,"vector":20000}"#, ""), reshuffled);
}

#[test]
fn the_rollout_operation_grows_and_shrinks_one_share() {
    let mut project = Project::new();
    project.create(r#"{"key":"new-checkout","type":"bool"}"#);
    project.put("new-checkout", r#"{"on":true,"fallthrough":{"serve":"off"}}"#);
    for (percent, ranges) in [
        ("25", r#"[[0,75000,"off"],[75000,100000,"on"]]"#),
        ("12.5", r#"[[0,75000,"off"],[75000,87500,"on"],[87500,100000,"off"]]"#),
        ("25", r#"[[0,75000,"off"],[75000,100000,"on"]]"#),
        ("100", r#"[[0,100000,"on"]]"#),
    ] {
        project.roll_out("new-checkout", &format!(r#"{{"variation":"on","percent":{percent}}}"#));
        let line = project.line(r#"{"flag""#);
        assert!(line.contains(&format!(r#""split":{{"salt":"new-checkout","ranges":{ranges}}}"#)), "{line}");
        assert!(line.ends_with(r#","fallthrough":"off"}"#), "{line}");
    }
}
