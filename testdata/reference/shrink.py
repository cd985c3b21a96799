"""Makes a disagreement small: fewer lines, fewer members, simpler values, as long as it is still there."""

import strictjson

MAX_TRIES = 1500


class _Budget:
    def __init__(self, differs):
        self.differs, self.left = differs, MAX_TRIES

    def __call__(self, content, case):
        if self.left <= 0:
            return False
        self.left -= 1
        return self.differs(content, case)


def shrink(content, case, differs):
    """Smaller content and case on which `differs(content, case)` still holds."""
    differs = _Budget(differs)
    texts = content.split(b"\n")
    end = texts.pop()  # what stands behind the last `\n`

    def joined(texts):
        return b"".join(text + b"\n" for text in texts) + end

    texts = _fewer(texts, lambda some: differs(joined(some), case))
    before = None
    while before != (texts, case):
        before = (list(texts), case)
        for at in range(len(texts)):

            def with_line(text, at=at):
                return differs(joined(texts[:at] + [text] + texts[at + 1 :]), case)

            texts[at] = _simpler(texts[at], with_line)
        case = _simpler(case, lambda text: differs(joined(texts), text))
    return joined(texts), case


def _fewer(items, holds):
    """Takes out chunks, from halves down to single items."""
    size = max(1, len(items) // 2)
    while items:
        at, smaller = 0, False
        while at < len(items):
            without = items[:at] + items[at + size :]
            if holds(without):
                items, smaller = without, True
            else:
                at += size
        if size == 1 and not smaller:
            break
        size = max(1, size // 2)
    return items


def _simpler(text, holds):
    """A smaller JSON text; one that is no JSON, or whose spelling is what matters, stays."""
    try:
        value = strictjson.read(text, lenient=True, max_depth=128)
    except strictjson.NotJson:
        return text
    plain = strictjson.write(value).encode("utf-8", "surrogatepass")
    if plain != text and not holds(plain):
        return text
    found = True
    while found:
        found = False
        for candidate in _candidates(value):
            if holds(strictjson.write(candidate).encode("utf-8", "surrogatepass")):
                value, found = candidate, True
                break
    return strictjson.write(value).encode("utf-8", "surrogatepass")


def _candidates(value):
    """Values one step smaller: a part left out, a part in the place of the whole, a shorter text."""
    if isinstance(value, dict):
        for name in value:
            yield {other: each for other, each in value.items() if other != name}
        for name, member in value.items():
            for smaller in _candidates(member):
                yield {**value, name: smaller}
            if name in ("all", "any", "not"):
                for part in member if isinstance(member, list) else [member]:
                    yield part
    elif isinstance(value, list):
        for at in range(len(value)):
            yield value[:at] + value[at + 1 :]
        for at, element in enumerate(value):
            for smaller in _candidates(element):
                yield value[:at] + [smaller] + value[at + 1 :]
    elif isinstance(value, str) and len(value) > 1:
        yield value[: len(value) // 2]
        yield value[1:]
        yield value[:-1]
