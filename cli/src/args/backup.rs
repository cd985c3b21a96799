//! Backup of a data directory, and restoring it.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone backup --data /var/lib/flagstone --to /backup/2026-11-21
  flagstone backup --to /backup/full --with-keys

It may run beside `serve`. The copy is a data directory as of one moment: log, bucket, and root document. It is checked \
like `audit verify` does before it gets its name. Signing keys, admin token, and SDK keys stay behind unless --with-keys \
says otherwise: who has them can publish. Without them, keep `keys/` of the directory elsewhere, once.")]
pub(crate) struct Backup {
    /// The data directory [env: FLAGSTONE_DATA, else .flagstone].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A directory that is not there yet, or empty.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Copies signing keys, admin token, and SDK keys too.
    #[arg(long)]
    pub(crate) with_keys: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone restore-backup --from /backup/full --data /var/lib/flagstone
  flagstone restore-backup --from /backup/2026-11-21 --data /var/lib/flagstone --keys /safe/keys

Copies a backup into a new data directory and checks it. What is there is never overwritten. `restore` is another verb:
it brings back an older targeting.")]
pub(crate) struct RestoreBackup {
    /// What `flagstone backup` wrote.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// The new data directory: not there yet, or empty.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where the signing keys are, if the backup has none.
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
}
