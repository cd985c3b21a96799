//! The functions as AWS Lambda takes them: `cargo xtask lambda` (docs/LAMBDA.md).
//!
//! They are built by cargo-lambda with zig as the linker, so that they ask for no newer libc than Amazon Linux 2023 has,
//! on whatever machine. Both come from the Python package registry into the project's cache; rustup is not on the path
//! of the build, for cargo-lambda would have it fetch a toolchain.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::packages;
use crate::steps::{Outcome, Tree, output, succeed};

/// The packages, at the versions that were tried.
const PACKAGES: [&str; 2] = ["cargo-lambda==1.9.2", "ziglang==0.17.1"];
/// Where they are installed; a change of versions is another folder.
const FOLDER: &str = ".cache/cargo-lambda-1.9.2-zig-0.17.1";
/// The target: x86_64 with the libc of Amazon Linux 2023.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The newest libc that a function may ask for.
const GLIBC: (u32, u32) = (2, 34);
/// The largest zip of a function, in bytes.
const MAX_ZIP_BYTES: u64 = 8 * 1_000 * 1_000;
/// The functions.
const FUNCTIONS: [&str; 2] = ["admin", "publish"];

/// Builds both functions, as a check: fails if one would not start on Lambda, or has grown too large.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    packages::needing(tree, missing, || functions(tree).map(|()| Outcome::Passed))
}

/// Builds both functions, and, to measure beside them, one that does nothing.
pub(crate) fn build(tree: &Tree, arguments: &[String]) -> Result<()> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => functions(tree),
        // An example is built with what tests need, and that with all it needs: as long again.
        ["--hello"] => functions(tree).and_then(|()| {
            let tools = tools(&tree.root)?;
            succeed(lambda(&tree.root, &tools, &["--example", "hello"])?).map(drop)
        }),
        _ => bail!("cargo xtask lambda takes nothing, or --hello"),
    }
}

/// The packages that are not installed.
fn missing() -> Vec<&'static str> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if pip.status().is_ok_and(|status| status.success()) { Vec::new() } else { vec!["python3-pip"] }
}

/// Builds both functions, and looks at what came out.
fn functions(tree: &Tree) -> Result<()> {
    let tools = tools(&tree.root)?;
    succeed(lambda(&tree.root, &tools, &["--output-format", "zip", "--bin", "admin", "--bin", "publish"])?)?;
    let target = tree.target_folder()?;
    FUNCTIONS.iter().try_for_each(|function| look_at(&target, function))
}

/// The command that builds for AWS Lambda.
fn lambda(root: &Path, tools: &Path, what: &[&str]) -> Result<Command> {
    let mut command = Command::new(tools.join("bin/cargo-lambda"));
    command.current_dir(root).args(["lambda", "build", "--release", "--package", "flagstone-aws"]);
    let target = format!("{TARGET}.{}.{}", GLIBC.0, GLIBC.1);
    command.args(["--skip-target-check", "--locked", "--target", &target]).args(what);
    command.env("PATH", path(tools)?);
    // What rustup and an outer cargo have set would lead back to them.
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTUP_HOME"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// Fails if a function would not start on Lambda, or has grown too large.
fn look_at(target: &Path, function: &str) -> Result<()> {
    let program = target.join(format!("{TARGET}/release/{function}"));
    let bytes = std::fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    let newest = glibc(&bytes).into_iter().max();
    if newest.is_none_or(|newest| newest > GLIBC) {
        bail!("{function} asks for glibc {newest:?}; Amazon Linux 2023 has {GLIBC:?}");
    }
    let zip = target.join(format!("lambda/{function}/bootstrap.zip"));
    let size = std::fs::metadata(&zip).with_context(|| format!("looking at {}", zip.display()))?.len();
    let (major, minor) = newest.unwrap_or_default();
    println!("{function}: {} B zipped, {} B unzipped, glibc {major}.{minor}", size, bytes.len());
    if size > MAX_ZIP_BYTES {
        bail!("{} has {size} bytes, more than {MAX_ZIP_BYTES}", zip.display());
    }
    Ok(())
}

/// The versions of glibc that a program asks for: the names of their symbols stand in it as texts.
fn glibc(program: &[u8]) -> BTreeSet<(u32, u32)> {
    const NAME: &[u8] = b"GLIBC_";
    let at = program.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let text = |at: usize| {
        let rest = program.get(at.saturating_add(NAME.len())..)?;
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
        std::str::from_utf8(rest.get(..end)?).ok()
    };
    let version = |text: &str| {
        let mut parts = text.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    at.filter_map(|(at, _)| version(text(at)?)).collect()
}

/// cargo-lambda and zig, installed into the project's cache at the first time.
fn tools(root: &Path) -> Result<PathBuf> {
    let folder = root.join(FOLDER);
    if folder.join("bin/cargo-lambda").exists() && folder.join("ziglang/zig").exists() {
        return Ok(folder);
    }
    println!("installing {} into {FOLDER} (once)", PACKAGES.join(" and "));
    let mut pip = Command::new("python3");
    pip.current_dir(root).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--upgrade",
        "--target",
        FOLDER,
    ]);
    pip.args(PACKAGES);
    succeed(pip).context("cargo-lambda and zig could not be installed; they need python3 with pip")?;
    Ok(folder)
}

/// The path of a build: the tools, cargo and rustc themselves without rustup, and the system's.
fn path(tools: &Path) -> Result<String> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "sysroot"]);
    let sysroot = output(rustc)?;
    let (tools, sysroot) = (tools.display(), sysroot.trim());
    Ok(format!("{tools}/bin:{tools}/ziglang:{sysroot}/bin:/usr/local/bin:/usr/bin:/bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_that_a_program_asks_for_are_found() {
        let program = b"\0GLIBC_2.2.5\0xGLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.4\0GLIBCXX_3.9\0GLIBC_";
        let found: Vec<_> = glibc(program).into_iter().collect();
        assert_eq!(found, [(2, 2), (2, 4), (2, 34)]);
        assert!(glibc(b"static").is_empty());
    }
}
