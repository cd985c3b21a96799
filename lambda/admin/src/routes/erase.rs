//! Taking data away from entries of the log.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use flagstone_model::json::Json;
use flagstone_publisher::author;
use flagstone_publisher::control::{Erased, Erasure};

use super::{Answer, plain, reason, run_on};
use crate::call::{Call, Media};
use crate::problem::Problem;
use crate::{Service, answer};

/// Most entries that a request may name.
const MAX_SEQS: usize = 1_000;

pub(crate) async fn erase(State(service): State<Service>, call: Call) -> Answer {
    plain(&call)?;
    let (body, reason) = reason(Some(call.json(Media::Json)?))?;
    let what = erasure(&body)?;
    let terms = call.creation(reason).await?;
    let control = service.control.clone();
    let erased = run_on(async move { control.erase(&what, terms).await }).await?;
    Ok(answer::json(StatusCode::OK, told(&erased).to_string()))
}

/// Reads `{"seq":N}`, `{"seq":[N,…]}`, `{"actor":ID}`, or `{"user_id":KEY}`.
fn erasure(body: &Json<'_>) -> Result<Erasure, Problem> {
    let Some([(name, value)]) = body.as_object() else {
        return Err(Problem::body(
            "",
            "the body has one of `seq`, `actor`, and `user_id`, and perhaps `reason`",
        ));
    };
    let pointer = author::pointer([&**name]);
    let text = || match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Problem::body(&pointer, "a text that is not empty is wanted here")),
    };
    match &**name {
        "actor" => Ok(Erasure::Actor(text()?)),
        "user_id" => Ok(Erasure::UserId(text()?)),
        "seq" => {
            let one = std::slice::from_ref(value);
            let all = value.as_array().unwrap_or(one);
            let seq = |json: &Json<'_>| json.as_integer().and_then(|seq| u64::try_from(seq).ok());
            let seqs: Option<BTreeSet<u64>> =
                all.iter().map(|json| seq(json).filter(|seq| *seq > 0)).collect();
            match seqs {
                Some(seqs) if (1..=MAX_SEQS).contains(&seqs.len()) => Ok(Erasure::Entries(seqs)),
                _ => {
                    let detail = format!("the seq of an entry, or 1 to {MAX_SEQS} of them, is wanted here");
                    Err(Problem::body(&pointer, detail))
                }
            }
        }
        _ => Err(Problem::body(&pointer, format!("the body has `seq`, `actor`, or `user_id`, not `{name}`"))),
    }
}

fn told(erased: &Erased) -> Json<'static> {
    let Erased { entries, erased, kept } = erased;
    let kept = kept.iter().map(|kept| {
        let entities = kept.entities.iter().map(|entity| Json::from(entity.clone())).collect();
        Json::object([("seq", Json::from(kept.seq)), ("entities", entities)])
    });
    Json::object([
        ("entries", entries.iter().map(|seq| Json::from(*seq)).collect()),
        ("erased", erased.iter().map(|seq| Json::from(*seq)).collect()),
        ("kept", kept.collect()),
    ])
}
