//! FORMAT T-3.4, attacks A14 and A15: frames made by hand, so that each can break one rule.

use std::io::Write as _;

use flagstone_bundle::container::{
    Caps, ContainerError, Encoding, FrameFault, StoredObject, decode_frame, decode_zstd, encode_gzip,
    encode_zstd, encode_zstd_level,
};
use flagstone_bundle::limits::MAX_WINDOW_BYTES;
use flagstone_model::digest::Digest;
use flagstone_model::limits::{MAX_RAW_BYTES, MAX_STORED_BYTES};

use crate::world::{SNAPSHOT, STORED};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// 128 KiB, the most one block may unpack to.
const BLOCK: u32 = 1 << 17;

fn block_header(last: bool, kind: u32, size: u32) -> [u8; 3] {
    let bytes = (size << 3 | kind << 1 | u32::from(last)).to_le_bytes();
    [bytes[0], bytes[1], bytes[2]]
}

/// A last block of raw bytes.
fn raw_block(bytes: &[u8]) -> Vec<u8> {
    [&block_header(true, 0, u32::try_from(bytes.len()).unwrap())[..], bytes].concat()
}

/// Blocks that repeat one byte: 4 stored bytes make 128 KiB.
fn repeated(blocks: u32, size: u32) -> Vec<u8> {
    (1..=blocks).flat_map(|n| [&block_header(n == blocks, 1, size)[..], b"x"].concat()).collect()
}

/// A frame in one segment that declares 4-byte content size `declared`.
fn single_segment(declared: u32, blocks: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &[0b1010_0000], &declared.to_le_bytes(), blocks].concat()
}

/// A frame with a window descriptor and an 8-byte content size.
fn windowed(window: u8, declared: u64, blocks: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &[0b1100_0000, window], &declared.to_le_bytes(), blocks].concat()
}

/// The object that these bytes are, with this signed size.
fn signed(stored: &[u8], raw_size: u64) -> StoredObject {
    StoredObject { encoding: Encoding::Zstd, sha256: Digest::of(stored), size: stored.len() as u64, raw_size }
}

fn open(stored: &[u8], raw_size: u64) -> Result<Vec<u8>, ContainerError> {
    let opened = signed(stored, raw_size).open(stored, Caps::SNAPSHOT);
    assert_eq!(opened, decode_zstd(stored, &signed(stored, raw_size), Caps::SNAPSHOT));
    if let Ok(raw) = &opened {
        assert_eq!(raw.len() as u64, raw_size, "exactly the signed size");
    }
    opened
}

