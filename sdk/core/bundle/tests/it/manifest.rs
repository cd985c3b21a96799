//! FORMAT T-1.5, attacks A1 and A2: what a payload may say, and for whom.

use flagstone_bundle::framing::PayloadType;
use flagstone_bundle::manifest::{Delta, Manifest, ManifestBody, ManifestError, UnverifiedManifest};
use flagstone_bundle::root::{Delegation, Root, Scope};
use flagstone_model::key::EnvironmentId;

use crate::world::*;

fn root() -> Root {
    trusted(&root_body(1, &[&key("a")]))
}

fn verify_payload(payload: &[u8]) -> Result<Manifest, ManifestError> {
    let file = sign(PayloadType::Manifest, payload, &[&key("a")]);
    UnverifiedManifest::parse(&file)?.verify(&root(), &stream())
}

fn verify(change: impl FnOnce(&mut ManifestBody)) -> Result<Manifest, ManifestError> {
    let mut body = manifest_body();
    change(&mut body);
    verify_payload(&body.to_payload())
}

/// The payload with one text replaced by another.
fn edited(from: &str, to: &str) -> Vec<u8> {
    let mut body = manifest_body();
    body.deltas.push(Delta { since: 38, object: body.snapshot });
    let text = String::from_utf8(body.to_payload()).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn a_written_body_is_read_back() {
    let mut body = manifest_body();
    body.poll_ms = Some(10_000);
    body.deltas = [41, 38].map(|since| Delta { since, object: body.snapshot }).to_vec();
    let manifest = verify_payload(&body.to_payload()).unwrap();
    assert_eq!(*manifest.body(), body);
}

#[test]
fn every_required_member_is_required() {
    for member in [
        "format",
        "project",
        "environment",
        "view",
        "root",
        "epoch",
        "version",
        "serial",
        "issued_ms",
        "expires_ms",
        "heartbeat_ms",
        "builder",
        "content",
        "lines",
        "snapshot",
        "encoding",
        "sha256",
        "size",
        "raw_size",
        "deltas",
        "since",
    ] {
        let error = verify_payload(&edited(&format!("\"{member}\":"), "\"other\":")).unwrap_err();
        // `other` twice in one object would be refused as a duplicate, which this is not.
        assert_eq!((error.code(), error.detail()), ("malformed", "missing-member"), "{member}");
        assert!(error.to_string().contains(member), "{error}");
    }
}

#[test]
fn members_of_another_type_or_range_are_refused() {
    let hex = CONTENT;
    for (from, to) in [
        ("\"root\":1", "\"root\":0"),
        ("\"root\":1", "\"root\":\"1\""),
        ("\"root\":1", "\"root\":-1"),
        ("\"epoch\":1", "\"epoch\":0"),
        ("\"version\":42", "\"version\":0"),
        ("\"version\":42", "\"version\":true"),
        ("\"serial\":1310", "\"serial\":0"),
        ("\"serial\":1310", "\"serial\":null"),
        ("\"issued_ms\":1795253123456", "\"issued_ms\":-1"),
        ("\"builder\":7", "\"builder\":\"7\""),
        ("\"builder\":7", "\"builder\":7,\"poll_ms\":\"10\""),
        ("\"builder\":7", "\"builder\":7,\"poll_ms\":null"),
        ("\"builder\":7", "\"builder\":7,\"log\":[]"),
        ("\"builder\":7", "\"builder\":7,\"log\":{\"seq\":1}"),
        ("\"project\":\"shop\"", "\"project\":\"Shop\""),
        ("\"view\":\"server\"", "\"view\":7"),
        (hex, &hex.to_uppercase()),
        (hex, &hex[1..]),
        ("\"encoding\":\"zstd\"", "\"encoding\":\"brotli\""),
        ("\"snapshot\":{", "\"snapshot\":[],\"x\":{"),
        ("\"deltas\":[", "\"deltas\":{},\"x\":["),
        ("\"deltas\":[", "\"deltas\":[7,"),
    ] {
        let error = verify_payload(&edited(from, to)).unwrap_err();
        let detail = error.detail();
        assert!(detail == "member-shape" || detail == "missing-member", "{from} → {to}: {error}");
        assert_eq!(error.code(), "malformed", "{from} → {to}");
    }
}

#[test]
fn numbers_that_are_no_integers_are_refused_at_any_depth() {
    let put = |text: &str| edited("\"builder\":7", &format!("\"builder\":7,\"x\":{text}"));
    for text in ["1.0", "1e3", "1E3", "-0", "0.5", "9007199254740992", "-9007199254740992", "[[{\"y\":1.5}]]"]
    {
        assert_eq!(verify_payload(&put(text)).unwrap_err().detail(), "number", "{text}");
    }
    for text in ["9007199254740991", "-9007199254740991", "[[{\"y\":15}]]", "\"1.5\"", "null", "{}"] {
        assert!(verify_payload(&put(text)).is_ok(), "{text}");
    }
    let greatest = edited("\"builder\":7", "\"builder\":9007199254740991");
    assert_eq!(verify_payload(&greatest).unwrap().builder(), 9_007_199_254_740_991);
    assert!(verify_payload(&edited("\"builder\":7", "\"builder\":9007199254740992")).is_err());
}

#[test]
fn a_member_that_stands_twice_is_refused_at_any_depth() {
    for (from, to) in [
        ("\"builder\":7", "\"builder\":7,\"builder\":7"),
        ("\"builder\":7", "\"builder\":7,\"build\\u0065r\":7"),
        ("\"builder\":7", "\"builder\":7,\"x\":[{\"y\":1,\"y\":1}]"),
        ("\"size\":288", "\"size\":288,\"size\":288"),
    ] {
        assert_eq!(verify_payload(&edited(from, to)).unwrap_err().detail(), "duplicate-member", "{to}");
    }
}

#[test]
fn payloads_that_are_no_object_are_refused() {
    for payload in ["[]", "7", "\"a\"", "null", "{", "{}x", "{\"a\":NaN}", "{\"format\":\"\\ud800\"}"] {
        assert_eq!(verify_payload(payload.as_bytes()).unwrap_err().code(), "malformed", "{payload}");
    }
    let deep = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert_eq!(verify_payload(deep(32).as_bytes()).unwrap_err().detail(), "missing-member");
    assert_eq!(verify_payload(deep(33).as_bytes()).unwrap_err().detail(), "too-deep");
    assert_eq!(verify_payload(deep(1_900).as_bytes()).unwrap_err().detail(), "too-deep");
}

#[test]
fn unknown_members_are_ignored() {
    let payload =
        edited("\"builder\":7", "\"builder\":7,\"candidate\":{\"share\":10},\"urls\":[\"https://x\"]");
    assert_eq!(verify_payload(&payload).unwrap().version(), 42);
}

#[test]
fn another_format_is_unsupported() {
    let error = verify_payload(&edited("manifest/1", "manifest/2")).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("unsupported", "format"));
    assert_eq!(verify_payload(b"{\"format\":\"flagstone/manifest/2\"}").unwrap_err().code(), "unsupported");
}

