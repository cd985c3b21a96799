//! By what the decisions of a rule are counted (FORMAT M-7.2).

use flagstone_model::path::Path;

use crate::flag::{Action, Condition};
use crate::snapshot::Snapshot;

impl Snapshot {
    /// The path to the unit that a rule decides by: that of its split, else of the first bucket condition in its `if`.
    ///
    /// `None` if it has neither, or there is no such rule: then a decision is counted by the targeting key.
    pub fn unit_path(&self, flag: &str, rule: &str) -> Option<&Path> {
        let body = self.flags.find(flag)?.body.as_ref()?;
        let rule = body.rules.iter().find(|candidate| candidate.id.as_deref() == Some(rule))?;
        match &rule.action {
            Action::Split(split) => Some(&split.bucketing.by),
            Action::Serve { .. } => first_bucket(&rule.conditions),
            Action::Unreadable => None,
        }
    }
}

fn first_bucket(conditions: &[Condition]) -> Option<&Path> {
    conditions.iter().find_map(|condition| match condition {
        Condition::Bucket(test) => Some(&test.bucketing.by),
        Condition::All(parts) | Condition::Any(parts) => first_bucket(parts),
        Condition::Not(part) => first_bucket(std::slice::from_ref(part)),
        _ => None,
    })
}
