//! The schedules of a targeting: everything in it that time changes.

use flagstone_model::instant::Instant;
use flagstone_model::key::VariationKey;

use super::bucket::Window;
use super::moment::Moment;
use super::problem::pointer;
use super::rule::{Fallthrough, ROLLOUT_RULE, RampTo, Rule, Then};
use super::targeting::{Target, Targeting};
use super::weight::Weight;

/// A part of a targeting that time changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduled<'a> {
    /// A JSON Pointer to it, in the normal form.
    pub pointer: String,
    /// What it is a part of.
    pub of: Place<'a>,
    /// What happens when.
    pub plan: Plan<'a>,
}

/// What is scheduled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place<'a> {
    /// The flag, whole.
    Flag,
    /// A targeting key that is denied everything but a variation.
    Deny(&'a VariationKey),
    /// A targeting key that is served a variation.
    Target(&'a VariationKey),
    /// A rule.
    Rule(&'a Rule),
    /// The fallthrough.
    Fallthrough,
}

/// What happens when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plan<'a> {
    /// It holds within a span of time.
    Window(&'a Window),
    /// It reaches a share that grows.
    Ramp(&'a RampTo),
    /// It holds for one key, until then.
    Until(&'a Target, &'a Moment),
}

impl Plan<'_> {
    /// When it changes something for the last time.
    pub fn last(&self) -> Option<Instant> {
        match self {
            Self::Window(window) => window.before.as_ref().or(window.since.as_ref()).map(Moment::at),
            Self::Ramp(to) => to.ramp.points.last().map(|(moment, _)| moment.at()),
            Self::Until(_, until) => Some(until.at()),
        }
    }

    /// Whether both say the same things of the same instants, however they are written.
    pub fn is_same(&self, other: &Self) -> bool {
        let at = |moment: &Option<Moment>| moment.as_ref().map(Moment::at);
        match (self, other) {
            (Self::Window(a), Self::Window(b)) => {
                at(&a.since) == at(&b.since) && at(&a.before) == at(&b.before)
            }
            (Self::Ramp(a), Self::Ramp(b)) => {
                let points =
                    |to: &RampTo| to.ramp.points.iter().map(|(at, n)| (at.at(), *n)).collect::<Vec<_>>();
                a.ramp.linear == b.ramp.linear && points(a) == points(b)
            }
            (Self::Until(a, at), Self::Until(b, bt)) => a.key == b.key && at.at() == bt.at(),
            _ => false,
        }
    }
}

impl Targeting {
    /// How far each of its ramps has got, by the id of its rule; that of the fallthrough is `rollout`.
    pub fn reached(&self, now: Instant) -> Vec<(&str, Weight)> {
        let ramps =
            self.schedules().into_iter().filter_map(|scheduled| match (scheduled.of, scheduled.plan) {
                (Place::Rule(rule), Plan::Ramp(to)) => Some((rule.id.as_str(), to)),
                (Place::Fallthrough, Plan::Ramp(to)) => Some((ROLLOUT_RULE, to)),
                _ => None,
            });
        ramps.filter_map(|(rule, to)| Some((rule, Weight::of_parts(to.ramp.reached(now))?))).collect()
    }

    /// Its schedules, in the order of evaluation. Conditions are not among them.
    pub fn schedules(&self) -> Vec<Scheduled<'_>> {
        let mut all = Vec::new();
        let mut add = |pointer: String, of, plan| all.push(Scheduled { pointer, of, plan });
        if let Some(window) = &self.schedule {
            add("/schedule".to_owned(), Place::Flag, Plan::Window(window));
        }
        for (member, keys, place) in [
            ("deny", &self.deny, Place::Deny as fn(_) -> _),
            ("targets", &self.targets, Place::Target as fn(_) -> _),
        ] {
            for (variation, targets) in keys {
                for (index, target) in targets.iter().enumerate() {
                    if let Some(until) = &target.until {
                        let at = pointer([member, variation.as_str(), &index.to_string(), "until"]);
                        add(at, place(variation), Plan::Until(target, until));
                    }
                }
            }
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let at = |member| pointer(["rules", &index.to_string(), member]);
            if let Some(window) = &rule.schedule {
                add(at("schedule"), Place::Rule(rule), Plan::Window(window));
            }
            if let Then::Ramp(ramp) = &rule.then {
                add(at("ramp"), Place::Rule(rule), Plan::Ramp(ramp));
            }
        }
        if let Some(Fallthrough::Ramp { ramp, .. }) = &self.fallthrough {
            add("/fallthrough/ramp".to_owned(), Place::Fallthrough, Plan::Ramp(ramp));
        }
        all
    }
}
