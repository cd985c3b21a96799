//! Time zones: from a local time to the one instant it is.
//!
//! The database is compiled in, so that every machine that runs a publisher reads a local time alike. It is asked
//! when something is written, and never again: what it answered is kept in the log (FORMAT M-6.7).

use std::sync::{Arc, LazyLock};

use flagstone_model::instant::Instant;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

use super::suggest::{closest, did_you_mean};

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone of the IANA database, such as `Europe/Berlin`, as its author spelled it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Zone(Arc<str>);

/// Why a local time in a zone is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// There is no such zone.
    #[error("there is no time zone `{zone}`{hint}")]
    Unknown {
        /// The name given.
        zone: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// Clocks are put forward over this time.
    #[error("clocks in {zone} skip this time: they are put forward by {minutes} minutes over it")]
    Skipped {
        /// The zone.
        zone: String,
        /// How far they are put forward.
        minutes: i32,
    },
    /// The offset given is not the zone's then.
    #[error("clocks in {zone} do not have this offset at that time")]
    Offset {
        /// The zone.
        zone: String,
    },
}

impl Zone {
    /// The zone of this name, however its letters are cased.
    pub fn parse(name: &str) -> Result<Self, ZoneError> {
        find(name).map(|_| Self(name.into()))
    }

    /// A name that was found when it was written; it is not looked up again.
    pub(super) fn settled(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The instant at which clocks of the zone show what a clock of UTC shows at `local`.
    ///
    /// Where they show it twice, because they are put back, the earlier one, as calendars do (RFC 5545). A time that
    /// they skip is refused: whichever instant one took for it, an author would have meant another.
    pub(super) fn resolve(&self, local: Instant) -> Result<Instant, ZoneError> {
        let zone = find(&self.0)?;
        let utc = Timestamp::from_millisecond(local.millis())
            .map(|local| Offset::UTC.to_datetime(local))
            .map_err(|_| self.skipped(0))?;
        let offset = match zone.to_ambiguous_timestamp(utc).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { before, after } => {
                return Err(self.skipped(after.seconds().saturating_sub(before.seconds()) / 60));
            }
        };
        Ok(minus(local, i64::from(offset.seconds())))
    }

    /// The first instant of a date, written `2026-12-02`, by the calendar of the zone: midnight, or, where clocks skip
    /// that, what they show instead.
    pub(super) fn start_of_day(&self, date: &str) -> Result<Instant, ZoneError> {
        let zone = find(&self.0)?;
        let start =
            date.parse::<Date>().and_then(|date| date.to_zoned(zone)).and_then(|day| day.start_of_day());
        start
            .map(|start| Instant::from_millis(start.timestamp().as_millisecond()))
            .map_err(|_| self.skipped(0))
    }

    /// Checks that clocks of the zone are `seconds` ahead of UTC at an instant.
    pub(super) fn check_offset(&self, at: Instant, seconds: i64) -> Result<(), ZoneError> {
        let zone = find(&self.0)?;
        let there = Timestamp::from_millisecond(at.millis()).map(|at| zone.to_offset(at).seconds());
        if there.is_ok_and(|there| i64::from(there) == seconds) {
            Ok(())
        } else {
            Err(ZoneError::Offset { zone: self.0.to_string() })
        }
    }

    fn skipped(&self, minutes: i32) -> ZoneError {
        ZoneError::Skipped { zone: self.0.to_string(), minutes }
    }
}

/// An instant so many seconds earlier.
pub(super) fn minus(at: Instant, seconds: i64) -> Instant {
    Instant::from_millis(at.millis().saturating_sub(seconds.saturating_mul(1_000)))
}

fn find(name: &str) -> Result<TimeZone, ZoneError> {
    DATABASE.get(name).map_err(|_| {
        let all: Vec<String> = DATABASE.available().map(|zone| zone.as_str().to_owned()).collect();
        ZoneError::Unknown { zone: name.to_owned(), hint: hint(name, &all) }
    })
}

/// The zone that was probably meant: of that city, else of the likest name.
fn hint(name: &str, all: &[String]) -> String {
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let wanted = city(&name.replace(' ', "_"));
    let cities: Vec<String> = all.iter().map(|zone| city(zone)).collect();
    let likest = closest(&wanted, cities.iter().map(String::as_str));
    let of_city = likest
        .and_then(|likest| cities.iter().position(|city| city == likest))
        .and_then(|at| all.get(at))
        .filter(|_| !name.contains('/'));
    match of_city {
        Some(zone) => format!("; did you mean `{zone}`?"),
        None => did_you_mean(name, all.iter().map(String::as_str)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(zone: &str, local: &str) -> Result<String, ZoneError> {
        let local = Instant::parse(&format!("{local}:00Z")).unwrap();
        Zone::parse(zone)?.resolve(local).map(|at| at.to_string())
    }

    // Reproduced with `TZ=ZONE date -d LOCAL +%s`, of glibc and Debian's tzdata.
    #[test]
    fn a_local_time_is_the_instant_its_zone_says() {
        for (zone, local, utc) in [
            ("Europe/Berlin", "2026-12-02T10:00", "2026-12-02T09:00:00Z"),
            ("Europe/Berlin", "2026-07-02T10:00", "2026-07-02T08:00:00Z"),
            ("europe/berlin", "2026-07-02T10:00", "2026-07-02T08:00:00Z"),
            ("America/New_York", "2026-12-02T10:00", "2026-12-02T15:00:00Z"),
            ("Asia/Kolkata", "2026-12-02T10:00", "2026-12-02T04:30:00Z"),
            ("UTC", "2026-12-02T10:00", "2026-12-02T10:00:00Z"),
        ] {
            assert_eq!(resolved(zone, local).as_deref(), Ok(utc), "{local} in {zone}");
        }
    }

    #[test]
    fn a_time_that_clocks_skip_is_refused_and_of_one_they_repeat_it_is_the_earlier() {
        let berlin = |local| resolved("Europe/Berlin", local);
        assert_eq!(berlin("2026-03-29T01:59").as_deref(), Ok("2026-03-29T00:59:00Z"));
        for skipped in ["2026-03-29T02:00", "2026-03-29T02:59"] {
            let refused = ZoneError::Skipped { zone: "Europe/Berlin".into(), minutes: 60 };
            assert_eq!(berlin(skipped), Err(refused), "{skipped}");
        }
        assert_eq!(berlin("2026-03-29T03:00").as_deref(), Ok("2026-03-29T01:00:00Z"));
        assert_eq!(berlin("2026-10-25T01:59").as_deref(), Ok("2026-10-24T23:59:00Z"));
        assert_eq!(berlin("2026-10-25T02:00").as_deref(), Ok("2026-10-25T00:00:00Z"));
        assert_eq!(berlin("2026-10-25T02:59").as_deref(), Ok("2026-10-25T00:59:00Z"));
        assert_eq!(berlin("2026-10-25T03:00").as_deref(), Ok("2026-10-25T02:00:00Z"));
    }

    #[test]
    fn an_unknown_zone_is_told_with_the_one_that_was_meant() {
        for (name, meant) in
            [("Europe/Berln", "Europe/Berlin"), ("Berlin", "Europe/Berlin"), ("new york", "America/New_York")]
        {
            let told = Zone::parse(name).unwrap_err().to_string();
            assert_eq!(told, format!("there is no time zone `{name}`; did you mean `{meant}`?"));
        }
        assert_eq!(Zone::parse("Qqqqq").unwrap_err().to_string(), "there is no time zone `Qqqqq`");
    }
}
