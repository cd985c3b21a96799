"""Heads, lines, and what makes one bad (FORMAT T-3.2, M-1, M-10.2)."""

import re

import strictjson

KINDS = ("check", "environment", "flag", "list", "segment")
MAX_LINES = 100_000
MAX_BYTES = 32 * 1024 * 1024

# FORMAT M-1.4
_KEY = r"[A-Za-z0-9][A-Za-z0-9._:@|+~-]{0,127}"
_SPELLING = {
    "check": re.compile(_KEY + r"/[0-9]{1,9}"),
    "environment": re.compile(r"[a-z0-9][a-z0-9-]{0,39}"),
    "flag": re.compile(_KEY),
    "list": re.compile(_KEY),
    "segment": re.compile(_KEY),
}
# FORMAT T-3.2: of an unknown kind, 1 to 256 bytes of 0x23 to 0x7E without `\`.
_ANY_KEY = re.compile(r"[\x23-\x5b\x5d-\x7e]{1,256}")
_HEAD = re.compile(rb'\{"([a-z][a-z0-9_]{0,31})":"([^"\\]*)"[,}]')


class BadSnapshot(ValueError):
    """What fails the whole snapshot (FORMAT T-3.2)."""


def head(line):
    """Kind and key of a line (bytes), found without reading the rest; None if it has no valid head."""
    found = _HEAD.match(line)
    if not found:
        return None
    kind = found.group(1).decode("ascii")
    try:
        key = found.group(2).decode("ascii")
    except UnicodeDecodeError:
        return None
    if kind == "drop" or not _SPELLING.get(kind, _ANY_KEY).fullmatch(key):
        return None
    return kind, key


def max_size(kind):
    """FORMAT M-1.15: bytes of a line without its `\\n`."""
    return 1024 * 1024 if kind == "segment" else 64 * 1024


def body(kind, line):
    """The object of a line, or None if it is bad behind its head (FORMAT M-10.2)."""
    if len(line) > max_size(kind):
        return None
    try:
        return strictjson.read(line)
    except strictjson.NotJson:
        return None


def split_by_hand(data):
    """The lines of a file that people may have written (FORMAT M-14.1), as (kind, key, bytes).

    They stand in any order; without a head they are ignored and counted; the last of a name counts, which
    is for the caller to do; the last one may have no end.
    """
    named = [(head(text), text) for text in data.split(b"\n") if text]
    found = [(*name, text) for name, text in named if name is not None]
    return found, len(named) - len(found)


def split(data):
    """The lines of a snapshot as (kind, key, bytes); BadSnapshot if one of them fails it as a whole."""
    if len(data) > MAX_BYTES:
        raise BadSnapshot("too large")
    if data and not data.endswith(b"\n"):
        raise BadSnapshot("the last line has no end")
    texts = data.split(b"\n")[:-1]
    if len(texts) > MAX_LINES:
        raise BadSnapshot("too many lines")
    lines = []
    for at, text in enumerate(texts):
        named = head(text)
        if named is None:
            raise BadSnapshot("a line without a head")
        if at > 0:
            if texts[at - 1] >= text:
                raise BadSnapshot("the lines do not ascend")
            if lines[-1][:2] == named:
                raise BadSnapshot("a name occurs twice")
        lines.append((*named, text))
    return lines
