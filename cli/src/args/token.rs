//! The verbs of tokens and SDK keys.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use flagstone_model::key::EnvironmentId;

use crate::args::{ApiArgs, ListArgs, WriteArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Makes a token and prints it, this once.
    #[command(after_help = "\
Examples:
  flagstone token create --name 'web team' --role editor --only staging
  flagstone token create --name dashboard --role viewer --expires 2027-06-01T00:00:00Z")]
    Create(TokenCreate),
    /// All tokens that are not revoked.
    #[command(after_help = "Example:\n  flagstone token list --json")]
    List(ListArgs),
    /// One token, without its text; without an id, the one in use.
    #[command(after_help = "Example:\n  flagstone token show")]
    Show(TokenShow),
    /// Revokes a token; the next request with it is refused.
    #[command(after_help = "Example:\n  flagstone token revoke t_4f2k7q -m 'left the team'")]
    Revoke(TokenRevoke),
    /// Who changed something, signed in, or was refused.
    #[command(after_help = "Example:\n  flagstone token access --limit 50")]
    Access(TokenAccess),
}

#[derive(Debug, Args)]
pub(crate) struct TokenCreate {
    /// Whose it is, or what it is for.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// viewer, editor, or admin.
    #[arg(long, value_name = "ROLE", value_parser = ["viewer", "editor", "admin"])]
    pub(crate) role: String,
    /// Limits it to an environment; may stand there several times.
    #[arg(long = "only", value_name = "ENVIRONMENT")]
    pub(crate) only: Vec<EnvironmentId>,
    /// When it ends, such as 2027-06-01T00:00:00Z; at most ten years ahead.
    #[arg(long, value_name = "INSTANT")]
    pub(crate) expires: Option<String>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TokenShow {
    /// The id of the token.
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TokenRevoke {
    /// The id of the token.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TokenAccess {
    /// The newest so many rows.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// Makes an SDK key of the environment and prints it, this once. Two may live during a rotation.
    #[command(
        after_help = "Example:\n  flagstone key create -e production --name 'servers from December on'"
    )]
    Create(KeyCreate),
    /// The SDK keys of the environment that are not revoked.
    #[command(after_help = "Example:\n  flagstone key list -e production")]
    List(ListArgs),
    /// Prints the SDK keys of all environments as a CDN has them: their SHA-256, and what they open.
    #[command(after_help = "Example:\n  flagstone key table --for nginx --out /etc/flagstone/keys.map")]
    Table(KeyTable),
    /// Revokes an SDK key; it opens nothing from the next request on.
    #[command(after_help = "Example:\n  flagstone key revoke k_4f2k7q -e production")]
    Revoke(TokenRevoke),
}

#[derive(Debug, Args)]
pub(crate) struct KeyTable {
    /// What reads it: docs/CDN.md.
    #[arg(long = "for", value_name = "EDGE")]
    pub(crate) edge: EdgeKind,
    /// Replaces this file at the end, in place of printing; on a failure it stays as it is.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// What checks SDK keys before the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EdgeKind {
    /// The file `keys.map`.
    Nginx,
    /// The file `keys.vcl`.
    Varnish,
    /// JSON, as a key-value store imports it.
    Cloudfront,
}

#[derive(Debug, Args)]
pub(crate) struct KeyCreate {
    /// What it is for.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}
