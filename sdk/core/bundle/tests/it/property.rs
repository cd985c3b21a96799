//! Laws, on seeded random input: what is written is read back, deltas converge, and nothing read ever panics.

use std::collections::BTreeMap;

use flagstone_bundle::bundle::{Parts, UnverifiedBundle};
use flagstone_bundle::container::{Caps, Encoding, StoredObject, decode_frame, encode_zstd_level};
use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::manifest::{Delta, LogHead, ManifestBody, UnverifiedManifest};
use flagstone_bundle::root::{Pin, UnverifiedRoot};
use flagstone_model::digest::Digest;
use flagstone_model::line::Head;
use proptest::prelude::*;

use crate::world::*;

/// A version of a content: flags by key, each with its revision.
type Model = BTreeMap<u16, u8>;

fn line(key: u16, rev: u8) -> String {
    format!("{{\"flag\":\"flag-{key:05}\",\"rev\":{rev}}}")
}

fn content(model: &Model) -> Content {
    let lines: Vec<String> = model.iter().map(|(key, rev)| line(*key, *rev)).collect();
    Content::from_lines(lines.iter().map(String::as_bytes)).unwrap()
}

fn edit(model: &Model, edits: &[(u16, Option<u8>)]) -> Model {
    let mut model = model.clone();
    for (key, rev) in edits {
        match rev {
            Some(rev) => model.insert(*key, *rev),
            None => model.remove(key),
        };
    }
    model
}

fn models() -> impl Strategy<Value = Model> {
    prop_oneof![
        prop::collection::btree_map(0_u16..50, 0_u8..3, 0..40),
        prop::collection::btree_map(0_u16..2_000, 0_u8..3, 0..900),
    ]
}

fn edits(keys: u16) -> impl Strategy<Value = Vec<(u16, Option<u8>)>> {
    prop::collection::vec((0..keys, prop::option::of(0_u8..3)), 0..40)
}

fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: prop::test_runner::RngSeed::Fixed(3),
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(seeded(256))]

    #[test]
    fn a_difference_applied_gives_the_other_content(a in models(), b in models()) {
        let (old, new) = (content(&a), content(&b));
        let delta = new.diff(&old);
        prop_assert_eq!(DeltaLines::parse(&delta.encode()).unwrap(), delta.clone());
        let (updated, touched) = old.apply(&delta).unwrap();
        prop_assert_eq!(&updated, &new);
        prop_assert_eq!(updated.content_hash(), content(&b).content_hash());
        prop_assert_eq!(touched, delta);
        // And back.
        let (back, _) = updated.apply(&old.diff(&updated)).unwrap();
        prop_assert_eq!(back.content_hash(), old.content_hash());
    }

    #[test]
    fn every_legal_path_of_deltas_converges(
        start in models(),
        steps in prop::collection::vec(edits(2_000), 1..8),
        hash_first in any::<bool>(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 8),
    ) {
        // The versions, and for each the entities touched since the one before.
        let mut versions = vec![start];
        for edits in &steps {
            versions.push(edit(versions.last().unwrap(), edits));
        }
        let contents: Vec<Content> = versions.iter().map(content).collect();
        let last = contents.last().unwrap();
        let touched = |since: usize| {
            // Changed and changed back counts: what the edits named, not what differs in the end.
            let keys = steps[since..].iter().flatten().map(|(key, _)| format!("flag-{key:05}"));
            keys.collect::<Vec<String>>()
        };
        let cumulative = |since: usize, to: usize| {
            let keys = touched(since);
            contents[to].delta_of(keys.iter().map(|key| Head { name: "flag", key }))
        };
        // Any base at or after `since` reaches the last version by the delta since it.
        for since in 0..versions.len() {
            let delta = cumulative(since, versions.len() - 1);
            for (own, base) in contents.iter().enumerate().skip(since) {
                if hash_first {
                    base.content_hash();
                }
                let (reached, _) = base.apply(&delta).unwrap();
                prop_assert_eq!(reached.content_hash(), last.content_hash(), "since {} from {}", since, own);
                prop_assert_eq!(&reached, last);
            }
        }
        // And so does any walk through versions in between.
        let mut at = 0;
        let mut walked = contents[0].clone();
        for pick in picks {
            if at + 1 == versions.len() {
                break;
            }
            let to = at + 1 + pick.index(versions.len() - at - 1);
            walked = walked.apply(&contents[to].diff(&contents[at])).unwrap().0;
            at = to;
            prop_assert_eq!(walked.content_hash(), contents[at].content_hash());
        }
    }

    #[test]
    fn contents_are_read_as_they_are_written(model in models()) {
        let content = content(&model);
        let read = Content::parse(&content.raw()).unwrap();
        prop_assert_eq!(read.content_hash(), content.content_hash());
        prop_assert_eq!(read.raw_size(), content.raw().len() as u64);
        for (key, rev) in &model {
            let key_text = format!("flag-{key:05}");
            let expected = line(*key, *rev);
            prop_assert_eq!(read.line(Head { name: "flag", key: &key_text }), Some(expected.as_bytes()));
        }
    }

    #[test]
    fn frames_are_opened_as_they_are_made(raw in prop::collection::vec(any::<u8>(), 0..5_000), level in 1..=19) {
        let (stored, object) = encode_zstd_level(&raw, level).unwrap();
        prop_assert_eq!(object.open(&stored, Caps::SNAPSHOT).unwrap(), raw);
    }
}

fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn objects() -> impl Strategy<Value = StoredObject> {
    let encoding = prop_oneof![Just(Encoding::Zstd), Just(Encoding::Gzip)];
    (encoding, digests(), 0..1_u64 << 53, 0..1_u64 << 53)
        .prop_map(|(encoding, sha256, size, raw_size)| StoredObject { encoding, sha256, size, raw_size })
}

fn bodies() -> impl Strategy<Value = ManifestBody> {
    let numbers = (1..1_u64 << 53, 1..1_u64 << 53, 0..1_i64 << 52, 0..2_592_000_001_i64, 0..1_u64 << 53);
    let rest = (
        prop::option::of(0..1_u64 << 53),
        0..1_u64 << 53,
        digests(),
        objects(),
        prop::collection::btree_map(0..1_u64 << 53, objects(), 0..=2),
        prop::option::of((0..1_u64 << 53, digests())),
    );
    (numbers, rest).prop_map(|((version, serial, issued_ms, life, heartbeat_ms), rest)| {
        let (poll_ms, builder, content, snapshot, deltas, log) = rest;
        ManifestBody {
            version,
            serial,
            issued_ms,
            expires_ms: issued_ms + life,
            heartbeat_ms,
            poll_ms,
            builder,
            content,
            lines: builder,
            snapshot,
            deltas: deltas.into_iter().rev().map(|(since, object)| Delta { since, object }).collect(),
            log: log.map(|(seq, hash)| LogHead { seq, hash }),
            ..manifest_body()
        }
    })
}

proptest! {
    #![proptest_config(seeded(128))]

    #[test]
    fn manifests_are_read_as_they_are_written(body in bodies(), inline in prop::collection::vec(any::<u8>(), 0..300)) {
        let root = trusted(&root_body(1, &[&key("a")]));
        let mut body = body;
        if let Some(first) = body.deltas.first_mut() {
            first.object.sha256 = Digest::of(&inline);
            first.object.size = inline.len() as u64;
        }
        let payload = body.to_payload();
        let signature = key("a").sign(PayloadType::Manifest, &payload);
        let file = assemble(PayloadType::Manifest, &payload, &[signature], Some(&inline)).unwrap();
        let manifest = UnverifiedManifest::parse(&file).unwrap().verify(&root, &stream()).unwrap();
        prop_assert_eq!(manifest.body(), &body);
        prop_assert_eq!(manifest.body().to_payload(), payload);
        prop_assert_eq!(manifest.inline(), (!body.deltas.is_empty()).then_some(&inline[..]));
        prop_assert_eq!(manifest.inline_is_foreign(), body.deltas.is_empty());
    }
}

/// A good file with a few bytes written over, cut out, or put in.
fn damaged(file: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6);
    (edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(edits, end, cut)| {
        let mut bytes = file.to_vec();
        for (place, byte, kind) in edits {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        bytes
    })
}

proptest! {
    #![proptest_config(seeded(2_000))]

    #[test]
    fn damage_is_refused_and_never_panics(
        manifest in damaged(MANIFEST),
        root in damaged(ROOT),
        bundle in damaged(BUNDLE),
        stored in damaged(STORED),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let trusted = example_root();
        if let Ok(taken) = UnverifiedManifest::parse(&manifest).map(|m| m.verify(&trusted, &stream())) {
            prop_assert!(taken.is_err() || MANIFEST.starts_with(taken.unwrap().file()));
        }
        if let Ok(parsed) = UnverifiedRoot::parse(&root) {
            let taken = parsed.verify_pinned(&pin());
            prop_assert!(taken.is_err() || ROOT.starts_with(taken.unwrap().file()));
        }
        let loaded = UnverifiedBundle::parse(&bundle).and_then(|bundle| bundle.load(&pin(), &stream()));
        prop_assert!(loaded.is_err() || loaded.unwrap().content.raw() == SNAPSHOT);
        let small = Caps { stored: 1 << 16, raw: 1 << 16 };
        for bytes in [&stored, &noise] {
            if let Ok(raw) = decode_frame(bytes, small) {
                prop_assert!(raw.len() <= 1 << 16);
            }
        }
        prop_assert!(UnverifiedManifest::parse(&noise).is_err() && UnverifiedRoot::parse(&noise).is_err());
        prop_assert!(UnverifiedBundle::parse(&noise).is_err());
        prop_assert!(noise.is_empty() || Content::parse(&noise).is_err() && DeltaLines::parse(&noise).is_err());
        prop_assert_eq!(Pin::parse(&String::from_utf8_lossy(&noise)), None);
    }

    #[test]
    fn bundles_are_read_as_they_are_written(deltas in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..5)) {
        let deltas: Vec<&[u8]> = deltas.iter().map(Vec::as_slice).collect();
        let parts = Parts { roots: vec![(1, ROOT), (2, b"x")], manifest: MANIFEST, snapshot: STORED, deltas };
        let file = parts.write().unwrap();
        let read = UnverifiedBundle::parse(&file).unwrap();
        prop_assert_eq!(read.parts(), &parts);
    }
}
