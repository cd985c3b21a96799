//! What of a public view is announced although something of it may not be.

use std::sync::Arc;

use flagstone_model::instant::Instant;
use flagstone_model::key::ViewId;
use flagstone_publisher::build::build;
use flagstone_publisher::publish::Withheld;
use flagstone_publisher::state::EnvironmentState;
use flagstone_publisher::view::{Before, Exposed, Unequal, compare, segment_key, sift};

use super::project::{Project, production, salt};
use super::views::{furnished, heads};

#[test]
fn views_that_answer_otherwise_are_told_apart() {
    let keyed = [
        r#"{"environment":"production","project":"shop","view":"server"}"#,
        r#"{"flag":"f","type":"bool","rev":1,"on":true,"values":{"off":false,"on":true},"off":"off","rules":[{"id":"r","if":[{"attr":"country","in":["DE"]},{"attr":"age","gte":18}],"serve":"on"}],"fallthrough":"off"}"#,
    ];
    let now = Instant::from_millis(0);
    let compared = |public: [String; 2]| {
        compare(keyed.iter().map(|line| line.as_bytes()), public.iter().map(String::as_bytes), &["f"], now)
    };
    let same = compared(keyed.map(str::to_owned));
    assert!(same.answers >= 40 && same.unequal.is_empty());
    for (from, to) in [
        (r#"["DE"]"#, r#"["AT"]"#),
        (r#""gte":18"#, r#""gt":18"#),
        (r#"{"attr":"age","gte":18}"#, r#"{"attr":"age","gte":18,"absent":true}"#),
        (r#",{"attr":"age","gte":18}"#, ""),
        (r#""id":"r""#, r#""id":"s""#),
        (r#""on":true,"values""#, r#""on":false,"values""#),
    ] {
        let changed = keyed.map(|line| line.replace(from, to));
        let unequal = compared(changed).unequal;
        assert_eq!(unequal, [Unequal { flag: "f".to_owned() }], "{from} → {to}");
    }
}

/// Time does not matter to what is looked at here.
const NOW: Instant = Instant::from_millis(0);

fn environment(project: &Project) -> Arc<EnvironmentState> {
    Arc::clone(project.state.environment("production").unwrap())
}

fn public(project: &Project) -> Vec<Arc<str>> {
    build(&project.state, &production(), &ViewId::client()).unwrap()
}

/// The lines with one of them spoilt.
fn spoilt(lines: &[Arc<str>], of: &str, from: &str, to: &str) -> Vec<Arc<str>> {
    let mut lines = lines.to_vec();
    let line = lines.iter_mut().find(|line| line.starts_with(of)).unwrap();
    assert!(line.contains(from), "{line}");
    *line = line.replace(from, to).into();
    lines
}

/// What is left, and of what is left out the flags and the codes.
fn sifted(
    environment: &EnvironmentState,
    lines: Vec<Arc<str>>,
) -> (Vec<String>, Vec<String>, Vec<&'static str>) {
    told(sift(environment, None, lines, NOW))
}

fn told(sifted: Result<(Vec<Arc<str>>, Withheld), Exposed>) -> (Vec<String>, Vec<String>, Vec<&'static str>) {
    let (lines, withheld) = sifted.unwrap();
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let left = heads(&lines).into_iter().map(ToOwned::to_owned).collect();
    (left, withheld.flags.into_iter().collect(), withheld.faults.iter().map(|fault| fault.code).collect())
}

#[test]
fn a_flag_that_may_not_be_announced_is_left_out_with_what_asks_for_it_and_nothing_else_is() {
    let project = furnished();
    let (environment, lines) = (environment(&project), public(&project));
    let all: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let all: Vec<String> = heads(&all).into_iter().map(ToOwned::to_owned).collect();
    assert_eq!(sifted(&environment, lines.clone()), (all.clone(), Vec::new(), Vec::new()));
    let without = |gone: &[&str]| {
        all.iter().filter(|head| !gone.iter().any(|gone| head.contains(gone))).cloned().collect::<Vec<_>>()
    };

    // It is answered otherwise: `base`, which is off, and `open`, which asks for it.
    let other = spoilt(&lines, r#"{"flag":"base""#, r#""off":"off""#, r#""off":"on""#);
    let flags = vec!["base".to_owned(), "open".to_owned()];
    assert_eq!(sifted(&environment, other), (without(&["base", "open"]), flags, vec!["views-unequal"; 2]));

    // It shows what is not public: a segment, and through another one the flag that asks for it.
    let deep = segment_key("deep", &salt());
    let other = spoilt(&lines, &format!(r#"{{"segment":"{deep}""#), "app.beta", "ssn");
    let (left, flags, codes) = sifted(&environment, other);
    assert_eq!((left, flags), (without(&["open", "segment"]), vec!["open".to_owned()]));
    assert!(codes.contains(&"view-exposes"), "{codes:?}");

    // A check alone: nothing asks for it.
    let check = |context: &str| -> Vec<Arc<str>> {
        let check = format!(
            r#"{{"check":"base/1","flag":"base","at":"2026-01-01T00:00:00Z","context":{context},"expect":{{"reason":"DISABLED"}}}}"#
        );
        [check.into()].into_iter().chain(lines.iter().cloned()).collect()
    };
    assert_eq!(sifted(&environment, check(r#"{"country":"DE"}"#)).0.len(), all.len() + 1);
    let (left, flags, codes) = sifted(&environment, check(r#"{"ssn":"1"}"#));
    assert_eq!((left, flags, codes), (all, Vec::new(), vec!["view-exposes"]));

    // Without the line of the environment there is no view.
    let other = spoilt(&lines, r#"{"environment""#, "}", r#","private":["ssn"]}"#);
    let refused = sift(&environment, None, other, NOW).unwrap_err();
    assert_eq!((refused.code(), refused.name.as_str()), ("view-exposes", "environment"));
}

#[test]
fn only_what_has_changed_is_looked_at_and_an_edit_that_redaction_drops_is_found() {
    let mut project = furnished();
    project.create(r#"{"key":"wide","type":"bool","client_visible":true}"#);
    project.put("wide", r#"{"on":true,"rules":[{"id":"r","if":[{"segment":["deep"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#);
    let (before, lines) = (environment(&project), public(&project));
    let other = spoilt(&lines, r#"{"flag":"base""#, r#""off":"off""#, r#""off":"on""#);
    let known = Before { environment: &before, lines: &other };
    assert!(told(sift(&before, Some(known), other.clone(), NOW)).2.is_empty(), "it was looked at before");

    // The keyed line of a segment is another, and the public one is not.
    project.segment("deep", r#"{"rules":[{"if":[{"attr":"app.beta","in":[false]}]}]}"#);
    let after = environment(&project);
    let known = Before { environment: &before, lines: &lines };
    let (_, flags, codes) = told(sift(&after, Some(known), lines.clone(), NOW));
    assert_eq!((flags, codes), (vec!["wide".to_owned()], vec!["views-unequal"]));
    let (_, flags, _) = told(sift(&after, Some(known), public(&project), NOW));
    assert!(flags.is_empty());

    // By other declarations everything is looked at anew.
    let narrowed = r#"{"attributes":{"app":"public","country":"public","email":"hashed"}}"#;
    project.several(narrowed);
    let narrowed = environment(&project);
    let known = Before { environment: &before, lines: &other };
    assert!(!told(sift(&narrowed, Some(known), other.clone(), NOW)).2.is_empty());
}
