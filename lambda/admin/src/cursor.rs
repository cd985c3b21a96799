//! Cursors: where the next page begins, opaque to the caller.
//!
//! A cursor holds a position and a digest over the project, the list, and that position. It cannot be taken to
//! another list, and a cursor that was tampered with is refused instead of answering the wrong page. It is no secret:
//! it hides nothing and grants nothing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use flagstone_model::digest::Digest;

/// Bytes of the digest that are kept.
const CHECK_BYTES: usize = 8;
/// Longest cursor that is read, in characters.
const MAX_CURSOR_CHARS: usize = 1_536;

/// The cursor to go on after `position` in `list`, a path.
pub(crate) fn write(list: &str, position: &str) -> String {
    let mut bytes = check(list, position).to_vec();
    bytes.extend_from_slice(position.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The position in `list` that `cursor` holds, if it was written for that list.
pub(crate) fn read(list: &str, cursor: &str) -> Option<String> {
    if cursor.len() > MAX_CURSOR_CHARS {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (found, position) = bytes.split_at_checked(CHECK_BYTES)?;
    let position = core::str::from_utf8(position).ok()?;
    (found == check(list, position)).then(|| position.to_owned())
}

fn check(list: &str, position: &str) -> [u8; CHECK_BYTES] {
    let parts = [b"flagstone/cursor/1\n", list.as_bytes(), b"\n", position.as_bytes()];
    let digest = Digest::of_parts(parts);
    let mut check = [0; CHECK_BYTES];
    for (to, from) in check.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "/v1/projects/demo/flags";

    #[test]
    fn a_cursor_reads_back_in_its_own_list_only() {
        let cursor = write(LIST, "new-checkout");
        assert_eq!(read(LIST, &cursor).as_deref(), Some("new-checkout"));
        assert_eq!(read("/v1/projects/demo/environments", &cursor), None);
        assert_eq!(read("/v1/projects/other/flags", &cursor), None);
    }

    #[test]
    fn a_cursor_with_any_character_changed_is_refused() {
        let cursor = write(LIST, "new-checkout");
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(read(LIST, core::str::from_utf8(&changed).unwrap()), None, "{at}");
        }
        for none in ["", "!", "AAAA", &"A".repeat(1_537), &format!("{cursor}=")] {
            assert_eq!(read(LIST, none), None, "{none}");
        }
    }
}
