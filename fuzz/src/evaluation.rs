//! Compile, then evaluate: total, and the same whatever the order (FORMAT M-8.0, M-8.5).

use flagstone_eval::Snapshot;
use flagstone_eval::batch::write_details;
use flagstone_model::context::Context;
use flagstone_model::details::{ErrorCode, Reason};
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use crate::shape::{self, Choices, Shaped};
use crate::{Input, input};

/// Moments at the edges of the times that shaped lines name.
const MOMENTS: [i64; 6] = [i64::MIN, 0, 1_796_115_600_000, 1_796_212_799_999, 1_796_212_800_001, i64::MAX];

pub(crate) fn body(bytes: &[u8]) -> bool {
    let parts = match input(bytes) {
        Input::Raw(raw) => raw_parts(raw),
        Input::Choices(mut choices) => shaped(&mut choices).ok(),
    };
    let Some((lines, context, moment)) = parts else { return false };
    evaluates(&lines, &context, Instant::from_millis(moment))
}

/// Lines, the last of which is the context.
fn raw_parts(raw: &[u8]) -> Option<(Vec<Vec<u8>>, Json<'static>, i64)> {
    let mut lines: Vec<Vec<u8>> = raw.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let context = lines.pop()?;
    let context = Json::parse(&context).map_or(Json::Null, Json::into_owned);
    Some((lines, context, MOMENTS[raw.len() % MOMENTS.len()]))
}

fn shaped(u: &mut Choices<'_>) -> Shaped<(Vec<Vec<u8>>, Json<'static>, i64)> {
    let lines = shape::lines(u)?.into_iter().map(String::into_bytes).collect();
    Ok((lines, shape::context(u)?, *u.choose(&MOMENTS)?))
}

/// Asserts the laws; says whether a flag was readable.
fn evaluates(lines: &[Vec<u8>], context: &Json<'_>, now: Instant) -> bool {
    let slices = || lines.iter().map(Vec::as_slice);
    let (snapshot, _) = Snapshot::compile(slices());
    let (first, rest) = lines.split_at(lines.len() / 2);
    let (half, _) = Snapshot::compile(first.iter().map(Vec::as_slice));
    let updated = half.update(rest.iter().map(Vec::as_slice), []).snapshot;
    let context = Context::from_json(context);
    let mut readable = false;
    for flag in snapshot.flag_keys() {
        let told = answer(&snapshot, flag, context.as_ref(), now);
        assert_eq!(answer(&updated, flag, context.as_ref(), now), told, "an update is a compilation");
        readable |= !told.contains(ErrorCode::ParseError.as_str());
        if let Some(context) = &context {
            let line = |entity: &flagstone_eval::Entity| line_of(lines, entity);
            let explained = snapshot.explain(flag, None, context, now, &line);
            let mut text = String::new();
            write_details(&explained.details, None, &mut text);
            assert_eq!(text, told, "an explanation is the evaluation");
        }
    }
    let names: Vec<_> =
        slices().filter_map(flagstone_model::line::Head::parse).map(|h| (h.name, h.key)).collect();
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    if unique.len() == names.len() {
        let (reversed, _) = Snapshot::compile(slices().rev());
        for flag in snapshot.flag_keys() {
            let told = answer(&snapshot, flag, context.as_ref(), now);
            assert_eq!(
                answer(&reversed, flag, context.as_ref(), now),
                told,
                "the order of lines never matters"
            );
        }
    }
    readable
}

fn line_of<'l>(lines: &'l [Vec<u8>], entity: &flagstone_eval::Entity) -> Option<&'l [u8]> {
    let (name, key) = match entity {
        flagstone_eval::Entity::Flag(key) => ("flag", key),
        flagstone_eval::Entity::Segment(key) => ("segment", key),
        flagstone_eval::Entity::List(key) => ("list", key),
    };
    let named = |line: &&Vec<u8>| {
        flagstone_model::line::Head::parse(line).is_some_and(|head| head.name == name && head.key == &**key)
    };
    lines.iter().rev().find(named).map(Vec::as_slice)
}

/// The details as text, after what holds of all details was asserted.
fn answer(snapshot: &Snapshot, flag: &str, context: Option<&Context>, now: Instant) -> String {
    let details = match context {
        Some(context) => snapshot.evaluate(flag, None, context, now),
        None => snapshot.evaluate_without_context(flag, None),
    };
    assert_eq!(details.reason == Reason::Error, details.error_code.is_some(), "a code goes with ERROR only");
    assert_eq!(details.value.is_some(), details.variation.is_some(), "a value is that of a variation");
    assert!(details.bucket.is_none() || details.reason == Reason::Split, "a bucket goes with SPLIT only");
    let mut text = String::new();
    write_details(&details, None, &mut text);
    text
}
