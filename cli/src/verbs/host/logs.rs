//! Log lines: JSON for programs, compact for people, always on standard error.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Short lines for people.
    Text,
}

/// Which lines are wanted. `source` names where that was said.
pub(in crate::verbs) fn filter(wanted: Option<&str>, source: &str) -> Result<EnvFilter, Failure> {
    let wanted = wanted.unwrap_or("info");
    EnvFilter::try_new(wanted)
        .map_err(|error| Failure::usage(format!("{source}: `{wanted}` selects nothing: {error}")))
}

/// Starts logging; once per process.
pub(in crate::verbs) fn start(filter: EnvFilter, format: LogFormat, colour: bool) -> Result<(), Failure> {
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let started = match format {
        LogFormat::Text => lines.compact().with_ansi(colour).with_target(false).try_init(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
    };
    started.map_err(|error| Failure::refused("no-logs", format!("no log lines: {error}")))
}
