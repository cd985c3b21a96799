//! What the process is told by its environment, read once.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr, stdin, stdout};
use std::path::PathBuf;

/// Settings of `serve`, and of the verbs that look after its directory.
const SETTINGS: [&str; 15] = [
    "FLAGSTONE_BURST",
    "FLAGSTONE_CONFIG",
    "FLAGSTONE_DATA",
    "FLAGSTONE_HEARTBEAT_MS",
    "FLAGSTONE_LISTEN",
    "FLAGSTONE_LOG",
    "FLAGSTONE_LOG_FORMAT",
    "FLAGSTONE_METRICS_ACCESS",
    "FLAGSTONE_PLAIN_HTTP",
    "FLAGSTONE_POLL_MS",
    "FLAGSTONE_PROJECT",
    "FLAGSTONE_PUBLIC_URL",
    "FLAGSTONE_REQUESTS_PER_SECOND",
    "FLAGSTONE_TLS_CERT",
    "FLAGSTONE_TLS_KEY",
];

/// The environment variables that mean something, and whether somebody looks at the screen.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Surroundings {
    /// `FLAGSTONE_URL`: the admin API.
    pub(crate) url: Option<String>,
    /// `FLAGSTONE_TOKEN`: the secret the admin API asks for.
    pub(crate) token: Option<String>,
    /// `FLAGSTONE_PROJECT`.
    pub(crate) project: Option<String>,
    /// `FLAGSTONE_ENV`.
    pub(crate) environment: Option<String>,
    /// `FLAGSTONE_SDK_KEY`: the secret that closed streams ask for.
    pub(crate) sdk_key: Option<String>,
    /// `FLAGSTONE_LOG`: which log lines `dev` writes.
    pub(crate) log: Option<String>,
    /// Settings of `serve`, by the name of their variable.
    settings: BTreeMap<&'static str, String>,
    /// Spans are wanted somewhere: `OTEL_EXPORTER_OTLP_ENDPOINT`, or the same for traces alone.
    #[cfg(feature = "otel")]
    pub(crate) traces: bool,
    /// Where this user's own configuration lies: `$XDG_CONFIG_HOME`, or what the system has in its place.
    pub(crate) config_home: Option<PathBuf>,
    /// `FLAGSTONE_OUTPUT=json`.
    pub(crate) json: bool,
    /// `NO_COLOR` is set to something.
    pub(crate) no_color: bool,
    /// The terminal can draw a line anew.
    pub(crate) can_redraw: bool,
    /// Standard input is a terminal.
    pub(crate) terminal_in: bool,
    /// Standard output is a terminal.
    pub(crate) terminal_out: bool,
    /// Standard error is a terminal.
    pub(crate) terminal_err: bool,
}

impl Surroundings {
    /// Reads them. An empty variable is as good as none.
    pub(crate) fn read() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let variable = |name: &str| {
            std::env::var_os(name)
                .map(|value| value.to_string_lossy().into_owned())
                .filter(|value| !value.is_empty())
        };
        Self {
            url: variable("FLAGSTONE_URL"),
            token: variable("FLAGSTONE_TOKEN"),
            project: variable("FLAGSTONE_PROJECT"),
            environment: variable("FLAGSTONE_ENV"),
            sdk_key: variable("FLAGSTONE_SDK_KEY"),
            log: variable("FLAGSTONE_LOG"),
            settings: SETTINGS.into_iter().filter_map(|name| Some((name, variable(name)?))).collect(),
            #[cfg(feature = "otel")]
            traces: ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
                .into_iter()
                .any(|name| variable(name).is_some()),
            config_home: config_home(variable),
            json: variable("FLAGSTONE_OUTPUT").is_some_and(|value| value == "json"),
            no_color: variable("NO_COLOR").is_some() || variable("TERM").is_some_and(|term| term == "dumb"),
            can_redraw: variable("TERM").is_none_or(|term| term != "dumb"),
            terminal_in: stdin().is_terminal(),
            terminal_out: stdout().is_terminal(),
            terminal_err: stderr().is_terminal(),
        }
    }

    /// Whether somebody sees a line that changes.
    pub(crate) const fn shows_progress(&self) -> bool {
        self.terminal_err && self.can_redraw && !self.json
    }

    /// A setting of `serve`, by the name of its variable.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }
}

/// The directory of this user's configuration. Relative paths are no answer: they would change with the directory.
fn config_home(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("APPDATA"))
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
}
