//! Whether a content may be announced: asked of the SDK's own loader (FORMAT T-4.5, step 4).

use std::collections::BTreeSet;
use std::sync::Arc;

use flagstone_bundle::ObjectError;
use flagstone_bundle::container::{Caps, ContainerError, StoredObject};
use flagstone_bundle::content::{Content, ContentError};
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::Stream;
use flagstone_eval::{BrokenReference, Entity, Problem, Report, Snapshot, Update};
use flagstone_model::json::Json;

use super::checked::{failed, holding_back, key, leaving_out, may_wait, not_understood, of_checks, without};
use super::packing::Packing;
use super::withheld::Withheld;

/// Most faults that are told one by one.
const TOLD: usize = 10;

/// Why a content may not be announced. It is the builder's fault: a client would serve less than was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A client could not read it at all.
    #[error(transparent)]
    Unreadable(#[from] ObjectError),
    /// Lines or parts of lines that this release's SDK can not read or does not understand.
    #[error(
        "{count} places in the lines are not understood, the first in the {kind} `{key}` at {pointer:?}: {code}"
    )]
    NotUnderstood {
        /// How many.
        count: usize,
        /// Kind of the first one's line.
        kind: String,
        /// Key of the first one's line.
        key: String,
        /// Where in that line.
        pointer: String,
        /// What is wrong there.
        code: &'static str,
    },
    /// References that lead nowhere, in a circle, or too far.
    #[error("{count} references are broken, the first from {from} to {to}: {code}")]
    BrokenReference {
        /// How many.
        count: usize,
        /// Whose the first one is.
        from: String,
        /// Where it leads.
        to: String,
        /// What is wrong with it.
        code: &'static str,
    },
    /// A check does not hold.
    #[error("the check `{check}` of flag `{flag}` does not hold")]
    Check {
        /// The flag.
        flag: String,
        /// The check's key; `generated/N` is the Nth of those that are not published.
        check: String,
    },
    /// The environment line is missing or names another stream.
    #[error("the environment line is missing or names another stream")]
    WrongStream,
    /// What was stored does not read back as what was built.
    #[error("the stored content does not read back as it was built")]
    ReadBack,
    /// A delta does not lead to the content.
    #[error("the delta since version {since} does not lead to the content")]
    Delta {
        /// Its base.
        since: u64,
    },
}

impl From<ContainerError> for Refusal {
    fn from(error: ContainerError) -> Self {
        Self::Unreadable(error.into())
    }
}

impl From<ContentError> for Refusal {
    fn from(error: ContentError) -> Self {
        Self::Unreadable(error.into())
    }
}

impl Refusal {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "content-unreadable",
            Self::NotUnderstood { .. } => "content-not-understood",
            Self::BrokenReference { .. } => "reference-broken",
            Self::Check { .. } => "check-failed",
            Self::WrongStream => "content-of-another-stream",
            Self::ReadBack => "content-not-read-back",
            Self::Delta { .. } => "delta-wrong",
        }
    }

    fn not_understood(problems: &[Problem], headless: usize) -> Self {
        for problem in problems.iter().take(TOLD) {
            let (kind, key, pointer) = (&problem.kind, &problem.key, &problem.pointer);
            tracing::error!(%kind, %key, %pointer, why = problem.why.code(), "a built line is not understood");
        }
        let first = problems.first();
        Self::NotUnderstood {
            count: problems.len().saturating_add(headless),
            kind: first.map_or("line", |problem| &*problem.kind).to_owned(),
            key: first.map_or("", |problem| &*problem.key).to_owned(),
            pointer: first.map(|problem| problem.pointer.clone()).unwrap_or_default(),
            code: first.map_or("headless", |problem| problem.why.code()),
        }
    }

    fn broken(references: &[BrokenReference]) -> Option<Self> {
        let first = references.first()?;
        Some(Self::BrokenReference {
            count: references.len(),
            from: named(&first.from),
            to: named(&first.to),
            code: first.code,
        })
    }
}

fn named(entity: &Entity) -> String {
    match entity {
        Entity::Flag(key) => format!("flag `{key}`"),
        Entity::Segment(key) => format!("segment `{key}`"),
        Entity::List(key) => format!("list `{key}`"),
    }
}

/// A content that a client would load and understand in full, and its compiled form.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    pub(super) content: Content,
    snapshot: Snapshot,
    /// What is not in it as it was built.
    pub(super) withheld: Withheld,
}

impl Proven {
    /// Proves a content from its first line.
    pub(super) fn whole(stream: &Stream, content: Content) -> Result<Self, Refusal> {
        let (snapshot, report) = Snapshot::compile(content.lines());
        let flags = snapshot.flag_keys().cloned().collect();
        Self { content, snapshot, withheld: Withheld::default() }.checked(
            stream,
            Changed { flags, report },
            None,
        )
    }

    /// A content that was announced: whoever did so has proved it. What this release does not understand of it stays.
    pub(super) fn announced(content: Content) -> Self {
        let (snapshot, _) = Snapshot::compile(content.lines());
        Self { content, snapshot, withheld: Withheld::default() }
    }

