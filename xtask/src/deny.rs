//! `cargo deny`.

use std::process::Command;

use anyhow::Result;

use crate::steps::{Outcome, Tree, succeed};
use crate::tools::DENY;

/// Bans, licenses, and sources, as `deny.toml` has them.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    DENY.run(tree, |tool| {
        let mut command = Command::new(tool);
        command.current_dir(&tree.root).args(["--workspace", "check", "bans", "licenses", "sources"]);
        succeed(command)
    })
}

/// Never run here: the database is a repository of its own, which no package registry offers (docs/CI.md).
#[expect(clippy::unnecessary_wraps, reason = "a step, like the others")]
pub(crate) fn advisories(_tree: &Tree) -> Result<Outcome> {
    Ok(Outcome::Skipped(
        "the RustSec database is a git repository that no package registry offers; where it can be fetched, run \
         `.cache/tools/bin/cargo-deny check advisories`"
            .to_owned(),
    ))
}
