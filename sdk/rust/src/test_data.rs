//! Flags made up for the tests of an application: no network, no signatures, no runtime.

mod authored;

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use flagstone_bundle::manifest::Position;
use flagstone_eval::{Override, Snapshot};
use flagstone_model::digest::Digest;
use flagstone_model::key::FlagKey;
use flagstone_model::line::{DropLine, Head};
use flagstone_model::value::Value;

use crate::builder::BuildError;
use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::hook::Hook;
use crate::observe::Extras;
use crate::overrides;
use crate::record::Sink;
use crate::served::Loaded;
use crate::shared::{Cost, Shared};
use crate::status::{Disk, Source};
use authored::Authored;

/// Project and environment of made-up flags, as exposures and hooks name them.
const NAME: &str = "test";

/// Flags of a test, and the clients that serve them.
///
/// It is a handle: a call changes the flags of all its clients at once, and their listeners are told before it returns.
/// Whatever is not possible changes nothing, and is told by [`client`](Self::client), [`TestBuilder::build`], and
/// [`check`](Self::check).
///
/// ```
/// use flagstone::{Context, TestData};
///
/// let flags = TestData::new()
///     .flag("new-checkout", true)
///     .flag_for("u-13", "new-checkout", false)
///     .variations("search", [("classic", 1), ("neural", 2)]);
/// let client = flags.client()?;
///
/// let (ada, unlucky) = (Context::with_targeting_key("u-1"), Context::with_targeting_key("u-13"));
/// assert!(client.is_enabled("new-checkout", &ada));
/// assert!(!client.is_enabled("new-checkout", &unlucky));
/// assert_eq!(client.int("search", 0, &ada), 1);
///
/// let flags = flags.serve("search", "neural");
/// assert_eq!(client.int("search", 0, &ada), 2);
/// # flags.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TestData {
    state: Arc<Mutex<State>>,
}

struct State {
    /// Flags that were made call by call.
    authored: BTreeMap<String, Authored>,
    /// All lines, by kind and key.
    lines: BTreeMap<(String, String), String>,
    snapshot: Snapshot,
    version: u64,
    clients: Vec<Weak<Shared>>,
    error: Option<TestDataError>,
}

/// Why a flag cannot be made up as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TestDataError {
    /// The key is none that a flag can have.
    #[error("`{0}` is no key of a flag")]
    Key(String),
    /// An int beyond ±(2⁵³−1), or a float that is not finite.
    #[error("flag `{0}`: an int lies within ±(2^53-1), and a float is finite")]
    Value(String),
    /// A flag has one type.
    #[error("flag `{0}` has values of two types")]
    Type(String),
    /// The flag has no such variation, or there is no such flag.
    #[error("flag `{flag}` has no variation `{variation}`")]
    Variation {
        /// The flag.
        flag: String,
        /// The variation it does not have.
        variation: String,
    },
    /// A line is not one that an SDK understands.
    #[error("a line is not understood at `{pointer}`: {code}")]
    Line {
        /// JSON Pointer to the place; empty for the line as a whole.
        pointer: String,
        /// Why, as a stable code.
        code: &'static str,
    },
}

impl TestDataError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Key(_) => "flag-key",
            Self::Value(_) => "flag-value",
            Self::Type(_) => "flag-type",
            Self::Variation { .. } => "no-such-variation",
            Self::Line { code, .. } => code,
        }
    }
}

impl Default for TestData {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("TestData")
            .field("version", &state.version)
            .field("lines", &state.lines.values())
            .finish_non_exhaustive()
    }
}

