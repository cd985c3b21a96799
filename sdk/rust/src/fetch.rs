//! One GET under the rules of FORMAT T-5.3 and T-5.4: deadlines, a least rate, and a cap on every body.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use crate::failure::{Failure, Object, Rewriting};
use crate::transport::{Request, Transport, TransportError};

/// The header that the SDK key goes into (FORMAT T-3.7).
pub(crate) const KEY_HEADER: &str = "x-flagstone-key";
/// Longest ETag that is kept: it is sent with every poll, and servers refuse large headers.
const MAX_ETAG_BYTES: usize = 256;
const TOTAL: Duration = Duration::from_secs(5);
const OBJECT_TOTAL: Duration = Duration::from_secs(30);
/// Time before the least rate is asked of a body.
const GRACE: Duration = Duration::from_secs(5);
/// Least rate of an object, in bytes a second.
const LEAST_RATE: u32 = 10_000;
/// Time before the fair rate is asked of what somebody else may have.
const FAIR_GRACE: Duration = Duration::from_secs(10);
/// Rate in bytes a second below which somebody else is asked first.
const FAIR_RATE: u32 = 100_000;

/// An SDK key: it opens closed streams, and is never written anywhere.
#[derive(Clone)]
pub(crate) struct SdkKey(Arc<str>);

impl SdkKey {
    /// Takes a key that can stand in an HTTP header.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fits = (1..=1_024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }
}

impl fmt::Debug for SdkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SdkKey(…)")
    }
}

/// Requests sent and body bytes read since the client was built.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What is asked for, where, and how much of it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) object: Object,
    pub(crate) url: &'a str,
    /// Whether it lies under `closed/`.
    pub(crate) keyed: bool,
    pub(crate) etag: Option<&'a str>,
    pub(crate) max_bytes: usize,
    /// Whether somebody else can be asked instead: then what comes below the fair rate is given up.
    pub(crate) elsewhere: bool,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The stored ETag still holds.
    NotModified,
    /// A whole body.
    Body {
        bytes: Vec<u8>,
        etag: Option<String>,
        /// The HTTP `Date`, in epoch milliseconds.
        date_ms: Option<i64>,
    },
}

/// Why it did not come, and when the server would like to be asked again.
#[derive(Debug)]
pub(crate) struct FetchError {
    pub(crate) failure: Failure,
    pub(crate) retry_after: Option<Duration>,
    /// Whether it was only given up because somebody else can be asked.
    pub(crate) is_slow: bool,
}

impl From<Failure> for FetchError {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after: None, is_slow: false }
    }
}

impl FetchError {
    /// This or another of the same object, whichever says more; the longer pause that was asked for holds.
    pub(crate) fn or(self, other: Self) -> Self {
        let retry_after = self.retry_after.max(other.retry_after);
        let failure = if other.failure.is_silence() { self.failure } else { other.failure };
        Self { failure, retry_after, is_slow: false }
    }
}

/// Sends requests and counts them.
#[derive(Debug)]
pub(crate) struct Fetcher {
    transport: Arc<dyn Transport>,
    user_agent: String,
    key: Option<SdkKey>,
    traffic: Arc<Traffic>,
}

impl Fetcher {
    pub(crate) fn new(
        user_agent: String,
        key: Option<SdkKey>,
        traffic: Arc<Traffic>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        Self { transport, user_agent, key, traffic }
    }

