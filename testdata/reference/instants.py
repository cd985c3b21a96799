"""Instants of lines (FORMAT M-1.12) and timestamps of contexts (FORMAT M-4.5), in epoch milliseconds."""

import re

from values import Unreadable, expect, is_integral

_INSTANT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{3}))?Z")
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_since_1970(year, month, day):
    """Days from 1970-01-01 to a date of the proleptic Gregorian calendar."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    expect(1 <= month <= 12)
    expect(1 <= day <= _MONTHS[month - 1] + (1 if leap and month == 2 else 0))

    def before(year):  # days before 1 January of a year, counted from year 1
        past = year - 1
        return past * 365 + past // 4 - past // 100 + past // 400

    in_year = sum(_MONTHS[: month - 1]) + (1 if leap and month > 2 else 0) + day - 1
    return before(year) + in_year - before(1970)


def _milliseconds(year, month, day, hour, minute, second):
    expect(hour <= 23 and minute <= 59 and second <= 59)
    return (((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000


def instant(text):
    """An instant of a line, in epoch milliseconds (FORMAT M-1.12)."""
    found = _INSTANT.fullmatch(text) if isinstance(text, str) else None
    expect(found)
    parts = [int(part) for part in found.groups()[:6]]
    expect(parts[0] >= 1970)
    # A writer leaves `.000` out; a reader takes it.
    return _milliseconds(*parts) + int(found.group(7) or 0)


def timestamp(value):
    """A value of a context as epoch milliseconds, or None (FORMAT M-4.5, `since` and `before`)."""
    if is_integral(value):
        return int(value)
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return None
    try:
        milliseconds = _milliseconds(*(int(part) for part in found.groups()[:6]))
    except Unreadable:
        return None
    # Digits past milliseconds are dropped.
    milliseconds += int(((found.group(7) or "") + "000")[:3])
    if found.group(8):
        hours, minutes = int(found.group(9)), int(found.group(10))
        if hours > 23 or minutes > 59:
            return None
        offset = (hours * 60 + minutes) * 60_000
        milliseconds -= offset if found.group(8) == "+" else -offset
    return milliseconds


def write_instant(milliseconds):
    """Epoch milliseconds as an instant (FORMAT M-1.12); years 1970 to 9999."""
    days, rest = divmod(milliseconds, 86_400_000)
    year = 1970 + days // 366
    while days_since_1970(year + 1, 1, 1) <= days:
        year += 1
    expect(1970 <= year <= 9999)
    month = max(month for month in range(1, 13) if days_since_1970(year, month, 1) <= days)
    day = days - days_since_1970(year, month, 1) + 1
    seconds, millis = divmod(rest, 1000)
    text = f"{year:04}-{month:02}-{day:02}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text + (f".{millis:03}Z" if millis else "Z")
