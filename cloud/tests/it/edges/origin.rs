//! A bucket for the tests of edges: it does what it is told to, and counts what it is asked.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// The bucket, as part of a path.
pub(crate) const PREFIX: &str = "/bucket";
/// As in FORMAT T-3.7.
pub(crate) const MANIFEST: &str =
    "public, max-age=0, s-maxage=1, stale-while-revalidate=0, stale-if-error=86400, no-transform";
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable, no-transform";
/// A body with a status, as buckets send it.
const REFUSAL: &str = "<Error><Code>canary of the origin</Code></Error>";

/// What the origin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It serves objects, and says 404 for what is missing.
    Serves,
    /// It serves objects, and says 403 for what is missing: it must not be listed.
    Hides,
    /// It answers everything with this status.
    Says(u16),
    /// It closes the connection in the midst of the headers.
    CutsHeaders,
    /// It closes the connection in the midst of the body.
    CutsBody,
    /// It takes requests and never answers.
    IsSilent,
    /// It does not say how long an object is: the end of the connection ends it.
    NamesNoLength,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct Stored {
    body: Vec<u8>,
    etag: String,
    cache_control: &'static str,
}

struct State {
    mode: Mode,
    objects: BTreeMap<String, Stored>,
    asked: Vec<Asked>,
}

/// The origin. It listens until it is told to be down.
pub(crate) struct Origin {
    state: Arc<Mutex<State>>,
    /// One permit for each answer, while they are held back.
    held: Arc<Semaphore>,
    port: u16,
    listening: Option<JoinHandle<()>>,
}

/// More answers than any test waits for.
const ALL: usize = 1 << 20;

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let state = State { mode: Mode::Serves, objects: BTreeMap::new(), asked: Vec::new() };
        let mut origin = Self {
            state: Arc::new(Mutex::new(state)),
            held: Arc::new(Semaphore::new(ALL)),
            port: listener.local_addr().unwrap().port(),
            listening: None,
        };
        origin.listen(listener);
        origin
    }

    fn listen(&mut self, listener: TcpListener) {
        let (state, held) = (Arc::clone(&self.state), Arc::clone(&self.held));
        self.listening = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&state), Arc::clone(&held)));
            }
        }));
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Connections are refused from now on.
    pub(crate) async fn goes_down(&mut self) {
        let listening = self.listening.take().unwrap();
        listening.abort();
        let _ = listening.await;
    }

    /// It listens again.
    pub(crate) async fn comes_back(&mut self) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        self.listen(TcpListener::bind(address).await.unwrap());
    }

    /// No answer is sent until [`Self::lets_go`].
    pub(crate) fn holds_back(&self) {
        self.held.forget_permits(ALL);
    }

    pub(crate) fn lets_go(&self) {
        self.held.add_permits(ALL);
    }

    pub(crate) fn does(&self, mode: Mode) {
        self.state().mode = mode;
    }

    pub(crate) fn put(&self, path: &str, body: &str, cache_control: &'static str) {
        let etag = format!("\"{}\"", flagstone_model::digest::Digest::of(body.as_bytes()));
        let stored = Stored { body: body.as_bytes().to_vec(), etag, cache_control };
        self.state().objects.insert(format!("{PREFIX}{path}"), stored);
    }

    pub(crate) fn remove(&self, path: &str) {
        self.state().objects.remove(&format!("{PREFIX}{path}")).unwrap();
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// How much it was asked so far.
    pub(crate) fn count(&self) -> usize {
        self.state().asked.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>, held: Arc<Semaphore>) {
    let Some(asked) = read(&mut stream).await else { return };
    let (mode, stored) = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        (state.mode, state.objects.get(&asked.path).cloned())
    };
    let Ok(permit) = held.acquire().await else { return };
    let told = match (mode, stored) {
        (Mode::IsSilent, _) => {
            // Until the other side has enough of it.
            let _ = stream.read(&mut [0; 1]).await;
            return;
        }
        (Mode::CutsHeaders, _) => "HTTP/1.1 200 OK\r\nContent-Ty".into(),
        (Mode::Says(status), _) => refusal(status),
        (Mode::Hides, None) => refusal(403),
        (_, None) => refusal(404),
        (mode, Some(stored)) => object(&asked, &stored, mode),
    };
    drop(permit);
    let _ = stream.write_all(&told).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Some(Asked { method, path, headers })
}

fn refusal(status: u16) -> Vec<u8> {
    let length = REFUSAL.len();
    format!(
        "HTTP/1.1 {status} Told\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: \
         close\r\nx-amz-request-id: 1\r\n\r\n{REFUSAL}"
    )
    .into()
}

/// What a bucket says: conditions are heeded, and a 304 has no `Cache-Control`.
fn object(asked: &Asked, stored: &Stored, mode: Mode) -> Vec<u8> {
    let etag = &stored.etag;
    let common = format!(
        "ETag: {etag}\r\nLast-Modified: Sat, 21 Nov 2026 12:00:00 GMT\r\nAccept-Ranges: bytes\r\nVary: Origin, \
         Accept-Encoding\r\nSet-Cookie: a=b\r\nStrict-Transport-Security: max-age=1\r\nX-Content-Type-Options: nosniff\r\nx-amz-request-id: 1\r\nConnection: close\r\n"
    );
    if asked.headers.get("if-none-match") == Some(etag) {
        return format!("HTTP/1.1 304 Not Modified\r\n{common}\r\n").into();
    }
    let (cache_control, length) = (stored.cache_control, stored.body.len());
    let length =
        if mode == Mode::NamesNoLength { String::new() } else { format!("Content-Length: {length}\r\n") };
    let head = format!(
        "HTTP/1.1 200 OK\r\n{common}Content-Type: application/octet-stream\r\nCache-Control: \
         {cache_control}\r\n{length}\r\n"
    );
    let body = match mode {
        Mode::CutsBody => stored.body.get(..stored.body.len() / 2).unwrap(),
        _ => &stored.body,
    };
    [head.as_bytes(), body].concat()
}
