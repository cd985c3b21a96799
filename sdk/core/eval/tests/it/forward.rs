//! What is not understood, and how it is told (FORMAT M-10.2).

use flagstone_eval::{Snapshot, Why};
use flagstone_model::json::JsonError;

fn why(line: &str) -> Vec<(String, &'static str)> {
    let (_, report) = Snapshot::compile([line.as_bytes()]);
    report.problems.into_iter().map(|problem| (problem.pointer, problem.why.code())).collect()
}

#[test]
fn each_place_is_named_by_its_pointer() {
    let line = super::flag_if("f", r#"{"any":[{"time":{}},{"attr":"a","geo":1}]}"#);
    assert_eq!(why(&line), [("/rules/0/if/0/any/1".to_owned(), "unsupported")]);
    assert_eq!(why(r#"{"segment":"s","unless":[]}"#), [("/unless".to_owned(), "unreadable")]);
    assert_eq!(why(r#"{"polygon":"p","points":[]}"#), [(String::new(), "unknown-kind")]);
    assert_eq!(why(r#"{"flag":"f","a":1,"a":1}"#), [(String::new(), "duplicate-member"),][..]);
    assert!(why(r#"{"environment":"e","project":"p","view":"v","new":1}"#).is_empty());
}

#[test]
fn a_bad_line_costs_its_own_flag_only() {
    let deep = format!("{{\"flag\":\"deep\",\"x\":{}{}}}", "[".repeat(40), "]".repeat(40));
    let long = format!(r#"{{"flag":"long","x":"{}"}}"#, "x".repeat(65_536));
    let good = super::flag_if("good", r#"{"time":{}}"#);
    let (snapshot, report) = Snapshot::compile([deep.as_bytes(), good.as_bytes(), long.as_bytes()]);
    assert!(super::answer(&snapshot, "good", "{}").contains("TARGETING_MATCH"));
    assert!(super::answer(&snapshot, "deep", "{}").contains("PARSE_ERROR"));
    assert!(super::answer(&snapshot, "long", "{}").contains("PARSE_ERROR"));
    let why: Vec<_> = report.problems.iter().map(|problem| (&*problem.key, problem.why.clone())).collect();
    assert_eq!(why, [("deep", Why::Json(JsonError::TooDeep { max: 32 })), ("long", Why::TooLong)]);
}

#[test]
fn a_line_of_exactly_its_limit_is_read() {
    let padded = |length: usize| {
        let line = super::flag_if("f", r#"{"time":{}}"#);
        let meta = format!(r#","meta":{{"pad":"{}"}}}}"#, "x".repeat(length - line.len() - 18));
        format!("{}{meta}", line.strip_suffix('}').unwrap())
    };
    let read = |line: &str| super::answer(&super::compile(&[line]), "f", "{}").contains("TARGETING_MATCH");
    let (edge, over) = (padded(65_536), padded(65_537));
    assert_eq!((edge.len(), over.len()), (65_536, 65_537));
    assert!(read(&edge));
    assert!(!read(&over));
}

#[test]
fn a_line_of_too_many_instructions_is_bad_as_a_whole() {
    // Eight of 4 000; what stands after them has one.
    let largest = format!("{}a{{174}}", "a{255}".repeat(15));
    let leaves = |more: &str| {
        let leaf = format!(r#"{{"attr":"a","matches":"{largest}"}}"#);
        format!("{}{more}", [leaf.as_str(); 8].join(","))
    };
    let over = leaves(r#",{"attr":"a","matches":""},{"attr":"a","matches":"x"}"#);
    let any = |leaves: &str| format!(r#"{{"any":[{{"attr":"a","exists":true}},{leaves}]}}"#);
    assert!(why(&super::flag_if("f", &any(&leaves("")))).is_empty());
    // One problem, whatever else is wrong.
    let bad = [(String::new(), "too-many-instructions")];
    assert_eq!(why(&super::flag_if("f", &any(&format!("{over},{{}}")))), bad);
    assert_eq!(why(&format!(r#"{{"segment":"s","if":[{}]}}"#, any(&over))), bad);
    // Of a rule that cannot be read nothing counts, wherever what cannot be read stands.
    let rule = |first: &str, last: &str| {
        let members = format!(r#"{first}"id":"r","if":[{}],"serve":"on"{last}"#, any(&over));
        super::flag_if("f", "{}").replace(r#""rules":["#, &format!(r#""rules":[{{{members}}},"#))
    };
    for line in [rule(r#""never_member":1,"#, ""), rule("", r#","never_member":1"#)] {
        assert!(why(&line).iter().all(|(_, code)| *code != "too-many-instructions"), "{:?}", why(&line));
        assert!(super::answer(&super::compile(&[&line]), "f", r#"{"a":1}"#).contains("UNKNOWN"));
    }
    let (snapshot, _) = Snapshot::compile([
        super::flag_if("f", &any(&over)).as_bytes(),
        super::flag_if("good", r#"{"time":{}}"#).as_bytes(),
    ]);
    assert!(super::answer(&snapshot, "f", "{}").contains("PARSE_ERROR"));
    assert!(super::answer(&snapshot, "good", "{}").contains("TARGETING_MATCH"));
}

#[test]
fn a_line_without_a_head_is_counted_and_never_read() {
    let (snapshot, report) = Snapshot::compile([b"{}".as_slice(), b"", b"\xff"]);
    assert_eq!(report.headless_lines, 3);
    assert!(!report.is_clean());
    assert!(snapshot.is_empty());
}
