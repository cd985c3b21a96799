//! FORMAT T-2.1, T-2.2, T-2.4: the pinned root.

use std::collections::BTreeMap;

use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::manifest::UnverifiedManifest;
use flagstone_bundle::root::{
    Delegation, Pin, Role, Root, RootBody, RootError, RootKey, Scope, UnverifiedRoot,
};
use flagstone_model::digest::Digest;
use flagstone_model::key::EnvironmentId;

use crate::world::*;

fn load_payload(payload: &[u8]) -> Result<Root, RootError> {
    let file = sign(PayloadType::Root, payload, &[&key("root-a")]);
    UnverifiedRoot::parse(&file)?.verify_pinned(&pin_of(1, payload))
}

fn load(change: impl FnOnce(&mut RootBody)) -> Result<Root, RootError> {
    let mut body = root_body(1, &[&key("a"), &key("b")]);
    change(&mut body);
    load_payload(&body.to_payload())
}

fn edited(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(root_body(1, &[&key("a"), &key("b")]).to_payload()).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    text.replacen(from, to, 1).into_bytes()
}

fn production(body: &mut RootBody) -> &mut Delegation {
    body.environments.values_mut().next().unwrap()
}

#[test]
fn a_written_root_is_read_back() {
    let root = load(|body| body.keys[0].note = Some("a \"note\"".to_owned())).unwrap();
    assert_eq!(root.body().to_payload(), root.file().split(|b| *b == b'\n').next().unwrap());
    assert_eq!(root.body().keys.len(), 3);
}

#[test]
fn only_the_pinned_payload_is_taken() {
    let other = Pin { sha256: Digest::of(b"other"), ..pin() };
    let error = UnverifiedRoot::parse(ROOT).unwrap().verify_pinned(&other).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("untrusted", "not-pinned"));
    let error = UnverifiedRoot::parse(ROOT).unwrap().verify_pinned(&Pin { root: 2, ..pin() }).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("untrusted", "root-number"));
}

#[test]
fn the_pinned_root_must_meet_its_own_threshold() {
    let payload = example_root().body().to_payload();
    let (a, b, c) = (key("root-a"), key("root-b"), key("root-c"));
    let manifest_key = key("manifest-production");
    let load = |keys: &[&flagstone_bundle::key::SigningKey]| {
        let file = sign(PayloadType::Root, &payload, keys);
        UnverifiedRoot::parse(&file).unwrap().verify_pinned(&pin()).map_err(|error| error.detail())
    };
    assert!(load(&[&a, &b]).is_ok() && load(&[&b, &c]).is_ok() && load(&[&a, &b, &c]).is_ok());
    assert_eq!(load(&[&a]).unwrap_err(), "threshold");
    assert_eq!(load(&[&a, &manifest_key]).unwrap_err(), "threshold");
    let as_manifest = [a.sign(PayloadType::Manifest, &payload), b.sign(PayloadType::Manifest, &payload)];
    let file = assemble(PayloadType::Root, &payload, &as_manifest, None).unwrap();
    let error = UnverifiedRoot::parse(&file).unwrap().verify_pinned(&pin()).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("untrusted", "threshold"));
}

#[test]
fn pins_are_a_number_and_a_digest() {
    assert_eq!(Pin::parse(PIN).unwrap().to_string(), PIN);
    let hex = &PIN[2..];
    for text in
        ["", ":", hex, &format!("0:{hex}"), &format!("01:{hex}"), &format!("+1:{hex}"), &format!("1:{hex}0")]
    {
        assert_eq!(Pin::parse(text), None, "{text}");
    }
    assert!(Pin::parse(&format!("9007199254740991:{hex}")).is_some());
    assert!(Pin::parse(&format!("9007199254740992:{hex}")).is_none());
    assert!(format!("1:{}", hex.to_uppercase()).parse::<Pin>().is_err());
}

#[test]
fn thresholds_lie_between_one_and_the_number_of_keys() {
    assert!(load(|body| production(body).role.threshold = 2).is_ok());
    for threshold in [0, 3, 1 << 53] {
        assert!(load(|body| production(body).role.threshold = threshold).is_err(), "{threshold}");
        assert!(load(|body| body.root_role.threshold = threshold).is_err(), "{threshold}");
    }
    assert!(load(|body| body.root_role = Role { threshold: 1, keyids: Vec::new() }).is_err());
}

#[test]
fn a_role_lists_known_keys_once() {
    let a = key("a").id();
    let stranger = key("x").id();
    for keyids in [vec![a, a], vec![stranger], vec![a, stranger]] {
        let error = load(|body| production(body).role.keyids = keyids).unwrap_err();
        assert_eq!((error.code(), error.detail()), ("malformed", "member-shape"));
    }
}

