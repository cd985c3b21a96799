//! P9: what is to be published to everybody shows nothing but what is public (FORMAT M-11.9).
//!
//! It looks at lines as anybody may, and shares no code with what made them.

use flagstone_model::json::Json;
use flagstone_model::line::{Head, Kind};
use flagstone_model::path::Path;

use super::hashed::HASH_DIGITS;
use crate::author::{Attributes, Visibility};

/// Tests whose operands a hashed attribute may show: numbers, versions, and points in time.
const PLAIN: [&str; 8] = ["exists", "lt", "lte", "gt", "gte", "semver", "since", "before"];
/// Members of a leaf that are no tests.
const MODIFIERS: [&str; 4] = ["attr", "as", "fold", "absent"];
const FLAG: [&str; 9] = ["flag", "type", "rev", "on", "values", "off", "needs", "rules", "fallthrough"];
const ENVIRONMENT: [&str; 4] = ["environment", "project", "view", "level"];
const CONDITION: [&str; 9] = ["all", "any", "not", "attr", "segment", "flag", "is", "bucket", "time"];

/// Something in a public view that is not for the public. Says where, and never what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the line of {name} `{key}` in a public view shows {what}")]
pub struct Exposed {
    /// The kind of the line; none if it has no head.
    pub kind: Option<Kind>,
    /// The name of the kind.
    pub name: String,
    /// Whose line it is.
    pub key: String,
    /// What it shows.
    pub what: &'static str,
}

impl Exposed {
    /// The stable code of this fault.
    pub const fn code(&self) -> &'static str {
        "view-exposes"
    }
}

/// Examines lines of a public view, by what is declared of attributes: which show something that is not for the public.
pub fn examine<'l>(lines: impl IntoIterator<Item = &'l [u8]>, attributes: &Attributes) -> Vec<Exposed> {
    let exposed = |line| {
        let what = examine_line(line, attributes).err()?;
        let head = Head::parse(line);
        let (name, key) = head.map_or(("nothing", ""), |head| (head.name, head.key));
        let (name, key) = (name.to_owned(), key.to_owned());
        Some(Exposed { kind: head.map(|head| head.kind()), name, key, what })
    };
    lines.into_iter().filter_map(exposed).collect()
}

type Examined = Result<(), &'static str>;

fn examine_line(line: &[u8], attributes: &Attributes) -> Examined {
    let head = Head::parse(line).ok_or("no name")?;
    let json = Json::parse(line).map_err(|_| "what is no JSON")?;
    match head.kind() {
        Kind::Environment => only(&json, &ENVIRONMENT),
        // Without a context it is of the empty one.
        Kind::Check => json.member("context").map_or(Ok(()), |context| all_public(context, "", attributes)),
        Kind::Segment => {
            opaque(head.key)?;
            only(&json, &["segment", "if"])?;
            conditions(json.member("if"), attributes)
        }
        Kind::Flag => {
            only(&json, &FLAG)?;
            conditions(json.member("needs"), attributes)?;
            for rule in json.member("rules").and_then(Json::as_array).unwrap_or_default() {
                only(rule, &["id", "if", "serve", "split", "exp"])?;
                conditions(rule.member("if"), attributes)?;
            }
            Ok(())
        }
        Kind::List => Err("a list"),
        _ => Err("a line of another kind"),
    }
}

fn only(json: &Json<'_>, names: &[&str]) -> Examined {
    let members = json.as_object().ok_or("what is no object")?;
    if members.iter().all(|(name, _)| names.contains(&&**name)) { Ok(()) } else { Err("another member") }
}

