//! Tests of one attribute: those of the wire, and what is sugar for them (FORMAT M-4.5, M-4.10).

use std::sync::Arc;

use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::ListKey;
use flagstone_model::path::Path;

use super::moment::{Day, Moment};
use super::operand::{self, Operand, number_json};
use super::problem::code;
use super::read::{Advice, Members, Reader};
use super::term::Term;
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

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Present and not null, or not.
    Exists(bool),
    /// Equal to one of these.
    In(Vec<Operand>),
    /// An array that holds each of these.
    HasAll(Vec<Operand>),
    /// Begins with one of these.
    Starts(Vec<Arc<str>>),
    /// Ends with one of these.
    Ends(Vec<Arc<str>>),
    /// Contains one of these.
    Contains(Vec<Arc<str>>),
    /// The expression is found in it.
    Matches(Term),
    /// Less than this.
    Lt(f64),
    /// At most this.
    Lte(f64),
    /// Greater than this.
    Gt(f64),
    /// At least this.
    Gte(f64),
    /// From one to the other, both inside.
    Between(Between),
    /// A version in the range.
    Semver(Term),
    /// A time, this or later.
    Since(Moment),
    /// A time before this.
    Before(Moment),
    /// A time on that day.
    On(Day),
    /// An address in one of these networks; sorted.
    Cidr(Vec<Term>),
    /// A key of this list.
    Listed(ListKey),
}

/// Two ends, both inside.
#[derive(Debug, Clone, PartialEq)]
pub enum Between {
    /// Of numbers.
    Numbers(f64, f64),
    /// Of times.
    Times(Edge, Edge),
}

/// An end of a span of time.
#[derive(Debug, Clone, PartialEq)]
pub enum Edge {
    /// A point in time.
    At(Moment),
    /// A whole day.
    On(Day),
}

impl Edge {
    fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        if Day::is_written(json) {
            Day::parse(reader, json).map(Self::On)
        } else {
            Moment::parse(reader, json).map(Self::At)
        }
    }

    fn to_json(&self) -> Json<'static> {
        match self {
            Self::At(moment) => moment.to_json(),
            Self::On(day) => day.to_json(),
        }
    }

    /// Its first instant.
    pub fn first(&self) -> Instant {
        match self {
            Self::At(moment) => moment.at(),
            Self::On(day) => day.first().at(),
        }
    }

    /// The first instant after it: times are compared in whole milliseconds.
    pub fn after(&self) -> Instant {
        match self {
            Self::At(moment) => Instant::from_millis(moment.at().millis().saturating_add(1)),
            Self::On(day) => day.next().at(),
        }
    }

    fn moments(&self) -> Vec<&Moment> {
        match self {
            Self::At(moment) => vec![moment],
            Self::On(day) => vec![day.first(), day.next()],
        }
    }
}

