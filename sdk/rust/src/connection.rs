//! The connection string: one line that holds all an SDK needs and no secret.

mod error;

use core::fmt;
use core::str::FromStr;
use std::net::{Ipv4Addr, Ipv6Addr};

use flagstone_bundle::manifest::Stream;
use flagstone_bundle::root::Pin;
use flagstone_model::key::{EnvironmentId, KeyError, ProjectId, ViewId};

pub use error::ConnectionError;

/// Longest connection string read, in bytes.
const MAX_BYTES: usize = 8_192;
/// Most `also=` base URLs.
const MAX_ALSO: usize = 8;

/// Where a stream is, which stream it is, and whom to trust for it (FORMAT T-2.4).
///
/// Its text is `flagstone://HOST[:PORT]/BASE?project=…&environment=…&view=…&root=N:SHA256`,
/// with `&access=open|closed` where that is not the default of the view, and one `&also=HOST[:PORT]/BASE`
/// (percent-encoded) for each further base URL. `flagstone+http://` is for loopback addresses only.
///
/// ```
/// let text = "flagstone://cdn.example/flags?project=shop&environment=production&view=server\
///             &root=1:04862e2461b74b1612c58325e4dba3edca6c1330dcef495a72cc6ed5bfbd2565";
/// let connection: flagstone::Connection = text.parse()?;
/// assert_eq!(connection.to_string(), text);
/// # Ok::<(), flagstone::ConnectionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    scheme: Scheme,
    bases: Vec<Base>,
    stream: Stream,
    pin: Pin,
    access: Access,
}

/// Who may read the objects of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Anybody: the objects lie under `open/`.
    Open,
    /// Who has an SDK key: the objects lie under `closed/`.
    Closed,
}

impl Access {
    /// The word of the connection string and the first segment of object paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }

    fn default_of(view: &ViewId) -> Self {
        if view.as_str() == "client" { Self::Open } else { Self::Closed }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Https,
    LoopbackHttp,
}

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "flagstone",
            Self::LoopbackHttp => "flagstone+http",
        }
    }

    const fn url(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::LoopbackHttp => "http",
        }
    }
}

/// `HOST[:PORT]/BASE`, without a final slash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Base {
    host: String,
    port: Option<u16>,
    path: String,
}

impl Connection {
    /// Reads a connection string.
    pub fn parse(text: &str) -> Result<Self, ConnectionError> {
        if text.len() > MAX_BYTES {
            return Err(ConnectionError::TooLong);
        }
        if let Some((offset, _)) = text.char_indices().find(|&(_, c)| !c.is_ascii_graphic() || forbidden(c)) {
            return Err(ConnectionError::Character { offset });
        }
        let (scheme, rest) = text.split_once("://").ok_or(ConnectionError::Scheme)?;
        let scheme = match scheme {
            "flagstone" => Scheme::Https,
            "flagstone+http" => Scheme::LoopbackHttp,
            _ => return Err(ConnectionError::Scheme),
        };
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut bases = vec![Base::parse(scheme, base)?];
        let parameters = Parameters::parse(query)?;
        for also in &parameters.also {
            bases.push(Base::parse(scheme, also)?);
        }
        let project = id("project", parameters.project, ProjectId::parse)?;
        let environment = id("environment", parameters.environment, EnvironmentId::parse)?;
        let view = id("view", parameters.view, ViewId::parse)?;
        let root = parameters.root.ok_or(ConnectionError::Missing { name: "root" })?;
        let pin = Pin::parse(&root).ok_or(ConnectionError::Root)?;
        let access = match parameters.access.as_deref() {
            None => Access::default_of(&view),
            Some("open") => Access::Open,
            Some("closed") => Access::Closed,
            Some(_) => return Err(ConnectionError::Access),
        };
        Ok(Self { scheme, bases, stream: Stream { project, environment, view }, pin, access })
    }

    /// The stream: project, environment, and view.
    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The root document that is trusted without a question.
    pub const fn pin(&self) -> &Pin {
        &self.pin
    }

    /// Who may read the objects of the stream.
    pub const fn access(&self) -> Access {
        self.access
    }

    /// The base URLs in order of preference, as `https://HOST[:PORT]/BASE` without a final slash.
    pub fn base_urls(&self) -> impl ExactSizeIterator<Item = String> + '_ {
        self.bases.iter().map(|base| format!("{}://{base}", self.scheme.url()))
    }

    /// Whether this speaks plain HTTP to the machine itself.
    pub fn is_loopback_http(&self) -> bool {
        self.scheme == Scheme::LoopbackHttp
    }
}

impl FromStr for Connection {
    type Err = ConnectionError;

