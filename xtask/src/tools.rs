//! Tools from the package registry, each built once into the project's own cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::steps::{Outcome, Tree, succeed};

/// A subcommand of cargo, at the version that was tried.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Bans, licenses, sources.
pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// Builds fuzz targets; needs a nightly compiler.
pub(crate) const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };
/// Runs tests and counts the lines that they run; needs LLVM's own tools.
pub(crate) const LLVM_COV: Tool = Tool { name: "cargo-llvm-cov", version: "0.9.1" };

impl Tool {
    /// Runs `with` with the tool's path, after it was installed if need be.
    ///
    /// That it cannot be had is a failure under CI, and else a skip with its reason.
    pub(crate) fn run(&self, tree: &Tree, with: impl FnOnce(&Path) -> Result<Outcome>) -> Result<Outcome> {
        let path = self.path(&tree.root);
        if !path.exists()
            && let Err(error) = self.install(&tree.root)
        {
            let reason = format!("{} {} could not be installed here ({error:#})", self.name, self.version);
            if tree.ci {
                bail!("{reason}");
            }
            return Ok(Outcome::Skipped(reason));
        }
        with(&path)
    }

    fn path(&self, root: &Path) -> PathBuf {
        root.join(format!(".cache/tools/bin/{}{}", self.name, std::env::consts::EXE_SUFFIX))
    }

    /// A debug build: it compiles in a fraction of the time, and is fast enough for a project of this size.
    fn install(&self, root: &Path) -> Result<Outcome> {
        println!("installing {} {} into .cache/tools (once; some minutes)", self.name, self.version);
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(root).args(["install", "--locked", "--debug", "--quiet"]);
        command.args(["--version", self.version, "--root", ".cache/tools", self.name]);
        succeed(command)
    }
}
