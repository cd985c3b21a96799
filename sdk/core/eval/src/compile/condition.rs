//! Conditions (FORMAT M-4).

use std::borrow::Cow;

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::limits;
use flagstone_model::path::Path;

use super::{At, Compiler};
use crate::attribute::{AttributeTest, Operands, Strings, Test};
use crate::bucket;
use crate::explain::Cause;
use crate::flag::{Condition, Entity, FlagTest};
use crate::report::Why;
use crate::table::Reference;

/// The members that name a form; a condition has exactly one of them.
const FORMS: [&str; 8] = ["all", "any", "not", "attr", "segment", "flag", "bucket", "time"];

impl Compiler<'_, '_> {
    /// A list of conditions; `None` if it is no list.
    pub(super) fn conditions(&mut self, at: &At<'_>, json: &Json<'_>) -> Option<Box<[Condition]>> {
        self.nested_conditions(at, json, 0)
    }

    fn nested_conditions(
        &mut self,
        at: &At<'_>,
        json: &Json<'_>,
        nesting: usize,
    ) -> Option<Box<[Condition]>> {
        let conditions = json.as_array()?.iter().enumerate();
        Some(
            conditions
                .map(|(index, condition)| self.condition(&at.index(index), condition, nesting))
                .collect(),
        )
    }

    fn condition(&mut self, at: &At<'_>, json: &Json<'_>, nesting: usize) -> Condition {
        match self.supported_condition(at, json, nesting) {
            Some(condition) => condition,
            None => {
                self.report(at, Why::Unsupported);
                Condition::Unsupported
            }
        }
    }

    fn supported_condition(&mut self, at: &At<'_>, json: &Json<'_>, nesting: usize) -> Option<Condition> {
        let members = json.as_object()?;
        let is_form = |name: &str| FORMS.contains(&name);
        let mut forms = members.iter().filter(|(name, _)| is_form(name));
        let (Some((form, operand)), None) = (forms.next(), forms.next()) else { return None };
        let place = at.name(form);
        let rest = || members.iter().filter(|(name, _)| name != form);
        match form.as_ref() {
            "attr" => attribute(operand, rest().map(|(name, value)| (name.as_ref(), value))),
            "bucket" => {
                let mut absent = None;
                for (name, value) in rest() {
                    match name.as_ref() {
                        "absent" => absent = Some(value.as_bool()?),
                        _ => return None,
                    }
                }
                self.bucket(&place, operand, absent).map(|test| Condition::Bucket(Box::new(test)))
            }
            "flag" => {
                let ("is", is) = rest().map(|(name, value)| (name.as_ref(), value)).next()? else {
                    return None;
                };
                if rest().count() != 1 {
                    return None;
                }
                let is = strings(is)?.into();
                let key = operand.as_str()?;
                self.references.push(Entity::Flag(key.into()));
                Some(Condition::Flag(Box::new(FlagTest { flag: Reference::new(key.into()), is })))
            }
            _ if rest().next().is_some() => None,
            "segment" => {
                let keys = strings(operand)?;
                self.references.extend(keys.iter().map(|key| Entity::Segment((&**key).into())));
                Some(Condition::Segment(keys.into_iter().map(|key| Reference::new(key.into())).collect()))
            }
            "time" => time(operand),
            connective => self.connective(connective, &place, operand, nesting),
        }
    }

    fn connective(
        &mut self,
        name: &str,
        at: &At<'_>,
        operand: &Json<'_>,
        nesting: usize,
    ) -> Option<Condition> {
        let nesting = nesting.saturating_add(1);
        if nesting > limits::MAX_CONDITION_NESTING {
            return None;
        }
        match name {
            "all" => self.nested_conditions(at, operand, nesting).map(Condition::All),
            "any" => self.nested_conditions(at, operand, nesting).map(Condition::Any),
            _ => Some(Condition::Not(Box::new(self.condition(at, operand, nesting)))),
        }
    }
}

/// Members of a test on an attribute that are tests. Each may be explained on its own.
const TESTS: [&str; 9] = ["exists", "in", "starts", "ends", "contains", "lt", "lte", "gt", "gte"];
/// Members that change how the tests beside them read the value: they belong to each.
const MODIFIERS: [&str; 0] = [];

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
        let test = match attribute(path, modifiers.chain([(name, operand)])) {
            Some(Condition::Attribute(test)) => Some(*test),
            _ => None,
        };
        (name, operand, test)
    })
}

/// Why a test that does not compile on its own is unsupported.
pub(crate) fn why_no_test(name: &str) -> Cause {
    if TESTS.contains(&name) { Cause::UnreadableOperand } else { Cause::UnknownTest }
}

