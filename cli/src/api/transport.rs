//! Requests and answers over HTTP.

use core::time::Duration;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::body::Bytes;
use flagstone_model::json::Json;
use reqwest::header::{CONTENT_TYPE, DATE, ETAG, RETRY_AFTER};
use reqwest::{Client, Method, Url};

use crate::failure::{Exit, Failure};
use crate::progress::Progress;

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(30);
/// The same where a list goes over the line.
const LARGE: Duration = Duration::from_mins(10);
/// What has more bytes than this is sent for longer.
const LARGE_BYTES: usize = 1024 * 1024;
/// Tries of one request, all with the same idempotency key.
const TRIES: u32 = 3;
/// Longest pause before another try.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// More than any answer of the API has: a list as large as a list may be.
const MAX_ANSWER_BYTES: usize = 136 * 1024 * 1024;

/// One request.
#[derive(Debug)]
pub(super) struct Sent<'a> {
    method: Method,
    pub(super) path: &'a str,
    headers: Vec<(&'static str, String)>,
    content: Option<Content>,
}

/// A body, and what it is.
#[derive(Debug)]
pub(super) struct Content {
    media: &'static str,
    bytes: Bytes,
}

impl Content {
    pub(super) fn json(body: &Json<'_>) -> Self {
        Self { media: "application/json", bytes: body.to_string().into() }
    }

    pub(super) fn text(text: &str) -> Self {
        Self { media: "text/plain; charset=utf-8", bytes: Bytes::copy_from_slice(text.as_bytes()) }
    }
}

impl<'a> Sent<'a> {
    pub(super) const fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, headers: Vec::new(), content: None }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn with_content(mut self, content: Content) -> Self {
        self.content = Some(content);
        self
    }

    /// How long to wait for its answer: what is large takes its time.
    fn patience(&self) -> Duration {
        let is_large = self.content.as_ref().is_some_and(|content| content.bytes.len() > LARGE_BYTES);
        let asks_for_text = self.headers.iter().any(|(_, value)| value == "text/plain");
        if is_large || asks_for_text { LARGE } else { TOTAL }
    }
}

/// One answer.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) revision: Option<u64>,
    pub(super) body: Vec<u8>,
    /// What the server's clock said, in epoch seconds.
    pub(super) date: Option<u64>,
}

/// Why a try brought no answer.
enum Lost {
    /// It never reached the server.
    Unsent(Failure),
    /// It may have been done.
    Unsure(Failure),
}

/// HTTP to one server, with a token.
pub(super) struct Transport {
    base: String,
    token: String,
    client: Client,
    /// Whether somebody sees that it takes its time.
    visible: bool,
}

