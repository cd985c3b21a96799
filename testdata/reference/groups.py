"""Flags and segments at random, in small groups that refer to each other."""

import instants
import malformed
import operands
import strictjson
from values import Unreadable, path

PATHS = (
    "targetingKey",
    "country",
    "app.version",
    "org.id",
    "t~0x",
    "o.z~1w",
    "tags",
    "ip",
    "a",
    "b",
    "ñ",
    "x.y.z",
)
BAD_PATHS = ("", ".", "a.", "a..b", "~", "~2", "a~", None, 1.0, [])
VARIATIONS = ("on", "off", "x", "y/ z")
TYPES = ("bool", "string", "int", "float", "json")
SALTS = ("s", "t", "ñandú", "cta-test.2", "", "layer", "a salt that is longer than sixteen bytes")
LONG = (
    "a unit that is longer than sixteen bytes",
    "0123456789abcdef",
    "ünïcødé-üñíts-are-hashed-by-their-bytes-of-UTF-8",
)
FLAGS = ("a", "b", "c", "d", "e", "p", "q", "r", "s", "t", "u", "v", "w")
EDGES = ("v", "w")
TARGETS = ("a", "b", "c", "d", "e")
SEGMENTS = ("s1", "s2", "s3")
TESTS = (*operands.OPERANDS, "listed")
NOW = operands.BASE_MS


