//! Tests and modifiers of an attribute: each result each can have, at its edges (FORMAT M-4.4 to M-4.9).
//!
//! Digests were made by `printf '%s' TEXT | sha256sum`.

use super::{answer, compile, flag_if, truth};

/// Of tests beside `"attr":"a"`: what they say of a value of `a`, as JSON; `-` is no attribute.
fn check(tests: &str, table: &[(&str, &str)]) {
    for (value, expected) in table {
        let context = if *value == "-" { "{}".to_owned() } else { format!(r#"{{"a":{value}}}"#) };
        assert_eq!(truth(&format!(r#"{{"attr":"a",{tests}}}"#), &context), *expected, "{tests} of {value}");
    }
}

/// Operands that cannot be read make the leaf unsupported, whatever else there is.
fn unreadable(tests: &[&str]) {
    for tests in tests {
        for beside in ["", r#""exists":true,"#, r#""exists":false,"absent":true,"#] {
            for context in ["{}", r#"{"a":"x"}"#, r#"{"a":[]}"#] {
                let condition = format!(r#"{{"attr":"a",{beside}{tests}}}"#);
                assert_eq!(truth(&condition, context), "unsupported", "{condition} of {context}");
            }
        }
    }
}

#[test]
fn has_all_asks_each_operand_of_the_whole_array() {
    check(
        r#""has_all":["x","y"]"#,
        &[
            (r#"["y","z","x"]"#, "true"),
            (r#"["x"]"#, "false"),
            ("[]", "false"),
            (r#""x""#, "false"),
            // What is no scalar equals nothing, and leaves nothing unknown.
            (r#"["x",null,["y"],{"y":"y"}]"#, "false"),
            (r#"["x",null,["y"],"y"]"#, "true"),
            ("-", "unknown"),
            ("null", "unknown"),
            (r#"{"x":"y"}"#, "unknown"),
        ],
    );
    check(
        r#""has_all":["x"]"#,
        &[
            (r#""x""#, "true"),
            (r#""y""#, "false"),
            ("1", "false"),
            ("true", "false"),
            ("9007199254740992", "unknown"),
        ],
    );
    check(r#""has_all":[]"#, &[("[]", "true"), ("1", "true"), ("-", "unknown"), ("{}", "unknown")]);
    check(
        r#""has_all":[true,1]"#,
        &[
            ("[1.0,true]", "true"),
            (r#"["1",true]"#, "false"),
            (r#"[1,"true"]"#, "false"),
            ("[1,9007199254740992]", "false"),
        ],
    );
    check(r#""has_all":["x"],"absent":true"#, &[("-", "true"), ("{}", "true"), ("[]", "false")]);
    check(r#""has_all":[1e300]"#, &[("[1e300]", "false"), ("1e300", "unknown")]);
    unreadable(&[r#""has_all":"x""#, r#""has_all":[null]"#, r#""has_all":[["x"]]"#, r#""has_all":{}"#]);
}

#[test]
fn a_leaf_is_all_of_has_all_exists_and_of_any_element() {
    // `in` holds of one element, `has_all` of the array.
    check(
        r#""has_all":["x","y"],"in":["z"]"#,
        &[
            (r#"["x","y","z"]"#, "true"),
            (r#"["x","y"]"#, "false"),
            (r#"["x","z"]"#, "false"),
            (r#"["x","y",null]"#, "unknown"),
            (r#"["x",null]"#, "false"),
            ("[]", "false"),
            ("-", "unknown"),
        ],
    );
    check(r#""has_all":[],"exists":false"#, &[("[]", "false"), ("-", "unknown")]);
    check(r#""has_all":["x"],"exists":true"#, &[(r#"["x"]"#, "true"), ("-", "false")]);
    check(
        r#""starts":["a"],"ends":["z"]"#,
        &[
            (r#"["ab","yz"]"#, "false"),
            (r#"["ab","az"]"#, "true"),
            (r#"[1,"az"]"#, "true"),
            (r#"[1,"ab"]"#, "unknown"),
        ],
    );
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

#[test]
fn semver_compares_what_is_a_version() {
    check(
        r#""semver":">=2.4.0 <3.0.0-0""#,
        &[
            (r#""2.4.0""#, "true"),
            (r#""v2.4""#, "true"),
            (r#""2.999999999999999.0+b""#, "true"),
            (r#""2.4.0-rc.1""#, "false"),
            (r#""3.0.0-alpha""#, "false"),
            (r#""2.4.0.1""#, "unknown"),
            (r#""02.4.0""#, "unknown"),
            (r#""""#, "unknown"),
            ("2", "unknown"),
            ("2.4", "unknown"),
            ("-", "unknown"),
            (r#"["1","2.5"]"#, "true"),
            (r#"["1","x"]"#, "unknown"),
        ],
    );
    check(r#""semver":">=2.4.0","as":"string""#, &[("3", "true"), ("2", "false"), ("2.4", "unknown")]);
    unreadable(&[
        r#""semver":"2.4.0""#,
        r#""semver":">=2.4""#,
        r#""semver":"^2.4.0""#,
        r#""semver":"""#,
        r#""semver":[">=2.4.0"]"#,
        r#""semver":">=1.0.0 >=1.0.1 >=1.0.2 >=1.0.3 >=1.0.4""#,
    ]);
}

#[test]
fn since_and_before_read_timestamps_and_epoch_milliseconds() {
    // `date -u -d 2026-12-02T12:00:00Z +%s`: 1796212800
    check(
        r#""since":"2026-12-02T12:00:00Z""#,
        &[
            (r#""2026-12-02T12:00:00Z""#, "true"),
            (r#""2026-12-02T11:59:59.999Z""#, "false"),
            (r#""2026-12-02T12:00:00.0009Z""#, "true"),
            (r#""2026-12-02T13:00:00+01:00""#, "true"),
            (r#""2026-12-02T12:59:59+01:00""#, "false"),
            (r#""2026-12-02T12:00:00-00:30""#, "true"),
            ("1796212800000", "true"),
            ("1796212799999", "false"),
            ("1796212800000.5", "unknown"),
            ("9007199254740991", "true"),
            ("9007199254740992", "unknown"),
            ("-9007199254740991", "false"),
            (r#""1796212800000""#, "unknown"),
            (r#""2026-12-02T12:00:00""#, "unknown"),
            (r#""2026-12-02t12:00:00z""#, "unknown"),
            (r#""2026-12-02T12:00:60Z""#, "unknown"),
            (r#""2026-12-02 12:00:00Z""#, "unknown"),
            (r#""2026-02-29T12:00:00Z""#, "unknown"),
            ("true", "unknown"),
            ("-", "unknown"),
            (r#"[0,"2026-12-02T12:00:00Z"]"#, "true"),
        ],
    );
    check(
        r#""before":"2026-12-02T12:00:00Z""#,
        &[
            (r#""2026-12-02T12:00:00Z""#, "false"),
            (r#""2026-12-02T11:59:59.999Z""#, "true"),
            (r#""0000-01-01T00:00:00Z""#, "true"),
            ("1796212800000", "false"),
            ("1796212799999", "true"),
            ("-1", "true"),
            ("-", "unknown"),
        ],
    );
    check(
        r#""since":"2026-12-01T00:00:00Z","before":"2026-12-02T00:00:00Z""#,
        &[
            (r#""2026-12-01T23:59:59Z""#, "true"),
            (r#""2026-12-02T00:00:00Z""#, "false"),
            (r#"["2026-11-01T00:00:00Z","2026-12-03T00:00:00Z"]"#, "false"),
        ],
    );
    check(
        r#""since":"2026-12-02T12:00:00Z","as":"number""#,
        &[(r#""1796212800000""#, "true"), (r#""2026-12-02T12:00:00Z""#, "unknown")],
    );
    unreadable(&[
        r#""since":"2026-12-02""#,
        r#""since":"2026-12-02T12:00:00+00:00""#,
        r#""since":1796212800000"#,
        r#""before":"2026-12-02T12:00:00.000Z0""#,
        r#""before":null"#,
        r#""before":"1969-12-31T23:59:59Z""#,
    ]);
}

#[test]
fn cidr_is_inside_a_network_of_the_same_family() {
    check(
        r#""cidr":["10.1.0.0/16","2001:db8::/32","192.0.2.7/32"]"#,
        &[
            (r#""10.1.255.255""#, "true"),
            (r#""10.2.0.0""#, "false"),
            (r#""192.0.2.7""#, "true"),
            (r#""192.0.2.8""#, "false"),
            (r#""::ffff:10.1.0.1""#, "true"),
            (r#""::ffff:a01:1""#, "true"),
            (r#""2001:DB8::1""#, "true"),
            (r#""2001:db9::1""#, "false"),
            (r#""::10.1.0.1""#, "false"),
            (r#""10.1.0.01""#, "unknown"),
            (r#""10.1.0""#, "unknown"),
            (r#""fe80::1%eth0""#, "unknown"),
            (r#""10.1.0.1/32""#, "unknown"),
            (r#"" 10.1.0.1""#, "unknown"),
            ("167837697", "unknown"),
            ("-", "unknown"),
            (r#"["x","10.1.0.1"]"#, "true"),
            (r#"["x","10.2.0.1"]"#, "unknown"),
        ],
    );
    check(r#""cidr":["0.0.0.0/0"]"#, &[(r#""255.1.2.3""#, "true"), (r#""::1""#, "false")]);
    check(r#""cidr":["::/0"]"#, &[(r#""::1""#, "true"), (r#""10.0.0.1""#, "false")]);
    check(r#""cidr":["::ffff:10.1.0.0/112"]"#, &[(r#""10.1.2.3""#, "true"), (r#""10.2.2.3""#, "false")]);
    check(r#""cidr":[]"#, &[(r#""10.0.0.1""#, "false"), (r#""x""#, "unknown"), ("-", "unknown")]);
    unreadable(&[
        r#""cidr":"10.0.0.0/8""#,
        r#""cidr":["10.0.0.0"]"#,
        r#""cidr":["10.0.0.1/8"]"#,
        r#""cidr":["10.0.0.0/33"]"#,
        r#""cidr":["10.0.0.0/08"]"#,
        r#""cidr":["10.0.0.0/8",7]"#,
    ]);
}

#[test]
fn hashed_compares_digests_of_the_text_or_of_its_ends() {
    // FORMAT M-9.3: SHA-256("@acme.com" ‖ "k3f9").
    let acme = r#""hashed":{"salt":"k3f9","ends":[[9,"b0243bd6035574cb7e1f7cccf6e9065d"]]}"#;
    check(
        acme,
        &[
            (r#""x@acme.com""#, "true"),
            (r#""@acme.com""#, "true"),
            (r#""acme.com""#, "false"),
            (r#""x@Acme.com""#, "false"),
            (r#""@acme.com.""#, "false"),
            (r#""""#, "false"),
            ("1", "unknown"),
            ("-", "unknown"),
            ("{}", "unknown"),
            (r#"["x",1,"y@acme.com"]"#, "true"),
            (r#"["x",1]"#, "unknown"),
        ],
    );
    check(&format!(r#"{acme},"fold":"ascii""#), &[(r#""x@ACME.com""#, "true"), (r#""x@acme.org""#, "false")]);
    // SHA-256 of "DEs", "dés", and "s".
    let (de, des, empty) = ("b7802cf38eb3c532", "a718475183c00804", "043a718774c572bd");
    let both = format!(r#""hashed":{{"salt":"s","in":["{de}","{des}"]}}"#);
    check(
        &both,
        &[
            (r#""DE""#, "true"),
            (r#""dé""#, "true"),
            (r#""D""#, "false"),
            (r#""DEs""#, "false"),
            (r#""""#, "false"),
            ("null", "unknown"),
        ],
    );
    check(&format!(r#""hashed":{{"salt":"s","in":["{empty}"]}}"#), &[(r#""""#, "true"), (r#""s""#, "false")]);
    // The first or last bytes, which may be half a character: SHA-256 of C3 and of A9, then "s".
    check(
        r#""hashed":{"salt":"s","starts":[[1,"961ee1d77a727e3d27896daa31f62ce6084c8568dea1049df6db0a332a416af0"]]}"#,
        &[(r#""é""#, "true"), (r#""e""#, "false"), (r#""""#, "false")],
    );
    check(
        r#""hashed":{"salt":"s","ends":[[1,"a978687eca87"]]}"#,
        &[(r#""né""#, "true"), (r#""e""#, "false"), (r#""""#, "false")],
    );
    // No byte at all is at the start and the end of every text.
    check(
        &format!(r#""hashed":{{"salt":"s","starts":[[0,"{empty}"]]}}"#),
        &[(r#""x""#, "true"), (r#""""#, "true"), ("1", "unknown")],
    );
    check(
        &format!(
            r#""hashed":{{"salt":"s","starts":[[2,"{de}"],[3,"{des}"],[9007199254740991,"{de}"]],"ends":[[2,"{empty}"]]}}"#
        ),
        &[(r#""DEF""#, "true"), (r#""dét""#, "true"), (r#""D""#, "false"), (r#""xDE""#, "false")],
    );
    // An odd number of digits compares half a byte; more of them tell digests apart that begin alike.
    check(r#""hashed":{"salt":"s","in":["b7802cf38eb3c"]}"#, &[(r#""DE""#, "true")]);
    check(r#""hashed":{"salt":"s","in":["b7802cf38eb3d"]}"#, &[(r#""DE""#, "false")]);
    check(
        r#""hashed":{"salt":"s","in":["b7802cf38eb3c532b595153123cb26d95f70b7b68c3dbcd272513894d14e64f7"]}"#,
        &[(r#""DE""#, "true")],
    );
    check(
        r#""hashed":{"salt":"s","in":["b7802cf38eb3c532b595153123cb26d95f70b7b68c3dbcd272513894d14e64f6"]}"#,
        &[(r#""DE""#, "false")],
    );
    check(r#""hashed":{"salt":"s"}"#, &[(r#""DE""#, "false"), ("-", "unknown")]);
    check(r#""hashed":{"salt":"","in":[]}"#, &[(r#""DE""#, "false")]);
    unreadable(&[
        r#""hashed":{"in":["b7802cf38eb3"]}"#,
        r#""hashed":{"salt":"s","in":["b7802cf38eb"]}"#,
        r#""hashed":{"salt":"s","in":["b7802cf38eb3c532b595153123cb26d95f70b7b68c3dbcd272513894d14e64f70"]}"#,
        r#""hashed":{"salt":"s","in":["B7802CF38EB3"]}"#,
        r#""hashed":{"salt":"s","in":["b7802cf38eb3","043a718774c57"]}"#,
        r#""hashed":{"salt":"s","in":["b7802cf38eb3"],"ends":[[1,"043a718774c57"]]}"#,
        r#""hashed":{"salt":"s","in":["b7802cf38ebg"]}"#,
        r#""hashed":{"salt":"s","in":[7]}"#,
        r#""hashed":{"salt":"s","starts":["b7802cf38eb3"]}"#,
        r#""hashed":{"salt":"s","starts":[[-1,"b7802cf38eb3"]]}"#,
        r#""hashed":{"salt":"s","ends":[[1.5,"b7802cf38eb3"]]}"#,
        r#""hashed":{"salt":"s","ends":[[1,"b7802cf38eb3",1]]}"#,
        r#""hashed":{"salt":"s","contains":[]}"#,
        r#""hashed":{"salt":1}"#,
        r#""hashed":["b7802cf38eb3"]"#,
    ]);
}

#[test]
fn what_is_hashed_may_be_folded_on_the_way() {
    // SHA-256 of `a` 63, 64, 65, and 130 times, then "salt": around the block that is folded at once.
    for (count, digest) in [
        (63, "6d288502fc06d162ed37be7ac70152dba2d8fcaf9f2ebc9c10ae4aff9f1ec2bf"),
        (64, "76cdb4fdce5c95d7cdecb463c8152d0e992862441170bf41d4fc1efe7f007cd2"),
        (65, "6c95a4f8e5595704f3e3fbb8a78d660cdb7540a4e1bd909405185019b41a1221"),
        (130, "b2f981bca45da9a1aca642fe21e8956ab5807df119c4b78b6039d3c4129bb0a9"),
    ] {
        let (upper, mixed) =
            (format!("\"{}\"", "A".repeat(count)), format!("\"{}a\"", "A".repeat(count - 1)));
        let plain = format!(r#""hashed":{{"salt":"salt","in":["{digest}"]}}"#);
        check(&plain, &[(&upper, "false"), (&format!("\"{}\"", "a".repeat(count)), "true")]);
        check(
            &format!(r#"{plain},"fold":"ascii""#),
            &[(&upper, "true"), (&mixed, "true"), (r#""a""#, "false")],
        );
    }
}

#[test]
fn fold_takes_a_to_z_of_the_attribute_for_lower_case() {
    check(
        r#""in":["acme","x","straße","é"],"fold":"ascii""#,
        &[
            (r#""ACME""#, "true"),
            (r#""Acme""#, "true"),
            (r#""acm""#, "false"),
            (r#""acmee""#, "false"),
            (r#""STRAßE""#, "true"),
            (r#""STRASSE""#, "false"),
            // Not Unicode: É stays É, and the Kelvin sign is no k.
            (r#""É""#, "false"),
            ("1", "false"),
            ("-", "unknown"),
            (r#"["Y","X"]"#, "true"),
        ],
    );
    check(
        r#""in":["k","@","[","`","{"],"fold":"ascii""#,
        &[
            (r#""\u212a""#, "false"),
            (r#""@""#, "true"),
            (r#""[""#, "true"),
            (r#""`""#, "true"),
            (r#""{""#, "true"),
            (r#""K""#, "true"),
        ],
    );
    // Operands are published folded: one that is not equals nothing.
    check(r#""in":["ACME"],"fold":"ascii""#, &[(r#""ACME""#, "false"), (r#""acme""#, "false")]);
    check(
        r#""in":[1,true],"fold":"ascii""#,
        &[("1", "true"), ("true", "true"), ("2", "false"), (r#""1""#, "false")],
    );
    let many: Vec<_> = (0..20).map(|n| format!("\"k{n}\"")).collect();
    check(
        &format!(r#""in":[{}],"fold":"ascii""#, many.join(",")),
        &[
            (r#""K0""#, "true"),
            (r#""K19""#, "true"),
            (r#""K2""#, "true"),
            (r#""K20""#, "false"),
            (r#""K""#, "false"),
        ],
    );
    check(
        r#""starts":["ab","z"],"fold":"ascii""#,
        &[
            (r#""ABC""#, "true"),
            (r#""Ab""#, "true"),
            (r#""A""#, "false"),
            (r#""xab""#, "false"),
            ("1", "unknown"),
            (r#""""#, "false"),
        ],
    );
    check(
        r#""ends":["yz"],"fold":"ascii""#,
        &[
            (r#""XYZ""#, "true"),
            (r#""yZ""#, "true"),
            (r#""Z""#, "false"),
            (r#""yzx""#, "false"),
            ("-", "unknown"),
        ],
    );
    check(
        r#""contains":["mi","q"],"fold":"ascii""#,
        &[
            (r#""xMIx""#, "true"),
            (r#""MI""#, "true"),
            (r#""M""#, "false"),
            (r#""mxi""#, "false"),
            ("[]", "false"),
            ("true", "unknown"),
        ],
    );
    check(r#""contains":[""],"fold":"ascii""#, &[(r#""""#, "true"), (r#""x""#, "true")]);
    check(r#""contains":[],"fold":"ascii""#, &[(r#""x""#, "false")]);
    check(r#""starts":[""],"ends":[""],"fold":"ascii""#, &[(r#""""#, "true")]);
    check(
        r#""has_all":["a","b"],"fold":"ascii""#,
        &[(r#"["B","A"]"#, "true"), (r#"["B"]"#, "false"), (r#"["B","AA"]"#, "false"), (r#""A""#, "false")],
    );
    check(r#""has_all":["a"],"fold":"ascii""#, &[(r#""A""#, "true"), (r#"["B",1]"#, "false")]);
}

#[test]
fn fold_stands_beside_tests_that_fold_and_nothing_else() {
    unreadable(&[
        r#""fold":"ascii""#,
        r#""fold":"unicode-15","in":["x"]"#,
        r#""fold":"ASCII","in":["x"]"#,
        r#""fold":true,"in":["x"]"#,
        r#""fold":"ascii","in":["x"],"matches":"x""#,
        r#""fold":"ascii","lt":1"#,
        r#""in":["x"],"gte":1,"fold":"ascii""#,
        r#""semver":">=1.0.0","fold":"ascii""#,
        r#""cidr":[],"fold":"ascii""#,
        r#""since":"2026-12-02T12:00:00Z","fold":"ascii""#,
        r#""before":"2026-12-02T12:00:00Z","fold":"ascii""#,
        r#""listed":"l","fold":"ascii""#,
    ]);
    for condition in [
        r#"{"attr":"a","exists":true,"fold":"ascii"}"#,
        r#"{"attr":"a","exists":true,"in":["x"],"fold":"ascii"}"#,
    ] {
        assert_eq!(truth(condition, r#"{"a":"x"}"#), "unsupported");
    }
}

#[test]
fn as_number_reads_texts_that_are_json_numbers() {
    check(
        r#""gte":18,"lt":65,"as":"number""#,
        &[
            (r#""18""#, "true"),
            (r#""1.8e1""#, "true"),
            (r#""64.999""#, "true"),
            (r#""65""#, "false"),
            (r#""-20""#, "false"),
            ("18", "true"),
            ("17", "false"),
            (r#""018""#, "unknown"),
            (r#"" 18""#, "unknown"),
            (r#""+18""#, "unknown"),
            (r#""""#, "unknown"),
            (r#""NaN""#, "unknown"),
            (r#""1e999""#, "unknown"),
            (r#""9007199254740992""#, "unknown"),
            (r#""-9007199254740991""#, "false"),
            ("9007199254740992", "unknown"),
            ("true", "unknown"),
            ("-", "unknown"),
            ("{}", "unknown"),
            (r#"["x","20"]"#, "true"),
            (r#"["x","70"]"#, "unknown"),
            (r#"["17","70"]"#, "false"),
        ],
    );
    check(
        r#""in":[1,"x",true],"as":"number""#,
        &[(r#""1.0""#, "true"), (r#""2""#, "false"), (r#""x""#, "unknown"), ("true", "unknown")],
    );
    check(
        r#""has_all":[1,2],"as":"number""#,
        &[
            (r#"["1",2]"#, "true"),
            (r#"["1","x",null]"#, "false"),
            (r#""1""#, "false"),
            (r#""x""#, "unknown"),
            ("true", "unknown"),
        ],
    );
    check(r#""starts":["1"],"as":"number""#, &[(r#""1""#, "unknown"), ("1", "unknown")]);
    // `exists` sees what is there.
    check(r#""exists":true,"as":"number""#, &[(r#""x""#, "true"), ("-", "false"), ("[]", "true")]);
    check(r#""exists":false,"lt":1,"as":"number""#, &[(r#""x""#, "false"), ("-", "unknown")]);
    check(r#""lt":1,"as":"number","absent":true"#, &[(r#""x""#, "true"), (r#""1""#, "false")]);
}

#[test]
fn as_string_spells_integers_and_truths() {
    check(
        r#""in":["42","-7","true","0"],"as":"string""#,
        &[
            ("42", "true"),
            ("42.0", "true"),
            ("-7", "true"),
            ("-0.0", "true"),
            ("true", "true"),
            ("false", "false"),
            (r#""42""#, "true"),
            (r#""x""#, "false"),
            ("43", "false"),
            ("4.2", "unknown"),
            ("9007199254740992", "unknown"),
            ("null", "unknown"),
            ("{}", "unknown"),
            ("-", "unknown"),
            ("[42]", "true"),
            ("[4.2,1]", "unknown"),
        ],
    );
    check(
        r#""starts":["90071992547409"],"as":"string""#,
        &[("9007199254740991", "true"), ("-9007199254740991", "false")],
    );
    check(r#""matches":"^f","as":"string""#, &[("false", "true"), ("true", "false")]);
    check(r#""in":[42],"as":"string""#, &[("42", "false")]);
    check(r#""lt":50,"as":"string""#, &[("42", "unknown")]);
    check(
        r#""in":["true"],"as":"string","fold":"ascii""#,
        &[("true", "true"), (r#""TRUE""#, "true"), ("1", "false")],
    );
    unreadable(&[
        r#""as":"int","in":[1]"#,
        r#""as":"Number","in":[1]"#,
        r#""as":null,"in":[1]"#,
        r#""as":"bool","in":[true]"#,
    ]);
    // A modifier is no test.
    assert_eq!(truth(r#"{"attr":"a","as":"number"}"#, r#"{"a":1}"#), "unsupported");
}

#[test]
fn tests_that_no_level_has_are_unsupported_whatever_else_the_leaf_says() {
    unreadable(&[
        r#""geo_within":["x"]"#,
        r#""in":["x"],"percent":50"#,
        r#""not_in":["x"]"#,
        r#""between":[1,2]"#,
    ]);
}
