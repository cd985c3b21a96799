//! How much room an environment takes in its snapshots, and whether there is any left (FORMAT M-1.15).
//!
//! What is written and can not be published would hold up everything after it, kill switches too. So a change after which
//! an environment has more than it may, and more than before, is refused when it is written. One that only switches flags
//! always passes, without a look at anything else. Checks that are made for an environment are not counted: they fill
//! what is left.

use core::fmt;
use std::sync::Arc;

use flagstone_bundle::container::{encode_gzip, encode_zstd_level};
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, ProjectId, SegmentKey, ViewId};
use flagstone_model::limits::{MAX_ENVIRONMENT_INSTRUCTIONS, MAX_LINES, MAX_STORED_BYTES};

use super::State;
use super::entity::{EnvironmentState, FlagInEnvironment, ListState, SegmentState};
use crate::author::{Audience, Segment, Targeting, ViewDefinition};

/// Most raw bytes of an environment's keyed views; a reader takes 32 MiB.
pub const MAX_KEYED_BYTES: usize = 28 * 1024 * 1024;
/// Most raw bytes of an environment's public views; a reader takes 32 MiB, but a client has less memory than a server.
pub const MAX_PUBLIC_BYTES: usize = 14 * 1024 * 1024;
/// Most bytes of an environment's keyed views, and of its public ones, when they are packed; a reader takes 8 MiB.
pub const MAX_PACKED_BYTES: usize = 7 * 1024 * 1024;
/// Most bytes of the checks that are made for a view that is over [`MAX_PACKED_BYTES`] with them.
pub(super) const MAX_MADE_BYTES: usize = 1024 * 1024;
const _: () = assert!((MAX_PACKED_BYTES + MAX_MADE_BYTES) as u64 <= MAX_STORED_BYTES);
/// How hard keyed views are packed to find out: a snapshot that is stored is packed harder.
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
    /// What every line adds to.
    Sum(Sum),
    /// The bytes of all lines when they are packed.
    Packed(Audience),
}

/// What every line adds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sum {
    Lines,
    Instructions,
    Bytes(Audience),
}

impl Limit {
    /// Every limit, that of the raw bytes before that of the packed ones.
    const ALL: [Self; 6] = [
        Self::Sum(Sum::Lines),
        Self::Sum(Sum::Instructions),
        Self::Sum(Sum::Bytes(Audience::Keyed)),
        Self::Packed(Audience::Keyed),
        Self::Sum(Sum::Bytes(Audience::Public)),
        Self::Packed(Audience::Public),
    ];

    const fn max(self) -> usize {
        match self {
            Self::Sum(sum) => sum.max(),
            Self::Packed(_) => MAX_PACKED_BYTES,
        }
    }

    /// What an environment takes of it.
    fn taken(self, environment: &EnvironmentState, project: &ProjectId) -> usize {
        match self {
            Self::Sum(sum) => sum.of(environment, project),
            Self::Packed(audience) => {
                let raw = Sum::Bytes(audience).of(environment, project);
                // Text packs, if only a little: what has room as it is has room packed.
                if raw > MAX_PACKED_BYTES { environment.packed_bytes(audience, project) } else { raw }
            }
        }
    }
}

impl Sum {
    const fn max(self) -> usize {
        match self {
            Self::Lines => MAX_LINES,
            Self::Instructions => MAX_ENVIRONMENT_INSTRUCTIONS,
            Self::Bytes(Audience::Keyed) => MAX_KEYED_BYTES,
            Self::Bytes(Audience::Public) => MAX_PUBLIC_BYTES,
        }
    }

    /// What a flag takes.
    fn of_flag(self, environment: &EnvironmentState, key: &FlagKey, flag: &FlagInEnvironment) -> usize {
        let line = match self {
            _ if flag.is_archived() => return 0,
            Self::Lines => return flag.targeting.authored.checks.len().saturating_add(1),
            Self::Instructions => return flag.targeting.authored.instructions(),
            Self::Bytes(Audience::Public) if !flag.flag.definition.client_visible => return 0,
            Self::Bytes(Audience::Public) => match flag.redacted(environment.redactor()) {
                Ok(line) => line,
                Err(_) => return 0,
            },
            Self::Bytes(Audience::Keyed) => flag.line(),
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
            Self::Bytes(Audience::Public) => {
                let redacted = segment.redacted(key, environment.redactor()).and_then(Result::ok);
                redacted.map_or(0, |line| line.len().saturating_add(1))
            }
            Self::Bytes(Audience::Keyed) => line.len().saturating_add(1),
        }
    }

    /// What a list takes.
    fn of_list(self, key: &ListKey, list: &ListState) -> usize {
        match (self, list.line(key)) {
            (Self::Instructions | Self::Bytes(Audience::Public), _) | (_, None) => 0,
            (Self::Lines, Some(_)) => 1,
            (Self::Bytes(Audience::Keyed), Some(line)) => line.len().saturating_add(1),
        }
    }

    /// What the line of the environment itself takes.
    fn of_own(self, environment: &EnvironmentState, project: &ProjectId) -> usize {
        match self {
            Self::Lines => 1,
            Self::Instructions => 0,
            Self::Bytes(_) => environment.own_line(project, &ViewId::server()).len().saturating_add(1),
        }
    }

