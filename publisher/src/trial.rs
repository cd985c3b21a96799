//! Whether stores keep to their conditions: many writers race, and one may win.
//!
//! Everything rests on "write, if nothing is there" and "write, if it is still what was seen". A store that takes such
//! a condition and ignores it works well until two publishers meet. [`run`] lets [`RACERS`] writers meet, on an object
//! that no reader is served and on the publication item of a stream that nobody publishes, and tells what came of it.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use std::sync::Arc;
//! use flagstone_model::key::ProjectId;
//! use flagstone_publisher::publication::MemoryPublications;
//! use flagstone_publisher::store::MemoryStore;
//! use flagstone_publisher::trial;
//!
//! let (store, items) = (Arc::new(MemoryStore::new()), Arc::new(MemoryPublications::new()));
//! let told = trial::run(store, items, &ProjectId::parse("shop").unwrap()).await.unwrap();
//! assert!(told.is_trusted());
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, KeyError, ProjectId, ViewId};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::control::ControlError;
use crate::publication::{Claim, PublicationError, Publications};
use crate::publish::PublishError;
use crate::store::{Etag, Expect, ObjectPath, ObjectStore, PutIf, PutNew, StoreError};

/// How many writers race for one place.
pub const RACERS: usize = 32;
/// The first part of the path of the objects of a trial: neither `open` nor `closed`, so that nobody is served them.
/// Each trial leaves one; they may be deleted at any time.
pub const PREFIX: &str = "doctor";
/// The environment and the view of the stream whose publication item is raced for. No environment may have this id.
pub const RESERVED: &str = "flagstone-doctor";
/// The stable code of a store that ignores a condition.
pub const CONDITIONS_IGNORED: &str = "conditions-ignored";

/// What was raced for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// To make an object that is not there.
    Create,
    /// To replace an object that is still what was seen.
    Replace,
    /// To write what only a stale sight of an object allows: nobody may.
    Stale,
    /// To make the next claim of a stream.
    Claim,
}

impl Course {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 4] = [Self::Create, Self::Replace, Self::Stale, Self::Claim];

    /// The word in an answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Stale => "stale",
            Self::Claim => "claim",
        }
    }

    /// How many may win.
    pub const fn may_win(self) -> usize {
        match self {
            Self::Stale => 0,
            Self::Create | Self::Replace | Self::Claim => 1,
        }
    }
}

/// How a race ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As many won as may, and what they wrote is there.
    Fair,
    /// Nobody was told that they won, and one of them did: an answer was lost on its way. Another trial tells more.
    Unclear,
    /// The condition was ignored.
    Ignored,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fair, Self::Unclear, Self::Ignored];

    /// The word in an answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fair => "fair",
            Self::Unclear => "unclear",
            Self::Ignored => "ignored",
        }
    }
}

/// One race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Race {
    /// What for.
    pub course: Course,
    /// How many were told that they won.
    pub won: usize,
    /// How it ended.
    pub verdict: Verdict,
}

impl Race {
    /// `there` is whether what is there now is what a winner, or before any winner a racer, wrote.
    fn over(course: Course, won: usize, there: bool) -> Self {
        let verdict = match (won, there) {
            (won, true) if won == course.may_win() => Verdict::Fair,
            (0, true) => Verdict::Unclear,
            _ => Verdict::Ignored,
        };
        Self { course, won, verdict }
    }
}

/// What a trial showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Its races.
    pub races: Vec<Race>,
}

impl Trial {
    /// Whether every race was fair.
    pub fn is_trusted(&self) -> bool {
        self.races.iter().all(|race| race.verdict == Verdict::Fair)
    }

    /// Whether a condition was ignored: no publisher may use such a store.
    pub fn is_ignored(&self) -> bool {
        self.races.iter().any(|race| race.verdict == Verdict::Ignored)
    }
}

/// Why a trial could not be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The object store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The publication items did not do their part.
    #[error(transparent)]
    Publication(#[from] PublicationError),
    /// The state of the project could not be read.
    #[error(transparent)]
    Log(Box<ControlError>),
    /// The project has an environment of the reserved id.
    #[error("the project has an environment `{RESERVED}`, where a trial would write")]
    Taken,
    /// The publisher is elsewhere, and could not be asked or could not do it.
    #[error(transparent)]
    Publisher(#[from] PublishError),
    /// The system gave no randomness for a name.
    #[error("the system gave no randomness")]
    Random,
    /// The racers were stopped with the program.
    #[error("the trial was stopped")]
    Stopped,
}

impl TrialError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Publication(error) => error.code(),
            Self::Taken => "trial-place-taken",
            Self::Publisher(error) => error.code(),
            Self::Random => "no-randomness",
            Self::Stopped => "stopped",
        }
    }
}

/// Lets writers race for an object, and for a claim.
///
/// # Errors
///
/// If a store is not set up as it must be ([`ObjectStore::inspect`]), or a racer met anything but its condition.
pub async fn run(
    store: Arc<dyn ObjectStore>,
    items: Arc<dyn Publications>,
    project: &ProjectId,
) -> Result<Trial, TrialError> {
    store.inspect().await?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| TrialError::Random)?;
    let name = format!("{PREFIX}/{project}/{:016x}", u64::from_be_bytes(random));
    let path = ObjectPath::parse(&name)?;
    let create = create(&store, &path).await?;
    let mut races = vec![create];
    if let Some(seen) = store.head(&path).await? {
        races.push(replace(&store, &path, &seen.etag).await?);
        races.push(stale(&store, &path, &seen.etag).await?);
    }
    races.push(claim(&items, project).await?);
    Ok(Trial { races })
}