fn opaque(key: &str) -> Examined {
    let digits = key.strip_prefix("s:").filter(|digits| digits.len() == 16 && is_hex(digits));
    digits.map(|_| ()).ok_or("the key of a segment")
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn conditions(all: Option<&Json<'_>>, attributes: &Attributes) -> Examined {
    let all = all.and_then(Json::as_array).unwrap_or_default();
    all.iter().try_for_each(|one| condition(one, attributes))
}

fn condition(json: &Json<'_>, attributes: &Attributes) -> Examined {
    if json.member("attr").is_some() {
        return leaf(json, attributes);
    }
    let members = json.as_object().ok_or("what is no condition")?;
    for (name, value) in members {
        match &**name {
            "all" | "any" => conditions(Some(value), attributes)?,
            "not" => condition(value, attributes)?,
            "segment" => {
                let keys = value.as_array().unwrap_or_default();
                keys.iter().try_for_each(|key| opaque(key.as_str().unwrap_or_default()))?;
            }
            name if CONDITION.contains(&name) || name == "absent" => {}
            _ => return Err("another condition"),
        }
    }
    Ok(())
}

fn leaf(json: &Json<'_>, attributes: &Attributes) -> Examined {
    let path = json.member("attr").and_then(Json::as_str).and_then(|path| Path::parse(path).ok());
    let visibility = attributes.of(&path.ok_or("what is no attribute")?);
    for (name, value) in json.as_object().unwrap_or_default() {
        match (&**name, visibility) {
            ("listed", _) => return Err("the key of a list"),
            (_, Visibility::Public) => {}
            (_, Visibility::Private) => return Err("a test of a private attribute"),
            (name, Visibility::Hashed) if MODIFIERS.contains(&name) || PLAIN.contains(&name) => {}
            ("in", Visibility::Hashed) => {
                let operands = value.as_array().unwrap_or_default();
                if operands.iter().any(|operand| operand.as_str().is_some()) {
                    return Err("an operand of a hashed attribute");
                }
            }
            ("hashed", Visibility::Hashed) => hashed(value)?,
            (_, Visibility::Hashed) => return Err("an operand of a hashed attribute"),
        }
    }
    Ok(())
}

/// Every operand is a digest, and nothing else stands there.
fn hashed(json: &Json<'_>) -> Examined {
    only(json, &["salt", "in", "starts", "ends"])?;
    let is_digest =
        |json: &Json<'_>| json.as_str().is_some_and(|text| text.len() == HASH_DIGITS && is_hex(text));
    let is_pair = |json: &Json<'_>| match json.as_array() {
        Some([bytes, digest]) => bytes.as_integer().is_some() && is_digest(digest),
        _ => false,
    };
    let all = |name: &str, is_one: &dyn Fn(&Json<'_>) -> bool| {
        json.member(name).and_then(Json::as_array).unwrap_or_default().iter().all(is_one)
    };
    if all("in", &is_digest) && all("starts", &is_pair) && all("ends", &is_pair) {
        Ok(())
    } else {
        Err("what is no digest")
    }
}