impl Test {
    /// The names of all tests that people write, in their order.
    pub const NAMES: [&'static str; 18] = [
        "exists", "in", "has_all", "starts", "ends", "contains", "matches", "lt", "lte", "gt", "gte",
        "between", "semver", "since", "before", "on", "cidr", "listed",
    ];
    /// The names of tests that must not hold, in their order, and of the tests they are.
    pub const NEGATED: [(&'static str, &'static str); 7] = [
        ("not_in", "in"),
        ("not_starts", "starts"),
        ("not_ends", "ends"),
        ("not_contains", "contains"),
        ("not_matches", "matches"),
        ("not_cidr", "cidr"),
        ("not_listed", "listed"),
    ];

    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Exists(_) => "exists",
            Self::In(_) => "in",
            Self::HasAll(_) => "has_all",
            Self::Starts(_) => "starts",
            Self::Ends(_) => "ends",
            Self::Contains(_) => "contains",
            Self::Matches(_) => "matches",
            Self::Lt(_) => "lt",
            Self::Lte(_) => "lte",
            Self::Gt(_) => "gt",
            Self::Gte(_) => "gte",
            Self::Between(_) => "between",
            Self::Semver(_) => "semver",
            Self::Since(_) => "since",
            Self::Before(_) => "before",
            Self::On(_) => "on",
            Self::Cidr(_) => "cidr",
            Self::Listed(_) => "listed",
        }
    }

    fn parse(reader: &mut Reader, name: &str, json: &Json<'_>) -> Option<Self> {
        let operands = |reader: &mut Reader| operand::set(reader, json, Operand::parse);
        let texts = |reader: &mut Reader| operand::set(reader, json, operand::string);
        Some(match name {
            "exists" => Self::Exists(reader.boolean(json)?),
            "in" => Self::In(operands(reader)?),
            "has_all" => Self::HasAll(operands(reader)?),
            "starts" => Self::Starts(texts(reader)?),
            "ends" => Self::Ends(texts(reader)?),
            "contains" => Self::Contains(texts(reader)?),
            "matches" => Self::Matches(Term::pattern(reader, json)?),
            "lt" => Self::Lt(bound(reader, json)?),
            "lte" => Self::Lte(bound(reader, json)?),
            "gt" => Self::Gt(bound(reader, json)?),
            "gte" => Self::Gte(bound(reader, json)?),
            "between" => Self::Between(Between::parse(reader, json)?),
            "semver" => Self::Semver(Term::versions(reader, json)?),
            "since" => Self::Since(Moment::parse_or_day(reader, json)?),
            "before" => Self::Before(Moment::parse_or_day(reader, json)?),
            "on" => Self::On(Day::parse(reader, json)?),
            "cidr" => Self::Cidr(operand::set(reader, json, Term::network)?),
            "listed" => Self::Listed(reader.key(json, ListKey::parse)?),
            _ => return None,
        })
    }

    fn to_json(&self) -> Json<'_> {
        match self {
            Self::Exists(truth) => Json::from(*truth),
            Self::In(set) | Self::HasAll(set) => set.iter().map(Operand::to_json).collect(),
            Self::Starts(set) | Self::Ends(set) | Self::Contains(set) => {
                set.iter().map(|text| Json::from(&**text)).collect()
            }
            Self::Lt(number) | Self::Lte(number) | Self::Gt(number) | Self::Gte(number) => {
                number_json(*number)
            }
            Self::Between(between) => between.to_json(),
            Self::Matches(term) | Self::Semver(term) => Json::from(term.written()),
            Self::Since(moment) | Self::Before(moment) => moment.to_json(),
            Self::On(day) => day.to_json(),
            Self::Cidr(set) => set.iter().map(|term| Json::from(term.written())).collect(),
            Self::Listed(list) => Json::from(list.as_str()),
        }
    }

    /// The tests that the wire has for it, by their place in the order of the wire.
    fn lower(&self, folded: bool) -> Vec<(usize, &'static str, Json<'_>)> {
        let instant = |at: Instant| Json::from(at.to_string());
        let lowered = match self {
            Self::In(set) | Self::HasAll(set) if folded => {
                let mut set: Vec<Operand> = set.iter().map(Operand::folded).collect();
                set.sort_unstable();
                set.dedup();
                vec![(self.name(), set.iter().map(|operand| operand.to_json().into_owned()).collect())]
            }
            Self::Starts(set) | Self::Ends(set) | Self::Contains(set) if folded => {
                let set = set.iter().map(|text| text.to_ascii_lowercase());
                vec![(self.name(), sorted(set))]
            }
            Self::Between(Between::Numbers(low, high)) => {
                vec![("gte", number_json(*low)), ("lte", number_json(*high))]
            }
            Self::Between(Between::Times(low, high)) => {
                vec![("since", instant(low.first())), ("before", instant(high.after()))]
            }
            Self::Matches(term) | Self::Semver(term) => vec![(self.name(), Json::from(term.published()))],
            Self::Since(moment) | Self::Before(moment) => vec![(self.name(), instant(moment.at()))],
            Self::On(day) => vec![("since", instant(day.first().at())), ("before", instant(day.next().at()))],
            Self::Cidr(set) => vec![("cidr", sorted(set.iter().map(|term| term.published().to_owned())))],
            _ => vec![(self.name(), self.to_json())],
        };
        let rank = |name: &str| Self::NAMES.iter().position(|known| *known == name).unwrap_or(usize::MAX);
        lowered.into_iter().map(|(name, json)| (rank(name), name, json)).collect()
    }

    /// What it stands for on the wire, if it is sugar for two tests.
    const fn pair(&self) -> Option<[&'static str; 2]> {
        match self {
            Self::Between(Between::Numbers(..)) => Some(["gte", "lte"]),
            Self::Between(Between::Times(..)) | Self::On(_) => Some(["since", "before"]),
            _ => None,
        }
    }

    /// Whether `fold` says something about it.
    const fn folds(&self) -> bool {
        matches!(self, Self::In(_) | Self::HasAll(_) | Self::Starts(_) | Self::Ends(_) | Self::Contains(_))
    }

    /// Whether it can ever hold of what a value is turned into.
    const fn is_for(&self, turned: Turned) -> bool {
        match self {
            Self::Starts(_)
            | Self::Ends(_)
            | Self::Contains(_)
            | Self::Matches(_)
            | Self::Semver(_)
            | Self::Cidr(_) => matches!(turned, Turned::String),
            Self::Lt(_) | Self::Lte(_) | Self::Gt(_) | Self::Gte(_) | Self::Between(Between::Numbers(..)) => {
                matches!(turned, Turned::Number)
            }
            _ => true,
        }
    }

    /// The points in time it names.
    pub(super) fn moments(&self) -> Vec<&Moment> {
        match self {
            Self::Since(moment) | Self::Before(moment) => vec![moment],
            Self::On(day) => vec![day.first(), day.next()],
            Self::Between(Between::Times(low, high)) => [low.moments(), high.moments()].concat(),
            _ => Vec::new(),
        }
    }

    /// Its operands that may be published in another way than they are written.
    pub(super) fn terms(&self) -> &[Term] {
        match self {
            Self::Matches(term) | Self::Semver(term) => core::slice::from_ref(term),
            Self::Cidr(set) => set,
            _ => &[],
        }
    }
}

