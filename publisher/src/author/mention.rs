//! What an authored document names: variations of its own flag, other flags, segments, salts.

use flagstone_model::key::{ListKey, SegmentKey, VariationKey};

use super::bucket::{Ramp, Share, Window};
use super::condition::{Condition, FlagTest};
use super::leaf::AttributeTest;
use super::moment::Moment;
use super::problem::push_pointer;
use super::rule::{Fallthrough, RampTo, Rollout, Served, Then};
use super::segment::Segment;
use super::targeting::Targeting;
use super::term::Term;
use super::test::Test;

/// One mention of something outside of the document, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention<'a> {
    /// A JSON Pointer into the normal form.
    pub pointer: String,
    /// What is named.
    pub of: Mentioned<'a>,
}

/// What is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mentioned<'a> {
    /// A variation of the flag itself.
    Variation(&'a VariationKey),
    /// Another flag and variations of it.
    Flag(&'a FlagTest),
    /// A segment.
    Segment(&'a SegmentKey),
    /// A list.
    List(&'a ListKey),
    /// A salt the author chose.
    Salt(&'a str),
    /// A point in time.
    Moment(&'a Moment),
    /// An operand that may be published in another way than it is written.
    Term(&'a Term),
}

/// Gathers mentions while descending.
#[derive(Default)]
struct Walk<'a> {
    mentions: Vec<Mention<'a>>,
    pointer: String,
}

impl<'a> Walk<'a> {
    fn within(&mut self, step: &str, walk: impl FnOnce(&mut Self)) {
        let depth = self.pointer.len();
        push_pointer(&mut self.pointer, step);
        walk(self);
        self.pointer.truncate(depth);
    }

    fn at(&mut self, step: &str, of: Mentioned<'a>) {
        self.within(step, |walk| walk.mentions.push(Mention { pointer: walk.pointer.clone(), of }));
    }

    fn each<T>(&mut self, step: &str, all: &'a [T], walk_one: impl Fn(&mut Self, &'a T)) {
        self.within(step, |walk| {
            for (index, one) in all.iter().enumerate() {
                walk.within(&index.to_string(), |walk| walk_one(walk, one));
            }
        });
    }

    fn condition(&mut self, condition: &'a Condition) {
        match condition {
            Condition::All(inner) => self.each("all", inner, Self::condition),
            Condition::Any(inner) => self.each("any", inner, Self::condition),
            Condition::None(inner) => self.each("none", inner, Self::condition),
            Condition::Not(inner) => self.within("not", |walk| walk.condition(inner)),
            Condition::Segment(keys) => self.segments("segment", keys),
            Condition::NoSegment(keys) => self.segments("not_segment", keys),
            Condition::Flag(test) => self.at("flag", Mentioned::Flag(test)),
            Condition::Bucket { bucket, .. } => {
                self.within("bucket", |walk| {
                    walk.at("salt", Mentioned::Salt(&bucket.salt));
                    if let Share::Ramp(ramp) = &bucket.share {
                        walk.points("ramp", ramp);
                    }
                });
            }
            Condition::Time(window) => self.window("time", window, ["since", "before"]),
            Condition::Attribute(test) => self.attribute(test),
        }
    }

    fn segments(&mut self, step: &str, keys: &'a [SegmentKey]) {
        for key in keys {
            self.at(step, Mentioned::Segment(key));
        }
    }

    fn attribute(&mut self, attribute: &'a AttributeTest) {
        for (step, test) in attribute.named() {
            if let Test::Listed(list) = test {
                self.at(step, Mentioned::List(list));
            }
            for moment in test.moments() {
                self.at(step, Mentioned::Moment(moment));
            }
            if let Test::Cidr(networks) = test {
                self.each(step, networks, |walk, term| {
                    walk.mentions.push(Mention { pointer: walk.pointer.clone(), of: Mentioned::Term(term) });
                });
            } else {
                for term in test.terms() {
                    self.at(step, Mentioned::Term(term));
                }
            }
        }
    }

    fn window(&mut self, step: &str, window: &'a Window, [since, before]: [&str; 2]) {
        self.within(step, |walk| {
            for (step, moment) in [(since, &window.since), (before, &window.before)] {
                if let Some(moment) = moment {
                    walk.at(step, Mentioned::Moment(moment));
                }
            }
        });
    }

    fn points(&mut self, step: &str, ramp: &'a Ramp) {
        self.each(step, &ramp.points, |walk, (moment, _)| walk.at("0", Mentioned::Moment(moment)));
    }

    fn schedule(&mut self, schedule: Option<&'a Window>) {
        if let Some(window) = schedule {
            self.window("schedule", window, ["start", "end"]);
        }
    }

    fn ramp(&mut self, ramp: &'a RampTo) {
        self.within("ramp", |walk| {
            match &ramp.serve {
                Served::Variation(variation) => walk.at("serve", Mentioned::Variation(variation)),
                Served::Rollout(rollout) => walk.rollout(rollout),
            }
            if let Some(salt) = &ramp.salt {
                walk.at("salt", Mentioned::Salt(salt));
            }
            walk.points("steps", &ramp.ramp);
        });
    }

    fn rollout(&mut self, rollout: &'a Rollout) {
        self.within("rollout", |walk| {
            if let Some(salt) = &rollout.salt {
                walk.at("salt", Mentioned::Salt(salt));
            }
            walk.within("weights", |walk| {
                for key in rollout.weights.keys() {
                    walk.at(key.as_str(), Mentioned::Variation(key));
                }
            });
        });
    }
}

impl Targeting {
    /// Everything it names outside of itself, in the order it stands.
    pub fn mentions(&self) -> Vec<Mention<'_>> {
        let mut walk = Walk::default();
        if let Some(off) = self.off.variation() {
            walk.at("off", Mentioned::Variation(off));
        }
        walk.schedule(self.schedule.as_ref());
        walk.each("prerequisites", &self.prerequisites, |walk, test| walk.at("flag", Mentioned::Flag(test)));
        for (step, keys) in [("deny", &self.deny), ("targets", &self.targets)] {
            walk.within(step, |walk| {
                for (key, targets) in keys {
                    walk.at(key.as_str(), Mentioned::Variation(key));
                    walk.each(key.as_str(), targets, |walk, target| {
                        if let Some(until) = &target.until {
                            walk.at("until", Mentioned::Moment(until));
                        }
                    });
                }
            });
        }
        walk.each("holdouts", &self.holdouts, |walk, holdout| {
            walk.at("serve", Mentioned::Variation(&holdout.serve));
        });
        walk.each("rules", &self.rules, |walk, rule| {
            walk.schedule(rule.schedule.as_ref());
            walk.each("if", &rule.when, Walk::condition);
            match &rule.then {
                Then::Serve(variation) => walk.at("serve", Mentioned::Variation(variation)),
                Then::Rollout(rollout) => walk.rollout(rollout),
                Then::Ramp(ramp) => walk.ramp(ramp),
            }
        });
        walk.within("fallthrough", |walk| match &self.fallthrough {
            None => {}
            Some(Fallthrough::Serve(variation)) => walk.at("serve", Mentioned::Variation(variation)),
            Some(Fallthrough::Rollout { rollout, without_key, .. }) => {
                walk.rollout(rollout);
                if let Some(variation) = without_key {
                    walk.at("without_key", Mentioned::Variation(variation));
                }
            }
            Some(Fallthrough::Ramp { ramp, serve, .. }) => {
                walk.ramp(ramp);
                if let Some(variation) = serve {
                    walk.at("serve", Mentioned::Variation(variation));
                }
            }
        });
        walk.each("checks", &self.checks, |walk, check| {
            walk.at("at", Mentioned::Moment(&check.at));
            if let Some(Some(variation)) = &check.expect.variation {
                walk.within("expect", |walk| walk.at("variation", Mentioned::Variation(variation)));
            }
        });
        walk.mentions
    }
}

impl Segment {
    /// Everything it names outside of itself, in the order it stands.
    pub fn mentions(&self) -> Vec<Mention<'_>> {
        let mut walk = Walk::default();
        walk.each("rules", &self.rules, |walk, rule| walk.each("if", &rule.when, Walk::condition));
        walk.mentions
    }
}
