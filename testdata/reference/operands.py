"""Operands of tests at random, and values of contexts that come near them.

Each generator gives `(operand, values)`: values drawn from the operand, so that all results occur often.
"""

import hashlib

import instants
import regexes
from strictjson import write_number

STRINGS = (
    "",
    "u-1",
    "u-2",
    "u-10",
    "42",
    "-7",
    "0",
    "1.5",
    "1e2",
    "DE",
    "de",
    "AT",
    "At",
    "true",
    "x@acme.com",
    "X@ACME.COM",
    "@acme.com",
    "ñandú",
    "n\u0303andu\u0301",
    "é",
    "e\u0301",
    "\u2028",
    "\x7f",
    "😀",
    "K",
    "\u212a",
    "İstanbul",
    "ß",
    "a.b",
    "a\nb",
    "\t",
    "\x00",
    "日本",
    " u-1",
    "u-1 ",
)
NUMBERS = (
    0,
    1,
    -1,
    -7,
    2,
    18,
    42,
    65,
    100,
    1.5,
    -0.0,
    0.1,
    2.5,
    1e-7,
    1e21,
    1e300,
    -1e300,
    5e-324,
    2**53 - 1,
    2**53,
    -(2**53 - 1),
    -(2**53),
    4294967296,
    1764673200000,
)


def scalar(r):
    """A string, number, or bool."""
    return r.choice((r.choice(STRINGS), float(r.choice(NUMBERS)), r.random() < 0.5))


def junk(r):
    """Something that is rarely right."""
    return r.choice(
        (None, True, False, 0.0, 1.0, -1.0, 1.5, "", "x", [], {}, ["x"], [None], {"k": 1.0}, [[]], "on")
    )


def near(r, value):
    """A value that differs a little."""
    if isinstance(value, bool):
        return r.choice((not value, "true" if value else "false", 1.0))
    if isinstance(value, float):
        return r.choice((value + 1, value - 1, value + 0.5, -value, write_number(value), value * (1 + 2**-52)))
    if not isinstance(value, str):
        return junk(r)
    at = r.randint(0, len(value))
    mark = r.choice("aZ0. é-1/:")
    return r.choice(
        (
            value.swapcase(),
            value.upper(),
            value + mark,
            mark + value,
            value[:at] + mark + value[at:],
            value[:-1],
            value[1:],
            value[:at] + value[at + 1 :],
            as_number(value),
        )
    )


