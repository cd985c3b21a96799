//! What `fold` and `as` make of an attribute (FORMAT M-4.8, M-4.9).

use super::attribute::{check, unreadable};
use super::truth;

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
