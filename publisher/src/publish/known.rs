//! What a publisher remembers of a stream between two publications, so that cost follows the change.

use std::collections::VecDeque;
use std::sync::Arc;

use flagstone_bundle::container::StoredObject;
use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::Stream;

use super::cumulative::{self, Chosen, REACH};
use super::packing::Packing;
use super::proof::{Proven, Refusal};
use super::source::LineSource;
use crate::publication::{Claim, Step};

/// The newest contents of a stream, oldest first. They share what they have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    contents: VecDeque<(u64, Arc<Content>)>,
    newest: Option<Arc<Proven>>,
}

/// The content before the one to be published.
#[derive(Debug, Clone)]
pub(super) struct Previous {
    content: Arc<Content>,
    /// Missing if it was read back from the store; then what comes next is proven whole.
    proven: Option<Arc<Proven>>,
}

impl Previous {
    /// Its lines.
    pub(super) const fn content(&self) -> &Arc<Content> {
        &self.content
    }
}

impl Known {
    /// The content of this claim, if it is the newest known one.
    pub(super) fn of(&self, claim: &Claim) -> Option<Previous> {
        let (version, content) = self.contents.back()?;
        let same = *version == claim.version && content.content_hash() == claim.content;
        same.then(|| Previous { content: Arc::clone(content), proven: self.newest.clone() })
    }

    /// The proven content of this claim, if it is the newest known one.
    pub(super) fn proven(&self, claim: &Claim) -> Option<Arc<Proven>> {
        self.of(claim)?.proven
    }

    /// Remembers that this content, read back from the store, was claimed as `version`.
    pub(super) fn learn(&mut self, version: u64, content: Content) {
        self.contents = VecDeque::from([(version, Arc::new(content))]);
        self.newest = None;
    }

    /// Remembers that `proven` was claimed as `version`.
    pub(super) fn push(&mut self, version: u64, proven: Proven) {
        if self.contents.back().is_some_and(|(newest, _)| newest.checked_add(1) != Some(version)) {
            self.contents.clear();
        }
        self.contents.push_back((version, Arc::new(proven.content.clone())));
        if self.contents.len() > REACH {
            self.contents.pop_front();
        }
        self.newest = Some(Arc::new(proven));
    }

    fn oldest_since(&self, version: u64) -> Option<&Content> {
        self.contents.iter().find(|(known, _)| *known >= version).map(|(_, content)| &**content)
    }
}

/// What goes into the next version.
pub(super) struct Order {
    pub(super) stream: Stream,
    pub(super) version: u64,
    pub(super) at_ms: i64,
    pub(super) content: Content,
    pub(super) previous: Option<Previous>,
    /// Steps of the claim before; none across epochs.
    pub(super) history: Vec<Step>,
    pub(super) known: Known,
    pub(super) packing: Packing,
}

/// A content that may be announced, with all that is to be stored.
pub(super) struct Prepared {
    pub(super) proven: Proven,
    pub(super) object: StoredObject,
    pub(super) stored: Vec<u8>,
    /// The deltas, newest `since` first.
    pub(super) chosen: Vec<Chosen>,
    pub(super) history: Vec<Step>,
}

impl Order {
    /// Step 4 of FORMAT T-4.5: proves the content with the SDK's own loader, and each delta by applying it.
    pub(super) fn prepare(self, source: &dyn LineSource) -> Result<Prepared, Refusal> {
        let Self { stream, version, at_ms, content, previous, history, known, packing } = self;
        let change: Option<DeltaLines> = previous.as_ref().map(|previous| content.diff(&previous.content));
        let proven = match (previous.as_ref().and_then(|previous| previous.proven.as_ref()), &change) {
            (Some(before), Some(change)) => before.next(&stream, content, change)?,
            _ => Proven::whole(&stream, content)?,
        };
        let (stored, object) = proven.store(packing)?;
        let history = change.map_or_else(Vec::new, |change| {
            let touched = change.heads().map(|head| (head.name.to_owned(), head.key.to_owned()));
            cumulative::extend(&history, Step { version, at_ms, touched: touched.collect() })
        });
        let chosen = cumulative::choose(&history, &proven.content, &object, packing, source)?;
        for chosen in &chosen {
            let newest = previous.as_ref().map(|previous| &*previous.content);
            let bases = newest.into_iter().chain(known.oldest_since(chosen.delta.since));
            chosen.prove(bases, proven.content.content_hash())?;
        }
        Ok(Prepared { proven, object, stored, chosen, history })
    }
}
