//! What operators do with log and streams: publish, erase.

use clap::Args;

use super::ApiArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone publish --env production
  flagstone publish --rebuild --env staging        after an upgrade, staging first
  flagstone publish --adopt -m 'restored from last night'

A stream whose bucket is ahead of the log stands still, with the alarm `unclaimed-manifest`: after the log was restored \
from a copy, or when a signing key was stolen. --adopt takes what is announced for claimed, records in the log what is \
given up, and publishes what the log says as the next version. Make sure first that it is no theft.")]
pub(crate) struct Publish {
    /// Builds anew what is up to date.
    #[arg(long, conflicts_with = "adopt")]
    pub(crate) rebuild: bool,
    /// Goes on from what is announced, although the log does not hold it.
    #[arg(long)]
    pub(crate) adopt: bool,
    /// Why; it stands in the log.
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone erase --seq 41 --seq 42
  flagstone erase --actor u_7k2mq4 -m 'left the company'
  flagstone erase --user-id user-42 -m 'asked to be forgotten'

Data, names, and reasons of the entries are deleted for good; their hashes stay, and `audit verify` passes and names the \
holes. An entry can be erased once everything it changed has been changed again. Snapshots that were published keep what \
they have, and so do your backups.")]
pub(crate) struct Erase {
    #[command(flatten)]
    pub(crate) what: Erased,
    /// Why; it stands in the log.
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Erased {
    /// An entry; may stand there several times.
    #[arg(long = "seq", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seqs: Vec<u64>,
    /// All entries of an actor that can be erased, by the actor's id.
    #[arg(long, value_name = "ID")]
    pub(crate) actor: Option<String>,
    /// All entries that mention this targeting key, once nothing holds it any more.
    #[arg(long, value_name = "KEY")]
    pub(crate) user_id: Option<String>,
}
