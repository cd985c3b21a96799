//! The project's own tasks: `cargo xtask test` runs every check of the project.
//!
//! Steps run in order, all of them, even after one has failed; the last line counts them as
//! `N passed, N failed, N skipped`. Reading order: `main` (arguments), `steps` (what is run), then one file for each
//! check that needs more than a command; and `tools`, `packages`, `reference`: how what they need is had.

#![expect(clippy::print_stdout, reason = "a task reports on its standard output")]
#![expect(clippy::disallowed_methods, reason = "a binary: it reads the environment and the clock")]

mod cdn;
mod clauses;
mod cloud;
mod committed;
mod coverage;
mod deny;
mod dependencies;
mod differential;
mod fuzz;
mod lambda;
mod packages;
mod ran;
mod reference;
mod servers;
mod steps;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use steps::{Outcome, STEPS, Step, Tree};

const USAGE: &str = "usage: cargo xtask test [--install] [STEP]...
       cargo xtask lambda [--hello]
       cargo xtask cloud [--story]
       cargo xtask steps

  test       runs every step, or only those named
  --install  installs the system packages that the steps need, first (docs/CI.md)
  lambda     builds the functions for AWS Lambda (docs/LAMBDA.md); with --hello also one that does nothing, to measure
             how long they take to start
  cloud      starts Flagstone on AWS parts on this machine and stays up; or tells its story
  steps      lists the steps";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs what the arguments ask for; says whether nothing failed.
fn run(arguments: &[String]) -> Result<bool> {
    let Some((task, rest)) = arguments.split_first() else { bail!("no task given\n{USAGE}") };
    match task.as_str() {
        "test" => test(rest),
        "steps" => {
            for step in STEPS {
                println!("{:<14}{}", step.name, step.what);
            }
            Ok(true)
        }
        "cloud" => cloud::run(&tree(false)?, rest),
        "lambda" => lambda::build(&tree(false)?, rest).map(|()| true),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        other => bail!("no task `{other}`\n{USAGE}"),
    }
}

fn test(arguments: &[String]) -> Result<bool> {
    let (options, names): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|text| text.starts_with("--"));
    if let Some(unknown) = options.iter().find(|option| option.as_str() != "--install") {
        bail!("no option `{unknown}`\n{USAGE}");
    }
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != name.as_str())) {
        bail!("no step `{unknown}`; `cargo xtask steps` lists them");
    }
    let tree = tree(!options.is_empty())?;
    let wanted = |step: &&Step| names.is_empty() || names.iter().any(|name| name.as_str() == step.name);
    let outcomes: Vec<_> = STEPS.iter().filter(wanted).map(|step| (step.name, timed(step, &tree))).collect();
    Ok(summary(&outcomes))
}

fn tree(installs: bool) -> Result<Tree> {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    Ok(Tree { root: workspace_root()?, ci, installs: ci || installs })
}

/// Runs one step and prints how it ended and how long it took.
fn timed(step: &Step, tree: &Tree) -> Result<Outcome> {
    println!("\n== {}: {}", step.name, step.what);
    let start = Instant::now();
    let outcome = (step.run)(tree);
    let seconds = start.elapsed().as_secs_f64();
    match &outcome {
        Ok(Outcome::Passed) => println!("== {} passed in {seconds:.1} s", step.name),
        Ok(Outcome::Skipped(reason)) => println!("== {} SKIPPED: {reason}", step.name),
        Err(error) => println!("== {} FAILED in {seconds:.1} s: {error:#}", step.name),
    }
    outcome
}

/// Prints what did not pass, then the closing line; says whether nothing failed.
fn summary(outcomes: &[(&str, Result<Outcome>)]) -> bool {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    println!();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(Outcome::Passed) => passed += 1,
            Ok(Outcome::Skipped(reason)) => {
                skipped += 1;
                println!("skipped {name}: {reason}");
            }
            Err(error) => {
                failed += 1;
                println!("failed {name}: {error:#}");
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0
}

fn workspace_root() -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().map(Path::to_owned).context("xtask lies in the workspace")
}
