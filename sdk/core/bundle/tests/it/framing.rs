//! FORMAT T-1.1 to T-1.3: the file around a payload.

use flagstone_bundle::framing::{FramingError, PayloadType, assemble};
use flagstone_bundle::key::{KeyId, Signature};
use flagstone_bundle::limits::{MAX_FILE_BYTES, MAX_MANIFEST_PAYLOAD_BYTES, MAX_ROOT_PAYLOAD_BYTES};
use flagstone_bundle::manifest::UnverifiedManifest;
use flagstone_bundle::root::UnverifiedRoot;

use crate::world::{MANIFEST, key};

const PAYLOAD: &str = "{}";

/// A signature line of this keyid; what it signs does not matter to framing.
fn line(keyid: u64) -> String {
    format!("{{\"keyid\":\"{keyid:016x}\",\"sig\":\"{}==\"}}", "A".repeat(86))
}

fn lines(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

fn refused(file: &[u8]) -> &'static str {
    let error = UnverifiedManifest::parse(file).expect_err("malformed");
    assert_eq!(error.code(), "malformed");
    error.detail()
}

#[test]
fn malformed_files_are_refused_each_for_its_reason() {
    let (a, b) = (line(1), line(2));
    let inline = "{\"inline\":\"AAAA\"}";
    let text = |text: String| text.into_bytes();
    let many: Vec<String> = (1..=9).map(line).collect();
    let mut nine = vec![PAYLOAD];
    nine.extend(many.iter().map(String::as_str));
    let mut seventeen = vec![PAYLOAD, &a];
    seventeen.extend(["x"; 15]);

    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", Vec::new(), "no-final-newline"),
        ("one newline", b"\n".to_vec(), "no-payload"),
        ("a payload alone", lines(&[PAYLOAD]), "no-signature"),
        ("an empty payload", lines(&["", &a]), "no-payload"),
        ("no final newline", text(format!("{PAYLOAD}\n{a}")), "no-final-newline"),
        ("a byte order mark", text(format!("\u{feff}{PAYLOAD}\n{a}\n")), "byte-order-mark"),
        ("CRLF", text(format!("{PAYLOAD}\r\n{a}\r\n")), "carriage-return"),
        ("a carriage return in a late line", lines(&[PAYLOAD, &a, "x\ry"]), "carriage-return"),
        ("not UTF-8", [b"{\"a\":\"\xff\"}\n", a.as_bytes(), b"\n"].concat(), "not-utf8"),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec(), "not-utf8"),
        ("HTML", b"<html>\n<body>Sign in</body>\n</html>\n".to_vec(), "no-signature"),
        ("an unknown line before the signatures", lines(&[PAYLOAD, "x", &a]), "no-signature"),
        ("an empty line before the signatures", lines(&[PAYLOAD, "", &a]), "no-signature"),
        ("the inline line first", lines(&[PAYLOAD, inline, &a]), "no-signature"),
        ("the inline line without signatures", lines(&[PAYLOAD, inline]), "no-signature"),
        ("nine signatures", lines(&nine), "too-many-signatures"),
        ("seventeen lines", lines(&seventeen), "too-many-lines"),
        ("signatures descending", lines(&[PAYLOAD, &b, &a]), "signature-order"),
        ("one keyid twice", lines(&[PAYLOAD, &a, &a]), "signature-order"),
        ("a signature after an unknown line", lines(&[PAYLOAD, &a, "x", &b]), "misplaced-line"),
        ("a signature after the inline line", lines(&[PAYLOAD, &a, inline, &b]), "misplaced-line"),
        ("two inline lines", lines(&[PAYLOAD, &a, inline, inline]), "misplaced-line"),
        ("inline after an unknown line", lines(&[PAYLOAD, &a, "x", inline]), "misplaced-line"),
        ("a broken signature late", lines(&[PAYLOAD, &a, "x", "{\"keyid\":1}"]), "misplaced-line"),
        ("a broken inline late", lines(&[PAYLOAD, &a, "x", "{\"inline\":1}"]), "misplaced-line"),
        ("a space before the signature", lines(&[PAYLOAD, &format!(" {a}")]), "no-signature"),
        ("a space after the signature", lines(&[PAYLOAD, &format!("{a} ")]), "signature-shape"),
        ("a space inside", lines(&[PAYLOAD, &a.replace(":\"", ": \"")]), "signature-shape"),
        ("an upper-case keyid", lines(&[PAYLOAD, &line(0xabc).replace("abc", "ABC")]), "signature-shape"),
        ("a keyid with a sign", lines(&[PAYLOAD, &a.replacen("0000", "+000", 1)]), "signature-shape"),
        ("a short keyid", lines(&[PAYLOAD, &a.replacen('0', "", 1)]), "signature-shape"),
        ("a long keyid", lines(&[PAYLOAD, &a.replacen('0', "00", 1)]), "signature-shape"),
        ("a keyid that is not ASCII", lines(&[PAYLOAD, &a.replacen("00", "é", 1)]), "signature-shape"),
        ("a number as keyid", lines(&[PAYLOAD, "{\"keyid\":1,\"sig\":\"\"}"]), "signature-shape"),
        ("an extra member", lines(&[PAYLOAD, &a.replace("\"}", "\",\"x\":1}")]), "signature-shape"),
        ("no sig", lines(&[PAYLOAD, "{\"keyid\":\"0000000000000001\"}"]), "signature-shape"),
        ("a signature of 63 bytes", lines(&[PAYLOAD, &a.replace("AA==", "==")]), "signature-shape"),
        ("a signature of 65 bytes", lines(&[PAYLOAD, &a.replace("==", "A=")]), "signature-shape"),
        ("a signature of 66 bytes", lines(&[PAYLOAD, &a.replace("==", "AA")]), "signature-shape"),
        ("no padding", lines(&[PAYLOAD, &a.replace("==", "")]), "signature-shape"),
        ("spare bits set", lines(&[PAYLOAD, &a.replace("A==", "B==")]), "signature-shape"),
        ("the URL alphabet", lines(&[PAYLOAD, &a.replacen("AA", "_-", 1)]), "signature-shape"),
        ("inline without quotes", lines(&[PAYLOAD, &a, "{\"inline\":null}"]), "inline-shape"),
        ("inline without padding", lines(&[PAYLOAD, &a, "{\"inline\":\"AA\"}"]), "inline-shape"),
        ("inline with spare bits", lines(&[PAYLOAD, &a, "{\"inline\":\"AB==\"}"]), "inline-shape"),
        ("inline with a space", lines(&[PAYLOAD, &a, "{\"inline\":\"AA AA\"}"]), "inline-shape"),
        ("inline with more", lines(&[PAYLOAD, &a, "{\"inline\":\"AAAA\",\"x\":1}"]), "inline-shape"),
    ];
    assert!(table.len() >= 30);
    for (name, file, detail) in table {
        assert_eq!(refused(&file), detail, "{name}");
        assert!(UnverifiedRoot::parse(&file).is_err(), "{name}, as a root");
    }
}

