//! Tests of an attribute: each result each can have, at its edges (FORMAT M-4.4 to M-4.9).

use super::truth;

/// Of tests beside `"attr":"a"`: what they say of a value of `a`, as JSON; `-` is no attribute.
pub(crate) fn check(tests: &str, table: &[(&str, &str)]) {
    for (value, expected) in table {
        let context = if *value == "-" { "{}".to_owned() } else { format!(r#"{{"a":{value}}}"#) };
        assert_eq!(truth(&format!(r#"{{"attr":"a",{tests}}}"#), &context), *expected, "{tests} of {value}");
    }
}

/// Operands that cannot be read make the leaf unsupported, whatever else there is.
pub(crate) fn unreadable(tests: &[&str]) {
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
fn tests_that_no_level_has_are_unsupported_whatever_else_the_leaf_says() {
    unreadable(&[
        r#""geo_within":["x"]"#,
        r#""in":["x"],"percent":50"#,
        r#""not_in":["x"]"#,
        r#""between":[1,2]"#,
    ]);
}
