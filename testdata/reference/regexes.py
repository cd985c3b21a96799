"""Kernel expressions at random, and strings that they match (FORMAT M-4.7)."""

import patterns

_LITERALS = "abAB01._-/ é€😀\n\t@&~\u212a"
_SPECIAL = "\\.+*?()|[]{}^$"
_SETS = (
    "[a-z]",
    "[0-9]",
    "[^a-z]",
    "[A-Za-z0-9_]",
    "[^\n]",
    "[é-ü]",
    "[\\]\\\\\\^\\-]",
    "[.+*?$(){}]",
    "[a-a]",
    "[^\\-a]",
    "[ -\u00ff]",
)


def _char_of(r, set_text):
    negated = set_text.startswith("[^")
    chars = [each for each in "abzAZ059_-]^\\.+*?$(){} \néöü€" if each]
    pattern = patterns.Pattern("^" + set_text + "$")
    good = [each for each in chars if pattern.found_in(each)]
    return r.choice(good) if good else ("€" if negated else "a")


# Counts within counts, whose product is near the greatest (FORMAT M-4.7).
_COUNTS = ((91, 11), (250, 4), (4, 250), (40, 25), (13, 77), (10, 100), (7, 143), (3, 255), (2, 250))


def _nested(r, atom, one):
    """An atom with a count, in a group that will have another: a little less, as much, or more than may be."""
    low, high = r.choice(_COUNTS)
    inner = r.choice(("{%d}", "{%d,}", "{0,%d}")) % low
    outer = r.choice(("{%d}", "{%d,}", "{0,%d}")) % high if r.random() < 0.9 else r.choice(("*", "{0}"))
    between = r.choice(("", "", "", "b*", "|b", "c{0}"))
    return "(?:" + atom + inner + between + ")", one * r.choice((0, 1, low)), 0, r.choice((1, 2)), outer


def regex(r, depth=0):
    """Text of a kernel expression, and a string that it is likely to match."""
    text, sample = "", ""
    branches = []
    for _ in range(r.choice((1, 1, 1, 2, 3)) if depth else r.choice((1, 1, 1, 1, 2))):
        part_text, part_sample = "", ""
        for _ in range(r.choice((0, 1, 1, 2, 2, 3))):
            kind = r.random()
            if kind < 0.5:
                char = r.choice(_LITERALS) if r.random() < 0.85 else r.choice(_SPECIAL)
                atom, one = ("\\" + char if char in _SPECIAL else char), char
            elif kind < 0.6:
                atom, one = ".", r.choice("a€\n😀")
            elif kind < 0.78:
                atom = r.choice(_SETS)
                one = _char_of(r, atom)
            elif kind < 0.9 and depth < 3:
                inner, one = regex(r, depth + 1)
                atom = "(?:" + inner + ")"
            else:
                part_text += r.choice("^$")
                continue
            low, high, mark = r.choice(
                (
                    (1, 1, ""),
                    (1, 1, ""),
                    (1, 1, ""),
                    (0, 3, "*"),
                    (1, 3, "+"),
                    (0, 1, "?"),
                    (2, 2, "{2}"),
                    (0, 0, "{0}"),
                    (1, 3, "{1,}"),
                    (1, 2, "{1,2}"),
                    (0, 3, "{0,3}"),
                )
            )
            if depth == 0 and r.random() < 0.01:
                low, high, mark = 255, 255, r.choice(("{255}", "{255,255}", "{0,255}", "{255,}"))
            if r.random() < 0.03:
                atom, one, low, high, mark = _nested(r, atom, one)
            part_text += atom + mark
            part_sample += one * r.randint(low, high)
        branches.append((part_text, part_sample))
    text = "|".join(each[0] for each in branches)
    sample = r.choice(branches)[1]
    return text, sample
