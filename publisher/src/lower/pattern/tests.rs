use super::*;

fn kernel(text: &str) -> String {
    lower_pattern(text).unwrap_or_else(|problem| panic!("{text}: {problem}")).as_str().to_owned()
}

#[test]
fn what_the_kernel_has_stays_as_it_is_written() {
    for text in ["", "a|b", "^[a-z0-9_]+$", r"a\.b\*", "(?:a|b){2,3}", "[^@]+@", "x{0,}", "(?:)", r"[\]\-]"] {
        assert_eq!(kernel(text), text);
    }
}

#[test]
fn what_has_one_meaning_everywhere_is_rewritten() {
    for (written, lowered) in [
        (r"\d+", "[0-9]+"),
        (r"\w\W", "[0-9A-Z_a-z][^0-9A-Z_a-z]"),
        (r"\s", "[\t-\r ]"),
        (r"[\d.]", "[.0-9]"),
        ("(a|b)", "(?:a|b)"),
        ("(?P<n>a)", "(?:a)"),
        ("a*?b+?c??d{2,3}?", "a*b+c?d{2,3}"),
        ("(?i)ab-1", "[Aa][Bb]-1"),
        ("(?i)[a-c_]", "[A-C_a-c]"),
        ("(?i)[^x]", "[^Xx]"),
        ("a(?i:b)c", "a(?:[Bb])c"),
        ("(?i)a(?-i)b", "[Aa]b"),
        ("(?:(?i)a)b", "(?:[Aa])b"),
        ("(?s)a.b", "a(?:.|\n)b"),
        (r"\Aa\z", "^a$"),
        (r"a\-b\/c\x41\u{e4}\n", "a-b/cAä\n"),
        ("a**", "(?:a*)*"),
        ("[a|b&~]", r"(?:[ab]|&|\||~)"),
        ("[|]", r"\|"),
        ("[^&]", "[\0-%'-\u{10FFFF}]"),
        ("[ -~]", "(?:[ -}]|~)"),
        ("[[:digit:][:upper:]]", "[0-9A-Z]"),
        (r"\d[abab]", "[0-9][ab]"),
    ] {
        assert_eq!(kernel(written), lowered, "{written}");
    }
}

#[test]
fn what_engines_read_differently_is_refused_where_it_stands() {
    for (text, at, says) in [
        (r"a\b", 1, "word boundaries"),
        (r"\p{L}", 0, "Unicode classes"),
        (r"a[\p{L}]", 2, "Unicode classes"),
        (r"(a)\1", 3, "back-references"),
        ("a(?=b)", 1, "look-around"),
        ("(?m)^a", 2, "`m`"),
        ("(?x)a", 2, "`i` and `s`"),
        ("(?i)ä", 4, "ASCII letters"),
        ("(?i)[ä]", 4, "ASCII letters"),
        ("[a&&b]", 1, "`&&`"),
        ("[a[b]]", 2, "stand in classes"),
        (r"[\D]", 1, "not negated"),
        ("^*", 1, "nothing to repeat"),
        ("(a", 0, "unclosed"),
        ("a)", 1, "unopened"),
        ("*", 0, "repetition operator missing"),
        ("[z-a]", 1, "range"),
    ] {
        let problem = lower_pattern(text).unwrap_err();
        assert!(problem.at == at && problem.what.contains(says), "{text}: {problem:?}");
    }
    let long = lower_pattern(&"a".repeat(513)).unwrap_err();
    assert_eq!(long.at, 512);
    let large = lower_pattern(&"(?:a{250}){4}".repeat(4)).unwrap_err();
    assert!(large.what.contains("4000 instructions"), "{large}");
    assert!(lower_pattern("a{256}").unwrap_err().what.contains("255"));
}

#[test]
fn counts_that_multiply_to_too_much_are_refused_where_they_do_with_a_way_out() {
    for text in ["(?:a{250}){4}", r"(\d{10}){100}", "(?:a{250,}b|c{3}){4}", "a{10}{10}{10}", "(a{0}){250}"] {
        kernel(text);
    }
    for (text, at) in [
        ("(?:a{91}){11}", 9),
        (r"\d(\d{91}|x){11,}", 12),
        ("a{7}{11}{13}", 8),
        ("((a{91}?)*b){0,11}?", 12),
        ("(?i:(a{91}){0}b){11}", 16),
    ] {
        let problem = lower_pattern(text).unwrap_err();
        assert!(problem.at == at && problem.what.contains("such as `(?:x{100}){10}x{100}`"), "{problem}");
    }
    kernel("(?:x{100}){10}x{100}");
}

/// The oracle is an engine of its own: the author's text in it, and the lowered text, find the same.
#[test]
fn lowering_changes_nothing_that_is_found() {
    let subjects = [
        "", "a", "A", "ab", "aB", "AB", "a\nb", "a b", "0", "9z", "_", "-", "&", "|", "~", "^", "]", "\\",
        "ä", "x@y.z", "aab", "bbb", "\t", "\u{b}", "}", "(", "a|b",
    ];
    let patterns = [
        r"\d",
        r"\w",
        r"\s",
        r"^\S+$",
        r"\W",
        r"\D",
        "(?i)a",
        "(?i)[^b]",
        "(?s).",
        "(?s)^a.b$",
        "a.b",
        "[a|&]",
        "[^a|&~]",
        "[!-~]",
        "[^!-~]",
        "(?i)(a|b)+?$",
        "a{1,2}?b",
        r"[\]\\^]",
        "[[:punct:]]",
        "[^[:alnum:]]",
        r"\x41|\u{e4}",
        "(?i:a)b",
        "^(a*)*$",
        r"[\s\d]",
        "(?i)[a-b]{2}",
    ];
    for pattern in patterns {
        let ascii = regex::RegexBuilder::new(pattern).build().unwrap();
        // Rust's own classes are Unicode's; the subjects tell them apart only where the kernel means to.
        let ascii_classes =
            pattern.replace(r"\d", "[0-9]").replace(r"\D", "[^0-9]").replace(r"\w", "[0-9A-Za-z_]");
        let ascii_classes = ascii_classes.replace(r"\W", "[^0-9A-Za-z_]");
        let ascii = regex::Regex::new(&ascii_classes).unwrap_or(ascii);
        let lowered = regex::Regex::new(&kernel(pattern)).unwrap();
        for subject in subjects {
            assert_eq!(lowered.is_match(subject), ascii.is_match(subject), "{pattern} {subject:?}");
        }
    }
}
