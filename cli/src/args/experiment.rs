//! `experiment` and its options.

use clap::{Args, Subcommand};

use super::{ApiArgs, WriteArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum ExperimentVerb {
    /// Lists what is recorded in an environment: experiments, holdouts, and how full each layer is.
    List(ExperimentList),
    /// Shows one experiment: its phase, shares, slot, and holdouts.
    Show(ExperimentShow),
    /// Deals its users a variation anew: another salt, and with it the next phase.
    Reshuffle(ExperimentReshuffle),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone experiment list --env staging

An experiment is a rule with `\"experiment\":{\"name\":NAME}`; docs/EXPERIMENTS.md tells how one is run.")]
pub(crate) struct ExperimentList {
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone experiment show cta-test")]
pub(crate) struct ExperimentShow {
    /// The experiment.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone experiment reshuffle cta-test -m 'the first week was broken'")]
pub(crate) struct ExperimentReshuffle {
    /// The experiment.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}
