//! Bad input: a problem document that names what is wrong, and nothing is written.

use axum::http::StatusCode;
use flagstone_model::json::Json;

use crate::world::{Ask, World, get, post, put};

const P: &str = "/v1/projects/demo";
const E: &str = "/v1/projects/demo/environments/production";

/// One row of the table.
struct Row {
    name: &'static str,
    ask: Ask,
    status: u16,
    code: &'static str,
    /// Members `pointer`, `parameter`, and `header`.
    place: [Option<&'static str>; 3],
}

fn table() -> Vec<Row> {
    let lines = include_str!("refusals.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect()
}

fn row(line: &'static str) -> Row {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [name, target, headers, body, expected] = columns[..] else { panic!("{line}") };
    let (method, path) = target.split_once(' ').unwrap();
    let path = match path.split_at(1) {
        ("P", rest) => format!("{P}{rest}"),
        ("E", rest) => format!("{E}{rest}"),
        ("T", rest) => format!("{E}/flags/new-checkout{rest}"),
        _ => path.to_owned(),
    };
    let mut ask = Ask::new(method, &path, "").bytes(&unescape(body));
    for header in headers.split(';').filter(|header| !header.is_empty()) {
        let (name, value) = header.trim().split_once(": ").unwrap();
        ask = ask.header(name, &String::from_utf8(unescape(value)).unwrap());
    }
    let [status, code, place] = expected.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let place = match place.split_at(1) {
        ("@", pointer) => [Some(pointer), None, None],
        ("?", parameter) => [None, Some(parameter), None],
        (":", header) => [None, None, Some(header)],
        _ => [None, None, None],
    };
    Row { name, ask, status: status.parse().unwrap(), code, place }
}

/// `<xN>` is x N times, `\xHH` a byte.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(hex) = rest.strip_prefix("\\x") {
            bytes.push(u8::from_str_radix(&hex[..2], 16).unwrap());
            rest = &hex[2..];
        } else if let Some((repeat, tail)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            let times = repeat.trim_start_matches(|c: char| !c.is_ascii_digit());
            let what = repeat.strip_suffix(times).unwrap();
            bytes.extend(what.repeat(times.parse().unwrap()).into_bytes());
            rest = tail;
        } else {
            bytes.extend(character.to_string().into_bytes());
            rest = &rest[character.len_utf8()..];
        }
    }
    bytes
}

