//! Segments: named conditions with keys that are always or never inside.

use flagstone_model::json::Json;
use flagstone_model::limits;

use super::condition::{Condition, check_instructions};
use super::flag::description;
use super::mention::Mentioned;
use super::moment::{Instants, Source};
use super::operand::{self, Operand};
use super::problem::{Problem, code};
use super::read::{Advice, Members, Reader};

/// A segment in one environment, as its author wrote it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Segment {
    /// What it is about.
    pub description: Option<String>,
    /// Targeting keys that are inside; these win.
    pub include: Vec<Operand>,
    /// Targeting keys that are outside of every rule.
    pub exclude: Vec<Operand>,
    /// Who matches any of these is inside.
    pub rules: Vec<SegmentRule>,
}

/// All of some conditions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SegmentRule {
    /// All of these; none means always. The member `if`.
    pub when: Vec<Condition>,
}

const SEGMENT: Members =
    Members { what: "a segment", known: &["description", "include", "exclude", "rules"], pending: &[] };
/// Also of a targeting.
pub(super) const LISTS: Advice = Advice {
    names: &["lists", "list", "listed", "include_list", "exclude_list", "include_lists", "exclude_lists"],
    code: code::INVALID_REQUEST,
    instead: r#"a list is asked by a condition: write {"attr":"targetingKey","listed":KEY} into the `if` of a rule"#,
};
const RULE: Members = Members { what: "a rule of a segment", known: &["if"], pending: &["id"] };

impl Segment {
    /// Reads the authored form; local times are what the time zone database says.
    pub fn parse(json: &Json<'_>) -> Result<Self, Vec<Problem>> {
        Self::parse_after(json, Instants::default())
    }

    /// The same, but local times that stood there `before` stay what they were settled as.
    pub fn parse_after(json: &Json<'_>, before: Instants) -> Result<Self, Vec<Problem>> {
        Self::parse_from(json, Source::Database(before))
    }

    /// Reads what the log keeps; local times are what was settled, and no other.
    pub fn parse_settled(json: &Json<'_>, settled: Instants) -> Result<Self, Vec<Problem>> {
        Self::parse_from(json, Source::Settled(settled))
    }

    /// The same, but local times that were settled before stay what they were settled as.
    #[must_use]
    pub fn settled_as(self, before: &Instants) -> Self {
        if before.is_empty() {
            return self;
        }
        // What was read once reads again.
        Self::parse_after(&self.to_json(), before.clone()).unwrap_or(self)
    }

    /// The instants of its local times, to be settled.
    pub fn instants(&self) -> Instants {
        let mentions = self.mentions();
        Instants::of(mentions.iter().filter_map(|mention| match mention.of {
            Mentioned::Moment(moment) => Some(moment),
            _ => None,
        }))
    }

    fn parse_from(json: &Json<'_>, source: Source) -> Result<Self, Vec<Problem>> {
        Reader::document_from(source, |reader| {
            reader.object_advised(json, SEGMENT, &[LISTS])?;
            let description = reader.optional(json, "description", description);
            let keys = |reader: &mut Reader, keys: &Json<'_>| operand::set(reader, keys, Operand::parse_key);
            let include = reader.optional(json, "include", keys);
            let exclude = reader.optional(json, "exclude", keys);
            let rules = reader.optional(json, "rules", |reader, rules| {
                reader.array(rules, limits::MAX_RULES, SegmentRule::parse)
            });
            let rules = rules.unwrap_or_default();
            let leaves: usize = rules.iter().flat_map(|rule| &rule.when).map(Condition::leaves).sum();
            if leaves > limits::MAX_LEAVES {
                reader.refuse(format!(
                    "a segment has at most {} conditions, this has {leaves}",
                    limits::MAX_LEAVES
                ));
            }
            let segment = Self {
                description,
                include: include.unwrap_or_default(),
                exclude: exclude.unwrap_or_default(),
                rules,
            };
            check_instructions(reader, "segment", segment.instructions());
            let nesting = segment.conditions().iter().map(Condition::nesting).max().unwrap_or(0);
            if nesting > limits::MAX_CONDITION_NESTING {
                reader.within("rules", |reader| {
                    reader.refuse(format!(
                        "with what include, exclude, and several rules add, conditions nest at most {} deep, \
                         these {nesting}",
                        limits::MAX_CONDITION_NESTING
                    ));
                });
            }
            Some(segment)
        })
    }

    /// What it is on the wire: conditions of which all must hold (FORMAT M-1.6).
    ///
    /// Inside is who is included, or is not excluded and matches a rule. Who has no targeting key is not excluded.
    pub fn conditions(&self) -> Vec<Condition> {
        let mut matching = match &self.rules[..] {
            [only] => only.when.clone(),
            several => vec![Condition::Any(several.iter().map(|rule| all(rule.when.clone())).collect())],
        };
        if !self.exclude.is_empty() && !self.rules.is_empty() {
            let excluded = Condition::keys(&self.exclude, Some(false));
            matching.insert(0, Condition::Not(Box::new(excluded)));
        }
        if self.include.is_empty() {
            return matching;
        }
        let included = Condition::keys(&self.include, None);
        if self.rules.is_empty() {
            vec![included]
        } else {
            vec![Condition::Any(vec![included, all(matching)])]
        }
    }

    /// How many instructions its expressions have together (FORMAT M-4.7).
    pub fn instructions(&self) -> usize {
        self.rules.iter().flat_map(|rule| &rule.when).map(Condition::instructions).sum()
    }

    /// The authored form, normal.
    pub fn to_json(&self) -> Json<'_> {
        let description = self.description.as_deref().map(|text| ("description", Json::from(text)));
        Json::object(description.into_iter().chain([
            ("include", self.include.iter().map(Operand::to_json).collect()),
            ("exclude", self.exclude.iter().map(Operand::to_json).collect()),
            ("rules", self.rules.iter().map(SegmentRule::to_json).collect()),
        ]))
    }
}

/// All of some conditions, as one.
fn all(mut conditions: Vec<Condition>) -> Condition {
    match (conditions.pop(), conditions.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            conditions.extend(last);
            Condition::All(conditions)
        }
    }
}

impl SegmentRule {
    fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, RULE)?;
        let when =
            reader.required(json, "if", |reader, conditions| Condition::parse_all(reader, conditions, 0))?;
        Some(Self { when })
    }

    fn to_json(&self) -> Json<'_> {
        Json::object([("if", self.when.iter().map(Condition::to_json).collect())])
    }
}
