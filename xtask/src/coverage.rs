//! How much of the core the tests run: every line but one in twenty, at least.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::packages;
use crate::steps::{Outcome, Tree, succeed};
use crate::tools::LLVM_COV;

/// Least share of lines that tests run, in percent, over the three crates together.
const LEAST: &str = "95";

/// The crates that every SDK's behaviour comes from.
const CRATES: [&str; 3] = ["flagstone-model", "flagstone-eval", "flagstone-bundle"];

/// The system package whose tools read this compiler's profiles, and where it puts them.
const PACKAGE: &str = "llvm-22";
const FOLDER: &str = "/usr/lib/llvm-22/bin";

/// Fails if fewer lines are run, or, under CI, if the tools cannot be had.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    let missing = || if profile_tools().is_some() { Vec::new() } else { vec![PACKAGE] };
    packages::needing(tree, missing, || {
        let [cov, profdata] = profile_tools().context("the tools were there just now")?;
        LLVM_COV.run(tree, |tool| {
            let mut command = Command::new(tool);
            command.current_dir(&tree.root).env("LLVM_COV", &cov).env("LLVM_PROFDATA", &profdata);
            command.args(["llvm-cov", "--summary-only", "--fail-under-lines", LEAST]);
            command.args(CRATES.iter().flat_map(|name| ["--package", name]));
            command.args(tree.ci.then_some("--locked"));
            succeed(command)
        })
    })
}

/// `llvm-cov` and `llvm-profdata`: those that the environment names, else those of the system package.
fn profile_tools() -> Option<[PathBuf; 2]> {
    let tool = |variable: &str, name: &str| {
        let named = std::env::var_os(variable).map(PathBuf::from);
        let path = named.unwrap_or_else(|| Path::new(FOLDER).join(name));
        path.exists().then_some(path)
    };
    Some([tool("LLVM_COV", "llvm-cov")?, tool("LLVM_PROFDATA", "llvm-profdata")?])
}
