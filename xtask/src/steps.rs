//! The steps of `cargo xtask test`, in the order in which they run: the cheap ones first.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::{
    cdn, clauses, cloud, committed, coverage, deny, dependencies, differential, fuzz, lambda, ran, servers,
};

/// One check of the whole project.
pub(crate) struct Step {
    /// What it is called on the command line and in reports.
    pub(crate) name: &'static str,
    /// One line: what it checks.
    pub(crate) what: &'static str,
    /// Runs it.
    pub(crate) run: fn(&Tree) -> Result<Outcome>,
}

/// How a step ended that found nothing wrong.
pub(crate) enum Outcome {
    /// It ran.
    Passed,
    /// It could not run here, and why.
    Skipped(String),
}

/// What is checked, and where.
pub(crate) struct Tree {
    /// The workspace's folder.
    pub(crate) root: PathBuf,
    /// Whether this is the run that decides (`CI=true`): there, what can be had must be had.
    pub(crate) ci: bool,
    /// Whether system packages may be installed.
    pub(crate) installs: bool,
}

/// A program of tests.
pub(crate) struct BuiltTests {
    /// The target that it is.
    pub(crate) name: String,
    /// The manifest of its package.
    pub(crate) manifest: PathBuf,
    /// Where it lies.
    pub(crate) program: PathBuf,
}

/// Every step.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "format", what: "rustfmt changes nothing", run: format },
    Step { name: "committed", what: "no committed file names a path of one machine", run: committed::check },
    Step {
        name: "clauses",
        what: "every MUST of docs/FORMAT.md has a test; citations and links exist",
        run: clauses::check,
    },
    Step {
        name: "dependencies",
        what: "crates depend one way only, AWS stays in its adapter",
        run: dependencies::check,
    },
    Step { name: "deny", what: "cargo deny: bans, licenses, sources", run: deny::check },
    Step { name: "advisories", what: "cargo deny: advisories", run: deny::advisories },
    Step { name: "clippy", what: "the workspace's lints, warnings denied", run: clippy },
    Step { name: "rustdoc", what: "the documentation builds, warnings denied", run: rustdoc },
    Step { name: "tests", what: "every test and documentation example", run: ran::run_tests },
    Step { name: "ran", what: "every test and vector that docs/FORMAT.md names ran", run: ran::check },
    Step {
        name: "differential",
        what: "the evaluator and a second one, in Python, agree on lines drawn at random",
        run: differential::check,
    },
    Step {
        name: "servers",
        what: "the AWS adapters conform on DynamoDB Local, dynoxide, and MinIO",
        run: servers::check,
    },
    Step { name: "cloud", what: "the story on AWS parts, and what it costs", run: cloud::check },
    Step { name: "cdn", what: "nginx, Varnish, and CloudFront's function answer one table", run: cdn::check },
    Step {
        name: "lambda",
        what: "the functions start on Amazon Linux 2023 and are small, as built for AWS Lambda",
        run: lambda::check,
    },
    Step { name: "fuzz", what: "the fuzz targets build with a nightly compiler", run: fuzz::build },
    Step {
        name: "coverage",
        what: "the tests run 95 % of the lines of model, eval, and bundle",
        run: coverage::check,
    },
    Step { name: "otel", what: "traces for OpenTelemetry, a feature that is off by default", run: otel },
];

impl Tree {
    /// A `cargo` command in the workspace; under CI it may not change `Cargo.lock`.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(&self.root).args(arguments);
        if self.ci {
            command.arg("--locked");
        }
        command
    }

    /// Builds all that `cargo test` of the whole workspace runs and needs, the programs and examples too, and gives the
    /// program of the integration tests of the package that lies in this folder.
    ///
    /// Whatever part of it a step runs: to build that part by itself would choose other features of what several
    /// packages need, and compile all of that once more.
    pub(crate) fn integration_tests(&self, folder: &str) -> Result<PathBuf> {
        let manifest = self.root.join(folder).join("Cargo.toml");
        let built =
            self.built_tests()?.into_iter().find(|built| built.name == "it" && built.manifest == manifest);
        built.map(|built| built.program).with_context(|| format!("{folder} has no integration tests"))
    }

    /// A program of the workspace, built as its tests have it.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        self.built_tests()?;
        self.debug(name)
    }

    /// Where a program lies that was built with the profile of development.
    pub(crate) fn debug(&self, name: &str) -> Result<PathBuf> {
        Ok(self.target_folder()?.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
    }

    /// The test programs of the workspace, after they were built.
    pub(crate) fn built_tests(&self) -> Result<Vec<BuiltTests>> {
        let mut built = self.cargo(&["test", "--workspace", "--no-run"]);
        built.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
        let mut programs = Vec::new();
        for line in output(built)?.lines() {
            let message: serde_json::Value =
                serde_json::from_str(line).context("reading what cargo built")?;
            let text = |pointer: &str| message.pointer(pointer).and_then(serde_json::Value::as_str);
            let is_test = message.pointer("/profile/test").and_then(serde_json::Value::as_bool);
            let (Some(true), Some(program)) = (is_test, text("/executable")) else { continue };
            let (Some(manifest), Some(name)) = (text("/manifest_path"), text("/target/name")) else {
                continue;
            };
            programs.push(BuiltTests {
                name: name.to_owned(),
                manifest: manifest.into(),
                program: program.into(),
            });
        }
        if programs.is_empty() {
            bail!("cargo named no test program");
        }
        Ok(programs)
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target_folder(&self) -> Result<PathBuf> {
        let metadata = output(self.cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
        let metadata: serde_json::Value =
            serde_json::from_str(&metadata).context("reading cargo metadata")?;
        let folder = metadata.get("target_directory").and_then(serde_json::Value::as_str);
        folder.map(PathBuf::from).context("cargo names its folder")
    }
}

/// Runs a command with this process's output; anything but success is an error.
pub(crate) fn succeed(mut command: Command) -> Result<Outcome> {
    let program = command.get_program().to_owned();
    let status = command.status().with_context(|| format!("starting {}", program.display()))?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    Ok(Outcome::Passed)
}

/// Runs a command and gives what it wrote to its standard output.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command.output().with_context(|| format!("starting {}", program.display()))?;
    if !output.status.success() {
        bail!(
            "{} ended with {}: {}",
            program.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("reading what {} wrote", program.display()))
}

fn format(tree: &Tree) -> Result<Outcome> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(&tree.root).args(["fmt", "--all", "--check"]);
    succeed(command)
}

fn clippy(tree: &Tree) -> Result<Outcome> {
    let mut command = tree.cargo(&["clippy", "--workspace", "--all-targets"]);
    command.args(["--", "-D", "warnings"]);
    succeed(command)
}

/// Libraries only: the binary and the SDK share the name `flagstone`, and would overwrite each other's pages.
fn rustdoc(tree: &Tree) -> Result<Outcome> {
    let mut command = tree.cargo(&["doc", "--workspace", "--lib", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    succeed(command)
}

/// The lints and tests of what only the feature `otel` of the command builds.
fn otel(tree: &Tree) -> Result<Outcome> {
    let feature = ["--package", "flagstone-cli", "--features", "otel"];
    let mut clippy = tree.cargo(&["clippy", "--all-targets"]);
    clippy.args(feature).args(["--", "-D", "warnings"]);
    succeed(clippy)?;
    let mut tests = tree.cargo(&["test", "--bin", "flagstone"]);
    tests.args(feature).args(["--", "traces"]);
    succeed(tests)
}
