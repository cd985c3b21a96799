//! Instants of the format (FORMAT M-1.12), and timestamps of contexts (FORMAT M-4.5).

use flagstone_model::instant::Instant;

use crate::shape::{Choices, Shaped};

pub(crate) fn body(bytes: &[u8]) -> bool {
    let Some(text) = crate::text(bytes, shaped) else { return false };
    let instant = Instant::parse(&text);
    if let Ok(instant) = instant {
        // A reader takes milliseconds that are zero; a writer leaves them out.
        assert_eq!(instant.to_string(), text.replace(".000Z", "Z"), "an instant has one spelling");
        // Theirs ends a day before ours, so that every offset stays in its years.
        let common = instant.millis() <= jiff::Timestamp::MAX.as_millisecond();
        assert_eq!(
            theirs(&text),
            common.then_some(instant.millis()),
            "another implementation reads the same"
        );
        assert_eq!(Instant::parse_rfc3339(&text), Some(instant), "an instant is RFC 3339 too");
    }
    let timestamp = Instant::parse_rfc3339(&text);
    if let (Some(ours), Some(theirs)) = (timestamp, theirs(&text)) {
        assert_eq!(ours.millis(), theirs, "another implementation reads the same of {text:?}");
    }
    timestamp.is_some()
}

fn theirs(text: &str) -> Option<i64> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    // Digits past milliseconds are dropped, which for an instant before 1970 is the earlier one.
    Some(timestamp.as_nanosecond().div_euclid(1_000_000).try_into().expect("a timestamp in range"))
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
