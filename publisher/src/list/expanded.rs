//! A list with its keys at hand.

use std::cmp::Ordering;
use std::sync::Arc;

use flagstone_eval::List;

use super::ListContent;

/// A list and the keys of its base.
#[derive(Debug, Clone)]
pub struct Expanded {
    content: ListContent,
    base: Arc<List>,
}

impl Expanded {
    /// A list, and the base that it names.
    pub const fn new(content: ListContent, base: Arc<List>) -> Self {
        Self { content, base }
    }

    /// What the log keeps of it.
    pub const fn content(&self) -> &ListContent {
        &self.content
    }

    /// The keys of its base.
    pub fn base(&self) -> &List {
        &self.base
    }

    pub(super) fn shared_base(&self) -> Arc<List> {
        Arc::clone(&self.base)
    }

    /// Whether it has this key.
    pub fn contains(&self, key: &str) -> bool {
        let stands = |keys: &[Box<str>]| keys.binary_search_by(|present| (**present).cmp(key)).is_ok();
        stands(&self.content.add) || self.base.contains(key.as_bytes()) && !stands(&self.content.drop)
    }

    /// Whether it says what is so: it adds what the base does not hold, drops what it does, and counts the keys right.
    pub fn is_sound(&self) -> bool {
        let holds = |key: &str| self.base.contains(key.as_bytes());
        let Self { content, base } = self;
        let count = base.len().saturating_add(content.add.len()).checked_sub(content.drop.len());
        !content.add.iter().any(|key| holds(key))
            && content.drop.iter().all(|key| holds(key))
            && count.is_some_and(|count| count as u64 == content.count)
    }

    /// Its keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let (mut base, mut add) = (self.base.keys().peekable(), self.content.add.iter().peekable());
        let mut drop = self.content.drop.iter().peekable();
        core::iter::from_fn(move || {
            loop {
                let order = match (base.peek(), add.peek()) {
                    (None, None) => return None,
                    (None, Some(_)) => Ordering::Greater,
                    (Some(_), None) => Ordering::Less,
                    (Some(kept), Some(added)) => (*kept).cmp(&***added),
                };
                if order == Ordering::Greater {
                    return add.next().map(|key| &**key);
                }
                let key = base.next()?;
                let is_added = order == Ordering::Equal && add.next().is_some();
                let is_dropped = drop.next_if(|dropped| &***dropped == key).is_some();
                if is_added || !is_dropped {
                    return Some(key);
                }
            }
        })
    }

    /// Its keys as text, one a line.
    pub fn to_text(&self) -> String {
        let more: usize = self.content.add.iter().map(|key| key.len().saturating_add(1)).sum();
        let size = usize::try_from(self.content.base.raw_size).unwrap_or(0).saturating_add(more);
        let mut text = String::with_capacity(size);
        for key in self.keys() {
            text.push_str(key);
            text.push('\n');
        }
        text
    }
}
