//! `verify`: bundle files and streams.

use crate::support::*;

const PIN: &str = "1:04862e2461b74b1612c58325e4dba3edca6c1330dcef495a72cc6ed5bfbd2565";

fn verify(path: &std::path::Path, more: &[&str]) -> Ran {
    run(&[&["--json", "verify", path.to_str().unwrap()], more].concat())
}

#[test]
fn a_bundle_that_verifies_is_described() {
    let ran = verify(&example("stream.bundle"), &["--root", PIN]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let told = ran.json();
    assert_eq!(at(&told, &["ok"]).as_bool(), Some(true));
    assert_eq!(at(&told, &["pinned"]).as_bool(), Some(true));
    assert_eq!((number(&told, &["version"]), number(&told, &["serial"])), (42, 1310));
    assert_eq!(text(&told, &["root"]), PIN);
    assert_eq!(at(&told, &["status"]).to_string(), "[\"expired\"]");
}

#[test]
fn a_bundle_without_a_pin_is_checked_against_its_own_root_and_says_so() {
    let ran = run(&["verify", example("stream.bundle").to_str().unwrap()]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.starts_with("ok: a bundle of shop/production/server\n"), "{}", ran.out);
    assert!(ran.err.contains("compare the root"), "{}", ran.err);
}

#[test]
fn another_pin_or_another_stream_is_refused() {
    let ran = verify(&example("stream.bundle"), &["--root", &PIN.replace("0486", "0487")]);
    assert_eq!((ran.code, text(&ran.json(), &["code"]).as_str()), (1, "untrusted"));
    let other = format!("flagstone://cdn.example?project=shop&environment=staging&view=server&root={PIN}");
    let ran = verify(&example("stream.bundle"), &["--connection", &other]);
    assert_eq!(ran.code, 1);
    let code = text(&ran.json(), &["code"]);
    assert!(["wrong-stream", "untrusted"].contains(&code.as_str()), "{code}");
}

/// Every byte of a bundle is covered by something: signature, digest, or exact form.
#[test]
fn a_tampered_bundle_is_refused_with_a_stable_code() {
    const CODES: [&str; 8] = [
        "malformed",
        "unsupported",
        "untrusted",
        "wrong-stream",
        "digest-mismatch",
        "content-mismatch",
        "too-large",
        "usage",
    ];
    let original = std::fs::read(example("stream.bundle")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream.bundle");
    let mut random = Random(7);
    for _ in 0..150 {
        let mut changed = original.clone();
        let place = usize::try_from(random.below(changed.len() as u64)).unwrap();
        changed[place] ^= 1 << random.below(8);
        std::fs::write(&path, &changed).unwrap();
        for more in [&["--root", PIN][..], &[]] {
            let ran = verify(&path, more);
            assert_eq!(ran.code, 1, "byte {place}: {}", ran.out);
            let code = text(&ran.json(), &["code"]);
            assert!(CODES.contains(&code.as_str()), "byte {place}: {code}");
        }
    }
    for cut in [0, 1, 100, original.len() - 1] {
        std::fs::write(&path, &original[..cut]).unwrap();
        assert_eq!(verify(&path, &[]).code, 1, "cut at {cut}");
    }
}

#[test]
fn a_stream_that_does_not_answer_is_unreachable() {
    let connection =
        format!("flagstone+http://127.0.0.1:1?project=shop&environment=production&view=client&root={PIN}");
    let ran = run(&["--json", "verify", &connection]);
    assert_eq!((ran.code, text(&ran.json(), &["code"]).as_str()), (1, "unreachable"));
}
