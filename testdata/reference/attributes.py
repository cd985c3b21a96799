"""Leaves: tests of an attribute, with their modifiers (FORMAT M-4.3 to M-4.9)."""

import hashlib
import re

import instants
import networks
import patterns
import values
import versions
from results import FALSE, TRUE, UNKNOWN, UNSUPPORTED, all_of, any_of, truth
from strictjson import is_well_formed, number_of
from values import Unreadable, expect, lookup


def absent_result(rest):
    """FORMAT M-4.3: the result in place of *unknown*."""
    if "absent" not in rest:
        return UNKNOWN
    value = rest.pop("absent")
    expect(isinstance(value, bool))
    return truth(value)


# FORMAT M-4.8
_FOLDABLE = {"in", "starts", "ends", "contains", "has_all", "hashed"}


def compile_leaf(scope, operand, rest, _depth):
    path = values.path(operand)
    absent = absent_result(rest)
    tests = {name: value for name, value in rest.items() if name not in ("as", "fold")}
    bad = _bad_parts(rest, tests)
    compiled = {}
    for name, value in tests.items():
        try:
            expect(name in _TESTS or name in ("exists", "has_all"))
            if name == "exists":
                expect(isinstance(value, bool))
                compiled[name] = value
            elif name == "has_all":
                compiled[name] = values.scalars(value)
            else:
                compiled[name] = _TESTS[name](scope, value)
        except Unreadable:
            bad.append(f"test {name}" if name in _ALL_TESTS else "test (unknown)")
    if bad:

        def unsupported(question):
            for name in bad:
                question.note(name, UNSUPPORTED)
            return UNSUPPORTED

        return unsupported
    # FORMAT M-1.15: those of leaves that can be read count.
    scope.instructions += sum(getattr(test, "instructions", 0) for test in compiled.values())
    convert = _conversion(rest.get("as"), rest.get("fold"))
    list_key = tests.get("listed")
    exists = compiled.pop("exists", None)
    has_all = compiled.pop("has_all", None)

    def run(question):
        if list_key is not None and not question.has_list(list_key):
            # FORMAT M-10.2: the leaf, whatever the attribute and the other tests are.
            return question.note("test listed", UNSUPPORTED)
        value = lookup(question.context, path)
        results = []
        if exists is not None:
            results.append(question.note("test exists", truth((value is not None) == exists)))
        if has_all is not None:
            results.append(question.note("test has_all", _has_all(value, has_all, convert)))
        if compiled:
            if value is None:
                results += [question.note("test " + name, UNKNOWN) for name in compiled]
            elif isinstance(value, list):
                # FORMAT M-4.4: on each element, combined as `any`.
                result = any_of(_ask(question, compiled, each, convert) for each in value)
                results.append(question.note("array", result))
            else:
                results.append(_ask(question, compiled, value, convert))
        result = all_of(results)
        for name in ("as", "fold"):
            if name in rest:
                question.note(f"{name} {rest[name]}", result)
        return absent if result == UNKNOWN else result

    return run


def _bad_parts(rest, tests):
    """What makes a leaf unsupported but for its operands."""
    bad = []
    if not tests:
        bad.append("test (none)")
    if "as" in rest and rest["as"] not in ("number", "string"):
        bad.append("as")
    # FORMAT M-4.8: another value, or beside any other test.
    if "fold" in rest and (rest["fold"] != "ascii" or set(tests) - _FOLDABLE):
        bad.append("fold")
    return bad


def _ask(question, tests, value, convert):
    """The tests of a leaf on one value; a null, an array, or an object is *unknown*."""
    value = convert(value)
    results = []
    for name, test in tests.items():
        unusable = value is None or isinstance(value, (list, dict))
        results.append(question.note("test " + name, UNKNOWN if unusable else test(question, value)))
    return all_of(results)


def _conversion(as_type, fold):
    """FORMAT M-4.8, M-4.9: what is converted, or None where that cannot be done."""

    def convert(value):
        if as_type == "number":
            value = _to_number(value)
        if as_type == "string":
            value = _to_string(value)
        if fold and isinstance(value, str):
            value = re.sub("[A-Z]", lambda found: found.group().lower(), value)
        return value

    return convert


def _to_number(value):
    if isinstance(value, str):
        return number_of(value)
    return value if values.is_number(value) else None


