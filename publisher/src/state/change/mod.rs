//! What a request would record: pure functions from a state to the edits of the next entry, or a refusal.
//!
//! Nothing here writes. A caller appends an entry of the edits and folds it; if another entry got in first, it
//! folds that one and computes the edits anew.

mod client;
mod credential;
mod environment;
mod flag;
mod list;
mod refusal;
mod reshuffle;
mod restore;
mod schedule;
mod segment;
mod several;
mod targeting;
mod together;
mod view;

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

pub(crate) use credential::is_live;
pub use credential::{
    MAX_SDK_KEYS, MAX_TOKEN_LIFE_MS, MAX_TOKENS, New, create_sdk_key, create_token, revoke_sdk_key,
    revoke_token,
};
pub use environment::{create_environment, create_project, patch_environment};
pub use flag::{archive_flag, create_flag, patch_flag};
pub use list::{ListWrite, delete_list, may_write_list, put_list};
pub use refusal::Refusal;
pub use reshuffle::reshuffle;
pub use restore::{Difference, differences, restore_environment};
pub use schedule::pause_ramp;
pub use segment::{delete_segment, put_segment};
pub use several::change_several;
pub use targeting::{put_targeting, restore_targeting, roll_out, switch};
pub use view::{MAX_VIEWS, add_client_salts, delete_view, put_attributes, put_view};

use super::State;
use super::references::{Graph, Node};
use crate::log::{Entity, EntityChange};
use crate::state::EnvironmentState;

/// One edit: what changes, and the state it leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// What changes, from which revision to which.
    pub change: EntityChange,
    /// The new state; `Null`: it is gone.
    pub state: Json<'static>,
}

/// What a caller knows, and has agreed to, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// What must still be so.
    pub precondition: Precondition,
    /// Whether a far-reaching change is wanted.
    pub confirmation: Confirmation,
    /// The time by the clock of the control plane, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// What must still be so for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Nothing.
    #[default]
    Any,
    /// The entity is at this revision: `If-Match`.
    Revision(u64),
    /// Nobody has written it: `If-None-Match: *`.
    Absent,
}

/// Whether a change that touches more than half of many flags is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confirmation {
    /// Ask before such a change.
    #[default]
    Ask,
    /// It has been agreed to.
    Given,
}

/// From how many flags on a far-reaching change is asked about.
pub const MANY_FLAGS: usize = 20;

impl Edit {
    /// The next edit of an entity.
    pub(crate) fn of(state: &State, entity: Entity, new: &Json<'_>) -> Self {
        let (revision, prior_seq) = state.place(&entity);
        let change = EntityChange { entity, revision: (revision, revision.saturating_add(1)), prior_seq };
        Self { change, state: new.clone().into_owned() }
    }
}

impl Terms {
    const fn now(self) -> Instant {
        Instant::from_millis(self.now_ms)
    }

    /// Checks the precondition against the revision there is; `written` if somebody has written the entity.
    fn check(self, current: u64, written: bool) -> Result<(), Refusal> {
        match self.precondition {
            Precondition::Revision(expected) if expected != current => {
                Err(Refusal::StaleRevision { current })
            }
            Precondition::Absent if written => Err(Refusal::AlreadyExists),
            _ => Ok(()),
        }
    }

    /// Asks if a change of `node` reaches more than half of many flags of the environment.
    fn confirm(self, environment: &EnvironmentState, node: Node<'_>) -> Result<(), Refusal> {
        if self.confirmation == Confirmation::Given {
            return Ok(());
        }
        let of = environment.live_flags().count();
        if of < MANY_FLAGS {
            return Ok(());
        }
        let touched = Graph::of(environment).flags_reaching([node]);
        if touched.saturating_mul(2) > of { Err(Refusal::NeedsConfirmation { touched, of }) } else { Ok(()) }
    }
}

/// Applies a merge patch (RFC 7396).
fn merge<'j>(target: &Json<'j>, patch: &Json<'j>) -> Json<'j> {
    let Some(changes) = patch.as_object() else { return patch.clone() };
    let mut members = target.as_object().map(<[_]>::to_vec).unwrap_or_default();
    for (name, change) in changes {
        let at = members.iter().position(|(present, _)| present == name);
        match (at, change) {
            (Some(at), Json::Null) => drop(members.remove(at)),
            (None, Json::Null) => {}
            (Some(at), change) => {
                if let Some((_, present)) = members.get_mut(at) {
                    *present = merge(present, change);
                }
            }
            (None, change) => members.push((name.clone(), merge(&Json::Null, change))),
        }
    }
    Json::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_does_what_its_rfc_shows() {
        // RFC 7396, appendix A.
        for (target, patch, merged) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let json = |text: &'static str| Json::parse(text.as_bytes()).unwrap();
            assert_eq!(merge(&json(target), &json(patch)).to_string(), merged, "{target} {patch}");
        }
    }
}