    fn from_str(text: &str) -> Result<Self, ConnectionError> {
        Self::parse(text)
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stream { project, environment, view } = &self.stream;
        let mut bases = self.bases.iter();
        write!(f, "{}://", self.scheme.as_str())?;
        if let Some(first) = bases.next() {
            write!(f, "{first}")?;
        }
        write!(f, "?project={project}&environment={environment}&view={view}&root={}", self.pin)?;
        if self.access != Access::default_of(view) {
            write!(f, "&access={}", self.access.as_str())?;
        }
        for base in bases {
            f.write_str("&also=")?;
            escape(&base.to_string(), f)?;
        }
        Ok(())
    }
}

impl Base {
    fn parse(scheme: Scheme, text: &str) -> Result<Self, ConnectionError> {
        let (authority, path) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        if authority.contains('@') {
            return Err(ConnectionError::Credentials);
        }
        let (host, port) = split_port(authority);
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return Err(ConnectionError::Host { base: text.to_owned() });
        }
        let port = match port {
            None => None,
            Some(port) => {
                Some(parse_port(port).ok_or_else(|| ConnectionError::Port { base: text.to_owned() })?)
            }
        };
        if scheme == Scheme::LoopbackHttp && !is_loopback(&host) {
            return Err(ConnectionError::NotLoopback { host });
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() && !path.split('/').skip(1).all(is_path_segment) {
            return Err(ConnectionError::BasePath { base: text.to_owned() });
        }
        Ok(Self { host, port, path: path.to_owned() })
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

#[derive(Default)]
struct Parameters {
    project: Option<String>,
    environment: Option<String>,
    view: Option<String>,
    root: Option<String>,
    access: Option<String>,
    also: Vec<String>,
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, ConnectionError> {
        let mut parameters = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(ConnectionError::Escape)?;
            let value = unescape(value).ok_or(ConnectionError::Escape)?;
            let (name, slot) = match name {
                "project" => ("project", &mut parameters.project),
                "environment" => ("environment", &mut parameters.environment),
                "view" => ("view", &mut parameters.view),
                "root" => ("root", &mut parameters.root),
                "access" => ("access", &mut parameters.access),
                "also" => {
                    if parameters.also.len() == MAX_ALSO {
                        return Err(ConnectionError::TooManyBases);
                    }
                    parameters.also.push(value);
                    continue;
                }
                _ => return Err(ConnectionError::Unknown { name: name.to_owned() }),
            };
            if slot.replace(value).is_some() {
                return Err(ConnectionError::Repeated { name });
            }
        }
        Ok(parameters)
    }
}

fn id<T>(
    name: &'static str,
    value: Option<String>,
    parse: fn(&str) -> Result<T, KeyError>,
) -> Result<T, ConnectionError> {
    let value = value.ok_or(ConnectionError::Missing { name })?;
    parse(&value).map_err(|source| ConnectionError::Id { name, source })
}

const fn forbidden(c: char) -> bool {
    matches!(c, '#' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

/// `HOST:PORT`, where an IPv6 address stands in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let after_address = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority.get(after_address..).and_then(|rest| rest.rfind(':')) {
        Some(colon) => {
            let (host, port) = authority.split_at(after_address + colon);
            (host, port.strip_prefix(':'))
        }
        None => (authority, None),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&port| port != 0)
}

fn address_v6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn is_host(host: &str) -> bool {
    let name = |host: &str| {
        host.len() <= 253
            && host.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            })
    };
    address_v6(host).is_some() || name(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || address_v6(host).is_some_and(|address| address.is_loopback())
}