#[test]
fn an_environment_without_keys_is_revoked_and_its_threshold_not_read() {
    let revoked = |threshold: &str| {
        let (open, rest) = ("\"production\":{\"epoch\":1,\"threshold\":1,\"keyids\":[", "]}}}");
        let text = String::from_utf8(edited(open, open)).unwrap();
        let (before, _) = text.split_once(open).unwrap();
        format!("{before}\"production\":{{\"epoch\":1{threshold},\"keyids\":[{rest}").into_bytes()
    };
    for threshold in ["", ",\"threshold\":0", ",\"threshold\":9", ",\"threshold\":\"x\""] {
        let root = load_payload(&revoked(threshold)).unwrap();
        let error = UnverifiedManifest::parse(MANIFEST).unwrap().verify(&root, &stream()).unwrap_err();
        assert_eq!((error.code(), error.detail()), ("untrusted", "revoked"));
    }
}

#[test]
fn an_environment_that_is_not_named_has_the_entry_for_others() {
    let root = example_root();
    let delegation =
        |id: &str| root.delegation(&EnvironmentId::parse(id).unwrap()).unwrap().role.keyids.clone();
    assert_eq!(delegation("production"), [key("manifest-production").id()]);
    assert_eq!(delegation("preview-7"), [key("manifest-other").id()]);
    let root = load(|body| body.environments = BTreeMap::new()).unwrap();
    let error = UnverifiedManifest::parse(MANIFEST).unwrap().verify(&root, &stream()).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("untrusted", "not-delegated"));
}

#[test]
fn a_named_environment_does_not_fall_back_to_others() {
    let mut body = root_body(1, &[&key("a")]);
    let others = Delegation { epoch: 1, role: role(1, &[&key("a")]) };
    body.environments.insert(Scope::Others, others);
    body.environments
        .get_mut(&Scope::Environment(EnvironmentId::parse("production").unwrap()))
        .unwrap()
        .role = Role { threshold: 1, keyids: Vec::new() };
    let file = sign(PayloadType::Manifest, &manifest_body().to_payload(), &[&key("a")]);
    let error = UnverifiedManifest::parse(&file).unwrap().verify(&trusted(&body), &stream()).unwrap_err();
    assert_eq!(error.detail(), "revoked");
}

#[test]
fn keys_are_listed_once_under_their_own_id() {
    let error = load(|body| body.keys.push(RootKey { public: key("a").public(), note: None })).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("malformed", "duplicate-key"));
    let id = key("a").id().to_string();
    let text = String::from_utf8(edited("\"keys\"", "\"keys\"")).unwrap();
    let wrong = text.replace(&id, "0123456789abcdef");
    let error = load_payload(wrong.as_bytes()).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("malformed", "wrong-keyid"));
}

#[test]
fn members_are_required_strict_and_in_range() {
    let detail = |from: &str, to: &str| load_payload(&edited(from, to)).unwrap_err().detail();
    for member in [
        "format",
        "project",
        "root",
        "issued_ms",
        "expires_ms",
        "keys",
        "root_role",
        "environments",
        "keyid",
        "alg",
        "public",
        "threshold",
        "keyids",
        "epoch",
    ] {
        assert_eq!(detail(&format!("\"{member}\":"), "\"other\":"), "missing-member", "{member}");
    }
    assert_eq!(detail("root/1", "root/2"), "format");
    assert_eq!(detail("ed25519", "ed448"), "format");
    assert_eq!(detail("\"root\":1", "\"root\":0"), "member-shape");
    assert_eq!(detail("\"root\":1", "\"root\":1.0"), "number");
    assert_eq!(detail("\"epoch\":1", "\"epoch\":0"), "member-shape");
    assert_eq!(detail("\"root\":1", "\"root\":1,\"root\":1"), "duplicate-member");
    assert_eq!(detail("\"production\":", "\"Production\":"), "member-shape");
    assert_eq!(detail("\"production\":{", "\"x\":7,\"production\":{"), "member-shape");
    assert_eq!(detail("=\"", "\""), "member-shape");
    assert!(load_payload(&edited("\"root\":1", "\"root\":1,\"later\":[]")).is_ok());
}

#[test]
fn a_lifetime_ends_at_400_days() {
    let days_400 = 400 * 24 * 3_600_000;
    assert!(load(|body| body.expires_ms = body.issued_ms + days_400).is_ok());
    assert!(load(|body| body.expires_ms = body.issued_ms + days_400 + 1).is_err());
}

#[test]
fn walking_is_refused_until_it_is_built() {
    let error = UnverifiedRoot::parse(ROOT).unwrap().verify_successor(&example_root()).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("unsupported", "walk"));
}
