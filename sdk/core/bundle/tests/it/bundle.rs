//! FORMAT T-5.1, T-2.9, attacks A11 and A24: bundle files.

use flagstone_bundle::bundle::{BundleError, Parts, UnverifiedBundle, Verified, compress_snapshot};
use flagstone_bundle::container::{encode_zstd, encode_zstd_level};
use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::framing::PayloadType;
use flagstone_bundle::limits::{
    MAX_BUNDLE_DELTAS, MAX_BUNDLE_HEADER_BYTES, MAX_BUNDLE_ROOTS, MAX_FILE_BYTES,
};
use flagstone_bundle::manifest::{Delta, UnverifiedManifest};
use flagstone_model::digest::Digest;
use flagstone_model::limits::MAX_STORED_BYTES;

use crate::world::*;

fn zstd(raw: &[u8]) -> Vec<u8> {
    encode_zstd(raw).unwrap().0
}

fn parts<'a>(snapshot: &'a [u8], deltas: &[&'a [u8]]) -> Parts<'a> {
    Parts { roots: vec![(1, ROOT)], manifest: MANIFEST, snapshot, deltas: deltas.to_vec() }
}

fn load(parts: &Parts<'_>) -> Result<Verified, BundleError> {
    UnverifiedBundle::parse(&parts.write()?)?.load(&pin(), &stream())
}

fn fault(parts: &Parts<'_>) -> (&'static str, &'static str) {
    let error = load(parts).unwrap_err();
    (error.code(), error.detail())
}

/// The example's parts behind another header.
fn with_header(header: &str) -> Vec<u8> {
    [header.as_bytes(), b"\n", ROOT, MANIFEST, STORED].concat()
}

#[test]
fn a_snapshot_of_an_older_version_and_deltas_give_the_content() {
    let (old, delta) = (zstd(OLD_SNAPSHOT), zstd(DELTA));
    assert_eq!(load(&parts(&old, &[&delta])).unwrap().content.raw(), SNAPSHOT);
    // Through a version in between, back, and there again.
    let back = zstd(&Content::parse(OLD_SNAPSHOT).unwrap().diff(&Content::parse(SNAPSHOT).unwrap()).encode());
    assert_eq!(load(&parts(&old, &[&delta, &back, &delta])).unwrap().content.raw(), SNAPSHOT);
    assert_eq!(fault(&parts(&old, &[&delta, &back])).0, "content-mismatch");
}

#[test]
fn a_snapshot_compressed_by_the_client_itself_is_taken() {
    let (stored, _) = encode_zstd_level(SNAPSHOT, 1).unwrap();
    assert_eq!(load(&parts(&stored, &[])).unwrap().content.raw(), SNAPSHOT);

    // Even where its own compressor would give other bytes of the same length.
    let content = Content::parse(SNAPSHOT).unwrap();
    let mut body = manifest_body();
    body.snapshot.size = zstd(SNAPSHOT).len() as u64;
    body.snapshot.sha256 = Digest::of(b"another compressor's");
    let manifest = sign(PayloadType::Manifest, &body.to_payload(), &[&key("a")]);
    let root = trusted(&root_body(1, &[&key("a")]));
    let verified = UnverifiedManifest::parse(&manifest).unwrap().verify(&root, &stream()).unwrap();
    let stored = compress_snapshot(&verified, &content).unwrap();
    let load = |snapshot: &[u8]| {
        let roots = vec![(1, root.file())];
        let file = Parts { roots, manifest: &manifest, snapshot, deltas: Vec::new() }.write().unwrap();
        UnverifiedBundle::parse(&file)
            .unwrap()
            .load(&root.pin(), &stream())
            .map(|loaded| loaded.content.raw())
    };
    assert_eq!(load(&stored).unwrap(), SNAPSHOT);
    assert_eq!(load(&zstd(SNAPSHOT)).unwrap_err().code(), "digest-mismatch");
}

#[test]
fn an_older_snapshot_under_a_newer_manifest_is_refused() {
    assert_eq!(fault(&parts(&zstd(OLD_SNAPSHOT), &[])).0, "content-mismatch");
    let other = String::from_utf8(SNAPSHOT.to_vec()).unwrap().replace("25000", "25001");
    // As long as the one the manifest names: taken for it, and refused by its digest already.
    assert_eq!(zstd(other.as_bytes()).len(), STORED.len());
    assert_eq!(fault(&parts(&zstd(other.as_bytes()), &[])), ("digest-mismatch", "object-digest"));
    let other = other.replace("25001", "25000000000000000001");
    assert_eq!(fault(&parts(&zstd(other.as_bytes()), &[])), ("content-mismatch", "content-hash"));
}

#[test]
fn broken_parts_are_named() {
    assert_eq!(fault(&parts(b"", &[])), ("malformed", "not-a-frame"));
    assert_eq!(fault(&parts(&[STORED, b"\0"].concat(), &[])), ("malformed", "frame-trailing-bytes"));
    assert_eq!(fault(&parts(STORED, &[b"x"])), ("malformed", "not-a-frame"));
    assert_eq!(fault(&parts(&zstd(b"x\n"), &[])), ("malformed", "line-head"));
    assert_eq!(fault(&parts(STORED, &[&zstd(b"x\n")])), ("malformed", "line-head"));
    let root = Parts { roots: vec![(1, MANIFEST)], ..parts(STORED, &[]) };
    assert_eq!(fault(&root).0, "untrusted");
    let manifest = Parts { manifest: ROOT, ..parts(STORED, &[]) };
    assert_eq!(fault(&manifest).0, "untrusted");
    let manifest = Parts { manifest: b"", ..parts(STORED, &[]) };
    assert_eq!(fault(&manifest), ("malformed", "no-final-newline"));
}

#[test]
fn another_pin_or_stream_is_refused() {
    let bundle = UnverifiedBundle::parse(BUNDLE).unwrap();
    let other = pin_of(1, b"other");
    assert_eq!(bundle.load(&other, &stream()).unwrap_err().code(), "untrusted");
    let client = stream_of("shop", "production", "client");
    assert_eq!(bundle.load(&pin(), &client).unwrap_err().code(), "wrong-stream");
    let staging = stream_of("shop", "staging", "server");
    assert_eq!(bundle.load(&pin(), &staging).unwrap_err().code(), "untrusted");
}

#[test]
fn the_header_says_which_root_a_root_is() {
    let two = Parts { roots: vec![(2, ROOT)], ..parts(STORED, &[]) };
    assert_eq!(fault(&two), ("untrusted", "root-number"));
}

#[test]
fn a_chain_of_roots_is_refused_until_walking_is_built() {
    let chain = Parts { roots: vec![(1, ROOT), (2, ROOT)], ..parts(STORED, &[]) };
    assert_eq!(fault(&chain), ("unsupported", "walk"));
}

#[test]
fn the_manifest_is_signed_under_the_last_root() {
    let mut body = root_body(1, &[&key("a")]);
    body.root = 7;
    let payload = body.to_payload();
    let root = sign(PayloadType::Root, &payload, &[&key("root-a")]);
    let manifest = |root| {
        let mut body = manifest_body();
        body.root = root;
        sign(PayloadType::Manifest, &body.to_payload(), &[&key("a")])
    };
    let load = |manifest: &[u8]| {
        let parts = Parts { roots: vec![(7, &root)], manifest, snapshot: STORED, deltas: Vec::new() };
        UnverifiedBundle::parse(&parts.write()?)?.load(&pin_of(7, &payload), &stream())
    };
    assert!(load(&manifest(7)).is_ok());
    assert_eq!(load(&manifest(8)).unwrap_err().detail(), "root-ahead");
    let error = load(&manifest(6)).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("untrusted", "bundle-root"));
}

