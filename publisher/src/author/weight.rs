//! Shares of 100 000, as people write them.

use core::fmt;

use flagstone_model::json::{Json, write_number};
use flagstone_model::limits::BUCKETS;

use super::read::Reader;

/// A share of all units, in parts of 100 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u64);

impl Weight {
    /// Nobody.
    pub const ZERO: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(BUCKETS);

    /// So many parts of 100 000, at most all.
    pub fn of_parts(parts: u64) -> Option<Self> {
        (parts <= BUCKETS).then_some(Self(parts))
    }

    /// Parts of 100 000.
    pub const fn parts(self) -> u64 {
        self.0
    }

    /// The share of a percentage from 0 to 100 with at most three decimals, such as `33.3`.
    pub fn of_percent(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !(1..=3).contains(&whole.len())
            || !(1..=3).contains(&decimals.len())
            || !digits(whole)
            || !digits(decimals)
        {
            return None;
        }
        let parts: u64 = format!("{whole}{decimals:0<3}").parse().ok()?;
        Self::of_parts(parts)
    }

    /// The share of a percentage in JSON: a number or its text, with at most three decimals.
    pub fn of_percent_json(json: &Json<'_>) -> Option<Self> {
        match json {
            Json::Number(number) => {
                let mut text = String::new();
                write_number(number.as_f64(), &mut text);
                Self::of_percent(&text)
            }
            Json::String(text) => Self::of_percent(text.strip_suffix('%').unwrap_or(text)),
            _ => None,
        }
    }

    /// Reads an integer of 100 000 or a string like `"33.3%"`.
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        let weight = match json {
            Json::String(text) => text.strip_suffix('%').and_then(Self::of_percent),
            _ => json.as_integer().and_then(|parts| u64::try_from(parts).ok()).and_then(Self::of_parts),
        };
        weight.or_else(|| {
            reader.none(
                "a weight is an integer from 0 to 100000, or a percentage such as \"33.3%\" with at most three decimals",
            )
        })
    }

    pub(super) fn to_json(self) -> Json<'static> {
        Json::from(self.0)
    }
}

/// As a percentage, `33.3%`.
impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, thousandths) = (self.0 / 1_000, self.0 % 1_000);
        let text = format!("{whole}.{thousandths:03}");
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_at_most_three_decimals() {
        for (text, parts) in [("0", 0), ("100", 100_000), ("33.3", 33_300), ("0.001", 1), ("007.25", 7_250)] {
            assert_eq!(Weight::of_percent(text).map(Weight::parts), Some(parts), "{text}");
        }
        for text in ["", ".", "1.", ".5", "100.001", "0.0001", "-1", "1e1", " 1", "+1", "1000", "½"] {
            assert_eq!(Weight::of_percent(text), None, "{text}");
        }
    }

    #[test]
    fn a_percentage_in_json_is_read_by_its_shortest_digits() {
        let read = |text: &str| Weight::of_percent_json(&Json::parse(text.as_bytes()).unwrap());
        assert_eq!(read("33.3").map(Weight::parts), Some(33_300));
        assert_eq!(read("1e-3").map(Weight::parts), Some(1));
        assert_eq!(read("-0").map(Weight::parts), Some(0));
        assert_eq!(read("\"12.5\"").map(Weight::parts), Some(12_500));
        assert_eq!(read("\"12.5%\"").map(Weight::parts), Some(12_500));
        for text in ["100.1", "-1", "0.0005", "true", "null", "1e-9"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_weight_is_shown_as_a_percentage() {
        let shown = |parts| Weight::of_parts(parts).unwrap().to_string();
        assert_eq!(shown(0), "0%");
        assert_eq!(shown(33_300), "33.3%");
        assert_eq!(shown(100_000), "100%");
        assert_eq!(shown(1), "0.001%");
    }
}
