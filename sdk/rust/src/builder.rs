//! How a client is set up.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use flagstone_bundle::limits::MAX_BUNDLE_BYTES;
use flagstone_bundle::manifest::{Outcome, order};
use flagstone_eval::Override;

use crate::backoff::Pace;
use crate::cache::DiskCache;
use crate::client::Client;
use crate::clock::{Clock, Randomness, SystemClock, SystemRandomness};
use crate::connection::{Access, Connection};
use crate::failure::{Failure, Object};
use crate::fetch::{Fetcher, SdkKey};
use crate::follow::Follower;
use crate::hook::Hook;
use crate::http::{HttpSetupError, HttpTransport};
use crate::list_cache::ListCache;
use crate::observe::{Extras, ExtrasError, MAX_RECORD_QUEUE};
use crate::overrides::OverrideError;
use crate::persist::{self, Keeper, LoadError, Restored};
use crate::record::Sink;
use crate::shared::Shared;
use crate::status::{Disk, Source};
use crate::test_data::TestDataError;
use crate::transport::Transport;

/// Longest addition to the user agent, in bytes.
pub const MAX_PRODUCT_BYTES: usize = 256;

/// Sets up a [`Client`]. Only the connection is needed, and for closed streams the SDK key.
#[must_use]
pub struct Builder {
    connection: Connection,
    sdk_key: Option<String>,
    cache_dir: Option<PathBuf>,
    poll_interval: Option<Duration>,
    user_agent: Option<String>,
    bundle: Option<Vec<u8>>,
    bundle_file: Option<PathBuf>,
    extras: Extras,
    clock: Option<Arc<dyn Clock>>,
    randomness: Option<Arc<dyn Randomness>>,
    transport: Option<Arc<dyn Transport>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the key, nor what a bundle of a closed stream holds.
        f.debug_struct("Builder")
            .field("connection", &self.connection)
            .field("has_sdk_key", &self.sdk_key.is_some())
            .field("cache_dir", &self.cache_dir)
            .field("poll_interval", &self.poll_interval)
            .field("user_agent", &self.user_agent)
            .field("bundle_file", &self.bundle_file)
            .field("bundle_bytes", &self.bundle.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// Why a client cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The stream is closed, and no SDK key was given.
    #[error("the stream is closed: give its SDK key with `sdk_key`")]
    SdkKeyMissing,
    /// The SDK key is empty, longer than 1024 bytes, or cannot stand in an HTTP header.
    #[error("the SDK key is empty, too long, or holds a character no key has, such as a line break")]
    SdkKeyMalformed,
    /// The addition to the user agent is empty, longer than [`MAX_PRODUCT_BYTES`], begins or ends with a space, or
    /// cannot stand in an HTTP header.
    #[error(
        "the user agent takes 1 to {MAX_PRODUCT_BYTES} visible ASCII characters, with spaces only in between"
    )]
    UserAgent,
    /// An override cannot be taken.
    #[error("an override cannot be taken")]
    Override(#[from] OverrideError),
    /// The queue of records holds nothing, or more than [`MAX_RECORD_QUEUE`].
    #[error("the queue takes 1 to {MAX_RECORD_QUEUE} records")]
    RecordQueue,
    /// Flags that were made up for a test are not as they must be.
    #[error(transparent)]
    TestData(#[from] TestDataError),
    /// The thread that serves the sinks could not be started.
    #[error("the thread that serves the sinks could not be started")]
    Thread(#[source] std::io::Error),
    /// There is no tokio runtime to poll on.
    #[error("a client polls on tokio: call `build` inside a runtime")]
    NoRuntime,
    /// TLS or the HTTP client could not be set up.
    #[error(transparent)]
    Http(#[from] HttpSetupError),
    /// An offline client has nothing to serve: no bundle on disk or given, or the one there was is refused.
    #[error("offline, and there is no bundle that can be served")]
    NothingToServe(#[source] Option<Failure>),
}

impl BuildError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SdkKeyMissing => "sdk-key-missing",
            Self::SdkKeyMalformed => "sdk-key-malformed",
            Self::UserAgent => "user-agent",
            Self::Override(error) => error.code(),
            Self::RecordQueue => "record-queue",
            Self::TestData(error) => error.code(),
            Self::Thread(_) => "thread",
            Self::NoRuntime => "no-runtime",
            Self::Http(_) => "http-setup",
            Self::NothingToServe(failure) => failure.as_ref().map_or("not-found", Failure::code),
        }
    }
}

impl From<ExtrasError> for BuildError {
    fn from(error: ExtrasError) -> Self {
        match error {
            ExtrasError::Override(error) => Self::Override(error),
            ExtrasError::Queue => Self::RecordQueue,
            ExtrasError::Thread(error) => Self::Thread(error),
        }
    }
}

impl Builder {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            sdk_key: None,
            cache_dir: None,
            poll_interval: None,
            user_agent: None,
            bundle: None,
            bundle_file: None,
            extras: Extras::default(),
            clock: None,
            randomness: None,
            transport: None,
        }
    }

    /// The key that opens closed streams. It is sent with requests below `closed/`, and goes nowhere else.
    pub fn sdk_key(mut self, key: impl Into<String>) -> Self {
        self.sdk_key = Some(key.into());
        self
    }

    /// A directory to keep the last good bundle in, and its lists. It is made if it is not there.
    ///
    /// With it, a process starts with the flags it last had, and an attacker cannot hand it older ones.
    pub fn cache_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(directory.into());
        self
    }

    /// Polls at this interval, whatever the manifest suggests. At least 10 ms; 10 s where nobody says another.
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = Some(interval);
        self
    }

    /// Adds a product to the user agent, such as `shop/3.1`. At most [`MAX_PRODUCT_BYTES`].
    pub fn user_agent(mut self, product: impl Into<String>) -> Self {
        self.user_agent = Some(product.into());
        self
    }

    /// A bundle to start from if there is no newer one on disk, such as one baked into an image.
    pub fn bundle(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.bundle = Some(bytes.into());
        self
    }

    /// A file with a bundle to start from, as [`bundle`](Self::bundle). It is read when the client is built.
    ///
    /// With [`offline`](Self::offline) no network is asked, and [`Client::refresh`] reads the file again: for a machine
    /// on which something else keeps it current. It is verified like a download, and an older one is not taken.
    ///
    /// The objects of its lists are looked for in the folder `k` beside it, as `{sha256}.txt.zst`.
    pub fn bundle_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.bundle_file = Some(path.into());
        self
    }

    /// Overrides that hold from the start, as [`Client::set_override`].
    pub fn overrides<K: Into<String>, V: Into<Override>>(
        mut self,
        overrides: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.extras.overrides(overrides);
        self
    }

    /// A hook that sees each evaluation. There may be several; none costs nothing.
    pub fn hook(mut self, hook: impl Hook + 'static) -> Self {
        self.extras.hooks.push(Box::new(hook));
        self
    }

    /// Where exposures and tracked events go. There may be several; without one, nothing is recorded.
    pub fn sink(mut self, sink: impl Sink + 'static) -> Self {
        self.extras.sinks.push(Box::new(sink));
        self
    }

    /// How many records may wait for the sinks before the oldest is dropped: 1 to [`MAX_RECORD_QUEUE`], 10,000 unless
    /// said otherwise.
    pub const fn record_queue(mut self, records: usize) -> Self {
        self.extras.record_queue = Some(records);
        self
    }

    /// Other clocks than the system's, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Another randomness than the system's, for tests.
    pub fn randomness(mut self, randomness: Arc<dyn Randomness>) -> Self {
        self.randomness = Some(randomness);
        self
    }

    /// Another transport than HTTP, for tests.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Builds the client, loads what is on disk, and starts polling on the current tokio runtime.
    ///
    /// With a good bundle on disk or given, the client is ready when this returns.
    pub fn build(self) -> Result<Client, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let (follower, shared) = self.connected()?;
        Ok(Client::polling(follower, shared, &runtime))
    }

    /// Builds a client without a background task, and loads what is on disk: it polls when the caller says, by
    /// [`Client::refresh`] or [`Client::refresh_if_older_than`].
    ///
    /// For functions whose process is frozen between two invocations, and for tests. Polls need tokio; building does
    /// not.
    pub fn manual(self) -> Result<Client, BuildError> {
        let (follower, shared) = self.connected()?;
        Ok(Client::manual(follower, shared))
    }

    fn connected(mut self) -> Result<(Follower, Arc<Shared>), BuildError> {
        let key = match self.sdk_key.take() {
            Some(key) => Some(SdkKey::parse(&key).ok_or(BuildError::SdkKeyMalformed)?),
            None if self.connection.access() == Access::Closed => return Err(BuildError::SdkKeyMissing),
            None => None,
        };
        let transport = match self.transport.take() {
            Some(transport) => transport,
            None => Arc::new(HttpTransport::new(self.connection.is_loopback_http())?),
        };
        self.start(key, transport)
    }

    /// Builds a client that never asks the network: it serves what is on disk or was given.
    ///
    /// Needs neither an SDK key nor a runtime. With a [`bundle_file`](Self::bundle_file), [`Client::refresh`] reads
    /// that file again.
    pub fn offline(mut self) -> Result<Client, BuildError> {
        self.transport = None;
        let file = self.bundle_file.clone();
        let (follower, shared) = self.start(None, Arc::new(Nowhere))?;
        let status = shared.status();
        if !status.ready {
            return Err(BuildError::NothingToServe(status.last_error));
        }
        Ok(match file {
            Some(file) => Client::following_file(follower, file, shared),
            None => Client::offline(shared),
        })
    }

    fn start(
        self,
        key: Option<SdkKey>,
        transport: Arc<dyn Transport>,
    ) -> Result<(Follower, Arc<Shared>), BuildError> {
        let user_agent = user_agent(self.user_agent.as_deref())?;
        let (pin, stream) = (*self.connection.pin(), self.connection.stream().clone());
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let random = self.randomness.unwrap_or_else(|| Arc::new(SystemRandomness));
        let disk = if self.cache_dir.is_some() { Disk::Fine } else { Disk::Off };
        let cache = self
            .cache_dir
            .map(|directory| DiskCache::new(directory, &pin, &stream, MAX_BUNDLE_BYTES, Arc::clone(&random)));
        let mut lists = ListCache::default();
        if let Some(cache) = &cache {
            lists = lists.kept_in(cache.lists(), Arc::clone(&random));
        }
        if let Some(file) = &self.bundle_file {
            lists = lists.beside(file);
        }
        let mut keeper = cache.map(|cache| Keeper::new(cache, pin, stream.clone()));

        let on_disk = keeper.as_mut().and_then(Keeper::load);
        let verify = |file: Vec<u8>| persist::restore(&file, &pin, &stream).map_err(LoadError::Bundle);
        let given = self.bundle.map(verify);
        let from_file = self.bundle_file.map(|path| persist::read(&path).and_then(verify));
        let mut trouble = None;
        let mut start: Option<(Restored, Source)> = None;
        for (loaded, source) in
            [(on_disk, Source::Disk), (given, Source::Bundle), (from_file, Source::Bundle)]
        {
            match loaded {
                None => {}
                Some(Err(error)) => trouble = Some(Failure::refused(Object::Bundle, error.code(), error)),
                Some(Ok(restored)) => {
                    let newer = start.as_ref().is_none_or(|(before, _)| {
                        let (before, offered) = (&before.verified.manifest, &restored.verified.manifest);
                        order(Some(&before.position()), &offered.position()) == Outcome::Accept
                    });
                    if newer {
                        start = Some((restored, source));
                    }
                }
            }
        }

        let pace = Pace::new(self.poll_interval);
        let (overrides, observers) =
            self.extras.start(stream.project.as_str(), stream.environment.as_str())?;
        let shared = Arc::new(Shared::new(pace.interval(), disk, overrides, observers, clock));
        let fetcher = Fetcher::new(user_agent, key, Arc::clone(&shared.traffic), transport);
        let mut follower =
            Follower::new(&self.connection, fetcher, lists, pace, keeper, random, Arc::clone(&shared));
        if let Some(failure) = trouble {
            follower.note(failure);
        }
        match start {
            Some((restored, source)) => {
                // Nothing is in the way of the first one there is.
                if let Err(failure) = follower.start_from(restored, source) {
                    follower.note(failure);
                }
            }
            None => shared.review(crate::shared::Cost::default()),
        }
        Ok((follower, shared))
    }
}

/// Who asks: name, level, features that are missing (FORMAT M-10.3), and the application's addition.
fn user_agent(product: Option<&str>) -> Result<String, BuildError> {
    let own = format!("flagstone-rust/{} level/1 -hash", env!("CARGO_PKG_VERSION"));
    let Some(product) = product else { return Ok(own) };
    let fits = (1..=MAX_PRODUCT_BYTES).contains(&product.len())
        && product.trim_matches(' ').len() == product.len()
        && product.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if fits { Ok(format!("{own} {product}")) } else { Err(BuildError::UserAgent) }
}

/// The transport of a client that never sends.
#[derive(Debug)]
struct Nowhere;

#[async_trait::async_trait]
impl Transport for Nowhere {
    async fn get(
        &self,
        _: crate::transport::Request<'_>,
    ) -> Result<crate::transport::Response, crate::transport::TransportError> {
        Err(crate::transport::TransportError::Timeout)
    }
}
