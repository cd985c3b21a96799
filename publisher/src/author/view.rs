//! Views: which flags a stream has, and who may read it.

use flagstone_model::json::Json;

use super::flag::MAX_LABEL_BYTES;
use super::problem::Problem;
use super::read::{Members, Reader};
use super::suggest::did_you_mean;

/// Who may read a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Whoever holds an SDK key of the environment.
    Keyed,
    /// Anybody: what it holds is redacted (FORMAT M-9).
    Public,
}

impl Audience {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Keyed, Self::Public];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keyed => "keyed",
            Self::Public => "public",
        }
    }
}

/// Which flags a view has. What they reach comes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Include {
    /// Every flag.
    All,
    /// Those that are client-visible.
    Client,
    /// Those that have this tag; in a public view, those that are client-visible too.
    Tag(String),
}

/// A view, as its author wrote it: the same in every environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewDefinition {
    /// Who may read it. It does not change: what was public is known.
    pub audience: Audience,
    /// Which flags it has.
    pub include: Include,
}

const VIEW: Members = Members { what: "a view", known: &["audience", "include", "tag"], pending: &[] };
const INCLUDES: [&str; 3] = ["all", "client", "tag"];

impl ViewDefinition {
    /// The view `server`.
    pub const SERVER: Self = Self { audience: Audience::Keyed, include: Include::All };
    /// The view `client`.
    pub const CLIENT: Self = Self { audience: Audience::Public, include: Include::Client };

    /// Reads the authored form.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        Reader::document(|reader| {
            reader.object(json, VIEW)?;
            let audience = reader.required(json, "audience", |reader, word| {
                let words = Audience::ALL.map(Audience::as_str);
                let at = one_of(reader, word, words)?;
                Audience::ALL.get(at).copied()
            });
            let include = reader.required(json, "include", |reader, word| one_of(reader, word, INCLUDES));
            let tag = reader.optional(json, "tag", |reader, tag| {
                let tag = reader.text(tag, MAX_LABEL_BYTES)?;
                if tag.is_empty() { reader.none("a tag may not be empty") } else { Some(tag) }
            });
            let (audience, include) = (audience?, include?);
            if include != 2 && json.member("tag").is_some() {
                let detail = "a `tag` stands only beside `\"include\":\"tag\"`";
                return reader.within("tag", |reader| reader.none(detail));
            }
            let include = match (include, audience) {
                (0, Audience::Keyed) => Include::All,
                (0, Audience::Public) => {
                    let detail = "a public view has only client-visible flags: include `client`, or a `tag`";
                    return reader.within("include", |reader| reader.none(detail));
                }
                (1, _) => Include::Client,
                _ if json.member("tag").is_none() => {
                    let detail = "the member `tag` is missing: the tag of the flags that are included";
                    return reader.within("tag", |reader| reader.none(detail));
                }
                _ => Include::Tag(tag?),
            };
            Some(Self { audience, include })
        })
    }

    /// The authored form, normal.
    pub fn to_json(&self) -> Json<'_> {
        let (include, tag) = match &self.include {
            Include::All => ("all", None),
            Include::Client => ("client", None),
            Include::Tag(tag) => ("tag", Some(("tag", Json::from(tag.as_str())))),
        };
        let members = [("audience", Json::from(self.audience.as_str())), ("include", Json::from(include))];
        Json::object(members.into_iter().chain(tag))
    }
}

/// The place of a word among those that may stand here.
fn one_of<const N: usize>(reader: &mut Reader, json: &Json<'_>, words: [&'static str; N]) -> Option<usize> {
    let word = json.as_str().unwrap_or_default();
    words.iter().position(|known| *known == word).or_else(|| {
        let hint = did_you_mean(word, words);
        reader.none(format!("one of `{}` is wanted here{hint}", words.join("`, `")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<ViewDefinition, Vec<Problem>> {
        ViewDefinition::parse(&Json::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_view_reads_back_as_it_was_written() {
        for text in [
            r#"{"audience":"keyed","include":"all"}"#,
            r#"{"audience":"keyed","include":"client"}"#,
            r#"{"audience":"public","include":"client"}"#,
            r#"{"audience":"keyed","include":"tag","tag":"checkout"}"#,
            r#"{"audience":"public","include":"tag","tag":"web"}"#,
        ] {
            assert_eq!(parsed(text).unwrap().to_json().to_string(), text);
        }
        assert_eq!(ViewDefinition::SERVER, parsed(r#"{"audience":"keyed","include":"all"}"#).unwrap());
        assert_eq!(ViewDefinition::CLIENT, parsed(r#"{"audience":"public","include":"client"}"#).unwrap());
    }

    #[test]
    fn a_view_that_says_too_little_or_too_much_is_refused_at_its_place() {
        for (text, pointer) in [
            ("{}", "/audience"),
            (r#"{"audience":"public"}"#, "/include"),
            (r#"{"audience":"open","include":"client"}"#, "/audience"),
            (r#"{"audience":"public","include":"all"}"#, "/include"),
            (r#"{"audience":"keyed","include":"some"}"#, "/include"),
            (r#"{"audience":"keyed","include":"tag"}"#, "/tag"),
            (r#"{"audience":"keyed","include":"tag","tag":""}"#, "/tag"),
            (r#"{"audience":"keyed","include":"tag","tag":1}"#, "/tag"),
            (r#"{"audience":"keyed","include":"all","tag":"x"}"#, "/tag"),
            (r#"{"audience":"keyed","include":"all","flags":[]}"#, "/flags"),
        ] {
            assert_eq!(parsed(text).unwrap_err()[0].pointer, pointer, "{text}");
        }
    }
}
