//! Local overrides, for tests and development (FORMAT M-8.6).

use std::sync::Arc;

use flagstone_model::value::{FlagType, Value};

use crate::flag::{Entity, Flag, FlagBody, Variation};
use crate::links::Links;
use crate::snapshot::Snapshot;

/// The name of the variation of an override whose value is that of no variation. None that is published has it.
pub const OVERRIDE_VARIATION: &str = "(override)";

/// What a flag serves in place of what was published.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Override {
    /// A value. It is served as the variation of this value if the flag has one, else as [`OVERRIDE_VARIATION`].
    Value(Value),
    /// One of the flag's own variations, by its key. Where the flag has none of this key, nothing is overridden.
    Variation(Arc<str>),
}

impl<V: Into<Value>> From<V> for Override {
    fn from(value: V) -> Self {
        Self::Value(value.into())
    }
}

impl Snapshot {
    /// This snapshot with overrides in force, and the keys of those that are, in the order given.
    ///
    /// An overridden flag is on, has no rules and no needs, and serves one variation to everybody: asked for by name
    /// or in a condition, its answer is the same, and evaluating it costs no more than any flag does.
    pub fn with_overrides<'o>(
        &self,
        overrides: impl IntoIterator<Item = (&'o Arc<str>, &'o Override)>,
    ) -> (Self, Vec<Arc<str>>) {
        let mut next = self.clone();
        let mut in_force = Vec::new();
        let mut edges = None;
        for (key, wanted) in overrides {
            let published = self.flags.find(key).and_then(|flag| flag.body.as_ref());
            let Some(body) = wanted.body(published) else { continue };
            let flag =
                Flag { key: key.clone(), body: Some(body), references: Box::default(), reads_clock: false };
            let before = next.flags.insert(Arc::new(flag));
            if before.is_some_and(|before| !before.references.is_empty()) {
                let edges = edges.get_or_insert_with(|| self.links.edges().clone());
                edges.remove(&Entity::Flag(key.clone()));
            }
            in_force.push(key.clone());
        }
        if let Some(edges) = edges {
            next.links = Arc::new(Links::new(edges));
        }
        (next, in_force)
    }

    /// These flags and all whose answer may depend on them; ascending. Keys of no flag are left out.
    pub fn dependents<'k>(&self, flags: impl IntoIterator<Item = &'k Arc<str>>) -> Vec<Arc<str>> {
        let flags = flags.into_iter().map(|key| Entity::Flag(key.clone())).collect();
        let reached = self.links.dependents(flags).into_iter().filter_map(|entity| match entity {
            Entity::Flag(key) => self.flags.find(&key).is_some().then_some(key),
            Entity::Segment(_) | Entity::List(_) => None,
        });
        reached.collect()
    }
}

impl Override {
    fn body(&self, published: Option<&FlagBody>) -> Option<FlagBody> {
        let rev = published.and_then(|flag| flag.rev);
        let mut of_published = published.into_iter().flat_map(|flag| &flag.variations);
        let (flag_type, key, value) = match self {
            Self::Variation(key) => {
                let named = of_published.find(|variation| variation.key == *key)?;
                (published?.flag_type, named.key.clone(), named.value.clone())
            }
            Self::Value(value) => {
                let value =
                    published.and_then(|flag| as_type(flag.flag_type, value)).unwrap_or(value.clone());
                let text = canonical(&value);
                // The order of values never matters (FORMAT M-8.5).
                let same = of_published
                    .filter(|variation| {
                        variation.value.flag_type() == value.flag_type()
                            && canonical(&variation.value) == text
                    })
                    .min_by_key(|variation| &variation.key);
                let key = same.map_or_else(|| OVERRIDE_VARIATION.into(), |variation| variation.key.clone());
                (value.flag_type(), key, value)
            }
        };
        Some(FlagBody {
            flag_type,
            on: true,
            understood: true,
            rev,
            variations: [Variation { key, value }].into(),
            off: None,
            fallthrough: Some(0),
            needs: Box::default(),
            rules: Box::default(),
        })
    }
}

/// The value as one of the flag's type, where its getters could read it (FORMAT M-2.3): an int for a float flag, and
/// anything for a JSON flag.
fn as_type(flag_type: FlagType, value: &Value) -> Option<Value> {
    if flag_type == value.flag_type() || !value.flag_type().is_readable_as(flag_type) {
        return None;
    }
    Value::from_json(flag_type, &value.to_json())
}

fn canonical(value: &Value) -> String {
    let mut text = String::new();
    value.write(&mut text);
    text
}
