"""Runs the vectors of `testdata/index.json` over the reference, as testdata/README.md says.

    python3 testdata/reference/vectors.py

The last line counts them; the status is 1 if one does not hold. Kinds that this reader has nothing for are skipped, with
the reason; a kind or a member that it does not know is refused.
"""

import hashlib
import json
import pathlib
import sys

import canonical as reference_canonical
import evaluate
import instants
import lines
import lists
import snapshot
import strictjson
import values

LEVEL = 1
NOW = 1_796_212_800_000  # where a case has no `at`
RESULTS = ("true", "false", "unknown", "unsupported")
ELSEWHERE = {
    "delta": "the reference applies no deltas",
    "exposure": "the reference records no exposures",
    "signature": "the reference verifies no signatures",
    "stream": "the reference reads lines, not signed streams",
}


class Wrong(Exception):
    """A vector that does not hold, and what came instead."""


def read(text):
    return strictjson.read(text.encode("utf-8"), lenient=True, max_depth=64)


def only(case, *known):
    unknown = set(case) - set(known)
    if unknown:
        raise SystemExit(f"unknown member {sorted(unknown)}: {case}")


def at(case):
    moment = case.get("at", float(NOW))
    return instants.instant(moment) if isinstance(moment, str) else values.integer(moment)


def equal(got, expected):
    if strictjson.write(got) != strictjson.write(expected):
        raise Wrong(f"{strictjson.write(got)} for {strictjson.write(expected)}")


class Held:
    """The objects of lists that stand in a case, as keys by digest."""

    def __init__(self, case):
        self.texts = case.get("lists", {})

    def base(self, line):
        text = self.texts.get(line.sha256)
        return None if text is None else lists.parse(text.encode("utf-8"))


def compiled(texts, case):
    """A snapshot of lines in any order."""
    return snapshot.Snapshot(b"".join(text + b"\n" for text in sorted(texts)), Held(case))


def text_of(line):
    return strictjson.write(line).encode("utf-8")


def condition(case):
    only(case, "id", "clause", "condition", "beside", "lists", "at", *RESULTS)
    straight = case["condition"]
    truth = {
        "flag": "truth", "type": "bool", "rev": 1.0, "on": True, "values": dict.fromkeys(RESULTS, True),
        "off": "unsupported",
        "rules": [
            {"id": "1", "if": [straight], "serve": "true"},
            {"id": "2", "if": [{"not": straight}], "serve": "false"},
        ],
        "fallthrough": "unknown",
    }  # fmt: skip
    over = compiled([text_of(line) for line in [*case.get("beside", []), truth]], case)
    for result in RESULTS:
        for context in case.get(result, []):
            got = over.evaluate("truth", None, context, at(case)).get("variation")
            if got != result:
                raise Wrong(f"{got}, expected {result} of {strictjson.write(context)}")


def lines_of(case):
    texts = [text_of(line) for line in case.get("lines", [])]
    texts += [line.encode("utf-8") for line in case.get("raw", [])]
    texts += [bytes.fromhex(line) for line in case.get("hex", [])]
    for line in case.get("long", []):
        only(line, "before", "fill", "times", "after")
        text = line["before"] + line["fill"] * values.integer(line["times"]) + line["after"]
        texts.append(text.encode("utf-8"))
    return texts


def answer(case):
    only(case, "id", "clause", "lines", "raw", "hex", "long", "lists", "case", "expected")
    asked = case["case"]
    only(asked, "flag", "context", "at", "type", "default")
    over = compiled(lines_of(case), case)
    details = over.evaluate(asked["flag"], asked.get("type"), asked["context"], at(asked))
    if "value" not in details and "default" in asked:
        details["value"] = asked["default"]
    if "value" in details:
        details["value"] = reference_canonical.sorted_names(details["value"])
    order = ("value", "variation", "reason", "error_code", "rule", "exp", "bucket")
    equal({name: details[name] for name in order if name in details}, case["expected"])


