//! Explanations as JSON. The shape is stable: members are added, none changes its meaning.

use flagstone_model::json::Json;

use super::{
    Bucket, Cause, Explained, ExplainedRule, ExplainedSegment, ExplainedTest, Explanation, Parts, Within,
};
use crate::evaluate::Details;
use crate::truth::Truth;

type Member = Option<(&'static str, Json<'static>)>;

fn object(members: impl IntoIterator<Item = Member>) -> Json<'static> {
    Json::object(members.into_iter().flatten())
}

fn when(name: &'static str, truth: bool) -> Member {
    truth.then_some((name, Json::Bool(true)))
}

fn why(cause: Option<Cause>) -> Member {
    cause.map(|cause| ("why", Json::from(cause.code())))
}

fn outcome(truth: Truth) -> Json<'static> {
    Json::from(truth.as_str())
}

impl Details<'_> {
    /// The members of a details object; absent ones are left out.
    pub fn to_json(&self) -> Json<'static> {
        let text = |name, text: Option<&str>| text.map(|text| (name, Json::from(text.to_owned())));
        object([
            self.value.map(|value| ("value", value.to_json().into_owned())),
            text("variation", self.variation.map(|variation| &**variation)),
            text("reason", Some(self.reason.as_str())),
            text("error_code", self.error_code.map(flagstone_model::details::ErrorCode::as_str)),
            text("rule", self.rule.map(|rule| &**rule)),
            text("exp", self.exp.map(|exp| &**exp)),
            self.bucket.map(|bucket| ("bucket", Json::from(bucket))),
        ])
    }
}

impl Explanation<'_> {
    /// The explanation: `flag`, `details`, `exit`, `needs`, `rules`, and `truncated` where something is left out.
    pub fn to_json(&self) -> Json<'static> {
        let exit =
            Json::object([("step", Json::from(self.exit.step())), ("code", Json::from(self.exit.code()))]);
        object([
            Some(("flag", Json::from(self.flag.clone()))),
            Some(("details", self.details.to_json())),
            Some(("exit", exit)),
            Some(("needs", self.needs.iter().map(condition).collect())),
            Some(("rules", self.rules.iter().map(rule).collect())),
            when("truncated", self.truncated),
        ])
    }
}

fn rule(rule: &ExplainedRule<'_>) -> Json<'static> {
    let text = |text: &str| Json::from(text.to_owned());
    object([
        rule.id.map(|id| ("id", text(id))),
        Some(("outcome", rule.outcome.map_or_else(|| Json::from("not-reached"), outcome))),
        when("decided", rule.decided),
        why(rule.why),
        rule.serve.map(|serve| ("serve", text(serve))),
        Some(("conditions", rule.conditions.iter().map(condition).collect())),
        rule.bucket.as_ref().map(|found| ("bucket", bucket(found))),
        when("truncated", rule.truncated),
    ])
}

fn condition(told: &Explained<'_>) -> Json<'static> {
    let all = |parts: &[Explained<'_>]| parts.iter().map(condition).collect::<Json<'static>>();
    let (first, second): (Member, Member) = match &told.parts {
        Parts::None => (None, None),
        Parts::All(parts) => (Some(("all", all(parts))), None),
        Parts::Any(parts) => (Some(("any", all(parts))), None),
        Parts::Not(parts) => (Some(("not", parts.first().map_or(Json::Null, condition))), None),
        Parts::Attribute { value, tests } => {
            (value.clone().map(|value| ("value", value)), Some(("tests", tests.iter().map(test).collect())))
        }
        Parts::Segments(segments) => (Some(("segments", segments.iter().map(segment).collect())), None),
        Parts::Flag(flag) => (flag.as_ref().map(|flag| ("flag", flag.to_json())), None),
        Parts::Bucket(found) => (Some(("bucket", bucket(found))), None),
        Parts::Time(now) => (Some(("now", Json::from(now.to_string()))), None),
    };
    let is_connective = matches!(told.parts, Parts::All(_) | Parts::Any(_) | Parts::Not(_));
    object([
        (!is_connective).then(|| ("condition", told.condition.clone())),
        Some(("outcome", outcome(told.outcome))),
        why(told.why),
        when("by_absent", told.by_absent),
        when("after_decision", told.after_decision),
        first,
        second,
        when("truncated", told.truncated),
    ])
}

fn test(told: &ExplainedTest) -> Json<'static> {
    object([Some(("test", told.test.clone())), Some(("outcome", outcome(told.outcome))), why(told.why)])
}

fn segment(told: &ExplainedSegment<'_>) -> Json<'static> {
    object([
        Some(("segment", Json::from(told.key.to_owned()))),
        Some(("outcome", outcome(told.outcome))),
        why(told.why),
        when("after_decision", told.after_decision),
        Some(("conditions", told.conditions.iter().map(condition).collect())),
        when("truncated", told.truncated),
    ])
}

fn bucket(told: &Bucket<'_>) -> Json<'static> {
    let range = |&(start, end, variation): &(u64, u64, Option<&str>)| {
        let variation = variation.map(|variation| Json::from(variation.to_owned()));
        [Json::from(start), Json::from(end)].into_iter().chain(variation).collect::<Json<'static>>()
    };
    let head = [
        Some(("by", Json::from(told.by.clone()))),
        Some(("unit_present", Json::Bool(told.unit_present))),
        told.bucket.map(|bucket| ("bucket", Json::from(bucket))),
        Some(("of", Json::from(told.of))),
    ];
    let rest = match &told.within {
        Within::Ranges { ranges, hit } => [
            hit.as_ref().map(|hit| ("range", range(hit))),
            Some(("ranges", ranges.iter().map(range).collect())),
            None,
        ],
        Within::Ramp { reached, next, linear } => {
            let next = next.map(|(time, share)| {
                Json::object([("at", Json::from(time.to_string())), ("share", Json::from(share))])
            });
            [Some(("share", Json::from(*reached))), next.map(|next| ("next", next)), when("linear", *linear)]
        }
    };
    object(head.into_iter().chain(rest))
}
