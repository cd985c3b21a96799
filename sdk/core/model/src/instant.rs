//! Instants: points in time as epoch milliseconds, written in UTC.

use core::fmt;
use core::str::FromStr;

const MILLIS_PER_DAY: i64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z.
const MAX_MILLIS: i64 = 253_402_300_799_999;

/// A point in time from 1970 to 9999, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// The text is no instant of the form `YYYY-MM-DDTHH:MM:SSZ` (FORMAT M-1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an instant is written YYYY-MM-DDTHH:MM:SSZ, in UTC, in the years 1970 to 9999")]
pub struct InstantError;

impl Instant {
    /// The instant `millis` milliseconds after the epoch. Values outside 1970–9999 are kept: they compare.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Reads a timestamp as contexts carry it: RFC 3339 with upper-case `T` and `Z`, its offset required (FORMAT M-4.5).
    ///
    /// Digits past milliseconds are dropped, and a second of 60 is none. Any year from 0000 to 9999.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let (seconds, rest) = text.as_bytes().split_at_checked(19)?;
        let local = civil(seconds, 0)?;
        let (millis, offset) = match rest.strip_prefix(b".") {
            None => (0, rest),
            Some(fraction) => {
                let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let (digits_of, offset) = fraction.split_at_checked(length)?;
                let known = digits_of.iter().copied().chain([b'0'; 3]).take(3);
                let millis = known.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
                ((length > 0).then_some(millis)?, offset)
            }
        };
        Some(Self(local + millis - offset_minutes(offset)? * 60_000))
    }

    /// Reads `YYYY-MM-DDTHH:MM:SSZ`, or with `.mmm` before the `Z`.
    pub fn parse(text: &str) -> Result<Self, InstantError> {
        read(text.as_bytes()).map(Self).ok_or(InstantError)
    }
}

fn read(text: &[u8]) -> Option<i64> {
    let (seconds, millis) = match text.len() {
        20 => (text.get(..19)?, 0),
        24 if text.get(19) == Some(&b'.') => (text.get(..19)?, digits(text.get(20..23)?)?),
        _ => return None,
    };
    (text.last() == Some(&b'Z')).then(|| civil(seconds, 1970))?.map(|since| since + millis)
}

/// Milliseconds from the epoch to `YYYY-MM-DDTHH:MM:SS` in UTC, in this year or a later one.
fn civil(seconds: &[u8], first_year: i64) -> Option<i64> {
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| seconds.get(at) != Some(&byte)) {
        return None;
    }
    let field = |from: usize, to: usize| digits(seconds.get(from..to)?);
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    let in_range = year >= first_year
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    in_range.then(|| {
        let day_millis = ((hour * 60 + minute) * 60 + second) * 1_000;
        days_from_civil(year, month, day) * MILLIS_PER_DAY + day_millis
    })
}

/// Minutes east of UTC: `Z`, `+HH:MM`, or `-HH:MM`.
fn offset_minutes(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match *text {
        [b'Z'] => return Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => (sign, digits(&[h1, h2])?, digits(&[m1, m2])?),
        _ => return None,
    };
    let minutes = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
    Some(if sign == b'-' { -minutes } else { minutes })
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a Gregorian date (Hinnant, "chrono-compatible low-level date algorithms").
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`].
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

impl FromStr for Instant {
    type Err = InstantError;

    fn from_str(text: &str) -> Result<Self, InstantError> {
        Self::parse(text)
    }
}

/// Writes the canonical form; an instant outside 1970–9999 is written as the nearest end of that span.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.clamp(0, MAX_MILLIS);
        let (year, month, day) = civil_from_days(total / MILLIS_PER_DAY);
        let of_day = total % MILLIS_PER_DAY;
        let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if millis != 0 {
            write!(f, ".{millis:03}")?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_are_read_and_written_back() {
        // Reproduced with `date -u -d @SECONDS`.
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-12-02T12:00:00Z", 1_796_212_800_000),
            ("2000-02-29T23:59:59.001Z", 951_868_799_001),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ] {
            assert_eq!(Instant::parse(text), Ok(Instant::from_millis(millis)), "{text}");
            assert_eq!(Instant::from_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "2026-12-02",
            "2026-12-02T12:00:00",
            "2026-12-02t12:00:00Z",
            "2026-12-02T12:00:00z",
            "2026-12-02T12:00:00+00:00",
            "2026-12-02T12:00:60Z",
            "2026-12-02T24:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-12-02T12:00:00.1Z",
            "2026-12-02T12:00:00.1234Z",
            "2026-12-02 12:00:00Z",
            "+026-12-02T12:00:00Z",
            "2026-12-02T12:00:00.Z",
        ] {
            assert_eq!(Instant::parse(text), Err(InstantError), "{text}");
        }
    }

    #[test]
    fn timestamps_of_contexts_are_read_in_any_offset() {
        // Reproduced with `date -u -d TEXT +%s%3N`.
        for (text, millis) in [
            ("2026-12-02T12:00:00Z", 1_796_212_800_000),
            ("2026-12-02T13:00:00+01:00", 1_796_212_800_000),
            ("2026-12-02T06:30:00.25-05:30", 1_796_212_800_250),
            ("2026-12-02T12:00:00.0019999Z", 1_796_212_800_001),
            ("2026-12-02T12:00:00-00:00", 1_796_212_800_000),
            ("1970-01-01T00:00:00+23:59", -86_340_000),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
        ] {
            assert_eq!(Instant::parse_rfc3339(text), Some(Instant::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "2026-12-02",
            "2026-12-02T12:00:00",
            "2026-12-02t12:00:00Z",
            "2026-12-02T12:00:00z",
            "2026-12-02 12:00:00Z",
            "2026-12-02T12:00Z",
            "2026-12-02T12:00:60Z",
            "2026-12-02T24:00:00Z",
            "2026-02-29T12:00:00Z",
            "2026-12-02T12:00:00.Z",
            "2026-12-02T12:00:00,5Z",
            "2026-12-02T12:00:00+0100",
            "2026-12-02T12:00:00+01",
            "2026-12-02T12:00:00+24:00",
            "2026-12-02T12:00:00+01:60",
            "2026-12-02T12:00:00Z ",
            "2026-12-02T12:00:00.5",
            "+2026-12-02T12:00:00Z",
            "2026-12-02T12:00:00\u{2212}01:00",
        ] {
            assert_eq!(Instant::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_until_2400_round_trips() {
        for day in 0..157_054 {
            let instant = Instant::from_millis(day * MILLIS_PER_DAY + 1);
            assert_eq!(Instant::parse(&instant.to_string()), Ok(instant));
        }
    }
}
