//! Numbers in a case that no double can hold.
//!
//! A context of this platform can hold an infinity, and a case is to say what such a context could (FORMAT M-14.1). The
//! reader of JSON refuses them, as lines demand; so they are written anew before it reads.

use flagstone_model::json::is_number;

/// Stands for every number that is too large: each test treats all beyond ±(2⁵³−1) alike (FORMAT M-3.5).
const STAND_IN: &[u8] = b"1e308";

/// The case with a stand-in for each number in its `context` that no double can hold; `None` if there is none.
pub(crate) fn without_overflow(case: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(case.len());
    let (mut depth, mut is_name, mut in_context, mut found) = (0_usize, false, false, false);
    let mut rest = case;
    while let Some(first) = rest.first() {
        let length = match first {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => rest
                .iter()
                .take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
                .count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match first {
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                is_name = depth == 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => is_name = true,
            b'"' if depth == 1 && is_name => {
                in_context = token == b"\"context\"";
                is_name = false;
            }
            _ if in_context && overflows(token) => {
                found = true;
                out.extend(token.strip_prefix(b"-").map(|_| b'-'));
                out.extend_from_slice(STAND_IN);
                continue;
            }
            _ => {}
        }
        out.extend_from_slice(token);
    }
    found.then_some(out)
}

/// Of a text that begins with a quote: up to its end, or all of it.
fn string_length(text: &[u8]) -> usize {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index.saturating_add(1),
            _ => {}
        }
    }
    text.len()
}

fn overflows(token: &[u8]) -> bool {
    let number = core::str::from_utf8(token).ok().filter(|text| is_number(text));
    number.and_then(|text| text.parse().ok()).is_some_and(f64::is_infinite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(case: &str) -> Option<String> {
        without_overflow(case.as_bytes()).map(|case| String::from_utf8(case).unwrap())
    }

    #[test]
    fn only_numbers_of_the_context_that_no_double_holds_are_written_anew() {
        for (case, expected) in [
            (r#"{"context":{"a":1e999}}"#, r#"{"context":{"a":1e308}}"#),
            (r#"{"context": {"a":[-1e999, 2]}, "at":1}"#, r#"{"context": {"a":[-1e308, 2]}, "at":1}"#),
            (
                r#"{"flag":"f","context":{"x":{"a\"1e999":1E+400}}}"#,
                r#"{"flag":"f","context":{"x":{"a\"1e999":1e308}}}"#,
            ),
            (r#"{"context":1e999,"default":1e308}"#, r#"{"context":1e308,"default":1e308}"#),
        ] {
            assert_eq!(rewritten(case).as_deref(), Some(expected), "{case}");
        }
        for case in [
            r#"{"context":{"a":1e308,"b":"1e999","c":"\\","d":"\"1e999"}}"#,
            r#"{"default":1e999,"context":{}}"#,
            r#"{"context":{},"default":1e999}"#,
            r#"{"context":{"a":1},"default":{"context":1e999}}"#,
            r#"{"default":"context","at":1e999}"#,
            r#"{"default":{"a":1,"context":1e999}}"#,
            r#"{"context":{"a":01e999}}"#,
            r#"{"context":{"a":1e999.5}}"#,
            "1e999",
            "\"",
            "",
        ] {
            assert_eq!(rewritten(case), None, "{case}");
        }
    }
}
