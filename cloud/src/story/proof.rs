//! What has to hold in the end, of what was answered and of what an audit proves.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::story::{is, number};

/// The views of the environment that are announced.
const VIEWS: [&str; 2] = ["client", "server"];

/// How many of the answers to writers have a number in the log: each one of its own. An answer that was lost is null.
pub(super) fn numbered(answers: &[Value]) -> Result<usize, String> {
    let told: Vec<_> = answers.iter().filter(|answer| !answer.is_null()).collect();
    let seqs: BTreeSet<_> = told.iter().filter_map(|answer| answer.get("seq")?.as_u64()).collect();
    if seqs.len() == told.len() {
        Ok(told.len())
    } else {
        Err(format!("{} answers have {} different numbers", told.len(), seqs.len()))
    }
}

/// Why a proved log is not announced up to its end; nothing, if it is.
pub(super) fn unannounced(proved: &Value, environment: &str) -> Option<String> {
    let head = proved.get("head").map(|head| number(head, "seq")).filter(|seq| *seq > 0);
    let Some(head) = head else { return Some("the log is empty".to_owned()) };
    let streams = proved.get("streams").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of_view = |view: &str| {
        streams.iter().find(|stream| is(stream, "view", view) && is(stream, "environment", environment))
    };
    if let Some(missing) = VIEWS.into_iter().find(|view| of_view(view).is_none()) {
        return Some(format!("nothing was ever announced to {missing}"));
    }
    let behind = streams.iter().find(|stream| {
        stream.get("announced").and_then(Value::as_bool) != Some(true)
            || number(stream, "covered_seq") != head
    });
    behind.map(|stream| format!("the log ends at {head}: {stream}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn proved(streams: &Value) -> Value {
        json!({"ok": true, "entries": 7, "head": {"seq": 7, "hash": "00"}, "streams": streams})
    }

    fn stream(view: &str, covered_seq: u64, announced: bool) -> Value {
        json!({"environment": "production", "view": view, "covered_seq": covered_seq, "announced": announced})
    }

    #[test]
    fn all_streams_have_to_be_announced_up_to_the_head() {
        let said = |streams: &Value| unannounced(&proved(streams), "production");
        let client = || stream("client", 7, true);
        assert_eq!(said(&json!([client(), stream("server", 7, true)])), None);
        for server in [stream("server", 6, true), stream("server", 7, false), stream("other", 7, true)] {
            assert!(said(&json!([client(), server])).is_some(), "{server}");
        }
        assert!(said(&json!([client(), stream("server", 7, true), stream("third", 6, true)])).is_some());
        assert!(said(&json!([])).is_some() && said(&Value::Null).is_some());
        assert!(unannounced(&Value::Null, "production").is_some());
        let elsewhere = proved(&json!([client(), stream("server", 7, true)]));
        assert!(unannounced(&elsewhere, "staging").is_some());
    }

    #[test]
    fn two_answers_with_one_number_and_an_answer_without_are_told() {
        let seq = |seq: u64| json!({"seq": seq});
        assert_eq!(numbered(&[seq(1), Value::Null, seq(2)]), Ok(2));
        assert!(numbered(&[seq(1), seq(2), seq(1)]).is_err());
        assert!(numbered(&[seq(1), json!({"revision": 1})]).is_err());
    }
}
