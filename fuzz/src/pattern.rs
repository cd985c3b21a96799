//! Expressions of the kernel (FORMAT M-4.7).

use flagstone_eval::is_found;
use flagstone_model::pattern::{MAX_PATTERN_BYTES, MAX_PATTERN_INSTRUCTIONS, MAX_SUBJECT_BYTES, Pattern};
use flagstone_publisher::lower::lower_pattern;

use crate::shape::{Choices, Shaped};

/// An expression and a subject, one a line (a subject may hold line ends).
pub(crate) fn body(bytes: &[u8]) -> bool {
    let Some(text) = crate::text(bytes, shaped) else { return false };
    let (pattern, subject) = text.split_once('\n').unwrap_or((&text, ""));
    let subject = &subject[..subject.floor_char_boundary(MAX_SUBJECT_BYTES)];
    let read = Pattern::parse(pattern);
    let lowered = lower_pattern(pattern);
    let found = is_found(pattern, subject);
    assert_eq!(found.is_some(), read.is_ok(), "what the kernel takes is evaluated, and nothing else");
    if let Ok(read) = &read {
        assert!(read.as_str().len() <= MAX_PATTERN_BYTES);
        assert!(read.instructions() <= MAX_PATTERN_INSTRUCTIONS);
        // Wrapped, an expression means the same.
        let wrapped = format!("(?:{pattern})");
        if Pattern::parse(&wrapped).is_ok() {
            assert_eq!(is_found(&wrapped, subject), found);
        }
        let lowered = lowered.as_ref().expect("what the kernel takes can be written");
        assert_eq!(lowered.as_str(), pattern, "what is of the kernel stays as it is");
    }
    if let Ok(lowered) = &lowered {
        let lowered =
            is_found(lowered.as_str(), subject).expect("what the publisher writes is of the kernel");
        // The sugar means in the kernel what its own dialect means by it, in ASCII.
        let folds_more = pattern.contains("(?i") && !text.is_ascii();
        if !folds_more && let Ok(dialect) = regex::Regex::new(&ascii_classes(pattern)) {
            assert_eq!(lowered, dialect.is_match(subject), "{pattern:?} on {subject:?}");
        }
    } else if let Err(problem) = &lowered {
        assert!(problem.at <= pattern.len(), "a problem lies in the expression");
        assert!(pattern.is_char_boundary(problem.at), "and before one of its characters");
    }
    read.is_ok() || lowered.is_ok()
}

/// `\d`, `\w`, and `\s` outside classes as the publisher says it takes them; inside classes they would need more.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        out.push(character);
        if character == '\\'
            && let Some(escaped) = characters.next()
        {
            if matches!(escaped, 'd' | 'w' | 's' | 'D' | 'W' | 'S') {
                out.pop();
                out += match escaped {
                    'd' => "[0-9]",
                    'w' => "[0-9A-Za-z_]",
                    's' => r"[\t\n\v\f\r ]",
                    'D' => "[^0-9]",
                    'W' => "[^0-9A-Za-z_]",
                    _ => r"[^\t\n\v\f\r ]",
                };
            } else {
                out.push(escaped);
            }
        }
    }
    out
}

fn piece(u: &mut Choices<'_>, depth: u32, out: &mut String) -> Shaped<()> {
    const LITERALS: [&str; 16] =
        ["a", "b", "A", "0", "9", "_", " ", "é", "ſ", "K", r"\.", r"\\", r"\$", "-", ",", "\u{1F600}"];
    const CLASSES: [&str; 14] = [
        "[a-c]",
        "[^a]",
        "[abc]",
        "[a-zA-Z0-9_]",
        r"[\]]",
        r"[^\^]",
        r"[\-a]",
        "[^é-ü]",
        ".",
        "[]",
        "[c-a]",
        "[a&]",
        r"[\d]",
        "[ -~]",
    ];
    const SUGAR: [&str; 12] =
        [r"\d", r"\w", r"\s", r"\D", r"\b", "(?i)", "(?s)", "^", "$", "{", "(?=a)", r"\1"];
    match u.int_in_range(0..=15)? {
        0..=2 => *out += u.choose(&CLASSES)?,
        3 => *out += u.choose(&SUGAR)?,
        4 | 5 if depth > 0 => {
            *out += u.choose(&["(?:", "(?:", "(?:", "(", "(?i:", "(?P<n>"])?;
            sequence(u, depth - 1, out)?;
            out.push(')');
        }
        6 if depth > 0 => {
            sequence(u, depth - 1, out)?;
            out.push('|');
            sequence(u, depth - 1, out)?;
        }
        _ => *out += u.choose(&LITERALS)?,
    }
    Ok(())
}

fn sequence(u: &mut Choices<'_>, depth: u32, out: &mut String) -> Shaped<()> {
    const REPEATS: [&str; 18] = [
        "*", "+", "?", "{2}", "{1,3}", "{0,}", "{255}", "{4}", "{11,}", "{0,91}", "{250}", "{256}", "{02}",
        "*?", "+?", "{2,1}", "**", "{,2}",
    ];
    for _ in 0..u.int_in_range(0..=5)? {
        piece(u, depth, out)?;
        match u.int_in_range(0..=11)? {
            0..=2 => *out += u.choose(&REPEATS[..11])?,
            3 => *out += u.choose(&REPEATS)?,
            _ => {}
        }
    }
    Ok(())
}

fn shaped(u: &mut Choices<'_>) -> Shaped<String> {
    const SUBJECT: [&str; 14] =
        ["a", "b", "c", "A", "0", "9", "_", " ", "é", "\n", ".", "\\", "$", "\u{1F600}"];
    let mut out = String::new();
    match u.int_in_range(0..=7)? {
        0 => out += "^",
        1 => out += "(?i)",
        _ => {}
    }
    sequence(u, 3, &mut out)?;
    if u.int_in_range(0..=5)? == 1 {
        out.push('$');
    }
    out.push('\n');
    for _ in 0..u.int_in_range(0..=8)? {
        out += u.choose(&SUBJECT)?;
    }
    Ok(out)
}