#[test]
fn lines_that_nothing_proves_are_refused() {
    for extra in ["{\"later\":1}\n", "\n"] {
        let manifest = [MANIFEST, extra.as_bytes()].concat();
        let root = [ROOT, extra.as_bytes()].concat();
        let altered = Parts { manifest: &manifest, ..parts(STORED, &[]) };
        assert_eq!(fault(&altered), ("digest-mismatch", "unproved-lines"));
        let altered = Parts { roots: vec![(1, &root)], ..parts(STORED, &[]) };
        assert_eq!(fault(&altered), ("digest-mismatch", "unproved-lines"));
    }
    let last = MANIFEST.len() - MANIFEST.split(|b| *b == b'\n').nth(2).unwrap().len() - 1;
    let foreign = [&MANIFEST[..last], b"{\"inline\":\"AAAA\"}\n"].concat();
    assert_eq!(
        fault(&Parts { manifest: &foreign, ..parts(STORED, &[]) }),
        ("digest-mismatch", "unproved-lines")
    );
    // Without its inline line the manifest is complete.
    assert!(load(&Parts { manifest: &MANIFEST[..last], ..parts(STORED, &[]) }).is_ok());
}

#[test]
fn headers_of_another_form_are_refused() {
    let good = "{\"format\":\"flagstone/bundle/1\",\"parts\":[[\"root/1\",1218],[\"manifest\",1128],[\"snapshot\",288]]}";
    assert_eq!(with_header(good), BUNDLE);
    let refused = |header: &str| {
        let file = with_header(header);
        let error = UnverifiedBundle::parse(&file).and_then(|b| b.load(&pin(), &stream())).expect_err(header);
        (error.code(), error.detail())
    };
    for (from, to, code, detail) in [
        ("bundle/1", "bundle/2", "unsupported", "format"),
        ("\"format\"", "\"other\"", "malformed", "missing-member"),
        ("\"parts\":", "\"other\":", "malformed", "missing-member"),
        ("\"parts\":", "\"parts\":[],\"parts\":", "malformed", "duplicate-member"),
        ("[[\"root/1\",1218],", "[", "malformed", "bundle-parts"),
        ("[\"manifest\",1128],", "", "malformed", "bundle-parts"),
        (",[\"snapshot\",288]", "", "malformed", "bundle-parts"),
        ("\"manifest\"", "\"snapshot\"", "malformed", "bundle-parts"),
        ("\"snapshot\",288", "\"delta\",288", "malformed", "bundle-parts"),
        ("\"snapshot\",288", "\"later\",288", "malformed", "bundle-parts"),
        ("[\"snapshot\",288]", "[\"snapshot\",280],[\"snapshot\",8]", "malformed", "bundle-parts"),
        ("\"root/1\"", "\"root/01\"", "malformed", "bundle-parts"),
        ("\"root/1\"", "\"root/0\"", "malformed", "bundle-parts"),
        ("\"root/1\"", "\"root/+1\"", "malformed", "bundle-parts"),
        ("[\"root/1\",1218]", "[\"root/1\",1218],[\"root/3\",0]", "malformed", "bundle-parts"),
        ("[\"root/1\",1218]", "[\"root/1\",1218],[\"root/1\",0]", "malformed", "bundle-parts"),
        ("[\"root/1\",1218]", "[\"root/1\",1218,0]", "malformed", "bundle-parts"),
        ("1218", "-1", "malformed", "bundle-parts"),
        ("1218", "\"1218\"", "malformed", "bundle-parts"),
        ("1218", "1218.0", "malformed", "number"),
        ("1218", "9007199254740991", "malformed", "bundle-length"),
        ("288", "287", "malformed", "bundle-length"),
        ("288", "289", "malformed", "bundle-length"),
        ("]]}", "]]", "malformed", "invalid-json"),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(refused(&good.replacen(from, to, 1)), (code, detail), "{from} → {to}");
    }
    assert!(
        UnverifiedBundle::parse(&with_header(&good.replace("\"parts\"", "\"later\":[],\"parts\""))).is_ok()
    );
    for file in [&b""[..], b"{", b"<html></html>\n", &[0xff; 100]] {
        assert_eq!(UnverifiedBundle::parse(file).unwrap_err().code(), "malformed");
    }
}

