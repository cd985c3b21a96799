//! Experiments, layers, and holdouts, as people write them (FORMAT M-5.7, M-7).

use core::fmt;
use std::sync::Arc;

use flagstone_model::json::Json;
use flagstone_model::key::{RuleId, VariationKey};
use flagstone_model::limits::{BUCKETS, MAX_RANGES};

use super::bucket::{By, spans};
use super::read::{Members, Reader};
use super::rule::{rule_id, variation};
use super::weight::Weight;

/// Longest name of an experiment, a layer, or a holdout, in bytes.
pub const MAX_EXPERIMENT_NAME_BYTES: usize = 80;

/// The name of an experiment, a layer, or a holdout: `[A-Za-z0-9][A-Za-z0-9._:@|+~-]{0,79}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExperimentName(Arc<str>);

impl ExperimentName {
    /// Reads a name; `None` if it is none.
    pub fn of(text: &str) -> Option<Self> {
        let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@|+~-".contains(&byte);
        let is_name = (1..=MAX_EXPERIMENT_NAME_BYTES).contains(&text.len())
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && text.bytes().all(rest);
        is_name.then(|| Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        json.as_str().and_then(Self::of).or_else(|| {
            reader.none(format!(
                "a name is wanted here: 1 to {MAX_EXPERIMENT_NAME_BYTES} letters, digits, and any of `._:@|+~-`, \
                 the first a letter or a digit"
            ))
        })
    }

    /// Whether it could be taken for a phase of another experiment: `cta-test.2`.
    fn ends_like_a_phase(&self) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        self.0.rsplit_once('.').is_some_and(|(_, last)| digits(last))
    }
}

impl fmt::Display for ExperimentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part of a layer: whom a rule may decide about, shared with no other rule of the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Which layer.
    pub name: ExperimentName,
    /// What is bucketed; the same in all of the layer.
    pub by: By,
    /// How much of it.
    pub slot: Slot,
}

/// How much of a layer a rule has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// So much, wherever there is room.
    Share(Weight),
    /// These buckets: ascending, disjoint.
    In(Vec<(u64, u64)>),
}

/// Some who are held out of what the rules do, and recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdout {
    /// Its name: the same in every flag that has it, and so are `by` and `share`.
    pub name: ExperimentName,
    /// The id of its rule; its name, unless said.
    pub id: Option<RuleId>,
    /// What is bucketed.
    pub by: By,
    /// How many are held out.
    pub share: Weight,
    /// What they are served.
    pub serve: VariationKey,
}

const EXPERIMENT: Members = Members { what: "an experiment", known: &["name"], pending: &[] };
const LAYER: Members = Members { what: "a layer", known: &["name", "by", "share", "in"], pending: &[] };
const HOLDOUT: Members =
    Members { what: "a holdout", known: &["name", "id", "by", "share", "serve"], pending: &[] };

/// Reads the member `experiment` of a rule or a fallthrough: `{"name"}`.
pub(super) fn experiment(reader: &mut Reader, json: &Json<'_>) -> Option<ExperimentName> {
    reader.object(json, EXPERIMENT)?;
    reader.required(json, "name", ExperimentName::parse)
}

/// The member `experiment`, if there is one.
pub(super) fn member(experiment: Option<&ExperimentName>) -> Option<(&'static str, Json<'_>)> {
    Some(("experiment", Json::object([("name", Json::from(experiment?.as_str()))])))
}

impl Layer {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, LAYER)?;
        let name = reader.required(json, "name", ExperimentName::parse);
        let by = reader.optional(json, "by", By::parse);
        let slot = match (json.member("share").is_some(), json.member("in").is_some()) {
            (true, false) => reader.optional(json, "share", share).map(Slot::Share),
            (false, true) => reader.optional(json, "in", |reader, json| {
                let spans = spans(reader, json, BUCKETS)?;
                if json.as_array().is_some_and(<[_]>::is_empty) {
                    return reader.none("a slot has at least one span");
                }
                Some(Slot::In(spans))
            }),
            _ => reader.none("a layer has either `share` or `in`"),
        };
        Some(Self { name: name?, by: by.unwrap_or_default(), slot: slot? })
    }

    pub(super) fn to_json(&self) -> Json<'_> {
        let slot = match &self.slot {
            Slot::Share(share) => ("share", share.to_json()),
            Slot::In(spans) => ("in", spans_json(spans)),
        };
        let name = ("name", Json::from(self.name.as_str()));
        Json::object([name].into_iter().chain(self.by.member()).chain([slot]))
    }

    /// What separates the buckets of this layer from others: `layer-NAME`.
    pub fn salt(&self) -> String {
        format!("layer-{}", self.name)
    }
}

