//! Public views are proved before a publisher gets them: nothing is shown that is not public, and both views answer
//! the same (FORMAT M-9.6, M-11.9).

use std::collections::HashSet;
use std::sync::Arc;

use flagstone_bundle::manifest::Stream;
use flagstone_model::instant::Instant;
use flagstone_model::key::FlagKey;
use flagstone_model::line::{Head, Kind};

use crate::author::{Audience, ViewDefinition};
use crate::publish::SourceError;
use crate::state::{EnvironmentState, State};
use crate::view::{compare, examine};

/// Proves the lines of a stream, if its view is public. `before` are those that were proved last.
pub(super) async fn prove(
    state: &Arc<State>,
    stream: &Stream,
    before: Option<Vec<Arc<str>>>,
    lines: &[Arc<str>],
    now: Instant,
) -> Result<(), SourceError> {
    let definition = state.view(&stream.view).filter(|view| view.audience == Audience::Public);
    let Some(definition) = definition else { return Ok(()) };
    let (state, stream, lines) = (Arc::clone(state), stream.clone(), lines.to_vec());
    let work = move || prove_public(&state, &stream, &definition, before.as_deref(), &lines, now);
    match tokio::task::spawn_blocking(work).await {
        Ok(proved) => proved,
        Err(stopped) => Err(SourceError::new("stopped", stopped)),
    }
}

fn prove_public(
    state: &State,
    stream: &Stream,
    definition: &ViewDefinition,
    before: Option<&[Arc<str>]>,
    lines: &[Arc<str>],
    now: Instant,
) -> Result<(), SourceError> {
    let Some(environment) = state.environment(stream.environment.as_str()) else { return Ok(()) };
    let bytes = || lines.iter().map(|line| line.as_bytes());
    examine(bytes(), &environment.attributes).map_err(|fault| SourceError::new(fault.code(), fault))?;
    let flags = affected(environment, definition, before, lines);
    if flags.is_empty() {
        return Ok(());
    }
    let keyed = environment.keyed_lines(state.id(), &stream.view, definition);
    let keys: Vec<&str> = flags.iter().map(|key| key.as_str()).collect();
    let compared = compare(keyed.iter().map(|line| line.as_bytes()), bytes(), &keys, now);
    let compared = compared.map_err(|fault| SourceError::new(fault.code(), fault))?;
    tracing::debug!(%stream, flags = keys.len(), compared, "both views answer the same");
    Ok(())
}

/// The flags whose answers the lines that changed may have changed.
fn affected<'e>(
    environment: &'e EnvironmentState,
    definition: &ViewDefinition,
    before: Option<&[Arc<str>]>,
    lines: &[Arc<str>],
) -> Vec<&'e FlagKey> {
    let before: HashSet<&str> = before.into_iter().flatten().map(|line| &**line).collect();
    let changed = lines.iter().filter(|line| !before.contains(&***line));
    let heads: Vec<Head<'_>> = changed.filter_map(|line| Head::parse(line.as_bytes())).collect();
    if heads.is_empty() {
        return Vec::new();
    }
    let flags = environment.flags_in(definition);
    if heads.iter().any(|head| !matches!(head.kind(), Kind::Flag | Kind::Check)) {
        return flags;
    }
    // The key of a check is that of its flag, `/`, and a number; that of a flag has no `/`.
    let changed: HashSet<&str> =
        heads.iter().map(|head| head.key.rsplit_once('/').map_or(head.key, |(flag, _)| flag)).collect();
    let is_affected = |key: &&FlagKey| changed.contains(key.as_str()) || environment.has_references(key);
    flags.into_iter().filter(is_affected).collect()
}