#[test]
fn a_lifetime_ends_at_30_days() {
    let days_30 = 30 * 24 * 3_600_000;
    assert!(verify(|body| body.expires_ms = body.issued_ms + days_30).is_ok());
    let error = verify(|body| body.expires_ms = body.issued_ms + days_30 + 1).unwrap_err();
    assert_eq!(error.code(), "malformed");
    assert!(error.to_string().contains("expires_ms"));
}

#[test]
fn at_most_two_deltas_stand_in_descending_order() {
    let deltas = |since: &'static [u64]| {
        move |body: &mut ManifestBody| {
            body.deltas = since.iter().map(|since| Delta { since: *since, object: body.snapshot }).collect();
        }
    };
    assert!(verify(deltas(&[])).is_ok());
    assert!(verify(deltas(&[41, 38])).is_ok());
    assert!(verify(deltas(&[38, 41])).is_err());
    assert!(verify(deltas(&[38, 38])).is_err());
    assert!(verify(deltas(&[41, 40, 39])).is_err());
}

#[test]
fn a_manifest_of_another_stream_is_refused_by_name() {
    for other in [
        stream_of("shop", "staging", "server"),
        stream_of("shop", "production", "client"),
        stream_of("store", "production", "server"),
    ] {
        let error = verify(|body| body.stream = other.clone()).unwrap_err();
        assert_eq!((error.code(), error.detail()), ("wrong-stream", "wrong-stream"), "{other}");
    }
}

