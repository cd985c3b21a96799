"""Addresses and networks (FORMAT M-4.5, `cidr`).

An address is (bits, number) with 32 or 128 bits; `::ffff:0:0/96` is IPv4 on both sides.
"""

import re

from values import expect

_OCTET = re.compile(r"0|[1-9][0-9]{0,2}")
_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")


def _ipv4(text):
    """Four decimal numbers up to 255, without leading zeros; None if it is something else."""
    parts = text.split(".")
    if len(parts) != 4 or not all(_OCTET.fullmatch(part) and int(part) <= 255 for part in parts):
        return None
    number = 0
    for part in parts:
        number = number << 8 | int(part)
    return number


def _groups(text):
    """Groups of 16 bits joined by colons; the last two may be written as IPv4 (RFC 4291, 2.2)."""
    groups = []
    parts = text.split(":") if text else []
    for at, part in enumerate(parts):
        if at == len(parts) - 1 and "." in part:
            number = _ipv4(part)
            if number is None:
                return None
            groups += [number >> 16, number & 0xFFFF]
        elif _GROUP.fullmatch(part):
            groups.append(int(part, 16))
        else:
            return None
    return groups


def _ipv6(text):
    """RFC 4291, no zone: eight groups, or fewer around one `::` that stands for at least one."""
    head, gap, tail = text.partition("::")
    first, last = _groups(head), _groups(tail)
    if first is None or last is None or (gap and "." in head):
        return None
    missing = 8 - len(first) - len(last)
    if missing < 1 if gap else missing != 0:
        return None
    number = 0
    for group in first + [0] * missing + last:
        number = number << 16 | group
    return number


def _either(text):
    if ":" in text:
        return 128, _ipv6(text)
    return 32, _ipv4(text)


def address(text):
    """The address that an attribute spells, or None."""
    if not isinstance(text, str):
        return None
    bits, number = _either(text)
    if number is None:
        return None
    if bits == 128 and number >> 32 == 0xFFFF:
        return 32, number & 0xFFFFFFFF
    return bits, number


def network(text):
    """An operand of `cidr`: (bits, number, length). It has its `/n` and zero host bits."""
    expect(isinstance(text, str) and text.count("/") == 1)
    start, _, length = text.partition("/")
    bits, number = _either(start)
    expect(number is not None and _LENGTH.fullmatch(length) and int(length) <= bits)
    length = int(length)
    expect(number & ((1 << (bits - length)) - 1) == 0)
    if bits == 128 and length >= 96 and number >> 32 == 0xFFFF:
        return 32, number & 0xFFFFFFFF, length - 96
    return bits, number, length


def inside(net, addr):
    """Whether an address lies in a network; families never match."""
    bits, number, length = net
    return addr[0] == bits and addr[1] >> (bits - length) == number >> (bits - length)