/// Starts the racers at once, and waits for all of them; what the winners wrote.
async fn race<W, E, F>(write: impl Fn(usize) -> F) -> Result<Vec<W>, TrialError>
where
    W: Send + 'static,
    E: Into<TrialError> + Send + 'static,
    F: Future<Output = Result<Option<W>, E>> + Send + 'static,
{
    let start = Arc::new(Barrier::new(RACERS));
    let mut racers = JoinSet::new();
    for racer in 0..RACERS {
        let (start, write) = (Arc::clone(&start), write(racer));
        racers.spawn(async move {
            start.wait().await;
            write.await
        });
    }
    let mut won = Vec::new();
    while let Some(done) = racers.join_next().await {
        won.extend(done.map_err(|_| TrialError::Stopped)?.map_err(Into::into)?);
    }
    Ok(won)
}

/// What a racer writes: bytes that no other one does.
fn bytes(course: Course, racer: usize) -> Vec<u8> {
    format!("{} {racer}\n", course.as_str()).into_bytes()
}

/// Whether one of these, or if there are none, any racer's bytes are there.
async fn is_there(
    store: &dyn ObjectStore,
    path: &ObjectPath,
    course: Course,
    won: &[usize],
) -> Result<bool, StoreError> {
    let found = store.get(path).await?.map(|object| object.bytes);
    let all: Vec<usize> = (0..RACERS).collect();
    let writers = if won.is_empty() { &all } else { won };
    Ok(found.is_some_and(|found| writers.iter().any(|racer| bytes(course, *racer) == found)))
}

async fn create(store: &Arc<dyn ObjectStore>, path: &ObjectPath) -> Result<Race, TrialError> {
    let won = race(|racer| {
        let (store, path) = (Arc::clone(store), path.clone());
        async move {
            let put = store.put_new(&path, &bytes(Course::Create, racer)).await?;
            Ok::<_, StoreError>((put == PutNew::Created).then_some(racer))
        }
    });
    let won = won.await?;
    Ok(Race::over(Course::Create, won.len(), is_there(&**store, path, Course::Create, &won).await?))
}

async fn replace(store: &Arc<dyn ObjectStore>, path: &ObjectPath, seen: &Etag) -> Result<Race, TrialError> {
    let won = race(|racer| {
        let (store, path, expect) = (Arc::clone(store), path.clone(), Expect::Is(seen.clone()));
        async move {
            let put = store.put_if(&path, &bytes(Course::Replace, racer), &expect).await?;
            Ok::<_, StoreError>(matches!(put, PutIf::Written { .. }).then_some(racer))
        }
    });
    let won = won.await?;
    Ok(Race::over(Course::Replace, won.len(), is_there(&**store, path, Course::Replace, &won).await?))
}

/// Not a race: each of three writes has a condition that does not hold.
async fn stale(store: &Arc<dyn ObjectStore>, path: &ObjectPath, stale: &Etag) -> Result<Race, TrialError> {
    let before = store.get(path).await?;
    let mut won = 0_usize;
    for expect in [Expect::Absent, Expect::Is(stale.clone())] {
        let put = store.put_if(path, b"stale\n", &expect).await?;
        won = won.saturating_add(usize::from(put != PutIf::Lost));
    }
    won = won.saturating_add(usize::from(store.put_new(path, b"stale\n").await? == PutNew::Created));
    Ok(Race::over(Course::Stale, won, store.get(path).await? == before))
}

/// The stream that nobody publishes.
///
/// # Errors
///
/// Never: its ids are constants.
fn reserved(project: &ProjectId) -> Result<Stream, KeyError> {
    let (environment, view) = (EnvironmentId::parse(RESERVED)?, ViewId::parse(RESERVED)?);
    Ok(Stream { project: project.clone(), environment, view })
}

async fn claim(items: &Arc<dyn Publications>, project: &ProjectId) -> Result<Race, TrialError> {
    let stream = reserved(project).map_err(|_| TrialError::Taken)?;
    let expected = items.read(&stream).await?.serial();
    let won = race(|racer| {
        let (items, stream) = (Arc::clone(items), stream.clone());
        async move {
            let claim = trial_claim(expected.saturating_add(1), racer);
            let made = items.claim(&stream, expected, &claim, claimed_head()).await?;
            Ok::<_, PublicationError>(made.then_some(racer))
        }
    });
    let won: BTreeSet<usize> = won.await?.into_iter().collect();
    let found = items.read(&stream).await?.claim;
    let is_of = |racer: usize| found == Some(trial_claim(expected.saturating_add(1), racer));
    let there = (0..RACERS).any(|racer| (won.is_empty() || won.contains(&racer)) && is_of(racer));
    Ok(Race::over(Course::Claim, won.len(), there))
}

fn claimed_head() -> LogHead {
    LogHead { seq: 0, hash: Digest::of(b"") }
}

/// A claim that announces nothing, told apart by its builder.
fn trial_claim(serial: u64, racer: usize) -> Claim {
    let nothing = StoredObject { encoding: Encoding::Zstd, sha256: Digest::of(b""), size: 0, raw_size: 0 };
    Claim {
        epoch: 0,
        version: 0,
        serial,
        issued_ms: 0,
        builder: racer as u64,
        content: Digest::of(b""),
        lines: 0,
        snapshot: nothing,
        deltas: Vec::new(),
        inline: false,
        history: Vec::new(),
    }
}