fn fault(stored: &[u8], raw_size: u64) -> FrameFault {
    match open(stored, raw_size).unwrap_err() {
        ContainerError::Frame(fault) => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn frames_made_by_hand_are_frames() {
    assert_eq!(open(&single_segment(5, &raw_block(b"hello")), 5).unwrap(), b"hello");
    assert_eq!(open(&windowed(0, 5, &raw_block(b"hello")), 5).unwrap(), b"hello");
    assert_eq!(
        open(&single_segment(3 * BLOCK, &repeated(3, BLOCK)), u64::from(3 * BLOCK)).unwrap(),
        vec![b'x'; 3 * BLOCK as usize]
    );
}

#[test]
fn a_bomb_that_declares_its_gibibyte_is_refused_by_its_size() {
    let bomb = windowed(0x68, 1 << 30, &repeated(8_192, BLOCK));
    assert!(bomb.len() < 33_000);
    assert_eq!(fault(&bomb, 547), FrameFault::Size { declared: 1 << 30, signed: 547 });
    let error = open(&bomb, 1 << 30).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("too-large", "object-too-large"));
    let error = decode_frame(&bomb, Caps::SNAPSHOT).unwrap_err();
    assert_eq!((error.code(), error.detail()), ("too-large", "object-too-large"));
}

#[test]
fn a_bomb_that_declares_the_signed_size_gets_no_room_for_more() {
    for declared in [0, 1, 547, 3 * BLOCK] {
        let bomb = single_segment(declared, &repeated(8_192, BLOCK));
        assert_eq!(fault(&bomb, declared.into()), FrameFault::Corrupt, "{declared}");
        let bomb = windowed(0x68, declared.into(), &repeated(8_192, BLOCK));
        assert_eq!(fault(&bomb, declared.into()), FrameFault::Corrupt, "{declared}");
    }
}

#[test]
fn output_one_byte_longer_or_shorter_than_declared_is_refused() {
    assert_eq!(fault(&single_segment(4, &raw_block(b"hello")), 4), FrameFault::Corrupt);
    assert_eq!(fault(&single_segment(6, &raw_block(b"hello")), 6), FrameFault::Corrupt);
    assert_eq!(fault(&windowed(0, 6, &raw_block(b"hello")), 6), FrameFault::Corrupt);
}

#[test]
fn a_declared_size_other_than_the_signed_one_is_refused() {
    let frame = single_segment(5, &raw_block(b"hello"));
    assert_eq!(fault(&frame, 4), FrameFault::Size { declared: 5, signed: 4 });
    assert_eq!(fault(&frame, 6), FrameFault::Size { declared: 5, signed: 6 });
}

#[test]
fn a_frame_without_a_declared_size_is_refused() {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    encoder.write_all(b"hello").unwrap();
    let streamed = encoder.finish().unwrap();
    assert_eq!(fault(&streamed, 5), FrameFault::NoSize);
    assert!(zstd::stream::decode_all(&streamed[..]).unwrap() == b"hello", "otherwise it is good");
}

#[test]
fn windows_end_at_8_mib() {
    let frame = |window| windowed(window, 5, &raw_block(b"hello"));
    let size = |window: u8| (1_u64 << (10 + (window >> 3))) / 8 * (8 + u64::from(window & 7));
    assert_eq!(size(0x68), MAX_WINDOW_BYTES);
    assert!(open(&frame(0x68), 5).is_ok());
    for window in [0x69, 0x6f, 0x70, 0x88, 0xff] {
        assert_eq!(fault(&frame(window), 5), FrameFault::Window { window: size(window) });
    }
    // In a single segment the content is the window.
    let blocks = u32::try_from(MAX_WINDOW_BYTES).unwrap() / BLOCK;
    let frame = single_segment(blocks * BLOCK, &repeated(blocks, BLOCK));
    assert!(open(&frame, MAX_WINDOW_BYTES).is_ok());
    let mut longer = repeated(blocks, BLOCK);
    let last = longer.len() - 4;
    longer[last] &= !1;
    longer.extend(raw_block(b"x"));
    let frame = single_segment(blocks * BLOCK + 1, &longer);
    assert_eq!(fault(&frame, MAX_WINDOW_BYTES + 1), FrameFault::Window { window: MAX_WINDOW_BYTES + 1 });
    let declares = windowed(0x68, MAX_WINDOW_BYTES + 1, &longer);
    assert!(open(&declares, MAX_WINDOW_BYTES + 1).is_ok(), "more content than window is fine");
}

#[test]
fn nothing_follows_the_frame() {
    let frame = single_segment(5, &raw_block(b"hello"));
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18][..], &[3, 0, 0, 0], b"abc"].concat();
    for (after, bytes) in [(&b"\0"[..], 1), (b"\n", 1), (&frame[..], frame.len()), (&skippable, 11)] {
        assert_eq!(fault(&[&frame[..], after].concat(), 5), FrameFault::Trailing { bytes });
    }
    assert_eq!(fault(&[&skippable[..], &frame].concat(), 5), FrameFault::NotAFrame);
    assert_eq!(fault(&[&frame[..], &frame].concat(), 10), FrameFault::Size { declared: 5, signed: 10 });
}

#[test]
fn what_is_no_frame_of_this_format_is_refused() {
    for stored in [&b""[..], b"hello", b"\x1f\x8b\x08\0", &[0x27, 0xb5, 0x2f, 0xfd, 0x20, 5], b"\x28\xb5\x2f"]
    {
        assert_eq!(fault(stored, 5), FrameFault::NotAFrame);
    }
    let with = |bits: u8, insert: &[u8]| {
        [&MAGIC[..], &[0b1010_0000 | bits], insert, &5_u32.to_le_bytes(), &raw_block(b"hello")].concat()
    };
    assert_eq!(fault(&with(0b0000_1000, b""), 5), FrameFault::Reserved);
    assert_eq!(fault(&with(0b0001_0000, b""), 5), FrameFault::Reserved);
    for (bits, id) in [(1, &b"\x01"[..]), (2, b"\x01\0"), (3, b"\x01\0\0\0")] {
        assert_eq!(fault(&with(bits, id), 5), FrameFault::Dictionary);
    }
    let reserved_block = [&block_header(true, 3, 5)[..], b"hello"].concat();
    assert_eq!(fault(&single_segment(5, &reserved_block), 5), FrameFault::Corrupt);
}