def bucket(case):
    only(case, "id", "clause", "salt", "unit", "of", "bucket")
    split = {"salt": case["salt"], "of": case["of"], "ranges": [[0.0, case["of"], "on"]]}
    rule = {"id": "r", "split": split}
    flag = {"flag": "f", "type": "bool", "rev": 1.0, "on": True, "values": {"on": True}, "rules": [rule]}
    details = compiled([text_of(flag)], case).evaluate("f", None, {"targetingKey": case["unit"]}, NOW)
    equal(details.get("bucket"), case.get("bucket"))
    equal(details.get("error_code") == "TARGETING_KEY_MISSING", "bucket" not in case)


def check(case):
    only(case, "id", "clause", "lines", "raw", "ran", "failed")
    over = compiled(lines_of(case), case)
    equal(float(len(over.checks)), case["ran"])
    numbers = {key: int(key.rpartition("/")[2]) for key in over.checks}
    failed = [key for key in sorted(over.checks, key=numbers.get) if not over.checks[key].passes(over)]
    equal(failed, case["failed"])


def canonical(case):
    only(case, "id", "clause", "json", "canonical")
    written = strictjson.write(read(case["json"]), sort=True)
    if written != case["canonical"]:
        raise Wrong(f"{written} for {case['canonical']}")


def content(case):
    only(case, "id", "clause", "text", "hash")
    try:
        digests = [hashlib.sha256(text).digest() for _, _, text in lines.split(case["text"].encode("utf-8"))]
    except lines.BadSnapshot:
        equal(None, case.get("hash"))
    else:
        got = hashlib.sha256(b"flagstone/content/1\n" + b"".join(digests)).hexdigest()
        equal(got, case.get("hash"))


def head(case):
    only(case, "id", "clause", "line", "kind", "key")
    expected = (case["kind"], case["key"]) if "kind" in case else None
    got = lines.head(case["line"].encode("utf-8"))
    if got != expected:
        raise Wrong(f"{got} for {expected}")


def evaluation(files):
    """Its cases and answers lie in files of their own; so does what is wrong with each."""
    over = snapshot.Snapshot(files["lines"].read_bytes(), lists.Folder(files["lines"]))
    cases, expected = (files[part].read_bytes().splitlines() for part in ("cases", "expected"))
    if len(cases) != len(expected):
        raise SystemExit(f"{files['expected']}: not as many answers as cases")
    for number, (got, wanted) in enumerate(zip(evaluate.answers(over, cases, NOW), expected), start=1):
        got = strictjson.write(got).encode("utf-8")
        yield f"line {number}", None if got == wanted else f"{got} for {wanted}"


def each(run, files):
    """Runs the cases of a file of JSON Lines."""
    for text in files["cases"].read_text("utf-8").splitlines():
        case = read(text)
        try:
            run(case)
        except Wrong as wrong:
            yield case["id"], str(wrong)
        else:
            yield case["id"], None


KINDS = {
    "answer": answer,
    "bucket": bucket,
    "canonical": canonical,
    "check": check,
    "condition": condition,
    "content": content,
    "head": head,
}


def main():
    """Runs every set of the index."""
    sys.setrecursionlimit(10_000)
    folder = pathlib.Path(__file__).resolve().parent.parent
    index = json.loads((folder / "index.json").read_text("utf-8"))
    only(index, "format", "kinds", "sets")
    total = ran = skipped = failed = 0
    for group in index["sets"]:
        only(group, "kind", "level", "clauses", "files", "cases", "from")
        kind, files = group["kind"], {part: folder / name for part, name in group["files"].items()}
        names = " ".join(group["files"].values())
        total += group["cases"]
        if group["level"] > LEVEL or kind in ELSEWHERE:
            reason = ELSEWHERE.get(kind, f"level {group['level']}, this reader has {LEVEL}")
            print(f"skipped {names}: {reason}")
            skipped += group["cases"]
            continue
        if kind != "evaluation" and kind not in KINDS:
            raise SystemExit(f"unknown kind {kind}")
        results = evaluation(files) if kind == "evaluation" else each(KINDS[kind], files)
        count = 0
        for name, wrong in results:
            count += 1
            if wrong is not None:
                failed += 1
                print(f"{names}: {name}: {wrong}")
        if count != group["cases"]:
            raise SystemExit(f"{names}: {count} cases, the index says {group['cases']}")
        ran += count
    if ran + skipped != total:
        raise SystemExit("not every vector ran or was skipped")
    print(f"{ran} ran, {failed} of them do not hold; {skipped} skipped, of {total}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
