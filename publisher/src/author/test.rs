//! One test of an attribute: those of the wire, and what is sugar for them (FORMAT M-4.5, M-4.10).

use std::sync::Arc;

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::ListKey;

use super::between::Between;
use super::leaf::Turned;
use super::moment::{Day, Moment};
use super::operand::{self, Operand, number_json};
use super::problem::code;
use super::read::Reader;
use super::term::Term;

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

    pub(super) fn parse(reader: &mut Reader, name: &str, json: &Json<'_>) -> Option<Self> {
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

    pub(super) fn to_json(&self) -> Json<'_> {
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
    pub(super) fn lower(&self, folded: bool) -> Vec<(usize, &'static str, Json<'_>)> {
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
    pub(super) const fn pair(&self) -> Option<[&'static str; 2]> {
        match self {
            Self::Between(Between::Numbers(..)) => Some(["gte", "lte"]),
            Self::Between(Between::Times(..)) | Self::On(_) => Some(["since", "before"]),
            _ => None,
        }
    }

    /// Whether `fold` says something about it.
    pub(super) const fn folds(&self) -> bool {
        matches!(self, Self::In(_) | Self::HasAll(_) | Self::Starts(_) | Self::Ends(_) | Self::Contains(_))
    }

    /// Whether it can ever hold of what a value is turned into.
    pub(super) const fn is_for(&self, turned: Turned) -> bool {
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