#[test]
fn what_the_format_allows_is_framed() {
    let (a, b) = (line(1), line(2));
    let eight: Vec<String> = (1..=8).map(line).collect();
    let mut full = vec![PAYLOAD];
    full.extend(eight.iter().map(String::as_str));
    let mut sixteen = full.clone();
    sixteen.push("{\"inline\":\"\"}");
    sixteen.extend(["", "{\"later\":1}", "{\"keyid\"", "x", "{}", " "]);
    assert_eq!(sixteen.len(), 16);
    for file in [
        lines(&[PAYLOAD, &a]),
        lines(&[PAYLOAD, &a, &b]),
        lines(&full),
        lines(&[PAYLOAD, &a, "{\"inline\":\"AAA=\"}"]),
        lines(&[PAYLOAD, &a, "", "unknown", "{\"later\":true}"]),
        lines(&sixteen),
    ] {
        assert!(UnverifiedManifest::parse(&file).is_ok(), "{}", String::from_utf8_lossy(&file));
    }
}

#[test]
fn payloads_end_at_3900_and_8192_bytes() {
    let file = |size: usize| lines(&[&"p".repeat(size), &line(1)]);
    assert!(UnverifiedManifest::parse(&file(MAX_MANIFEST_PAYLOAD_BYTES)).is_ok());
    assert_eq!(refused(&file(MAX_MANIFEST_PAYLOAD_BYTES + 1)), "payload-too-large");
    assert!(UnverifiedRoot::parse(&file(MAX_ROOT_PAYLOAD_BYTES)).is_ok());
    let error = UnverifiedRoot::parse(&file(MAX_ROOT_PAYLOAD_BYTES + 1)).unwrap_err();
    assert_eq!(error, FramingError::PayloadTooLarge { size: 8_193, max: 8_192 });
}

