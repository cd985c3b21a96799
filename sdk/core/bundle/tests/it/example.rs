//! The worked example, made by a second implementation (testdata/example).

use flagstone_bundle::bundle::{Parts, UnverifiedBundle};
use flagstone_bundle::container::Caps;
use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::framing::{PayloadType, assemble, pae};
use flagstone_bundle::manifest::UnverifiedManifest;
use flagstone_bundle::root::RootBody;
use flagstone_model::digest::Digest;

use crate::world::*;

#[test]
fn root_manifest_snapshot_and_inline_delta_verify() {
    let root = example_root();
    assert_eq!((root.number(), root.project().as_str()), (1, "shop"));
    assert_eq!(root.pin(), pin());

    let manifest = UnverifiedManifest::parse(MANIFEST).unwrap().verify(&root, &stream()).unwrap();
    assert_eq!((manifest.epoch(), manifest.version(), manifest.serial()), (1, 42, 1310));
    assert_eq!((manifest.poll_ms(), manifest.heartbeat_ms()), (Some(10_000), 300_000));
    assert_eq!(manifest.log().unwrap().seq, 4182);

    let content = manifest.open_snapshot(STORED).unwrap();
    manifest.check(&content).unwrap();
    assert_eq!(content.raw(), SNAPSHOT);

    let (delta, inline) = manifest.inline_delta().unwrap();
    assert_eq!(delta.object.open(inline, Caps::SNAPSHOT).unwrap(), DELTA);
    let old = Content::parse(OLD_SNAPSHOT).unwrap();
    let (updated, touched) = manifest.apply_delta(delta, inline, &old).unwrap();
    assert_eq!(updated.raw(), SNAPSHOT);
    let touched: Vec<_> = touched.heads().map(|head| (head.name, head.key)).collect();
    assert_eq!(touched, [("flag", "new-checkout"), ("flag", "old-banner")]);
}

#[test]
fn a_delta_is_usable_from_since_up_to_the_version_before() {
    let manifest = UnverifiedManifest::parse(MANIFEST).unwrap().verify(&example_root(), &stream()).unwrap();
    let usable = |own| manifest.usable_deltas(own).count();
    assert_eq!([37, 38, 41, 42, 43].map(usable), [0, 1, 1, 0, 0]);
}

#[test]
fn the_content_hash_and_line_digests_are_the_published_ones() {
    let content = Content::parse(SNAPSHOT).unwrap();
    assert_eq!(content.content_hash().to_string(), CONTENT);
    let digests: Vec<_> = content.lines().map(|line| Digest::of(line).to_string()[..8].to_owned()).collect();
    assert_eq!(digests, ["cb8d0fb2", "6e7dfd1c", "9e23df5d", "0c2805b1"]);
}

#[test]
fn the_delta_is_the_difference_and_is_written_as_it_was_read() {
    println!("vectors ran: example/old-snapshot.jsonl example/delta.jsonl");
    let (old, new) = (Content::parse(OLD_SNAPSHOT).unwrap(), Content::parse(SNAPSHOT).unwrap());
    let delta = DeltaLines::parse(DELTA).unwrap();
    assert_eq!(delta.encode(), DELTA);
    assert_eq!(new.diff(&old), delta);
    assert_eq!(new.delta_of(delta.heads()), delta);
}

#[test]
fn the_signed_bytes_are_dsse() {
    let payload = MANIFEST.split(|byte| *byte == b'\n').next().unwrap();
    let signed = pae(PayloadType::Manifest, payload);
    assert!(signed.starts_with(b"DSSEv1 42 application/vnd.flagstone.manifest.v1+json 699 {\"format\""));
    assert_eq!(pae(PayloadType::Root, b""), b"DSSEv1 38 application/vnd.flagstone.root.v1+json 0 ");
}

#[test]
fn this_writer_makes_the_same_manifest_and_root() {
    let root = example_root();
    let manifest = UnverifiedManifest::parse(MANIFEST).unwrap().verify(&root, &stream()).unwrap();
    let payload = manifest.body().to_payload();
    let signature = key("manifest-production").sign(PayloadType::Manifest, &payload);
    let file = assemble(PayloadType::Manifest, &payload, &[signature], manifest.inline()).unwrap();
    assert_eq!(file, MANIFEST);

    let body: &RootBody = root.body();
    let file = sign(PayloadType::Root, &body.to_payload(), &[&key("root-a"), &key("root-b")]);
    assert_eq!(file, ROOT);
}

#[test]
fn the_bundle_loads_and_is_written_as_it_was_read() {
    let bundle = UnverifiedBundle::parse(BUNDLE).unwrap();
    let loaded = bundle.load(&pin(), &stream()).unwrap();
    assert_eq!(loaded.content.raw(), SNAPSHOT);
    assert_eq!(loaded.manifest.file(), MANIFEST);
    assert_eq!(loaded.root.file(), ROOT);
    let parts = Parts { roots: vec![(1, ROOT)], manifest: MANIFEST, snapshot: STORED, deltas: Vec::new() };
    assert_eq!(parts, *bundle.parts());
    assert_eq!(parts.write().unwrap(), BUNDLE);
    for name in ["root.1.json", "manifest", "snapshot.jsonl", "snapshot.jsonl.zst", "stream.bundle"] {
        println!("vectors ran: example/{name}");
    }
}

#[test]
fn descriptions_are_plain_data() {
    let loaded = UnverifiedBundle::parse(BUNDLE).unwrap().load(&pin(), &stream()).unwrap();
    let described = loaded.describe();
    let manifest = described.member("manifest").unwrap();
    assert_eq!(manifest.member("version").unwrap().as_integer(), Some(42));
    assert_eq!(manifest.member("inline").unwrap().as_integer(), Some(215));
    let pin = described.member("root").unwrap().member("pin").unwrap();
    assert_eq!(pin.as_str(), Some(PIN));
}
