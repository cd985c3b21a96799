//! System packages: installed only where that is asked for.

use std::process::Command;

use anyhow::{Result, bail};

use crate::steps::{Outcome, Tree, succeed};

/// Runs `with` once nothing is missing any more.
///
/// Where packages may be installed, what is missing is; else it is a skip that prints the command, and under CI a
/// failure.
pub(crate) fn needing(
    tree: &Tree,
    missing: impl Fn() -> Vec<&'static str>,
    with: impl FnOnce() -> Result<Outcome>,
) -> Result<Outcome> {
    let mut lacks = missing();
    if tree.installs && !lacks.is_empty() {
        install(&lacks)?;
        lacks = missing();
    }
    if lacks.is_empty() {
        return with();
    }
    let packages = lacks.join(" ");
    let reason = format!("no {packages}: `apt-get install {packages}`, or run with --install");
    if tree.ci {
        bail!("{reason}");
    }
    Ok(Outcome::Skipped(reason))
}

fn install(packages: &[&str]) -> Result<()> {
    println!("installing the system packages {}", packages.join(", "));
    let mut update = Command::new("apt-get");
    update.args(["update", "--quiet"]);
    succeed(update)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(packages);
    succeed(install).map(drop)
}
