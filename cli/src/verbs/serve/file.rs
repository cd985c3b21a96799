//! The configuration file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::{Failure, closest};
use crate::verbs::LogFormat;
use crate::verbs::serve::allowed::Readers;

/// Largest configuration file, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// What a configuration file may say. Everything is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FileWire {
    pub(super) listen: Option<Listen>,
    pub(super) data: Option<PathBuf>,
    pub(super) project: Option<String>,
    pub(super) public_url: Option<String>,
    pub(super) plain_http: Option<String>,
    #[serde(default)]
    pub(super) tls: TlsWire,
    #[serde(default)]
    pub(super) log: LogWire,
    #[serde(default)]
    pub(super) publish: PublishWire,
    #[serde(default)]
    pub(super) limits: LimitsWire,
    #[serde(default)]
    pub(super) metrics: MetricsWire,
}

/// One address, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an address such as \"127.0.0.1:8080\", or an array of them")]
pub(super) enum Listen {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TlsWire {
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LogWire {
    pub(super) level: Option<String>,
    pub(super) format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PublishWire {
    pub(super) poll_ms: Option<u64>,
    pub(super) heartbeat_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LimitsWire {
    pub(super) connections: Option<u32>,
    pub(super) grace_seconds: Option<u32>,
    pub(super) requests_per_second: Option<u32>,
    pub(super) burst: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MetricsWire {
    pub(super) access: Option<Readers>,
}

impl FileWire {
    /// Reads a file. Paths in it are relative to the directory it lies in.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let unreadable = |why: String| {
            Failure::refused("config-unreadable", format!("{} cannot be read: {why}", path.display()))
        };
        let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
        if size > MAX_BYTES {
            return Err(unreadable(format!("it has {size} bytes, more than {MAX_BYTES}")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let mut file = Self::parse(&text, path)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        for relative in [&mut file.data, &mut file.tls.cert, &mut file.tls.key].into_iter().flatten() {
            *relative = directory.join(&*relative);
        }
        Ok(file)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or(text);
                before.bytes().filter(|byte| *byte == b'\n').count() + 1
            });
            let place = line.map_or_else(
                || path.display().to_string(),
                |line| format!("{}, line {line}", path.display()),
            );
            let message = error.message().trim().replace('\n', " ");
            Failure::refused("config-invalid", format!("{place}: {message}")).suggest(meant(&message))
        })
    }
}

/// What was meant where a name is unknown: the names that are known stand in the message.
fn meant(message: &str) -> Option<String> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    closest(unknown, quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Failure {
        FileWire::parse(text, Path::new("f.toml")).unwrap_err()
    }

    #[test]
    fn every_setting_can_stand_in_the_file() {
        let text = "listen = ['127.0.0.1:1', '[::1]:2']\ndata = 'd'\nproject = 'acme'\npublic-url = 'https://x/cdn'\n\
                    plain-http = 'loopback'\n[tls]\ncert = 'c'\nkey = 'k'\n[log]\nlevel = 'warn'\nformat = 'json'\n\
                    [publish]\npoll-ms = 1000\nheartbeat-ms = 60000\n[limits]\nconnections = 10\ngrace-seconds = 3\n\
                    requests-per-second = 7\nburst = 8\n[metrics]\naccess = 'token-holders'\n";
        let file = FileWire::parse(text, Path::new("f.toml")).unwrap();
        assert!(matches!(file.listen, Some(Listen::Several(all)) if all.len() == 2));
        assert_eq!(file.publish.heartbeat_ms, Some(60_000));
        assert_eq!(file.log.format, Some(LogFormat::Json));
        assert_eq!(file.limits.grace_seconds, Some(3));
        assert_eq!((file.limits.requests_per_second, file.limits.burst), (Some(7), Some(8)));
        assert_eq!(file.metrics.access, Some(Readers::TokenHolders));
    }

    #[test]
    fn an_unknown_name_is_told_with_its_line_and_what_was_meant() {
        let failure = refused("data = 'd'\n\n[publish]\npol-ms = 5\n");
        assert_eq!(failure.code, "config-invalid");
        assert!(failure.detail.starts_with("f.toml, line 4: unknown field `pol-ms`"), "{}", failure.detail);
        assert_eq!(failure.suggestion.as_deref(), Some("poll-ms"));
        assert_eq!(refused("zzzzzzzz = 1").suggestion, None);
    }

    #[test]
    fn a_value_of_another_type_is_told_with_its_line() {
        for (text, line) in
            [("listen = 8080", 1), ("data = 'd'\nproject = 7", 2), ("x", 1), ("[log]\nformat = 'xml'", 2)]
        {
            let failure = refused(text);
            assert!(failure.detail.starts_with(&format!("f.toml, line {line}: ")), "{}", failure.detail);
        }
    }
}
