//! Percent-encoding (RFC 3986 §2.1).

/// The text that `encoded` stands for; `None` for a broken escape or anything that is not UTF-8.
pub(crate) fn decode(encoded: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, tail)) = rest.split_first() {
        rest = if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits = core::str::from_utf8(digits).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
            tail
        } else {
            bytes.push(*first);
            tail
        };
    }
    String::from_utf8(bytes).ok()
}

/// `text` as one segment of a path.
pub(crate) fn encode_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' | b'+' => {
                encoded.push(char::from(byte));
            }
            other => encoded.extend(['%', hex(other >> 4), hex(other & 15)]),
        }
    }
    encoded
}

fn hex(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_broken_ones_refused() {
        assert_eq!(decode(b"a%20b%C3%A9").as_deref(), Some("a bé"));
        assert_eq!(decode("é+".as_bytes()).as_deref(), Some("é+"));
        for bad in [&b"%"[..], b"%2", b"%zz", b"%+1", b"%ff", b"\xff"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_segment_reads_back() {
        let text = "a.b_c:d@e|f+g~h-i";
        assert_eq!(encode_segment(text), "a.b_c:d@e%7Cf+g~h-i");
        assert_eq!(decode(encode_segment(text).as_bytes()).as_deref(), Some(text));
    }
}
