"""The kernel of regular expressions (FORMAT M-4.7): a parser, and a Thompson simulation in linear time."""

import re

from values import Unreadable, expect

MAX_SUBJECT_BYTES = 4096
# FORMAT M-1.15
MAX_BYTES = 512
MAX_INSTRUCTIONS = 4000
MAX_REPEAT = 255
MAX_COPIES = 1000
MAX_GROUPS = 8

_SPECIAL = set("\\.+*?()|[]{}^$")
_IN_CLASS_ESCAPED = set("\\][^-")
_NOT_IN_CLASS = set("&~|")
_BRACES = re.compile(r"\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}")

# Trees: ("set", ranges, negated) ("start",) ("end",) ("join", [tree…]) ("or", [tree…])
# ("repeat", tree, low, high or None, the mark it begins with)


class _Parser:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def peek(self):
        return self.text[self.at] if self.at < len(self.text) else ""

    def alternatives(self, depth):
        branches = [self.branch(depth)]
        while self.peek() == "|":
            self.at += 1
            branches.append(self.branch(depth))
        return branches[0] if len(branches) == 1 else ("or", branches)

    def branch(self, depth):
        parts = []
        while self.peek() not in ("", "|", ")"):
            parts.append(self.repeated(self.atom(depth)))
        return ("join", parts)

    def repeated(self, tree):
        mark = self.peek()
        bounds = self.repetition()
        if bounds is None:
            return tree
        expect(tree[0] not in ("start", "end"))  # not on anchors
        expect(self.repetition() is None)  # not doubled; so not lazy and not possessive either
        return ("repeat", tree, *bounds, mark)

    def repetition(self):
        mark = self.peek()
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(mark)
        if simple:
            self.at += 1
            return simple
        if mark != "{":
            return None
        found = _BRACES.match(self.text, self.at)
        expect(found)
        self.at = found.end()
        low = int(found.group(1))
        high = low if found.group(2) is None else None if found.group(3) is None else int(found.group(3))
        expect(low <= MAX_REPEAT and (high is None or low <= high <= MAX_REPEAT))
        return low, high

    def atom(self, depth):
        mark = self.peek()
        self.at += 1
        if mark == ".":
            return ("set", [(10, 10)], True)  # any but U+000A
        if mark == "^":
            return ("start",)
        if mark == "$":
            return ("end",)
        if mark == "[":
            return self.char_class()
        if mark == "(":
            expect(self.text.startswith("?:", self.at) and depth < MAX_GROUPS)
            self.at += 2
            tree = self.alternatives(depth + 1)
            expect(self.peek() == ")")
            self.at += 1
            return ("join", [tree])
        if mark == "\\":
            mark = self.peek()
            expect(mark != "" and mark in _SPECIAL)
            self.at += 1
        else:
            expect(mark not in _SPECIAL)  # `]` and `}` too
        return ("set", [(ord(mark), ord(mark))], False)

    def char_class(self):
        negated = self.peek() == "^"
        if negated:
            self.at += 1
        ranges = []
        while self.peek() != "]":
            low = high = self.class_char()
            if self.peek() == "-":
                self.at += 1
                high = self.class_char()
                expect(low <= high)
            ranges.append((low, high))
        self.at += 1
        expect(ranges)  # not empty
        return ("set", ranges, negated)

    def class_char(self):
        mark = self.peek()
        self.at += 1
        expect(mark != "" and mark not in _NOT_IN_CLASS)
        if mark == "\\":
            mark = self.peek()
            self.at += 1
            expect(mark != "" and mark in _IN_CLASS_ESCAPED)
        else:
            expect(mark not in _IN_CLASS_ESCAPED)
        return ord(mark)


