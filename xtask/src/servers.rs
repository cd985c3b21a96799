//! Tests that need servers of somebody else's: got once, started by the tests on free ports of 127.0.0.1, ended by them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::packages;
use crate::steps::{Outcome, Tree, succeed};

/// A program that it takes to get the servers, and its package. Go is not among them: its package is too old.
const PACKAGES: [(&str, &str); 2] = [("mvn", "maven"), ("javac", "default-jdk-headless")];

/// With this status the fetching command says that a program is missing.
const MISSING: i32 = 3;

/// Gets the servers, and runs the tests that need them.
pub(crate) fn check(tree: &Tree) -> Result<Outcome> {
    packages::needing(tree, missing, || {
        let tests = tree.integration_tests("lambda/aws")?;
        let mut fetch = Command::new(tree.program("flagstone-cloud")?);
        fetch.current_dir(&tree.root).arg("fetch").stderr(Stdio::inherit());
        let fetched = fetch.output().context("starting flagstone-cloud")?;
        let said = String::from_utf8_lossy(&fetched.stdout);
        print!("{said}");
        match fetched.status.code() {
            Some(0) => {}
            Some(MISSING) if !tree.ci => {
                return Ok(Outcome::Skipped(said.lines().last().unwrap_or_default().to_owned()));
            }
            _ => bail!("the servers could not be had"),
        }
        let mut tests = Command::new(tests);
        tests.current_dir(tree.root.join("lambda/aws")).arg("--ignored");
        succeed(tests)
    })
}

/// The packages that are not installed.
pub(crate) fn missing() -> Vec<&'static str> {
    PACKAGES.into_iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| package).collect()
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("-version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
