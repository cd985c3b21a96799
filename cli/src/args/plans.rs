//! The verbs of a project as files, and of going back.

use std::path::PathBuf;

use clap::Args;
use flagstone_model::key::FlagKey;

use crate::args::{ApiArgs, WriteArgs};

/// Where the files of a project lie.
pub(super) const DIR: &str = "flagstone";

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone export --dir flagstone && git add flagstone

Writes flagstone.json, environments/ENV.json, flags/KEY.json, and segments/ENV/KEY.json in the authored form, so that only \
what authors wrote makes a difference. In names of files every byte but a-z, 0-9, `.`, `_`, `-` is % and two hexadecimal \
digits. Files of flags that are gone are taken away; what no export wrote is neither written over nor taken away.")]
pub(crate) struct Export {
    /// Where to write.
    #[arg(long, value_name = "DIR", default_value = DIR)]
    pub(crate) dir: PathBuf,
    /// Writes over files that no export of this project wrote.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone plan
  flagstone plan --out change.plan && flagstone apply change.plan --yes

Shows what `apply` would do, and changes nothing; the server checks all of it. What the server has and the files have not \
stays, unless --prune. Where FILE holds the last plan, what has changed on the server since is told too.

The exit status is 0; with --detailed-exitcode it is 5 if something would change.")]
pub(crate) struct Plan {
    /// The files, as `export` writes them.
    #[arg(long, value_name = "DIR", default_value = DIR)]
    pub(crate) dir: PathBuf,
    /// Writes the plan into a file, with the revisions it has seen, for `apply`.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Archives flags and deletes segments that have no file.
    #[arg(long)]
    pub(crate) prune: bool,
    /// Exits with 5 if something would change.
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone apply
  flagstone apply change.plan --yes -m 'new search for everybody'

Makes one entry of the log, or none: a plan is made as it was shown or not at all. If somebody else has changed one of its \
flags or segments since, nothing is done and the exit status is 4.")]
pub(crate) struct Apply {
    /// A plan that `plan --out` wrote; without one, the files.
    #[arg(value_name = "PLAN", conflicts_with_all = ["dir", "prune"])]
    pub(crate) plan: Option<PathBuf>,
    /// The files, as `export` writes them.
    #[arg(long, value_name = "DIR", default_value = DIR)]
    pub(crate) dir: PathBuf,
    /// Archives flags and deletes segments that have no file.
    #[arg(long)]
    pub(crate) prune: bool,
    /// Does not ask. Needed where nobody sits at a terminal.
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone import flagstone --project shop2

Takes what `export` wrote, also of another project: creates the environments that are missing, then makes everything else \
in one entry. Keys and ids are kept.")]
pub(crate) struct Import {
    /// The directory of an export, or the flagstone.json in it.
    #[arg(value_name = "DIR_OR_FILE")]
    pub(crate) from: PathBuf,
    /// Imports also over what is there already.
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone restore --seq 41 --env production         everything in the environment as after entry 41
  flagstone restore new-checkout --seq 41             one flag

An environment comes back with all its targetings and segments. Archived flags stay archived, definitions stay as they are, \
flags that nobody had targeted then are off again.")]
pub(crate) struct Restore {
    /// The flag; without one, the whole environment.
    pub(crate) key: Option<FlagKey>,
    /// The entry after which it stood as it should, as `history` tells it.
    #[arg(long, value_name = "N")]
    pub(crate) seq: u64,
    /// Does not ask. Needed for an environment where nobody sits at a terminal.
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}
