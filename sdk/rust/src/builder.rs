//! How a client is set up.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use flagstone_bundle::limits::MAX_BUNDLE_BYTES;
use flagstone_bundle::manifest::{Outcome, order};

use crate::backoff::Pace;
use crate::cache::DiskCache;
use crate::client::Client;
use crate::clock::{Clock, Randomness, SystemClock, SystemRandomness};
use crate::connection::{Access, Connection};
use crate::failure::{Failure, Object};
use crate::fetch::{Fetcher, SdkKey};
use crate::follow::Follower;
use crate::http::{HttpSetupError, HttpTransport};
use crate::persist::{self, Keeper, LoadError, Restored};
use crate::shared::Shared;
use crate::status::{Disk, Source};
use crate::transport::Transport;

/// Sets up a [`Client`]. Only the connection is needed, and for closed streams the SDK key.
#[must_use]
pub struct Builder {
    connection: Connection,
    sdk_key: Option<String>,
    cache_dir: Option<PathBuf>,
    poll_interval: Option<Duration>,
    user_agent: Option<String>,
    bundle: Option<Vec<u8>>,
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
    /// The addition to the user agent cannot stand in an HTTP header.
    #[error("the user agent holds a character no HTTP header may have")]
    UserAgent,
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
            Self::NoRuntime => "no-runtime",
            Self::Http(_) => "http-setup",
            Self::NothingToServe(failure) => failure.as_ref().map_or("not-found", Failure::code),
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

    /// A directory to keep the last good bundle in. It is made if it is not there.
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

    /// Adds a product to the user agent, such as `shop/3.1`.
    pub fn user_agent(mut self, product: impl Into<String>) -> Self {
        self.user_agent = Some(product.into());
        self
    }

    /// A bundle to start from if there is no newer one on disk, such as one baked into an image.
    pub fn bundle(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.bundle = Some(bytes.into());
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
    pub fn build(mut self) -> Result<Client, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let key = match self.sdk_key.take() {
            Some(key) => Some(SdkKey::parse(&key).ok_or(BuildError::SdkKeyMalformed)?),
            None if self.connection.access() == Access::Closed => return Err(BuildError::SdkKeyMissing),
            None => None,
        };
        let transport = match self.transport.take() {
            Some(transport) => transport,
            None => Arc::new(HttpTransport::new(self.connection.is_loopback_http())?),
        };
        let (follower, shared) = self.start(key, transport)?;
        Ok(Client::polling(follower, shared, &runtime))
    }

    /// Builds a client that never asks the network: it serves what is on disk or was given.
    ///
    /// Needs neither an SDK key nor a runtime.
    pub fn offline(mut self) -> Result<Client, BuildError> {
        self.transport = None;
        let (_, shared) = self.start(None, Arc::new(Nowhere))?;
        let status = shared.status();
        if status.ready {
            Ok(Client::offline(shared))
        } else {
            Err(BuildError::NothingToServe(status.last_error))
        }
    }

    fn start(
        self,
        key: Option<SdkKey>,
        transport: Arc<dyn Transport>,
    ) -> Result<(Follower, Arc<Shared>), BuildError> {
        let mut user_agent = format!("flagstone-rust/{} level/1", env!("CARGO_PKG_VERSION"));
        if let Some(product) = &self.user_agent {
            if !product.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
                return Err(BuildError::UserAgent);
            }
            user_agent.push(' ');
            user_agent.push_str(product);
        }
        let (pin, stream) = (*self.connection.pin(), self.connection.stream().clone());
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let random = self.randomness.unwrap_or_else(|| Arc::new(SystemRandomness));
        let disk = if self.cache_dir.is_some() { Disk::Fine } else { Disk::Off };
        let mut keeper = self.cache_dir.map(|directory| {
            let cache = DiskCache::new(directory, &pin, &stream, MAX_BUNDLE_BYTES, Arc::clone(&random));
            Keeper::new(cache, pin, stream.clone())
        });

        let on_disk = keeper.as_mut().and_then(Keeper::load);
        let given = self.bundle.map(|file| persist::restore(&file, &pin, &stream).map_err(LoadError::Bundle));
        let mut trouble = None;
        let mut start: Option<(Restored, Source)> = None;
        for (loaded, source) in [(on_disk, Source::Disk), (given, Source::Bundle)] {
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
        let shared = Arc::new(Shared::new(pace.interval(), disk, clock));
        let fetcher = Fetcher::new(user_agent, key, Arc::clone(&shared.traffic), transport);
        let mut follower =
            Follower::new(&self.connection, fetcher, pace, keeper, random, Arc::clone(&shared));
        if let Some(failure) = trouble {
            follower.note(failure);
        }
        match start {
            Some((restored, source)) => follower.start_from(restored, source),
            None => shared.review(crate::shared::Cost::default()),
        }
        Ok((follower, shared))
    }
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
