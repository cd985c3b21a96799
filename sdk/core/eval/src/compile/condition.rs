//! Conditions (FORMAT M-4).

use std::borrow::Cow;

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::limits;

use super::attribute::{attribute, why_no_leaf};
use super::{At, Compiler};
use crate::explain::Cause;
use crate::flag::{Condition, Entity, FlagTest};
use crate::hash::Hash;
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
            "attr" => {
                // The line is bad already, or its rule is: nothing more is compiled for it.
                if self.is_over_instructions() {
                    return None;
                }
                let test = attribute(operand, rest().map(|(name, value)| (name.as_ref(), value)))?;
                self.instructions = self.instructions.saturating_add(test.instructions());
                self.references.extend(test.list.iter().map(|list| Entity::List(list.key.clone())));
                Some(Condition::Attribute(Box::new(test)))
            }
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

/// Why a condition is unsupported, from how it is written.
pub(crate) fn why_unsupported(condition: &Json<'_>) -> Cause {
    let members = condition.as_object().unwrap_or_default();
    let mut forms = members.iter().filter(|(name, _)| FORMS.contains(&name.as_ref()));
    let (Some((form, operand)), None) = (forms.next(), forms.next()) else { return Cause::UnknownForm };
    let mut rest = members.iter().map(|(name, _)| name.as_ref()).filter(|name| *name != form.as_ref());
    match form.as_ref() {
        "attr" => why_no_leaf(condition),
        "bucket" if rest.any(|name| name != "absent") => Cause::UnknownMember,
        "bucket" => match operand.member("hash").and_then(Json::as_str) {
            Some(hash) if !Hash::is_known(hash) => Cause::Hash,
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

pub(super) fn strings(json: &Json<'_>) -> Option<Vec<Box<str>>> {
    json.as_array()?.iter().map(|text| text.as_str().map(Box::from)).collect()
}