def as_number(text):
    """The finite number that a text spells, else the text."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number - number == 0 else text


def some(r, make, most=4):
    """A few of something, seldom none, seldom more than a small table holds."""
    return [make() for _ in range(r.choice((0, 1, 1, 2, 3, most, r.choice((most, 40)))))]


def op_exists(r):
    return r.random() < 0.5, [scalar(r), {}, [], [None]]


def op_scalars(r):
    operands = some(r, lambda: scalar(r))
    return operands, operands + [near(r, each) for each in operands] + [scalar(r)]


def op_has_all(r):
    operands = some(r, lambda: scalar(r), most=3)[:5]
    whole = operands + [scalar(r)]
    r.shuffle(whole)
    return operands, [whole, operands[:-1], [near(r, each) for each in operands]] + operands[:1]


def op_texts(r):
    operands = some(r, lambda: r.choice(STRINGS))
    values = [scalar(r)]
    for each in operands:
        values += [
            each,
            each + r.choice(STRINGS),
            r.choice(STRINGS) + each,
            r.choice(STRINGS) + each + "x",
            near(r, each),
        ]
    return operands, values


def op_number(r):
    number = float(r.choice(NUMBERS))
    return number, [
        number,
        number + 1,
        number - 1,
        number * (1 - 2**-53),
        -number,
        write_number(number),
        float(r.choice(NUMBERS)),
    ]


def _identifiers(r):
    pool = ("0", "1", "2", "11", "alpha", "beta", "rc", "a-b", "-", "0a", "A", "999999999999999")
    return ".".join(r.choice(pool) for _ in range(r.randint(1, 3)))


def _version(r):
    numbers = [r.choice(("0", "1", "2", "3", "10", "999999999999999")) for _ in range(3)]
    return ".".join(numbers) + ("-" + _identifiers(r) if r.random() < 0.4 else "")


def op_semver(r):
    versions = [_version(r) for _ in range(r.choice((1, 1, 1, 2, 2, 2, 3, 4, 4, 5)))]
    operand = " ".join(r.choice(("=", "<", "<=", ">", ">=")) + each for each in versions)
    values = [scalar(r), _version(r)]
    for each in versions:
        core, _, pre = each.partition("-")
        values += [
            each,
            "v" + each,
            "V" + core,
            each + "+build.01",
            core + "-" + _identifiers(r),
            core,
            core.rpartition(".")[0],
            core.partition(".")[0] + ("-" + pre if pre else ""),
            near(r, each),
            core + "-01",
            core + "-1." + pre,
            core + "+",
            core + r.choice(("-", "-rc.")) + r.choice(("999999999999999", "1000000000000000")),
            r.choice(("999999999999999", "1000000000000000")) + ".0.0",
        ]
    return operand, values


BASE_MS = 1_796_212_800_000  # 2026-12-02T12:00:00Z
_STEPS = (
    0,
    1,
    -1,
    999,
    1000,
    -1000,
    3_600_000,
    -3_600_000,
    86_400_000,
    -86_400_000,
    7 * 86_400_000,
    31_536_000_000,
)


def moment(r):
    """Epoch milliseconds, most often near one noon."""
    if r.random() < 0.06:
        return r.choice((0, 951_782_400_000, 253_402_300_799_999, 4_107_542_400_000, 1_000, 68_169_600_000))
    return BASE_MS + r.choice(_STEPS) + r.choice(_STEPS)


def rfc3339(r, milliseconds):
    """A timestamp with some offset, sometimes malformed."""
    offset = r.choice((0, 0, 60, -60, 330, -570, 1439, -1439))
    local = milliseconds + offset * 60_000
    try:
        text = instants.write_instant(local)[:-1]
    except ValueError:
        text = "1969-12-31T23:59:59"
    if r.random() < 0.3:
        text = text if "." in text else text + ".000"
        text += r.choice(("", "9", "999999999", "0"))
    if r.random() < 0.15:
        text = r.choice(
            (
                text.replace("T", "t"),
                text.replace("T", " "),
                text[:17] + "60",
                text + ".",
                text[:16],
                "0000" + text[4:],
                text.replace("-", ""),
                text[:5] + "13" + text[7:],
                text[:11] + "24" + text[13:],
                "1900-02-29T00:00:00",
                "2000-02-29T00:00:00",
                text[:5] + "02-30" + text[10:],
                "+" + text,
                text.replace(".", ","),
            )
        )
    if r.random() < 0.06:
        return text + r.choice(("", "z", "+0100", "+24:00", "-00:60", "+1:00", "-00:00", "Z ", "+01", "-23:59"))
    if offset == 0 and r.random() < 0.8:
        return text + "Z"
    return text + ("+" if offset >= 0 else "-") + f"{abs(offset) // 60:02}:{abs(offset) % 60:02}"


def op_instant(r):
    at = moment(r)
    values = [scalar(r)]
    for step in (0, 1, -1, 0, 1000, -1000, 86_400_000):
        values += [float(at + step), rfc3339(r, at + step), rfc3339(r, at + step)]
    values += [at + 0.5, write_number(float(at)), float(-at)]
    return instants.write_instant(at), values


def write_ipv4(number):
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def write_ipv6(r, number):
    """One of the spellings that RFC 4291 allows."""
    groups = [f"{number >> shift & 0xFFFF:x}" for shift in range(112, -16, -16)]
    if r.random() < 0.3:
        groups = [each.upper().zfill(r.randint(1, 4)) for each in groups]
    if r.random() < 0.25:
        groups[6:] = [write_ipv4(number & 0xFFFFFFFF)]
    zeros = [at for at, each in enumerate(groups) if "." not in each and int(each, 16) == 0]
    if zeros and r.random() < 0.8:
        start = end = r.choice(zeros)
        while end + 1 in zeros and r.random() < 0.9:
            end += 1
        return ":".join(groups[:start]) + "::" + ":".join(groups[end + 1 :])
    return ":".join(groups)


def _network(r):
    """Text of a network, and addresses in and near it."""
    kind = r.random()
    bits = 32 if kind < 0.5 else 128
    length = (
        r.choice((0, 1, 8, 9, 16, 24, 30, 31, 32))
        if bits == 32
        else r.choice((0, 1, 10, 32, 64, 95, 96, 97, 104, 120, 127, 128))
    )
    number = r.getrandbits(bits) if r.random() < 0.7 else r.choice((0, 0x0A000000, 0xC0A80100, 1 << 120, 1))
    number &= (1 << bits) - 1
    if kind > 0.8:
        number = 0xFFFF << 32 | number & 0xFFFFFFFF
    host = (1 << bits - length) - 1
    number &= ~host
    inside = [number | r.getrandbits(bits) & host, number, number | host]
    outside = [number ^ 1 << min(bits - length, bits - 1), r.getrandbits(bits)]
    if bits == 32:
        addresses = [write_ipv4(each) for each in inside + outside]
        addresses += ["::ffff:" + each for each in addresses[:2]] + ["::" + addresses[0], "0" + addresses[0]]
        return f"{write_ipv4(number)}/{length}", addresses
    addresses = [write_ipv6(r, each) for each in inside + outside]
    addresses += [write_ipv4(each & 0xFFFFFFFF) for each in inside] + [
        addresses[0] + "%eth0",
        "[" + addresses[0] + "]",
    ]
    return f"{write_ipv6(r, number)}/{length}", addresses


def op_cidr(r):
    operands, values = [], [
        "127.0.0.1",
        "::1",
        "::",
        "1.2.3",
        "1:2:3:4:5:6:7::",
        "1:2:3:4:5:6:7:8::",
        ":::",
        "1.2.3.256",
        scalar(r),
    ]
    for _ in range(r.choice((0, 1, 1, 1, 2, 3))):
        text, addresses = _network(r)
        operands.append(text)
        values += addresses * 2 + [near(r, addresses[0])]
    return operands, values


def digest(text, salt):
    """What a `hashed` test compares, whole."""
    return hashlib.sha256(text + salt.encode("utf-8")).hexdigest()


def op_hashed(r):
    salt = r.choice(("", "k3f9", "ñ", "s" * 70))
    size = r.choice((12, 13, 32, 64))
    operand, values = {"salt": salt}, [scalar(r), r.choice(STRINGS)]
    for name in ("in", "starts", "ends"):
        if r.random() < 0.55:
            operand[name] = []
            for _ in range(r.choice((0, 1, 1, 2))):
                text = r.choice(STRINGS)
                data = text.encode("utf-8")
                if name == "in":
                    operand[name].append(digest(data, salt)[:size])
                    values += [text, text, near(r, text)]
                else:
                    # Sometimes a part that ends within a character.
                    count = max(0, len(data) - r.choice((0, 0, 1)))
                    part = data[:count] if name == "starts" else data[len(data) - count :]
                    operand[name].append([float(count), digest(part, salt)[:size]])
                    other = r.choice(STRINGS)
                    values += [text, text + other if name == "starts" else other + text, near(r, text)]
    if len(operand) == 1:
        operand["in"] = []
    return operand, values


def op_matches(r):
    while True:
        text, sample = regexes.regex(r)
        if len(text.encode("utf-8")) <= 512:
            break
    values = [
        sample,
        sample,
        "x" + sample,
        sample + "\n",
        near(r, sample),
        near(r, sample),
        r.choice(STRINGS),
        scalar(r),
    ]
    if r.random() < 0.05 and len(text) < 5:
        values += ["a" * 4096, "a" * 4097, "é" * 2048, "é" * 2048 + "a"]
    return text, values


OPERANDS = {
    "exists": op_exists,
    "in": op_scalars,
    "has_all": op_has_all,
    "starts": op_texts,
    "ends": op_texts,
    "contains": op_texts,
    "matches": op_matches,
    "lt": op_number,
    "lte": op_number,
    "gt": op_number,
    "gte": op_number,
    "semver": op_semver,
    "since": op_instant,
    "before": op_instant,
    "cidr": op_cidr,
    "hashed": op_hashed,
}
