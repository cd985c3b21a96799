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
    /// Missing if it was read back from the store.
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
        // After a start nothing is proven, and a change does not wait until all of it is: only until it is compiled.
        let before = previous.as_ref().map(|previous| {
            let announced = || Arc::new(Proven::announced((*previous.content).clone()));
            previous.proven.clone().unwrap_or_else(announced)
        });
        let proven = match &before {
            Some(before) => {
                let change = content.diff(&before.content);
                before.next(&stream, content, &change)?
            }
            None => Proven::whole(&stream, content)?,
        };
        let change: Option<DeltaLines> =
            previous.as_ref().map(|previous| proven.content.diff(&previous.content));
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

#[cfg(test)]
mod tests {
    use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

    use super::*;
    use crate::publish::{Access, Built, SourceError};

    struct NoSource;

    #[async_trait::async_trait]
    impl LineSource for NoSource {
        async fn build(&self, _: &Stream, _: u64) -> Result<Built, SourceError> {
            Err(SourceError::new("none", "none"))
        }
    }

    fn flag(key: &str) -> String {
        format!(
            r#"{{"flag":"{key}","type":"bool","rev":1,"on":true,"values":{{"on":true}},"fallthrough":"on"}}"#
        )
    }

    #[test]
    fn after_a_start_only_what_changes_is_proven() {
        const CHECK: &str =
            r#"{"check":"a/1","flag":"a","at":"2026-01-01T00:00:00Z","expect":{"reason":"DISABLED"}}"#;
        const ENVIRONMENT: &str = r#"{"environment":"production","project":"shop","view":"server"}"#;
        let (a, b) = (flag("a"), flag("b"));
        let content = |lines: &[&str]| Content::from_lines(lines.iter().map(|line| line.as_bytes())).unwrap();
        // That a check of `a` does not hold is found only where `a` is looked at.
        let before = content(&[CHECK, ENVIRONMENT, &a]);
        let mut known = Known::default();
        known.learn(7, before.clone());
        let previous = Previous { content: Arc::new(before), proven: None };
        let order = |previous| Order {
            stream: Stream {
                project: ProjectId::parse("shop").unwrap(),
                environment: EnvironmentId::parse("production").unwrap(),
                view: ViewId::server(),
            },
            version: 8,
            at_ms: 0,
            content: content(&[CHECK, ENVIRONMENT, &a, &b]),
            previous,
            history: Vec::new(),
            known: known.clone(),
            packing: Packing::of(Access::Closed, 3),
        };
        let prepared = order(Some(previous)).prepare(&NoSource).unwrap();
        assert_eq!((prepared.proven.content.len(), prepared.proven.withheld.flags.len()), (4, 0));
        assert_eq!(prepared.history.last().map(|step| step.touched.len()), Some(1));
        let whole = order(None).prepare(&NoSource).unwrap();
        assert_eq!((whole.proven.content.len(), whole.proven.withheld.flags.len()), (2, 1));
    }
}
