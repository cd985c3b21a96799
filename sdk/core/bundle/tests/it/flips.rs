//! Attack A1: every bit of every file, flipped in turn.

use flagstone_bundle::bundle::{Parts, UnverifiedBundle};
use flagstone_bundle::container::{Caps, decode_frame, encode_zstd_level};
use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::manifest::UnverifiedManifest;
use flagstone_bundle::root::UnverifiedRoot;

use crate::world::*;

/// Each byte changed in each of its bits; with the byte's place.
fn flips(file: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..file.len() * 8).map(move |bit| {
        let mut flipped = file.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, flipped)
    })
}

#[test]
fn every_flip_in_a_root_is_refused() {
    for (place, file) in flips(ROOT) {
        let root = UnverifiedRoot::parse(&file)
            .map_err(|_| ())
            .and_then(|r| r.verify_pinned(&pin()).map_err(|_| ()));
        assert!(root.is_err(), "byte {place}");
    }
}

#[test]
fn every_flip_in_a_manifest_is_refused_or_costs_the_inline_delta_only() {
    let root = example_root();
    let inline = MANIFEST.len() - MANIFEST.split(|b| *b == b'\n').nth(2).unwrap().len() - 1;
    for (place, file) in flips(MANIFEST) {
        let Ok(framed) = UnverifiedManifest::parse(&file) else { continue };
        let Ok(manifest) = framed.verify(&root, &stream()) else { continue };
        // Not signed, but named by a signed digest: never handed out, and not kept for the cache.
        assert!(place >= inline, "byte {place}");
        assert_eq!(manifest.inline(), None, "byte {place}");
        assert!(manifest.file() == &MANIFEST[..inline], "byte {place}");
        // A line that no longer begins like an inline line is one of a later version.
        let unknown_line = !file[inline..].starts_with(b"{\"inline\":");
        assert_eq!(manifest.inline_is_foreign(), !unknown_line, "byte {place}");
    }
}

#[test]
fn every_flip_in_a_stored_snapshot_is_a_digest_mismatch() {
    let root = example_root();
    let manifest = UnverifiedManifest::parse(MANIFEST).unwrap().verify(&root, &stream()).unwrap();
    for (place, stored) in flips(STORED) {
        assert_eq!(manifest.open_snapshot(&stored).unwrap_err().code(), "digest-mismatch", "byte {place}");
    }
    for length in 0..STORED.len() {
        assert_eq!(manifest.open_snapshot(&STORED[..length]).unwrap_err().code(), "digest-mismatch");
    }
}

#[test]
fn a_flipped_frame_without_a_digest_unpacks_to_its_declared_size_or_not_at_all() {
    for (place, stored) in flips(STORED) {
        if let Ok(raw) = decode_frame(&stored, Caps { stored: 1 << 20, raw: 1 << 20 }) {
            assert_eq!(raw.len(), SNAPSHOT.len(), "byte {place}");
        }
    }
}

#[test]
fn every_flip_in_a_bundle_is_refused() {
    for (place, file) in flips(BUNDLE) {
        let loaded = UnverifiedBundle::parse(&file).and_then(|bundle| bundle.load(&pin(), &stream()));
        assert!(loaded.is_err(), "byte {place}");
    }
}

#[test]
fn a_flip_in_a_snapshot_the_client_compressed_itself_is_refused_or_gives_the_same_lines() {
    let (stored, _) = encode_zstd_level(SNAPSHOT, 1).unwrap();
    assert_ne!(stored.len(), STORED.len());
    let parts = Parts { roots: vec![(1, ROOT)], manifest: MANIFEST, snapshot: &stored, deltas: Vec::new() };
    let file = parts.write().unwrap();
    let start = file.len() - stored.len();
    for (place, file) in flips(&file).filter(|(place, _)| *place >= start) {
        let loaded = UnverifiedBundle::parse(&file).and_then(|bundle| bundle.load(&pin(), &stream()));
        assert!(loaded.is_err() || loaded.unwrap().content.raw() == SNAPSHOT, "byte {place}");
    }
}

#[test]
fn every_shorter_or_longer_bundle_is_refused() {
    for length in 0..BUNDLE.len() {
        let bundle = UnverifiedBundle::parse(&BUNDLE[..length]);
        assert!(bundle.and_then(|bundle| bundle.load(&pin(), &stream())).is_err(), "{length} bytes");
    }
    assert!(UnverifiedBundle::parse(&[BUNDLE, b"\n"].concat()).is_err());
}

#[test]
fn a_flip_is_legal_only_in_a_signature_that_is_not_needed() {
    // Threshold 1 of two keys, signed by both: bytes of either signature line may change, of nothing else.
    let (a, b) = (key("a"), key("b"));
    let root = trusted(&root_body(1, &[&a, &b]));
    let payload = manifest_body().to_payload();
    let signatures = [&a, &b].map(|key| key.sign(PayloadType::Manifest, &payload));
    let file = assemble(PayloadType::Manifest, &payload, &signatures, None).unwrap();
    let mut taken = 0;
    for (place, flipped) in flips(&file) {
        let Ok(framed) = UnverifiedManifest::parse(&flipped) else { continue };
        if let Ok(manifest) = framed.verify(&root, &stream()) {
            assert!(place > payload.len(), "byte {place} is of the payload");
            assert_eq!(*manifest.body(), manifest_body());
            taken += 1;
        }
    }
    assert!(taken > 0);
}