/// Why a condition is unsupported, from how it is written.
pub(crate) fn why_unsupported(condition: &Json<'_>) -> Cause {
    let members = condition.as_object().unwrap_or_default();
    let mut forms = members.iter().filter(|(name, _)| FORMS.contains(&name.as_ref()));
    let (Some((form, operand)), None) = (forms.next(), forms.next()) else { return Cause::UnknownForm };
    let mut rest = members.iter().map(|(name, _)| name.as_ref()).filter(|name| *name != form.as_ref());
    match form.as_ref() {
        "attr" => {
            let known = |name: &str| name == "absent" || TESTS.contains(&name) || MODIFIERS.contains(&name);
            if rest.any(|name| !known(name)) { Cause::UnknownTest } else { Cause::UnreadableOperand }
        }
        "bucket" if rest.any(|name| name != "absent") => Cause::UnknownMember,
        "bucket" => match operand.member("hash").and_then(Json::as_str) {
            Some(hash) if hash != bucket::XXH32 => Cause::Hash,
            _ => Cause::UnreadableOperand,
        },
        "flag" if rest.any(|name| name != "is") => Cause::UnknownMember,
        "all" | "any" | "not" | "segment" | "time" if rest.next().is_some() => Cause::UnknownMember,
        // An operand of the right form is unsupported only where it stands too deep.
        "all" | "any" if operand.as_array().is_some() => Cause::TooDeep,
        "not" => Cause::TooDeep,
        _ => Cause::UnreadableOperand,
    }
}

/// A test on an attribute. Any unreadable operand or unknown test makes the whole leaf unsupported.
fn attribute<'a, 'j: 'a>(
    path: &Json<'_>,
    members: impl Iterator<Item = (&'a str, &'a Json<'j>)>,
) -> Option<Condition> {
    let path = Path::parse(path.as_str()?).ok()?;
    let (mut exists, mut absent, mut tests) = (None, None, Vec::new());
    for (name, operand) in members {
        match name {
            "absent" => absent = Some(operand.as_bool()?),
            "exists" => exists = Some(operand.as_bool()?),
            "in" => tests.push(Test::In(operands(operand)?)),
            "starts" => tests.push(Test::Starts(strings(operand)?.into())),
            "ends" => tests.push(Test::Ends(strings(operand)?.into())),
            "contains" => tests.push(Test::Contains(strings(operand)?.into())),
            "lt" => tests.push(Test::Lt(operand.as_f64()?)),
            "lte" => tests.push(Test::Lte(operand.as_f64()?)),
            "gt" => tests.push(Test::Gt(operand.as_f64()?)),
            "gte" => tests.push(Test::Gte(operand.as_f64()?)),
            // Later tests and modifiers of the model come here, each a variant of `Test` or a member of the leaf, and
            // its name into `TESTS` or `MODIFIERS`: the explanation then tells it as it tells the others.
            _ => return None,
        }
    }
    let tests: Box<[Test]> = tests.into();
    (exists.is_some() || !tests.is_empty())
        .then(|| Condition::Attribute(Box::new(AttributeTest { path, exists, tests, absent })))
}

/// Whether a list of conditions holds a bucket condition, at any depth and readable or not.
pub(super) fn hold_bucket(conditions: &[Json<'_>]) -> bool {
    let holds = |(name, operand): &(Cow<'_, str>, Json<'_>)| match name.as_ref() {
        "bucket" => true,
        "all" | "any" => operand.as_array().is_some_and(hold_bucket),
        "not" => hold_bucket(std::slice::from_ref(operand)),
        _ => false,
    };
    conditions.iter().filter_map(Json::as_object).any(|members| members.iter().any(holds))
}

fn time(json: &Json<'_>) -> Option<Condition> {
    let (mut since, mut before) = (i64::MIN, i64::MAX);
    for (name, value) in json.as_object()? {
        let instant = Instant::parse(value.as_str()?).ok()?.millis();
        match name.as_ref() {
            "since" => since = instant,
            "before" => before = instant,
            _ => return None,
        }
    }
    Some(Condition::Time { since, before })
}

fn strings(json: &Json<'_>) -> Option<Vec<Box<str>>> {
    json.as_array()?.iter().map(|text| text.as_str().map(Box::from)).collect()
}

fn operands(json: &Json<'_>) -> Option<Operands> {
    let (mut booleans, mut numbers, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for operand in json.as_array()? {
        match operand {
            Json::Bool(truth) => booleans.push(*truth),
            Json::Number(number) => numbers.push(number.as_f64()),
            Json::String(text) => texts.push(text.as_ref().into()),
            _ => return None,
        }
    }
    Some(Operands { booleans: booleans.into(), numbers: numbers.into(), strings: Strings::new(texts) })
}
