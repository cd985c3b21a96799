//! FORMAT T-1.4, attack A4: weak keys and signatures at the edge, from a second implementation (testdata/ed25519).

use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::key::{KeyError, KeyId, PublicKey};
use flagstone_bundle::root::{RootError, RootKey, UnverifiedRoot};
use flagstone_model::json::Json;

use crate::world::{key, pin_of, root_body};

const CASES: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../testdata/ed25519/cases.json"));

struct Case {
    name: String,
    key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
    key_expected: String,
    signature_expected: String,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn cases() -> Vec<Case> {
    let json = Json::parse(CASES).unwrap();
    let text = |case: &Json<'_>, name: &str| case.member(name).unwrap().as_str().unwrap().to_owned();
    let read = |case: &Json<'_>| Case {
        name: text(case, "name"),
        key: unhex(&text(case, "key")).try_into().unwrap(),
        message: unhex(&text(case, "message")),
        signature: unhex(&text(case, "signature")).try_into().unwrap(),
        key_expected: text(case.member("expect").unwrap(), "key"),
        signature_expected: text(case.member("expect").unwrap(), "signature"),
    };
    json.as_array().unwrap().iter().map(read).collect()
}

#[test]
fn keys_and_signatures_at_the_edge_are_judged_as_the_vectors_say() {
    let (mut keys, mut signatures, mut free) = (0, 0, 0);
    for case in cases() {
        let key = PublicKey::from_bytes(&case.key);
        match case.key_expected.as_str() {
            "accepted" => assert!(key.is_ok(), "{}", case.name),
            "refused" => assert!(key.is_err(), "{}", case.name),
            other => assert_eq!(other, "any", "{}", case.name),
        }
        keys += 1;
        let valid = key.is_ok_and(|key| key.verifies(&case.message, &case.signature));
        match case.signature_expected.as_str() {
            "valid" => assert!(valid, "{}", case.name),
            "invalid" => assert!(!valid, "{}", case.name),
            other => {
                assert_eq!(other, "any", "{}", case.name);
                free += 1;
                continue;
            }
        }
        signatures += 1;
    }
    assert_eq!(keys, cases().len());
    assert_eq!(signatures + free, keys);
    assert!(free < 20 && signatures > 40, "{signatures} {free}");
    println!("vectors ran: ed25519/cases.json");
}

#[test]
fn a_signature_whose_r_has_small_order_is_refused_here() {
    let small: Vec<_> =
        cases().into_iter().filter(|case| case.name.starts_with("R of small order")).collect();
    assert_eq!(small.len(), 12);
    for case in small {
        let key = PublicKey::from_bytes(&case.key).unwrap();
        assert!(!key.verifies(&case.message, &case.signature), "{}", case.name);
    }
}

#[test]
fn a_root_that_lists_a_weak_key_is_refused_when_it_loads() {
    let weak: Vec<_> = cases().into_iter().filter(|case| case.key_expected == "refused").collect();
    let of_small_order = weak.iter().filter(|case| case.name.starts_with("a key of small order")).count();
    assert_eq!(of_small_order, 14);
    for case in weak {
        let a = key("a");
        let mut body = root_body(1, &[&a]);
        body.keys.push(RootKey { public: case.key, note: None });
        let payload = body.to_payload();
        let signature = key("root-a").sign(PayloadType::Root, &payload);
        let file = assemble(PayloadType::Root, &payload, &[signature], None).unwrap();
        let error = UnverifiedRoot::parse(&file).unwrap().verify_pinned(&pin_of(1, &payload)).unwrap_err();
        assert!(
            matches!(error, RootError::WeakKey { keyid, .. } if keyid == KeyId::of(&case.key)),
            "{}",
            case.name
        );
        assert_eq!(error.code(), "malformed", "{}", case.name);
    }
}

#[test]
fn each_kind_of_bad_key_is_told_apart() {
    let kind = |prefix: &str| {
        let all = cases();
        let case = all.iter().find(|case| case.name.starts_with(prefix)).unwrap();
        PublicKey::from_bytes(&case.key).unwrap_err()
    };
    assert_eq!(kind("a key of small order"), KeyError::SmallOrder);
    assert_eq!(kind("no point"), KeyError::NotAPoint);
    let not_canonical = cases().into_iter().filter(|case| case.name.ends_with(": not canonical"));
    let errors: Vec<_> = not_canonical.map(|case| PublicKey::from_bytes(&case.key).unwrap_err()).collect();
    assert!(!errors.is_empty());
    assert!(errors.iter().all(|error| *error == KeyError::NonCanonical), "{errors:?}");
}
