//! Ed25519 private keys as PKCS #8 in PEM (RFC 8410), so that other tools can read them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flagstone_bundle::key::KEY_BYTES;
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// `SEQUENCE { INTEGER 0, SEQUENCE { OID 1.3.101.112 }, OCTET STRING { OCTET STRING (32) } }` up to the seed.
const PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

pub(super) fn encode(seed: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let der = Zeroizing::new([PREFIX.as_slice(), seed].concat());
    let base64 = Zeroizing::new(STANDARD.encode(&*der));
    Zeroizing::new(format!("{BEGIN}\n{}\n{END}\n", *base64))
}

pub(super) fn decode(text: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let text = str::from_utf8(text).ok()?.trim();
    let base64 = text.strip_prefix(BEGIN)?.strip_suffix(END)?.trim();
    let der = Zeroizing::new(STANDARD.decode(base64).ok()?);
    let seed: &[u8; KEY_BYTES] = der.strip_prefix(&PREFIX)?.try_into().ok()?;
    Some(Zeroizing::new(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8410, section 10.3.
    const RFC: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

    #[test]
    fn the_published_example_reads_and_is_written_back() {
        let seed = decode(RFC.as_bytes()).unwrap();
        assert_eq!(seed[..4], [0xd4, 0xee, 0x72, 0xdb]);
        assert_eq!(*encode(&seed), RFC);
    }

    #[test]
    fn anything_else_is_no_key() {
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
            &RFC.replace("MC4C", "MC5C"),
            &RFC.replace("BEGIN", "begin"),
        ] {
            assert!(decode(text.as_bytes()).is_none(), "{text}");
        }
    }
}
