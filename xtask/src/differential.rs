//! The second implementation in `testdata/reference/`: its own facts, then a short seeded comparison with it.

use anyhow::{Context as _, Result};

use crate::reference::{script, without_python};
use crate::steps::{Outcome, Tree, succeed};

/// How many snapshots are compared: a few seconds, and the same ones each time.
const ROUNDS: &str = "100";

/// How often each exit and each result of each test must be met on them.
const MINIMUM: &str = "5";

/// Compares `flagstone eval --batch` with the reference on snapshots drawn at random.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    if let Some(outcome) = without_python(tree)? {
        return Ok(outcome);
    }
    succeed(script(tree, "selftest.py", &[]))?;
    let binary = tree.program("flagstone")?;
    let binary = binary.to_str().context("the path of the binary is text")?;
    let arguments = ["--binary", binary, "--rounds", ROUNDS, "--minimum", MINIMUM];
    succeed(script(tree, "differential.py", &arguments))
}
