//! The settings of `serve`: option, environment variable, file, default, in this order.

use core::convert::Infallible;
use core::str::FromStr;
use core::time::Duration;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use flagstone_model::key::ProjectId;
use flagstone_publisher::publish::Options;

use crate::args::Serve;
use crate::failure::{Failure, closest};
use crate::surroundings::Surroundings;
use crate::verbs::LogFormat;
use crate::verbs::host::Allowed;
use crate::verbs::host::public::PublicUrl;
use crate::verbs::serve::allowed;
use crate::verbs::serve::file::{FileWire, Listen};

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// Where data lies unless something else is said.
pub(in crate::verbs) const DEFAULT_DATA: &str = ".flagstone";
/// Connections at once.
const DEFAULT_CONNECTIONS: u32 = 1_024;
/// Most connections at once that can be asked for.
const MAX_CONNECTIONS: u32 = 100_000;
/// How long requests in flight may take at the end, in seconds.
const DEFAULT_GRACE_SECONDS: u32 = 20;
/// Longest such time that can be asked for, in seconds.
const MAX_GRACE_SECONDS: u32 = 600;
/// Shortest and longest time between two polls, in milliseconds.
const POLL_MS: core::ops::RangeInclusive<u64> = 1_000..=3_600_000;
/// Shortest and longest time between two heartbeats, in milliseconds.
const HEARTBEAT_MS: core::ops::RangeInclusive<u64> = 10_000..=86_400_000;

/// Where HTTP without TLS may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::verbs) enum PlainHttp {
    /// On loopback only.
    Loopback,
    /// Wherever it listens: a proxy ends TLS in front of it.
    BehindProxy,
}

/// Certificate chain and key.
#[derive(Debug)]
pub(in crate::verbs) struct Tls {
    pub(in crate::verbs) certificate: PathBuf,
    pub(in crate::verbs) key: PathBuf,
}

/// All of it, checked.
#[derive(Debug)]
pub(in crate::verbs) struct Settings {
    pub(in crate::verbs) listen: Vec<SocketAddr>,
    pub(in crate::verbs) data: PathBuf,
    pub(in crate::verbs) project: ProjectId,
    pub(in crate::verbs) public_url: Option<PublicUrl>,
    pub(in crate::verbs) tls: Option<Tls>,
    pub(in crate::verbs) log_level: Option<String>,
    pub(in crate::verbs) log_format: Option<LogFormat>,
    pub(in crate::verbs) options: Options,
    pub(in crate::verbs) connections: usize,
    pub(in crate::verbs) grace: Duration,
    pub(in crate::verbs) allowed: Allowed,
    /// Which file was read, and where each other value is from, for `doctor`.
    pub(in crate::verbs) sources: Vec<(&'static str, Source)>,
}

/// Where a value is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verbs) enum Source {
    Option,
    Variable(&'static str),
    File,
    Default,
}

impl core::fmt::Display for Source {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Option => f.write_str("option"),
            Self::Variable(name) => f.write_str(name),
            Self::File => f.write_str("configuration file"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Takes the first value there is, and notes where it is from.
pub(super) struct Chosen<'s> {
    surroundings: &'s Surroundings,
    sources: Vec<(&'static str, Source)>,
}

impl Chosen<'_> {
    pub(super) fn of<T>(
        &mut self,
        name: &'static str,
        option: Option<T>,
        variable: &'static str,
        file: Option<T>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let (value, source) = if option.is_some() {
            (option, Source::Option)
        } else if let Some(text) = self.surroundings.setting(variable) {
            let value = read(text).map_err(|why| invalid(name, &why).hint(format!("{variable} says so")))?;
            (Some(value), Source::Variable(variable))
        } else if file.is_some() {
            (file, Source::File)
        } else {
            (None, Source::Default)
        };
        self.sources.push((name, source));
        Ok(value)
    }
}

pub(super) fn invalid(name: &str, why: &str) -> Failure {
    Failure::usage(format!("{name}: {why}"))
}

/// A text or a path: whatever it is, it is one.
fn plain<T: FromStr<Err = Infallible>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|never| match never {})
}

fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of milliseconds"))
}

