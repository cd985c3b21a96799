"""A snapshot, and its evaluation in the steps of FORMAT M-8.0."""

import conditions
import lines
import lists
import values
from buckets import Hashing, ranges
from conditions import Scope
from instants import instant
from results import FALSE, TRUE, UNKNOWN, UNSUPPORTED, all_of, truth
from values import Unreadable, expect, lookup

_FLAG = {"flag", "type", "rev", "on", "values", "off", "needs", "rules", "fallthrough", "meta"}
_RULE = {"id", "if", "serve", "split", "exp"}
_SEGMENT = {"segment", "if"}
# FORMAT M-8.4
REASONS = ("STATIC", "TARGETING_MATCH", "SPLIT", "DEFAULT", "DISABLED", "UNKNOWN", "ERROR")
TYPES = ("bool", "string", "int", "float", "json")


def is_of_type(type_name, value):
    """Whether a value is of a flag's type (FORMAT M-2.2)."""
    if type_name == "int":
        try:
            values.integer(value)
        except Unreadable:
            return False
        return True
    if type_name == "float":
        return values.finite(value)
    return type_name == "json" or isinstance(value, bool if type_name == "bool" else str)


def can_be_read_as(type_name, wanted):
    """Whether a getter reads a flag of a type (FORMAT M-2.3)."""
    return wanted in (type_name, "json") or (type_name == "int" and wanted == "float")


class Rule:
    """A rule, compiled; `readable` is false where it is unsupported when it is reached (FORMAT M-10.2)."""

    def __init__(self, scope, rule, variations):
        self.id = None
        self.readable = False
        try:
            self._read(scope, rule, variations)
            self.readable = True
        except Unreadable:
            pass

    def _read(self, scope, rule, variations):
        expect(isinstance(rule, dict))
        name = rule.get("id")
        # FORMAT M-1.15: lengths of `id` and `exp`, in code points, are part of their type.
        expect(isinstance(name, str) and 1 <= len(name) <= 80)
        self.id = name
        expect(not set(rule) - _RULE)
        expect(("serve" in rule) != ("split" in rule))
        self.exp = rule.get("exp")
        expect("exp" not in rule or (isinstance(self.exp, str) and 1 <= len(self.exp) <= 128))
        self.serve = rule.get("serve")
        self.split = None
        if "serve" in rule:
            expect(isinstance(self.serve, str) and self.serve in variations)
        else:
            expect(isinstance(rule["split"], dict))
            members = dict(rule["split"])
            self.split = Hashing(members)
            expect(set(members) == {"ranges"})
            self.ranges = ranges(members["ranges"], self.split.of, variations)
        expect(isinstance(rule.get("if", []), list))
        self.serves_by_bucket = conditions.holds_bucket(rule.get("if"))
        # A reference counts only if its rule can be read (FORMAT M-5.2), so this comes last.
        self.conditions = conditions.compile_all(scope, rule.get("if", []))

    def result(self, question):
        """`all(if)`, or unsupported."""
        if not self.readable:
            return question.note("rule", UNSUPPORTED)
        return all_of(condition(question) for condition in self.conditions)


class Flag:
    """A `flag` line, compiled."""

    def __init__(self, key, line):
        self.scope = Scope(("flag", key))
        self.type = None  # step 3 of FORMAT M-8.0
        line = line or {}
        variations = line.get("values")
        if line.get("type") not in TYPES or not isinstance(line.get("on"), bool):
            return
        if not isinstance(variations, dict) or not variations:
            return
        if not all(is_of_type(line["type"], value) for value in variations.values()):
            return
        self.type, self.on, self.variations = line["type"], line["on"], variations
        self.off = self._variation(line.get("off"))
        self.fallthrough = self._variation(line.get("fallthrough"))
        self.understood = self._is_understood(line)
        needs, rules = line.get("needs", []), line.get("rules", [])
        # What is compiled here counts for references, even where another member is not understood.
        self.needs = conditions.compile_all(self.scope, needs) if isinstance(needs, list) else []
        self.rules = [Rule(self.scope, rule, variations) for rule in rules] if isinstance(rules, list) else []
        if self.scope.is_bad():
            self.type = None

    def _variation(self, name):
        return name if isinstance(name, str) and name in self.variations else None

    def _is_understood(self, line):
        """FORMAT M-10.2, third row."""
        try:
            expect(not set(line) - _FLAG)
            values.integer(line.get("rev"), low=1)
            expect("off" not in line or self.off is not None)
            expect("fallthrough" not in line or self.fallthrough is not None)
            expect(isinstance(line.get("needs", []), list))
            expect(isinstance(line.get("rules", []), list))
            expect(isinstance(line.get("meta", {}), dict))
        except Unreadable:
            return False
        return True


