//! The `flagstone` command.
//!
//! `flagstone dev` runs all of Flagstone in one process: admin API, change log, publisher, and bucket. The other verbs
//! speak to an admin API, or to nothing at all: `eval --snapshot`, `verify`, and `audit verify` work offline.
//!
//! # Reading order
//!
//! 1. [`args`]: the verbs and their options, as `--help` shows them.
//! 2. [`screen`] and [`failure`]: what is printed, and the exit codes.
//! 3. [`api`]: the HTTP client all API verbs share.
//! 4. [`tree`]: a project as files, for `export`, `plan`, `apply`, and `import`.
//! 5. [`verbs`]: one file per verb; `verbs/dev` holds the wiring.
//!
//! # Invariants
//!
//! * The environment is read once, here.
//! * What a program reads goes to standard output, everything else to standard error.
//! * No token and no SDK key is printed, but by `dev`, which made them.
//! * No token is an argument. `login` keeps them in [`credentials`].

mod api;
mod args;
mod credentials;
mod failure;
mod given;
mod progress;
mod screen;
mod surroundings;
mod tree;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::surroundings::Surroundings;

fn main() -> ExitCode {
    let mut surroundings = Surroundings::read();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &surroundings),
    };
    surroundings.json |= cli.json;
    let screen = Screen::new(surroundings.json, &surroundings);
    match verbs::run(cli.verb, &surroundings, &screen) {
        Ok(code) => code,
        Err(failure) => {
            screen.failure(&failure);
            failure.exit_code()
        }
    }
}

/// Help and version go to standard output and are no failure; a wrong command line is.
fn usage(error: &clap::Error, surroundings: &Surroundings) -> ExitCode {
    let asked = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && (asked || surroundings.json) {
        let text = error.render().to_string();
        let detail = text.split("\n\n").next().unwrap_or_default();
        let failure = Failure::usage(detail.trim_start_matches("error: ").trim().replace("\n  ", " "));
        let failure = failure.suggest(meant(error));
        Screen::new(true, surroundings).failure(&failure);
        return failure.exit_code();
    }
    // Nobody is left to tell if even this cannot be printed.
    let _ = error.print();
    if error.use_stderr() { Failure::usage("").exit_code() } else { ExitCode::SUCCESS }
}

/// The verb, option, or value that was probably meant.
fn meant(error: &clap::Error) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let kinds = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(one) => Some(one.clone()),
        // The best one comes last.
        ContextValue::Strings(several) => several.last().cloned(),
        _ => None,
    })
}
