//! What is wrong, in a sentence for a person. Made only when it is asked for (FORMAT M-8.4).

use flagstone_eval::Snapshot;
use flagstone_model::details::{ErrorCode, Reason};

/// Most edits between a key and one that was meant.
const MOST_EDITS: usize = 3;

/// The sentence; `None` where nothing is wrong.
pub(crate) fn of(
    key: &str,
    reason: Reason,
    error_code: Option<ErrorCode>,
    snapshot: Option<&Snapshot>,
) -> Option<String> {
    let Some(code) = error_code else {
        return (reason == Reason::Unknown).then(|| {
            format!("flag `{key}` uses something that this SDK cannot decide: its off variation is served")
        });
    };
    Some(match code {
        ErrorCode::ProviderNotReady => "no flags were loaded yet".to_owned(),
        ErrorCode::FlagNotFound => match snapshot.and_then(|snapshot| alike(key, snapshot)) {
            Some(alike) => format!("no flag `{key}`; did you mean `{alike}`?"),
            None => format!("no flag `{key}`"),
        },
        ErrorCode::ParseError => format!("flag `{key}` cannot be read by this SDK"),
        ErrorCode::TypeMismatch => match snapshot.and_then(|snapshot| snapshot.flag_type(key)) {
            Some(flag_type) => format!("flag `{key}` is of type {flag_type}, and was asked for as another"),
            None => format!("flag `{key}` was asked for as another type than its own"),
        },
        ErrorCode::InvalidContext => "the context is no object".to_owned(),
        ErrorCode::TargetingKeyMissing => {
            format!("flag `{key}` splits by an attribute that the context does not have")
        }
    })
}

/// The key nearest to `key`, if it is near: the first in order among equals.
fn alike<'s>(key: &str, snapshot: &'s Snapshot) -> Option<&'s str> {
    let most = (key.chars().count() / 3).clamp(1, MOST_EDITS);
    snapshot
        .flag_keys()
        .filter(|other| other.len().abs_diff(key.len()) <= most)
        .map(|other| (strsim::osa_distance(key, other), &**other))
        .filter(|(edits, _)| *edits <= most)
        .min()
        .map(|(_, other)| other)
}
