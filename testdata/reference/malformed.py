"""Operands that are unreadable, or only just readable."""

from operands import OPERANDS, junk, op_hashed

_BAD_TEXT = {
    "matches": (
        "(a)",
        "\\d",
        "a**",
        "a+?",
        "^*",
        "[]",
        "[^]",
        "[z-a]",
        "[a&&b]",
        "a{256}",
        "a{01}",
        "a{2,1}",
        "a{,2}",
        "(?i)a",
        "\\b",
        "(?:a",
        "a)",
        "[a",
        "a]",
        "a}",
        "a{",
        "\\",
        "*",
        "|*",
        "(?:)+?",
        "[a-]",
        "[-a]",
        "[a^]",
        "[\\.]",
        "\\-",
        "\\n",
        "(?=a)",
        "(?P<n>a)",
        "a{2}{3}",
        "$+",
        "[a-z-9]",
        "[[a]",
        "[~]",
        "[|]",
        "\\é",
        "a++",
        "a{1}?",
        "(?:" * 9 + "a" + ")" * 9,
        "(?:" * 8 + "a" + ")" * 8,
        "a|",
        "",
        "(?:)*",
        "(?:^)*",
        "a||b",
        "|",
        "[\\]]",
        "(?:a{0}){255}",
        "{",
        "{1}",
        "a{1}b{1}{1}",
    ),
    "semver": (
        "",
        "1.2.3",
        ">=1.2",
        ">= 1.2.3",
        ">=1.2.3  <2.0.0",
        ">=1.2.3,<2.0.0",
        "^1.2.3",
        "~1.2.3",
        "=1.2.3+b",
        "==1.2.3",
        ">=v1.2.3",
        "=01.2.3",
        "=1.2.3-01",
        "=1.2.3-",
        " =1.2.3",
        "=1.2.3 ",
        "=1.2.3 =1.2.3 =1.2.3 =1.2.3 =1.2.3",
        "!=1.2.3",
        "=1.2.3-a..b",
        "=1.2.3-0",
        "=1234567890123456.0.0",
        "=1.2.3-1234567890123456",
        "=1.2.3-é",
        "=>1.2.3",
        "<>1.2.3",
        "=1.2.3.4",
        "*",
    ),
    "instant": (
        "2026-12-02T12:00:00.000Z",
        "2026-12-02t12:00:00Z",
        "2026-12-02T12:00:00+00:00",
        "2026-02-30T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-12-02T12:00:60Z",
        "2026-12-02",
        "10000-01-01T00:00:00Z",
        "2026-12-02T12:00:00.5Z",
        "2026-12-02T24:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-12-02T12:00:00Z ",
        "9999-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00Z",
    ),
    "cidr": (
        "10.0.0.1/8",
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/",
        "010.0.0.0/8",
        "10.0.0/8",
        "::1/64",
        "::/129",
        "::%1/64",
        "fe80::/10 ",
        "::ffff:0:0/95",
        "::ffff:0:0/96",
        "::fffe:0:0/95",
        "::ffff:10.0.0.0/104",
        "::ffff:10.0.0.1/104",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "1::2::/64",
        "10.0.0.0/8/8",
        "0.0.0.0/00",
        "/8",
        "::/",
        "::ffff:0.0.0.0/96",
        "1:2:3:4:5:6:7:8::/128",
        "1:2:3:4:5:6:7::/128",
        "12345::/32",
        "256.0.0.0/8",
    ),
}


def bad_operand(r, test):
    """An operand that is unreadable, or only just readable."""
    if r.random() < 0.35:
        return junk(r)
    if test in ("since", "before"):
        return r.choice(_BAD_TEXT["instant"])
    if test in ("matches", "semver"):
        text = r.choice(_BAD_TEXT[test])
        return text if r.random() < 0.6 else _mutated(r, OPERANDS[test](r)[0])
    if test == "cidr":
        return [r.choice(_BAD_TEXT["cidr"])] + (["10.0.0.0/8"] if r.random() < 0.3 else [])
    if test in ("lt", "lte", "gt", "gte"):
        return r.choice(("1", None, [1.0], True))
    if test == "hashed":
        return _bad_hashed(r)
    if test in ("in", "has_all"):
        return r.choice((["x", None], [[]], "x", [{}], {}))
    if test == "exists":
        return r.choice((1.0, "true", None, []))
    return r.choice((["x", 1.0], "x", [None], [True], {}))


def _mutated(r, text):
    at = r.randint(0, len(text))
    return text[:at] + r.choice("()[]{}*+?|\\^$.-&~ 0<>=v") + text[at + r.choice((0, 1)) :]


def _bad_hashed(r):
    operand = op_hashed(r)[0]
    h = "0123456789ab"
    kind = r.randrange(9)
    if kind == 0:
        del operand["salt"]
    elif kind == 1:
        operand["in"] = [h, h + "c"]
    elif kind == 2:
        operand = {"salt": "s", "in": [h.upper()]}
    elif kind == 3:
        operand = {"salt": "s", "in": [h[:11]]}
    elif kind == 4:
        operand = {"salt": "s", "in": ["0" * r.choice((64, 65))]}
    elif kind == 5:
        operand = {
            "salt": "s",
            "starts": [
                r.choice(([-1.0, h], [1.5, h], ["1", h], [1.0], [1.0, h, 1.0], [0.0, h], h, [1.0, 5.0]))
            ],
        }
    elif kind == 6:
        operand["zz"] = []
    elif kind == 7:
        operand = {"salt": r.choice(("s", 1.0, None))}
    else:
        operand = {"salt": "s", "in": [h], "ends": [[1.0, h + "c"]]}
    return operand
