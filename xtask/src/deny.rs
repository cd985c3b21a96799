//! `cargo deny`, built once into the project's own cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::steps::{Outcome, Tree, succeed};

const VERSION: &str = "0.20.2";

/// Bans, licenses, and sources, as `deny.toml` has them.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    let tool = tool_path(&tree.root);
    if !tool.exists()
        && let Err(error) = install(&tree.root)
    {
        if tree.ci {
            bail!("cargo-deny {VERSION} could not be installed: {error:#}");
        }
        return Ok(Outcome::Skipped(format!("cargo-deny {VERSION} could not be installed here ({error:#})")));
    }
    let mut command = Command::new(tool);
    command.current_dir(&tree.root).args(["--workspace", "check", "bans", "licenses", "sources"]);
    succeed(command)
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

fn tool_path(root: &Path) -> PathBuf {
    root.join(format!(".cache/tools/bin/cargo-deny{}", std::env::consts::EXE_SUFFIX))
}

/// A debug build: it compiles in a fraction of the time, and checks a graph of this size as fast.
fn install(root: &Path) -> Result<Outcome> {
    println!("installing cargo-deny {VERSION} into .cache/tools (once; some minutes)");
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).args(["install", "--locked", "--debug", "--quiet", "--version", VERSION]);
    command.args(["--root", ".cache/tools", "cargo-deny"]);
    succeed(command)
}
