"""Expected values for vectors, one answer a line for each question of standard input.

    python3 testdata/reference/reference.py KIND < questions.jsonl

| KIND | Question | Answer |
|---|---|---|
| `test` | `{"condition":{"attr":…},"value":…}`: a leaf, and what its path leads to (absent: missing) | `{"result"}` |
| `condition` | `{"condition","context","at"?}` | `{"result"}`, one of the four |
| `version` | `{"version","than"?}` | `{"order"}`: -1, 0, or 1 against `than`; null if one is no version |
| `instant` | `{"instant"}` of a line | `{"ms"}` or null |
| `timestamp` | `{"timestamp"}` of a context | `{"ms"}` or null |
| `network` | `{"network","address"}` | `{"inside"}`, null for an unreadable network or no address |
| `pattern` | `{"pattern","subject"?}` | `{"kernel"}`, and `{"found"}` |
| `unit` | `{"value"}` | `{"unit"}` or null |
| `path` | `{"path"}` | `{"segments"}` or null |
| `bucket` | `{"salt","value","of"?}` | `{"seed","hash","bucket"}`, or null without a unit |
| `ramp` | `{"ramp","of"?,"linear"?,"at"}` | `{"reached"}`, or null if unreadable |
| `head` | `{"line"}` as text | `{"kind","key"}` or null |
| `line` | `{"line"}` as text | `{"bad"}` |
| `snapshot` | `{"lines"}` as text, all of it | `{"refused"}`: whether it fails as a whole (FORMAT T-3.2) |
| `number` | `{"number"}` | `{"text"}` as ECMAScript writes it |
| `canonical` | `{"line"}` as an object | `{"text"}`, or null if a member is not known |
"""

import sys

import buckets
import canonical
import conditions
import instants
import lines
import networks
import patterns
import snapshot
import strictjson
import values
import versions
from values import Unreadable


def _condition(condition, context, now=0):
    scope = conditions.Scope(("flag", ""))
    compiled = conditions.compile_condition(scope, condition, 0)
    return {"result": compiled(snapshot.Question(snapshot.Snapshot(b""), context, now))}


def ask_test(question):
    context = {}
    try:
        segments = values.path(question["condition"].get("attr"))
    except Unreadable:
        segments = ["a"]
    if "value" in question:
        inner = context
        for segment in segments[:-1]:
            inner[segment] = inner = {}
        inner[segments[-1]] = question["value"]
    return _condition(question["condition"], context)


def ask_condition(question):
    return _condition(question["condition"], question["context"], _at(question))


def _at(question):
    at = question.get("at", 0.0)
    return instants.instant(at) if isinstance(at, str) else values.integer(at)


def ask_version(question):
    key = versions.version(question["version"])
    other = versions.version(question.get("than", question["version"]))
    if key is None or other is None:
        return None
    return {"order": float((key > other) - (key < other))}


def ask_instant(question):
    return {"ms": float(instants.instant(question["instant"]))}


def ask_timestamp(question):
    at = instants.timestamp(question["timestamp"])
    return None if at is None else {"ms": float(at)}


def ask_network(question):
    net, address = networks.network(question["network"]), networks.address(question["address"])
    return None if address is None else {"inside": networks.inside(net, address)}


def ask_pattern(question):
    if not patterns.is_kernel(question["pattern"]):
        return {"kernel": False}
    answer = {"kernel": True}
    if "subject" in question:
        answer["found"] = patterns.Pattern(question["pattern"]).found_in(question["subject"])
    return answer


def ask_unit(question):
    unit = values.unit(question["value"])
    return None if unit is None else {"unit": unit}


def ask_path(question):
    return {"segments": values.path(question["path"])}


def ask_bucket(question):
    unit = values.unit(question["value"])
    if unit is None:
        return None
    members = {"salt": question["salt"], "of": question.get("of", 100_000.0)}
    hashing = buckets.Hashing(members)
    hashed = buckets.xxh32(unit.encode("utf-8"), hashing.seed)
    return {"seed": f"{hashing.seed:08x}", "hash": f"{hashed:08x}", "bucket": float(hashing.bucket(unit))}


def ask_ramp(question):
    points = buckets.ramp(question["ramp"], values.integer(question.get("of", 100_000.0), low=1))
    return {"reached": float(buckets.reached(points, question.get("linear", False), _at(question)))}


def ask_head(question):
    named = lines.head(question["line"].encode("utf-8"))
    return None if named is None else {"kind": named[0], "key": named[1]}


def ask_line(question):
    data = question["line"].encode("utf-8")
    named = lines.head(data)
    return None if named is None else {"bad": lines.body(named[0], data) is None}


def ask_snapshot(question):
    try:
        lines.split(question["lines"].encode("utf-8"))
    except lines.BadSnapshot:
        return {"refused": True}
    return {"refused": False}


def ask_number(question):
    return {"text": strictjson.write_number(question["number"])}


def ask_canonical(question):
    return {"text": canonical.line(question["line"])}


def main():
    """Answers the questions of standard input."""
    kinds = {name[4:]: ask for name, ask in globals().items() if name.startswith("ask_")}
    if len(sys.argv) != 2 or sys.argv[1] not in kinds:
        sys.exit(f"usage: reference.py KIND, one of: {' '.join(sorted(kinds))}\n\n{__doc__}")
    for text in sys.stdin.buffer:
        try:
            answer = kinds[sys.argv[1]](strictjson.read(text.rstrip(b"\n"), lenient=True, max_depth=128))
        except Unreadable:
            answer = None
        sys.stdout.buffer.write(strictjson.write(answer).encode("utf-8", "surrogatepass") + b"\n")


if __name__ == "__main__":
    main()
