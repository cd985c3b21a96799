//! Whether all checks hold of a content that is to be announced (FORMAT M-11.8, P8), and what becomes of a flag of which
//! one does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use flagstone_bundle::content::{Content, ContentError};
use flagstone_bundle::delta::DeltaLines;
use flagstone_eval::{Entity, Snapshot};
use flagstone_model::json::Json;
use flagstone_model::line::{Head, Kind};

use super::withheld::Fault;
use crate::check::{Asking, Check, Reached, flag_of_check, generate};

/// A check that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) flag: Arc<str>,
    /// Its key; `generated/N` is the Nth of those that are not published.
    pub(super) check: String,
    is_published: bool,
}

impl Failed {
    /// What the operator is told.
    pub(super) fn fault(&self) -> Fault {
        let detail = format!("the check `{}` of flag `{}` does not hold", self.check, self.flag);
        Fault { code: "check-failed", detail }
    }
}

/// Runs the published checks of these flags, and those that are generated for them: which do not hold, at most one of
/// the latter for a flag.
///
/// A generated check expects what the flag answers when it is compiled alone with what it reaches; the snapshot came to
/// its answer by way of an update, links, and shared parts, as an SDK's does.
pub(super) fn failed(content: &Content, snapshot: &Snapshot, flags: &BTreeSet<Arc<str>>) -> Vec<Failed> {
    let published = snapshot.failed_checks(flags).into_iter();
    let published = published.map(|failed| Failed {
        check: failed.check.to_string(),
        flag: failed.flag,
        is_published: true,
    });
    let generated = flags.iter().filter_map(|flag| {
        let line = |entity: &Entity| content.line(head(entity));
        let checks = generate(&Reached::of(flag, line)?);
        let does_fail =
            |check: &Check| check.answer_of(snapshot, flag).is_none_or(|answer| answer != check.outcome);
        let (_, number) = checks.iter().zip(1..).find(|(check, _)| does_fail(check))?;
        Some(Failed { flag: Arc::clone(flag), check: format!("generated/{number}"), is_published: false })
    });
    published.chain(generated).collect()
}

/// Whether a flag waits until its checks hold: its line is another than before, and is on. What is switched off never
/// does, nor what was announced already, nor what is gone.
pub(super) fn may_wait(flag: &str, content: &Content, before: Option<&Content>) -> bool {
    let head = Head { name: "flag", key: flag };
    let Some(line) = content.line(head) else { return false };
    let is_off = || {
        let json = Json::parse(line).ok();
        json.is_some_and(|json| json.member("on").and_then(Json::as_bool) == Some(false))
    };
    before.and_then(|before| before.line(head)) != Some(line) && !is_off()
}

/// What takes the published ones of these checks out of a content.
pub(super) fn without(checks: &[Failed]) -> Result<DeltaLines, ContentError> {
    // In the order of lines, which is not that of flags: `a-b/1` comes before `a/1`.
    let published: BTreeSet<&str> =
        checks.iter().filter(|failed| failed.is_published).map(|failed| failed.check.as_str()).collect();
    drops(published.into_iter().map(|key| Head { name: "check", key }))
}

/// What makes of a content one in which these flags are what they were before, as SDKs do it (FORMAT M-1.8).
pub(super) fn holding_back(content: &Content, before: &Content, flags: &BTreeSet<Arc<str>>) -> DeltaLines {
    let is_of_one = |head: &Head<'_>| match head.kind() {
        Kind::Flag => flags.contains(head.key),
        Kind::Check => flag_of_check(head.key).is_some_and(|flag| flags.contains(flag)),
        _ => false,
    };
    before.delta_of(content.lines().chain(before.lines()).filter_map(Head::parse).filter(is_of_one))
}

/// What takes these flags out of a content, and all that asks for them.
pub(super) fn leaving_out(
    content: &Content,
    flags: &BTreeSet<Arc<str>>,
) -> Result<(DeltaLines, BTreeSet<Arc<str>>), ContentError> {
    let asking = Asking::of(content.lines(), flags.iter().cloned().map(Entity::Flag).collect());
    let heads = content.lines().filter_map(Head::parse).filter(|head| asking.has(head));
    Ok((drops(heads)?, asking.flags().map(Arc::from).collect()))
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

fn head(entity: &Entity) -> Head<'_> {
    match entity {
        Entity::Flag(key) => Head { name: "flag", key },
        Entity::Segment(key) => Head { name: "segment", key },
        Entity::List(key) => Head { name: "list", key },
    }
}
