"""Snapshots and cases at random, all from one seed.

    python3 testdata/reference/generate.py --seed 1 --folder DIR

writes DIR/snapshot.jsonl, the objects of its lists in DIR/k/, and DIR/cases.jsonl.

Entities come in small groups that refer to each other, so that references, diamonds, and cycles occur while
no chain comes near what a reader may refuse to follow (FORMAT M-1.15). Contexts are drawn from the operands
of the conditions they will meet, and from near misses.
"""

import argparse
import hashlib
import os
import random

import instants
import lists
import operands
import strictjson
from groups import FLAGS, NOW, TYPES, Group


def spelled(r, value, duplicates=False):
    """A value as JSON, now and then with other spellings of the same numbers and strings.

    With `duplicates` a name may stand twice; the last counts (FORMAT M-14.1).
    """
    if isinstance(value, list):
        return "[" + ",".join(spelled(r, each, duplicates) for each in value) + "]"
    if isinstance(value, dict):
        members = [f"{spelled(r, name)}:{spelled(r, each, duplicates)}" for name, each in value.items()]
        if duplicates and members and r.random() < 0.01:
            members.insert(0, f"{spelled(r, r.choice(sorted(value)))}:{strictjson.write(operands.junk(r))}")
        return "{" + ",".join(members) + "}"
    if isinstance(value, (float, str)) and r.random() < 0.02:
        if isinstance(value, str):
            units = value.encode("utf-16-be")
            return (
                '"' + "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2)) + '"'
            )
        text = repr(value)  # `1.0`, `-0.0`, `1e+300`
        return text if "e" in text or r.random() < 0.5 else text + r.choice(("e0", "E+0", "00"))
    return strictjson.write(value)


