//! Words of the format, put together as bytes say: mostly well-formed, now and then not.
//!
//! Operands and attributes are drawn from the same few words, so that tests are true, false, and unknown often.

mod authored;
mod wire;

use arbitrary::Unstructured;
use flagstone_model::json::Json;

pub use authored::authored;
pub use wire::{condition, lines};

/// Where choices are drawn from; when it runs dry, each choice is the first.
pub type Choices<'b> = Unstructured<'b>;

/// What a choice gives.
pub type Shaped<T> = arbitrary::Result<T>;

type Members = Vec<(&'static str, Json<'static>)>;

const FLAGS: [&str; 5] = ["f", "g", "h", "payments", "missing"];
const SEGMENTS: [&str; 4] = ["staff", "eu", "loop", "nowhere"];
const VARIATIONS: [&str; 4] = ["on", "off", "a", "nothing"];
const PATHS: [&str; 10] =
    ["targetingKey", "country", "age", "app.version", "ip", "at", "tags", "email", "org.key", "~1x"];
const INSTANTS: [&str; 5] = [
    "2026-12-01T09:00:00Z",
    "2026-12-02T12:00:00Z",
    "2026-12-02T12:00:00.001Z",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
];
const WORDS: [&str; 14] = [
    "DE",
    "de",
    "AT",
    "u-1",
    "u-13",
    "pro",
    "x@acme.com",
    "@acme.com",
    "x",
    "",
    "42",
    "true",
    "ñandú",
    "4e0",
];
const VERSIONS: [&str; 7] = ["2.4.0", "v2.5", "2.4.0-rc.1", "3.0.0+b", "2", "02.1", "1.2.3.4"];
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.1.2.3", "::ffff:10.0.0.1", "2001:db8::1", "::1", "010.0.0.1"];
const NUMBERS: [f64; 12] = [
    0.0,
    -0.0,
    1.0,
    42.0,
    17.5,
    18.0,
    1_795_953_600_000.0,
    9_007_199_254_740_991.0,
    9_007_199_254_740_992.0,
    -9_007_199_254_740_992.0,
    1e300,
    5e-324,
];

fn word(u: &mut Choices<'_>, from: &[&'static str]) -> Shaped<Json<'static>> {
    Ok(Json::from(*u.choose(from)?))
}

fn list(
    u: &mut Choices<'_>,
    most: usize,
    mut one: impl FnMut(&mut Choices<'_>) -> Shaped<Json<'static>>,
) -> Shaped<Json<'static>> {
    let count = u.int_in_range(0..=most)?;
    Ok(Json::Array((0..count).map(|_| one(u)).collect::<Shaped<_>>()?))
}

/// One in `n`; never when the choices have run dry.
fn seldom(u: &mut Choices<'_>, n: u8) -> Shaped<bool> {
    Ok(u.int_in_range(0..=n.saturating_sub(1))? == 1)
}

/// A string, a number, or a bool of the shared words.
fn scalar(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    Ok(match u.int_in_range(0..=9)? {
        0..=4 => word(u, &WORDS)?,
        5 => word(u, &VERSIONS)?,
        6 => word(u, &ADDRESSES)?,
        7 | 8 => Json::from(*u.choose(&NUMBERS)?),
        _ => Json::from(u.arbitrary::<bool>()?),
    })
}

/// Any small JSON value.
pub fn anything(u: &mut Choices<'_>, depth: u8) -> Shaped<Json<'static>> {
    Ok(match u.int_in_range(0..=7)? {
        0 => Json::Null,
        1 if depth > 0 => list(u, 3, |u| anything(u, depth - 1))?,
        2 if depth > 0 => {
            let count = u.int_in_range(0..=3)?;
            let members: Shaped<Vec<_>> =
                (0..count).map(|_| Ok((*u.choose(&WORDS)?, anything(u, depth - 1)?))).collect();
            // The last of two members of one name is kept: a line with both is another test's.
            let members: std::collections::BTreeMap<_, _> = members?.into_iter().collect();
            Json::object(members)
        }
        _ => scalar(u)?,
    })
}

/// The value of an attribute.
fn attribute(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    Ok(match u.int_in_range(0..=9)? {
        0 => anything(u, 2)?,
        1 | 2 => list(u, 3, scalar)?,
        3 => word(u, &INSTANTS)?,
        4 => Json::from("2026-12-02T13:00:00.0009+01:00"),
        _ => scalar(u)?,
    })
}

/// A context: the paths of the conditions, with values near their operands.
pub fn context(u: &mut Choices<'_>) -> Shaped<Json<'static>> {
    if seldom(u, 32)? {
        return anything(u, 2);
    }
    let mut members = vec![];
    for name in ["targetingKey", "country", "age", "ip", "at", "tags", "email", ".x"] {
        if u.int_in_range(0..=3)? > 0 {
            members.push((name, attribute(u)?));
        }
    }
    for (name, inner) in [("app", "version"), ("org", "key")] {
        if u.arbitrary()? {
            let inner_value = if name == "app" { word(u, &VERSIONS)? } else { attribute(u)? };
            members.push((name, Json::object([(inner, inner_value)])));
        }
    }
    Ok(Json::object(members))
}