#[test]
fn files_end_at_16384_bytes() {
    let start = lines(&[PAYLOAD, &line(1)]);
    let file = |size: usize| [&start[..], &vec![b'x'; size - start.len() - 1], b"\n"].concat();
    assert!(UnverifiedManifest::parse(&file(MAX_FILE_BYTES)).is_ok());
    assert_eq!(refused(&file(MAX_FILE_BYTES + 1)), "file-too-large");
}

#[test]
fn only_what_can_be_read_is_assembled() {
    let payload = b"{}";
    let signature = key("root-a").sign(PayloadType::Manifest, payload);
    let file = |payload: &[u8], signatures: &[Signature], inline: Option<&[u8]>| {
        assemble(PayloadType::Manifest, payload, signatures, inline)
    };
    assert!(file(payload, &[signature], Some(b"abc")).is_ok());
    assert_eq!(file(payload, &[], None), Err(FramingError::NoSignature));
    assert_eq!(file(payload, &[signature; 2], None).unwrap_err().detail(), "signature-order");
    assert_eq!(file(b"", &[signature], None), Err(FramingError::NoPayload));
    assert_eq!(file(&[b'p'; 3_901], &[signature], None).unwrap_err().detail(), "payload-too-large");
    assert_eq!(file(payload, &[signature], Some(&[0; 12_500])).unwrap_err().detail(), "file-too-large");
    // A newline inside a payload would make another line of what was signed.
    let two_lines = [b"{}\n", MANIFEST.split(|b| *b == b'\n').nth(1).unwrap()].concat();
    assert!(file(&two_lines, &[signature], None).is_err());
}

#[test]
fn signatures_are_written_in_order_of_their_keyids() {
    let keys = ["root-a", "root-b", "root-c"].map(|name| key(name).sign(PayloadType::Root, b"{}"));
    let reversed: Vec<_> = keys.iter().rev().copied().collect();
    assert_eq!(
        assemble(PayloadType::Root, b"{}", &keys, None),
        assemble(PayloadType::Root, b"{}", &reversed, None)
    );
}

#[test]
fn keyids_are_computed_from_the_key() {
    for (name, id) in [
        ("root-a", "e362bcdea7030285"),
        ("root-b", "1b86ab22f906bded"),
        ("root-c", "5cdfc2c3b789f7a5"),
        ("manifest-production", "a55f1c5317c3e1f8"),
        ("manifest-other", "ac2e07feaa691bb0"),
    ] {
        assert_eq!(key(name).id().to_string(), id);
        assert_eq!(KeyId::parse(id), Some(key(name).id()));
        assert_eq!(KeyId::of(&key(name).public()), key(name).id());
    }
}

#[test]
fn a_private_key_is_not_printed() {
    assert_eq!(format!("{:?}", key("root-a")), "SigningKey(e362bcdea7030285)");
}