/// Every value of a context lies at a path that is public.
fn all_public(json: &Json<'_>, path: &str, attributes: &Attributes) -> Examined {
    if let Some(members) = json.as_object().filter(|members| !members.is_empty() || path.is_empty()) {
        return members.iter().try_for_each(|(name, value)| {
            let name = Path::of_name(name);
            let below = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            all_public(value, &below, attributes)
        });
    }
    let visibility = Path::parse(path).map(|path| attributes.of(&path)).unwrap_or_default();
    if visibility == Visibility::Public { Ok(()) } else { Err("the context of a check") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &str = r#"{"attributes":{"country":"public","email":"hashed"}}"#;

    fn examined(line: &str) -> Result<(), &'static str> {
        let attributes = Attributes::parse(&Json::parse(DECLARED.as_bytes()).unwrap()).unwrap();
        examine([line.as_bytes()], &attributes).pop().map_or(Ok(()), |exposed| Err(exposed.what))
    }

    fn flag(condition: &str) -> String {
        format!(
            r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{"on":true}},"rules":[{{"id":"r","if":[{condition}],"serve":"on"}}]}}"#
        )
    }

    #[test]
    fn p9_a_line_that_shows_only_what_is_public_passes() {
        let digest = "0".repeat(32);
        for condition in [
            r#"{"attr":"country","in":["DE"],"contains":["x"]}"#.to_owned(),
            r#"{"attr":"email","exists":true,"gt":5}"#.to_owned(),
            r#"{"attr":"email","in":[1,true]}"#.to_owned(),
            format!(r#"{{"attr":"email","hashed":{{"salt":"a","in":["{digest}"]}},"absent":false}}"#),
            format!(r#"{{"attr":"email","hashed":{{"salt":"a","ends":[[9,"{digest}"]]}}}}"#),
            r#"{"not":{"any":[{"segment":["s:0123456789abcdef"]},{"flag":"g","is":["on"]}]}}"#.to_owned(),
            r#"{"bucket":{"by":"secret","salt":"s","in":[[0,5]]},"absent":true}"#.to_owned(),
        ] {
            assert_eq!(examined(&flag(&condition)), Ok(()), "{condition}");
        }
        for line in [
            r#"{"environment":"production","project":"p","view":"client"}"#,
            r#"{"segment":"s:0123456789abcdef"}"#,
            r#"{"check":"f/1","flag":"f","at":"2026-01-01T00:00:00Z","context":{"country":"DE"},"expect":{}}"#,
            r#"{"check":"f/1","flag":"f","at":"2026-01-01T00:00:00Z","expect":{}}"#,
            r#"{"flag":"f","type":"json","rev":1,"on":true,"values":{"on":{"attr":"email","in":["a"]}}}"#,
        ] {
            assert_eq!(examined(line), Ok(()), "{line}");
        }
    }

    #[test]
    fn p9_an_operand_that_is_not_public_is_found_wherever_it_stands() {
        for condition in [
            r#"{"attr":"plan","in":["pro"]}"#,
            r#"{"attr":"plan","exists":true}"#,
            r#"{"all":[{"any":[{"not":{"attr":"plan","lt":5}}]}]}"#,
            r#"{"attr":"email","in":["a"]}"#,
            r#"{"attr":"email","in":[1,"a"]}"#,
            r#"{"attr":"email","ends":["@acme.com"]}"#,
            r#"{"attr":"email","matches":"a"}"#,
            r#"{"attr":"email","later":"a"}"#,
            r#"{"attr":"email","hashed":{"salt":"a","in":["@acme.com"]}}"#,
            r#"{"attr":"email","hashed":{"salt":"a","ends":[["@acme.com","x"]]}}"#,
            r#"{"attr":"email","hashed":{"salt":"a","plain":["@acme.com"]}}"#,
            r#"{"attr":"country","listed":"l"}"#,
            r#"{"segment":["beta"]}"#,
            r#"{"segment":["s:0123456789abcdeF"]}"#,
            r#"{"later":["x"]}"#,
        ] {
            assert!(examined(&flag(condition)).is_err(), "{condition}");
            let needs = format!(
                r#"{{"flag":"f","type":"bool","rev":1,"on":true,"values":{{}},"needs":[{condition}]}}"#
            );
            assert!(examined(&needs).is_err(), "{condition}");
            let segment = format!(r#"{{"segment":"s:0123456789abcdef","if":[{condition}]}}"#);
            assert!(examined(&segment).is_err(), "{condition}");
        }
        for line in [
            r#"{"environment":"production","project":"p","view":"client","private":["email"]}"#,
            r#"{"segment":"beta"}"#,
            r#"{"list":"l"}"#,
            r#"{"other":"l"}"#,
            r#"{"flag":"f","type":"bool","rev":1,"on":true,"values":{},"meta":{"owner":"a"}}"#,
            r#"{"check":"f/1","flag":"f","at":"2026-01-01T00:00:00Z","context":{"email":"a"},"expect":{}}"#,
            r#"{"check":"f/1","flag":"f","at":"2026-01-01T00:00:00Z","context":{"country":"DE","user":{"name":"a"}},"expect":{}}"#,
            "no line",
        ] {
            assert!(examined(line).is_err(), "{line}");
        }
    }
}
