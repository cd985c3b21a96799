"""Compares another implementation with the reference, on snapshots and cases at random.

    python3 testdata/reference/differential.py --binary target/debug/flagstone --rounds 40
    python3 testdata/reference/differential.py --binary target/release/flagstone --cpu-seconds 3600 --minimum 1000

The other one is run as `BINARY eval --snapshot FILE --batch` (FORMAT M-14.1). A disagreement is made small and
written to `--out`: `lines.jsonl`, `case.json`, what the reference says (`expected.json`), and what the other
one said (`got.json`). At the end stands how often each exit of FORMAT M-8.0 and each test with each of its
results was met; fewer than `--minimum` is a failure, as is any disagreement.
"""

import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import evaluate
import generate
import groups
import shrink
import strictjson

EXITS = (
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8 unsupported",
    "8 not true",
    "9 unsupported",
    "9 serve TARGETING_MATCH",
    "9 serve SPLIT",
    "9 hash",
    "9 range",
    "10 STATIC",
    "10 DEFAULT",
    "11",
    "12",
)
STEPS = ("9 no unit", "9 gap")
FOUR = ("true", "false", "unknown", "unsupported")
# FORMAT M-4.2, M-4.5: what is never unknown, and what is never anything else.
NEVER = {
    "test exists": ("unknown",),
    "form segment": ("unknown",),
    "form flag": ("unknown",),
    "form time": ("unknown",),
}
FORMS = (
    "form all",
    "form any",
    "form not",
    "form segment",
    "form flag",
    "form time",
    "form bucket in",
    "form bucket ramp",
)
CONVERSIONS = ("as number", "as string", "fold ascii")


def wanted_hits():
    """Everything that must be met, as (name, result)."""
    wanted = [("exit", each) for each in EXITS] + [("step", each) for each in STEPS]
    for name in [f"test {each}" for each in groups.TESTS] + list(FORMS):
        for result in FOUR:
            if result in NEVER.get(name, ()):
                continue
            # What makes a bucket condition unreadable makes it no certain one of its kinds.
            wanted.append(
                (
                    "form bucket" if (name.startswith("form bucket") and result == "unsupported") else name,
                    result,
                )
            )
    wanted += [("form bucket linear", result) for result in ("true", "false", "unknown")]
    wanted += [(name, result) for name in CONVERSIONS for result in ("true", "false", "unknown")]
    wanted += [
        ("as", "unsupported"),
        ("fold", "unsupported"),
        ("test (unknown)", "unsupported"),
        ("test (none)", "unsupported"),
    ]
    wanted += [("array", result) for result in ("true", "false", "unknown")]
    return list(dict.fromkeys(wanted))


