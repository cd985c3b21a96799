//! The fuzz targets build under libFuzzer. Their bodies run on stable, among the tests.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::steps::{Outcome, Tree, succeed};
use crate::tools::FUZZ;

/// Builds every target, where there is a nightly compiler: none can be had from a package registry.
pub(crate) fn build(tree: &Tree) -> Result<Outcome> {
    if !nightly() {
        let reason = "no nightly compiler (`cargo +nightly`), which libFuzzer's instrumentation needs";
        if tree.ci {
            bail!("{reason}");
        }
        return Ok(Outcome::Skipped(reason.to_owned()));
    }
    FUZZ.run(tree, |tool| {
        let mut command = Command::new("cargo");
        // The toolchain that runs this task must not be that of the build.
        command.current_dir(&tree.root).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
        // All code of the project is safe Rust: the address sanitizer would cost half the speed and find nothing in it.
        command.env("PATH", with_tools(tool)).args(["+nightly", "fuzz", "build", "--sanitizer", "none"]);
        // That they build is what is asked: whoever runs them has them optimised.
        command.arg("--dev");
        command.args(["--fuzz-dir", "fuzz/libfuzzer", "--target-dir", "target/fuzz"]);
        succeed(command)
    })
}

fn nightly() -> bool {
    let mut command = Command::new("cargo");
    command.env_remove("RUSTUP_TOOLCHAIN").args(["+nightly", "--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// `PATH` with the tool's folder in front.
fn with_tools(tool: &std::path::Path) -> std::ffi::OsString {
    let folder = tool.parent().map(std::path::Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(folder.into_iter().chain(std::env::split_paths(&path))).unwrap_or(path)
}