#[test]
fn headers_end_at_16384_bytes() {
    let header = |size: usize| {
        let text = |later: usize| {
            format!(
                "{{\"format\":\"flagstone/bundle/1\",\"later\":\"{}\",\"parts\":[[\"root/1\",1218],[\"manifest\",1128],[\"snapshot\",288]]}}",
                "x".repeat(later)
            )
        };
        text(size - text(0).len())
    };
    assert!(UnverifiedBundle::parse(&with_header(&header(MAX_BUNDLE_HEADER_BYTES))).is_ok());
    let error = UnverifiedBundle::parse(&with_header(&header(MAX_BUNDLE_HEADER_BYTES + 1))).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("malformed", "bundle-without-header"));
}

#[test]
fn parts_end_at_their_limits() {
    let file = vec![b'x'; MAX_FILE_BYTES + 1];
    let max = usize::try_from(MAX_STORED_BYTES).unwrap();
    let stored = vec![0; max + 1];
    let written = |parts: &Parts<'_>| parts.write().map(|_| ()).map_err(|error| error.code());
    let too_large = Err("too-large");
    for (length, expected) in [(MAX_FILE_BYTES, Ok(())), (MAX_FILE_BYTES + 1, too_large)] {
        assert_eq!(written(&Parts { roots: vec![(1, &file[..length])], ..parts(STORED, &[]) }), expected);
        assert_eq!(written(&Parts { manifest: &file[..length], ..parts(STORED, &[]) }), expected);
    }
    for (length, expected) in [(max, Ok(())), (max + 1, too_large)] {
        assert_eq!(written(&parts(&stored[..length], &[])), expected);
        assert_eq!(written(&parts(STORED, &[b"x", &stored[..length - 1]])), expected);
    }
    let delta: &[u8] = b"x";
    assert_eq!(written(&parts(STORED, &vec![delta; MAX_BUNDLE_DELTAS])), Ok(()));
    assert_eq!(written(&parts(STORED, &vec![delta; MAX_BUNDLE_DELTAS + 1])), Err("malformed"));
    let chain = |count: u64| (1..=count).map(|n| (n, ROOT)).collect();
    let most = MAX_BUNDLE_ROOTS as u64;
    assert_eq!(written(&Parts { roots: chain(most), ..parts(STORED, &[]) }), Ok(()));
    assert_eq!(written(&Parts { roots: chain(most + 1), ..parts(STORED, &[]) }), Err("malformed"));
    assert_eq!(written(&Parts { roots: Vec::new(), ..parts(STORED, &[]) }), Err("malformed"));
}

