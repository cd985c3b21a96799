//! What clients may know of each attribute.

use std::collections::BTreeMap;

use flagstone_model::json::Json;
use flagstone_model::limits;
use flagstone_model::path::Path;

use super::problem::Problem;
use super::read::{Members, Reader};
use super::suggest::did_you_mean;

/// Most attributes that are declared in a project.
pub const MAX_ATTRIBUTES: usize = 500;

/// What public views may say about an attribute (FORMAT M-9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Visibility {
    /// Everything: operands stand there as they were written.
    Public,
    /// Strings it is compared with stand there as salted digests. Who can guess one can confirm it.
    Hashed,
    /// Nothing: a flag that tests it can not be client-visible.
    #[default]
    Private,
}

impl Visibility {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Public, Self::Hashed, Self::Private];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Hashed => "hashed",
            Self::Private => "private",
        }
    }
}

/// The attributes that are declared; what is not declared is private.
///
/// A declaration covers what lies below its path, unless that is declared itself: with `org` public, so is `org.plan`.
/// It says nothing about what lies above.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// By the text of the path, in its one spelling.
    declared: BTreeMap<String, Visibility>,
}

const ATTRIBUTES: Members = Members { what: "the declarations", known: &["attributes"], pending: &[] };

impl Attributes {
    /// Reads the authored form: `{"attributes":{PATH:"public"|"hashed"|"private"}}`.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        Reader::document(|reader| {
            reader.object(json, ATTRIBUTES)?;
            let declared = reader.required(json, "attributes", declared)?;
            Some(Self { declared })
        })
    }

    /// The authored form, normal: by path.
    pub fn to_json(&self) -> Json<'_> {
        let declared = self.declared.iter().map(|(path, word)| (path.as_str(), Json::from(word.as_str())));
        Json::object([("attributes", Json::object(declared))])
    }

    /// What clients may know of the attribute at a path.
    pub fn of(&self, path: &Path) -> Visibility {
        let text = path.to_string();
        let mut covering = text.as_str();
        loop {
            if let Some(word) = self.declared.get(covering) {
                return *word;
            }
            match covering.rsplit_once('.') {
                Some((above, _)) => covering = above,
                None => return Visibility::default(),
            }
        }
    }

    /// Whether an attribute, or what it lies in, was declared to be private: not only left undeclared.
    pub fn is_said_to_be_private(&self, path: &Path) -> bool {
        let text = path.to_string();
        self.declared_private().any(|private| {
            text.strip_prefix(private).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// The paths that were declared private, in the order of their text.
    pub fn declared_private(&self) -> impl Iterator<Item = &str> {
        let private = self.declared.iter().filter(|(_, word)| **word == Visibility::Private);
        private.map(|(path, _)| path.as_str())
    }
}

fn declared(reader: &mut Reader, json: &Json<'_>) -> Option<BTreeMap<String, Visibility>> {
    let Some(members) = json.as_object() else {
        return reader.none("an object of paths is wanted here, each with `public`, `hashed`, or `private`");
    };
    if members.len() > MAX_ATTRIBUTES {
        return reader
            .none(format!("at most {MAX_ATTRIBUTES} attributes are declared, these are {}", members.len()));
    }
    let mut declared = BTreeMap::new();
    for (text, word) in members {
        reader.within(text, |reader| {
            let path = path(reader, text);
            let word = visibility(reader, word);
            if let Some((path, word)) = path.zip(word)
                && declared.insert(path, word).is_some()
            {
                reader.refuse("this path is declared twice");
            }
        });
    }
    Some(declared)
}

/// The one spelling of a path.
fn path(reader: &mut Reader, text: &str) -> Option<String> {
    if text.len() > limits::MAX_OPERAND_BYTES {
        return reader.none(format!("a path has at most {} bytes", limits::MAX_OPERAND_BYTES));
    }
    let path = Path::parse(text).map_err(|error| reader.refuse(error.to_string())).ok()?;
    let segments = path.segments().len();
    if segments > limits::MAX_PATH_SEGMENTS {
        let most = limits::MAX_PATH_SEGMENTS;
        return reader.none(format!("a path has at most {most} segments, this has {segments}"));
    }
    Some(path.to_string())
}

fn visibility(reader: &mut Reader, json: &Json<'_>) -> Option<Visibility> {
    let names = Visibility::ALL.map(Visibility::as_str);
    let name = json.as_str().unwrap_or_default();
    Visibility::ALL.into_iter().find(|word| word.as_str() == name).or_else(|| {
        let hint = did_you_mean(name, names);
        reader.none(format!("an attribute is one of `{}`{hint}", names.join("`, `")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Attributes, Vec<Problem>> {
        Attributes::parse(&Json::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_declaration_covers_what_lies_below_it_and_nothing_above() {
        let declared = parsed(
            r#"{"attributes":{"app":"public","app.user":"private","app.user.mail":"hashed","a~1b":"public"}}"#,
        );
        let declared = declared.unwrap();
        let of = |path: &str| declared.of(&Path::parse(path).unwrap());
        assert_eq!(of("app"), Visibility::Public);
        assert_eq!(of("app.version"), Visibility::Public);
        assert_eq!(of("app.user"), Visibility::Private);
        assert_eq!(of("app.user.name"), Visibility::Private);
        assert_eq!(of("app.user.mail"), Visibility::Hashed);
        assert_eq!(of("app.user.mail.domain"), Visibility::Hashed);
        assert_eq!(of("apple"), Visibility::Private, "a path is compared by its segments");
        assert_eq!(of("a~1b"), Visibility::Public);
        assert_eq!(of("a"), Visibility::Private);
        assert_eq!(of("a.b"), Visibility::Private);
    }

    #[test]
    fn only_what_is_declared_private_is_said_to_be() {
        let declared = parsed(r#"{"attributes":{"user":"private","user.plan":"public"}}"#).unwrap();
        for (path, said) in [("user", true), ("user.plan", true), ("users", false), ("mail", false)] {
            assert_eq!(declared.is_said_to_be_private(&Path::parse(path).unwrap()), said, "{path}");
        }
        assert_eq!(declared.declared_private().collect::<Vec<_>>(), ["user"]);
    }

    #[test]
    fn declarations_read_back_as_they_are_written_and_what_is_wrong_is_named() {
        let text = r#"{"attributes":{"app.version":"public","country":"public","email":"hashed"}}"#;
        assert_eq!(parsed(text).unwrap().to_json().to_string(), text);
        for (text, pointer) in [
            ("[]", ""),
            ("{}", "/attributes"),
            (r#"{"attributes":[]}"#, "/attributes"),
            (r#"{"country":"public"}"#, "/country"),
            (r#"{"attributes":{"country":"open"}}"#, "/attributes/country"),
            (r#"{"attributes":{"country":1}}"#, "/attributes/country"),
            (r#"{"attributes":{"a..b":"public"}}"#, "/attributes/a..b"),
            (r#"{"attributes":{"a.b.c.d.e.f.g.h.i":"public"}}"#, "/attributes/a.b.c.d.e.f.g.h.i"),
        ] {
            assert_eq!(parsed(text).unwrap_err()[0].pointer, pointer, "{text}");
        }
    }

    #[test]
    fn as_many_attributes_are_declared_as_the_limit_says() {
        let declared = |count: usize| {
            let members: Vec<_> = (0..count).map(|n| format!("\"a{n}\":\"public\"")).collect();
            parsed(&format!(r#"{{"attributes":{{{}}}}}"#, members.join(",")))
        };
        assert!(declared(MAX_ATTRIBUTES).is_ok());
        assert!(declared(MAX_ATTRIBUTES + 1).is_err());
    }
}
