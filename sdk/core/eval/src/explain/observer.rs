//! What may watch an evaluation.
//!
//! [`Evaluation`](crate::evaluate::Evaluation) is generic over its observer. `()` observes nothing, has no size, and
//! leaves no instruction behind; a [`Trace`] records every step, for an explanation.

use std::cell::RefCell;

use crate::evaluate::Details;
use crate::flag::{Condition, Flag, FlagBody, Rule};
use crate::table::Reference;
use crate::truth::Truth;

/// Told of every step of an evaluation: when it begins, and what it came to.
pub(crate) trait Observer<'s>: Copy {
    /// Whether the parts after a deciding one may be left out, as they may where nobody looks. Asked where there are
    /// some, and then they are.
    #[inline]
    fn hurries(self) -> bool {
        true
    }

    #[inline]
    fn all(self, parts: impl Iterator<Item = Truth>) -> Truth {
        Truth::all(parts)
    }

    #[inline]
    fn any(self, parts: impl Iterator<Item = Truth>) -> Truth {
        Truth::any(parts)
    }

    /// A condition or a rule begins.
    #[inline]
    fn enter(self) {}

    /// A segment or another flag begins.
    #[inline]
    fn follow(self) {}

    #[inline]
    fn condition(self, _condition: &'s Condition, _truth: Truth) {}

    #[inline]
    fn segment(self, _reference: &'s Reference, _truth: Truth) {}

    #[inline]
    fn flag(self, _flag: &'s Flag, _body: &'s FlagBody, _details: Details<'s>) {}

    /// With whether it decided, or stopped, the evaluation.
    #[inline]
    fn rule(self, _rule: &'s Rule, _decided: bool) {}

    /// The conditions of the rule that is evaluated came to this.
    #[inline]
    fn matched(self, _truth: Truth) {}
}

impl Observer<'_> for () {}

/// References that are followed in an explanation, one behind the other: what lies behind is evaluated and not told.
pub const MAX_EXPLAINED_DEPTH: usize = 8;
/// Steps of one explanation: conditions, segments, flags, and rules of other flags. The rest is evaluated and not told.
pub const MAX_EXPLAINED_STEPS: usize = 2_000;

/// One step of an evaluation and the steps inside it, in order.
pub(crate) struct Step<'s> {
    pub(crate) part: Part<'s>,
    /// What it came to; for a flag and a rule, what its conditions came to.
    pub(crate) truth: Truth,
    pub(crate) steps: Vec<Self>,
    /// Some of the steps inside are not recorded.
    pub(crate) cut: bool,
}

pub(crate) enum Part<'s> {
    Condition(&'s Condition),
    Segment(&'s Reference),
    Flag {
        flag: &'s Flag,
        body: &'s FlagBody,
        details: Details<'s>,
    },
    /// With whether it decided, or stopped, the evaluation.
    Rule {
        rule: &'s Rule,
        decided: bool,
    },
}

/// Records an evaluation, within limits.
#[derive(Default)]
pub(crate) struct Trace<'s> {
    open: RefCell<Open<'s>>,
}

#[derive(Default)]
struct Open<'s> {
    /// The steps so far of everything that is not finished, outermost first.
    frames: Vec<Frame<'s>>,
    steps: usize,
    /// Flags and segments that are being evaluated.
    depth: usize,
}

#[derive(Default)]
struct Frame<'s> {
    steps: Vec<Step<'s>>,
    matched: Option<Truth>,
    cut: bool,
    /// Nothing inside is recorded.
    closed: bool,
    /// The step itself is not.
    unrecorded: bool,
}

impl<'s> Trace<'s> {
    /// Records what `evaluate` does, and gives the steps, and whether some are left out.
    pub(crate) fn of(evaluate: impl FnOnce(&Self) -> Details<'s>) -> (Details<'s>, Vec<Step<'s>>, bool) {
        let trace = Self::default();
        trace.open.borrow_mut().frames.push(Frame::default());
        let details = evaluate(&trace);
        let frame = trace.open.into_inner().frames.pop().unwrap_or_default();
        (details, frame.steps, frame.cut)
    }

    fn begin(&self, follows: bool) {
        let mut open = self.open.borrow_mut();
        let Open { frames, steps, depth } = &mut *open;
        let full = *steps >= MAX_EXPLAINED_STEPS && *depth > 0;
        let unrecorded = match frames.last_mut() {
            Some(frame) if frame.closed => true,
            Some(frame) if full => {
                frame.cut = true;
                true
            }
            _ => false,
        };
        if !unrecorded {
            *steps = steps.saturating_add(1);
        }
        let closed = unrecorded || follows && *depth >= MAX_EXPLAINED_DEPTH;
        frames.push(Frame { closed, cut: closed, unrecorded, ..Frame::default() });
        *depth = depth.saturating_add(usize::from(follows));
    }

    fn end(&self, follows: bool, told: impl FnOnce(Option<Truth>) -> (Part<'s>, Truth)) {
        let mut open = self.open.borrow_mut();
        open.depth = open.depth.saturating_sub(usize::from(follows));
        let Frame { steps, matched, cut, unrecorded, .. } = open.frames.pop().unwrap_or_default();
        if unrecorded {
            return;
        }
        let (part, truth) = told(matched);
        if let Some(frame) = open.frames.last_mut() {
            frame.steps.push(Step { part, truth, steps, cut });
        }
    }

    /// Whether nothing more is recorded in what is open. Its steps are then cut, for some were to come.
    fn closes(&self) -> bool {
        let mut open = self.open.borrow_mut();
        let full = open.steps >= MAX_EXPLAINED_STEPS;
        let Some(frame) = open.frames.last_mut() else { return true };
        frame.cut |= full || frame.closed;
        full || frame.closed
    }
}

impl<'s> Observer<'s> for &Trace<'s> {
    fn hurries(self) -> bool {
        self.closes()
    }

    fn all(self, mut parts: impl Iterator<Item = Truth>) -> Truth {
        let mut least = Truth::True;
        while let Some(part) = parts.next() {
            least = least.min(part);
            // Parts are conditions of a slice, whose number is known.
            if least == Truth::False && parts.size_hint().0 > 0 && self.closes() {
                break;
            }
        }
        least
    }

    fn any(self, parts: impl Iterator<Item = Truth>) -> Truth {
        self.all(parts.map(Truth::not)).not()
    }

    fn enter(self) {
        self.begin(false);
    }

    fn follow(self) {
        self.begin(true);
    }

    fn condition(self, condition: &'s Condition, truth: Truth) {
        self.end(false, |_| (Part::Condition(condition), truth));
    }

    fn segment(self, reference: &'s Reference, truth: Truth) {
        self.end(true, |_| (Part::Segment(reference), truth));
    }

    fn flag(self, flag: &'s Flag, body: &'s FlagBody, details: Details<'s>) {
        self.end(true, |_| (Part::Flag { flag, body, details }, Truth::True));
    }

    fn rule(self, rule: &'s Rule, decided: bool) {
        // A rule that cannot be read has no conditions to come to anything.
        self.end(false, |matched| (Part::Rule { rule, decided }, matched.unwrap_or(Truth::Unsupported)));
    }

    fn matched(self, truth: Truth) {
        if let Some(frame) = self.open.borrow_mut().frames.last_mut() {
            frame.matched = Some(truth);
        }
    }
}
