//! Tests of one attribute that must hold of the same value, and what it is turned into before (FORMAT M-4.2).

use flagstone_model::context::Context;
use flagstone_model::json::Json;
use flagstone_model::path::Path;

use super::advice::{ADVICE, ATTRIBUTE};
use super::operand::{self, Operand};
use super::read::Reader;
use super::test::Test;
use super::zones::Zone;

/// Tests of one attribute; all must hold of the same value.
#[derive(Debug, Clone, PartialEq)]
pub struct AttributeTest {
    /// The attribute.
    pub path: Path,
    /// What its value is turned into first; the member `as`.
    pub turned: Option<Turned>,
    /// Whether `A`–`Z` count as `a`–`z`; the member `fold`.
    pub folded: bool,
    /// Tests that must hold, in the order of [`Test::NAMES`], each once.
    pub tests: Vec<Test>,
    /// Tests that must not hold, written `not_…`, in the order of [`Test::NEGATED`], each once.
    pub not: Vec<Test>,
    /// The time zone of its local times and days, if it names one.
    pub time_zone: Option<Zone>,
    /// The result in place of unknown: the attribute is missing or of the wrong type.
    pub absent: Option<bool>,
}

/// What a value is turned into before it is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// A string that is a JSON number becomes that number.
    Number,
    /// An integral number or a boolean becomes its text.
    String,
}