impl TestData {
    /// No flags.
    pub fn new() -> Self {
        let state = State {
            authored: BTreeMap::new(),
            lines: BTreeMap::new(),
            snapshot: Snapshot::empty(),
            version: 1,
            clients: Vec::new(),
            error: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A flag that serves this value to everybody for whom nothing else was said by [`flag_for`](Self::flag_for).
    ///
    /// The variations of a bool are `on` and `off`; others are named `v1`, `v2`, … as they come. A value of another type
    /// than the flag has makes it a new flag.
    #[must_use = "a handle is returned, and what is not possible is told by its `check`"]
    pub fn flag(self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.change(key, |flag| {
            if flag.as_ref().is_none_or(|flag| flag.flag_type() != value.flag_type()) {
                *flag = Some(Authored::new(value.flag_type()));
            }
            let flag = flag.as_mut().ok_or_else(|| TestDataError::Key(key.to_owned()))?;
            let served = flag.variation_of(key, &value)?;
            flag.serve(served);
            Ok(())
        })
    }

    /// A flag that serves this value where the targeting key is `unit`. Others get what `flag` said; where it said
    /// nothing, `false` or the default value of their call.
    #[must_use = "a handle is returned, and what is not possible is told by its `check`"]
    pub fn flag_for(self, unit: &str, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.change(key, |flag| {
            let flag = flag.get_or_insert_with(|| Authored::new(value.flag_type()));
            let served = flag.variation_of(key, &value)?;
            flag.serve_for(unit, served);
            Ok(())
        })
    }

    /// A flag with variations of these names. It serves the first, until [`serve`](Self::serve) says another.
    #[must_use = "a handle is returned, and what is not possible is told by its `check`"]
    pub fn variations<N: Into<String>, V: Into<Value>>(
        self,
        key: &str,
        variations: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variations = variations.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.change(key, |flag| {
            *flag = Some(Authored::with_variations(key, variations)?);
            Ok(())
        })
    }

    /// Serves a variation by its name to everybody for whom nothing else was said.
    #[must_use = "a handle is returned, and what is not possible is told by its `check`"]
    pub fn serve(self, key: &str, variation: &str) -> Self {
        self.change(key, |flag| {
            let (flag, served) = named(key, flag, variation)?;
            flag.serve(served);
            Ok(())
        })
    }

    /// Serves a variation by its name where the targeting key is `unit`.
    #[must_use = "a handle is returned, and what is not possible is told by its `check`"]
    pub fn serve_for(self, unit: &str, key: &str, variation: &str) -> Self {
        self.change(key, |flag| {
            let (flag, served) = named(key, flag, variation)?;
            flag.serve_for(unit, served);
            Ok(())
        })
    }

    /// A whole line of a snapshot (FORMAT M-1), in place of what it names: a flag with rules, a segment, the
    /// environment. The flag calls above begin anew on a flag that came as a line.
    #[must_use = "a handle is returned, and what is not possible is told by its `check`"]
    pub fn line(self, line: &str) -> Self {
        let read = Head::parse(line.as_bytes())
            .ok_or_else(|| TestDataError::Line { pointer: String::new(), code: "no-head" });
        self.publish(|state| {
            let head = read?;
            let update = state.snapshot.update([line.as_bytes()], []);
            if let Some(problem) = update.report.problems.first() {
                let (pointer, code) = (problem.pointer.clone(), problem.why.code());
                return Err(TestDataError::Line { pointer, code });
            }
            state.authored.remove(head.key);
            state.lines.insert((head.name.to_owned(), head.key.to_owned()), line.to_owned());
            state.snapshot = update.snapshot;
            Ok(update.changed)
        })
    }

    /// Takes a flag away.
    #[must_use = "a handle is returned, and what is not possible is told by its `check`"]
    pub fn without(self, key: &str) -> Self {
        self.publish(|state| {
            state.authored.remove(key);
            state.lines.remove(&("flag".to_owned(), key.to_owned()));
            let update = state.snapshot.update([], [DropLine { head: Head { name: "flag", key } }]);
            state.snapshot = update.snapshot;
            Ok(update.changed)
        })
    }

    /// The first thing that was not possible, if there is one.
    pub fn check(&self) -> Result<(), TestDataError> {
        self.state().error.clone().map_or(Ok(()), Err)
    }

    /// A client that serves these flags, now and after every change. It is ready, and needs no runtime.
    pub fn client(&self) -> Result<Client, BuildError> {
        self.builder().build()
    }

    /// Sets up a client with hooks, sinks, overrides, or a clock of the test's own.
    pub fn builder(&self) -> TestBuilder {
        TestBuilder { flags: self.clone(), extras: Extras::default(), clock: None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one flag, and publishes its line.
    fn change(
        self,
        key: &str,
        change: impl FnOnce(&mut Option<Authored>) -> Result<(), TestDataError>,
    ) -> Self {
        self.publish(|state| {
            FlagKey::parse(key).map_err(|_| TestDataError::Key(key.to_owned()))?;
            let mut flag = state.authored.get(key).cloned();
            change(&mut flag)?;
            let Some(flag) = flag else { return Ok(Vec::new()) };
            let line = flag.line(key, state.version.saturating_add(1));
            let update = state.snapshot.update([line.as_bytes()], []);
            if let Some(problem) = update.report.problems.first() {
                let (pointer, code) = (problem.pointer.clone(), problem.why.code());
                return Err(TestDataError::Line { pointer, code });
            }
            state.authored.insert(key.to_owned(), flag);
            state.lines.insert(("flag".to_owned(), key.to_owned()), line);
            state.snapshot = update.snapshot;
            Ok(update.changed)
        })
    }

    /// Makes the next version and hands it to the clients; or keeps the first error.
    fn publish(self, change: impl FnOnce(&mut State) -> Result<Vec<Arc<str>>, TestDataError>) -> Self {
        let mut state = self.state();
        match change(&mut state) {
            Err(error) => {
                state.error.get_or_insert(error);
            }
            Ok(changed) => {
                state.version = state.version.saturating_add(1);
                state.clients.retain(|client| client.strong_count() > 0);
                let clients: Vec<_> = state.clients.iter().filter_map(Weak::upgrade).collect();
                let loads: Vec<_> = clients.iter().map(|client| state.loaded(client)).collect();
                // Listeners may come back here.
                drop(state);
                for (client, loaded) in clients.iter().zip(loads) {
                    client.swap(loaded, Some(changed.clone()), Cost::default());
                }
                return self;
            }
        }
        drop(state);
        self
    }
}

impl State {
    fn loaded(&self, client: &Shared) -> Loaded {
        let moment = client.moment();
        client.board().freshness.answered(moment);
        let content = Digest::of_parts(self.lines.values().flat_map(|line| [line.as_bytes(), b"\n"]));
        let position =
            Position { epoch: 1, version: self.version, serial: self.version, content, payload: content };
        let (snapshot, issued_ms) = (self.snapshot.clone(), moment.wall_ms);
        Loaded { snapshot, position, issued_ms, source: Source::TestData, anchor: None }
    }
}

fn named<'f>(
    key: &str,
    flag: &'f mut Option<Authored>,
    variation: &str,
) -> Result<(&'f mut Authored, usize), TestDataError> {
    let missing = || TestDataError::Variation { flag: key.to_owned(), variation: variation.to_owned() };
    let flag = flag.as_mut().ok_or_else(missing)?;
    let served = flag.variation(variation).ok_or_else(missing)?;
    Ok((flag, served))
}

/// Sets up a client of [`TestData`].
#[must_use]
pub struct TestBuilder {
    flags: TestData,
    extras: Extras,
    clock: Option<Arc<dyn Clock>>,
}

impl fmt::Debug for TestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBuilder").field("flags", &self.flags).finish_non_exhaustive()
    }
}

impl TestBuilder {
    /// Overrides that hold from the start, as [`Client::set_override`].
    pub fn overrides<K: Into<String>, V: Into<Override>>(
        mut self,
        overrides: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.extras.overrides(overrides);
        self
    }