class Segment:
    """A `segment` line, compiled; `conditions` is None if it cannot be read."""

    def __init__(self, key, line):
        self.scope = Scope(("segment", key))
        self.conditions = None
        if line is not None and not set(line) - _SEGMENT and isinstance(line.get("if", []), list):
            self.conditions = conditions.compile_all(self.scope, line.get("if", []))
            if self.scope.is_bad():
                self.conditions = None


class Check:
    """A `check` line (FORMAT M-1.8)."""

    def __init__(self, key, line):
        expect(not set(line) - {"check", "flag", "at", "context", "expect"})
        self.flag = line.get("flag")
        expect(self.flag == key.rpartition("/")[0])  # FORMAT M-10.2: the flag is that of its key
        self.at = instant(line.get("at"))
        self.context = line.get("context", {})
        expect(isinstance(self.context, dict))
        self.expect = line.get("expect")
        expect(isinstance(self.expect, dict) and not set(self.expect) - {"variation", "reason", "rule"})
        expect(all(isinstance(each, str) for each in self.expect.values()))
        expect(self.expect.get("reason") in REASONS)

    def passes(self, snapshot):
        """Whether the flag gives what is expected; members that are absent are absent in the result."""
        details = snapshot.evaluate(self.flag, None, self.context, self.at)
        return all(details.get(name) == self.expect.get(name) for name in ("variation", "reason", "rule"))


class Snapshot:
    """The lines of a snapshot, compiled and linked."""

    def __init__(self, data, folder=None):
        """Reads the bytes of a file that is compared (FORMAT M-14.1); of a name twice, the last counts."""
        self.flags, self.segments, self.lists, self.checks = {}, {}, {}, {}
        self.bad, self.skipped_checks = [], 0
        named, self.ignored = lines.split_by_hand(data)
        for kind, key, text in {line[:2]: line for line in named}.values():
            if kind not in lines.KINDS:
                self.ignored += 1  # FORMAT M-10.2: the line is ignored and counted
                continue
            line = lines.body(kind, text)
            if line is None:
                self.bad.append((kind, key))
            self._take(kind, key, line, folder)
        self._link()

    def _take(self, kind, key, line, folder):
        if kind == "flag":
            self.flags[key] = Flag(key, line)
        elif kind == "segment":
            self.segments[key] = Segment(key, line)
        elif kind == "list" and line is not None:
            try:
                read = lists.ListLine(line)
            except Unreadable:
                return
            base = folder.base(read) if folder else None
            if base is not None:
                self.lists[key] = read.keys(base)
        elif kind == "check" and line is not None:
            try:
                self.checks[key] = Check(key, line)
            except Unreadable:
                self.skipped_checks += 1

    def _link(self):
        """Finds what each entity reaches, by depth-first search (FORMAT M-5.2)."""
        edges = {flag.scope.entity: flag.scope.references for flag in self.flags.values()}
        edges.update({segment.scope.entity: segment.scope.references for segment in self.segments.values()})
        self.reach = {}
        for start in edges:
            seen, todo = set(), [start]
            while todo:
                new = edges.get(todo.pop(), set()) - seen
                seen |= new
                todo += new
            self.reach[start] = seen

    def is_severed(self, source, target):
        """Whether a reference lies on a cycle: its target reaches its source (FORMAT M-5.2)."""
        return source in self.reach.get(target, ())

    def evaluate(self, key, wanted, context, now, trace=None):
        """Details (FORMAT M-8.0). `wanted` is a type, or None for the flag's own."""
        return Question(self, context, now, trace).evaluate(key, wanted)


