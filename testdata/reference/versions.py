"""Versions and their ranges (FORMAT M-4.6). Precedence is that of SemVer 2.0 §11."""

import re

from values import expect

_N = r"(0|[1-9][0-9]{0,14})"
_DOTTED = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_ATTRIBUTE = re.compile(rf"[vV]?{_N}(?:\.{_N}(?:\.{_N})?)?(?:-({_DOTTED}))?(?:\+{_DOTTED})?")
_OPERAND = re.compile(rf"{_N}\.{_N}\.{_N}(?:-({_DOTTED}))?")
_COMPARATOR = re.compile(r"(=|<=|<|>=|>)(.*)", re.DOTALL)
MAX_COMPARATORS = 4


def _key(found):
    """What orders versions as SemVer does when it is compared as a tuple; None if it is no version."""
    identifiers = []
    for text in found.group(4).split(".") if found.group(4) else ():
        if text.isdigit():
            # Numeric identifiers have no leading zeros and at most 15 digits.
            if len(text) > 15 or (text[0] == "0" and text != "0"):
                return None
            identifiers.append((0, int(text), ""))  # numeric is lower than alphanumeric
        else:
            identifiers.append((1, 0, text))  # by ASCII
    numbers = tuple(int(part or 0) for part in found.groups()[:3])
    # A version without pre-release is higher than any with one; a longer list is higher than its beginning.
    return numbers, (1,) if not identifiers else (0, tuple(identifiers))


def version(text):
    """The key of the version that an attribute spells, or None."""
    found = _ATTRIBUTE.fullmatch(text) if isinstance(text, str) else None
    return _key(found) if found else None


def version_range(text):
    """The operand of `semver`: pairs of operator and key."""
    expect(isinstance(text, str))
    comparators = text.split(" ")  # one space between them
    expect(len(comparators) <= MAX_COMPARATORS)
    pairs = []
    for comparator in comparators:
        found = _COMPARATOR.fullmatch(comparator)
        expect(found)
        full = _OPERAND.fullmatch(found.group(2))
        key = _key(full) if full else None
        expect(key)
        pairs.append((found.group(1), key))
    return pairs


def holds(pairs, key):
    """Whether every comparator holds."""
    results = {
        "=": lambda other: key == other,
        "<": lambda other: key < other,
        "<=": lambda other: key <= other,
        ">": lambda other: key > other,
        ">=": lambda other: key >= other,
    }
    return all(results[operator](other) for operator, other in pairs)
