//! The batch protocol: cases in, one details object per case out, both JSON Lines.
//!
//! Every SDK ships it, so that all can be compared with any other implementation.

use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::{Duplicates, Json, ParseOptions, write_string};
use flagstone_model::value::FlagType;

use crate::evaluate::Details;
use crate::overflow::without_overflow;
use crate::snapshot::Snapshot;

/// Deepest nesting of a case.
const MAX_CASE_DEPTH: usize = 127;

/// Why a case could not be read. Its code is the answer, and the run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The line is no JSON object.
    #[error("the case is no JSON object")]
    Json,
    /// `flag` or `context` is missing, or `flag` is no string.
    #[error("a case has a `flag`, a string, and a `context`")]
    Member,
    /// `type` is no type.
    #[error("`type` is one of bool, string, int, float, json")]
    Type,
    /// `at` is no instant.
    #[error("`at` is an instant or epoch milliseconds")]
    At,
}

impl CaseError {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Json => "invalid-json",
            Self::Member => "invalid-case",
            Self::Type => "invalid-type",
            Self::At => "invalid-at",
        }
    }
}

/// Answers one case, `{"flag","context","at"?,"type"?,"default"?}`, on one line without its end.
///
/// `now` stands in where the case names no `at`.
pub fn answer(snapshot: &Snapshot, case: &[u8], now: Instant) -> String {
    let mut out = String::from("{");
    match evaluated(snapshot, case, now) {
        Ok((details, default)) => write_details(&details, default.as_ref(), &mut out),
        Err(error) => write_member("error", |out| write_string(error.code(), out), &mut out),
    }
    out.push('}');
    out
}

fn evaluated<'s, 'j>(
    snapshot: &'s Snapshot,
    case: &'j [u8],
    now: Instant,
) -> Result<(Details<'s>, Option<Json<'j>>), CaseError> {
    let options = ParseOptions { max_depth: MAX_CASE_DEPTH, duplicates: Duplicates::LastWins };
    let case = match Json::parse_with(case, options) {
        Ok(case) => case,
        Err(_) => {
            let case = without_overflow(case).ok_or(CaseError::Json)?;
            Json::parse_with(&case, options).map_err(|_| CaseError::Json)?.into_owned()
        }
    };
    case.as_object().ok_or(CaseError::Json)?;
    let flag = case.member("flag").and_then(Json::as_str).ok_or(CaseError::Member)?;
    let context = case.member("context").ok_or(CaseError::Member)?;
    let wanted =
        case.member("type").map(|name| name.as_str().and_then(FlagType::parse).ok_or(CaseError::Type));
    let now = case.member("at").map_or(Ok(now), |at| instant(at).ok_or(CaseError::At))?;
    let wanted = wanted.transpose()?;
    let details = match Context::from_json(context) {
        Some(context) => snapshot.evaluate(flag, wanted, &context, now),
        None => snapshot.evaluate_without_context(flag, wanted),
    };
    Ok((details, case.member("default").cloned()))
}

fn instant(json: &Json<'_>) -> Option<Instant> {
    match json {
        Json::String(text) => Instant::parse(text).ok(),
        _ => json.as_integer().map(Instant::from_millis),
    }
}

/// Appends the members of a details object, without its braces; absent ones are left out.
pub fn write_details(details: &Details<'_>, default: Option<&Json<'_>>, out: &mut String) {
    match (details.value, default) {
        (Some(value), _) => write_member("value", |out| value.write(out), out),
        (None, Some(default)) => write_member("value", |out| default.write_sorted(out), out),
        (None, None) => {}
    }
    let mut text = |name: &str, text: Option<&str>| {
        if let Some(text) = text {
            write_member(name, |out| write_string(text, out), out);
        }
    };
    text("variation", details.variation.map(|variation| &**variation));
    text("reason", Some(details.reason.as_str()));
    text("error_code", details.error_code.map(flagstone_model::details::ErrorCode::as_str));
    text("rule", details.rule.map(|rule| &**rule));
    text("exp", details.exp.map(|exp| &**exp));
    if let Some(bucket) = details.bucket {
        write_member("bucket", |out| out.push_str(&bucket.to_string()), out);
    }
}

fn write_member(name: &str, value: impl FnOnce(&mut String), out: &mut String) {
    if !out.is_empty() && !out.ends_with('{') {
        out.push(',');
    }
    write_string(name, out);
    out.push(':');
    value(out);
}
