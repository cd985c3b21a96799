//! FORMAT T-1.3, attack A3: games with thresholds. What counts is the number of distinct public keys of the role.

use flagstone_bundle::SignatureError;
use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::key::{Signature, SigningKey};
use flagstone_bundle::manifest::{ManifestError, UnverifiedManifest};
use flagstone_bundle::root::Root;

use crate::world::*;

fn file(signatures: &[Signature]) -> Vec<u8> {
    assemble(PayloadType::Manifest, &manifest_body().to_payload(), signatures, None).unwrap()
}

fn by(key: &SigningKey) -> Signature {
    key.sign(PayloadType::Manifest, &manifest_body().to_payload())
}

fn verify(root: &Root, signatures: &[Signature]) -> Result<(), ManifestError> {
    UnverifiedManifest::parse(&file(signatures))?.verify(root, &stream()).map(|_| ())
}

fn missed(valid: usize, needed: usize, unknown: usize) -> Result<(), ManifestError> {
    Err(SignatureError::Threshold { valid, needed, unknown }.into())
}

#[test]
fn two_of_two_keys_are_needed_and_enough() {
    let (a, b, c) = (key("a"), key("b"), key("c"));
    let root = trusted(&root_body(2, &[&a, &b, &c]));
    assert_eq!(verify(&root, &[by(&a), by(&b)]), Ok(()));
    assert_eq!(verify(&root, &[by(&c), by(&b)]), Ok(()));
    assert_eq!(verify(&root, &[by(&a)]), missed(1, 2, 0));
    assert_eq!(verify(&root, &[by(&a)]).unwrap_err().code(), "untrusted");
}

#[test]
fn one_key_does_not_sign_twice_under_another_keyid() {
    let (a, b) = (key("a"), key("b"));
    let root = trusted(&root_body(2, &[&a, &b]));
    // The second line names key b, and holds key a's signature once more.
    assert_eq!(verify(&root, &[by(&a), Signature { keyid: b.id(), ..by(&a) }]), missed(1, 2, 0));
    // Or names a key nobody knows.
    let unknown = Signature { keyid: key("x").id(), ..by(&a) };
    assert_eq!(verify(&root, &[by(&a), unknown]), missed(1, 2, 1));
}

#[test]
fn one_keyid_twice_makes_the_file_malformed() {
    let (a, b) = (key("a"), key("b"));
    let root = trusted(&root_body(2, &[&a, &b]));
    let line = |file: &[u8]| file.split(|byte| *byte == b'\n').nth(1).unwrap().to_vec();
    let once = file(&[by(&a)]);
    let twice = [&once[..], &line(&once), b"\n"].concat();
    assert_eq!(UnverifiedManifest::parse(&twice).unwrap_err().detail(), "signature-order");
    // Different signature bytes under the same keyid make no difference.
    let other = Signature { keyid: a.id(), ..by(&b) };
    let twice = [&once[..], &line(&file(&[other])), b"\n"].concat();
    assert_eq!(UnverifiedManifest::parse(&twice).unwrap_err().detail(), "signature-order");
    drop(root);
}

#[test]
fn unknown_and_failing_signatures_do_no_harm() {
    let good = key("a");
    let root = trusted(&root_body(1, &[&good]));
    let strangers: Vec<SigningKey> = (0..7).map(|n| key(&format!("stranger {n}"))).collect();
    let mut signatures: Vec<_> = strangers.iter().map(by).collect();
    signatures.push(by(&good));
    assert_eq!(verify(&root, &signatures), Ok(()));

    let (a, b) = (key("a"), key("b"));
    let root = trusted(&root_body(1, &[&a, &b]));
    let mut broken = by(&a);
    broken.bytes[0] ^= 1;
    assert_eq!(verify(&root, &[broken, by(&b)]), Ok(()));
}

#[test]
fn eight_unknown_signatures_leave_no_room_for_the_good_one() {
    let good = key("a");
    let root = trusted(&root_body(1, &[&good]));
    let strangers: Vec<SigningKey> = (0..8).map(|n| key(&format!("stranger {n}"))).collect();
    let signatures: Vec<_> = strangers.iter().map(by).collect();
    assert_eq!(verify(&root, &signatures), missed(0, 1, 8));
    let nine: Vec<_> = signatures.iter().copied().chain([by(&good)]).collect();
    let error = assemble(PayloadType::Manifest, b"{}", &nine, None).unwrap_err();
    assert_eq!(error.detail(), "too-many-signatures");
}

#[test]
fn a_key_of_another_role_does_not_count() {
    let a = key("a");
    let mut body = root_body(1, &[&a]);
    body.keys.push(flagstone_bundle::root::RootKey { public: key("b").public(), note: None });
    let root = trusted(&body);
    assert_eq!(verify(&root, &[by(&key("b"))]), missed(0, 1, 1));
    // Nor does the root key, which signs roots only.
    assert_eq!(verify(&root, &[by(&key("root-a"))]), missed(0, 1, 1));
}

#[test]
fn a_good_signature_under_a_wrong_keyid_is_not_tried() {
    let a = key("a");
    let root = trusted(&root_body(1, &[&a]));
    assert_eq!(verify(&root, &[Signature { keyid: key("b").id(), ..by(&a) }]), missed(0, 1, 1));
}

#[test]
fn a_threshold_missed_asks_for_a_newer_root() {
    let root = trusted(&root_body(1, &[&key("a")]));
    assert!(verify(&root, &[by(&key("b"))]).unwrap_err().asks_for_a_newer_root());
}