impl Slot {
    /// How many buckets it is wide.
    pub fn width(&self) -> u64 {
        match self {
            Self::Share(share) => share.parts(),
            Self::In(spans) => spans.iter().map(|(start, end)| end.saturating_sub(*start)).sum(),
        }
    }
}

impl Holdout {
    fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, HOLDOUT)?;
        let name = reader.required(json, "name", |reader, json| {
            let name = ExperimentName::parse(reader, json)?;
            if name.ends_like_a_phase() {
                return reader
                    .none("a dot and a number at the end are how phases are told; choose another name");
            }
            Some(name)
        });
        let id = match json.member("id") {
            None => Some(None),
            Some(_) => reader.optional(json, "id", rule_id).map(Some),
        };
        let by = reader.optional(json, "by", By::parse);
        let share = reader.required(json, "share", share);
        let serve = reader.required(json, "serve", variation);
        let name = name?;
        if json.member("id").is_none() {
            // The name becomes the id, and not every id is free.
            reader.within("name", |reader| rule_id(reader, &Json::from(name.as_str())))?;
        }
        let id = id?.filter(|id| id.as_str() != name.as_str());
        Some(Self { name, id, by: by.unwrap_or_default(), share: share?, serve: serve? })
    }

    pub(super) fn parse_all(reader: &mut Reader, json: &Json<'_>) -> Option<Vec<Self>> {
        reader.array(json, flagstone_model::limits::MAX_RULES, Self::parse)
    }

    pub(super) fn to_json(&self) -> Json<'_> {
        let id = self.id.as_ref().map(|id| ("id", Json::from(id.as_str())));
        let members =
            [("name", Json::from(self.name.as_str()))].into_iter().chain(id).chain(self.by.member());
        let rest = [("share", self.share.to_json()), ("serve", Json::from(self.serve.as_str()))];
        Json::object(members.chain(rest))
    }

    /// The id of its rule.
    pub fn rule_id(&self) -> &str {
        self.id.as_ref().map_or(self.name.as_str(), RuleId::as_str)
    }
}

/// A share of somebody.
fn share(reader: &mut Reader, json: &Json<'_>) -> Option<Weight> {
    let share = Weight::parse(reader, json)?;
    if share == Weight::ZERO { reader.none("a share of nobody is none") } else { Some(share) }
}

/// Spans as JSON.
pub(crate) fn spans_json(spans: &[(u64, u64)]) -> Json<'static> {
    spans.iter().map(|(start, end)| [*start, *end].into_iter().map(Json::from).collect()).collect()
}

/// Reads spans that the log keeps: ascending, disjoint, none empty.
pub(crate) fn spans_from_json(json: &Json<'_>) -> Option<Vec<(u64, u64)>> {
    let natural = |json: &Json<'_>| json.as_integer().and_then(|number| u64::try_from(number).ok());
    let span = |json: &Json<'_>| match json.as_array()? {
        [start, end] => natural(start).zip(natural(end)),
        _ => None,
    };
    let spans: Vec<_> = json.as_array()?.iter().map(span).collect::<Option<_>>()?;
    let mut free_from = 0;
    for (start, end) in &spans {
        if *start < free_from || start >= end || *end > BUCKETS {
            return None;
        }
        free_from = *end;
    }
    (spans.len() <= MAX_RANGES).then_some(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_at_most_80_bytes_of_an_alphabet_and_begins_with_a_letter_or_digit() {
        for text in ["a", "9", "cta-test.2", "a:b@c|d+e~f_g", &"x".repeat(80)] {
            assert_eq!(ExperimentName::of(text).unwrap().as_str(), text);
        }
        for text in ["", "-a", ".a", "a b", "ä", "a/b", &"x".repeat(81)] {
            assert_eq!(ExperimentName::of(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_after_a_dot_looks_like_a_phase() {
        let looks = |text: &str| ExperimentName::of(text).unwrap().ends_like_a_phase();
        assert_eq!(
            ["a.2", "a.b.10", "a", "a.", "a.2b", "2"].map(looks),
            [true, true, false, false, false, false]
        );
    }
}