def _to_string(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if values.is_integral(value):
        return values.digits(value)
    return value if isinstance(value, str) else None


def _same(operand, value):
    """FORMAT M-3.7: equality is typed."""
    if isinstance(operand, bool) or isinstance(value, bool):
        return operand is value
    return type(operand) is type(value) and operand == value


def _is_scalar(value):
    return isinstance(value, (str, bool)) or values.is_usable_number(value)


def _has_all(value, operands, convert):
    """FORMAT M-4.4, M-4.5: `has_all` sees the whole array; a scalar is an array of one."""
    elements = value if isinstance(value, list) else [value]
    elements = [each for each in map(convert, elements) if _is_scalar(each)]
    if not elements and not isinstance(value, list):
        return UNKNOWN
    return truth(all(any(_same(operand, each) for each in elements) for operand in operands))


# FORMAT M-4.5: the tests, each a compiler of its operand


def _test_in(_scope, operand):
    operands = values.scalars(operand)

    def test(_question, value):
        if not _is_scalar(value):
            return UNKNOWN
        return truth(any(_same(each, value) for each in operands))

    return test


def _text_test(compare):
    def compile_it(_scope, operand):
        operands = values.strings(operand)

        def test(_question, value):
            if not isinstance(value, str):
                return UNKNOWN
            # Code points compare as their UTF-8 does.
            return truth(any(compare(value, each) for each in operands))

        return test

    return compile_it


def _number_test(compare):
    def compile_it(_scope, operand):
        expect(values.finite(operand))

        def test(_question, value):
            return truth(compare(value, operand)) if values.is_usable_number(value) else UNKNOWN

        return test

    return compile_it


def _test_matches(_scope, operand):
    pattern = patterns.Pattern(operand)

    def test(_question, value):
        if not isinstance(value, str) or not is_well_formed(value):
            return UNKNOWN
        if len(value.encode("utf-8")) > patterns.MAX_SUBJECT_BYTES:
            return UNKNOWN
        return truth(pattern.found_in(value))

    test.instructions = pattern.instructions
    return test


def _test_semver(_scope, operand):
    comparators = versions.version_range(operand)

    def test(_question, value):
        version = versions.version(value)
        return UNKNOWN if version is None else truth(versions.holds(comparators, version))

    return test


def _instant_test(compare):
    def compile_it(_scope, operand):
        bound = instants.instant(operand)

        def test(_question, value):
            at = instants.timestamp(value)
            return UNKNOWN if at is None else truth(compare(at, bound))

        return test

    return compile_it


def _test_cidr(_scope, operand):
    nets = [networks.network(each) for each in values.strings(operand)]

    def test(_question, value):
        address = networks.address(value)
        if address is None:
            return UNKNOWN
        return truth(any(networks.inside(net, address) for net in nets))

    return test


def _test_listed(scope, operand):
    expect(isinstance(operand, str))
    scope.lists.add(operand)

    def test(question, value):
        unit = values.unit(value)
        if unit is None:
            return UNKNOWN
        return truth(question.is_listed(operand, unit))

    return test


_HEX = re.compile("[0-9a-f]{12,64}")


def _test_hashed(_scope, operand):
    expect(isinstance(operand, dict) and not set(operand) - {"salt", "in", "starts", "ends"})
    expect(isinstance(operand.get("salt"), str))
    salt = operand["salt"].encode("utf-8")
    whole = values.strings(operand.get("in", []))
    sides = []  # (from the end, n, h)
    for name in ("starts", "ends"):
        pairs = operand.get(name, [])
        expect(isinstance(pairs, list))
        for pair in pairs:
            expect(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str))
            sides.append((name == "ends", values.integer(pair[0], low=0), pair[1]))
    digests = whole + [side[2] for side in sides]
    expect(all(_HEX.fullmatch(each) for each in digests))
    expect(len({len(each) for each in digests}) <= 1)  # one length in an object

    def digest(data):
        return hashlib.sha256(data + salt).hexdigest()

    def test(_question, value):
        if not isinstance(value, str):
            return UNKNOWN
        data = value.encode("utf-8", "surrogatepass")
        if any(digest(data).startswith(each) for each in whole):
            return TRUE
        for from_end, count, each in sides:
            if count <= len(data):  # if there are so many
                part = data[len(data) - count :] if from_end else data[:count]
                if digest(part).startswith(each):
                    return TRUE
        return FALSE

    return test


_TESTS = {
    "in": _test_in,
    "starts": _text_test(str.startswith),
    "ends": _text_test(str.endswith),
    "contains": _text_test(lambda value, operand: operand in value),
    "matches": _test_matches,
    "lt": _number_test(lambda value, operand: value < operand),
    "lte": _number_test(lambda value, operand: value <= operand),
    "gt": _number_test(lambda value, operand: value > operand),
    "gte": _number_test(lambda value, operand: value >= operand),
    "semver": _test_semver,
    "since": _instant_test(lambda value, bound: value >= bound),
    "before": _instant_test(lambda value, bound: value < bound),
    "cidr": _test_cidr,
    "listed": _test_listed,
    "hashed": _test_hashed,
}
_ALL_TESTS = {"exists", "has_all", *_TESTS}
