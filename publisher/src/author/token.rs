//! Tokens: who may use the admin API, and for what.

use core::fmt;
use std::collections::BTreeSet;

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;

use super::problem::Problem;
use super::read::{Members, Reader};

/// Longest name of a token or an SDK key, in characters.
pub const MAX_TOKEN_NAME_CHARS: usize = 128;
/// Most environments that a token is limited to: as many as a project may have.
const MAX_LISTED_ENVIRONMENTS: usize = 64;

/// What somebody may do; each role may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads, and evaluates.
    Viewer,
    /// Also changes flags and segments, and publishes.
    Editor,
    /// Also manages tokens, environments, and SDK keys, reads the access log, and erases.
    Admin,
}

impl Role {
    /// All roles, the weakest first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Admin];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token, as its author wrote it. Its secret is no part of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is, or what it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where; `None`: in the whole project. Never empty.
    pub environments: Option<BTreeSet<EnvironmentId>>,
    /// The first instant at which it is worth nothing.
    pub expires: Option<Instant>,
}

/// A key with which SDKs read the closed views of one environment, as its author wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SdkKey {
    /// What it is for.
    pub name: Option<String>,
}

impl Token {
    /// Reads the authored form.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        let what =
            Members { what: "a token", known: &["name", "role", "environments", "expires"], pending: &[] };
        Reader::document(|reader| {
            reader.object(json, what)?;
            let name = reader.required(json, "name", name);
            let role = reader.required(json, "role", |reader, role| {
                let role = role.as_str().and_then(Role::parse);
                role.or_else(|| reader.none("`viewer`, `editor`, or `admin` is wanted here"))
            });
            let environments = reader.optional(json, "environments", |reader, list| {
                if list.as_array().is_some_and(<[_]>::is_empty) {
                    return reader.none("name an environment, or leave `environments` out");
                }
                let id = |reader: &mut Reader, id: &Json<'_>| reader.key(id, EnvironmentId::parse);
                Some(reader.array(list, MAX_LISTED_ENVIRONMENTS, id)?.into_iter().collect())
            });
            let expires = reader.optional(json, "expires", |reader, instant| {
                let text = instant.as_str().unwrap_or_default();
                Instant::parse(text).map_err(|error| reader.refuse(error.to_string())).ok()
            });
            Some(Self { name: name?, role: role?, environments, expires })
        })
    }

    /// The authored form, normal.
    pub fn to_json(&self) -> Json<'static> {
        let environments = self.environments.as_ref().map(|environments| {
            let ids = environments.iter().map(|id| Json::from(id.to_string())).collect();
            ("environments", ids)
        });
        let expires = self.expires.map(|expires| ("expires", Json::from(expires.to_string())));
        let members =
            [("name", Json::from(self.name.clone())), ("role", Json::from(self.role.as_str()))].into_iter();
        Json::object(members.chain(environments).chain(expires))
    }
}

impl SdkKey {
    /// Reads the authored form.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        let what = Members { what: "an SDK key", known: &["name"], pending: &[] };
        Reader::document(|reader| {
            reader.object(json, what)?;
            Some(Self { name: reader.optional(json, "name", name) })
        })
    }

    /// The authored form, normal.
    pub fn to_json(&self) -> Json<'static> {
        Json::object(self.name.clone().map(|name| ("name", Json::from(name))))
    }
}

fn name(reader: &mut Reader, json: &Json<'_>) -> Option<String> {
    let name = reader.text(json, MAX_TOKEN_NAME_CHARS * 4)?;
    let length = name.chars().count();
    if name.trim().is_empty() || length > MAX_TOKEN_NAME_CHARS {
        return reader.none(format!("a name has 1 to {MAX_TOKEN_NAME_CHARS} characters"));
    }
    if name.chars().any(char::is_control) {
        return reader.none("a name has no control characters");
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<Token, Vec<Problem>> {
        Token::parse(&Json::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_normal_form_of_a_token_reads_back() {
        for text in [
            r#"{"name":"ci","role":"viewer"}"#,
            r#"{"name":"Ada","role":"admin","environments":["production","staging"],"expires":"2027-01-01T00:00:00Z"}"#,
        ] {
            let read = token(text).unwrap();
            assert_eq!(read.to_json().to_string(), text);
            assert_eq!(Token::parse(&read.to_json()).unwrap(), read);
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_token_is_named() {
        let long = format!(r#"{{"name":"{}","role":"viewer"}}"#, "ä".repeat(MAX_TOKEN_NAME_CHARS + 1));
        for (text, pointers) in [
            ("{}", &["/name", "/role"][..]),
            (r#"{"name":" ","role":"root"}"#, &["/name", "/role"]),
            (r#"{"name":"a\nb","role":"editor","scope":1}"#, &["/scope", "/name"]),
            (r#"{"name":"a","role":"editor","environments":[]}"#, &["/environments"]),
            (r#"{"name":"a","role":"editor","environments":["A"]}"#, &["/environments/0"]),
            (r#"{"name":"a","role":"editor","expires":"tomorrow"}"#, &["/expires"]),
            (r#"{"name":"a","role":"editor","expires":5}"#, &["/expires"]),
            (&long, &["/name"]),
        ] {
            let problems = token(text).unwrap_err();
            let told: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
            assert_eq!(told, pointers, "{text}");
        }
        let longest = format!(r#"{{"name":"{}","role":"viewer"}}"#, "ä".repeat(MAX_TOKEN_NAME_CHARS));
        assert!(token(&longest).is_ok());
    }

    #[test]
    fn each_role_may_do_what_the_one_before_it_may() {
        assert!(Role::Viewer < Role::Editor && Role::Editor < Role::Admin);
    }
}
