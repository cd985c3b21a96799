//! Hosts in memory: objects, ETags, the key of closed paths, and whatever an attacker answers instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flagstone::transport::{Body, Request, Response, Transport, TransportError};
use flagstone_model::digest::Digest;

/// An answer in place of the true one; `None` leaves it.
type Attack = Arc<dyn Fn(&str) -> Option<Reply> + Send + Sync>;

#[derive(Default, Clone)]
struct Host {
    objects: HashMap<String, Vec<u8>>,
    attack: Option<Attack>,
}

/// What a host or somebody in between answers.
pub(crate) enum Reply {
    /// These bytes under this status.
    Bytes(u16, Vec<u8>),
    /// As it would be, with a header more.
    Header(&'static str, String),
    /// As it would be, under this ETag.
    Etag(String),
    /// As it would be, without its ETag.
    WithoutEtag,
    /// The same bytes for ever.
    Endless,
    /// The same bytes for ever, after a header.
    EndlessWith(&'static str, String),
    /// As it would be, one byte a second.
    Slow,
    /// As it would be, so many bytes a second.
    AtRate(usize),
    /// As it would be, after a while.
    Later(Duration),
    /// As it would be up to a byte, then the connection breaks.
    CutAt(usize),
    /// No connection.
    Refused,
    /// No answer, ever.
    Hang,
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<&'static str, String>,
}

pub(crate) struct Cdn {
    hosts: Mutex<HashMap<String, Host>>,
    seen: Mutex<Vec<Seen>>,
}

impl core::fmt::Debug for Cdn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Cdn")
    }
}

impl Cdn {
    pub(crate) fn new(hosts: &[&str]) -> Self {
        let hosts = hosts.iter().map(|&host| (host.to_owned(), Host::default())).collect();
        Self { hosts: Mutex::new(hosts), seen: Mutex::default() }
    }

    pub(crate) fn put_everywhere(&self, path: &str, bytes: &[u8]) {
        for host in self.hosts.lock().unwrap().values_mut() {
            host.objects.insert(path.to_owned(), bytes.to_vec());
        }
    }

    pub(crate) fn put(&self, host: &str, path: &str, bytes: &[u8]) {
        let mut hosts = self.hosts.lock().unwrap();
        hosts.get_mut(host).unwrap().objects.insert(path.to_owned(), bytes.to_vec());
    }

    pub(crate) fn remove_everywhere(&self, path: &str) {
        for host in self.hosts.lock().unwrap().values_mut() {
            host.objects.remove(path);
        }
    }

    pub(crate) fn object(&self, host: &str, path: &str) -> Option<Vec<u8>> {
        self.hosts.lock().unwrap()[host].objects.get(path).cloned()
    }

    pub(crate) fn attack(&self, host: &str, attack: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) {
        self.hosts.lock().unwrap().get_mut(host).unwrap().attack = Some(Arc::new(attack));
    }

    /// The host is itself again.
    pub(crate) fn relent(&self, host: &str) {
        self.hosts.lock().unwrap().get_mut(host).unwrap().attack = None;
    }

    /// Takes the requests so far.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        core::mem::take(&mut self.seen.lock().unwrap())
    }

    /// Paths asked for since the last look, shortened to their meaning.
    pub(crate) fn take_kinds(&self) -> Vec<&'static str> {
        let kind = |seen: &Seen| match seen.path.split('/').nth(4) {
            Some("e") => "manifest",
            Some("s") => "snapshot",
            Some("d") => "delta",
            _ => "root",
        };
        self.take_seen().iter().map(kind).collect()
    }
}

