"""Writes ids.jsonl: ids of exposures by FORMAT M-7.2, made by Python's json and hashlib alone."""

import hashlib
import json
import pathlib

CASES = [
    ("shop", "production", "cta-test.2", "cta", "red", "targetingKey", "u-1"),
    ("shop", "production", "cta-test.2", "cta", "blue", "targetingKey", "u-1"),
    ("shop", "staging", "cta-test.2", "cta", "red", "targetingKey", "u-1"),
    ("shop", "production", "cta-test.3", "cta", "red", "targetingKey", "u-1"),
    ("shop", "production", "cta-test.2", "cta", "red", "org.key", "42"),
    ("shop", "production", "cta-test.2", "cta", "red", "org.a~1b", "-7"),
    ("shop", "production", "søk.1", "search", "a b/c", "targetingKey", "ñandú"),
    ("shop", "production", 'quo"te\\.1', "cta", "red", "targetingKey", "tab\tnewline\nnul\u0000del\u007f"),
    ("shop", "production", "cta-test.2", "cta", "red", "targetingKey", "\u2028\U0001f6a9"),
]
NAMES = ("project", "environment", "exp", "flag", "variation", "by", "unit")

lines = []
for case in CASES:
    array = json.dumps(["exposure", *case], ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(array.encode()).hexdigest()[:32]
    lines.append(json.dumps({**dict(zip(NAMES, case)), "id": digest}, ensure_ascii=False, separators=(",", ":")))
pathlib.Path(__file__).with_name("ids.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