#[tokio::test]
async fn whatever_is_wrong_is_a_problem_that_names_it_and_nothing_is_written() {
    let world = World::with_flags().await;
    let mut wrong = Vec::new();
    let rows = table();
    assert!(rows.len() > 90, "{} rows", rows.len());
    for Row { name, ask, status, code, place } in rows {
        let before = world.log_head().await;
        let answer = world.ask(ask).await;
        let problem = answer.json();
        let text = |member: &str| problem.member(member).and_then(Json::as_str);
        let told = ["pointer", "parameter", "header"].map(text);
        if (answer.status.as_u16(), text("code"), told) != (status, Some(code), place) {
            wrong.push(format!("{name}: wanted {status} {code} {place:?}, found {}", answer.text()));
        }
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}");
        assert_eq!(
            text("type").unwrap(),
            format!("urn:flagstone:problem:{}", text("code").unwrap()),
            "{name}"
        );
        let status = problem.member("status").and_then(Json::as_integer);
        assert_eq!(status, Some(answer.status.as_u16().into()), "{name}");
        assert!(text("title").is_some() && text("detail").is_some_and(|detail| !detail.is_empty()), "{name}");
        assert_eq!(world.log_head().await, before, "{name} has written something");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.expect(StatusCode::OK, put(&format!("{E}/flags/new-checkout"), r#"{"on":true}"#)).await;
}

#[tokio::test]
async fn every_fault_of_a_document_is_listed() {
    let world = World::with_flags().await;
    let body = r#"{"key":"-x","type":"bool","colour":"red","tags":["a",1]}"#;
    let problem = world.ask(post(&format!("{P}/flags"), body)).await.json();
    let errors = problem.member("errors").and_then(Json::as_array).unwrap().to_vec();
    let mut pointers: Vec<_> = errors.iter().filter_map(|error| error.member("pointer")?.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/colour", "/key", "/tags/1"]);
    assert!(errors.iter().all(|error| error.member("code").is_some() && error.member("detail").is_some()));
}

#[tokio::test]
async fn an_unknown_flag_is_answered_with_the_one_that_was_meant() {
    let world = World::with_flags().await;
    for ask in [
        post(&format!("{E}/flags/new-chekout/on"), ""),
        get(&format!("{P}/flags/new-chekout")),
        post(&format!("{E}/evaluate"), r#"{"context":{},"flag":"new-chekout"}"#),
    ] {
        let problem = world.ask(ask).await.json();
        assert_eq!(problem.member("suggestion").and_then(Json::as_str), Some("new-checkout"));
        let detail = problem.member("detail").and_then(Json::as_str).unwrap().to_owned();
        assert!(detail.ends_with("did you mean `new-checkout`?"), "{detail}");
    }
    let problem = world.ask(get(&format!("{P}/flags/something-else"))).await.json();
    assert_eq!(problem.member("suggestion"), None);
}

#[tokio::test]
async fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
    let world = World::with_flags().await;
    let padded = |key: &str, length: usize| {
        let text = format!(r#"{{"key":"{key}","type":"bool"}}"#);
        let padding = " ".repeat(length - text.len());
        text + &padding
    };
    let at = flagstone_admin::MAX_BODY_BYTES;
    let flags = format!("{P}/flags");
    let answer = world.ask(post(&flags, &padded("at", at))).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let before = world.log_head().await;
    let over = padded("over", at + 1);
    for ask in [post(&flags, &over), post(&flags, &over).header("content-length", &over.len().to_string())] {
        let answer = world.ask(ask).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too-large"));
    }
    // A length that is told is believed before anything is read.
    let lying = world.ask(post(&flags, "{}").header("content-length", "1048577")).await;
    assert_eq!(lying.code(), "too-large");
    assert_eq!(world.log_head().await, before);
}

#[tokio::test]
async fn a_stale_revision_tells_the_current_one_and_changes_nothing() {
    let world = World::with_flags().await;
    let targeting = format!("{E}/flags/new-checkout");
    let read = world.ask(get(&targeting)).await;
    let tag = read.header("etag").unwrap().to_owned();
    let first = world.ask(post(&format!("{targeting}/on"), "").header("if-match", &tag)).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    let before = world.log_head().await;
    let second = world.ask(post(&format!("{targeting}/off"), "").header("if-match", &tag)).await;
    assert_eq!((second.status, second.code().as_str()), (StatusCode::PRECONDITION_FAILED, "stale-revision"));
    let current = second.json().member("current_revision").and_then(Json::as_integer);
    assert_eq!(current, first.json().member("revision").and_then(Json::as_integer));
    assert_eq!(world.log_head().await, before);
    assert_eq!(world.ask(get(&targeting)).await.json().member("on"), Some(&Json::Bool(true)));
}

#[tokio::test]
async fn a_change_that_reaches_more_than_half_of_many_flags_needs_confirmation_and_off_never() {
    let world = World::with_flags().await;
    for number in 0..30 {
        let key = format!("many-{number}");
        let body = format!(r#"{{"key":"{key}","type":"bool"}}"#);
        world.expect(StatusCode::CREATED, post(&format!("{P}/flags"), &body)).await;
        let body =
            r#"{"on":true,"prerequisites":[{"flag":"payments","is":["on"]}],"fallthrough":{"serve":"on"}}"#;
        world.expect(StatusCode::OK, put(&format!("{E}/flags/{key}"), body)).await;
    }
    let before = world.log_head().await;
    let on = format!("{E}/flags/payments/on");
    let answer = world.ask(post(&on, "")).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::CONFLICT, "needs-confirmation"));
    assert_eq!(world.log_head().await, before);
    world.expect(StatusCode::OK, post(&format!("{on}?confirm=true"), "")).await;
    world.expect(StatusCode::OK, post(&format!("{E}/flags/payments/off"), "")).await;
}

#[tokio::test]
async fn a_change_that_breaks_a_check_of_another_targeting_asks_and_confirmed_is_made() {
    let world = World::with_flags().await;
    let check = |expect: &str| {
        format!(
            r#"{{"at":"2026-12-02T12:00:00Z","context":{{"email":"a@example.com"}},"expect":{{"variation":"{expect}"}}}}"#
        )
    };
    let targeting = |expect: &str| {
        format!(
            r#"{{"on":true,"off":"off","rules":[{{"id":"beta","if":[{{"segment":["beta"]}}],"serve":"on"}}],"fallthrough":{{"serve":"off"}},"checks":[{}]}}"#,
            check(expect)
        )
    };
    let flag = format!("{E}/flags/new-checkout");
    let good = world.expect(StatusCode::OK, put(&flag, &targeting("on"))).await;
    let seq = good.json().member("seq").and_then(Json::as_integer).unwrap();
    let own = world.ask(put(&flag, &targeting("off"))).await;
    assert_eq!((own.status, own.code().as_str()), (StatusCode::BAD_REQUEST, "check-failed"));
    let (segment, restore) = (format!("{E}/segments/beta"), format!("{E}/restore"));
    let (nobody, back) = (put(&segment, "{}"), format!(r#"{{"seq":{seq}}}"#));
    let before = world.log_head().await;
    let asked = world.ask(nobody).await;
    assert_eq!((asked.status, asked.code().as_str()), (StatusCode::CONFLICT, "needs-confirmation"));
    let told = asked.text();
    assert!(told.contains("check 1 of flag `new-checkout` in environment `production`"), "{told}");
    assert_eq!(world.log_head().await, before);
    world.expect(StatusCode::OK, put(&format!("{segment}?confirm=true"), "{}")).await;
    let broken = world.log_head().await.unwrap();
    // It was as it should be, and comes back so without a question; back to where it was broken is a question again.
    world.expect(StatusCode::OK, post(&restore, &back)).await;
    let broken = format!(r#"{{"seq":{broken}}}"#);
    let asked = world.ask(post(&restore, &broken)).await;
    assert_eq!((asked.status, asked.code().as_str()), (StatusCode::CONFLICT, "needs-confirmation"));
    world.expect(StatusCode::OK, post(&format!("{restore}?confirm=true"), &broken)).await;
}
