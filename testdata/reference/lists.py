"""Lists (FORMAT M-1.7, T-3.5): the keys of a base object, and the edits of its line.

The standard library of Python has no zstd. Objects whose frame is stored and not compressed are read as
they are (so are written the small ones of this folder); of any other, `--lists DIR` gives the text as
`DIR/{sha256}.txt`.
"""

import hashlib
import os
import re

import values
from values import Unreadable, expect

_MAGIC = b"\x28\xb5\x2f\xfd"
_MEMBERS = {"list", "encoding", "sha256", "size", "raw_size", "count", "add", "drop"}
MAX_EDITS = 1000


class ListLine:
    """What a `list` line says."""

    def __init__(self, line):
        expect(not set(line) - _MEMBERS)
        expect(line.get("encoding") == "zstd")
        self.sha256 = line.get("sha256")
        expect(isinstance(self.sha256, str) and re.fullmatch("[0-9a-f]{64}", self.sha256))
        self.size = values.integer(line.get("size"), low=0)
        self.raw_size = values.integer(line.get("raw_size"), low=0)
        values.integer(line.get("count"), low=0)
        self.add = values.strings(line.get("add", []))
        self.drop = values.strings(line.get("drop", []))

    def keys(self, base):
        """The keys after the edits."""
        return (base - set(self.drop)) | set(self.add)


def parse(text):
    """The keys of a base object: sorted by bytes, one a line, UTF-8, no control characters."""
    if text == b"":
        return set()
    expect(text.endswith(b"\n"))
    lines = text[:-1].split(b"\n")
    expect(all(one < other for one, other in zip(lines, lines[1:])))
    try:
        keys = [line.decode("utf-8") for line in lines]
    except UnicodeDecodeError as error:
        raise Unreadable from error
    expect(all(key and not re.search("[\x00-\x1f\x7f-\x9f]", key) for key in keys))
    return set(keys)


def stored_frame(text):
    """A text as one zstd frame of stored blocks (RFC 8878), with its size declared."""
    descriptor = 0x80 | 0x20  # four bytes of size, single segment
    blocks = b""
    parts = [text[at : at + 0x10000] for at in range(0, len(text), 0x10000)] or [b""]
    for at, part in enumerate(parts):
        blocks += (len(part) << 3 | (at == len(parts) - 1)).to_bytes(3, "little") + part
    return _MAGIC + bytes([descriptor]) + len(text).to_bytes(4, "little") + blocks


def unpack_stored(frame):
    """The text of a zstd frame whose blocks are stored; Unreadable if one is compressed."""
    expect(frame[:4] == _MAGIC and len(frame) > 6)
    descriptor = frame[4]
    single = descriptor >> 5 & 1
    expect(descriptor & 0x0F == 0)  # no dictionary, no checksum
    width = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    expect(width)
    at = 5 + (0 if single else 1)
    size = int.from_bytes(frame[at : at + width], "little") + (256 if width == 2 else 0)
    at += width
    text = b""
    last = False
    while not last:
        expect(at + 3 <= len(frame))
        header = int.from_bytes(frame[at : at + 3], "little")
        at += 3
        last, kind, count = header & 1, header >> 1 & 3, header >> 3
        expect(kind in (0, 1))
        if kind == 0:
            text += frame[at : at + count]
            at += count
        else:
            text += frame[at : at + 1] * count
            at += 1
    expect(at == len(frame) and len(text) == size)
    return text


class Folder:
    """The base objects beside a snapshot, by their digests."""

    def __init__(self, snapshot_path, texts=None):
        self.packed = os.path.join(os.path.dirname(os.path.abspath(snapshot_path)), "k")
        self.texts = texts

    def base(self, line):
        """The keys of the base that a line names, or None if there is no such object, or a bad one."""
        try:
            return parse(self._text(line))
        except (OSError, Unreadable):
            return None

    def _text(self, line):
        if self.texts:
            plain = os.path.join(self.texts, line.sha256 + ".txt")
            if os.path.exists(plain):
                with open(plain, "rb") as file:
                    return file.read()
        with open(os.path.join(self.packed, line.sha256 + ".txt.zst"), "rb") as file:
            frame = file.read()
        # FORMAT T-3.4: size and digest of the stored bytes, and exactly `raw_size` of text.
        expect(len(frame) == line.size and hashlib.sha256(frame).hexdigest() == line.sha256)
        text = unpack_stored(frame)
        expect(len(text) == line.raw_size)
        return text