impl core::fmt::Debug for Transport {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Transport").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Transport {
    pub(super) fn new(url: &str, token: String) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("`{url}` is no address of an admin API: {why}"));
        let parsed = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Failure::usage("the address of the admin API holds a user name or password")
                .hint("the token goes into FLAGSTONE_TOKEN"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(wrong("it has a query or a fragment"));
        }
        let host = parsed.host_str().ok_or_else(|| wrong("it has no host"))?;
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let plain = match parsed.scheme() {
            "https" => false,
            "http" if loopback => true,
            "http" => {
                return Err(wrong(
                    "plain HTTP is for loopback only, for the token would travel in the clear",
                ));
            }
            _ => return Err(wrong("it begins with neither https:// nor http://")),
        };
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::usage("FLAGSTONE_TOKEN holds a character no token has"));
        }
        let base = parsed.as_str().trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base).to_owned();
        let client = client(plain)
            .map_err(|error| Failure::refused("http-setup", format!("no TLS or HTTP client: {error}")))?;
        Ok(Self { base, token, client, visible: false })
    }

    /// Tells people that it waits, where it does.
    pub(super) const fn visible(mut self, visible: bool) -> Self {
        self.visible = visible;
        self
    }

    /// Sends a request, again if that can do no harm and may help.
    pub(super) async fn send(&self, sent: &Sent<'_>) -> Result<Received, Failure> {
        let repeatable =
            sent.method == Method::GET || sent.headers.iter().any(|(name, _)| *name == "idempotency-key");
        let size = sent.content.as_ref().map_or(0, |content| content.bytes.len());
        let what = match size / LARGE_BYTES {
            0 => format!("waiting for {}", self.base),
            megabytes => format!("sending {megabytes} MiB to {}", self.base),
        };
        let _progress = Progress::start(self.visible, what);
        let mut tries = 0;
        loop {
            tries += 1;
            let last = tries >= TRIES || !repeatable;
            let pause = match self.once(sent).await {
                Ok((Received { status: 429 | 503, .. }, Some(pause))) if !last => pause.min(MAX_PAUSE),
                Ok((received, _)) => return Ok(received),
                Err(Lost::Unsure(_)) if !last => Duration::from_millis(100),
                Err(Lost::Unsent(failure) | Lost::Unsure(failure)) => return Err(failure),
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(&self, sent: &Sent<'_>) -> Result<(Received, Option<Duration>), Lost> {
        let mut request = self
            .client
            .request(sent.method.clone(), format!("{}{}", self.base, sent.path))
            .bearer_auth(&self.token);
        for (name, value) in &sent.headers {
            request = request.header(*name, value);
        }
        if let Some(content) = &sent.content {
            request = request.header(CONTENT_TYPE, content.media).body(content.bytes.clone());
        }
        request = request.timeout(sent.patience());
        let mut response = request.send().await.map_err(|error| self.lost(&error))?;
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let revision = header(ETAG).and_then(|etag| etag.trim_matches('"').parse().ok());
        let pause = header(RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let date = header(DATE)
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .and_then(|date| date.duration_since(UNIX_EPOCH).ok())
            .map(|since| since.as_secs());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Lost::Unsent(Failure::refused("bad-answer", "the answer does not end")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((Received { status, revision, body, date }, pause))
    }

    fn lost(&self, error: &reqwest::Error) -> Lost {
        let base = &self.base;
        if let Some(why) = distrust(error) {
            let detail = format!("the certificate of {base} is not trusted: {why}");
            let failure = Failure::refused("certificate-untrusted", detail);
            return Lost::Unsent(failure.hint("SSL_CERT_FILE=ca.pem trusts an authority of your own"));
        }
        if error.is_connect() {
            let failure =
                Failure::new(Exit::Unreachable, "unreachable", format!("nothing answers at {base}"));
            return Lost::Unsent(failure.hint("is `flagstone dev` running, and is FLAGSTONE_URL right?"));
        }
        let what = if error.is_timeout() { "did not answer in time" } else { "broke the connection off" };
        Lost::Unsure(Failure::new(Exit::Unreachable, "unreachable", format!("{base} {what}")))
    }
}

/// Why a certificate is not taken, if that is the trouble.
fn distrust(error: &reqwest::Error) -> Option<String> {
    let mut below: Option<&(dyn core::error::Error + 'static)> = Some(error);
    while let Some(cause) = below {
        if let Some(rustls::Error::InvalidCertificate(why)) = cause.downcast_ref() {
            return Some(why.to_string());
        }
        // An error of I/O says what is in it, and as its source what is below that.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        below = match inner {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

/// Plain HTTP on loopback needs no certificates, and no proxy is asked for it.
fn client(plain: bool) -> anyhow::Result<Client> {
    let builder = Client::builder()
        .user_agent(concat!("flagstone-cli/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .timeout(TOTAL);
    let provider = rustls::crypto::ring::default_provider();
    let builder = if plain {
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        builder.no_proxy().tls_backend_preconfigured(config)
    } else {
        // An error says that another one is installed already, which will do.
        let _ = provider.install_default();
        builder.https_only(true)
    };
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Transport::new(url, "token".to_owned()).unwrap_err().detail.clone()
    }

    #[test]
    fn a_token_never_travels_in_the_clear() {
        assert!(refused("http://flags.example").contains("in the clear"));
        assert!(refused("ftp://flags.example").contains("neither"));
        assert!(refused("https://me:secret@flags.example").contains("user name"));
    }

    #[test]
    fn a_base_url_may_end_in_a_slash_or_in_the_version() {
        for url in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1"] {
            assert_eq!(Transport::new(url, "token".to_owned()).unwrap().base, "http://127.0.0.1:8080");
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        let transport = Transport::new("http://localhost:1", "s3cret".to_owned()).unwrap();
        assert!(!format!("{transport:?}").contains("s3cret"));
    }
}