#[test]
fn a_frame_that_is_cut_off_is_refused_at_every_length() {
    let frames =
        [single_segment(5, &raw_block(b"hello")), windowed(0, 5, &raw_block(b"hello")), STORED.to_vec()];
    for frame in frames {
        let size = if frame == STORED { SNAPSHOT.len() as u64 } else { 5 };
        for length in 0..frame.len() {
            let error = open(&frame[..length], size).unwrap_err();
            assert_eq!(error.code(), "malformed", "{length}");
        }
    }
}

#[test]
fn a_checksum_is_allowed_and_then_must_be_right() {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.set_pledged_src_size(Some(SNAPSHOT.len() as u64)).unwrap();
    encoder.write_all(SNAPSHOT).unwrap();
    let mut stored = encoder.finish().unwrap();
    assert_eq!(open(&stored, SNAPSHOT.len() as u64).unwrap(), SNAPSHOT);
    *stored.last_mut().unwrap() ^= 1;
    assert_eq!(fault(&stored, SNAPSHOT.len() as u64), FrameFault::Corrupt);
}

#[test]
fn size_and_digest_come_before_the_frame() {
    let object = signed(STORED, SNAPSHOT.len() as u64);
    let code = |object: &StoredObject, stored: &[u8]| {
        let error = object.open(stored, Caps::SNAPSHOT).unwrap_err();
        (error.code(), error.detail())
    };
    let mut other = STORED.to_vec();
    other[4] ^= 0xff;
    assert_eq!(code(&object, &other), ("digest-mismatch", "object-digest"));
    assert_eq!(code(&object, b"not a frame"), ("digest-mismatch", "object-length"));
    let lying = StoredObject { size: object.size + 1, ..object };
    assert_eq!(code(&lying, STORED), ("digest-mismatch", "object-length"));
    assert!(!lying.is(STORED) && object.is(STORED) && !object.is(&other));
}

#[test]
fn caps_end_at_8_mib_stored_and_32_mib_unpacked() {
    let object = |size, raw_size| StoredObject { size, raw_size, ..signed(STORED, 0) };
    let within = |size, raw_size| object(size, raw_size).within(Caps::SNAPSHOT).map_err(|error| error.code());
    assert_eq!(within(MAX_STORED_BYTES, MAX_RAW_BYTES), Ok(()));
    assert_eq!(within(MAX_STORED_BYTES + 1, 0), Err("too-large"));
    assert_eq!(within(0, MAX_RAW_BYTES + 1), Err("too-large"));
    // Caps are asked before anything is hashed or allocated.
    let huge = object(STORED.len() as u64, u64::MAX);
    assert_eq!(huge.open(STORED, Caps::SNAPSHOT).unwrap_err().code(), "too-large");
}

#[test]
fn what_is_encoded_is_opened_at_every_size_up_to_the_limit() {
    let max = usize::try_from(MAX_RAW_BYTES).unwrap();
    let window = usize::try_from(MAX_WINDOW_BYTES).unwrap();
    for size in [0, 1, 255, 256, 65_791, 65_792, window - 1, window, window + 1, max] {
        let raw: Vec<u8> = (0..size).map(|at| (at / 251).to_le_bytes()[0]).collect();
        let (stored, object) = encode_zstd_level(&raw, 1).unwrap();
        assert!(object.open(&stored, Caps::SNAPSHOT).unwrap() == raw, "{size}");
        assert!(decode_frame(&stored, Caps::SNAPSHOT).unwrap() == raw, "{size}");
    }
    let (stored, object) = encode_zstd(&vec![b'x'; max + 1]).unwrap();
    assert_eq!(object.open(&stored, Caps::SNAPSHOT).unwrap_err().code(), "too-large");
}

/// The bytes of `printf hello | gzip -9n`, with "no system" in place of Unix.
const HELLO: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0";

