//! Spans of numbers or of times, both ends inside.

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use super::moment::{Day, Moment};
use super::operand::{self, number_json};
use super::read::Reader;

/// Two ends, both inside.
#[derive(Debug, Clone, PartialEq)]
pub enum Between {
    /// Of numbers.
    Numbers(f64, f64),
    /// Of times.
    Times(Edge, Edge),
}

/// An end of a span of time.
#[derive(Debug, Clone, PartialEq)]
pub enum Edge {
    /// A point in time.
    At(Moment),
    /// A whole day.
    On(Day),
}

impl Edge {
    fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        if Day::is_written(json) {
            Day::parse(reader, json).map(Self::On)
        } else {
            Moment::parse(reader, json).map(Self::At)
        }
    }

    fn to_json(&self) -> Json<'static> {
        match self {
            Self::At(moment) => moment.to_json(),
            Self::On(day) => day.to_json(),
        }
    }

    /// Its first instant.
    pub fn first(&self) -> Instant {
        match self {
            Self::At(moment) => moment.at(),
            Self::On(day) => day.first().at(),
        }
    }

    /// The first instant after it: times are compared in whole milliseconds.
    pub fn after(&self) -> Instant {
        match self {
            Self::At(moment) => Instant::from_millis(moment.at().millis().saturating_add(1)),
            Self::On(day) => day.next().at(),
        }
    }

    pub(super) fn moments(&self) -> Vec<&Moment> {
        match self {
            Self::At(moment) => vec![moment],
            Self::On(day) => vec![day.first(), day.next()],
        }
    }
}

impl Between {
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        let Some([low, high]) = json.as_array() else {
            return reader.none("`between` has two ends, both inside: [18, 65]");
        };
        let between = match (low, high) {
            (Json::Number(_), Json::Number(_)) => {
                let low = reader.within("0", |reader| operand::number(reader, low));
                let high = reader.within("1", |reader| operand::number(reader, high));
                Self::Numbers(low?, high?)
            }
            (Json::String(_), Json::String(_)) => {
                let low = reader.within("0", |reader| Edge::parse(reader, low));
                let high = reader.within("1", |reader| Edge::parse(reader, high));
                Self::Times(low?, high?)
            }
            _ => return reader.none("`between` has two numbers, or two times: [18, 65]"),
        };
        let runs = match &between {
            Self::Numbers(low, high) => low <= high,
            Self::Times(low, high) => low.first() < high.after(),
        };
        if runs { Some(between) } else { reader.none("the first end of `between` is not above the second") }
    }

    pub(super) fn to_json(&self) -> Json<'static> {
        let ends = match self {
            Self::Numbers(low, high) => [number_json(*low), number_json(*high)],
            Self::Times(low, high) => [low.to_json(), high.to_json()],
        };
        ends.into_iter().collect()
    }
}
