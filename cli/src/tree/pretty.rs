//! JSON for people: a member a line, two spaces deep.

use flagstone_model::json::Json;

/// The text of a file. Members keep their order; what is empty stays on its line.
pub(crate) fn pretty(json: &Json<'_>) -> String {
    let mut text = String::new();
    write(json, 0, &mut text);
    text.push('\n');
    text
}

fn write(json: &Json<'_>, depth: usize, text: &mut String) {
    let inner = depth.saturating_add(1);
    let line = |depth: usize, text: &mut String| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    match json {
        Json::Array(elements) if !elements.is_empty() => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                line(inner, text);
                write(element, inner, text);
            }
            line(depth, text);
            text.push(']');
        }
        Json::Object(members) if !members.is_empty() => {
            text.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                line(inner, text);
                text.push_str(&Json::from(&**name).to_string());
                text.push_str(": ");
                write(value, inner, text);
            }
            line(depth, text);
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_stands_on_its_line_and_what_is_empty_does_not_open() {
        let json = Json::parse(br#"{"a":[1,{"b":"\"x\""}],"c":{},"d":[]}"#).unwrap();
        let wanted = "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"\\\"x\\\"\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}\n";
        assert_eq!(pretty(&json), wanted);
    }
}
