//! The verb that tells whom a change would move.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use flagstone_model::key::{FlagKey, VariationKey};

use crate::args::{ApiArgs, percent};
use crate::given::Given;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change")), group(ArgGroup::new("of_rule")))]
#[command(after_help = "\
Examples:
  flagstone diff new-checkout --rollout 25             whom 25 percent would move
  flagstone diff new-checkout --targeting @new.json --contexts users.jsonl
  flagstone diff new-checkout --off
  flagstone diff search --reshuffle --rule cta-test    whom `experiment reshuffle` would deal another variation
  flagstone diff --dir flagstone --sample 5000         whom `apply` would move here
  flagstone diff --to-seq 41                           whom `restore --seq 41` would move

Nothing is changed; what would refuse the change refuses this. Without --contexts the server makes a sample: each attribute \
that conditions ask for takes the values they name, others, and none. A sample shows what can happen, and to whom; how many \
people that are is what the contexts of real people say, or the exact share, which is told where nothing but shares \
changes.")]
pub(crate) struct Diff {
    /// The flag; without one, the files of a project, or the whole environment with --to-seq.
    pub(crate) key: Option<FlagKey>,
    /// The flag's targeting, whole: JSON, @FILE, or -.
    #[arg(long, value_name = "JSON", requires = "key", group = "change")]
    pub(crate) targeting: Option<Given>,
    /// The share that --variation is served to, as `rollout` takes it.
    #[arg(long, value_name = "PERCENT", value_parser = percent, requires = "key", group = "change")]
    pub(crate) rollout: Option<f64>,
    /// What --rollout serves.
    #[arg(long, value_name = "VARIATION", default_value = "on", requires = "rollout")]
    pub(crate) variation: VariationKey,
    /// The flag is switched on.
    #[arg(long, requires = "key", group = "change")]
    pub(crate) on: bool,
    /// The flag is switched off.
    #[arg(long, requires = "key", group = "change")]
    pub(crate) off: bool,
    #[command(flatten)]
    pub(crate) of_rule: OfRule,
    /// All is as after this entry, as `restore` makes it.
    #[arg(long, value_name = "N", group = "change")]
    pub(crate) to_seq: Option<u64>,
    /// The files, as `export` writes them.
    #[arg(long, value_name = "DIR", default_value = super::plans::DIR, conflicts_with_all = ["key", "change"])]
    pub(crate) dir: PathBuf,
    /// Archives flags and deletes segments that have no file.
    #[arg(long, conflicts_with_all = ["key", "change"])]
    pub(crate) prune: bool,
    /// Whom it is looked at for: a file of JSON objects, one a line, at most 10,000; - is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sample", "seed"])]
    pub(crate) contexts: Option<PathBuf>,
    /// Has the server make so many contexts [1000, or as many as there is time for].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) sample: Option<u16>,
    /// Another number makes other contexts.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u32,
    /// When, for schedules and ramps: an instant such as 2026-12-01T09:00:00Z. Default: now.
    #[arg(long, value_name = "INSTANT")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// What becomes of one rule of the flag.
#[derive(Debug, Args)]
pub(crate) struct OfRule {
    /// A ramp stops where it has got to, as `schedule pause` stops it.
    #[arg(long, requires = "key", groups = ["change", "of_rule"])]
    pub(crate) pause: bool,
    /// The users of an experiment are dealt a variation anew, as `experiment reshuffle` does it.
    #[arg(long, requires = "key", groups = ["change", "of_rule"])]
    pub(crate) reshuffle: bool,
    /// The rule of --pause or --reshuffle; `rollout` is the fallthrough. Needed where there are several.
    #[arg(long, value_name = "RULE", requires = "of_rule")]
    pub(crate) rule: Option<String>,
}