    /// Proves the next content from what changed, on the SDK's own path of an update: cost follows the change.
    pub(super) fn next(
        &self,
        stream: &Stream,
        content: Content,
        change: &DeltaLines,
    ) -> Result<Self, Refusal> {
        let (snapshot, changed) = updated(&self.snapshot, change);
        let built = Self { content, snapshot, withheld: Withheld::default() };
        built.checked(stream, changed, Some(&self.content))
    }

    /// The rest of the proof.
    ///
    /// A flag that is off, or whose line is what it was `before`, loses the checks that do not hold, and nothing else:
    /// what is switched off waits for no check. Any other one is what it was before, and so is a line that is not
    /// understood; and if that does not do it is left out with all that asks for it. Only if that does not do either is
    /// the content refused.
    fn checked(
        self,
        stream: &Stream,
        mut changed: Changed,
        before: Option<&Content>,
    ) -> Result<Self, Refusal> {
        let mut proven = self;
        proven.refer_well(stream)?;
        // Each round takes flags and segments out of those that are others than before.
        loop {
            let Changed { flags, report } = &changed;
            let refusal = || Refusal::not_understood(&report.problems, report.headless_lines);
            if report.headless_lines > 0 {
                return Err(refusal());
            }
            let mut failures = not_understood(report).ok_or_else(refusal)?;
            failures.extend(failed(&proven.content, &proven.snapshot, flags));
            let Some(first) = failures.first() else { return Ok(proven) };
            let refusal = match &first.check {
                Some(check) => Refusal::Check { flag: key(&first.of).to_owned(), check: check.clone() },
                None => refusal(),
            };
            let (waiting, free): (Vec<_>, Vec<_>) =
                failures.into_iter().partition(|failed| may_wait(&failed.of, &proven.content, before));
            proven.withheld.faults.extend(waiting.iter().chain(&free).map(|failed| failed.fault.clone()));
            proven = proven.with(&without(&free)?)?.0;
            if waiting.is_empty() {
                return Ok(proven);
            }
            let waiting: BTreeSet<Entity> = waiting.into_iter().map(|failed| failed.of).collect();
            let held =
                before.map(|before| (holding_back(&proven.content, before, &waiting), waiting.clone()));
            let left_out = leaving_out(&proven.content, waiting)?;
            let next = held.into_iter().chain([left_out]).find_map(|(change, withheld)| {
                let (mut next, changed) = proven.with(&change).ok()?;
                next.refer_well(stream).ok()?;
                let flags = withheld.iter().filter(|entity| matches!(entity, Entity::Flag(_)));
                next.withheld.flags.extend(flags.map(|flag| key(flag).to_owned()));
                Some((next, changed))
            });
            (proven, changed) = next.ok_or(refusal)?;
        }
    }

    /// The same with another change.
    fn with(&self, change: &DeltaLines) -> Result<(Self, Changed), Refusal> {
        let (snapshot, changed) = updated(&self.snapshot, change);
        let (content, _) = self.content.apply(change)?;
        Ok((Self { content, snapshot, withheld: self.withheld.clone() }, changed))
    }

    /// Whether every reference leads somewhere, and the lines are those of this stream.
    fn refer_well(&self, stream: &Stream) -> Result<(), Refusal> {
        match Refusal::broken(&self.snapshot.broken_references()) {
            Some(refusal) => Err(refusal),
            None if names(&self.content, stream) => Ok(()),
            None => Err(Refusal::WrongStream),
        }
    }

    /// Stores the whole content and reads it back as a client does.
    pub(super) fn store(&self, packing: Packing) -> Result<(Vec<u8>, StoredObject), Refusal> {
        let (stored, object) = packing.snapshot(&self.content.raw())?;
        let read = Content::parse(&object.open(&stored, Caps::SNAPSHOT)?)?;
        let same = read.check(self.content.len() as u64, self.content.content_hash()).is_ok();
        if same { Ok((stored, object)) } else { Err(Refusal::ReadBack) }
    }
}

/// What is to be looked at after a change.
struct Changed {
    /// The flags whose answers or checks may be others.
    flags: BTreeSet<Arc<str>>,
    /// What is not understood of the lines that are new.
    report: Report,
}

fn updated(snapshot: &Snapshot, change: &DeltaLines) -> (Snapshot, Changed) {
    let Update { snapshot, changed, report, .. } = snapshot.update(change.upserts(), change.drops());
    let flags = changed.into_iter().chain(of_checks(change.heads())).collect();
    (snapshot, Changed { flags, report })
}

/// Whether there is exactly one environment line, and it names this stream.
fn names(content: &Content, stream: &Stream) -> bool {
    // Lines are sorted, so environment lines are neighbours; only checks and unknown kinds stand before them.
    let head = b"{\"environment\":".as_slice();
    let mut found = content.lines().skip_while(|line| *line < head).take_while(|line| line.starts_with(head));
    let (Some(line), None) = (found.next(), found.next()) else { return false };
    let Ok(json) = Json::parse(line) else { return false };
    let says = |member, id| json.member(member).and_then(Json::as_str) == Some(id);
    says("environment", stream.environment.as_str())
        && says("project", stream.project.as_str())
        && says("view", stream.view.as_str())
}
