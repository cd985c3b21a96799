//! What the client asks of HTTP, so that it can be tried without a socket.

use core::fmt;
use std::error::Error;

use async_trait::async_trait;

/// Sends GET requests. The client sets every header, follows nothing, and caps what it reads.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one request and answers as soon as the headers are there.
    async fn get(&self, request: Request<'_>) -> Result<Response, TransportError>;
}

/// A response body, read piece by piece so that an endless one costs nothing.
#[async_trait]
pub trait Body: Send {
    /// The next piece, or `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError>;
}

/// One GET request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The whole URL.
    pub url: &'a str,
    /// Names in lower case, and values; all that are to be sent besides `host`.
    pub headers: &'a [(&'static str, &'a str)],
}

impl Request<'_> {
    /// The value of a header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values are left out: one of them is the SDK key.
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request").field("url", &self.url).field("headers", &names).finish()
    }
}

/// Status, headers, and a body yet to be read.
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Box<dyn Body>,
}

impl Response {
    /// A response without headers.
    pub fn new(status: u16, body: impl Body + 'static) -> Self {
        Self { status, headers: Vec::new(), body: Box::new(body) }
    }

    /// A response whose body is there already.
    pub fn of_bytes(status: u16, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(status, Whole(Some(bytes.into())))
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// The status code.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The value of a header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body.
    pub fn body(&mut self) -> &mut dyn Body {
        &mut *self.body
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

struct Whole(Option<Vec<u8>>);

#[async_trait]
impl Body for Whole {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.take())
    }
}

/// Why no answer, or only part of one, arrived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Name resolution, refused connection, or TLS.
    #[error("no connection")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The connection was there and broke, or spoke no HTTP.
    #[error("the connection broke")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// Nothing came in time.
    #[error("no answer in time")]
    Timeout,
}
