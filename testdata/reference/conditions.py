"""Conditions (FORMAT M-4): compiled once, then asked with a context and a time.

A compiled condition is a function of a `Question`; it gives one of the four results. What cannot be read
is decided here, when the line is compiled, whatever the context will be (FORMAT M-4.5).
"""

import buckets
import instants
import values
from attributes import absent_result, compile_leaf
from results import UNKNOWN, UNSUPPORTED, all_of, any_of, negation, truth
from values import Unreadable, expect, lookup

# FORMAT M-4.2: `all`, `any`, `not` on one path.
MAX_CONNECTIVES = 8
# FORMAT M-1.15
MAX_LINE_INSTRUCTIONS = 32_000

_FORMS = ("all", "any", "not", "attr", "segment", "flag", "bucket", "time")


class Scope:
    """The entity that conditions are compiled for.

    `references` are those that count (FORMAT M-5.2): ("flag", key) and ("segment", key). `lists` are the
    keys that `listed` names, `instructions` those of all expressions (FORMAT M-1.15).
    """

    def __init__(self, entity):
        self.entity = entity
        self.references = set()
        self.lists = set()
        self.instructions = 0

    def is_bad(self):
        """Whether the line is bad for the sum of its expressions; then nothing that it names is followed."""
        if self.instructions > MAX_LINE_INSTRUCTIONS:
            self.references, self.lists = set(), set()
            return True
        return False


def compile_all(scope, conditions):
    """An `if` or `needs`: an array of conditions, as a list of functions."""
    expect(isinstance(conditions, list))
    return [compile_condition(scope, each, 0) for each in conditions]


def compile_condition(scope, condition, depth):
    """One condition; what is unreadable becomes *unsupported* (FORMAT M-10.2)."""
    form = "none"
    try:
        expect(isinstance(condition, dict))
        forms = [name for name in condition if name in _FORMS]
        expect(len(forms) == 1)  # FORMAT M-4.2: none, or two of them
        form = forms[0]
        rest = {name: value for name, value in condition.items() if name != form}
        return _COMPILERS[form](scope, condition[form], rest, depth)
    except Unreadable:
        return _unsupported("form " + form)


def _unsupported(name):
    def run(question):
        return question.note(name, UNSUPPORTED)

    return run


def holds_bucket(conditions):
    """Whether an `if` itself holds a bucket condition, readable or not, at any depth (FORMAT M-8.0, step 9)."""
    if not isinstance(conditions, list):
        return False
    for condition in conditions:
        if isinstance(condition, dict):
            if "bucket" in condition or holds_bucket([condition.get("not")]):
                return True
            if holds_bucket(condition.get("all")) or holds_bucket(condition.get("any")):
                return True
    return False


# FORMAT M-4.1, M-4.2: connectives


def _connective(name, combine):
    def compile_it(scope, operand, rest, depth):
        # A ninth on one path is unsupported (FORMAT M-1.15).
        expect(not rest and depth < MAX_CONNECTIVES and isinstance(operand, list))
        parts = [compile_condition(scope, each, depth + 1) for each in operand]
        return lambda question: question.note(name, combine(part(question) for part in parts))

    return compile_it


def _compile_not(scope, operand, rest, depth):
    expect(not rest and depth < MAX_CONNECTIVES)
    part = compile_condition(scope, operand, depth + 1)
    return lambda question: question.note("form not", negation(part(question)))


# FORMAT M-4.2: references


def _compile_segment(scope, operand, rest, _depth):
    expect(not rest)
    keys = values.strings(operand)
    scope.references.update(("segment", key) for key in keys)
    entity = scope.entity
    return lambda question: question.note(
        "form segment", any_of(question.in_segment(entity, key) for key in keys)
    )


def _compile_flag(scope, key, rest, _depth):
    expect(set(rest) == {"is"} and isinstance(key, str))
    names = values.strings(rest["is"])
    scope.references.add(("flag", key))
    entity = scope.entity
    return lambda question: question.note("form flag", question.flag_is(entity, key, names))


# FORMAT M-5.6: buckets


def _compile_bucket(scope, operand, rest, _depth):
    absent = absent_result(rest)
    expect(not rest and isinstance(operand, dict))
    members = dict(operand)
    hashing = buckets.Hashing(members)
    if set(members) == {"in"}:
        name = "form bucket in"
        spans = buckets.ranges(members["in"], hashing.of)

        def inside(bucket, _now):
            return any(start <= bucket < end for start, end in spans)

    else:
        expect("ramp" in members and not set(members) - {"ramp", "linear"})
        linear = members.get("linear", False)
        expect(isinstance(linear, bool))
        name = "form bucket linear" if linear else "form bucket ramp"
        points = buckets.ramp(members["ramp"], hashing.of)

        def inside(bucket, now):
            return bucket < buckets.reached(points, linear, now)

    expect(hashing.supported)  # FORMAT M-10.2: unsupported always

    def run(question):
        unit = values.unit(lookup(question.context, hashing.by))
        if unit is None:
            question.note(name, UNKNOWN)
            return absent
        return question.note(name, truth(inside(hashing.bucket(unit), question.now)))

    return run


# FORMAT M-4.2: time


def _compile_time(_scope, operand, rest, _depth):
    expect(not rest and isinstance(operand, dict) and not set(operand) - {"since", "before"})
    since = instants.instant(operand["since"]) if "since" in operand else None
    before = instants.instant(operand["before"]) if "before" in operand else None

    def run(question):
        early = since is not None and question.now < since
        late = before is not None and question.now >= before
        return question.note("form time", truth(not early and not late))

    return run


_COMPILERS = {
    "all": _connective("form all", all_of),
    "any": _connective("form any", any_of),
    "not": _compile_not,
    "attr": compile_leaf,
    "segment": _compile_segment,
    "flag": _compile_flag,
    "bucket": _compile_bucket,
    "time": _compile_time,
}