class Group:
    """A few entities that refer to each other; `wild` is how often something is malformed."""

    def __init__(self, r, name, list_keys, wild):
        self.r, self.name, self.list_keys, self.wild = r, name, list_keys, wild
        self.hints = {}  # entity → [(path, values)]
        self.moments = []
        self.entity = None
        self.lines = []
        for each in SEGMENTS:
            self.lines.append(self.segment(self._key(each)))
        for each in FLAGS:
            self.lines.append(self.flag(self._key(each), each))

    def _key(self, each):
        return f"{self.name}.{each}"

    def odd(self, chance=1.0):
        """Whether something goes wrong here."""
        return self.r.random() < self.wild * chance

    def hint(self, text, values):
        """Remembers values for what a path leads to."""
        try:
            self.hints[self.entity].append((path(text), values))
        except Unreadable:
            pass

    # Conditions

    def condition(self, depth=0):
        r = self.r
        if self.odd():
            return operands.junk(r)
        form = r.choice(
            ("attr",) * 7
            + ("segment", "flag", "bucket", "bucket", "time")
            + (("all", "any", "not") * 2 if depth < 3 else ())
        )
        condition = getattr(self, "form_" + form)(depth)
        if self.odd():
            condition[r.choice(("zz", "all", "attr", "absent", "is", "exists", "not", "bucket"))] = (
                operands.junk(r)
            )
        return shuffled(r, condition)

    def form_all(self, depth):
        if self.r.random() < 0.01:
            return self.nested()
        return {"all": [self.condition(depth + 1) for _ in range(self.r.choice((0, 1, 2, 2, 3)))]}

    def form_any(self, depth):
        return {"any": [self.condition(depth + 1) for _ in range(self.r.choice((0, 1, 2, 2, 3)))]}

    def form_not(self, depth):
        return {"not": self.condition(depth + 1)}

    def nested(self):
        """Seven to ten connectives on one path (FORMAT M-1.15)."""
        condition = self.form_attr(0)
        for _ in range(self.r.randint(6, 9)):
            name = self.r.choice(("all", "any", "not"))
            condition = {name: condition if name == "not" else [condition]}
        return condition

    def form_segment(self, _depth):
        keys = [self._key(self.r.choice(SEGMENTS)) for _ in range(self.r.choice((0, 1, 1, 2)))]
        return {"segment": self.r.choice((keys + ["gone"], "s", [1.0], None)) if self.odd() else keys}

    def form_flag(self, _depth):
        r = self.r
        names = [r.choice(VARIATIONS) for _ in range(r.choice((0, 1, 2, 3)))]
        condition = {"flag": self._key(r.choice(TARGETS)), "is": names}
        if self.odd():
            condition["is"] = r.choice((names + ["zz"], "on", [1.0], None))
        if self.odd():
            condition["flag"] = r.choice(("gone", None, 1.0, []))
        if self.odd(0.5):
            del condition["is"]
        return condition

    def form_time(self, _depth):
        r = self.r
        bounds = {}
        for name in ("since", "before"):
            if r.random() < 0.7:
                bounds[name] = self.bound()
        if self.odd(0.5):
            bounds["x"] = self.bound()
        return {"time": operands.junk(r) if self.odd() else bounds}

    def bound(self):
        at = operands.moment(self.r)
        self.moments.append(at)
        if self.odd():
            return malformed.bad_operand(self.r, "since")
        return instants.write_instant(at)

    def form_bucket(self, _depth):
        r = self.r
        members, of = self.hashing()
        if r.random() < 0.5:
            members["in"] = self.ranges(of, False)
        else:
            members["ramp"] = self.ramp(of)
            if r.random() < 0.5:
                members["linear"] = r.choice((False, 1.0)) if self.odd() else True
        if self.odd(0.5):
            members[r.choice(("in", "ramp", "ranges", "zz", "linear"))] = operands.junk(r)
        if self.odd(0.5):
            members = operands.junk(r)
        return self.with_absent({"bucket": members})

    def with_absent(self, condition):
        if self.r.random() < 0.25:
            condition["absent"] = operands.junk(self.r) if self.odd() else self.r.random() < 0.5
        return condition

    def form_attr(self, _depth):
        r = self.r
        if self.odd(0.5):
            return {"attr": r.choice(BAD_PATHS), "exists": True}
        condition = {"attr": r.choice(PATHS)}
        tests = [r.choice(TESTS) for _ in range(r.choice((1, 1, 1, 1, 2, 2, 3)))]
        values = []
        for test in tests:
            condition[test], some = self.operand(test)
            values += some
        if r.random() < 0.2:
            condition["as"] = (
                r.choice(("bool", None, "Number")) if self.odd() else r.choice(("number", "string"))
            )
            values += [converted(r, each) for each in values if not isinstance(each, (list, dict))]
        foldable = set(tests) <= {"in", "starts", "ends", "contains", "has_all", "hashed"}
        if r.random() < (0.3 if foldable else self.wild):
            condition["fold"] = r.choice(("unicode", None, True)) if self.odd() else "ascii"
            values += [each.upper() for each in values if isinstance(each, str)]
        if self.odd():
            condition[r.choice(("geo_within", "modulo", "foo"))] = ["x"]
        if self.odd(0.3):
            for test in tests:
                condition.pop(test, None)
        self.hint(condition["attr"], values)
        return self.with_absent(condition)

    def edge(self):
        """A leaf with an operand that is unreadable, or only just readable."""
        r = self.r
        if r.random() < 0.1:
            return self.nested()
        test = r.choice(tuple(operands.OPERANDS))
        condition = {"attr": r.choice(PATHS), test: malformed.bad_operand(r, test)}
        self.hint(condition["attr"], operands.OPERANDS[test](r)[1])
        return condition

    def operand(self, test):
        r = self.r
        if test == "listed":
            key = r.choice(tuple(self.list_keys))
            some = (
                r.sample(self.list_keys[key], min(4, len(self.list_keys[key]))) if self.list_keys[key] else []
            )
            values = some + [operands.near(r, each) for each in some] + [42.0, "42", operands.scalar(r)]
            return (r.choice(("gone", None, 1.0, [])) if self.odd(3) else key), values
        operand, values = operands.OPERANDS[test](r)
        if self.odd(2):
            operand = malformed.bad_operand(r, test)
        return operand, values

    # Buckets

    def hashing(self):
        r = self.r
        members, of = {}, 100_000.0
        if r.random() < 0.3:
            members["by"] = r.choice(BAD_PATHS) if self.odd() else r.choice(PATHS)
        members["salt"] = r.choice(SALTS)
        if r.random() < 0.05:
            members["tail"] = r.choice(("", "z", 1.0))
        if r.random() < 0.08:
            members["hash"] = r.choice(("xxh32", "murmur3-mod", "sha1-52", "zz", 1.0))
        if r.random() < 0.05:
            members["seed"] = r.choice((0.0, 7.0, -1.0, 1.5, 2.0**53, "x"))
        if r.random() < 0.25:
            of = r.choice((1.0, 2.0, 7.0, 100.0, 10_000.0, 28_000_000.0, 2.0**32, 2.0**32 - 1))
            if self.odd(2):
                of = r.choice((2.0**32 + 1, 2.0**53 - 1, 2.0**53, 0.0, -1.0, 1.5, "100"))
            members["of"] = of
        if self.odd(0.5):
            del members["salt"]
        self.hint(
            members.get("by", "targetingKey"),
            ["u-%d" % r.randrange(100) for _ in range(6)] + list(LONG) + list(map(float, range(-2, 4))),
        )
        return members, int(of) if isinstance(of, float) and of >= 1 else 5

    def ranges(self, of, named):
        r = self.r
        if r.random() < 0.2:  # all of it, so that a split decides
            cuts = sorted({0, of, r.randint(0, of)})
            spans = list(zip(cuts, cuts[1:]))
        else:
            cuts = sorted(r.randint(0, of) for _ in range(2 * r.randint(0, 4)))
            spans = [(cuts[at], cuts[at + 1]) for at in range(0, len(cuts), 2) if cuts[at] < cuts[at + 1]]
        read = [[float(start), float(end)] + ([r.choice(VARIATIONS)] if named else []) for start, end in spans]
        if read and self.odd():
            kind = r.randrange(5)
            if kind == 0:
                r.shuffle(read)
            elif kind == 1:
                read[-1][1] = r.choice((of + 1.0, -1.0, "5", read[-1][0], read[-1][1] + 0.5))
            elif kind == 2:
                read[0] = read[0] + [1.0] if r.random() < 0.5 else read[0][:-1]
            elif kind == 3:
                read.append(list(read[0]))
            else:
                read[0][-1] = r.choice(("gone", None, 1.0))
        return operands.junk(r) if self.odd(0.3) else read

    def ramp(self, of):
        r = self.r
        times = sorted({operands.moment(r) // 1000 for _ in range(r.choice((0, 1, 2, 2, 3, 4)))})
        counts = sorted(r.choice((0, of, r.randint(0, of), r.randint(0, of))) for _ in times)
        self.moments += [each * 1000 for each in times]
        if len(times) > 1:
            self.moments.append((times[0] * 1000 + times[-1] * 1000) // 2)
            # Where a ramp of few buckets reaches the next one.
            self.moments += [(times[0] + (times[1] - times[0]) * part // 7) * 1000 for part in range(1, 7)]
        points = [[instants.write_instant(at * 1000), float(count)] for at, count in zip(times, counts)]
        if points and self.odd(2):
            kind = r.randrange(5)
            if kind == 0:
                points[0][0] = malformed.bad_operand(r, "since")
            elif kind == 1:
                points[-1][1] = r.choice((of + 1.0, -1.0, 0.0, 0.5, "1"))
            elif kind == 2:
                points.append(list(points[-1]))
            elif kind == 3:
                points[0] = r.choice((points[0] + [1.0], points[0][:1], None))
            else:
                points[-1][0] = instants.write_instant(NOW + 1)
        return points

    # Lines

    def segment(self, key):
        self.entity = key
        self.hints[key] = []
        line = {"segment": key}
        if self.r.random() < 0.95:
            line["if"] = self.conditions(2)
        if self.odd():
            line["zz"] = 1.0
        return line

    def conditions(self, most):
        conditions = [self.condition() for _ in range(self.r.randint(0, most))]
        return operands.junk(self.r) if self.odd(0.3) else conditions

    def value(self, type_name):
        r = self.r
        if self.odd(0.3):
            return operands.junk(r)
        return r.choice(
            {
                "bool": (True, False),
                "string": operands.STRINGS,
                "int": (0.0, 1.0, -5.0, 2.0**53 - 1, -(2.0**53 - 1)) + ((1.5, 2.0**53) if self.odd() else ()),
                "float": (0.0, -0.0, 1.5, -2.0, 1e300, 5e-324, 7.0, 2.0**53, 0.1),
                "json": ({"a": [1.0, None], "": {}}, [], None, 3.0, "x", 1e300, [[[True]]], -0.0),
            }[type_name]
        )

    def flag(self, key, short):
        """`p` to `w` have one simple rule each, so that every test decides something often.

        The operands of `v` and `w` are at the edge of what can be read, or beyond.
        """
        r = self.r
        self.entity = key
        self.hints[key] = []
        type_name = r.choice(TYPES)
        variations = {each: self.value(type_name) for each in VARIATIONS if r.random() < 0.97}
        line = {
            "flag": key,
            "type": type_name,
            "rev": float(r.randint(1, 9)),
            "on": r.random() < 0.92,
            "values": variations,
        }
        if short not in TARGETS:
            line["on"] = True
            line["off"] = "off"
            condition = self.edge() if short in EDGES else self.form_attr(0)
            line["rules"] = [{"id": "r", "if": [condition], "serve": "on"}]
            line["fallthrough"] = "x"
            return line
        if r.random() < 0.8:
            line["off"] = r.choice(VARIATIONS)
        if r.random() < 0.35:
            line["needs"] = self.conditions(2)
        if r.random() < 0.85:
            rules = [self.rule(at) for at in range(r.randint(0, 5))]
            line["rules"] = operands.junk(r) if self.odd(0.3) else rules
        if r.random() < 0.5:
            line["fallthrough"] = r.choice(VARIATIONS)
        if r.random() < 0.1:
            line["meta"] = operands.junk(r) if self.odd() else {"owner": "x", "n": 1.0, "b": True}
        self.spoil(line)
        return line

    def spoil(self, line):
        r = self.r
        if self.odd(0.5):
            line["zz"] = operands.junk(r)
        if self.odd(0.5):
            line[r.choice(("rev", "off", "fallthrough", "on", "values", "type"))] = operands.junk(r)
        if self.odd(0.5):
            line.pop(r.choice(("rev", "on", "values", "type")), None)
        if self.odd(0.5):
            line["type"] = r.choice(("number", "Bool", "object"))

    def rule(self, at):
        r = self.r
        rule = {"id": f"r{at}"}
        if r.random() < 0.8:
            rule["if"] = self.conditions(2)
        if r.random() < 0.4:
            rule["serve"] = r.choice(VARIATIONS)
        else:
            members, of = self.hashing()
            members["ranges"] = self.ranges(of, True)
            if self.odd(0.5):
                members["zz"] = 1.0
            rule["split"] = operands.junk(r) if self.odd(0.3) else members
        if r.random() < 0.3:
            rule["exp"] = r.choice(("", "e" * 129, "😀" * 128, 1.0, None)) if self.odd() else f"e.{at}"
        if self.odd():
            rule[r.choice(("zz", "serve", "split", "id", "if"))] = operands.junk(r)
        if self.odd(0.3):
            rule["id"] = r.choice(("", "é" * 80, "é" * 81, None))
        if self.odd(0.3):
            del rule["id"]
        return operands.junk(r) if self.odd(0.2) else shuffled(r, rule)


def shuffled(r, members):
    """Members in another order, now and then; it never means anything (FORMAT M-1.5)."""
    if r.random() < 0.85:
        return members
    items = list(members.items())
    r.shuffle(items)
    return dict(items)


def converted(r, value):
    """A value as what `as` converts from."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return strictjson.write_number(value) if r.random() < 0.7 else repr(value)
    number = operands.as_number(value)
    if number is not value:
        return number
    return r.choice(
        (value, "01", "1.", ".5", "+1", "1e400", "-0", "1E2", " 1", "0x1", "9007199254740993", "-", "1e-400")
    )
