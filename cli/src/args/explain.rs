//! `explain` and `audit user`: why somebody gets what they get.

use clap::Args;
use flagstone_model::key::FlagKey;

use crate::args::ApiArgs;
use crate::given::Given;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone explain new-checkout --user u-42
  flagstone explain new-checkout --context '{\"targetingKey\":\"u-42\",\"country\":\"DE\"}' --at 2026-12-01T09:00:00Z
  flagstone explain new-checkout --user u-42 --changes

Each rule and condition stands there with its outcome: it holds, it does not, ? the context cannot tell, ! nobody can
tell. Below stands in one sentence what decided.")]
pub(crate) struct Explain {
    /// The flag.
    pub(crate) key: FlagKey,
    /// Whom it is evaluated for: a JSON object, @FILE, or -.
    #[arg(long, value_name = "JSON", required_unless_present = "user")]
    pub(crate) context: Option<Given>,
    /// The targeting key of the context.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// When: an instant such as 2026-12-01T09:00:00Z. Default: now.
    #[arg(long, value_name = "INSTANT")]
    pub(crate) at: Option<String>,
    /// As this entry of the log left it.
    #[arg(long, value_name = "N", conflicts_with = "changes")]
    pub(crate) seq: Option<u64>,
    /// The changes that altered it, too; of a user without other attributes.
    #[arg(long, requires = "user", conflicts_with = "context")]
    pub(crate) changes: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone audit user new-checkout u-42 --at 2026-12-01T09:00:00Z

Tells what the user gets, and each change and each point of a schedule that altered it; newest first.")]
pub(crate) struct AuditUser {
    /// The flag.
    pub(crate) key: FlagKey,
    /// The user's targeting key.
    pub(crate) user: String,
    /// When: an instant such as 2026-12-01T09:00:00Z. Default: now.
    #[arg(long, value_name = "INSTANT")]
    pub(crate) at: Option<String>,
    /// At most so many alterations, newest first.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}
