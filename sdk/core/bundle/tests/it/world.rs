//! The example stream, and keys, roots, and manifests made for a test.

use std::collections::BTreeMap;

use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::key::{KeyId, SigningKey};
use flagstone_bundle::manifest::{ManifestBody, Stream};
use flagstone_bundle::root::{Delegation, Pin, Role, Root, RootBody, RootKey, Scope, UnverifiedRoot};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

macro_rules! example {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../testdata/example/", $name))
    };
}

pub(crate) const ROOT: &[u8] = example!("root.1.json");
pub(crate) const MANIFEST: &[u8] = example!("manifest");
pub(crate) const SNAPSHOT: &[u8] = example!("snapshot.jsonl");
pub(crate) const STORED: &[u8] = example!("snapshot.jsonl.zst");
pub(crate) const OLD_SNAPSHOT: &[u8] = example!("old-snapshot.jsonl");
pub(crate) const DELTA: &[u8] = example!("delta.jsonl");
pub(crate) const BUNDLE: &[u8] = example!("stream.bundle");
pub(crate) const PIN: &str = "1:04862e2461b74b1612c58325e4dba3edca6c1330dcef495a72cc6ed5bfbd2565";
pub(crate) const CONTENT: &str = "a852f4b076bf06fa565334bd7cbb19d33e0132c80d2b31334d5d1b4f1cce8af6";

pub(crate) fn pin() -> Pin {
    Pin::parse(PIN).unwrap()
}

pub(crate) fn stream_of(project: &str, environment: &str, view: &str) -> Stream {
    Stream {
        project: ProjectId::parse(project).unwrap(),
        environment: EnvironmentId::parse(environment).unwrap(),
        view: ViewId::parse(view).unwrap(),
    }
}

pub(crate) fn stream() -> Stream {
    stream_of("shop", "production", "server")
}

pub(crate) fn example_root() -> Root {
    UnverifiedRoot::parse(ROOT).unwrap().verify_pinned(&pin()).unwrap()
}

/// The test key of a name; those of the example are among them.
pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(format!("flagstone test key: {name}").as_bytes()).as_bytes())
}

pub(crate) fn role(threshold: u64, keys: &[&SigningKey]) -> Role {
    let mut keyids: Vec<KeyId> = keys.iter().map(|key| key.id()).collect();
    keyids.sort_unstable();
    Role { threshold, keyids }
}

/// A root of project `shop` with one root key and this role for `production`.
pub(crate) fn root_body(threshold: u64, keys: &[&SigningKey]) -> RootBody {
    let root_key = key("root-a");
    let listed = keys.iter().copied().chain([&root_key]);
    RootBody {
        project: ProjectId::parse("shop").unwrap(),
        root: 1,
        issued_ms: 1_795_219_200_000,
        expires_ms: 1_829_347_200_000,
        keys: listed.map(|key| RootKey { public: key.public(), note: None }).collect(),
        root_role: role(1, &[&root_key]),
        environments: BTreeMap::from([(
            Scope::Environment(EnvironmentId::parse("production").unwrap()),
            Delegation { epoch: 1, role: role(threshold, keys) },
        )]),
    }
}

pub(crate) fn sign(payload_type: PayloadType, payload: &[u8], keys: &[&SigningKey]) -> Vec<u8> {
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(payload_type, payload)).collect();
    assemble(payload_type, payload, &signatures, None).unwrap()
}

pub(crate) fn pin_of(root: u64, payload: &[u8]) -> Pin {
    Pin { root, sha256: Digest::of(payload) }
}

pub(crate) fn trusted(body: &RootBody) -> Root {
    let payload = body.to_payload();
    let file = sign(PayloadType::Root, &payload, &[&key("root-a")]);
    UnverifiedRoot::parse(&file).unwrap().verify_pinned(&pin_of(body.root, &payload)).unwrap()
}

pub(crate) fn manifest_body() -> ManifestBody {
    let object = StoredObject {
        encoding: Encoding::Zstd,
        sha256: Digest::of(STORED),
        size: STORED.len() as u64,
        raw_size: SNAPSHOT.len() as u64,
    };
    ManifestBody {
        stream: stream(),
        root: 1,
        epoch: 1,
        version: 42,
        serial: 1310,
        issued_ms: 1_795_253_123_456,
        expires_ms: 1_795_256_723_456,
        heartbeat_ms: 300_000,
        poll_ms: None,
        builder: 7,
        content: Digest::parse(CONTENT).unwrap(),
        lines: 4,
        snapshot: object,
        deltas: Vec::new(),
        log: None,
    }
}
