//! Salts: named once, kept for ever, and never two of one seed (FORMAT M-5.1, M-5.5).

use std::sync::Arc;

use flagstone_model::key::FlagKey;

use crate::author::ROLLOUT_RULE;

/// What a salt hashes to: the seed of every bucket under it.
pub use flagstone_eval::seed;

/// The salt of a rule that was not given one: the flag's key for its rollout, else `FLAG.RULE`.
pub fn default_salt(flag: &FlagKey, rule: &str) -> String {
    if rule == ROLLOUT_RULE { flag.to_string() } else { format!("{flag}.{rule}") }
}

/// A salt in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedSalt {
    /// The salt.
    pub salt: Arc<str>,
    /// Its seed.
    pub seed: u32,
    /// Who chose it.
    pub chosen: Chosen,
}

/// Who chose a salt. Authors may share one on purpose; the publisher never does by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// An author wrote it.
    ByAuthor,
    /// The publisher named it.
    ByPublisher,
}

impl UsedSalt {
    /// A salt, and who chose it.
    pub fn new(salt: impl Into<Arc<str>>, chosen: Chosen) -> Self {
        let salt = salt.into();
        Self { seed: seed(&salt), salt, chosen }
    }
}

/// The salts of an environment.
///
/// A change asks about few salts among many, so they are only gathered, and looked through when asked.
#[derive(Debug, Clone, Default)]
pub struct Salts<'a> {
    elsewhere: Vec<&'a UsedSalt>,
    own: Vec<UsedSalt>,
}

impl<'a> Salts<'a> {
    /// The salts in use elsewhere.
    pub fn elsewhere(salts: impl IntoIterator<Item = &'a UsedSalt>) -> Self {
        Self { elsewhere: salts.into_iter().collect(), own: Vec::new() }
    }

    /// Adds a salt that is in use.
    pub fn insert(&mut self, salt: UsedSalt) {
        self.own.push(salt);
    }

    /// The salts of this seed.
    fn of_seed(&self, seed: u32) -> impl Iterator<Item = &UsedSalt> {
        self.elsewhere.iter().copied().chain(&self.own).filter(move |used| used.seed == seed)
    }

    /// A different salt in use that has the seed of `salt`.
    pub fn collision(&self, salt: &str) -> Option<&str> {
        self.of_seed(seed(salt)).find_map(|used| (*used.salt != *salt).then_some(&*used.salt))
    }

    fn is_free(&self, salt: &str) -> bool {
        let taken = |used: &UsedSalt| *used.salt != *salt || used.chosen == Chosen::ByPublisher;
        !self.of_seed(seed(salt)).any(taken)
    }

    /// `wanted`, or with `.2`, `.3`, … appended until no other salt has its seed and no other default is equal.
    pub fn name(&self, wanted: String) -> String {
        if self.is_free(&wanted) {
            return wanted;
        }
        let named = (2..=u16::MAX).map(|number| format!("{wanted}.{number}")).find(|salt| self.is_free(salt));
        named.unwrap_or(wanted)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn salts(all: &[(&str, Chosen)]) -> Salts<'static> {
        let mut salts = Salts::default();
        for (salt, chosen) in all {
            salts.insert(UsedSalt::new(*salt, *chosen));
        }
        salts
    }

    #[test]
    fn the_seed_is_the_published_one() {
        // FORMAT M-12.8.
        assert_eq!(seed("search"), 0x76bd_ca26);
    }

    /// Found by hashing `flag-0`, `flag-1`, … until two seeds were equal.
    fn colliding() -> (String, String) {
        let mut seen = HashMap::new();
        for number in 0u32.. {
            let salt = format!("flag-{number}");
            if let Some(earlier) = seen.insert(seed(&salt), salt.clone()) {
                return (earlier, salt);
            }
        }
        unreachable!("there are more names than seeds")
    }

    #[test]
    fn a_default_salt_of_a_taken_seed_gets_a_number() {
        let (first, second) = colliding();
        let salts = salts(&[(&first, Chosen::ByPublisher)]);
        assert_eq!(salts.collision(&second), Some(&*first));
        assert_eq!(salts.name(second.clone()), format!("{second}.2"));
    }

    #[test]
    fn authors_may_share_a_salt_and_the_publisher_does_not() {
        let salts = salts(&[("a.b.c", Chosen::ByPublisher), ("layer", Chosen::ByAuthor)]);
        assert_eq!(salts.collision("a.b.c"), None);
        assert_eq!(salts.name("a.b.c".into()), "a.b.c.2");
        assert_eq!(salts.name("layer".into()), "layer");
    }
}
