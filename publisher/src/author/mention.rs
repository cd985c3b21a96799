//! What an authored document names: variations of its own flag, other flags, segments, salts.

use flagstone_model::key::{SegmentKey, VariationKey};

use super::condition::{Condition, FlagTest};
use super::problem::push_pointer;
use super::rule::{Fallthrough, Rollout, Then};
use super::segment::Segment;
use super::targeting::Targeting;

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
    /// A salt the author chose.
    Salt(&'a str),
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
            Condition::Segment(keys) => {
                for key in keys {
                    self.at("segment", Mentioned::Segment(key));
                }
            }
            Condition::Flag(test) => self.at("flag", Mentioned::Flag(test)),
            Condition::Bucket { bucket, .. } => {
                self.within("bucket", |walk| walk.at("salt", Mentioned::Salt(&bucket.salt)));
            }
            Condition::Attribute(_) | Condition::Time(_) => {}
        }
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
        walk.each("prerequisites", &self.prerequisites, |walk, test| walk.at("flag", Mentioned::Flag(test)));
        for (step, keys) in [("deny", &self.deny), ("targets", &self.targets)] {
            walk.within(step, |walk| {
                for key in keys.keys() {
                    walk.at(key.as_str(), Mentioned::Variation(key));
                }
            });
        }
        walk.each("rules", &self.rules, |walk, rule| {
            walk.each("if", &rule.when, Walk::condition);
            match &rule.then {
                Then::Serve(variation) => walk.at("serve", Mentioned::Variation(variation)),
                Then::Rollout(rollout) => walk.rollout(rollout),
                Then::Ramp(ramp) => walk.within("ramp", |walk| {
                    walk.at("serve", Mentioned::Variation(&ramp.serve));
                    if let Some(salt) = &ramp.salt {
                        walk.at("salt", Mentioned::Salt(salt));
                    }
                }),
            }
        });
        walk.within("fallthrough", |walk| match &self.fallthrough {
            None => {}
            Some(Fallthrough::Serve(variation)) => walk.at("serve", Mentioned::Variation(variation)),
            Some(Fallthrough::Rollout { rollout, without_key }) => {
                walk.rollout(rollout);
                if let Some(variation) = without_key {
                    walk.at("without_key", Mentioned::Variation(variation));
                }
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
