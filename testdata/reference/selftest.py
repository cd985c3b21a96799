"""What the reference must get right before it is compared with anything: facts from elsewhere.

    python3 testdata/reference/selftest.py

The facts are the text's own examples, the streams of `testdata/example/` (made by yet another implementation),
the order of SemVer 2.0 §11, dates that every calendar agrees on, and ECMAScript's numbers.
"""

import os
import unittest

import buckets
import canonical
import evaluate
import instants
import lists
import networks
import operands
import patterns
import strictjson
import values
import versions

_TESTDATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def _lines_of(*names):
    with open(os.path.join(_TESTDATA, *names), "rb") as file:
        return file.read().split(b"\n")[:-1]


class Facts(unittest.TestCase):
    """Each test is a fact."""

    def agrees(self, folder, snapshot, cases, expected):
        over = evaluate.load(os.path.join(_TESTDATA, folder, snapshot))
        answers = list(evaluate.answers(over, _lines_of(folder, cases), 0))
        wanted = _lines_of(folder, expected)
        self.assertEqual(len(answers), len(wanted))
        for at, (answer, line) in enumerate(zip(answers, wanted)):
            with self.subTest(case=at):
                self.assertEqual(
                    strictjson.write(answer, sort=True), strictjson.write(strictjson.read(line), sort=True)
                )

    def test_the_example_has_its_results(self):
        self.agrees("example", "snapshot.jsonl", "cases.jsonl", "expected.jsonl")
        self.agrees("example", "model-lines.jsonl", "model-cases.jsonl", "model-expected.jsonl")

    def test_the_checks_of_the_example_pass(self):
        over = evaluate.load(os.path.join(_TESTDATA, "example", "model-lines.jsonl"))
        self.assertEqual(len(over.checks), 1)
        for check in over.checks.values():
            self.assertTrue(check.passes(over))

    def test_the_lines_of_the_example_are_canonical(self):
        for name in ("snapshot.jsonl", "old-snapshot.jsonl", "model-lines.jsonl"):
            for line in _lines_of("example", name):
                if b"geo_within" in line:
                    continue  # a test of level 2: nothing is known of its canonical form
                self.assertTrue(canonical.is_canonical(line), line)

    def test_buckets_are_those_of_format_m_12_8(self):
        for salt, unit, bucket in (
            ("search", "u-3", 93920),
            ("search", "42", 40458),
            ("new-cart", "u-1", 91879),
            ("søk", "ñandú", 20585),
        ):
            self.assertEqual(buckets.Hashing({"salt": salt}).bucket(unit), bucket)
        self.assertEqual(buckets.xxh32(b"search"), 0x76BDCA26)
        self.assertEqual(buckets.xxh32(b"u-3", 0x76BDCA26), 0xF06F6F7F)
        for value in (42.0, "42"):
            self.assertEqual(buckets.Hashing({"salt": "cli"}).bucket(values.unit(value)), 43956)
        self.assertIsNone(values.unit(True))

    def test_xxh32_has_its_published_sanity_values(self):
        # The sanity checks of xxHash: no data, seeds 0 and its own prime.
        self.assertEqual(buckets.xxh32(b"", 0), 0x02CC5D05)
        self.assertEqual(buckets.xxh32(b"", 2654435761), 0x36B78AE7)
        self.assertEqual(buckets.xxh32(b"Nobody inspects the spammish repetition", 0), 0xE2293B2F)

    def test_versions_stand_in_the_order_of_semver(self):
        order = (
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
        )
        keys = [versions.version(each) for each in order + ("2.0.0", "2.1.0", "2.1.1")]
        self.assertEqual(sorted(keys), keys)
        self.assertEqual(len(set(keys)), len(keys))
        self.assertEqual(versions.version("v1"), versions.version("1.0.0+build.5"))

    def test_instants_are_those_of_other_calendars(self):
        for text, milliseconds in (
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2001-09-09T01:46:40Z", 1_000_000_000_000),
            ("2038-01-19T03:14:08Z", 2**31 * 1000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ):
            self.assertEqual(instants.instant(text), milliseconds)
            self.assertEqual(instants.write_instant(milliseconds), text)
        # RFC 3339, 5.8: one instant, written twice.
        self.assertEqual(
            instants.timestamp("1996-12-19T16:39:57-08:00"), instants.timestamp("1996-12-20T00:39:57Z")
        )
        self.assertEqual(instants.timestamp("0000-01-01T00:00:00Z"), -62_167_219_200_000)

    def test_addresses_are_those_of_rfc_4291(self):
        for one, other in (
            ("2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"),
            ("FF01:0:0:0:0:0:0:101", "ff01::101"),
            ("0:0:0:0:0:0:13.1.68.3", "::13.1.68.3"),
            ("::FFFF:129.144.52.38", "129.144.52.38"),
        ):
            self.assertEqual(networks.address(one), networks.address(other))
            self.assertIsNotNone(networks.address(one))
        for text in ("1.2.3.04", "1.2.3", "::1%eth0", "1:2:3:4:5:6:7:8::", ":1::", "12345::", ""):
            self.assertIsNone(networks.address(text), text)

    def test_numbers_are_written_as_ecmascript_writes_them(self):
        for number, text in (
            (-0.0, "0"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (123.456, "123.456"),
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-1.5e-9, "-1.5e-9"),
        ):
            self.assertEqual(strictjson.write_number(number), text)

    def test_patterns_are_found_anywhere_and_in_linear_time(self):
        self.assertTrue(patterns.Pattern("b+").found_in("abc"))
        self.assertFalse(patterns.Pattern("^b").found_in("abc"))
        self.assertFalse(patterns.Pattern("c$").found_in("abc\n"))
        self.assertFalse(patterns.Pattern("(?:a*)*b").found_in("a" * 2000))
        self.assertFalse(patterns.Pattern("^.$").found_in("\n"))
        self.assertTrue(patterns.Pattern("^.$").found_in("😀"))
        for text in ("(a)", "\\d", "a**", "^*", "[]", "[z-a]", "a{256}", "a{01}", "[a&&b]", "a+?", "]", "}"):
            self.assertFalse(patterns.is_kernel(text), text)

    def test_hashed_operands_are_those_of_format_m_9_3(self):
        self.assertTrue(
            operands.digest("@acme.com".encode(), "k3f9").startswith("b0243bd6035574cb7e1f7cccf6e9065d")
        )

    def test_a_stored_frame_unpacks_to_its_text(self):
        for text in (b"", b"a\n", b"key\n" * 40_000):
            self.assertEqual(lists.unpack_stored(lists.stored_frame(text)), text)


if __name__ == "__main__":
    unittest.main()