#[test]
fn the_role_is_that_of_the_environment_asked_for() {
    // Key b may sign for staging only; a manifest that says it is staging's does not become production's.
    let (a, b) = (key("a"), key("b"));
    let mut body = root_body(1, &[&a]);
    body.keys.push(flagstone_bundle::root::RootKey { public: b.public(), note: None });
    let staging = Scope::Environment(EnvironmentId::parse("staging").unwrap());
    body.environments.insert(staging, Delegation { epoch: 1, role: role(1, &[&b]) });
    let root = trusted(&body);

    let mut manifest = manifest_body();
    manifest.stream = stream_of("shop", "staging", "server");
    let file = sign(PayloadType::Manifest, &manifest.to_payload(), &[&b]);
    let verify = |stream| UnverifiedManifest::parse(&file).unwrap().verify(&root, &stream);
    assert!(verify(stream_of("shop", "staging", "server")).is_ok());
    assert_eq!(verify(stream_of("shop", "production", "server")).unwrap_err().code(), "untrusted");
}

#[test]
fn a_root_of_another_project_verifies_nothing() {
    let mut body = root_body(1, &[&key("a")]);
    body.project = flagstone_model::key::ProjectId::parse("store").unwrap();
    let file = sign(PayloadType::Manifest, &manifest_body().to_payload(), &[&key("a")]);
    let error = UnverifiedManifest::parse(&file).unwrap().verify(&trusted(&body), &stream()).unwrap_err();
    assert_eq!(error.code(), "wrong-stream");
}

#[test]
fn a_newer_root_or_epoch_asks_for_a_walk_and_an_older_epoch_is_older() {
    let error = verify(|body| body.root = 2).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("untrusted", "root-ahead"));
    assert!(error.asks_for_a_newer_root());
    let error = verify(|body| body.epoch = 2).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("untrusted", "epoch-ahead"));
    assert!(error.asks_for_a_newer_root());

    let mut root = root_body(1, &[&key("a")]);
    root.environments.values_mut().for_each(|delegation| delegation.epoch = 5);
    let file = sign(PayloadType::Manifest, &manifest_body().to_payload(), &[&key("a")]);
    let error = UnverifiedManifest::parse(&file).unwrap().verify(&trusted(&root), &stream()).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("older", "epoch-behind"));
    assert!(!error.asks_for_a_newer_root());
}

#[test]
fn a_manifest_signed_under_an_older_root_is_taken_by_a_newer_one() {
    let mut root = root_body(1, &[&key("a")]);
    root.root = 7;
    let file = sign(PayloadType::Manifest, &manifest_body().to_payload(), &[&key("a")]);
    assert!(UnverifiedManifest::parse(&file).unwrap().verify(&trusted(&root), &stream()).is_ok());
}

#[test]
fn a_signature_for_a_root_is_none_for_a_manifest() {
    // The bytes of a root, signed as a root by a key that may sign both, offered as a manifest; and the reverse.
    let a = key("a");
    let payload = manifest_body().to_payload();
    let borrowed = a.sign(PayloadType::Root, &payload);
    let file =
        flagstone_bundle::framing::assemble(PayloadType::Manifest, &payload, &[borrowed], None).unwrap();
    let error = UnverifiedManifest::parse(&file).unwrap().verify(&root(), &stream()).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("untrusted", "threshold"));
    let error = UnverifiedManifest::parse(ROOT).unwrap().verify(&example_root(), &stream()).unwrap_err();
    assert_eq!(error.code(), "untrusted");
}

#[test]
fn a_forged_manifest_says_nothing_before_its_signature_fails() {
    // Wrong key and wrong everything else: the signature is what is reported, so nothing unverified was read.
    let file = sign(PayloadType::Manifest, b"{\"format\":\"x\",\"format\":1.5", &[&key("thief")]);
    let error = UnverifiedManifest::parse(&file).unwrap().verify(&root(), &stream()).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("untrusted", "threshold"));
}
