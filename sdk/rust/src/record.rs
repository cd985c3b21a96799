//! What is recorded of what happens: exposures, and events that the application tracks (FORMAT M-7).

mod delivery;
mod file;
mod recent;
mod recorder;
mod sink;

use core::fmt;
use std::sync::Arc;

use flagstone_model::digest::Digest;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

pub use file::{DEFAULT_ROTATE_BYTES, JsonLinesFile, MIN_ROTATE_BYTES};
pub use recent::EXPOSURES_REMEMBERED;
pub use recorder::{MAX_EVENT_CHARS, TrackError};
pub(crate) use recorder::{Recorder, Setup, check};
pub use sink::Sink;

/// Something a sink is given.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Record {
    /// A rule of an experiment decided for a unit.
    Exposure(Exposure),
    /// The application says that something happened.
    Tracked(Tracked),
}

/// That a unit was served a variation of an experiment (FORMAT M-7.2). Not one attribute besides the unit is in it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exposure {
    /// The same for every exposure of this unit to this variation in this phase: whoever collects exposures removes
    /// repetitions by it. 32 hexadecimal digits.
    pub id: String,
    /// The experiment and its phase.
    pub exp: Arc<str>,
    /// The flag's key.
    pub flag: Arc<str>,
    /// The variation served.
    pub variation: Arc<str>,
    /// The path to the unit.
    pub by: Arc<str>,
    /// The unit, as text.
    pub unit: Arc<str>,
    /// The rule that decided.
    pub rule: Arc<str>,
    /// The version of the snapshot.
    pub version: u64,
    /// When it was served first.
    pub at: Instant,
}

/// An event that the application tracks, such as a purchase.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Tracked {
    /// What happened.
    pub event: Arc<str>,
    /// How much of it.
    pub value: Option<f64>,
    /// The targeting key of the context it happened to, as text.
    pub unit: Arc<str>,
    /// When.
    pub at: Instant,
}

impl Record {
    /// The record as one JSON object, without a line end.
    pub fn to_json(&self) -> Json<'_> {
        match self {
            Self::Exposure(exposure) => Json::object([
                ("id", Json::from(&*exposure.id)),
                ("exp", Json::from(&*exposure.exp)),
                ("flag", Json::from(&*exposure.flag)),
                ("variation", Json::from(&*exposure.variation)),
                ("by", Json::from(&*exposure.by)),
                ("unit", Json::from(&*exposure.unit)),
                ("rule", Json::from(&*exposure.rule)),
                ("version", Json::from(exposure.version)),
                ("at", Json::from(exposure.at.to_string())),
            ]),
            Self::Tracked(tracked) => {
                let members = [
                    Some(("event", Json::from(&*tracked.event))),
                    tracked.value.map(|value| ("value", Json::from(value))),
                    Some(("unit", Json::from(&*tracked.unit))),
                    Some(("at", Json::from(tracked.at.to_string()))),
                ];
                Json::object(members.into_iter().flatten())
            }
        }
    }
}

impl fmt::Debug for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The unit is somebody.
        f.debug_struct("Exposure")
            .field("id", &self.id)
            .field("exp", &self.exp)
            .field("flag", &self.flag)
            .field("variation", &self.variation)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").field("event", &self.event).finish_non_exhaustive()
    }
}

/// What an exposure's id is made of, in this order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity<'a> {
    pub(crate) project: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) exp: &'a str,
    pub(crate) flag: &'a str,
    pub(crate) variation: &'a str,
    pub(crate) by: &'a str,
    pub(crate) unit: &'a str,
}

impl Identity<'_> {
    /// The first 128 bits of SHA-256 of the canonical JSON array (FORMAT M-7.2).
    pub(crate) fn id(&self) -> Id {
        let Self { project, environment, exp, flag, variation, by, unit } = *self;
        let array: Json<'_> = ["exposure", project, environment, exp, flag, variation, by, unit]
            .into_iter()
            .map(Json::from)
            .collect();
        let digest = Digest::of(array.to_canonical().as_bytes());
        Id(u128::from_be_bytes(digest.as_bytes().first_chunk().copied().unwrap_or_default()))
    }
}

/// An exposure's id: written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(crate) u128);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `testdata/exposures/ids.jsonl`, made by `generate.py` beside it.
    #[test]
    fn ids_are_those_of_an_independent_implementation() {
        let vectors = include_str!("../../../testdata/exposures/ids.jsonl");
        println!("vectors ran: exposures/ids.jsonl");
        let mut count = 0;
        for line in vectors.lines() {
            let json = Json::parse(line.as_bytes()).unwrap();
            let text = |name: &str| json.member(name).unwrap().as_str().unwrap();
            let identity = Identity {
                project: text("project"),
                environment: text("environment"),
                exp: text("exp"),
                flag: text("flag"),
                variation: text("variation"),
                by: text("by"),
                unit: text("unit"),
            };
            assert_eq!(identity.id().to_string(), text("id"), "{line}");
            count += 1;
        }
        assert_eq!(count, 9);
    }

    #[test]
    fn a_record_prints_no_unit() {
        let tracked = Tracked {
            event: "bought".into(),
            value: Some(2.5),
            unit: "mina@example.com".into(),
            at: Instant::from_millis(1_795_253_123_456),
        };
        let exposure = Exposure {
            id: "00".into(),
            exp: "e.1".into(),
            flag: "f".into(),
            variation: "v".into(),
            by: "targetingKey".into(),
            unit: "mina@example.com".into(),
            rule: "r".into(),
            version: 7,
            at: Instant::from_millis(0),
        };
        assert_eq!(
            Record::Tracked(tracked.clone()).to_json().to_string(),
            r#"{"event":"bought","value":2.5,"unit":"mina@example.com","at":"2026-11-21T09:25:23.456Z"}"#
        );
        assert_eq!(
            Record::Exposure(exposure.clone()).to_json().to_string(),
            r#"{"id":"00","exp":"e.1","flag":"f","variation":"v","by":"targetingKey","unit":"mina@example.com","rule":"r","version":7,"at":"1970-01-01T00:00:00Z"}"#
        );
        let shown = format!("{:?} {:?}", Record::Tracked(tracked), Record::Exposure(exposure));
        assert!(!shown.contains("mina"), "{shown}");
    }
}
