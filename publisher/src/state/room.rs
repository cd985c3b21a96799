//! How much room an environment takes in its snapshots, and whether there is any left (FORMAT M-11.1, T-3.2).
//!
//! What is written and can not be published would hold up everything after it, kill switches too. So growth past a
//! limit is refused when it is written, while what takes no more than it took, as switching off does, always passes: that
//! is seen in what changed, without a look at the rest.

use core::fmt;
use std::sync::Arc;

use flagstone_bundle::container::encode_zstd_level;
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, ProjectId, SegmentKey, ViewId};
use flagstone_model::limits::{MAX_ENVIRONMENT_INSTRUCTIONS, MAX_LINES, MAX_STORED_BYTES};

use super::State;
use super::entity::{EnvironmentState, FlagInEnvironment, ListState, SegmentState};
use crate::author::{Segment, ViewDefinition};

/// Most raw bytes of an environment's keyed views; a reader takes 32 MiB.
pub const MAX_KEYED_BYTES: usize = 28 * 1024 * 1024;
/// Most raw bytes of an environment's public views: the digests in them pack to half, and a reader takes 8 MiB stored.
pub const MAX_PUBLIC_BYTES: usize = 14 * 1024 * 1024;
/// Most bytes of an environment's keyed views when they are packed; a reader takes 8 MiB.
pub const MAX_PACKED_BYTES: usize = 7 * 1024 * 1024;
/// How hard is packed to find out: a snapshot that is stored is packed harder.
const PACKING_LEVEL: i32 = 1;

/// An environment that would have more than it may, and more than it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overfull<'s> {
    environment: &'s EnvironmentId,
    what: Limit,
    size: usize,
}

/// What has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Lines,
    Instructions,
    Keyed,
    Public,
    Packed,
}

impl Limit {
    const fn max(self) -> usize {
        match self {
            Self::Lines => MAX_LINES,
            Self::Instructions => MAX_ENVIRONMENT_INSTRUCTIONS,
            Self::Keyed => MAX_KEYED_BYTES,
            Self::Public => MAX_PUBLIC_BYTES,
            Self::Packed => MAX_PACKED_BYTES,
        }
    }

    /// What a flag takes.
    fn of_flag(self, environment: &EnvironmentState, key: &FlagKey, flag: &FlagInEnvironment) -> usize {
        let line = match self {
            _ if flag.is_archived() => return 0,
            Self::Lines => return flag.targeting.authored.checks.len().saturating_add(1),
            Self::Instructions => return flag.targeting.authored.instructions(),
            Self::Public if !flag.flag.definition.client_visible => return 0,
            Self::Public => match flag.redacted(environment.redactor()) {
                Ok(line) => line,
                Err(_) => return 0,
            },
            Self::Keyed | Self::Packed => flag.line(),
        };
        let keys = key.as_str().len().saturating_mul(2);
        let checks = flag.targeting.authored.checks.len().saturating_mul(keys);
        let checks = checks.saturating_add(flag.targeting.check_bytes);
        flag.size_of(line).saturating_add(checks).saturating_add(1)
    }

    /// What a segment takes.
    fn of_segment(self, environment: &EnvironmentState, key: &SegmentKey, segment: &SegmentState) -> usize {
        let Some(line) = segment.line(key) else { return 0 };
        match self {
            Self::Lines => 1,
            Self::Instructions => segment.segment.as_ref().map_or(0, Segment::instructions),
            Self::Public => {
                let redacted = segment.redacted(key, environment.redactor()).and_then(Result::ok);
                redacted.map_or(0, |line| line.len().saturating_add(1))
            }
            Self::Keyed | Self::Packed => line.len().saturating_add(1),
        }
    }

    /// What a list takes.
    fn of_list(self, key: &ListKey, list: &ListState) -> usize {
        match (self, list.line(key)) {
            (Self::Instructions | Self::Public, _) | (_, None) => 0,
            (Self::Lines, Some(_)) => 1,
            (Self::Keyed | Self::Packed, Some(line)) => line.len().saturating_add(1),
        }
    }

    /// What the line of the environment itself takes.
    fn of_own(self, environment: &EnvironmentState, project: &ProjectId) -> usize {
        match self {
            Self::Lines => 1,
            Self::Instructions => 0,
            Self::Keyed | Self::Public | Self::Packed => {
                environment.own_line(project, &ViewId::server()).len().saturating_add(1)
            }
        }
    }

