//! Checks that authors write: what a flag is expected to serve to a context at a time (FORMAT M-1.8).

use flagstone_model::details::Reason;
use flagstone_model::json::Json;
use flagstone_model::key::VariationKey;
use flagstone_model::limits;

use super::moment::Moment;
use super::operand::{exact, normal};
use super::read::{Members, Reader};
use super::rule::variation;
use crate::check::Outcome;

/// Most checks of one targeting.
pub const MAX_CHECKS: usize = 100;
/// Longest context of a check, in bytes of its canonical JSON.
pub const MAX_CHECK_CONTEXT_BYTES: usize = 16 * 1024;
/// Deepest nesting of a context of a check, which is the second level of its line.
pub const MAX_CHECK_CONTEXT_DEPTH: usize = limits::MAX_JSON_DEPTH - 1;

/// An evaluation, and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The time of the evaluation.
    pub at: Moment,
    /// The context; its members are sorted.
    pub context: Json<'static>,
    /// What it is to answer.
    pub expect: Expect,
}

/// What is expected of an evaluation. What is not said is not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The variation; `Some(None)`, written `null`: none.
    pub variation: Option<Option<VariationKey>>,
    /// Why.
    pub reason: Option<Reason>,
    /// The rule that decides; `Some(None)`, written `null`: none.
    pub rule: Option<Option<String>>,
}

const CHECK: Members = Members { what: "a check", known: &["at", "context", "expect"], pending: &[] };
const EXPECT: Members =
    Members { what: "what a check expects", known: &["variation", "reason", "rule"], pending: &[] };

/// Every reason of the evaluator.
const REASONS: [Reason; 7] = [
    Reason::Static,
    Reason::TargetingMatch,
    Reason::Split,
    Reason::Default,
    Reason::Disabled,
    Reason::Unknown,
    Reason::Error,
];

impl Check {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, CHECK)?;
        let at = reader.required(json, "at", Moment::parse);
        let context = match json.member("context") {
            None => Some(Json::Object(Vec::new())),
            Some(_) => reader.optional(json, "context", context),
        };
        let expect = reader.required(json, "expect", Expect::parse);
        Some(Self { at: at?, context: context?, expect: expect? })
    }

    pub(super) fn to_json(&self) -> Json<'_> {
        let empty = self.context.as_object().is_none_or(<[_]>::is_empty);
        let context = (!empty).then(|| ("context", self.context.clone()));
        let members = [("at", self.at.to_json())].into_iter().chain(context);
        Json::object(members.chain([("expect", self.expect.to_json())]))
    }
}

impl Expect {
    fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        reader.object(json, EXPECT)?;
        let variation = match json.member("variation") {
            None => Some(None),
            Some(Json::Null) => Some(Some(None)),
            Some(_) => reader.optional(json, "variation", variation).map(|key| Some(Some(key))),
        };
        let reason = match json.member("reason") {
            None => Some(None),
            Some(_) => reader.optional(json, "reason", reason).map(Some),
        };
        let rule = match json.member("rule") {
            None => Some(None),
            Some(Json::Null) => Some(Some(None)),
            Some(_) => {
                let rule =
                    |reader: &mut Reader, json: &Json<'_>| reader.text(json, limits::MAX_OPERAND_BYTES);
                reader.optional(json, "rule", rule).map(|rule| Some(Some(rule)))
            }
        };
        let expect = Self { variation: variation?, reason: reason?, rule: rule? };
        if expect == (Self { variation: None, reason: None, rule: None }) {
            return reader.none("a check expects a `variation`, a `reason`, a `rule`, or several of them");
        }
        Some(expect)
    }

    fn to_json(&self) -> Json<'_> {
        let variation = self.variation.as_ref();
        let variation = variation.map(|key| key.as_ref().map_or(Json::Null, |key| Json::from(key.as_str())));
        let rule = self.rule.as_ref().map(|rule| rule.as_deref().map_or(Json::Null, Json::from));
        let reason = self.reason.map(|reason| Json::from(reason.as_str()));
        let members = [("variation", variation), ("reason", reason), ("rule", rule)];
        Json::object(members.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }

    /// Whether an evaluation answered as expected.
    pub fn is_met(&self, outcome: &Outcome) -> bool {
        let same = |expected: Option<&str>, found: &Option<String>| expected == found.as_deref();
        self.variation
            .as_ref()
            .is_none_or(|key| same(key.as_ref().map(VariationKey::as_str), &outcome.variation))
            && self.reason.is_none_or(|reason| reason == outcome.reason)
            && self.rule.as_ref().is_none_or(|rule| same(rule.as_deref(), &outcome.rule))
    }

    /// What is expected, in words: ``variation `on`, rule `eu` ``.
    pub fn in_words(&self) -> String {
        let named = |kind: &str, name: Option<&str>| {
            name.map_or_else(|| format!("no {kind}"), |name| format!("{kind} `{name}`"))
        };
        let variation = self.variation.as_ref();
        let variation = variation.map(|key| named("variation", key.as_ref().map(VariationKey::as_str)));
        let reason = self.reason.map(|reason| format!("reason {reason}"));
        let rule = self.rule.as_ref().map(|rule| named("rule", rule.as_deref()));
        [variation, reason, rule].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn context(reader: &mut Reader, json: &Json<'_>) -> Option<Json<'static>> {
    if json.as_object().is_none() {
        return reader.none("a context is an object");
    }
    if depth(json) > MAX_CHECK_CONTEXT_DEPTH {
        return reader.none(format!("a context nests at most {MAX_CHECK_CONTEXT_DEPTH} deep"));
    }
    exact(reader, json)?;
    let context = normal(json);
    let bytes = context.to_string().len();
    if bytes > MAX_CHECK_CONTEXT_BYTES {
        return reader.none(format!(
            "a context of a check has at most {MAX_CHECK_CONTEXT_BYTES} bytes, this has {bytes}"
        ));
    }
    Some(context)
}

fn depth(json: &Json<'_>) -> usize {
    let inner = match json {
        Json::Array(elements) => elements.iter().map(depth).max(),
        Json::Object(members) => members.iter().map(|(_, value)| depth(value)).max(),
        _ => return 0,
    };
    inner.unwrap_or(0).saturating_add(1)
}

fn reason(reader: &mut Reader, json: &Json<'_>) -> Option<Reason> {
    let found = REASONS.into_iter().find(|reason| json.as_str() == Some(reason.as_str()));
    found.or_else(|| {
        let all = REASONS.map(Reason::as_str).join("`, `");
        reader.none(format!("a reason is one of `{all}`"))
    })
}
