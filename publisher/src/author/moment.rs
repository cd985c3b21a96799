//! Points in time as people write them, and the instants they were settled as.

use std::collections::BTreeMap;
use std::sync::Arc;

use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use super::problem::{Problem, code};
use super::read::Reader;
use super::zones::{Zone, ZoneError, minus};

/// A point in time: the instant, and how its author wrote it.
///
/// Written `2026-12-02T09:00:00Z`, `2026-12-02T10:00+01:00`, `2026-12-02T10:00[Europe/Berlin]`, or, where a
/// `time_zone` is given around it, `2026-12-02T10:00`. Seconds may be left out but in the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    at: Instant,
    written: Option<Written>,
}

/// A point in time that was not written as an instant in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    text: Arc<str>,
    zone: Option<Zone>,
    is_local: bool,
}

/// What local times were settled as: from `2026-12-02T10:00[Europe/Berlin]` to its instant.
///
/// Kept in the log beside what the author wrote, so that a later time zone database changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instants(BTreeMap<String, Instant>);

/// Where a reader takes the instants of local times from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// What stood there before, else the time zone database.
    Database(Instants),
    /// What was settled, and nothing else.
    Settled(Instants),
}

impl Default for Source {
    fn default() -> Self {
        Self::Database(Instants::default())
    }
}

impl Instants {
    /// The instants of these moments that are local times.
    pub fn of<'m>(moments: impl IntoIterator<Item = &'m Moment>) -> Self {
        Self(moments.into_iter().filter_map(|moment| Some((moment.local()?, moment.at))).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the log keeps them.
    pub fn to_json(&self) -> Json<'_> {
        Json::object(self.0.iter().map(|(local, at)| (local.as_str(), Json::from(at.to_string()))))
    }

    /// Reads what the log keeps; `None` if it is not of that form.
    pub fn from_json(json: &Json<'_>) -> Option<Self> {
        let read = |(local, at): &(std::borrow::Cow<'_, str>, Json<'_>)| {
            Some((local.to_string(), Instant::parse(at.as_str()?).ok()?))
        };
        json.as_object()?.iter().map(read).collect::<Option<_>>().map(Self)
    }
}

impl Moment {
    /// Reads a point in time; `around` is the time zone of a local time that names none.
    pub fn written(text: &str, around: Option<&Zone>) -> Result<Self, Vec<Problem>> {
        Reader::document(|reader| {
            reader.zone = around.cloned();
            Self::parse(reader, &Json::from(text))
        })
    }

    /// The instant.
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// The time zone it was written in, if it was.
    pub fn zone(&self) -> Option<&Zone> {
        self.written.as_ref()?.zone.as_ref()
    }

    /// As its author wrote it.
    pub fn text(&self) -> String {
        self.written.as_ref().map_or_else(|| self.at.to_string(), |written| written.text.to_string())
    }

    /// Date, time, and what stands behind them, as written: `2026-12-02`, `10:00`, `Europe/Berlin`.
    pub(super) fn parts(&self) -> (String, String, String) {
        let text = self.text();
        let (date, rest) = text.split_at_checked(DATE_BYTES).unwrap_or((&text, ""));
        let rest = rest.strip_prefix('T').unwrap_or(rest);
        let from = rest.find(['Z', '+', '-', '[']).unwrap_or(rest.len());
        let (time, behind) = rest.split_at_checked(from).unwrap_or((rest, ""));
        let time = time.strip_suffix(":00").filter(|time| time.len() == 5).unwrap_or(time);
        let offset = behind.split('[').next().unwrap_or_default();
        let place = match (offset, self.zone()) {
            ("", Some(zone)) => zone.as_str(),
            ("Z", _) => "UTC",
            (offset, _) => offset,
        };
        (date.to_owned(), time.to_owned(), place.to_owned())
    }

    /// A local time's name among [`Instants`].
    fn local(&self) -> Option<String> {
        let written = self.written.as_ref().filter(|written| written.is_local)?;
        Some(named(&written.text, written.zone.as_ref()?))
    }

