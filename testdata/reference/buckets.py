"""Buckets, ranges, and ramps (FORMAT M-5.3 to M-5.6, M-6.3)."""

from instants import instant
from values import MAX_INTEGER, expect, integer, path

_MASK = 0xFFFFFFFF
_P1, _P2, _P3, _P4, _P5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393


def _rotate(number, count):
    return (number << count | number >> (32 - count)) & _MASK


def xxh32(data, seed=0):
    """XXH32, as its specification describes it."""
    at, size = 0, len(data)
    if size >= 16:
        lanes = [(seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK, seed, (seed - _P1) & _MASK]
        while at + 16 <= size:
            for lane in range(4):
                word = int.from_bytes(data[at : at + 4], "little")
                lanes[lane] = _rotate((lanes[lane] + word * _P2) & _MASK, 13) * _P1 & _MASK
                at += 4
        total = sum(_rotate(lane, count) for lane, count in zip(lanes, (1, 7, 12, 18)))
    else:
        total = seed + _P5
    total = (total + size) & _MASK
    while at + 4 <= size:
        total = (total + int.from_bytes(data[at : at + 4], "little") * _P3) & _MASK
        total = _rotate(total, 17) * _P4 & _MASK
        at += 4
    while at < size:
        total = (total + data[at] * _P5) & _MASK
        total = _rotate(total, 11) * _P1 & _MASK
        at += 1
    total = (total ^ total >> 15) * _P2 & _MASK
    total = (total ^ total >> 13) * _P3 & _MASK
    return total ^ total >> 16


class Hashing:
    """Which bucket a unit has: the members that a split and a bucket condition share (FORMAT M-5.3)."""

    def __init__(self, members):
        """Takes its own members out of `members`; what is left is for the caller."""
        self.by = path(members.pop("by", "targetingKey"))
        salt = members.pop("salt", None)  # always written
        tail = members.pop("tail", "")
        self.hash = members.pop("hash", "xxh32")
        expect(isinstance(salt, str) and isinstance(tail, str) and isinstance(self.hash, str))
        integer(members.pop("seed", 0.0), low=0)
        self.of = integer(members.pop("of", 100_000.0), low=1)
        # FORMAT M-5.10: the other names are reserved, and this reader has none of them.
        self.supported = self.hash == "xxh32"
        expect(self.of <= (2**32 if self.supported else MAX_INTEGER))
        self.seed = xxh32(salt.encode("utf-8"))

    def bucket(self, unit):
        """The bucket of a unit (FORMAT M-5.5)."""
        return (xxh32(unit.encode("utf-8"), self.seed) * self.of) >> 32


def ranges(value, of, variations=None):
    """Ranges [start, end) or, with variations, [start, end, variation) (FORMAT M-5.4)."""
    expect(isinstance(value, list))
    free = 0
    read = []
    for item in value:
        expect(isinstance(item, list) and len(item) == (2 if variations is None else 3))
        start, end = integer(item[0], low=0), integer(item[1], low=0)
        expect(free <= start < end <= of)  # sorted, and without overlap
        if variations is not None:
            expect(isinstance(item[2], str) and item[2] in variations)
        read.append((start, end, *item[2:]))
        free = end
    return read


def ramp(value, of):
    """The points of a ramp as pairs of seconds and n (FORMAT M-6.3)."""
    expect(isinstance(value, list))
    points = []
    for item in value:
        expect(isinstance(item, list) and len(item) == 2)
        at, n = instant(item[0]), integer(item[1], low=0)
        expect(at % 1000 == 0 and n <= of)
        if points:
            expect(points[-1][0] < at // 1000 and points[-1][1] <= n)
        points.append((at // 1000, n))
    return points


def reached(points, linear, now):
    """How many buckets a ramp has reached at `now`, in epoch milliseconds (FORMAT M-6.3)."""
    second = now // 1000
    passed = [at for at, point in enumerate(points) if point[0] <= second]
    if not passed:
        return 0  # before the first point, for nobody
    last = passed[-1]
    t0, n0 = points[last]
    if not linear or last + 1 == len(points):
        return n0
    t1, n1 = points[last + 1]
    return n0 + (n1 - n0) * (second - t0) // (t1 - t0)
