"""Canonical lines: the order of members, what is omitted, and sets (FORMAT M-1.5, M-1.9 to M-1.14)."""

import strictjson
from values import Unreadable, expect

_FREE = "free names"


class _Shape:
    """Members in their order; those in `omitted` are left out when they have the value given there."""

    def __init__(self, members, omitted=None):
        self.members, self.omitted = members, omitted or {}


def line(value):
    """A line, given as an object, as its canonical text; Unreadable if a member is not known."""
    expect(isinstance(value, dict) and value)
    kind = next(iter(value))
    expect(kind in _KINDS)
    return strictjson.write(_shaped(_KINDS[kind], value))


def _shaped(shape, value):
    if not isinstance(value, dict):
        return value
    expect(not set(value) - set(shape.members))  # FORMAT M-1.14
    shaped = {}
    for name, part in shape.members.items():
        if name in value:
            member = _part(part, value[name])
            if name not in shape.omitted or not _same(member, shape.omitted[name]):
                shaped[name] = member
    return shaped


def _same(value, other):
    return strictjson.write(value) == strictjson.write(other)


def _part(part, value):
    """Applies a shape, a function, `[part]` for a sequence of parts, or nothing."""
    if part is None:
        return value
    if isinstance(part, list):
        return [_part(part[0], each) for each in value] if isinstance(value, list) else value
    if part == _FREE:
        return sorted_names(value)
    return _shaped(part, value) if isinstance(part, _Shape) else part(value)


def sorted_names(value):
    """A JSON value with the members of its objects by the UTF-8 bytes of their names (FORMAT M-1.5)."""
    if isinstance(value, list):
        return [sorted_names(each) for each in value]
    if isinstance(value, dict):
        return {name: sorted_names(value[name]) for name in sorted(value, key=str.encode)}
    return value


def sorted_set(value):
    """An array that is a set: booleans, numbers by value, strings by UTF-8 bytes, each once (FORMAT M-1.13)."""
    if not isinstance(value, list):
        return value

    def place(each):
        if isinstance(each, bool):
            return 0, each, b""
        if isinstance(each, float):
            return 1, each, b""
        expect(isinstance(each, str))
        return 2, 0, each.encode("utf-8")

    once = {place(each): each for each in value}
    return [once[each] for each in sorted(once)]


def sorted_pairs(value):
    """The pairs of `hashed`, by n, then h (FORMAT M-1.13)."""
    if not isinstance(value, list):
        return value
    once = {(pair[0], pair[1]): pair for pair in value}
    return [once[each] for each in sorted(once)]


def _condition(value):
    expect(isinstance(value, dict))
    forms = [name for name in value if name in _CONDITIONS]
    expect(len(forms) == 1)
    return _shaped(_CONDITIONS[forms[0]], value)


_HASHING = {"by": None, "salt": None, "tail": None, "hash": None, "seed": None, "of": None}
# FORMAT M-5.3
_HASHING_DEFAULTS = {"by": "targetingKey", "tail": "", "hash": "xxh32", "seed": 0.0, "of": 100_000.0}
_BUCKET = _Shape({**_HASHING, "in": None, "ramp": None, "linear": None}, _HASHING_DEFAULTS)
_SPLIT = _Shape({**_HASHING, "ranges": None}, _HASHING_DEFAULTS)
_HASHED = _Shape({"salt": None, "in": sorted_set, "starts": sorted_pairs, "ends": sorted_pairs})

_CONDITIONS = {
    "all": _Shape({"all": [_condition]}),
    "any": _Shape({"any": [_condition]}),
    "not": _Shape({"not": _condition}),
    "attr": _Shape(
        {
            **{"attr": None, "as": None, "fold": None},
            **{"exists": None, "in": sorted_set, "has_all": sorted_set},
            **{"starts": sorted_set, "ends": sorted_set, "contains": sorted_set, "matches": None},
            **{"lt": None, "lte": None, "gt": None, "gte": None, "semver": None, "since": None, "before": None},
            **{"cidr": sorted_set, "listed": None, "hashed": _HASHED, "absent": None},
        }
    ),
    "segment": _Shape({"segment": sorted_set}),
    "flag": _Shape({"flag": None, "is": sorted_set}),
    "bucket": _Shape({"bucket": _BUCKET, "absent": None}),
    "time": _Shape({"time": _Shape({"since": None, "before": None})}),
}
_RULE = _Shape({"id": None, "if": [_condition], "serve": None, "split": _SPLIT, "exp": None}, {"if": []})
_FLAG_MEMBERS = {
    **{"flag": None, "type": None, "rev": None, "on": None, "values": _FREE, "off": None},
    **{"needs": [_condition], "rules": [_RULE], "fallthrough": None, "meta": _FREE},
}
_LIST_MEMBERS = {
    **{"list": None, "encoding": None, "sha256": None, "size": None, "raw_size": None, "count": None},
    **{"add": sorted_set, "drop": sorted_set},
}
_CHECK_MEMBERS = {
    **{"check": None, "flag": None, "at": None, "context": _FREE},
    "expect": _Shape({"variation": None, "reason": None, "rule": None}),
}
_ENVIRONMENT_MEMBERS = {
    "environment": None,
    "project": None,
    "view": None,
    "level": None,
    "private": sorted_set,
}
_KINDS = {
    "flag": _Shape(_FLAG_MEMBERS, {"needs": [], "rules": [], "meta": {}}),
    "segment": _Shape({"segment": None, "if": [_condition]}, {"if": []}),
    "list": _Shape(_LIST_MEMBERS, {"add": [], "drop": []}),
    "environment": _Shape(_ENVIRONMENT_MEMBERS, {"level": 1.0, "private": []}),
    "check": _Shape(_CHECK_MEMBERS, {"context": {}}),
}


def is_canonical(text):
    """Whether the bytes of a line are those that a writer writes."""
    try:
        return line(strictjson.read(text)).encode("utf-8") == text
    except (Unreadable, strictjson.NotJson):
        return False
