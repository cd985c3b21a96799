//! Tests on an attribute (FORMAT M-4.3 to M-4.9).

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::network::Network;
use flagstone_model::path::Path;
use flagstone_model::pattern::Pattern;
use flagstone_model::version::VersionRange;
use regex::RegexBuilder;

use super::condition::strings;
use crate::attribute::{
    As, AttributeTest, Edge, Expression, HasAll, Hashed, HashedParts, Operand, Operands, Strings, Test,
};
use crate::explain::Cause;
use crate::table::Reference;

/// Members of a test on an attribute that are tests. Each may be explained on its own.
pub(crate) const TESTS: [&str; 17] = [
    "exists", "in", "has_all", "starts", "ends", "contains", "matches", "lt", "lte", "gt", "gte", "semver",
    "since", "before", "cidr", "listed", "hashed",
];
/// Members that change how the tests beside them read the value: they belong to each.
pub(crate) const MODIFIERS: [&str; 2] = ["fold", "as"];
/// Tests beside which `fold` may stand.
const FOLDING: [&str; 6] = ["in", "has_all", "starts", "ends", "contains", "hashed"];
/// The one value of `fold`.
const ASCII: &str = "ascii";

/// Most memory that the program of an expression takes, in bytes. The largest of the kernel needs 4.6 MiB: 4,000 ranges of
/// characters, each of which becomes some ten states over bytes.
const MAX_REGEX_BYTES: usize = 16 * 1024 * 1024;

/// A test on an attribute, and the list it asks. Any unreadable operand or unknown test makes the whole leaf unsupported.
pub(super) fn attribute<'a, 'j: 'a>(
    path: &Json<'_>,
    members: impl Iterator<Item = (&'a str, &'a Json<'j>)> + Clone,
) -> Option<AttributeTest> {
    let path = Path::parse(path.as_str()?).ok()?;
    let fold = match members.clone().find(|(name, _)| *name == "fold") {
        None => false,
        Some((_, value)) => (value.as_str()? == ASCII).then_some(true)?,
    };
    let (mut exists, mut has_all, mut list, mut convert, mut absent) = (None, None, None, None, None);
    let mut tests = Vec::new();
    for (name, operand) in members {
        if fold && TESTS.contains(&name) && !FOLDING.contains(&name) {
            return None;
        }
        match name {
            "absent" => absent = Some(operand.as_bool()?),
            "as" => convert = Some(As::named(operand.as_str()?)?),
            "fold" => {}
            "exists" => exists = Some(operand.as_bool()?),
            "has_all" => has_all = Some(HasAll { operands: has_all_operands(operand)?, fold }),
            "listed" => {
                list = Some(Reference::new(operand.as_str()?.into()));
                tests.push(Test::Listed);
            }
            other => tests.push(test(other, operand, fold)?),
        }
    }
    let any = exists.is_some() || has_all.is_some() || !tests.is_empty();
    any.then(|| AttributeTest { path, exists, has_all, tests: tests.into(), list, convert, absent })
}

/// A test of one value.
///
/// A later test comes here, as a variant of [`Test`], and its name into [`TESTS`]: the explanation then tells it as it
/// tells the others.
fn test(name: &str, operand: &Json<'_>, fold: bool) -> Option<Test> {
    let text = |plain: fn(Box<[Box<str>]>) -> Test, edge| {
        let parts = strings(operand)?.into();
        Some(if fold { Test::Folded(edge, parts) } else { plain(parts) })
    };
    match name {
        "in" => operands(operand, fold).map(Test::In),
        "starts" => text(Test::Starts, Edge::Start),
        "ends" => text(Test::Ends, Edge::End),
        "contains" => text(Test::Contains, Edge::Anywhere),
        "lt" => operand.as_f64().map(Test::Lt),
        "lte" => operand.as_f64().map(Test::Lte),
        "gt" => operand.as_f64().map(Test::Gt),
        "gte" => operand.as_f64().map(Test::Gte),
        "matches" => Expression::compile(operand.as_str()?).map(Test::Matches),
        "semver" => VersionRange::parse(operand.as_str()?).ok().map(Test::Semver),
        "since" => instant(operand).map(Test::Since),
        "before" => instant(operand).map(Test::Before),
        "cidr" => {
            let networks = operand.as_array()?.iter().map(|network| Network::parse(network.as_str()?).ok());
            networks.collect::<Option<_>>().map(Test::Cidr)
        }
        "hashed" => hashed(operand, fold).map(|hashed| Test::Hashed(Box::new(hashed))),
        _ => None,
    }
}

/// Whether an expression of the kernel is found in a text (FORMAT M-4.7): what `matches` says of it.
///
/// `None` if it is none of the kernel, or if the text is longer than 4,096 bytes. It is compiled anew each time.
pub fn is_found(expression: &str, subject: &str) -> Option<bool> {
    Expression::compile(expression)?.is_found(subject)
}

