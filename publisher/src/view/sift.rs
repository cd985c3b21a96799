//! What of a public view may be announced: lines that show only what is public, of flags that both views answer alike
//! (FORMAT M-9.6, M-11.9).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use flagstone_eval::Entity;
use flagstone_model::instant::Instant;
use flagstone_model::line::{Head, Kind};

use super::equal::compare;
use super::proof::{Exposed, examine};
use crate::check::{Asking, flag_of_check};
use crate::publish::{Fault, Withheld};
use crate::state::EnvironmentState;

/// The lines of a public view that were built last, and the environment that they were made of.
#[derive(Debug, Clone, Copy)]
pub struct Before<'b> {
    /// The environment.
    pub environment: &'b EnvironmentState,
    /// Its lines.
    pub lines: &'b [Arc<str>],
}

/// Leaves out of the lines of a public view what shows something that is not public, and flags that are answered
/// otherwise than in keyed views; and all that asks for them, which without them would answer otherwise too.
///
/// Only lines that differ from `before` are looked at, and the flags whose answers they may have changed. The same
/// allocation is the same line.
///
/// # Errors
///
/// [`Exposed`] if it is in a line that no view can do without.
pub fn sift(
    environment: &EnvironmentState,
    before: Option<Before<'_>>,
    mut lines: Vec<Arc<str>>,
    now: Instant,
) -> Result<(Vec<Arc<str>>, Withheld), Exposed> {
    // By other declarations nothing is known of what was there.
    let before = before.filter(|before| Arc::ptr_eq(&before.environment.attributes, &environment.attributes));
    let (mut withheld, mut entities, mut checks) = (Withheld::default(), BTreeSet::new(), HashSet::new());

    let fresh = fresh(before, &lines);
    for exposed in examine(fresh.iter().map(|line| line.as_bytes()), &environment.attributes) {
        match exposed.kind {
            Some(Kind::Flag) => drop(entities.insert(Entity::Flag(exposed.key.as_str().into()))),
            Some(Kind::Segment) => drop(entities.insert(Entity::Segment(exposed.key.as_str().into()))),
            // Nothing asks for a check.
            Some(Kind::Check) => drop(checks.insert(exposed.key.clone())),
            _ => return Err(exposed),
        }
        withheld.faults.push(Fault { code: exposed.code(), detail: exposed.to_string() });
    }

    let flags = affected(environment, before, &fresh, &lines);
    let keyed = keyed(environment, &flags);
    let public = lines.iter().map(|line| line.as_bytes());
    let compared = compare(keyed.iter().map(|line| line.as_bytes()), public, &flags, now);
    tracing::debug!(flags = flags.len(), answers = compared.answers, "both views were compared");
    for unequal in compared.unequal {
        entities.insert(Entity::Flag(unequal.flag.as_str().into()));
        withheld.faults.push(Fault { code: unequal.code(), detail: unequal.to_string() });
    }
    if !withheld.faults.is_empty() {
        let asking = Asking::of(lines.iter().map(|line| line.as_bytes()), entities);
        let is_left_out = |head: Head<'_>| asking.has(&head) || checks.contains(head.key);
        lines.retain(|line| !Head::parse(line.as_bytes()).is_some_and(is_left_out));
        withheld.flags = asking.flags().map(str::to_owned).collect();
    }
    Ok((lines, withheld))
}

/// The lines that were not there before.
fn fresh<'l>(before: Option<Before<'_>>, lines: &'l [Arc<str>]) -> Vec<&'l Arc<str>> {
    let known = before.map(|before| before.lines).unwrap_or_default();
    let known: HashSet<*const u8> = known.iter().map(|line| line.as_ptr()).collect();
    lines.iter().filter(|line| !known.contains(&line.as_ptr())).collect()
}

/// The flags among the lines whose answers may be others than before, in either view.
fn affected<'l>(
    environment: &EnvironmentState,
    before: Option<Before<'_>>,
    fresh: &[&'l Arc<str>],
    lines: &'l [Arc<str>],
) -> Vec<&'l str> {
    let of_flag = |line: &'l Arc<str>| {
        let head = Head::parse(line.as_bytes())?;
        (head.kind() == Kind::Flag).then_some(head.key)
    };
    let shown = lines.iter().filter_map(of_flag);
    let Some(before) = before.map(|before| before.environment) else { return shown.collect() };
    // The public lines that changed, and the keyed ones: what redaction overlooks changes only these.
    let heads = fresh.iter().filter_map(|line| Head::parse(line.as_bytes()));
    let mut flags: BTreeSet<&str> = heads
        .filter_map(|head| match head.kind() {
            Kind::Flag => Some(head.key),
            Kind::Check => flag_of_check(head.key),
            _ => None,
        })
        .collect();
    let is_new = |key: &_, flag: &_| before.flags.get(key).is_none_or(|then| !Arc::ptr_eq(then, flag));
    flags.extend(
        environment.live_flags().filter(|(key, flag)| is_new(*key, *flag)).map(|(key, _)| key.as_str()),
    );
    let is_new =
        |key: &_, segment: &_| before.segments.get(key).is_none_or(|then| !Arc::ptr_eq(then, segment));
    let segments = environment.segments.iter().filter(|(key, segment)| is_new(*key, *segment));
    let asking = environment.flags_asking(flags, segments.map(|(key, _)| key.as_str()).collect());
    shown.filter(|key| asking.contains(key)).collect()
}

/// The lines of flags in keyed views, of their checks, and of all that they reach.
fn keyed(environment: &EnvironmentState, flags: &[&str]) -> Vec<Arc<str>> {
    let (mut reached, mut checks) = (BTreeMap::new(), Vec::new());
    for flag in flags {
        let lines = environment.reach(flag).lines.into_iter();
        reached.extend(lines.filter_map(|(entity, line)| Some((entity, line?))));
        if let Some((key, _)) = environment.flags.get_key_value(*flag) {
            checks.extend(environment.checks(key).iter().map(|numbered| Arc::clone(&numbered.line)));
        }
    }
    checks.into_iter().chain(reached.into_values()).collect()
}