class Other:
    """The other implementation."""

    def __init__(self, binary):
        self.binary = os.path.abspath(binary)

    def answers(self, snapshot_path, cases):
        """The lines it answers, or None if it fails."""
        done = subprocess.run(
            [self.binary, "eval", "--snapshot", snapshot_path, "--batch"],
            input=b"".join(case + b"\n" for case in cases),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode != 0:
            return None
        return done.stdout.split(b"\n")[:-1]


def reference_answers(snapshot_path, cases, trace=None):
    """The reference's answers."""
    return list(evaluate.answers(evaluate.load(snapshot_path), cases, 0, trace))


def comparable(answer):
    """An answer as text: by value, in no order; which code an unreadable case has is not compared."""
    if "error" in answer:
        return "error"
    return strictjson.write(answer, sort=True)


def read_answer(line):
    """A line of the other one as text that can be compared."""
    try:
        return comparable(strictjson.read(line, max_depth=128))
    except (strictjson.NotJson, TypeError):
        return f"unreadable: {line!r}"


def disagreements(theirs, ours):
    """Indices of the cases on which two lists of answers differ."""
    if theirs is None or len(theirs) != len(ours):
        return [0]
    return [at for at, (their, our) in enumerate(zip(theirs, ours)) if read_answer(their) != comparable(our)]


def spoil(r, content):
    """Content that no publisher writes, and that a runner takes (FORMAT M-14.1); and a key that it concerns."""
    texts = content.split(b"\n")[:-1]
    at = r.randrange(len(texts))
    text = texts[at]
    key = text.split(b'"')[3]
    kind = r.randrange(9)
    if kind == 0:
        r.shuffle(texts)
    elif kind == 1:
        texts.insert(r.randrange(len(texts)), text[:-1] + r.choice((b',"zz":1}', b"", b',"on":1,"on":1}')))
    elif kind == 2:
        texts.insert(at, b"")
    elif kind == 3:
        texts.append(texts.pop(at))
        return b"\n".join(texts), key
    elif kind == 4:
        texts[at] = text.replace(b'":"', b'": "', 1)
    elif kind == 5:
        texts[at] = b" " + text
    elif kind == 6:
        texts[at] = text.replace(b'","', b'" ,"', 1)
    elif kind == 7:
        other = r.choice(
            (
                b"k" * 128,
                b"k" * 129,
                b"",
                b"-a",
                b"a b",
                b"\xc3\xa9",
                b"\\u0041",
                b"A.z:@|+~-",
                b"_a",
                b"9",
                b"a/1",
            )
        )
        texts[at] = text.replace(key, other, 1)
        return b"\n".join(texts) + b"\n", other
    else:
        texts.append(
            r.choice(
                (
                    b'{"flag":"z"',
                    b'{"flag":"z"]',
                    b"[]",
                    b"x",
                    b"{}",
                    b'{"drop":"flag","key":"z"}',
                    b'{"zz":"a b"}',
                    b"\xff",
                )
            )
        )
    return b"\n".join(texts) + b"\n", key


class Run:
    """Rounds of comparison, and what they met."""

    def __init__(self, other, out, spoiled):
        self.other, self.out, self.spoiled = other, out, spoiled
        self.hits = collections.Counter()
        self.cases = self.rounds = self.found = self.whole = 0
        self.folder = tempfile.mkdtemp(prefix="differential-")

    def round(self, seed):
        """One world: its cases, and now and then a spoiled copy."""
        self.rounds += 1
        world = generate.World(seed)
        shutil.rmtree(self.folder)
        path = world.write(self.folder)
        ours = reference_answers(path, world.cases, self.hits)
        self.cases += len(world.cases)
        theirs = self.other.answers(path, world.cases)
        for at in disagreements(theirs, ours)[:2]:
            self.report(world.content(), world.objects, world.cases[at], seed)
        r = random.Random(f"spoil {seed}")
        for _ in range(self.spoiled):
            self.whole += 1
            content, key = spoil(r, world.content())
            generate.write_folder(self.folder, content, world.objects)
            key = strictjson.write_string(key.decode("utf-8")).encode("utf-8")
            asked = b'{"flag":' + key + b","
            cases = [case for case in world.cases if case.startswith(asked)] + r.sample(world.cases, 10)
            cases.append(asked + b'"context":{}}')
            for at in disagreements(self.other.answers(path, cases), reference_answers(path, cases))[:1]:
                self.report(content, world.objects, cases[at], seed)

    def differs(self, content, objects, case):
        """Whether the two disagree on one case."""
        generate.write_folder(self.folder, content, objects)
        path = os.path.join(self.folder, "snapshot.jsonl")
        return bool(disagreements(self.other.answers(path, [case]), reference_answers(path, [case])))

    def report(self, content, objects, case, seed):
        """Makes a disagreement small, and writes it out."""
        self.found += 1
        content, case = shrink.shrink(content, case, lambda content, case: self.differs(content, objects, case))
        folder = os.path.join(self.out, f"{self.found:03}")
        generate.write_folder(self.folder, content, objects)
        path = os.path.join(self.folder, "snapshot.jsonl")
        theirs, ours = self.other.answers(path, [case]), reference_answers(path, [case])
        generate.write_folder(
            folder, content, {name: each for name, each in objects.items() if name.encode() in content}
        )
        os.rename(os.path.join(folder, "snapshot.jsonl"), os.path.join(folder, "lines.jsonl"))
        expected = strictjson.write(ours[0]).encode("utf-8")
        got = b"it failed" if theirs is None else b"\n".join(theirs)
        for name, data in (("case.json", case), ("expected.json", expected), ("got.json", got)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data + b"\n")
        print(
            f"disagreement {self.found} (seed {seed}): {folder}\n  {content.decode('utf-8', 'replace')}  {case.decode()}"
        )
        print(f"  reference {expected.decode()}\n  other     {got.decode('utf-8', 'replace')}", flush=True)

    def summary(self, minimum):
        """The table of hits; gives those below the minimum."""
        few = []
        for name, result in wanted_hits():
            count = self.hits[name, result]
            short = count < minimum
            print(f"{name:<20} {result:<24} {count:>9}{'  too few' if short else ''}")
            if short:
                few.append((name, result))
        print(
            f"{self.rounds} snapshots, {self.cases} cases, {self.whole} spoiled snapshots, {self.found} disagreements"
        )
        return few


def cpu_seconds():
    """CPU seconds of this process and of those it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main():
    """Runs rounds until the count or the CPU time is reached."""
    parser = argparse.ArgumentParser(description="Compares an implementation with the reference")
    parser.add_argument("--binary", required=True, metavar="PATH")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rounds", type=int, help="how many snapshots")
    parser.add_argument("--cpu-seconds", type=float, help="until so much CPU time is used, by both")
    parser.add_argument("--minimum", type=int, default=0, help="how often each exit and result must be met")
    parser.add_argument("--stop-after", type=int, default=20, help="so many disagreements end the run")
    parser.add_argument(
        "--spoiled",
        type=int,
        default=1,
        metavar="N",
        help="for each, so many copies with lines that no publisher writes",
    )
    parser.add_argument("--out", default="target/differential", metavar="DIR")
    arguments = parser.parse_args()
    if arguments.rounds is None and arguments.cpu_seconds is None:
        parser.error("one of --rounds and --cpu-seconds is needed")
    sys.setrecursionlimit(10_000)
    run = Run(Other(arguments.binary), arguments.out, arguments.spoiled)
    asked_to_end = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: asked_to_end.append(number))
    told = time.monotonic()
    while run.found < arguments.stop_after and not asked_to_end:
        if arguments.rounds is not None and run.rounds >= arguments.rounds:
            break
        if arguments.cpu_seconds is not None and cpu_seconds() >= arguments.cpu_seconds:
            break
        run.round(f"{arguments.seed}.{run.rounds}")
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(
                f"{cpu_seconds():.0f} CPU seconds, {run.rounds} snapshots, {run.cases} cases, {run.found} disagreements",
                flush=True,
            )
    shutil.rmtree(run.folder)
    few = run.summary(arguments.minimum)
    print(f"{cpu_seconds():.0f} CPU seconds; seed {arguments.seed}")
    sys.exit(1 if few or run.found else 0)


if __name__ == "__main__":
    main()