    pub(crate) async fn get(&self, wanted: Wanted<'_>) -> Result<Answer, FetchError> {
        let start = Instant::now();
        let total = match wanted.object {
            // Nobody waits for all of a list: it may take as long as the least rate allows.
            Object::List => OBJECT_TOTAL.max(longest(wanted.max_bytes, LEAST_RATE)),
            object if object.is_large() => OBJECT_TOTAL,
            _ => TOTAL,
        };
        let deadline = start + total;
        let mut headers = vec![("accept-encoding", "identity"), ("user-agent", self.user_agent.as_str())];
        if let Some(etag) = wanted.etag {
            headers.push(("if-none-match", etag));
        }
        if let Some(key) = self.key.as_ref().filter(|_| wanted.keyed) {
            headers.push((KEY_HEADER, &key.0));
        }
        let request = Request { url: wanted.url, headers: &headers };
        let object = wanted.object;
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        // By when something has to come, sooner if somebody else can be asked; and what it is if it does not.
        let until = |least: Instant, fair: Duration| {
            let by = if wanted.elsewhere { least.min(start + fair) } else { least };
            let is_slow = by < least;
            (by, move |_: Elapsed| FetchError { is_slow, ..Failure::Timeout { object }.into() })
        };
        let (by, given_up) = until(deadline.min(start + OBJECT_TOTAL), FAIR_GRACE);
        let mut response = timeout_at(by, self.transport.get(request))
            .await
            .map_err(given_up)?
            .map_err(|error| lost(object, error))?;

        let status = response.status();
        let retry_after = response.header("retry-after").and_then(seconds);
        let refused = |failure| FetchError { failure, retry_after, is_slow: false };
        match status {
            200 => {}
            304 if wanted.etag.is_some() => return Ok(Answer::NotModified),
            304 => return Err(refused(rewritten(object, Rewriting::Unasked))),
            300..400 => return Err(refused(rewritten(object, Rewriting::Redirect))),
            403 | 404 => return Err(refused(Failure::NotFound { object, status })),
            _ => return Err(refused(Failure::Status { object, status })),
        }
        if response.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            return Err(rewritten(object, Rewriting::ContentEncoding).into());
        }
        let too_large = || Failure::TooLarge { object, max_bytes: wanted.max_bytes };
        let announced = response.header("content-length").and_then(|length| length.parse::<u64>().ok());
        if announced
            .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > wanted.max_bytes))
        {
            return Err(too_large().into());
        }
        let etag = response.header("etag").filter(|etag| is_entity_tag(etag)).map(str::to_owned);
        let date_ms = response.header("date").and_then(http_date);

        let mut bytes = Vec::new();
        loop {
            let least = deadline.min(start + longest(bytes.len(), LEAST_RATE));
            let (by, given_up) = until(least, FAIR_GRACE.max(longest(bytes.len(), FAIR_RATE)));
            let next = timeout_at(by, response.body().chunk())
                .await
                .map_err(given_up)?
                .map_err(|error| lost(object, error))?;
            let Some(chunk) = next else { break };
            if chunk.is_empty() {
                // Nothing, at once, for ever: that is no progress, and the deadline has to see it.
                if Instant::now() >= deadline {
                    return Err(Failure::Timeout { object }.into());
                }
                tokio::task::yield_now().await;
            }
            self.traffic.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            if bytes.len().saturating_add(chunk.len()) > wanted.max_bytes {
                return Err(too_large().into());
            }
            if bytes.is_empty() {
                bytes = chunk;
            } else {
                bytes.extend_from_slice(&chunk);
            }
        }
        if announced.is_some_and(|length| length != bytes.len() as u64) {
            return Err(rewritten(object, Rewriting::Cut).into());
        }
        Ok(Answer::Body { bytes, etag, date_ms })
    }
}

/// How long so many bytes may take at a rate.
fn longest(bytes: usize, rate: u32) -> Duration {
    GRACE + Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX) / rate
}

/// Whether it is one entity tag and no more. Sent back, `*` would match whatever is published next, and a list might.
fn is_entity_tag(text: &str) -> bool {
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    let opaque = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    text.len() <= MAX_ETAG_BYTES
        && opaque.is_some_and(|opaque| opaque.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'))
}

fn lost(object: Object, error: TransportError) -> Failure {
    match error {
        TransportError::Timeout => Failure::Timeout { object },
        error => Failure::Unreachable { object, source: Arc::new(error) },
    }
}

const fn rewritten(object: Object, what: Rewriting) -> Failure {
    Failure::Rewritten { object, what }
}

/// `Retry-After` in seconds; the form with a date is not worth a clock.
fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

fn http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}