    pub(super) fn to_json(&self) -> Json<'static> {
        Json::from(self.text())
    }

    /// Reads a point in time, or a day: its first instant.
    pub(super) fn parse_or_day(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        if Day::is_written(json) {
            return Day::parse(reader, json).map(|day| day.first);
        }
        Self::parse(reader, json)
    }

    /// Reads a point in time.
    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        let Some(text) = json.as_str() else { return reader.none("a point in time is a string") };
        if let Ok(at) = Instant::parse(text) {
            return Some(Self::from(at));
        }
        let Some(form) = Form::of(text) else {
            return reader.none(
                "a point in time is written 2026-12-02T09:00:00Z, 2026-12-02T10:00+01:00, or \
                 2026-12-02T10:00[Europe/Berlin], in the years 1970 to 9999",
            );
        };
        let zone = match (form.zone, form.offset) {
            (Some(name), _) => Some(reader.zone(name)?),
            (None, None) => match reader.zone_around().cloned() {
                Some(zone) => Some(zone),
                None => {
                    return reader.none(
                        "this local time has no time zone: append `Z`, an offset such as `+01:00`, or a zone such \
                         as `[Europe/Berlin]`, or give `time_zone` beside it",
                    );
                }
            },
            (None, Some(_)) => None,
        };
        let at = match (form.offset, &zone) {
            (Some(offset), zone) => {
                let at = minus(form.local, offset.seconds);
                if let (Some(zone), false) = (zone, offset.is_utc) {
                    reader.check_offset(zone, at, offset.seconds)?;
                }
                at
            }
            (None, Some(zone)) => reader.settle(&named(text, zone), zone, form.local)?,
            (None, None) => return None,
        };
        // Outside of its years an instant is written as the nearest that is inside.
        if Instant::parse(&at.to_string()) != Ok(at) {
            return reader.none("a point in time lies in the years 1970 to 9999");
        }
        let written = Written { text: text.into(), zone, is_local: form.offset.is_none() };
        Some(Self { at, written: Some(written) })
    }
}

impl From<Instant> for Moment {
    fn from(at: Instant) -> Self {
        Self { at, written: None }
    }
}

/// A day by the calendar of a time zone: `2026-12-02[Europe/Berlin]`, or, where a `time_zone` is given around it,
/// `2026-12-02`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    first: Moment,
    next: Moment,
}

/// How many bytes `2026-12-02` has.
const DATE_BYTES: usize = 10;
const DAY_MS: i64 = 86_400_000;
/// The last day whose end every time zone can tell.
const LAST_DAY: &str = "9999-12-29";

impl Day {
    /// Reads a day; `around` is the time zone of one that names none.
    pub fn written(text: &str, around: Option<&Zone>) -> Result<Self, Vec<Problem>> {
        Reader::document(|reader| {
            reader.zone = around.cloned();
            Self::parse(reader, &Json::from(text))
        })
    }

    /// Its first instant.
    pub const fn first(&self) -> &Moment {
        &self.first
    }

    /// The first instant of the day after it.
    pub const fn next(&self) -> &Moment {
        &self.next
    }

    /// Whether a text is a date, with or without a time zone behind it.
    fn is_written_so(text: &str) -> bool {
        let (date, behind) = text.split_at_checked(DATE_BYTES).unwrap_or((text, "?"));
        (behind.is_empty() || behind.starts_with('[')) && midnight(date).is_some()
    }

    /// Whether a day stands there, and no point in time.
    pub(super) fn is_written(json: &Json<'_>) -> bool {
        json.as_str().is_some_and(Self::is_written_so)
    }

    pub(super) fn parse(reader: &mut Reader, json: &Json<'_>) -> Option<Self> {
        const FORM: &str =
            "a day is written 2026-12-02[Europe/Berlin], or 2026-12-02 with a `time_zone` beside it";
        let Some(text) = json.as_str().filter(|text| Self::is_written_so(text)) else {
            return reader.none(FORM);
        };
        let (date, behind) = text.split_at_checked(DATE_BYTES)?;
        let zone = match behind.strip_prefix('[').map(|zone| zone.strip_suffix(']')) {
            Some(Some(name)) => reader.zone(name)?,
            Some(None) => return reader.none(FORM),
            None => match reader.zone_around().cloned() {
                Some(zone) => zone,
                None => {
                    return reader.none(
                        "this day has no time zone: append one, such as `[Europe/Berlin]` or `[UTC]`, or give \
                         `time_zone` beside it",
                    );
                }
            },
        };
        if date > LAST_DAY {
            return reader.none("a day lies in the years 1970 to 9999");
        }
        let after = Instant::from_millis(midnight(date)?.millis().saturating_add(DAY_MS)).to_string();
        let after = after.get(..DATE_BYTES)?;
        let first = reader.start_of_day(text.to_owned(), date, &zone)?;
        let next = reader.start_of_day(format!("{after}{behind}"), after, &zone)?;
        if first.at >= next.at {
            return reader.none(format!("clocks in {} skip this day", zone.as_str()));
        }
        Some(Self { first, next })
    }

    pub(super) fn to_json(&self) -> Json<'static> {
        self.first.to_json()
    }
}

/// The instant at which a clock of UTC begins this date.
fn midnight(date: &str) -> Option<Instant> {
    Instant::parse(&format!("{date}T00:00:00Z")).ok()
}

