//! The second implementation in `testdata/reference/`: its own facts, then a short seeded comparison with it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::steps::{Outcome, Tree, output, succeed};

/// How many snapshots are compared: a few seconds, and the same ones each time.
const ROUNDS: &str = "100";

/// How often each exit and each result of each test must be met on them.
const MINIMUM: &str = "5";

/// Compares `flagstone eval --batch` with the reference on snapshots drawn at random.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    if !has_python() {
        if tree.ci {
            bail!("python3 is needed, and not found");
        }
        return Ok(Outcome::Skipped("python3 is not found; under CI this is a failure".to_owned()));
    }
    succeed(reference(tree, "selftest.py", &[]))?;
    succeed(tree.cargo(&["build", "--package", "flagstone-cli"]))?;
    let binary =
        target_folder(tree)?.join("debug").join(format!("flagstone{}", std::env::consts::EXE_SUFFIX));
    let binary = binary.to_str().context("the path of the binary is text")?;
    let arguments = ["--binary", binary, "--rounds", ROUNDS, "--minimum", MINIMUM];
    succeed(reference(tree, "differential.py", &arguments))
}

fn has_python() -> bool {
    let mut command = Command::new("python3");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A script of the reference; it leaves no compiled modules behind.
fn reference(tree: &Tree, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(&tree.root).arg("-B").arg(format!("testdata/reference/{script}")).args(arguments);
    command
}

/// Where cargo puts what it builds.
fn target_folder(tree: &Tree) -> Result<PathBuf> {
    let metadata = output(tree.cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("reading cargo metadata")?;
    let folder =
        metadata.get("target_directory").and_then(Value::as_str).context("cargo names its folder")?;
    Ok(PathBuf::from(folder))
}