    /// What an environment takes in all.
    fn of(self, environment: &EnvironmentState, project: &ProjectId) -> usize {
        let is_public = self == Self::Bytes(Audience::Public);
        let is_visible = |flag: &Arc<FlagInEnvironment>| flag.flag.definition.client_visible;
        if is_public && !environment.flags.values().any(is_visible) {
            return 0;
        }
        let flags = environment.flags.iter().map(|(key, flag)| self.of_flag(environment, key, flag));
        let segments =
            environment.segments.iter().map(|(key, segment)| self.of_segment(environment, key, segment));
        let lists = environment.lists.iter().map(|(key, list)| self.of_list(key, list));
        let own = self.of_own(environment, project);
        let all = flags.chain(segments).chain(lists).chain([own]).fold(0, usize::saturating_add);
        if !is_public || all <= self.max() {
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
        let fewer = "make fewer flags client-visible, or use fewer operands";
        match what {
            Limit::Sum(Sum::Lines) => {
                write!(f, "environment `{environment}` has at most {MAX_LINES} lines, checks included")
            }
            Limit::Sum(Sum::Instructions) => write!(
                f,
                "the regular expressions of environment `{environment}` would have {size} instructions together, repeats \
                 written out, at most {MAX_ENVIRONMENT_INSTRUCTIONS} are allowed; count less, or test with `in`, \
                 `starts`, `ends`, or a list"
            ),
            Limit::Sum(Sum::Bytes(Audience::Keyed)) => write!(
                f,
                "the lines of environment `{environment}` would have {size} bytes, at most {MAX_KEYED_BYTES} are \
                 allowed; {remedy}"
            ),
            Limit::Sum(Sum::Bytes(Audience::Public)) => write!(
                f,
                "the lines that clients get of environment `{environment}` would have {size} bytes, at most \
                 {MAX_PUBLIC_BYTES} are allowed; {fewer}"
            ),
            Limit::Packed(Audience::Keyed) => write!(
                f,
                "the lines of environment `{environment}` would have {size} bytes when they are packed, at most \
                 {MAX_PACKED_BYTES} are allowed; {remedy}"
            ),
            Limit::Packed(Audience::Public) => write!(
                f,
                "the lines that clients get of environment `{environment}` would have {size} bytes when they are \
                 packed, at most {MAX_PACKED_BYTES} are allowed; {fewer}"
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
        if then.is_some_and(|then| self.is_switched(then)) {
            return None;
        }
        Limit::ALL.into_iter().find_map(|limit| {
            let size = limit.taken(self, project);
            let is_over = size > limit.max() && then.is_none_or(|then| limit.taken(then, project) < size);
            is_over.then_some((limit, size))
        })
    }

    /// Whether it is what it was `then`, but for flags that were switched on or off.
    fn is_switched(&self, then: &Self) -> bool {
        let was = |(key, flag): (&FlagKey, &Arc<FlagInEnvironment>)| {
            then.flags.get(key).is_some_and(|then| Arc::ptr_eq(flag, then) || flag.is_switched(then))
        };
        let segment_was = |(key, segment): (&SegmentKey, &Arc<SegmentState>)| {
            then.segments.get(key).is_some_and(|then| Arc::ptr_eq(segment, then))
        };
        let list_was = |(key, list): (&ListKey, &Arc<ListState>)| {
            then.lists.get(key).is_some_and(|then| Arc::ptr_eq(list, then))
        };
        self.environment == then.environment
            && self.client_salt == then.client_salt
            && Arc::ptr_eq(&self.attributes, &then.attributes)
            && self.flags.iter_apart(&then.flags).all(was)
            && self.segments.iter_apart(&then.segments).all(segment_was)
            && self.lists.iter_apart(&then.lists).all(list_was)
    }

    /// How large its view `server` or `client` is when it is packed, with all checks that were written, whether they hold
    /// or rest, and with none that is made for it; without a compressor, the worst.
    fn packed_bytes(&self, audience: Audience, project: &ProjectId) -> usize {
        let mut raw = String::new();
        let mut add = |line: &str| {
            raw.push_str(line);
            raw.push('\n');
        };
        match audience {
            Audience::Keyed => {
                self.live_flags()
                    .flat_map(|(key, flag)| flag.written_checks(key))
                    .for_each(|line| add(&line));
                self.lines_but_checks(project, &ViewId::server()).iter().for_each(|line| add(line));
            }
            Audience::Public => {
                let redactor = self.redactor();
                let reached = self.reached(&ViewDefinition::CLIENT);
                let checks = reached.flags.iter().flat_map(|(key, flag)| flag.written_checks(key));
                checks.filter(|line| redactor.shows_check(line)).for_each(|line| add(&line));
                let lines = self.redacted_lines(project, &ViewId::client(), reached);
                lines.iter().flatten().for_each(|line| add(line));
            }
        }
        let packed = match audience {
            Audience::Keyed => encode_zstd_level(raw.as_bytes(), PACKING_LEVEL),
            Audience::Public => encode_gzip(raw.as_bytes()),
        };
        packed.map_or(usize::MAX, |(stored, _)| stored.len())
    }
}

impl FlagInEnvironment {
    /// Whether it is what it was `then`, but switched on or off.
    fn is_switched(&self, then: &Self) -> bool {
        let (now, was) = (&self.targeting, &then.targeting);
        Arc::ptr_eq(&self.flag, &then.flag)
            && now.splits.buckets_like(&was.splits)
            && now.authored == Targeting { on: now.authored.on, ..was.authored.clone() }
    }
}