#[test]
fn deltas_together_unpack_to_no_more_than_a_snapshot() {
    // Each unpacks to 12 MiB from a few hundred bytes; the third is over 32 MiB.
    let line = format!("{{\"flag\":\"a\",\"{}\":1}}\n", "x".repeat(12 << 20));
    let delta = zstd(line.as_bytes());
    assert!(delta.len() < 10_000);
    assert_eq!(fault(&parts(STORED, &[&delta, &delta])).0, "content-mismatch");
    assert_eq!(fault(&parts(STORED, &[&delta, &delta, &delta])), ("too-large", "object-too-large"));
}

#[test]
fn a_delta_that_leads_elsewhere_is_refused_whole() {
    let wrong = DeltaLines::parse(b"{\"flag\":\"dark-mode\",\"on\":false}\n").unwrap().encode();
    let manifest = UnverifiedManifest::parse(MANIFEST).unwrap().verify(&example_root(), &stream()).unwrap();
    // Signed by us, and wrong: the digest fits, the content hash does not, and the base is untouched.
    let base = Content::parse(OLD_SNAPSHOT).unwrap();
    let (stored, object) = encode_zstd(&wrong).unwrap();
    let delta = Delta { since: 38, object };
    let error = manifest.apply_delta(&delta, &stored, &base).unwrap_err();
    assert_eq!(error.code(), "content-mismatch");
    assert_eq!(base.raw(), OLD_SNAPSHOT);
    assert_eq!(manifest.check(&base).unwrap_err().code(), "content-mismatch");
    assert_eq!(Digest::of(&base.raw()), Digest::of(OLD_SNAPSHOT));
}