fn named(text: &str, zone: &Zone) -> String {
    if text.ends_with(']') { text.to_owned() } else { format!("{text}[{}]", zone.as_str()) }
}

/// A date and time, and what stands behind them (RFC 9557, of which only a time zone).
struct Form<'t> {
    /// The instant at which a clock of UTC shows this date and time.
    local: Instant,
    offset: Option<Ahead>,
    zone: Option<&'t str>,
}

#[derive(Clone, Copy)]
struct Ahead {
    seconds: i64,
    is_utc: bool,
}

impl<'t> Form<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let (rest, zone) = match text.strip_suffix(']') {
            Some(inner) => inner.split_once('[').map(|(rest, zone)| (rest, Some(zone)))?,
            None => (text, None),
        };
        let (local, offset) = if let Some(local) = rest.strip_suffix('Z') {
            (local, Some(Ahead { seconds: 0, is_utc: true }))
        } else {
            let at = rest.len().checked_sub(6);
            let cut = at.and_then(|at| rest.split_at_checked(at));
            match cut.and_then(|(local, offset)| Some((local, offset_seconds(offset)?))) {
                Some((local, seconds)) => (local, Some(Ahead { seconds, is_utc: false })),
                None => (rest, None),
            }
        };
        let seconds = if local.len() == 16 { ":00" } else { "" };
        let local = Instant::parse(&format!("{local}{seconds}Z")).ok()?;
        Some(Self { local, offset, zone })
    }
}

/// The seconds of `+01:00`.
fn offset_seconds(text: &str) -> Option<i64> {
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let number = |text: &str, below: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| digits && *number < below)
    };
    let minutes = number(hours, 24)?.checked_mul(60)?.checked_add(number(minutes, 60)?)?;
    minutes.checked_mul(60 * sign)
}

impl Reader {
    /// Reads within the time zone that the member `time_zone` of `json` names, if it has one.
    pub(super) fn in_zone_of<T>(
        &mut self,
        json: &Json<'_>,
        read: impl FnOnce(&mut Self, Option<Zone>) -> Option<T>,
    ) -> Option<T> {
        let own = match json.member("time_zone") {
            None => None,
            Some(_) => Some(self.optional(json, "time_zone", |reader, name| match name.as_str() {
                Some(name) => reader.zone(name),
                None => reader.none("a time zone is a string such as `Europe/Berlin`"),
            })?),
        };
        let around = own.clone().map(|own| self.zone.replace(own));
        let value = read(self, own);
        if let Some(around) = around {
            self.zone = around;
        }
        value
    }

    fn zone_around(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }

    fn zone(&mut self, name: &str) -> Option<Zone> {
        match self.source {
            Source::Settled(_) => Some(Zone::settled(name)),
            Source::Database(_) => self.told(Zone::parse(name)),
        }
    }

    fn check_offset(&mut self, zone: &Zone, at: Instant, seconds: i64) -> Option<()> {
        match self.source {
            Source::Settled(_) => Some(()),
            Source::Database(_) => self.told(zone.check_offset(at, seconds)),
        }
    }

    fn settle(&mut self, name: &str, zone: &Zone, local: Instant) -> Option<Instant> {
        let (Source::Settled(known) | Source::Database(known)) = &self.source;
        match (known.0.get(name), &self.source) {
            (Some(at), _) => Some(*at),
            (None, Source::Settled(_)) => self.none("no instant was settled for this local time"),
            (None, Source::Database(_)) => self.told(zone.resolve(local)),
        }
    }

    /// The first instant of a date in a zone, written as `text`.
    fn start_of_day(&mut self, text: String, date: &str, zone: &Zone) -> Option<Moment> {
        let name = named(&text, zone);
        let (Source::Settled(known) | Source::Database(known)) = &self.source;
        let at = match (known.0.get(&name), &self.source) {
            (Some(at), _) => *at,
            (None, Source::Settled(_)) => return self.none("no instant was settled for this day"),
            (None, Source::Database(_)) => self.told(zone.start_of_day(date))?,
        };
        // East of Greenwich, the first day begins before the first instant.
        if Instant::parse(&at.to_string()) != Ok(at) {
            return self.none("a day lies in the years 1970 to 9999");
        }
        let written = Written { text: text.into(), zone: Some(zone.clone()), is_local: true };
        Some(Moment { at, written: Some(written) })
    }

    fn told<T>(&mut self, result: Result<T, ZoneError>) -> Option<T> {
        result
            .map_err(|error| {
                let code = match error {
                    ZoneError::Unknown { .. } => code::UNKNOWN_TIME_ZONE,
                    _ => code::INVALID_REQUEST,
                };
                self.note(code, error.to_string());
            })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, source: Source) -> Result<Moment, Vec<Problem>> {
        Reader::document_from(source, |reader| Moment::parse(reader, &Json::from(text)))
    }

