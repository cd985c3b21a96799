//! How the scripts of `testdata/reference/` are run.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::steps::{Outcome, Tree};

/// How a step ends where there is no Python; `None` if there is one.
pub(crate) fn without_python(tree: &Tree) -> Result<Option<Outcome>> {
    let mut command = Command::new("python3");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    if tree.ci {
        bail!("python3 is needed, and not found");
    }
    Ok(Some(Outcome::Skipped("python3 is not found; under CI this is a failure".to_owned())))
}

/// A script of the reference; it leaves no compiled modules behind.
pub(crate) fn script(tree: &Tree, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(&tree.root).arg("-B").arg(format!("testdata/reference/{name}")).args(arguments);
    command
}
