//! Problem documents (RFC 9457) as failures.

use flagstone_model::json::Json;

use crate::failure::{Exit, Failure, Spot};

/// The failure that an answer with an error status tells of.
pub(super) fn failure(status: u16, body: &[u8]) -> Failure {
    let body = Json::parse(body).unwrap_or(Json::Null);
    let text = |json: &Json<'_>, name: &str| json.member(name).and_then(Json::as_str).map(str::to_owned);
    let Some(code) = text(&body, "code") else {
        return Failure::new(
            exit(status, ""),
            "bad-answer",
            format!("status {status} without a problem document"),
        )
        .hint("is FLAGSTONE_URL the address of a Flagstone admin API?");
    };
    let detail = text(&body, "detail").or_else(|| text(&body, "title")).unwrap_or_else(|| code.clone());
    let (detail, meant) = without_suggestion(&detail);
    let mut failure = Failure::new(exit(status, &code), &code, detail.trim_end_matches('.'));
    failure.suggestion = text(&body, "suggestion").or(meant);
    failure.request_id = text(&body, "request_id");
    let current = body.member("current_revision").and_then(Json::as_integer);
    failure.current_revision = current.and_then(|revision| u64::try_from(revision).ok());
    let errors = body.member("errors").and_then(Json::as_array).unwrap_or_default();
    failure.spots = errors
        .iter()
        .map(|error| Spot {
            pointer: text(error, "pointer").unwrap_or_default(),
            code: text(error, "code").unwrap_or_default(),
            detail: text(error, "detail").map(|detail| without_suggestion(&detail).0).unwrap_or_default(),
        })
        .collect();
    if failure.spots.is_empty()
        && let Some(pointer) = text(&body, "pointer")
    {
        let detail = failure.detail.clone();
        failure.spots.push(Spot { pointer, code: code.clone(), detail });
    }
    // One spot that repeats the sentence adds nothing but its place.
    let sentence = failure.detail.clone();
    if let [spot] = failure.spots.as_mut_slice()
        && spot.detail == sentence
    {
        spot.detail.clear();
    }
    let hint = match code.as_str() {
        "unauthenticated" => Some("FLAGSTONE_TOKEN is not a token of this server"),
        "needs-confirmation" => Some("--confirm does it all the same"),
        "stale-revision" => Some("somebody else changed it meanwhile: look at it, then try again"),
        "key-retired" => Some("an archived key is never used again: take another one"),
        _ => None,
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// A sentence that ends in "; did you mean `…`?" without that, and what was meant.
fn without_suggestion(detail: &str) -> (String, Option<String>) {
    let meant = detail
        .split_once("; did you mean `")
        .and_then(|(rest, meant)| Some((rest, meant.strip_suffix("`?")?)));
    match meant {
        Some((rest, meant)) => (rest.to_owned(), Some(meant.to_owned())),
        None => (detail.to_owned(), None),
    }
}

fn exit(status: u16, code: &str) -> Exit {
    match (status, code) {
        (_, "stale-revision") => Exit::Stale,
        (429 | 502..=504, _) => Exit::Unreachable,
        _ => Exit::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_becomes_a_failure_with_its_code_and_places() {
        let body = br#"{"type":"urn:flagstone:problem:invalid-request","title":"t","status":400,"detail":"2 things are wrong","code":"invalid-request","errors":[{"pointer":"/on","code":"invalid-request","detail":"no bool"},{"pointer":"/x","code":"invalid-request","detail":"unknown"}],"suggestion":"y","request_id":"r1"}"#;
        let failure = failure(400, body);
        assert_eq!((failure.code.as_str(), failure.spots.len()), ("invalid-request", 2));
        assert_eq!(failure.suggestion.as_deref(), Some("y"));
        assert_eq!(failure.request_id.as_deref(), Some("r1"));
    }

    #[test]
    fn the_exit_status_says_what_a_script_can_do() {
        let of = |status, code: &str| failure(status, format!("{{\"code\":\"{code}\"}}").as_bytes()).exit;
        assert_eq!(of(412, "stale-revision"), Exit::Stale);
        assert_eq!(of(503, "busy"), Exit::Unreachable);
        assert_eq!(of(404, "flag-not-found"), Exit::Refused);
    }

    #[test]
    fn what_was_meant_is_said_once() {
        let (detail, meant) = without_suggestion("there is no flag `a`; did you mean `b`?");
        assert_eq!((detail.as_str(), meant.as_deref()), ("there is no flag `a`", Some("b")));
        assert_eq!(without_suggestion("no").1, None);
    }

    #[test]
    fn what_is_no_problem_document_is_told_as_such() {
        assert_eq!(failure(502, b"<html>").code, "bad-answer");
    }
}
