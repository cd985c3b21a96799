//! The lines of streams, for the publisher: built from the folded log, sifted where everybody may read them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use flagstone_bundle::container::StoredObject;
use flagstone_bundle::content::{Content, ContentError};
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::Stream;
use flagstone_model::instant::Instant;
use flagstone_model::key::ListKey;
use flagstone_model::line::Head;

use super::folded::Folded;
use super::lists::stored_object;
use crate::author::Audience;
use crate::build::{BuildError, build};
use crate::private_object::PrivateObjects;
use crate::publish::{Access, Built, LineSource, SourceError, Withheld};
use crate::state::EnvironmentState;
use crate::view::{Before, Exposed, sift};

/// Builds lines from the folded log, and remembers what it built: the next content shares what did not change.
pub(super) struct Lines {
    pub(super) folded: Arc<Folded>,
    pub(super) objects: Arc<dyn PrivateObjects>,
    pub(super) built: Mutex<BTreeMap<Stream, Arc<Last>>>,
}

/// What was last built for a stream.
pub(super) struct Last {
    environment: Arc<EnvironmentState>,
    lines: Vec<Arc<str>>,
    content: Content,
}

#[async_trait]
impl LineSource for Lines {
    fn access(&self, stream: &Stream) -> Access {
        self.folded
            .newest()
            .view(&stream.view)
            .map_or_else(|| Access::of(stream), |view| view.audience.into())
    }

    async fn build(&self, stream: &Stream, seq: u64) -> Result<Built, SourceError> {
        let state = self.folded.state().await.map_err(|error| SourceError::new(error.code(), error))?;
        let Some(head) = state.head().copied().filter(|head| head.seq >= seq) else {
            return Err(SourceError::new(
                "log-behind",
                "the log ends before the change that is to be published",
            ));
        };
        let last = self.built.lock().unwrap_or_else(PoisonError::into_inner).get(stream).cloned();
        let of = stream.clone();
        let work = move || {
            let lines = build(&state, &of.environment, &of.view)?;
            let environment = state.environment(of.environment.as_str()).cloned();
            let environment = environment
                .ok_or_else(|| BuildError::EnvironmentNotFound { environment: of.environment.clone() })?;
            let is_public = state.view(&of.view).is_some_and(|view| view.audience == Audience::Public);
            let (lines, withheld) = if is_public {
                let before = last.as_deref();
                let before = before.map(|Last { environment, lines, .. }| Before { environment, lines });
                sift(&environment, before, lines, Instant::from_millis(head.time_ms))?
            } else {
                (lines, Withheld::default())
            };
            let content = content(last.as_deref(), &lines)?;
            Ok::<_, SourceError>((Last { environment, lines, content }, withheld))
        };
        let made = tokio::task::spawn_blocking(work).await;
        let (made, withheld) = made.map_err(|stopped| SourceError::new("stopped", stopped))??;
        let content = made.content.clone();
        self.built.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.clone(), Arc::new(made));
        Ok(Built { head, content, withheld })
    }

    async fn list_object(
        &self,
        stream: &Stream,
        list: &ListKey,
        object: &StoredObject,
    ) -> Result<Vec<u8>, SourceError> {
        let stored = stored_object(&*self.objects, &stream.project, list, object).await;
        stored.map_err(|error| SourceError::new(error.code(), error))
    }
}

impl From<BuildError> for SourceError {
    fn from(error: BuildError) -> Self {
        Self::new(error.code(), error)
    }
}

impl From<Exposed> for SourceError {
    fn from(exposed: Exposed) -> Self {
        Self::new(exposed.code(), exposed)
    }
}

impl From<ContentError> for SourceError {
    fn from(error: ContentError) -> Self {
        Self::new(error.detail(), error)
    }
}

/// The content that lines make; what they share with the last ones is not made anew.
fn content(last: Option<&Last>, lines: &[Arc<str>]) -> Result<Content, ContentError> {
    match last {
        Some(last) => Ok(last.content.apply(&difference(&last.lines, lines)?)?.0),
        None => Content::from_lines(lines.iter().map(|line| line.as_bytes())),
    }
}

/// The delta from one sorted list of lines to another. Lines that did not change are the same allocation, so that
/// most comparisons are of two pointers.
fn difference(before: &[Arc<str>], after: &[Arc<str>]) -> Result<DeltaLines, ContentError> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let (mut upserts, mut drops) = (String::new(), String::new());
    loop {
        match (before.peek(), after.peek()) {
            (None, None) => break,
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => {
                before.next();
                after.next();
            }
            (Some(old), new)
                if new.is_none_or(|new| Head::parse(old.as_bytes()) < Head::parse(new.as_bytes())) =>
            {
                if let Some(Head { name, key }) = Head::parse(old.as_bytes()) {
                    drops.extend(["{\"drop\":\"", name, "\",\"key\":\"", key, "\"}\n"]);
                }
                before.next();
            }
            (old, Some(new)) => {
                if old.is_some_and(|old| Head::parse(old.as_bytes()) == Head::parse(new.as_bytes())) {
                    before.next();
                }
                upserts += new;
                upserts.push('\n');
                after.next();
            }
            (Some(_), None) => {
                before.next();
            }
        }
    }
    DeltaLines::parse((upserts + &drops).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(keys: &[(&str, u32)]) -> Vec<Arc<str>> {
        keys.iter().map(|(key, rev)| format!("{{\"flag\":\"{key}\",\"rev\":{rev}}}").into()).collect()
    }

    #[test]
    fn the_difference_leads_from_any_lines_to_any_others() {
        let states = [
            lines(&[]),
            lines(&[("a", 1)]),
            lines(&[("a", 2), ("b", 1)]),
            lines(&[("b", 1), ("c", 1), ("d", 1)]),
            lines(&[("a", 1), ("a-b", 1), ("a.b", 1), ("d", 2)]),
        ];
        let content =
            |lines: &[Arc<str>]| Content::from_lines(lines.iter().map(|line| line.as_bytes())).unwrap();
        for before in &states {
            for after in &states {
                let delta = difference(before, after).unwrap();
                let (reached, _) = content(before).apply(&delta).unwrap();
                assert_eq!(reached.content_hash(), content(after).content_hash());
                assert!(delta.is_empty() == (before == after) || before == after);
            }
        }
    }

    #[test]
    fn lines_that_are_shared_are_no_difference() {
        let before = lines(&[("a", 1), ("b", 1)]);
        let mut after = before.clone();
        after[1] = "{\"flag\":\"b\",\"rev\":2}".into();
        let delta = difference(&before, &after).unwrap();
        assert_eq!(delta.encode(), b"{\"flag\":\"b\",\"rev\":2}\n");
    }
}
