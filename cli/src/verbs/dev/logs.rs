//! Log lines: JSON for programs, compact for people, always on standard error.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::surroundings::Surroundings;

/// Which lines are wanted.
pub(super) fn filter(surroundings: &Surroundings) -> Result<EnvFilter, Failure> {
    let wanted = surroundings.log.as_deref().unwrap_or("info");
    EnvFilter::try_new(wanted)
        .map_err(|error| Failure::usage(format!("FLAGSTONE_LOG: `{wanted}` selects nothing: {error}")))
}

/// Starts logging; once per process.
pub(super) fn start(filter: EnvFilter, surroundings: &Surroundings) -> Result<(), Failure> {
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let started = if surroundings.terminal_err {
        let lines = lines.compact().with_ansi(!surroundings.no_color).with_target(false);
        lines.try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    started.map_err(|error| Failure::refused("no-logs", format!("no log lines: {error}")))
}
