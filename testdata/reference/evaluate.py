"""`flagstone eval --snapshot FILE --batch`, by the reference (FORMAT M-14.1).

    python3 testdata/reference/evaluate.py --snapshot FILE --batch < cases.jsonl
    python3 testdata/reference/evaluate.py --snapshot FILE --checks

FILE is lines, not compressed. Lists lie in `k/` beside it, or as plain text in `--lists DIR`.
"""

import argparse
import sys
import time

import canonical
import instants
import lists
import snapshot
import strictjson
import values
from values import Unreadable, expect

_ORDER = ("value", "variation", "reason", "error_code", "rule", "exp", "bucket")


class Case:
    """One case of a batch; Unreadable if it cannot be read."""

    def __init__(self, text, now):
        try:
            case = strictjson.read(text, max_depth=128, lenient=True)
        except strictjson.NotJson as error:
            raise Unreadable from error
        expect(isinstance(case, dict) and "context" in case)
        expect(isinstance(case.get("flag"), str))
        self.flag, self.context = case["flag"], case["context"]
        self.at = now
        if "at" in case:
            at = case["at"]
            self.at = instants.instant(at) if isinstance(at, str) else values.integer(at)
        self.type = case.get("type")
        expect("type" not in case or self.type in snapshot.TYPES)
        self.default = {"value": case["default"]} if "default" in case else {}

    def answer(self, over, trace=None):
        """The details object; `value` is the default where that stands."""
        details = over.evaluate(self.flag, self.type, self.context, self.at, trace)
        details = {**self.default, **details}
        if "value" in details:
            details["value"] = canonical.sorted_names(details["value"])  # FORMAT M-14.1
        return {name: details[name] for name in _ORDER if name in details}


def answers(over, texts, now, trace=None):
    """The answer to each case, in order."""
    for text in texts:
        try:
            case = Case(text, now)
        except Unreadable:
            yield {"error": "invalid-case"}
            continue
        yield case.answer(over, trace)


def load(path, texts=None):
    """The snapshot in a file, with its lists."""
    with open(path, "rb") as file:
        return snapshot.Snapshot(file.read(), lists.Folder(path, texts))


def main():
    """Reads arguments and standard input."""
    parser = argparse.ArgumentParser(description="The reference evaluator of docs/FORMAT.md")
    parser.add_argument("--snapshot", required=True, metavar="FILE")
    parser.add_argument("--lists", metavar="DIR", help="plain texts of lists, as {sha256}.txt")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--batch", action="store_true", help="answer the cases of standard input")
    what.add_argument("--checks", action="store_true", help="run the check lines of the snapshot")
    arguments = parser.parse_args()
    sys.setrecursionlimit(10_000)
    over = load(arguments.snapshot, arguments.lists)
    if arguments.checks:
        failed = [key for key, check in sorted(over.checks.items()) if not check.passes(over)]
        for key in failed:
            print(key)
        sys.exit(1 if failed else 0)
    now = int(time.time() * 1000)
    texts = sys.stdin.buffer.read().split(b"\n")
    if texts[-1] == b"":
        texts.pop()
    for answer in answers(over, texts, now):
        sys.stdout.buffer.write(strictjson.write(answer).encode("utf-8", "surrogatepass") + b"\n")


if __name__ == "__main__":
    main()