impl AttributeTest {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object_advised(json, ATTRIBUTE, ADVICE)?;
        let path = reader.optional(json, "attr", operand::path);
        let turned = reader.optional(json, "as", turned);
        let folded = reader.optional(json, "fold", fold).unwrap_or(false);
        let absent = reader.optional(json, "absent", Reader::boolean);
        let (tests, not, time_zone) = reader.in_zone_of(json, |reader, zone| {
            let mut read = |written: &'static str, name| {
                reader.optional(json, written, |reader, json| Test::parse(reader, name, json))
            };
            let tests: Vec<Test> = Test::NAMES.into_iter().filter_map(|name| read(name, name)).collect();
            let not: Vec<Test> =
                Test::NEGATED.into_iter().filter_map(|(written, name)| read(written, name)).collect();
            Some((tests, not, zone))
        })?;
        let mut names = json.as_object().into_iter().flatten().map(|(name, _)| &**name);
        if names.all(|name| MODIFIERS.contains(&name)) {
            return reader.none("a test of an attribute has at least one test, such as `in`");
        }
        let test = Self { path: path?, turned, folded, tests, not, time_zone, absent };
        test.check(reader);
        Some(test)
    }

    /// What does not go together.
    fn check(&self, reader: &mut Reader) {
        for test in &self.tests {
            let name = test.name();
            let Some(pair) = test.pair() else { continue };
            let beside =
                |other: &Test| other.name() != name && other.pair().unwrap_or([other.name(); 2]) == pair;
            let twice = self.tests.iter().any(|other| pair.contains(&other.name()) || beside(other));
            if twice {
                let [first, second] = pair;
                let detail =
                    format!("`{name}` stands for `{first}` and `{second}`: write those, or it alone");
                reader.within(name, |reader| reader.refuse(detail));
            }
        }
        if self.folded
            && let Some((name, _)) = self.named().find(|(_, test)| !test.folds())
        {
            let instead = if name.ends_with("matches") {
                "begin the expression with `(?i)`"
            } else {
                "write two conditions, one of them without `fold`"
            };
            let detail = format!("`fold` says nothing of `{name}`: {instead}");
            reader.within("fold", |reader| reader.refuse(detail));
        }
        if let Some(turned) = self.turned
            && let Some((name, _)) = self.named().find(|(_, test)| !test.is_for(turned))
        {
            let kind = turned.as_str();
            let detail = format!("`{name}` never holds of a {kind}, which `as` turns the attribute into");
            reader.within("as", |reader| reader.refuse(detail));
        }
    }

    /// Its tests by the names they are written with, in the order of the normal form.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Test)> {
        let not = self.not.iter().filter_map(|test| {
            let (written, _) = Test::NEGATED.iter().find(|(_, name)| *name == test.name())?;
            Some((*written, test))
        });
        self.tests.iter().map(|test| (test.name(), test)).chain(not)
    }

    /// The authored form, normal.
    pub(super) fn to_json(&self) -> Json<'_> {
        let mut members: Vec<(&'static str, Json<'_>)> = self.head();
        members.extend(self.named().map(|(name, test)| (name, test.to_json())));
        members.extend(self.time_zone.as_ref().map(|zone| ("time_zone", Json::from(zone.as_str()))));
        members.extend(self.absent.map(|absent| ("absent", Json::from(absent))));
        Json::object(members)
    }

    /// What the wire has for it.
    ///
    /// A `not_…` becomes a `not` of its own beside the others, so that of an array it says that no element meets it.
    /// `absent` is turned round inside of it: together they are what it says of the whole.
    pub(super) fn lower(&self) -> Json<'_> {
        let mut parts = Vec::with_capacity(self.parts());
        if !self.tests.is_empty() {
            parts.push(self.leaf(&self.tests, self.absent));
        }
        for test in &self.not {
            let inside = self.leaf(core::slice::from_ref(test), self.absent.map(|absent| !absent));
            parts.push(Json::object([("not", inside)]));
        }
        match (parts.pop(), parts.is_empty()) {
            (Some(only), true) => only,
            (last, _) => Json::object([("all", parts.into_iter().chain(last).collect())]),
        }
    }

    fn leaf<'t>(&self, tests: &'t [Test], absent: Option<bool>) -> Json<'t> {
        let mut lowered: Vec<_> = tests.iter().flat_map(|test| test.lower(self.folded)).collect();
        lowered.sort_by_key(|(rank, ..)| *rank);
        let mut members: Vec<(&'static str, Json<'t>)> = self.head();
        members.extend(lowered.into_iter().map(|(_, name, json)| (name, json)));
        members.extend(absent.map(|absent| ("absent", Json::from(absent))));
        Json::object(members)
    }

    fn head<'j>(&self) -> Vec<(&'static str, Json<'j>)> {
        let turned = self.turned.map(|turned| ("as", Json::from(turned.as_str())));
        let fold = self.folded.then(|| ("fold", Json::from(ASCII)));
        let path = [("attr", Json::from(self.path.to_string()))];
        path.into_iter().chain(turned).chain(fold).collect()
    }

    /// How many instructions its expressions have together (FORMAT M-4.7).
    pub(super) fn instructions(&self) -> usize {
        let of = |test: &Test| if let Test::Matches(term) = test { term.instructions() } else { 0 };
        self.tests.iter().chain(&self.not).map(of).sum()
    }

    /// How many leaves it is on the wire.
    pub(super) fn parts(&self) -> usize {
        usize::from(!self.tests.is_empty()).saturating_add(self.not.len())
    }

    /// How deep `all` and `not` nest in what it is on the wire.
    pub(super) fn nesting(&self) -> usize {
        usize::from(!self.not.is_empty()).saturating_add(usize::from(self.parts() > 1))
    }

    /// A test that the targeting key is one of some keys, sorted.
    pub(super) fn keys(keys: &[Operand], absent: Option<bool>) -> Self {
        Self {
            path: Path::of_name(Context::TARGETING_KEY),
            turned: None,
            folded: false,
            tests: vec![Test::In(keys.to_vec())],
            not: Vec::new(),
            time_zone: None,
            absent,
        }
    }
}

impl Turned {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::String => "string",
        }
    }
}

/// The one value of `fold`.
const ASCII: &str = "ascii";
const MODIFIERS: [&str; 5] = ["attr", "as", "fold", "time_zone", "absent"];

fn turned(reader: &mut Reader, json: &Json<'_>) -> Option<Turned> {
    match json.as_str() {
        Some("number") => Some(Turned::Number),
        Some("string") => Some(Turned::String),
        _ => reader.none(r#"`as` is "number" or "string""#),
    }
}

fn fold(reader: &mut Reader, json: &Json<'_>) -> Option<bool> {
    if json.as_str() == Some(ASCII) {
        return Some(true);
    }
    reader.none(
        r#"`fold` is "ascii": of other letters, programs differ on which are the same; leave it out to compare exactly"#,
    )
}
