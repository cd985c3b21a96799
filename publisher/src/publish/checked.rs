//! Whether all checks hold of a content that is to be announced (FORMAT M-11.8, P8).

use std::collections::BTreeSet;
use std::sync::Arc;

use flagstone_bundle::content::Content;
use flagstone_eval::{Entity, Snapshot};
use flagstone_model::line::Head;

use super::proof::Refusal;
use crate::check::{Reached, generate};

/// Runs the published checks of these flags, and those that are generated for them.
///
/// A generated check expects what the flag answers when it is compiled alone with what it reaches; the snapshot came to
/// its answer by way of an update, links, and shared parts, as an SDK's does.
pub(super) fn prove(
    content: &Content,
    snapshot: &Snapshot,
    flags: &BTreeSet<Arc<str>>,
) -> Result<(), Refusal> {
    if let Some(failed) = snapshot.failed_checks(flags).into_iter().next() {
        return Err(Refusal::Check { flag: failed.flag.to_string(), check: failed.check.to_string() });
    }
    for flag in flags {
        let line = |entity: &Entity| content.line(head(entity));
        let Some(reached) = Reached::of(flag, line) else { continue };
        for (check, number) in generate(&reached).iter().zip(1..) {
            if check.answer_of(snapshot, flag).is_none_or(|outcome| outcome != check.outcome) {
                return Err(Refusal::Check { flag: flag.to_string(), check: format!("generated/{number}") });
            }
        }
    }
    Ok(())
}

/// The flags of the check lines among these.
pub(super) fn of_checks<'h>(heads: impl Iterator<Item = Head<'h>>) -> impl Iterator<Item = Arc<str>> {
    heads.filter(|head| head.name == "check").filter_map(|head| Some(head.key.rsplit_once('/')?.0.into()))
}

fn head(entity: &Entity) -> Head<'_> {
    match entity {
        Entity::Flag(key) => Head { name: "flag", key },
        Entity::Segment(key) => Head { name: "segment", key },
        Entity::List(key) => Head { name: "list", key },
    }
}
