//! Expressions: what `matches` finds, and how large they may be (FORMAT M-4.7).

use flagstone_eval::is_found;

use super::attribute::{check, unreadable};
use super::{answer, compile, flag_if};

#[test]
fn one_expression_is_asked_of_one_text() {
    assert_eq!(is_found("^(?:beta|rc)-[0-9]{1,2}$", "rc-42"), Some(true));
    assert_eq!(is_found("^(?:beta|rc)-[0-9]{1,2}$", "RC-42"), Some(false));
    assert_eq!(is_found("(?=x)", "x"), None, "none of the kernel");
    assert_eq!(is_found("x", &"x".repeat(4_096)), Some(true));
    assert_eq!(is_found("x", &"x".repeat(4_097)), None);
}

#[test]
fn matches_is_found_anywhere_in_a_text_of_at_most_4096_bytes() {
    check(
        r#""matches":"^(?:beta|rc)-[0-9]{1,2}$""#,
        &[
            (r#""beta-7""#, "true"),
            (r#""rc-42""#, "true"),
            (r#""rc-421""#, "false"),
            (r#""rc-4\n""#, "false"),
            (r#""x\nrc-4""#, "false"),
            (r#""RC-4""#, "false"),
            ("7", "unknown"),
            ("true", "unknown"),
            ("-", "unknown"),
            ("{}", "unknown"),
            (r#"["x","rc-4"]"#, "true"),
            (r#"["x",4]"#, "unknown"),
        ],
    );
    check(
        r#""matches":"b.d""#,
        &[
            (r#""abcde""#, "true"),
            (r#""ab\nde""#, "false"),
            (r#""ab\r\u2028de""#, "false"),
            (r#""abðde""#, "true"),
            (r#""b😀d""#, "true"),
        ],
    );
    check(
        r#""matches":"[^a]$""#,
        &[(r#""a😀""#, "true"), (r#""😀a""#, "false"), (r#""\n""#, "true"), (r#""""#, "false")],
    );
    check(r#""matches":"^[ä-ü]{2}$""#, &[(r#""öö""#, "true"), (r#""o\u0308""#, "false")]);
    check(r#""matches":"""#, &[(r#""""#, "true"), (r#""x""#, "true"), ("1", "unknown")]);
    check(
        r#""matches":"\\.\\+\\*\\?\\(\\)\\|\\[\\]\\{\\}\\^\\$\\\\""#,
        &[(r#""a.+*?()|[]{}^$\\b""#, "true"), (r#""a.+*?()|[]{}^$/b""#, "false")],
    );
    check(r#""matches":"^[\\]\\[\\^\\-]+$""#, &[(r#""-^[]""#, "true"), (r#""\\""#, "false")]);
    check(
        r#""matches":"^(?:a|)b{0}(?:c|d)*$""#,
        &[(r#""acdc""#, "true"), (r#""""#, "true"), (r#""b""#, "false")],
    );
    let long = |bytes: usize| format!("\"{}x\"", "ä".repeat((bytes - 1) / 2));
    check(r#""matches":"x$""#, &[(&long(4_095), "true"), (&long(4_097), "unknown")]);
    let even = format!("\"{}\"", "x".repeat(4_096));
    check(r#""matches":"x$""#, &[(&even, "true")]);
    unreadable(&[
        r#""matches":["x"]"#,
        r#""matches":"\\d""#,
        r#""matches":"(x)""#,
        r#""matches":"x*?""#,
        r#""matches":"(?i)x""#,
        r#""matches":"[a&&b]""#,
        r#""matches":"[""#,
        r#""matches":"x{256}""#,
    ]);
}

#[test]
fn the_largest_expressions_of_the_kernel_are_evaluated() {
    // As many ranges as an expression may have, of which each is many states over bytes.
    let characters = |first: u32, step: usize, count: usize| {
        (first..0x11_0000).filter_map(char::from_u32).step_by(step).take(count)
    };
    let full = |class: &str| format!("{0}{0}{0}(?:{class}{{249}}){{4}}", format!("(?:{class}{{250}}){{4}}"));
    let ranges: Vec<char> = characters(0x1_0123, 0x2357, 106).collect();
    let ranges: String = ranges.chunks_exact(2).map(|pair| format!("{}-{}", pair[0], pair[1])).collect();
    let scattered: String = characters(0x1_0000, 0x2477, 112).collect();
    for pattern in [
        full("."),
        full("[^a]"),
        full("[^\u{e000}]"),
        full("[\u{81}-\u{10fffe}]"),
        format!("[{scattered}]{{35}}"),
        format!("[^{scattered}]{{35}}"),
        format!("[{ranges}]{{75}}"),
        "a".repeat(512),
        "(?:.{0,200}){5}".to_owned(),
        "(?:(?:(?:){10}){10}){10}".to_owned(),
        "(?:x|y){95}".repeat(10),
    ] {
        assert!(flagstone_model::pattern::Pattern::parse(&pattern).is_ok(), "{pattern}");
        let snapshot = compile(&[&flag_if("f", &format!(r#"{{"attr":"a","matches":"{pattern}"}}"#))]);
        let answer = answer(&snapshot, "f", r#"{"a":"not this one"}"#);
        assert!(answer.contains("DEFAULT") || answer.contains("TARGETING_MATCH"), "{pattern}: {answer}");
    }
}