    /// What an environment takes by what it does not share with another one.
    fn apart(self, environment: &EnvironmentState, other: &EnvironmentState, project: &ProjectId) -> usize {
        let flags = environment.flags.iter_apart(&other.flags);
        let flags = flags.map(|(key, flag)| self.of_flag(environment, key, flag));
        let segments = environment.segments.iter_apart(&other.segments);
        let segments = segments.map(|(key, segment)| self.of_segment(environment, key, segment));
        let lists = environment.lists.iter_apart(&other.lists).map(|(key, list)| self.of_list(key, list));
        let own = self.of_own(environment, project);
        flags.chain(segments).chain(lists).chain([own]).fold(0, usize::saturating_add)
    }

    /// What an environment takes in all.
    fn all(self, environment: &EnvironmentState, project: &ProjectId) -> usize {
        let is_visible = |flag: &Arc<FlagInEnvironment>| flag.flag.definition.client_visible;
        if self == Self::Public && !environment.flags.values().any(is_visible) {
            return 0;
        }
        let flags = environment.flags.iter().map(|(key, flag)| self.of_flag(environment, key, flag));
        let segments =
            environment.segments.iter().map(|(key, segment)| self.of_segment(environment, key, segment));
        let lists = environment.lists.iter().map(|(key, list)| self.of_list(key, list));
        let own = self.of_own(environment, project);
        let all = flags.chain(segments).chain(lists).chain([own]).fold(0, usize::saturating_add);
        if self != Self::Public || all <= self.max() {
            return all;
        }
        // Perhaps no client gets to some of the segments. Of all public views `client` has every line.
        let reached = environment.reached(&ViewDefinition::CLIENT);
        let flags = reached.flags.into_iter().map(|(key, flag)| self.of_flag(environment, key, flag));
        let segments = reached.segments.into_iter();
        let segments = segments.map(|(key, segment)| self.of_segment(environment, key, segment));
        flags.chain(segments).chain([own]).fold(0, usize::saturating_add)
    }
}

impl fmt::Display for Overfull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { environment, what, size } = self;
        let remedy = "archive flags, delete segments, or move keys into lists";
        match what {
            Limit::Lines => {
                write!(f, "environment `{environment}` has at most {MAX_LINES} lines, checks included")
            }
            Limit::Instructions => write!(
                f,
                "the regular expressions of environment `{environment}` would have {size} instructions together, repeats \
                 written out, at most {MAX_ENVIRONMENT_INSTRUCTIONS} are allowed; count less, or test with `in`, \
                 `starts`, `ends`, or a list"
            ),
            Limit::Keyed => write!(
                f,
                "the lines of environment `{environment}` would have {size} bytes, at most {MAX_KEYED_BYTES} are \
                 allowed; {remedy}"
            ),
            Limit::Public => write!(
                f,
                "the lines that clients get of environment `{environment}` would have {size} bytes, at most \
                 {MAX_PUBLIC_BYTES} are allowed; make fewer flags client-visible, or use fewer operands"
            ),
            Limit::Packed => write!(
                f,
                "the lines of environment `{environment}` would have {size} bytes when they are packed, at most \
                 {MAX_PACKED_BYTES} are allowed; {remedy}"
            ),
        }
    }
}

impl State {
    /// An environment that has more than it may, and more than in the state `before`.
    pub(super) fn overfull(&self, before: &Self) -> Option<Overfull<'_>> {
        self.environments().find_map(|(id, environment)| {
            let then = before.environment(id.as_str());
            if then.is_some_and(|then| Arc::ptr_eq(then, environment)) {
                return None;
            }
            let (what, size) = environment.outgrown(then.map(|then| &**then), &self.id)?;
            Some(Overfull { environment: id, what, size })
        })
    }
}

impl EnvironmentState {
    /// The limit that it is over, if it was not `then`, or by less; and what it takes of that.
    fn outgrown(&self, then: Option<&Self>, project: &ProjectId) -> Option<(Limit, usize)> {
        let has_grown = |what: Limit| {
            then.is_none_or(|then| what.apart(then, self, project) < what.apart(self, then, project))
        };
        for what in [Limit::Lines, Limit::Instructions, Limit::Keyed, Limit::Public] {
            if !has_grown(what) {
                continue;
            }
            let size = what.all(self, project);
            if size > what.max() && then.is_none_or(|then| what.all(then, project) < size) {
                return Some((what, size));
            }
            // What is smaller raw is no larger packed.
            if what == Limit::Keyed && size as u64 > MAX_STORED_BYTES {
                let packed = self.packed_bytes(project);
                if packed > MAX_PACKED_BYTES {
                    return Some((Limit::Packed, packed));
                }
            }
        }
        None
    }

    /// How large its view `server` is when it is packed; without a compressor, the worst.
    fn packed_bytes(&self, project: &ProjectId) -> usize {
        let mut raw = self.lines(project, &ViewId::server()).join("\n");
        raw.push('\n');
        encode_zstd_level(raw.as_bytes(), PACKING_LEVEL).map_or(usize::MAX, |(stored, _)| stored.len())
    }
}
