"""JSON as FORMAT M-1.9 to M-1.11 has it: a reader that hides nothing, and a writer of canonical bytes.

Values are None, bool, float, str, list, and dict. Every number is an f64 (FORMAT M-3.5), whatever its
text looks like: `1` and `1.0` are one number (FORMAT M-1.10).
"""

import math
import re

# FORMAT M-1.15: the depth of a line, its own object being 1.
MAX_DEPTH = 32

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX4 = re.compile(r"[0-9A-Fa-f]{4}")


class NotJson(ValueError):
    """The text is not JSON, or breaks a rule that the caller asked for."""


def read(data, max_depth=MAX_DEPTH, lenient=False):
    """Reads bytes (or text) as one JSON value.

    Refuses what is no UTF-8, a byte order mark, and more than `max_depth` levels; unless `lenient`, also
    duplicate members, lone surrogates, and numbers that no f64 can hold. A lenient reader takes the last of
    duplicates, strings as they are, and infinities.
    """
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotJson("not UTF-8") from error
    reader = _Reader(data, max_depth, lenient)
    value = reader.document()
    if not lenient and reader.escaped and not _well_formed(value):
        raise NotJson("a lone surrogate")
    return value


def number_of(text):
    """The f64 of a text that is one JSON number, else None."""
    return float(text) if _NUMBER.fullmatch(text) else None


class _Reader:
    def __init__(self, text, max_depth, lenient):
        self.text = text
        self.max_depth = max_depth
        self.lenient = lenient
        self.escaped = False

    def document(self):
        value, at = self.value(self.space(0), 1)
        if self.space(at) != len(self.text):
            raise NotJson("something follows")
        return value

    def space(self, at):
        return _SPACE.match(self.text, at).end()

    def peek(self, at):
        return self.text[at] if at < len(self.text) else ""

    def value(self, at, depth):
        first = self.peek(at)
        if first == '"':
            return self.string(at)
        if first == "{":
            return self.object(at, depth)
        if first == "[":
            return self.array(at, depth)
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, at):
                return value, at + len(word)
        found = _NUMBER.match(self.text, at)
        if not found:
            raise NotJson("no value")
        number = float(found.group())
        if math.isinf(number) and not self.lenient:
            raise NotJson("a number that no f64 can hold")
        return number, found.end()

    def string(self, at):
        parts = []
        at += 1
        while True:
            plain = _PLAIN.match(self.text, at)
            parts.append(plain.group())
            at = plain.end()
            mark = self.peek(at)
            if mark == '"':
                return "".join(parts), at + 1
            if mark != "\\":
                raise NotJson("a control character in a string, or no end")
            self.escaped = True
            kind = self.peek(at + 1)
            if kind in _ESCAPES and kind:
                parts.append(_ESCAPES[kind])
                at += 2
                continue
            if kind != "u":
                raise NotJson("no such escape")
            code, at = self.hex4(at + 2)
            if 0xD800 <= code < 0xDC00 and self.text.startswith("\\u", at):
                low, behind = self.hex4(at + 2)
                if 0xDC00 <= low < 0xE000:
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                    at = behind
            parts.append(chr(code))

    def hex4(self, at):
        found = _HEX4.match(self.text, at)
        if not found:
            raise NotJson("no four hexadecimal digits")
        return int(found.group(), 16), at + 4

    def object(self, at, depth):
        if depth > self.max_depth:
            raise NotJson("too deep")
        members = {}
        at = self.space(at + 1)
        if self.peek(at) == "}":
            return members, at + 1
        while True:
            if self.peek(at) != '"':
                raise NotJson("no name of a member")
            name, at = self.string(at)
            if name in members and not self.lenient:
                raise NotJson("a duplicate member")  # FORMAT M-1.11
            at = self.space(at)
            if self.peek(at) != ":":
                raise NotJson("no colon")
            members[name], at = self.value(self.space(at + 1), depth + 1)
            at = self.space(at)
            mark = self.peek(at)
            at += 1
            if mark == "}":
                return members, at
            if mark != ",":
                raise NotJson("no comma between members")
            at = self.space(at)

    def array(self, at, depth):
        if depth > self.max_depth:
            raise NotJson("too deep")
        elements = []
        at = self.space(at + 1)
        if self.peek(at) == "]":
            return elements, at + 1
        while True:
            element, at = self.value(self.space(at), depth + 1)
            elements.append(element)
            at = self.space(at)
            mark = self.peek(at)
            at += 1
            if mark == "]":
                return elements, at
            if mark != ",":
                raise NotJson("no comma between elements")


def is_well_formed(text):
    """Whether a string holds no lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _well_formed(value):
    if isinstance(value, str):
        return is_well_formed(value)
    if isinstance(value, list):
        return all(_well_formed(element) for element in value)
    if isinstance(value, dict):
        return all(is_well_formed(name) and _well_formed(member) for name, member in value.items())
    return True


def write(value, sort=False):
    """A value as canonical text (FORMAT M-1.9, M-1.10); `sort` puts members by their UTF-8 bytes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return write_number(float(value))
    if isinstance(value, str):
        return write_string(value)
    if isinstance(value, list):
        return "[" + ",".join(write(element, sort) for element in value) + "]"
    members = value.items()
    if sort:
        members = sorted(members, key=lambda member: member[0].encode("utf-8"))
    return "{" + ",".join(write_string(name) + ":" + write(member, sort) for name, member in members) + "}"


_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_MUST = re.compile(r'["\\\x00-\x1f]')


def write_string(text):
    """A string with the escapes of FORMAT M-1.9 and no others."""
    return (
        '"' + _MUST.sub(lambda found: _SHORT.get(found.group()) or f"\\u{ord(found.group()):04x}", text) + '"'
    )


def write_number(number):
    """A finite f64 as ECMAScript's Number::toString writes it, −0 as 0 (FORMAT M-1.10)."""
    if not math.isfinite(number):
        raise ValueError("no finite number")
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    # Python's repr has the shortest digits that read back as the same f64, as ECMAScript asks.
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0)  # the value is 0.DIGITS × 10^point, but for leading zeros
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    power = point - 1
    tail = ("." + digits[1:] if count > 1 else "") + "e" + ("+" if power >= 0 else "-") + str(abs(power))
    return sign + digits[0] + tail
