//! Whether all checks hold of a content that is to be announced (FORMAT M-11.8, P8), and what becomes of a flag of which
//! one does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use flagstone_bundle::content::{Content, ContentError};
use flagstone_bundle::delta::DeltaLines;
use flagstone_eval::{Entity, Problem, Report, Snapshot};
use flagstone_model::json::Json;
use flagstone_model::line::{Head, Kind};

use super::withheld::Fault;
use crate::check::{Asking, Check, Reached, entity, flag_of_check, generate};

/// A check that does not hold, or a line that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    /// The flag or segment that it is of.
    pub(super) of: Entity,
    /// The key of a check; `generated/N` is the Nth of those that are not published.
    pub(super) check: Option<String>,
    is_published: bool,
    /// What the operator is told.
    pub(super) fault: Fault,
}

impl Failed {
    fn check(flag: Arc<str>, check: String, is_published: bool) -> Self {
        let detail = format!("the check `{check}` of flag `{flag}` does not hold");
        let fault = Fault { code: "check-failed", detail };
        Self { of: Entity::Flag(flag), check: Some(check), is_published, fault }
    }
}

/// The flags and segments of which a report tells; none if it tells of a line that is of neither.
pub(super) fn not_understood(report: &Report) -> Option<Vec<Failed>> {
    let failed = |problem: &Problem| {
        let Problem { kind, key, pointer, why } = problem;
        let head = Head { name: kind, key };
        let is_published = head.kind() == Kind::Check;
        let of = if is_published { Entity::Flag(flag_of_check(key)?.into()) } else { entity(&head)? };
        let detail = format!("the {kind} `{key}` is not understood at {pointer:?}: {}", why.code());
        let fault = Fault { code: "content-not-understood", detail };
        Some(Failed { of, check: is_published.then(|| key.to_string()), is_published, fault })
    };
    report.problems.iter().map(failed).collect()
}

/// Runs the published checks of these flags, and those that are generated for them: which do not hold, at most one of
/// the latter for a flag.
///
/// A generated check expects what the flag answers when it is compiled alone with what it reaches; the snapshot came to
/// its answer by way of an update, links, and shared parts, as an SDK's does.
pub(super) fn failed(content: &Content, snapshot: &Snapshot, flags: &BTreeSet<Arc<str>>) -> Vec<Failed> {
    let published = snapshot.failed_checks(flags).into_iter();
    let published = published.map(|failed| Failed::check(failed.flag, failed.check.to_string(), true));
    let generated = flags.iter().filter_map(|flag| {
        let line = |entity: &Entity| content.line(head(entity));
        let checks = generate(&Reached::of(flag, line)?);
        let does_fail =
            |check: &Check| check.answer_of(snapshot, flag).is_none_or(|answer| answer != check.outcome);
        let (_, number) = checks.iter().zip(1..).find(|(check, _)| does_fail(check))?;
        Some(Failed::check(Arc::clone(flag), format!("generated/{number}"), false))
    });
    published.chain(generated).collect()
}

/// Whether a flag or a segment waits until it is as it should be: its line is another than before, and is not off. What
/// is switched off never does, nor what was announced already, nor what is gone.
pub(super) fn may_wait(entity: &Entity, content: &Content, before: Option<&Content>) -> bool {
    let Some(line) = content.line(head(entity)) else { return false };
    let is_off = || {
        let json = Json::parse(line).ok();
        json.is_some_and(|json| json.member("on").and_then(Json::as_bool) == Some(false))
    };
    before.and_then(|before| before.line(head(entity))) != Some(line) && !is_off()
}

/// What takes the published checks among these out of a content.
pub(super) fn without(failures: &[Failed]) -> Result<DeltaLines, ContentError> {
    // In the order of lines, which is not that of flags: `a-b/1` comes before `a/1`.
    let keys: BTreeSet<&str> = failures
        .iter()
        .filter(|failed| failed.is_published)
        .filter_map(|failed| failed.check.as_deref())
        .collect();
    drops(keys.into_iter().map(|key| Head { name: "check", key }))
}

/// What makes of a content one in which these flags and segments are what they were before, as SDKs do it (FORMAT M-1.8).
pub(super) fn holding_back(content: &Content, before: &Content, entities: &BTreeSet<Entity>) -> DeltaLines {
    let is_of_one = |head: &Head<'_>| match head.kind() {
        Kind::Check => {
            flag_of_check(head.key).is_some_and(|flag| entities.contains(&Entity::Flag(flag.into())))
        }
        _ => entity(head).is_some_and(|entity| entities.contains(&entity)),
    };
    before.delta_of(content.lines().chain(before.lines()).filter_map(Head::parse).filter(is_of_one))
}

/// What takes these flags and segments out of a content, and all that asks for them; with the flags among all that.
pub(super) fn leaving_out(
    content: &Content,
    entities: BTreeSet<Entity>,
) -> Result<(DeltaLines, BTreeSet<Entity>), ContentError> {
    let asking = Asking::of(content.lines(), entities);
    let heads = content.lines().filter_map(Head::parse).filter(|head| asking.has(head));
    Ok((drops(heads)?, asking.flags().map(|flag| Entity::Flag(flag.into())).collect()))
}

fn drops<'h>(heads: impl Iterator<Item = Head<'h>>) -> Result<DeltaLines, ContentError> {
    let mut drops = String::new();
    for Head { name, key } in heads {
        drops.extend(["{\"drop\":\"", name, "\",\"key\":\"", key, "\"}\n"]);
    }
    DeltaLines::parse(drops.as_bytes())
}

/// The flags of the check lines among these.
pub(super) fn of_checks<'h>(heads: impl Iterator<Item = Head<'h>>) -> impl Iterator<Item = Arc<str>> {
    heads.filter(|head| head.kind() == Kind::Check).filter_map(|head| flag_of_check(head.key).map(Arc::from))
}

/// The key of a flag, a segment, or a list.
pub(super) fn key(entity: &Entity) -> &str {
    head(entity).key
}

fn head(entity: &Entity) -> Head<'_> {
    match entity {
        Entity::Flag(key) => Head { name: "flag", key },
        Entity::Segment(key) => Head { name: "segment", key },
        Entity::List(key) => Head { name: "list", key },
    }
}
