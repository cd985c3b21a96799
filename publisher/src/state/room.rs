//! How much room an environment takes in its snapshots, and whether there is any left (FORMAT M-11.1, T-3.2).
//!
//! What is written and can not be published would hold up everything after it, kill switches too. So growth past a
//! limit is refused when it is written, while what takes no more than it took, as switching off does, always passes.

use core::fmt;
use std::sync::Arc;

use flagstone_bundle::container::encode_zstd_level;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_model::limits::{MAX_ENVIRONMENT_INSTRUCTIONS, MAX_LINES, MAX_STORED_BYTES};

use super::State;
use super::entity::EnvironmentState;
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

    fn of(self, environment: &EnvironmentState, project: &ProjectId) -> usize {
        match self {
            Self::Lines => environment.line_count(),
            Self::Instructions => environment.instructions(),
            Self::Keyed => environment.keyed_bytes(project),
            Self::Public => environment.public_bytes(project),
            Self::Packed => environment.packed_bytes(project),
        }
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
    /// How many lines it has in its largest view, the checks aside that are made for it: those give way.
    pub(super) fn line_count(&self) -> usize {
        let flags = self.live_flags().map(|(_, flag)| flag.targeting.authored.checks.len().saturating_add(1));
        let others = [self.live_segments().count(), self.live_lists().count(), 1];
        flags.chain(others).fold(0, usize::saturating_add)
    }

    /// How many instructions its expressions have together (FORMAT M-4.7).
    fn instructions(&self) -> usize {
        let flags = self.live_flags().map(|(_, flag)| flag.targeting.authored.instructions());
        let segments = self.live_segments().filter_map(|(_, segment)| segment.segment.as_ref());
        flags.chain(segments.map(Segment::instructions)).fold(0, usize::saturating_add)
    }

    fn outgrown(&self, then: Option<&Self>, project: &ProjectId) -> Option<(Limit, usize)> {
        let has_grown = |what: Limit, size: usize| then.is_none_or(|then| what.of(then, project) < size);
        for what in [Limit::Lines, Limit::Instructions, Limit::Keyed, Limit::Public] {
            let size = what.of(self, project);
            if size > what.max() && has_grown(what, size) {
                return Some((what, size));
            }
        }
        // What is smaller raw is no larger packed.
        let raw = self.keyed_bytes(project);
        if raw as u64 <= MAX_STORED_BYTES || !has_grown(Limit::Keyed, raw) {
            return None;
        }
        let size = Limit::Packed.of(self, project);
        (size > Limit::Packed.max()).then_some((Limit::Packed, size))
    }

    /// The raw bytes of its view `server`, which has every line that a keyed view has.
    fn keyed_bytes(&self, project: &ProjectId) -> usize {
        let flags = self.live_flags().map(|(key, flag)| {
            let checks = flag.targeting.authored.checks.len().saturating_mul(key.as_str().len() * 2);
            let checks = checks.saturating_add(flag.targeting.check_bytes);
            flag.size_of(flag.line()).saturating_add(checks)
        });
        let segments = self.live_segments().filter_map(|(key, segment)| Some(segment.line(key)?.len()));
        let lists = self.live_lists().filter_map(|(key, list)| Some(list.line(key)?.len()));
        let own = self.own_line(project, &ViewId::server()).len();
        let ends = self.line_count();
        flags.chain(segments).chain(lists).chain([own, ends]).fold(0, usize::saturating_add)
    }

    /// The raw bytes of its view `client`, which has every line that a public view has; not less, at least.
    fn public_bytes(&self, project: &ProjectId) -> usize {
        if !self.live_flags().any(|(_, flag)| flag.flag.definition.client_visible) {
            return 0;
        }
        let redactor = self.redactor();
        let flag = |(_, flag): (_, &Arc<super::FlagInEnvironment>)| {
            let line = flag.redacted(redactor).ok()?;
            Some(flag.size_of(line).saturating_add(flag.targeting.check_bytes).saturating_add(1))
        };
        let segment = |(key, segment): (_, &Arc<super::SegmentState>)| {
            Some(segment.redacted(key, redactor)?.ok()?.len().saturating_add(1))
        };
        let own = self.own_line(project, &ViewId::client()).len().saturating_add(1);
        let visible = self.live_flags().filter(|(_, flag)| flag.flag.definition.client_visible);
        let parts = visible.filter_map(flag).chain(self.live_segments().filter_map(segment));
        let most = parts.chain([own]).fold(0, usize::saturating_add);
        if most <= MAX_PUBLIC_BYTES {
            return most;
        }
        // Perhaps no client gets to some of the segments.
        let reached = self.reached(&ViewDefinition::CLIENT);
        let flags = reached.flags.into_iter().filter_map(flag);
        flags
            .chain(reached.segments.into_iter().filter_map(segment))
            .chain([own])
            .fold(0, usize::saturating_add)
    }

    /// How large its view `server` is when it is packed; without a compressor, the worst.
    fn packed_bytes(&self, project: &ProjectId) -> usize {
        let mut raw = self.lines(project, &ViewId::server()).join("\n");
        raw.push('\n');
        encode_zstd_level(raw.as_bytes(), PACKING_LEVEL).map_or(usize::MAX, |(stored, _)| stored.len())
    }
}
