//! A flag with everything its answer depends on, compiled by itself.

use std::collections::BTreeMap;

use flagstone_eval::{Entity, Snapshot};
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use super::Outcome;

/// A flag and the flags and segments it reaches.
#[derive(Debug)]
pub struct Reached<'l> {
    flag: &'l str,
    lines: BTreeMap<Entity, Json<'l>>,
    snapshot: Snapshot,
}

impl<'l> Reached<'l> {
    /// Gathers and compiles the lines that a flag reaches; `None` if one is missing or not understood.
    pub fn of(flag: &'l str, line: impl Fn(&Entity) -> Option<&'l [u8]>) -> Option<Self> {
        let mut lines = BTreeMap::new();
        let mut texts = Vec::new();
        let mut open = vec![Entity::Flag(flag.into())];
        while let Some(entity) = open.pop() {
            if lines.contains_key(&entity) {
                continue;
            }
            let text = line(&entity)?;
            let json = Json::parse(text).ok()?;
            open.extend(references(&json));
            lines.insert(entity, json);
            texts.push(text);
        }
        let (snapshot, report) = Snapshot::compile(texts);
        report.is_clean().then_some(Self { flag, lines, snapshot })
    }

    /// What the flag serves.
    pub fn evaluate(&self, context: &Json<'_>, at: Instant) -> Option<Outcome> {
        let context = Context::from_json(context)?;
        Some(Outcome::from(&self.snapshot.evaluate(self.flag, None, &context, at)))
    }

    /// The flag's line.
    pub(super) fn line(&self) -> Option<&Json<'l>> {
        self.lines.get(&Entity::Flag(self.flag.into()))
    }

    /// The conditions of a segment.
    pub(super) fn segment(&self, key: &str) -> Option<&[Json<'l>]> {
        Some(conditions(self.lines.get(&Entity::Segment(key.into()))?, "if"))
    }

    /// Whether a flag among them is off, or a list decides that is not here: then what a check says of the flag as it is
    /// meant need not be so.
    pub fn is_at_rest(&self) -> bool {
        let off = |json: &Json<'_>| json.member("on").and_then(Json::as_bool) == Some(false);
        self.lines.values().any(|json| off(json) || all(json).any(is_listed))
    }
}

fn is_listed(condition: &Json<'_>) -> bool {
    condition.member("listed").is_some()
}

/// The flags and segments that a line of a flag or a segment names.
pub fn references(line: &Json<'_>) -> Vec<Entity> {
    let mut found = Vec::new();
    for condition in all(line) {
        if let Some(flag) = condition.member("flag").and_then(Json::as_str) {
            found.push(Entity::Flag(flag.into()));
        }
        let segments = condition.member("segment").and_then(Json::as_array).unwrap_or_default();
        found.extend(segments.iter().filter_map(Json::as_str).map(|key| Entity::Segment(key.into())));
    }
    found
}

/// Every condition of a line that holds no others.
fn all<'j, 'l>(line: &'j Json<'l>) -> impl Iterator<Item = &'j Json<'l>> {
    let rules = line.member("rules").and_then(Json::as_array).unwrap_or_default();
    let mut open: Vec<&Json<'l>> = rules.iter().flat_map(|rule| conditions(rule, "if")).collect();
    open.extend(conditions(line, "needs"));
    open.extend(conditions(line, "if"));
    core::iter::from_fn(move || {
        loop {
            let condition = open.pop()?;
            let inner = ["all", "any"].into_iter().flat_map(|form| conditions(condition, form));
            let before = open.len();
            open.extend(inner.chain(condition.member("not")));
            if open.len() == before {
                return Some(condition);
            }
        }
    })
}

/// The conditions in a member.
pub(super) fn conditions<'j, 'l>(json: &'j Json<'l>, member: &str) -> &'j [Json<'l>] {
    json.member(member).and_then(Json::as_array).unwrap_or_default()
}