fn gzip(stored: &[u8], raw_size: u64) -> Result<Vec<u8>, &'static str> {
    let object = StoredObject { encoding: Encoding::Gzip, ..signed(stored, raw_size) };
    object.open(stored, Caps::SNAPSHOT).map_err(|error| error.detail())
}

#[test]
fn a_gzip_member_of_another_program_is_read() {
    assert_eq!(gzip(HELLO, 5).unwrap(), b"hello");
    assert_eq!(decode_frame(HELLO, Caps::SNAPSHOT).unwrap(), b"hello");
    let mut of_unix = HELLO.to_vec();
    of_unix[9] = 3;
    assert_eq!(gzip(&of_unix, 5).unwrap(), b"hello");
    assert_eq!(
        [Encoding::Zstd, Encoding::Gzip].map(|e| Encoding::parse(e.as_str())),
        [Some(Encoding::Zstd), Some(Encoding::Gzip)]
    );
}

#[test]
fn a_gzip_member_unpacks_to_the_signed_size_or_is_refused() {
    assert_eq!(gzip(HELLO, 4), Err("frame-size"));
    let sized = |size: u8| {
        let mut stored = HELLO.to_vec();
        let at = stored.len() - 4;
        stored[at] = size;
        stored
    };
    // It declares, at its end, what it does not hold.
    assert_eq!(gzip(&sized(4), 4), Err("frame-corrupt"));
    assert_eq!(gzip(&sized(6), 6), Err("frame-corrupt"));
    let bomb = encode_gzip(&vec![b'x'; 1 << 24]).unwrap().0;
    assert!(bomb.len() < 33_000);
    assert_eq!(gzip(&bomb, 547), Err("frame-size"));
    let declares_less = [&bomb[..bomb.len() - 4], &547_u32.to_le_bytes()].concat();
    assert_eq!(gzip(&declares_less, 547), Err("frame-corrupt"));
    let declares_more = [&bomb[..bomb.len() - 4], &u32::MAX.to_le_bytes()].concat();
    assert_eq!(gzip(&declares_more, u64::from(u32::MAX)), Err("object-too-large"));
    assert_eq!(decode_frame(&declares_more, Caps::SNAPSHOT).unwrap_err().code(), "too-large");
}

#[test]
fn what_is_no_gzip_member_of_this_format_is_refused() {
    for (stored, detail) in [
        (&b""[..], "not-a-frame"),
        (b"hello", "not-a-frame"),
        (STORED, "not-a-frame"),
        (b"\x1f\x8b\x08\0", "frame-cut-off"),
        (
            b"\x1f\x8b\x07\0\0\0\0\0\x02\xff\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0",
            "not-a-frame",
        ),
    ] {
        assert_eq!(gzip(stored, 5), Err(detail), "{stored:?}");
    }
    for (flags, detail) in [(1, "not-a-frame"), (8, "not-a-frame"), (0x20, "frame-reserved-bits")] {
        let mut stored = HELLO.to_vec();
        stored[3] = flags;
        assert_eq!(gzip(&stored, 5), Err(detail), "{flags}");
    }
    let two = [HELLO, HELLO].concat();
    assert_eq!(gzip(&two, 5), Err("frame-trailing-bytes"));
    assert_eq!(gzip(&[HELLO, b"\0"].concat(), 5), Err("frame-size"));
    for length in 0..HELLO.len() {
        assert!(gzip(&HELLO[..length], 5).is_err(), "{length}");
    }
    // The CRC and the compressed bytes are covered; method and flags were refused above.
    for at in (0..2).chain(10..HELLO.len()) {
        let mut stored = HELLO.to_vec();
        stored[at] ^= 1;
        assert!(gzip(&stored, 5).is_err(), "{at}");
    }
}

#[test]
fn what_is_zipped_is_opened_at_every_size_up_to_the_limit() {
    let max = usize::try_from(MAX_RAW_BYTES).unwrap();
    for size in [0, 1, 255, 65_535, 65_536, 1 << 20, max] {
        // Hardly compressible, so that the room for what grows is tried too.
        let mut state = 1_u64;
        let raw: Vec<u8> = (0..size)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .collect();
        let (stored, object) = encode_gzip(&raw).unwrap();
        let caps = Caps { stored: u64::MAX, ..Caps::SNAPSHOT };
        assert!(object.open(&stored, caps).unwrap() == raw, "{size}");
    }
}
