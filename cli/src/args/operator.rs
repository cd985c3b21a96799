//! Logging in, checking, keys, and completions.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;
use flagstone_model::key::ProjectId;

use super::ApiArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone login https://flags.example.com --project acme
  flagstone login http://127.0.0.1:8080 --project acme < /var/lib/flagstone/admin.token

The token is asked for without an echo, or read from standard input where that is no terminal; it is never an argument, \
for arguments are seen by everybody. It is tried, and then kept in $XDG_CONFIG_HOME/flagstone/credentials.json, for its \
owner only. All verbs use it, with this server and project, when FLAGSTONE_TOKEN is not set.")]
pub(crate) struct Login {
    /// The admin API.
    pub(crate) url: String,
    /// The project [env: FLAGSTONE_PROJECT, else demo].
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<ProjectId>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone logout https://flags.example.com

Forgets the token. The server goes on to take it: an administrator revokes it there.")]
pub(crate) struct Logout {
    /// The admin API; without it, the one that was logged in to last.
    pub(crate) url: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone doctor                                  the server you are logged in to
  flagstone doctor --data /var/lib/flagstone        a data directory too
  flagstone doctor \"$CONNECTION\"                    and a stream, as an SDK sees it
  flagstone doctor store                            whether the server's stores can be trusted

Each line is ok, warn, or fail, and says what to do. The exit status is 1 if a line is fail.")]
#[command(args_conflicts_with_subcommands = true, subcommand_value_name = "WHAT")]
pub(crate) struct Doctor {
    #[command(subcommand)]
    pub(crate) only: Option<DoctorVerb>,
    /// Connection strings of streams to fetch and verify; FLAGSTONE_SDK_KEY opens closed ones.
    #[arg(value_name = "CONNECTION")]
    pub(crate) connections: Vec<String>,
    /// Checks this data directory too [env: FLAGSTONE_DATA].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorVerb {
    /// Lets writers race for the server's stores, and says whether these keep to their conditions.
    Store(DoctorStore),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone doctor store

It takes an admin's token. 32 writers race for one object, which no reader is served, and for one claim.
A store that lets more than one win loses changes without a word: publish nothing to it.
The exit status is 1 if a line is fail.")]
pub(crate) struct DoctorStore {
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysVerb {
    /// The project's root: key ids, public keys, roles, epochs, expiry. Never a secret.
    Show(KeysShow),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone keys show --data /var/lib/flagstone
  flagstone keys show --project acme --url https://flags.example.com

Compare the root with the pin in your connection strings: it is what clients trust.")]
pub(crate) struct KeysShow {
    /// A data directory; without it, the server is asked [env: FLAGSTONE_DATA].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone completions bash > ~/.local/share/bash-completion/completions/flagstone
  flagstone completions zsh > ~/.zfunc/_flagstone
  flagstone completions fish > ~/.config/fish/completions/flagstone.fish
  flagstone completions powershell >> $PROFILE")]
pub(crate) struct Completions {
    /// The shell.
    pub(crate) shell: Shell,
}
