"""Paths, units, and numbers of a context (FORMAT M-3), and what is readable as what."""

import math
import re

from strictjson import is_well_formed

# FORMAT: integers end at 2⁵³−1.
MAX_INTEGER = 2**53 - 1


class Unreadable(ValueError):
    """Not of the type or form that the text gives."""


def expect(condition):
    """What must hold of something readable."""
    if not condition:
        raise Unreadable


def is_number(value):
    """Whether a value is a number at all; a bool is none."""
    return isinstance(value, float) and not isinstance(value, bool)


def integer(value, low=-MAX_INTEGER):
    """A number of a line as an integer, by value (FORMAT M-1.10)."""
    expect(is_number(value) and math.isfinite(value) and value == math.floor(value))
    expect(low <= value <= MAX_INTEGER)
    return int(value)


def is_usable_number(value):
    """FORMAT M-3.5: NaN, infinities, and numbers outside ±(2⁵³−1) are of the wrong type."""
    return is_number(value) and -MAX_INTEGER <= value <= MAX_INTEGER


def is_integral(value):
    """Whether a value of a context is an integral number within ±(2⁵³−1)."""
    return is_usable_number(value) and value == math.floor(value)


def path(text):
    """The segments of a path (FORMAT M-3.3)."""
    expect(isinstance(text, str))
    segments = text.split(".")
    for segment in segments:
        expect(segment != "" and not re.search("~(?![01])", segment))
    # In one pass, so that `~01` is `~1` and not `.`.
    return [re.sub("~[01]", lambda found: "~" if found.group() == "~0" else ".", each) for each in segments]


def lookup(context, segments):
    """What a path leads to; None is *missing*, and null is too (FORMAT M-3.4)."""
    for segment in segments:
        if not isinstance(context, dict):
            return None  # FORMAT M-3.3: through objects only
        context = context.get(segment)
    return context


def unit(value):
    """The text of a unit (FORMAT M-3.6), or None."""
    if isinstance(value, str):
        return value if value != "" and is_well_formed(value) else None
    return digits(value) if is_integral(value) else None


def digits(value):
    """An integral number as its decimal digits; −0 is `0` (FORMAT M-3.6)."""
    return str(int(value))


def strings(value):
    """An array of strings."""
    expect(isinstance(value, list) and all(isinstance(each, str) for each in value))
    return value


def scalars(value):
    """An array of strings, numbers, and bools. Numeric operands are any finite f64 (FORMAT M-4.5)."""
    expect(isinstance(value, list))
    for each in value:
        expect(isinstance(each, (str, bool)) or finite(each))
    return value


def finite(value):
    """Whether a value is a finite number."""
    return is_number(value) and math.isfinite(value)