    /// A hook that sees each evaluation.
    pub fn hook(mut self, hook: impl Hook + 'static) -> Self {
        self.extras.hooks.push(Box::new(hook));
        self
    }

    /// Where exposures and tracked events go.
    pub fn sink(mut self, sink: impl Sink + 'static) -> Self {
        self.extras.sinks.push(Box::new(sink));
        self
    }

    /// How many records may wait for the sinks, as [`Builder::record_queue`](crate::Builder::record_queue).
    pub const fn record_queue(mut self, records: usize) -> Self {
        self.extras.record_queue = Some(records);
        self
    }

    /// Other clocks than the system's: they decide schedules and ramps.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Builds the client. It is ready when this returns.
    pub fn build(self) -> Result<Client, BuildError> {
        self.flags.check()?;
        let (overrides, observers) = self.extras.start(NAME, NAME)?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        // Nobody polls, so that silence means nothing.
        let shared = Arc::new(Shared::new(Duration::MAX, Disk::Off, overrides, observers, clock));
        let mut state = self.flags.state();
        shared.swap(state.loaded(&shared), Some(Vec::new()), Cost::default());
        state.clients.push(Arc::downgrade(&shared));
        drop(state);
        Ok(Client::offline(shared))
    }
}

/// Whether a flag can have this value.
fn check_value(key: &str, value: &Value) -> Result<(), TestDataError> {
    overrides::check(value).map_err(|_| TestDataError::Value(key.to_owned()))
}