impl Settings {
    pub(in crate::verbs) fn read(args: &Serve, surroundings: &Surroundings) -> Result<Self, Failure> {
        let named =
            args.config.clone().or_else(|| surroundings.setting("FLAGSTONE_CONFIG").map(PathBuf::from));
        let file = named.as_deref().map(FileWire::read).transpose()?.unwrap_or_default();
        let mut chosen = Chosen { surroundings, sources: Vec::new() };

        let asked = (!args.listen.is_empty()).then(|| args.listen.clone());
        let in_file = file.listen.map(|listen| match listen {
            Listen::One(one) => vec![one],
            Listen::Several(several) => several,
        });
        let split = |text: &str| Ok(text.split(',').map(|part| part.trim().to_owned()).collect());
        let listen = chosen
            .of("listen", asked, "FLAGSTONE_LISTEN", in_file, split)?
            .unwrap_or_else(|| vec![DEFAULT_LISTEN.to_owned()]);
        let listen = addresses(&listen)?;
        let data = chosen
            .of("data", args.data.clone(), "FLAGSTONE_DATA", file.data, plain)?
            .unwrap_or_else(|| DEFAULT_DATA.into());
        let project = chosen
            .of("project", args.project.clone(), "FLAGSTONE_PROJECT", file.project, plain)?
            .ok_or_else(|| {
            invalid("project", "it is not set").hint("--project, FLAGSTONE_PROJECT, or `project` in the file")
        })?;
        let project = ProjectId::parse(&project).map_err(|error| invalid("project", &error.to_string()))?;
        let public_url = chosen.of(
            "public-url",
            args.public_url.clone(),
            "FLAGSTONE_PUBLIC_URL",
            file.public_url,
            plain,
        )?;
        let public_url = public_url.as_deref().map(PublicUrl::parse).transpose()?;
        let tls = tls(
            chosen.of("tls.cert", args.tls_cert.clone(), "FLAGSTONE_TLS_CERT", file.tls.cert, plain)?,
            chosen.of("tls.key", args.tls_key.clone(), "FLAGSTONE_TLS_KEY", file.tls.key, plain)?,
        )?;
        let allowed = chosen.of(
            "plain-http",
            args.plain_http.clone(),
            "FLAGSTONE_PLAIN_HTTP",
            file.plain_http,
            plain,
        )?;
        let allowed = plain_http(allowed.as_deref())?;
        reachable(&listen, tls.as_ref(), allowed, public_url.as_ref())?;
        let number = |text: &Option<String>, name| {
            text.as_deref().map(count).transpose().map_err(|why| invalid(name, &why))
        };
        let poll_ms = number(&args.poll_ms, "poll-ms")?;
        let poll_ms = chosen.of("poll-ms", poll_ms, "FLAGSTONE_POLL_MS", file.publish.poll_ms, count)?;
        let heartbeat_ms = number(&args.heartbeat_ms, "heartbeat-ms")?;
        let heartbeat_ms = chosen.of(
            "heartbeat-ms",
            heartbeat_ms,
            "FLAGSTONE_HEARTBEAT_MS",
            file.publish.heartbeat_ms,
            count,
        )?;
        for (name, value, range) in
            [("poll-ms", poll_ms, POLL_MS), ("heartbeat-ms", heartbeat_ms, HEARTBEAT_MS)]
        {
            within(name, value, &range)?;
        }
        let defaults = Options::default();
        let options =
            Options { poll_ms, heartbeat_ms: heartbeat_ms.unwrap_or(defaults.heartbeat_ms), ..defaults };
        let level = args.log_level.clone();
        let log_level = chosen.of("log.level", level, "FLAGSTONE_LOG", file.log.level, plain)?;
        let log_format =
            chosen.of("log.format", args.log_format, "FLAGSTONE_LOG_FORMAT", file.log.format, |text| {
                <LogFormat as clap::ValueEnum>::from_str(text, false)
            })?;
        let connections = file.limits.connections.unwrap_or(DEFAULT_CONNECTIONS);
        within("limits.connections", Some(connections), &(1..=MAX_CONNECTIONS))?;
        let grace = file.limits.grace_seconds.unwrap_or(DEFAULT_GRACE_SECONDS);
        within("limits.grace-seconds", Some(grace), &(0..=MAX_GRACE_SECONDS))?;
        let allowed = allowed::read(args, &mut chosen, &file.limits, &file.metrics, &listen)?;
        Ok(Self {
            listen,
            data,
            project,
            public_url,
            tls,
            log_level,
            log_format,
            options,
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
            grace: Duration::from_secs(grace.into()),
            allowed,
            sources: chosen.sources,
        })
    }
}

pub(super) fn within<T: PartialOrd + core::fmt::Display>(
    name: &str,
    value: Option<T>,
    range: &core::ops::RangeInclusive<T>,
) -> Result<(), Failure> {
    match value {
        Some(value) if !range.contains(&value) => {
            Err(invalid(name, &format!("{value} is not from {} to {}", range.start(), range.end())))
        }
        _ => Ok(()),
    }
}

/// `HOST:PORT`, where a host that has several addresses is listened on at each.
fn addresses(texts: &[String]) -> Result<Vec<SocketAddr>, Failure> {
    let mut all = Vec::new();
    for text in texts {
        let wrong = || invalid("listen", &format!("`{text}` is no HOST:PORT, such as 127.0.0.1:8080"));
        let found: Vec<_> = text.to_socket_addrs().map_err(|_| wrong())?.collect();
        if found.is_empty() {
            return Err(wrong());
        }
        for address in found {
            if !all.contains(&address) {
                all.push(address);
            }
        }
    }
    if all.is_empty() {
        return Err(invalid("listen", "no address is named"));
    }
    Ok(all)
}

fn tls(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Tls>, Failure> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(Tls { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(invalid("tls.key", "it is not set, and tls.cert is")),
        (None, Some(_)) => Err(invalid("tls.cert", "it is not set, and tls.key is")),
    }
}

fn plain_http(text: Option<&str>) -> Result<PlainHttp, Failure> {
    match text {
        None | Some("loopback") => Ok(PlainHttp::Loopback),
        Some("behind-proxy") => Ok(PlainHttp::BehindProxy),
        Some(other) => {
            let why = format!("`{other}` is neither `loopback` nor `behind-proxy`");
            Err(invalid("plain-http", &why).suggest(closest(other, ["loopback", "behind-proxy"])))
        }
    }
}

/// Tokens and keys do not travel in the clear, and clients get an address that they can use.
fn reachable(
    listen: &[SocketAddr],
    tls: Option<&Tls>,
    plain: PlainHttp,
    public_url: Option<&PublicUrl>,
) -> Result<(), Failure> {
    let beyond = listen.iter().find(|address| !address.ip().is_loopback());
    if let (Some(address), None, PlainHttp::Loopback) = (beyond, tls, plain) {
        let why =
            format!("{address} is not on loopback, and without TLS tokens and keys travel in the clear");
        return Err(Failure::usage(why)
            .hint("set tls.cert and tls.key or, where a proxy ends TLS, plain-http = \"behind-proxy\""));
    }
    let nameless = tls.is_some() || beyond.is_some();
    if nameless && public_url.is_none() {
        return Err(invalid("public-url", "it is not set, and connection strings need it")
            .hint("such as https://flags.example.com/cdn"));
    }
    Ok(())
}
