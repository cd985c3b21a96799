//! HTTP as it is written on the wire: requests that no client library would send, and answers as they came.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most headers of an answer.
const MAX_HEADERS: usize = 64;
/// Most bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request, whose target is sent as it stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// Path and query, or whatever else stands between method and version.
    pub target: String,
    /// Names and values, besides `Host` and `Connection`.
    pub headers: Vec<(String, String)>,
    /// The host that is asked for, if it is not the address.
    pub host: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// What came of its body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), host: None }
    }

    /// A `GET`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it to a port of 127.0.0.1 on a connection of its own, and reads the answer until that ends.
    ///
    /// # Errors
    ///
    /// If there is no answer within half a minute, or none that can be read; a body that is cut is no error.
    pub async fn ask(&self, port: u16) -> io::Result<Answer> {
        match tokio::time::timeout(PATIENCE, async { Answer::read(self.send(port).await?).await }).await {
            Ok(answer) => answer,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Sends it, and leaves the answer to [`Answer::read`].
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub async fn send(&self, port: u16) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let host = self.host.clone().unwrap_or_else(|| format!("127.0.0.1:{port}"));
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n",
            self.method, self.target
        );
        stream.write_all(head.as_bytes()).await?;
        Ok(stream)
    }
}

impl Answer {
    /// Reads one from a connection that the other side closes.
    ///
    /// # Errors
    ///
    /// If what comes is no answer.
    pub async fn read(stream: TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let ended = stream.take(MAX_ANSWER_BYTES).read_to_end(&mut bytes).await;
        // Reset after the whole answer, or in the midst of it: what came says which.
        if bytes.is_empty() {
            ended?;
        }
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(bytes).map_err(|error| invalid(error.to_string()))?;
        let httparse::Status::Complete(length) = parsed else {
            return Err(invalid("the answer ends before its headers do".to_owned()));
        };
        let status = head.code.unwrap_or_default();
        let headers = head.headers.iter();
        let headers = headers.map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        });
        Ok(Self {
            status,
            headers: headers.collect(),
            body: bytes.get(length..).unwrap_or_default().to_vec(),
        })
    }

    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// Whether as much of the body came as was announced.
    pub fn is_whole(&self) -> bool {
        let announced = self.header("content-length").and_then(|length| length.parse().ok());
        announced.is_none_or(|length: usize| length == self.body.len())
    }

    /// The body, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_came() {
        let answer = Answer::parse(b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 3\r\n\r\nab").unwrap();
        assert_eq!(
            (answer.status, answer.header("etag"), answer.body.as_slice()),
            (200, Some("\"x\""), &b"ab"[..])
        );
        assert!(!answer.is_whole());
        let whole = Answer::parse(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap();
        assert!(whole.is_whole() && whole.text().is_empty());
        for broken in [&b"HTTP/1.1 200 OK\r\nETag"[..], b"ICY 200 OK\r\n\r\n", b""] {
            assert_eq!(Answer::parse(broken).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