class Question:
    """One context at one time; `trace`, a Counter, collects what was met on the way."""

    def __init__(self, snapshot, context, now, trace=None):
        self.snapshot, self.context, self.now = snapshot, context, now
        self.trace = trace
        # A flag or segment has one result for a context and a time, from wherever it is asked.
        self.known = {}

    def note(self, name, result):
        """Counts a result, and gives it back."""
        if self.trace is not None:
            self.trace[name, result] += 1
        return result

    def has_list(self, key):
        """Whether a list, and its base, is there."""
        return key in self.snapshot.lists

    def is_listed(self, key, unit):
        """Whether a list holds a unit."""
        return unit in self.snapshot.lists[key]

    def in_segment(self, source, key):
        """One key of a `segment` condition: *unknown* inside counts as false (FORMAT M-4.2)."""
        segment = self.snapshot.segments.get(key)
        if segment is None or segment.conditions is None or self.snapshot.is_severed(source, ("segment", key)):
            return UNSUPPORTED
        if ("segment", key) not in self.known:
            result = all_of(condition(self) for condition in segment.conditions)
            self.known["segment", key] = FALSE if result == UNKNOWN else result
        return self.known["segment", key]

    def flag_is(self, source, key, names):
        """A `flag` condition (FORMAT M-4.2): steps 2 to 12 without step 4 (FORMAT M-8.5)."""
        if key not in self.snapshot.flags or self.snapshot.is_severed(source, ("flag", key)):
            return UNSUPPORTED
        if ("flag", key) not in self.known:
            self.known["flag", key] = self.evaluate(key, None)
        details = self.known["flag", key]
        if details["reason"] in ("UNKNOWN", "ERROR"):
            return UNSUPPORTED
        return truth(details.get("variation") in names)

    def evaluate(self, key, wanted):
        """The steps of FORMAT M-8.0, from 2 on."""
        exit_name, details = self._steps(key, wanted)
        self.note("exit", exit_name)
        return details

    def _steps(self, key, wanted):
        flag = self.snapshot.flags.get(key)
        if flag is None:
            return "2", _error("FLAG_NOT_FOUND")
        if flag.type is None:
            return "3", _error("PARSE_ERROR")
        if wanted is not None and not can_be_read_as(flag.type, wanted):
            return "4", _error("TYPE_MISMATCH")
        if not isinstance(self.context, dict):
            return "5", _error("INVALID_CONTEXT")

        def serve(variation, reason, **more):
            details = {}
            if variation is not None:
                details["value"], details["variation"] = flag.variations[variation], variation
            details["reason"] = reason
            details.update((name, value) for name, value in more.items() if value is not None)
            return details

        if not flag.understood:
            return "6", serve(flag.off, "UNKNOWN")
        if not flag.on:
            return "7", serve(flag.off, "DISABLED")
        needs = all_of(condition(self) for condition in flag.needs)
        if needs == UNSUPPORTED:
            return "8 unsupported", serve(flag.off, "UNKNOWN")
        if needs != TRUE:
            return "8 not true", serve(flag.off, "DISABLED")
        without_unit = False
        for rule in flag.rules:
            matched = rule.result(self)
            if matched == UNSUPPORTED:
                return "9 unsupported", serve(flag.off, "UNKNOWN", rule=rule.id)
            if matched != TRUE:
                continue
            if rule.split is None:
                reason = "SPLIT" if rule.serves_by_bucket else "TARGETING_MATCH"
                return "9 serve " + reason, serve(rule.serve, reason, rule=rule.id, exp=rule.exp)
            unit = values.unit(lookup(self.context, rule.split.by))
            if unit is None:
                self.note("step", "9 no unit")
                without_unit = True
                continue
            if not rule.split.supported:
                return "9 hash", serve(flag.off, "UNKNOWN", rule=rule.id)
            bucket = rule.split.bucket(unit)
            for start, end, variation in rule.ranges:
                if start <= bucket < end:
                    return "9 range", serve(variation, "SPLIT", rule=rule.id, exp=rule.exp, bucket=bucket)
            self.note("step", "9 gap")
        if flag.fallthrough is not None:
            reason = "STATIC" if not flag.rules and not flag.needs else "DEFAULT"
            return "10 " + reason, serve(flag.fallthrough, reason)
        if without_unit:
            return "11", _error("TARGETING_KEY_MISSING")
        return "12", serve(None, "DEFAULT")


def _error(code):
    return {"reason": "ERROR", "error_code": code}
