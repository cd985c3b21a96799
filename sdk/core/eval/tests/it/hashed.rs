//! Hashed operands (FORMAT M-4.5, M-9.3).
//!
//! Digests were made by `printf '%s' TEXT | sha256sum`.

use super::attribute::{check, unreadable};

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
