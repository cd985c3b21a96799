//! Names of files for keys: what every file system takes, and tells apart.

use flagstone_model::digest::Digest;

/// Longest name, without its `.json`; file systems take 255 bytes.
const MAX_NAME: usize = 200;
/// Digits of the digest that stands for the end of a key whose name would be too long.
const DIGEST_DIGITS: usize = 16;
/// Names that Windows keeps for devices, whatever follows after a dot.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The name for a key: lower-case letters, digits, and `.`, `_`, `-` stand for themselves, every other byte is `%` and two
/// hexadecimal digits. So keys that differ by case only have different names everywhere.
///
/// A name that would be too long ends in `%%` and the beginning of the key's SHA-256.
pub(super) fn of(key: &str) -> String {
    let mut name = whole(key);
    if name.len() <= MAX_NAME {
        return name;
    }
    let digest = Digest::of(key.as_bytes()).to_string();
    name.truncate(MAX_NAME);
    // Half an escape would read as something else.
    if let Some(at) = name.rfind('%').filter(|at| at.saturating_add(3) > name.len()) {
        name.truncate(at);
    }
    format!("{name}%%{}", digest.get(..DIGEST_DIGITS).unwrap_or_default())
}

/// The same, however long it is: where the name alone says the key.
pub(super) fn whole(key: &str) -> String {
    let mut name = String::new();
    for (index, byte) in key.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
        if plain && !(index == 0 && is_device(key)) {
            name.push(char::from(byte));
        } else {
            name.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    name
}

/// The key that a whole name stands for, if it is one.
pub(super) fn key_of(name: &str) -> Option<String> {
    let (mut key, mut rest) = (Vec::new(), name.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            key.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        rest = after;
        key.push(u8::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()?);
    }
    String::from_utf8(key).ok().filter(|key| whole(key) == name)
}

/// A hexadecimal digit.
fn digit(half: u8) -> char {
    char::from_digit(u32::from(half), 16).unwrap_or('0')
}

fn is_device(key: &str) -> bool {
    let stem = key.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |name: &str| {
        stem.strip_prefix(name)
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    DEVICES.contains(&stem.as_str()) || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_nothing_that_a_file_system_dislikes_or_takes_for_something_else() {
        for (key, name) in [
            ("new-checkout_2.0", "new-checkout_2.0"),
            ("Team:a@b|c+d~e", "%54eam%3aa%40b%7cc%2bd%7ee"),
            ("con", "%63on"),
            ("CON.x", "%43%4f%4e.x"),
            ("lpt1", "%6cpt1"),
            ("console", "console"),
            ("lpt10", "lpt10"),
        ] {
            assert_eq!(of(key), name);
        }
    }

    #[test]
    fn a_whole_name_says_its_key() {
        for key in ["vips", "Team:a@b|c+d~e", "con", "CON.x", &"K".repeat(128)] {
            assert_eq!(key_of(&whole(key)).as_deref(), Some(key));
        }
        for none in ["Vips", "%", "%5", "%zz", "%61", "%%00"] {
            assert_eq!(key_of(none), None, "{none}");
        }
    }

    #[test]
    fn keys_that_differ_have_names_that_differ_in_any_case_and_none_is_too_long() {
        let keys = ["a", "A", "aA", "Aa", "AA", "a.A", "a:A", "con", "Con"].map(str::to_owned);
        let long = ["A", "B", "a"].map(|last| format!("{}{last}", "K".repeat(127)));
        let edges = [66, 67, 68].map(|count| "K".repeat(count));
        let keys: Vec<_> = keys.into_iter().chain(long).chain(edges).collect();
        let names: std::collections::BTreeSet<_> = keys.iter().map(|key| of(key).to_lowercase()).collect();
        assert_eq!(names.len(), keys.len());
        assert!(names.iter().all(|name| name.len() <= MAX_NAME + 2 + DIGEST_DIGITS));
    }
}
