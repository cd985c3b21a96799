//! Lines drawn at random, whose expected results were made by another implementation, from FORMAT alone.

use std::path::Path;

use flagstone_eval::{Snapshot, batch};

use super::NOW;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/model").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn two_readers_of_the_format_agree_on_lines_drawn_at_random() {
    let (lines, cases, expected) = (read("lines.jsonl"), read("cases.jsonl"), read("expected.jsonl"));
    let (snapshot, _) = Snapshot::compile(lines.lines().map(str::as_bytes));
    assert_eq!(cases.lines().count(), expected.lines().count());
    let mut agreed = 0;
    for (case, expected) in cases.lines().zip(expected.lines()) {
        assert_eq!(batch::answer(&snapshot, case.as_bytes(), NOW), expected, "{case}");
        agreed += 1;
    }
    assert_eq!(agreed, 500);
}
