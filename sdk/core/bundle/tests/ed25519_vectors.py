#!/usr/bin/env python3
"""Makes testdata/ed25519/cases.json: an Ed25519 of its own, written from RFC 8032, with nothing of this repository.

Run from the root of the repository: python3 sdk/core/bundle/tests/ed25519_vectors.py > testdata/ed25519/cases.json
"""
import hashlib
import json

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)


def add(p, q):
    (x1, y1), (x2, y2) = p, q
    t = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P
    return x, y


def mul(n, p):
    r = (0, 1)
    while n:
        if n & 1:
            r = add(r, p)
        p, n = add(p, p), n >> 1
    return r


def root_x(y):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * I % P
    return x if (x * x - xx) % P == 0 else None


def encode(p):
    return (p[1] | (p[0] & 1) << 255).to_bytes(32, "little")


def number(b):
    return int.from_bytes(b, "little")


BY = 4 * pow(5, P - 2, P) % P
BX = root_x(BY)
B = (BX if BX % 2 == 0 else P - BX, BY)


def hash_k(r, a, m):
    return number(hashlib.sha512(r + a + m).digest()) % L


def secret(name):
    h = hashlib.sha512(hashlib.sha256(name.encode()).digest()).digest()
    return (number(h[:32]) & ((1 << 254) - 8)) | (1 << 254), h[32:]


# A point of order 8: multiply any point by L until its torsion part has full order.
def order_8():
    y = 2
    while True:
        x = root_x(y)
        if x is not None:
            t = mul(L, (x, y))
            if mul(4, t) != (0, 1):
                return t
        y += 1


T = order_8()
SMALL = [mul(n, T) for n in range(8)]
cases = []


def case(name, key, sig, msg, key_ok, sig_ok):
    cases.append({"name": name, "key": key.hex(), "message": msg.hex(), "signature": sig.hex(),
                  "expect": {"key": key_ok, "signature": sig_ok}})


def s_bytes(s):
    return s.to_bytes(32, "little")


# RFC 8032, 7.1, test 1: that this file's own arithmetic is right.
rfc_key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
rfc_sig = bytes.fromhex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                        "d25bf5f0595bbe24655141438e7a100b")
k = hash_k(rfc_sig[:32], rfc_key, b"")
x = root_x(number(rfc_key) & (2**255 - 1))
a = (x if x % 2 == number(rfc_key) >> 255 else P - x, number(rfc_key) & (2**255 - 1))
r = rfc_sig[:32]
assert encode(add(mul(number(rfc_sig[32:]), B), mul(L - k % L, a)))[:31] == r[:31]
case("RFC 8032 test 1", rfc_key, rfc_sig, b"", "accepted", "valid")

a, prefix = secret("flagstone vector key")
A = mul(a, B)
KEY = encode(A)


def sign(msg, key=KEY, torsion_r=(0, 1)):
    n = number(hashlib.sha512(prefix + msg).digest()) % L
    r = encode(add(mul(n, B), torsion_r))
    return r, (n + hash_k(r, key, msg) * a) % L


m = b"flagstone"
r, s = sign(m)
case("an honest signature", KEY, r + s_bytes(s), m, "accepted", "valid")
case("another message", KEY, r + s_bytes(s), m + b"!", "accepted", "invalid")
case("S + L: the same signature, not reduced", KEY, r + s_bytes(s + L), m, "accepted", "invalid")
case("S = L and more: high bits set", KEY, r + s_bytes(s | 7 << 253), m, "accepted", "invalid")
case("S = 0", KEY, r + s_bytes(0), m, "accepted", "invalid")
case("R negated", KEY, r[:31] + bytes([r[31] ^ 0x80]) + s_bytes(s), m, "accepted",
     "invalid")

# R of small order with S = k·a: verifies wherever R is not looked at.
for n, t in enumerate(SMALL):
    rt = encode(t)
    st = hash_k(rt, KEY, m) * a % L
    case(f"R of small order ({n}·T)", KEY, rt + s_bytes(st), m, "accepted", "any")
for y in (P, P + 1):
    for sign_bit in (0, 1):
        rt = (y | sign_bit << 255).to_bytes(32, "little")
        st = hash_k(rt, KEY, m) * a % L
        case(f"R of small order, not canonical (p+{y - P}, sign {sign_bit})", KEY, rt + s_bytes(st), m, "accepted", "any")

# R with a torsion part: only cofactored verification takes it.
r8, s8 = sign(m, torsion_r=T)
case("R with a torsion part", KEY, r8 + s_bytes(s8), m, "accepted", "any")

# A with a torsion part: an owner can make verifiers differ, so the rows are "any", but for k = 0 mod 8.
mixed = encode(add(A, T))
done = set()
for i in range(200):
    msg = b"mixed %d" % i
    rm, sm = sign(msg, key=mixed)
    whole = hash_k(rm, mixed, msg) % 8 == 0
    if whole in done:
        continue
    done.add(whole)
    case("A with a torsion part, k·T = 0" if whole else "A with a torsion part, k·T ≠ 0", mixed, rm + s_bytes(sm), msg,
         "any", "any")
assert len(done) == 2

# The 14 encodings of the 8 points of small order: 8 canonical, 6 not.
weak = {}
for n, t in enumerate(SMALL):
    weak[encode(t)] = f"{n}·T"
    if t[0] == 0:
        weak[(t[1] | 1 << 255).to_bytes(32, "little")] = f"{n}·T, x = 0 with its sign set"
for y in (P, P + 1):
    for sign_bit in (0, 1):
        weak[(y | sign_bit << 255).to_bytes(32, "little")] = f"y = p+{y - P}, sign {sign_bit}"
assert len(weak) == 14, len(weak)
for key, what in sorted(weak.items()):
    point = SMALL[0]
    # S = 0 and R = −k·A for the A that the encoding stands for: takes in careless verifiers for one message in eight.
    case(f"a key of small order: {what}", key, encode(point) + s_bytes(0), m, "refused", "invalid")

# Encodings with y ≥ p that are no point of small order, where there is a point at all.
for y in range(P + 2, 2**255):
    for sign_bit in (0, 1):
        on_curve = root_x(y - P) is not None
        key = (y | sign_bit << 255).to_bytes(32, "little")
        case(f"y = p+{y - P}, sign {sign_bit}: {'not canonical' if on_curve else 'no point'}", key, r + s_bytes(s), m,
             "refused", "invalid")
y = 2
while root_x(y) is not None:
    y += 1
case("no point of the curve", y.to_bytes(32, "little"), r + s_bytes(s), m, "refused", "invalid")

print("[" + ",\n ".join(json.dumps(c, ensure_ascii=False) for c in cases) + "]")
