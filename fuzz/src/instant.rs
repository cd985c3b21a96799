//! Instants of the format (FORMAT M-1.12), and timestamps of contexts (FORMAT M-4.5).

use flagstone_model::instant::Instant;

use crate::shape::{Choices, Shaped};

pub(crate) fn body(bytes: &[u8]) -> bool {
    let Some(text) = crate::text(bytes, shaped) else { return false };
    let form = Form::of(&text);
    let timestamp = Instant::parse_rfc3339(&text);
    assert_eq!(
        timestamp.map(Instant::millis),
        form.and_then(|form| form.theirs(&text, timestamp)),
        "{text:?}"
    );
    // An instant of the format is a timestamp of one form.
    let is_written_so = form.is_some_and(|form| form.is_utc && matches!(form.digits, 0 | 3));
    let expected = timestamp.filter(|_| is_written_so && text.as_bytes() >= b"1970".as_slice());
    let instant = Instant::parse(&text).ok();
    assert_eq!(instant, expected, "{text:?}");
    if let Some(instant) = instant {
        // A reader takes milliseconds that are zero; a writer leaves them out.
        assert_eq!(instant.to_string(), text.replace(".000Z", "Z"), "an instant has one spelling");
    }
    timestamp.is_some()
}

/// What a timestamp looks like, its numbers aside.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// Digits of its fraction.
    digits: usize,
    /// Whether it ends in `Z`.
    is_utc: bool,
}

impl Form {
    /// `YYYY-MM-DDTHH:MM:SS`, then perhaps a fraction, then `Z` or `±HH:MM`; no second 60 and no offset of a day, which
    /// the other implementation takes.
    fn of(text: &str) -> Option<Self> {
        let is = |text: &str, shape: &str| {
            text.len() == shape.len()
                && text.bytes().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
                    b'0' => byte.is_ascii_digit(),
                    wanted => byte == wanted,
                })
        };
        let (seconds, rest) = text.split_at_checked(19)?;
        let offset = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        let fraction = rest.strip_suffix(offset)?;
        let digits = match fraction.strip_prefix('.') {
            None if fraction.is_empty() => 0,
            Some(digits) if !digits.is_empty() && !digits.contains('.') => digits.len(),
            _ => return None,
        };
        let is_utc = offset == "Z";
        let is_offset =
            is_utc || ["+00:00", "-00:00"].iter().any(|shape| is(offset, shape)) && offset[1..3] < *"24";
        let whole = is(seconds, "0000-00-00T00:00:00") && !seconds.ends_with(":60");
        (whole && is_offset).then_some(Self { digits, is_utc })
    }

    /// What the other implementation reads. It knows nine digits of a second, and ends a day before we do, so that every
    /// offset stays in its years: there what we read stands.
    fn theirs(self, text: &str, ours: Option<Instant>) -> Option<i64> {
        let beyond = self.digits.saturating_sub(9);
        let nine =
            if beyond == 0 { text.to_owned() } else { format!("{}{}", &text[..29], &text[29 + beyond..]) };
        match nine.parse::<jiff::Timestamp>() {
            // Digits past milliseconds are dropped, which for an instant before 1970 is the earlier one.
            Ok(read) => {
                Some(read.as_nanosecond().div_euclid(1_000_000).try_into().expect("a timestamp in range"))
            }
            Err(_) => ours.map(Instant::millis).filter(|ours| *ours > jiff::Timestamp::MAX.as_millisecond()),
        }
    }
}

fn shaped(u: &mut Choices<'_>) -> Shaped<String> {
    let year = match u.int_in_range(0..=7)? {
        1 => *u.choose(&[0, 1, 1969, 1970, 2000, 2100, 9998, 9999, 10_000])?,
        _ => u.int_in_range(1970..=2040)?,
    };
    // In one text of four, one field may be out of its range.
    let broken: u8 = u.int_in_range(0..=19)?;
    let mut fields = [(1, 12), (1, 28), (0, 23), (0, 59), (0, 59)].into_iter().enumerate().map(
        |(index, (least, most))| {
            if usize::from(broken) == index + 1 {
                u.int_in_range(0..=most + 5)
            } else {
                u.int_in_range(least..=most)
            }
        },
    );
    let mut field = || fields.next().expect("five fields");
    let (month, day, hour, minute, second): (u8, u8, u8, u8, u8) =
        (field()?, field()?, field()?, field()?, field()?);
    let fraction = match u.int_in_range(0..=7u8)? {
        0 | 4.. => String::new(),
        1 => format!(".{}", "9".repeat(u.int_in_range(1..=12)?)),
        2 => format!(".{:03}", u.int_in_range(0..=999)?),
        3 => (*u.choose(&[".000", "."])?).into(),
    };
    let offset = match u.int_in_range(0..=9)? {
        3 => format!("+{:02}:{:02}", u.int_in_range(0..=25)?, u.int_in_range(0..=61)?),
        1 => format!("-{:02}:{:02}", u.int_in_range(0..=25)?, u.int_in_range(0..=61)?),
        2 => (*u.choose(&["", "z", "+00:00", "-00:00", "+0100", " Z", "+1:00", "Z "])?).into(),
        _ => "Z".into(),
    };
    let between = u.choose(&["T", "T", "T", "T", "T", "t", " "])?;
    Ok(format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{fraction}{offset}"))
}