class Pattern:
    """A kernel expression, ready to be searched for. Unreadable if it is not one."""

    def __init__(self, text):
        expect(isinstance(text, str) and len(text.encode("utf-8")) <= MAX_BYTES)
        parser = _Parser(text)
        tree = parser.alternatives(0)
        expect(parser.at == len(text))  # a `)` that nothing opens
        self.instructions = _instructions(tree) + 1  # and one for the match
        expect(self.instructions <= MAX_INSTRUCTIONS and _copies(tree) <= MAX_COPIES)
        self.program = []  # (set, ranges, negated) (split, a, b) (jump, a) (start,) (end,) (match,)
        self._emit(tree)
        self.program.append(("match",))

    def _emit(self, tree):
        program = self.program
        if tree[0] == "join":
            for part in tree[1]:
                self._emit(part)
        elif tree[0] == "or":
            jumps = []
            for branch in tree[1][:-1]:
                split = len(program)
                program.append(None)
                self._emit(branch)
                jumps.append(len(program))
                program.append(None)
                program[split] = ("split", split + 1, len(program))
            self._emit(tree[1][-1])
            for jump in jumps:
                program[jump] = ("jump", len(program))
        elif tree[0] == "repeat":
            _, part, low, high, mark = tree
            for _ in range(low):
                start = len(program)
                self._emit(part)
            if (low, high, mark) == (1, None, "+"):
                program.append(("split", start, len(program) + 1))
            elif high is None:
                split = len(program)
                program.append(None)
                self._emit(part)
                program.append(("jump", split))
                program[split] = ("split", split + 1, len(program))
            else:
                splits = []
                for _ in range(high - low):
                    splits.append(len(program))
                    program.append(None)
                    self._emit(part)
                for split in splits:
                    program[split] = ("split", split + 1, len(program))
        else:
            program.append(tree)

    def found_in(self, subject):
        """Whether the expression is found anywhere in a string."""
        threads = set()
        for at in range(len(subject) + 1):
            ended = at == len(subject)
            self._follow(threads, [0], at == 0, ended)  # a match may begin here
            if len(self.program) - 1 in threads:
                return True
            if ended:
                return False
            code = ord(subject[at])
            step = [
                thread + 1
                for thread in threads
                if self.program[thread][0] == "set" and _holds(self.program[thread], code)
            ]
            threads = set()
            self._follow(threads, step, False, at + 1 == len(subject))
        return False

    def _follow(self, threads, todo, first, ended):
        """Adds what is reached without reading a character."""
        while todo:
            thread = todo.pop()
            if thread in threads:
                continue
            threads.add(thread)
            instruction = self.program[thread]
            if instruction[0] == "split":
                todo += instruction[1:]
            elif instruction[0] == "jump":
                todo.append(instruction[1])
            elif (instruction[0] == "start" and first) or (instruction[0] == "end" and ended):
                todo.append(thread + 1)


def _instructions(tree):
    """How many instructions a tree has, without writing them down (FORMAT M-4.7)."""
    if tree[0] == "join":
        return sum(map(_instructions, tree[1]))
    if tree[0] == "or":
        return sum(map(_instructions, tree[1])) + 2 * (len(tree[1]) - 1)
    if tree[0] == "set":
        return len(tree[1])
    if tree[0] != "repeat":
        return 1
    _, part, low, high, mark = tree
    once = _instructions(part)
    if mark == "+":
        return once + 1
    return low * once + (once + 2 if high is None else (high - low) * (once + 1))


def _copies(tree):
    """The greatest product of counts within counts: that of `{n,}` is n, of `{n,m}` m, and 0 counts as 1."""
    if tree[0] in ("join", "or"):
        return max(map(_copies, tree[1]), default=1)
    if tree[0] != "repeat":
        return 1
    _, part, low, high, mark = tree
    count = (low if high is None else high) if mark == "{" else 1
    return max(count, 1) * _copies(part)


def _holds(instruction, code):
    _, ranges, negated = instruction
    return any(low <= code <= high for low, high in ranges) != negated


def is_kernel(text):
    """Whether a text is an expression of the kernel."""
    try:
        Pattern(text)
    except Unreadable:
        return False
    return True
