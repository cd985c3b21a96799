//! Log lines: JSON for programs, compact for people, always on standard error.

use std::io::stderr;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::failure::Failure;
use crate::surroundings::Surroundings;

/// The variable that says what log lines look like.
const FORMAT: &str = "FLAGSTONE_LOG_FORMAT";

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

/// The format that `FLAGSTONE_LOG_FORMAT` asks for; else text on a terminal, and JSON elsewhere.
pub(in crate::verbs) fn format(surroundings: &Surroundings) -> Result<LogFormat, Failure> {
    match surroundings.setting(FORMAT) {
        Some(wanted) => <LogFormat as clap::ValueEnum>::from_str(wanted, false)
            .map_err(|_| Failure::usage(format!("{FORMAT}: `{wanted}` is neither `json` nor `text`"))),
        None if surroundings.terminal_err => Ok(LogFormat::Text),
        None => Ok(LogFormat::Json),
    }
}

/// Starts logging, and tracing if anybody wants it; once per process.
pub(in crate::verbs) fn start(
    filter: EnvFilter,
    format: LogFormat,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let colour = surroundings.terminal_err && !surroundings.no_color;
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let lines = match format {
        LogFormat::Text => lines.compact().with_ansi(colour).with_target(false).with_filter(filter).boxed(),
        // The spans have the request's id, which the line of an announcement is found by.
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_filter(filter).boxed()
        }
    };
    #[cfg(feature = "otel")]
    let lines: Vec<_> = [Some(lines), super::traces::layer(surroundings)?].into_iter().flatten().collect();
    let started = tracing_subscriber::registry().with(lines).try_init();
    started.map_err(|error| Failure::refused("no-logs", format!("no log lines: {error}")))
}
