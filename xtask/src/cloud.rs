//! The cloud on this machine: `cargo xtask cloud`, and its story as a step.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::steps::{Outcome, Tree, succeed};
use crate::{cdn, packages, servers};

/// What starts it. It looks for the other programs beside itself.
const PROGRAM: &str = "flagstone-cloud";

/// With this status the command says that a program is missing.
const MISSING: i32 = 3;

/// Stays up for a person, or tells the story to one. Only what that takes is built.
pub(crate) fn run(tree: &Tree, arguments: &[String]) -> Result<bool> {
    let command = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => "up",
        ["--story"] => "story",
        _ => bail!("cargo xtask cloud takes nothing, or --story"),
    };
    let mut programs = tree.cargo(&["build", "--bins", "--example", "provision"]);
    let packages = ["flagstone-cli", "flagstone-aws", "flagstone-cloud"];
    programs.args(packages.iter().flat_map(|name| ["--package", name]));
    succeed(programs)?;
    Ok(cloud(tree, tree.debug(PROGRAM)?, command).status().context("starting the cloud")?.success())
}

/// Tells the story, as a check.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    packages::needing(tree, missing, || {
        let ended = cloud(tree, tree.program(PROGRAM)?, "story").status().context("starting the cloud")?;
        match ended.code() {
            Some(0) => Ok(Outcome::Passed),
            Some(MISSING) if !tree.ci => Ok(Outcome::Skipped("a program is missing, see above".to_owned())),
            _ => bail!("the story ended with {ended}"),
        }
    })
}

fn cloud(tree: &Tree, program: PathBuf, command: &str) -> Command {
    let mut cloud = Command::new(program);
    cloud.current_dir(&tree.root).arg(command);
    cloud
}

fn missing() -> Vec<&'static str> {
    servers::missing().into_iter().chain(cdn::missing()).collect()
}