#[async_trait]
impl Transport for Cdn {
    async fn get(&self, request: Request<'_>) -> Result<Response, TransportError> {
        let rest = request.url.strip_prefix("https://").unwrap();
        let (name, _) = rest.split_once('/').unwrap();
        let path = &rest[name.len()..];
        let headers = request.headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.seen.lock().unwrap().push(Seen { host: name.to_owned(), path: path.to_owned(), headers });

        let host = self.hosts.lock().unwrap()[name].clone();
        let truth = || honest(&host, path, &request);
        let reply = host.attack.as_ref().and_then(|attack| attack(path));
        match reply {
            None => firewall(&request).unwrap_or_else(|| Ok(truth())),
            Some(Reply::Bytes(status, bytes)) => Ok(Response::of_bytes(status, bytes)),
            Some(Reply::Header(name, value)) => Ok(truth().with_header(name, value)),
            Some(Reply::Etag(etag)) => {
                Ok(Response::of_bytes(200, host.objects[path].clone()).with_header("etag", etag))
            }
            Some(Reply::WithoutEtag) => Ok(Response::of_bytes(200, host.objects[path].clone())),
            Some(Reply::Endless) => Ok(Response::new(200, Endless)),
            Some(Reply::EndlessWith(name, value)) => Ok(Response::new(200, Endless).with_header(name, value)),
            Some(Reply::Slow) => Ok(Response::new(200, AtRate(host.objects[path].clone(), 1))),
            Some(Reply::AtRate(bytes)) => Ok(Response::new(200, AtRate(host.objects[path].clone(), bytes))),
            Some(Reply::Later(pause)) => {
                tokio::time::sleep(pause).await;
                Ok(truth())
            }
            Some(Reply::CutAt(at)) => Ok(Response::new(200, Cut(Some(host.objects[path][..at].to_vec())))),
            Some(Reply::Refused) => Err(TransportError::Connect("connection refused".into())),
            Some(Reply::Hang) => std::future::pending().await,
        }
    }
}

/// What takes offence at an ETag `"offends-STATUS"` answers that status, or breaks the connection if it is none.
fn firewall(request: &Request<'_>) -> Option<Result<Response, TransportError>> {
    let status = request.header("if-none-match")?.strip_prefix("\"offends-")?.strip_suffix('"')?;
    Some(match status.parse() {
        Ok(status) => Ok(Response::of_bytes(status, Vec::new())),
        Err(_) => Err(TransportError::Broken("connection reset".into())),
    })
}

fn honest(host: &Host, path: &str, request: &Request<'_>) -> Response {
    if path.starts_with("/closed/") && request.header("x-flagstone-key") != Some(super::SDK_KEY) {
        return Response::of_bytes(403, "no key");
    }
    // As strict as servers are.
    if request.headers.iter().any(|(_, value)| value.len() > 8_192) {
        return Response::of_bytes(431, "a header is too large");
    }
    if request.header("if-none-match").is_some_and(|etag| !etag.ends_with('"')) {
        return Response::of_bytes(400, "no ETag");
    }
    if request.header("if-none-match") == Some("*") && host.objects.contains_key(path) {
        return Response::of_bytes(304, Vec::new());
    }
    let Some(bytes) = host.objects.get(path) else {
        return Response::of_bytes(404, "no such object");
    };
    let etag = format!("\"{}\"", &Digest::of(bytes).to_string()[..16]);
    if request.header("if-none-match") == Some(&etag) {
        return Response::of_bytes(304, Vec::new()).with_header("etag", etag);
    }
    let length = bytes.len().to_string();
    Response::of_bytes(200, bytes.clone()).with_header("etag", etag).with_header("content-length", length)
}

struct Endless;

#[async_trait]
impl Body for Endless {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(Some(vec![b'{'; 1_024]))
    }
}

struct AtRate(Vec<u8>, usize);

#[async_trait]
impl Body for AtRate {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let rest = self.0.split_off(self.0.len().min(self.1));
        let first = core::mem::replace(&mut self.0, rest);
        Ok((!first.is_empty()).then_some(first))
    }
}

struct Cut(Option<Vec<u8>>);

#[async_trait]
impl Body for Cut {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        self.0.take().map(Some).ok_or_else(|| TransportError::Broken("connection reset".into()))
    }
}