impl Expression {
    /// An expression of the kernel is one of this engine as it stands: characters are code points, `^` and `$` the ends
    /// of the text, `.` all but U+000A. It needs no table of Unicode's.
    pub(crate) fn compile(text: &str) -> Option<Self> {
        let pattern = Pattern::parse(text).ok()?;
        let regex = RegexBuilder::new(pattern.as_str()).size_limit(MAX_REGEX_BYTES).build().ok()?;
        Some(Self { regex, instructions: pattern.instructions() })
    }
}

fn instant(json: &Json<'_>) -> Option<i64> {
    Instant::parse(json.as_str()?).ok().map(Instant::millis)
}

fn operands(json: &Json<'_>, fold: bool) -> Option<Operands> {
    let (mut booleans, mut numbers, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for operand in json.as_array()? {
        match operand {
            Json::Bool(truth) => booleans.push(*truth),
            Json::Number(number) => numbers.push(number.as_f64()),
            Json::String(text) => texts.push(text.as_ref().into()),
            _ => return None,
        }
    }
    Some(Operands { booleans: booleans.into(), numbers: numbers.into(), strings: Strings::new(texts, fold) })
}

fn has_all_operands(json: &Json<'_>) -> Option<Box<[Operand]>> {
    let operand = |operand: &Json<'_>| {
        Some(match operand {
            Json::Bool(truth) => Operand::Bool(*truth),
            Json::Number(number) => Operand::Number(number.as_f64()),
            Json::String(text) => Operand::Text(text.as_ref().into()),
            _ => return None,
        })
    };
    json.as_array()?.iter().map(operand).collect()
}

fn hashed(json: &Json<'_>, fold: bool) -> Option<Hashed> {
    let (mut salt, mut parts) = (None, HashedParts::default());
    for (name, value) in json.as_object()? {
        match name.as_ref() {
            "salt" => salt = Some(value.as_str()?),
            "in" => parts.whole = value.as_array()?.iter().map(Json::as_str).collect::<Option<_>>()?,
            "starts" => parts.starts = pairs(value)?,
            "ends" => parts.ends = pairs(value)?,
            _ => return None,
        }
    }
    Hashed::new(salt?, parts, fold)
}

fn pairs<'a>(json: &'a Json<'_>) -> Option<Vec<(u64, &'a str)>> {
    let pairs = json.as_array()?.iter().map(|pair| {
        let [length, operand] = pair.as_array()? else { return None };
        Some((u64::try_from(length.as_integer()?).ok()?, operand.as_str()?))
    });
    pairs.collect()
}

/// The tests of a leaf, each compiled on its own and without `absent`: its name, its operand, and the compiled test,
/// or `None` where that is unknown or cannot be read.
pub(crate) fn single_tests<'a, 'j>(
    leaf: &'a Json<'j>,
) -> impl Iterator<Item = (&'a str, &'a Json<'j>, Option<AttributeTest>)> {
    let path = leaf.member("attr").unwrap_or(&Json::Null);
    let members = leaf.as_object().unwrap_or_default().iter();
    let members = members.map(|(name, operand)| (name.as_ref(), operand));
    let tests =
        members.clone().filter(|(name, _)| !matches!(*name, "attr" | "absent") && !MODIFIERS.contains(name));
    tests.map(move |(name, operand)| {
        let modifiers = members.clone().filter(|(name, _)| MODIFIERS.contains(name));
        (name, operand, attribute(path, modifiers.chain([(name, operand)])))
    })
}

/// Why a test of a leaf does not compile on its own, with the modifiers beside it.
pub(crate) fn why_no_test(leaf: &Json<'_>, name: &str) -> Cause {
    if !TESTS.contains(&name) {
        return Cause::UnknownTest;
    }
    why_no_modifier(leaf, name).unwrap_or(Cause::UnreadableOperand)
}

/// Why a leaf is unsupported, from how it is written.
pub(super) fn why_no_leaf(leaf: &Json<'_>) -> Cause {
    let names = || leaf.as_object().unwrap_or_default().iter().map(|(name, _)| name.as_ref());
    let known =
        |name: &str| matches!(name, "attr" | "absent") || TESTS.contains(&name) || MODIFIERS.contains(&name);
    if names().any(|name| !known(name)) {
        return Cause::UnknownTest;
    }
    let mut unfit =
        names().filter(|name| TESTS.contains(name)).filter_map(|name| why_no_modifier(leaf, name));
    unfit.next().unwrap_or(Cause::UnreadableOperand)
}

/// What is wrong with the modifiers beside a test.
fn why_no_modifier(leaf: &Json<'_>, name: &str) -> Option<Cause> {
    let fold = leaf.member("fold");
    let convert = leaf.member("as");
    let is_known = fold.is_none_or(|fold| fold.as_str() == Some(ASCII))
        && convert.is_none_or(|to| to.as_str().and_then(As::named).is_some());
    if !is_known {
        return Some(Cause::UnknownModifier);
    }
    (fold.is_some() && !FOLDING.contains(&name)).then_some(Cause::UnfitModifier)
}