class World:
    """A snapshot and its cases."""

    def __init__(self, seed, groups=6, cases_for_each=5):
        self.r = r = random.Random(seed)
        self.objects = {}  # digest → stored bytes
        self.lines = []
        self.list_keys = {}
        self.wild = r.choice((0.0, 0.02, 0.05, 0.1))
        for at in range(4):
            self._list(f"l{at}")
        self.groups = [Group(r, f"g{at}", self.list_keys, self.wild) for at in range(groups)]
        for group in self.groups:
            self.lines += [self._text(line) for line in group.lines]
        self.lines.append(b'{"environment":"production","project":"shop","view":"server"}')
        if r.random() < 0.2:
            self.lines.append(b'{"zebra":"of a later level","x":[1]}'.replace(b" ", b"-"))
        self.lines.sort()
        self.cases = [
            self._case(group, flag) for group in self.groups for flag in FLAGS for _ in range(cases_for_each)
        ]

    def _list(self, key):
        r = self.r
        pool = [each for each in operands.STRINGS if each and min(each) >= " " and "\x7f" not in each]
        base = set(r.sample(pool, r.randint(0, 9))) | {f"u-{r.randrange(50)}" for _ in range(r.randrange(9))}
        text = b"".join(each + b"\n" for each in sorted(each.encode("utf-8") for each in base))
        if r.random() < self.wild:  # a base that breaks FORMAT M-1.7
            text = r.choice(
                (
                    text[:-1],
                    b"\n" + text,
                    b"a\na\n",
                    text + b"\x01\n",
                    b"z\n" + text,
                    text + b"\xff\n",
                    text + text,
                    text + b"\xc2\x85\n",
                )
            )
        stored = lists.stored_frame(text)
        sha256 = hashlib.sha256(stored).hexdigest()
        line = {
            "list": key,
            "encoding": "zstd",
            "sha256": sha256,
            "size": float(len(stored)),
            "raw_size": float(len(text)),
        }
        add, drop = r.sample(pool, r.randint(0, 2)), r.sample(sorted(base), min(len(base), r.randint(0, 2)))
        add = [each for each in add if each not in drop]
        held = (base - set(drop)) | set(add)
        line["count"] = float(len(held))
        if add:
            line["add"] = sorted(add, key=str.encode)
        if drop:
            line["drop"] = sorted(drop, key=str.encode)
        self.list_keys[key] = sorted(held | base)
        if r.random() < self.wild:
            name = r.choice(("zz", "add", "drop", "encoding", "sha256", "size", "count", "raw_size"))
            line[name] = operands.junk(r)
        if r.random() >= self.wild:
            self.objects[sha256] = stored
        self.lines.append(self._text(line))

    def _text(self, line):
        """The bytes of a line, sometimes bad behind its head, sometimes only unusual."""
        r = self.r
        (kind, key), *rest = line.items()
        head = "{" + strictjson.write_string(kind) + ":" + strictjson.write_string(key)
        data = (
            head + "".join(f",{spelled(r, name)}:{spelled(r, value)}" for name, value in rest) + "}"
        ).encode("utf-8")
        if r.random() < self.wild * 0.3:
            data = data[:-1] + r.choice(
                (
                    b"",
                    b"}}",
                    b',"on":true,"on":true}',
                    b',"z":"\\ud800"}',
                    b',"z":1e999}',
                    b',"z":"\xff"}',
                    b',"z":"\x01"}',
                    b',"z":' + b"[" * 32 + b"]" * 32 + b"}",
                    b',"z":' + b"[" * 31 + b"]" * 31 + b"}",
                    b',"z":01}',
                    b',"z":1.}',
                    b"]",
                    b',"z":tru}',
                    b",}",
                    b"} {}",
                    b',"z":"\xed\xa0\x80"}',
                    b',"z":"\\x"}',
                    b',"z":NaN}',
                )
            )
        elif r.random() < self.wild * 0.02:
            size = r.choice((65_536, 65_537)) - len(data)
            data = data[:-1] + b" " * size + b"}"
        return data

    def _case(self, group, short):
        r = self.r
        key = f"{group.name}.{short}"
        case = {"flag": key if r.random() < 0.99 else "gone", "context": self._context(group, key)}
        if r.random() < 0.85:
            at = NOW
            if group.moments and r.random() < 0.6:
                at = max(0, r.choice(group.moments) + r.choice((0, 0, 1, -1, 1000, -1000, 500, 3_600_000)))
            case["at"] = float(at) if r.random() < 0.7 else instants.write_instant(min(at, 253_402_300_799_999))
        else:
            case["at"] = float(r.choice((0, -1, 2**53 - 1, NOW)))
        if r.random() < 0.12:
            case["type"] = r.choice(TYPES)
        if r.random() < 0.3:
            case["default"] = r.choice(("d", None, 0.0, False, {"a": 1.0}))
        text = ",".join(f'"{name}":{spelled(r, value, name == "context")}' for name, value in case.items())
        return ("{" + text + "}").encode("utf-8")

    def _context(self, group, key):
        r = self.r
        if r.random() < 0.015:
            return operands.junk(r)
        context = {}
        hints = [hint for entity, some in group.hints.items() for hint in some if entity != key]
        r.shuffle(hints)
        for segments, values in hints[:12] + group.hints[key] * 2:
            if values and r.random() < 0.8:
                value = r.choice(values)
                if r.random() < 0.08:
                    value = operands.near(r, value)
                if r.random() < 0.05:
                    value = operands.junk(r)
                if r.random() < 0.12 and not isinstance(value, list):
                    value = [
                        r.choice((value, operands.scalar(r), None, {}, [])) for _ in range(r.randint(0, 2))
                    ] + [value]
                put(context, segments, value)
        if "targetingKey" not in context and r.random() < 0.7:
            context["targetingKey"] = r.choice(
                (f"u-{r.randrange(1000)}", float(r.randrange(100)), *operands.STRINGS[:8])
            )
        if r.random() < 0.1 and context:
            del context[r.choice(sorted(context))]
        if r.random() < 0.03 and context:
            context[r.choice(sorted(context))] = operands.junk(r)
        return context

    def content(self):
        """The bytes of the snapshot."""
        return b"".join(line + b"\n" for line in self.lines)

    def write(self, folder):
        """Writes snapshot, lists, and cases; gives the snapshot's path."""
        write_folder(folder, self.content(), self.objects)
        with open(os.path.join(folder, "cases.jsonl"), "wb") as file:
            file.write(b"".join(case + b"\n" for case in self.cases))
        return os.path.join(folder, "snapshot.jsonl")


def write_folder(folder, content, objects):
    """A snapshot and, beside it, the objects of its lists."""
    os.makedirs(os.path.join(folder, "k"), exist_ok=True)
    with open(os.path.join(folder, "snapshot.jsonl"), "wb") as file:
        file.write(content)
    for sha256, stored in objects.items():
        with open(os.path.join(folder, "k", sha256 + ".txt.zst"), "wb") as file:
            file.write(stored)


def put(context, segments, value):
    """Puts a value where a path leads."""
    for segment in segments[:-1]:
        inner = context.get(segment)
        if not isinstance(inner, dict):
            inner = context[segment] = {}
        context = inner
    context[segments[-1]] = value


def main():
    """Writes one world."""
    parser = argparse.ArgumentParser(description="Snapshots and cases at random")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--folder", required=True)
    arguments = parser.parse_args()
    World(arguments.seed).write(arguments.folder)


if __name__ == "__main__":
    main()