    fn instant(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    #[test]
    fn every_spelling_of_a_point_in_time_is_its_instant_and_stays_as_written() {
        for text in [
            "2026-12-02T09:00:00Z",
            "2026-12-02T09:00Z",
            "2026-12-02T10:00+01:00",
            "2026-12-02T10:00:00+01:00",
            "2026-12-02T03:30-05:30",
            "2026-12-02T10:00[Europe/Berlin]",
            "2026-12-02T10:00:00.000[Europe/Berlin]",
            "2026-12-02T10:00+01:00[Europe/Berlin]",
            "2026-12-02T09:00Z[Europe/Berlin]",
        ] {
            let moment = read(text, Source::default()).unwrap();
            assert_eq!(moment.at(), instant("2026-12-02T09:00:00Z"), "{text}");
            assert_eq!(moment.to_json().to_string(), format!("\"{text}\""));
        }
    }

    #[test]
    fn an_offset_says_which_of_two_equal_local_times_is_meant() {
        let read = |text| read(text, Source::default()).map(|moment| moment.at());
        assert_eq!(read("2026-10-25T02:30[Europe/Berlin]"), Ok(instant("2026-10-25T00:30:00Z")));
        assert_eq!(read("2026-10-25T02:30+02:00[Europe/Berlin]"), Ok(instant("2026-10-25T00:30:00Z")));
        assert_eq!(read("2026-10-25T02:30+01:00[Europe/Berlin]"), Ok(instant("2026-10-25T01:30:00Z")));
        assert!(read("2026-10-25T03:30+02:00[Europe/Berlin]").is_err());
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for (text, code) in [
            ("2026-12-02", code::INVALID_REQUEST),
            ("2026-12-02T10:00", code::INVALID_REQUEST),
            ("2026-12-02 10:00Z", code::INVALID_REQUEST),
            ("2026-12-02T10Z", code::INVALID_REQUEST),
            ("2026-12-02T24:00Z", code::INVALID_REQUEST),
            ("2026-02-29T10:00Z", code::INVALID_REQUEST),
            ("2026-12-02T10:00+1:00", code::INVALID_REQUEST),
            ("2026-12-02T10:00+24:00", code::INVALID_REQUEST),
            ("2026-12-02T10:00+01:60", code::INVALID_REQUEST),
            ("2026-12-02T10:00+01:00:00", code::INVALID_REQUEST),
            ("2026-12-02T10:00[Europe/Berlin][u-ca=hebrew]", code::UNKNOWN_TIME_ZONE),
            ("2026-12-02T10:00[]", code::UNKNOWN_TIME_ZONE),
            ("2026-12-02T10:00[Europe/Atlantis]", code::UNKNOWN_TIME_ZONE),
            ("2026-03-29T02:30[Europe/Berlin]", code::INVALID_REQUEST),
            ("1970-01-01T00:30+01:00", code::INVALID_REQUEST),
            ("9999-12-31T23:30-01:00", code::INVALID_REQUEST),
            ("٢٠٢٦-12-02T10:00Z", code::INVALID_REQUEST),
        ] {
            let problems = read(text, Source::default()).unwrap_err();
            assert_eq!(problems.iter().map(|p| p.code).collect::<Vec<_>>(), [code], "{text}");
        }
    }

    #[test]
    fn what_was_settled_is_never_resolved_again() {
        let text = "2026-12-02T10:00[Europe/Berlin]";
        // As if Berlin had been elsewhere when it was written.
        let elsewhere = Moment {
            at: instant("2026-12-02T07:00:00Z"),
            written: read(text, Source::default()).unwrap().written,
        };
        let instants = Instants::of([&elsewhere]);
        let kept = Instants::from_json(&instants.to_json()).unwrap();
        assert_eq!(kept, instants);
        for source in [Source::Settled(kept.clone()), Source::Database(kept)] {
            assert_eq!(read(text, source).unwrap(), elsewhere);
        }
        assert!(read(text, Source::Settled(Instants::default())).is_err());
        // A zone that a later database no longer knows.
        let gone = Json::parse(br#"{"2026-12-02T10:00[Europe/Atlantis]":"2026-12-02T11:00:00Z"}"#).unwrap();
        let gone = Source::Settled(Instants::from_json(&gone).unwrap());
        let moment = read("2026-12-02T10:00[Europe/Atlantis]", gone).unwrap();
        assert_eq!(moment.at(), instant("2026-12-02T11:00:00Z"));
    }
}