impl Between {
    fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        let Some([low, high]) = json.as_array() else {
            return reader.none("`between` has two ends, both inside: [18, 65]");
        };
        let between = match (low, high) {
            (Json::Number(_), Json::Number(_)) => {
                let low = reader.within("0", |reader| operand::number(reader, low));
                let high = reader.within("1", |reader| operand::number(reader, high));
                Self::Numbers(low?, high?)
            }
            (Json::String(_), Json::String(_)) => {
                let low = reader.within("0", |reader| Edge::parse(reader, low));
                let high = reader.within("1", |reader| Edge::parse(reader, high));
                Self::Times(low?, high?)
            }
            _ => return reader.none("`between` has two numbers, or two times: [18, 65]"),
        };
        let runs = match &between {
            Self::Numbers(low, high) => low <= high,
            Self::Times(low, high) => low.first() < high.after(),
        };
        if runs { Some(between) } else { reader.none("the first end of `between` is not above the second") }
    }

    fn to_json(&self) -> Json<'static> {
        let ends = match self {
            Self::Numbers(low, high) => [number_json(*low), number_json(*high)],
            Self::Times(low, high) => [low.to_json(), high.to_json()],
        };
        ends.into_iter().collect()
    }
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

const ATTRIBUTE: Members = Members {
    what: "a test of an attribute",
    known: &[
        "attr",
        "as",
        "fold",
        "exists",
        "in",
        "has_all",
        "starts",
        "ends",
        "contains",
        "matches",
        "lt",
        "lte",
        "gt",
        "gte",
        "between",
        "semver",
        "since",
        "before",
        "on",
        "cidr",
        "listed",
        "not_in",
        "not_starts",
        "not_ends",
        "not_contains",
        "not_matches",
        "not_cidr",
        "not_listed",
        "time_zone",
        "absent",
    ],
    pending: &[],
};

/// What the model does without (FORMAT M-4.10), and other words for what it has.
const ADVICE: &[Advice] = &[
    said(
        &["eq", "equals", "equal", "is", "one_of", "any_of", "has_any"],
        r#"equality is `in`, such as {"in":["DE"]}"#,
    ),
    said(
        &["ne", "neq", "not_equals", "is_not", "not_one_of", "none_of", "has_none"],
        "it is written `not_in`",
    ),
    said(&["not_exists", "missing", "is_null"], r#"it is written {"exists":false}"#),
    said(
        &["ignore_case", "case_insensitive", "case_sensitive"],
        r#"the case of ASCII letters is ignored with "fold":"ascii", in an expression with `(?i)`"#,
    ),
    said(&["regex", "regexp", "pattern"], "it is written `matches`"),
    said(&["ip", "in_cidr", "network"], "it is written `cidr`"),
    said(&["version"], "it is written `semver`"),
    said(&["after"], "it is written `since`, which has its own instant inside"),
    said(&["zone", "timezone", "tz"], "it is written `time_zone`"),
    said(
        &["not_has_all", "not_lt", "not_lte", "not_gt", "not_gte", "not_between", "not_semver", "not_on"],
        r#"write {"not":{"attr":…}} around the test"#,
    ),
    said(&["negate", "negated", "inverted"], r#"write `not_in` and the like, or {"not":{"attr":…}}"#),
    said(
        &["percent", "percentage"],
        r#"a share of all units is a condition of its own: {"bucket":{"salt":…,"percent":"10%"}}"#,
    ),
    never(
        &["hashed"],
        "the publisher makes it, for views of clients; write the operands themselves, and declare the attribute `hashed`",
    ),
    never(
        &["weekday", "weekdays", "day_of_week", "hour", "hours", "time_of_day", "month"],
        "which weekday or hour it is depends on where somebody is; put it into the context and test that with `in`",
    ),
    never(
        &["mod", "modulo"],
        r#"write {"bucket":{"salt":…,"percent":…}}, or put the remainder into the context"#,
    ),
    never(
        &["size", "length", "count", "empty"],
        "arrays and strings are not counted; put the number into the context",
    ),
    never(
        &["elem_match", "$elemMatch", "some", "every", "index", "at"],
        "elements of arrays are scalars: all tests of a condition hold of one of them; put what is meant into the context",
    ),
];

const fn said(names: &'static [&'static str], instead: &'static str) -> Advice {
    Advice { names, code: code::INVALID_REQUEST, instead }
}

const fn never(names: &'static [&'static str], instead: &'static str) -> Advice {
    Advice { names, code: code::UNSUPPORTED_TEST, instead }
}

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

/// The operand of `lt` and the like.
fn bound(reader: &mut Reader, json: &Json<'_>) -> Option<f64> {
    if json.as_str().is_some() {
        reader.note(
            code::UNSUPPORTED_TEST,
            "strings have no order here: versions are compared by `semver`, times by `since` and `before`, numbers that \
             are text with \"as\":\"number\"",
        );
        return None;
    }
    operand::number(reader, json)
}

fn sorted(set: impl Iterator<Item = String>) -> Json<'static> {
    let mut set: Vec<String> = set.collect();
    set.sort_unstable();
    set.dedup();
    set.into_iter().map(Json::from).collect()
}