fn is_path_segment(segment: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
                    | b':'
                    | b'@'
                    | b'%'
            )
    };
    // `%2e` spells a dot for some servers.
    let plain = unescape(segment);
    !segment.is_empty()
        && segment.bytes().all(allowed)
        && plain.is_some_and(|plain| plain != "." && plain != ".." && !plain.contains('/'))
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn escape(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            write!(f, "{}", char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIN: &str = "1:04862e2461b74b1612c58325e4dba3edca6c1330dcef495a72cc6ed5bfbd2565";

    fn with(base: &str, more: &str) -> String {
        format!("flagstone://{base}?project=shop&environment=production&view=server&root={PIN}{more}")
    }

    fn code(text: &str) -> &'static str {
        Connection::parse(text).unwrap_err().code()
    }

    #[test]
    fn the_connection_string_of_the_worked_example_is_read_and_written() {
        let text = with("cdn.example", "");
        let connection = Connection::parse(&text).unwrap();
        assert_eq!(connection.base_urls().collect::<Vec<_>>(), ["https://cdn.example"]);
        assert_eq!(connection.stream().environment.as_str(), "production");
        assert_eq!(connection.pin().to_string(), PIN);
        assert_eq!(connection.access(), Access::Closed);
        assert_eq!(connection.to_string(), text);
    }

    #[test]
    fn the_client_view_is_open_unless_said_otherwise() {
        let text =
            format!("flagstone://cdn.example/f?project=shop&environment=production&view=client&root={PIN}");
        assert_eq!(Connection::parse(&text).unwrap().access(), Access::Open);
        let closed = format!("{text}&access=closed");
        let connection = Connection::parse(&closed).unwrap();
        assert_eq!(connection.access(), Access::Closed);
        assert_eq!(connection.to_string(), closed);
        let redundant = format!("{text}&access=open");
        assert_eq!(Connection::parse(&redundant).unwrap().to_string(), text);
    }

    #[test]
    fn further_base_urls_are_percent_encoded_and_keep_their_order() {
        let text = with("cdn.example/flags", "&also=second.example%3A8443%2Fa%2Fb&also=third.example");
        let connection = Connection::parse(&text).unwrap();
        assert_eq!(
            connection.base_urls().collect::<Vec<_>>(),
            ["https://cdn.example/flags", "https://second.example:8443/a/b", "https://third.example"]
        );
        assert_eq!(connection.to_string(), text);
        assert_eq!(code(&with("a", &"&also=b".repeat(9))), "connection-too-many-bases");
    }

    #[test]
    fn plain_http_is_for_loopback_only_also_in_further_urls() {
        let local = |host: &str, more: &str| with(host, more).replace("flagstone:", "flagstone+http:");
        for host in ["localhost:8080/cdn", "127.0.0.1:8080", "127.1.2.3", "[::1]:80/cdn"] {
            let connection = Connection::parse(&local(host, "")).unwrap();
            assert_eq!(connection.base_urls().next().unwrap(), format!("http://{host}"));
            assert!(connection.is_loopback_http());
        }
        for host in ["cdn.example", "10.0.0.1", "localhost.example", "[::2]", "0.0.0.0", "128.0.0.1"] {
            assert_eq!(code(&local(host, "")), "connection-not-loopback", "{host}");
        }
        assert_eq!(code(&local("localhost", "&also=cdn.example")), "connection-not-loopback");
    }

    #[test]
    fn what_is_wrong_is_named_by_its_code() {
        let table = [
            ("https://cdn.example", "connection-scheme"),
            ("cdn.example", "connection-scheme"),
            (&with("", ""), "connection-host"),
            (&with("/flags", ""), "connection-host"),
            (&with("a..b", ""), "connection-host"),
            (&with("[::1", ""), "connection-host"),
            (&with("user:pass@cdn.example", ""), "connection-credentials"),
            (&with("cdn.example:0", ""), "connection-port"),
            (&with("cdn.example:", ""), "connection-port"),
            (&with("cdn.example:65536", ""), "connection-port"),
            (&with("cdn.example:+80", ""), "connection-port"),
            (&with("cdn.example/a//b", ""), "connection-path"),
            (&with("cdn.example/../b", ""), "connection-path"),
            (&with("cdn.example/%2E%2e/b", ""), "connection-path"),
            (&with("cdn.example/%2", ""), "connection-path"),
            (&with("cdn.example", "&color=red"), "connection-unknown"),
            (&with("cdn.example", "&view=client"), "connection-repeated"),
            (&with("cdn.example", "&access=maybe"), "connection-access"),
            (&with("cdn.example", "&access"), "connection-escape"),
            (&with("cdn.example", "&also=%zz"), "connection-escape"),
            (&with("cdn.example", "#x"), "connection-character"),
            (&with("cdn exämple", ""), "connection-character"),
            (&with("cdn.example", "").replace("view=server&", ""), "connection-missing"),
            (&with("cdn.example", "").replace("=shop", "=Shop"), "connection-id"),
            (&with("cdn.example", "").replace("root=1:0", "root=1:A"), "connection-root"),
            (&with("cdn.example", "").replace("root=1:", "root=0:"), "connection-root"),
            (&with(&"a".repeat(9_000), ""), "connection-too-long"),
        ];
        for (text, expected) in table {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn a_final_slash_of_the_base_is_dropped() {
        let connection = Connection::parse(&with("CDN.example/flags/", "")).unwrap();
        assert_eq!(connection.base_urls().next().unwrap(), "https://cdn.example/flags");
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(
            host in "[a-z0-9]{1,8}(\\.[a-z0-9]{1,8}){0,3}",
            port in proptest::option::of(1u16..),
            path in "(/[a-z0-9._~-]{0,5}[a-z]){0,3}",
            also in proptest::collection::vec("[a-z]{1,9}(%2F[a-z]{1,5})?", 0..4),
        ) {
            let port = port.map_or(String::new(), |port| format!(":{port}"));
            let more: String = also.iter().map(|base| format!("&also={base}")).collect();
            let text = with(&format!("{host}{port}{path}"), &more);
            prop_assert_eq!(Connection::parse(&text).unwrap().to_string(), text);
        }

        #[test]
        fn no_text_panics(text in ".{0,200}", tail in ".{0,80}") {
            let _ = Connection::parse(&text);
            let _ = Connection::parse(&format!("flagstone://{tail}"));
        }
    }
}
