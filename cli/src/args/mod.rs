//! The verbs and their options, as `--help` shows them.

mod backup;
mod diff;
mod entities;
mod experiment;
mod explain;
mod operator;
mod plans;
mod records;
mod schedule;
mod serve;
mod token;
mod views;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use flagstone_model::key::{EnvironmentId, FlagKey, ProjectId, VariationKey};

pub(crate) use backup::{Backup, RestoreBackup};
pub(crate) use diff::{Diff, OfRule};
pub(crate) use entities::{
    DefinitionArgs, EnvCreate, EnvEdit, EnvVerb, FlagArchive, FlagCreate, FlagEdit, FlagShow, FlagVerb,
    ListArgs, ListContains, ListDelete, ListEdit, ListPut, ListShow, ListVerb, SegmentDelete, SegmentPut,
    SegmentShow, SegmentVerb,
};
pub(crate) use experiment::{ExperimentList, ExperimentReshuffle, ExperimentShow, ExperimentVerb};
pub(crate) use records::{Erase, Publish};
pub(crate) use token::{
    EdgeKind, KeyCreate, KeyTable, KeyVerb, TokenAccess, TokenCreate, TokenRevoke, TokenShow, TokenVerb,
};
pub(crate) use views::{AttributeSet, AttributeUnset, AttributeVerb, ViewDelete, ViewSet, ViewVerb};

pub(crate) use explain::{AuditUser, Explain};
pub(crate) use operator::{Completions, Doctor, DoctorStore, DoctorVerb, KeysShow, KeysVerb, Login, Logout};
pub(crate) use plans::{Apply, Export, Import, Plan, Restore};
pub(crate) use schedule::{Schedule, ScheduleClear, SchedulePause, ScheduleSet, ScheduleVerb, Step, Where};
pub(crate) use serve::{Init, Serve};

use crate::given::Given;

const AFTER: &str = "\
Examples:
  flagstone dev                                    run all of it here, with sample flags
  flagstone serve --project acme                   run it for real
  flagstone login https://flags.example.com        keep a token; verbs use it from then on
  flagstone flag create new-checkout               a bool flag, off everywhere
  flagstone on new-checkout --env production       switch it on
  flagstone rollout new-checkout 25                serve `on` to 25 percent
  flagstone diff new-checkout --rollout 50         whom 50 percent would move
  flagstone eval new-checkout --context '{\"targetingKey\":\"u-1\"}'
  flagstone explain new-checkout --user u-1        why u-1 gets what it gets
  flagstone history new-checkout                   who changed what, and why

Environment:
  FLAGSTONE_URL       the admin API, such as http://127.0.0.1:8080; else the last login
  FLAGSTONE_TOKEN     its token; never an argument, for arguments are seen by all; else that of the login
  FLAGSTONE_PROJECT   the project [demo]
  FLAGSTONE_ENV       the environment [production]
  FLAGSTONE_SDK_KEY   the key of closed streams, for `watch` and `verify`
  FLAGSTONE_OUTPUT    `json` is the same as --json
  FLAGSTONE_LOG       what `dev` and `serve` log, such as `debug` or `warn`
  FLAGSTONE_LOG_FORMAT  `json` or `text`; docs/SERVE.md has all settings of `serve`
  NO_COLOR            no colours

Exit status:
  0  done
  1  refused, not found, or wrong; the code is printed
  2  the command line is wrong
  3  no answer, or busy: the same again later may work
  4  somebody else changed it first (`stale-revision`)
  5  `plan --detailed-exitcode`: something would change";

/// Signed static feature-flag snapshots: change, publish, verify, evaluate.
#[derive(Debug, Parser)]
#[command(name = "flagstone", version, about, after_help = AFTER, propagate_version = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Prints JSON Lines, errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Runs admin API, log, publisher, and bucket in one process.
    Dev(Dev),
    /// Runs admin API, log, publisher, and bucket for real use on one machine.
    Serve(Serve),
    /// Sets up a data directory: keys, project, environments, token.
    Init(Init),
    /// Copies a data directory while it is used.
    Backup(Backup),
    /// Makes a data directory of a backup.
    RestoreBackup(RestoreBackup),
    /// Keeps a token for a server, and makes the server the one that verbs speak to.
    Login(Login),
    /// Forgets a token.
    Logout(Logout),
    /// Checks settings, server, token, streams, and a data directory, and says what to do.
    Doctor(Doctor),
    /// The keys of the project: show.
    #[command(subcommand)]
    Keys(KeysVerb),
    /// Prints a completion script for a shell.
    Completions(Completions),
    /// Definitions of flags: create, list, show, edit, archive.
    #[command(subcommand)]
    Flag(FlagVerb),
    /// Switches a flag on in one environment.
    #[command(after_help = "Example:\n  flagstone on new-checkout --reason 'launch'")]
    On(Switch),
    /// Switches a flag off in one environment: it serves its off variation.
    #[command(after_help = "Example:\n  flagstone off new-checkout -e staging")]
    Off(Switch),
    /// Serves a variation to a share of all units, by the fallthrough.
    #[command(
        after_help = "Examples:\n  flagstone rollout new-checkout 25\n  flagstone rollout search 12.5% --variation neural"
    )]
    Rollout(Rollout),
    /// When a flag or its rules hold and how its shares grow, in words; set, pause, clear.
    #[command(
        after_help = "Examples:\n  flagstone schedule new-checkout\n  flagstone schedule set new-checkout --step '2026-12-02T10:00=10%' --zone Europe/Berlin\n  flagstone schedule pause new-checkout"
    )]
    Schedule(Schedule),
    /// Shows what is recorded, and begins an experiment anew.
    #[command(subcommand)]
    Experiment(ExperimentVerb),
    /// Who changed a flag in one environment, when, why, and from what to what.
    #[command(after_help = "Example:\n  flagstone history new-checkout --limit 5")]
    History(History),
    /// Why somebody gets what they get: each rule and condition with its outcome.
    Explain(Explain),
    /// Whom a change would move that nobody has made yet, from what to what, and by which rule.
    Diff(Diff),
    /// Evaluates flags: by the admin API, or from a snapshot file without any server.
    #[command(after_help = EVAL_AFTER)]
    Eval(Eval),
    /// Follows a stream with the SDK and prints one JSON line for each change.
    #[command(
        after_help = "Example:\n  flagstone watch \"$CONNECTION\" --flag new-checkout --context '{\"targetingKey\":\"u-1\"}'"
    )]
    Watch(Watch),
    /// Checks a bundle file or a stream: signatures, names, digests, content.
    #[command(after_help = VERIFY_AFTER)]
    Verify(Verify),
    /// The change log: prove that nothing was altered, inserted, or dropped; tell what altered a user's result.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Segments of one environment: list, show, put, delete.
    #[command(subcommand)]
    Segment(SegmentVerb),
    /// Lists of one environment, large sets of keys: put, add, drop, show, contains, keys, delete.
    #[command(subcommand)]
    List(ListVerb),
    /// What clients may know of each attribute: list, set, unset.
    #[command(subcommand)]
    Attribute(AttributeVerb),
    /// Which flags a stream has, and who may read it: list, set, delete.
    #[command(subcommand)]
    View(ViewVerb),
    /// Who may use the admin API: create, list, show, revoke, access.
    #[command(subcommand)]
    Token(TokenVerb),
    /// SDK keys of one environment: create, list, table, revoke.
    #[command(subcommand)]
    Key(KeyVerb),
    /// Environments of the project: list, create, edit.
    #[command(subcommand)]
    Env(EnvVerb),
    /// Writes the project as files to keep under version control.
    Export(Export),
    /// Shows what `apply` would change, from files to the server.
    Plan(Plan),
    /// Makes the server what the files say, in one entry.
    Apply(Apply),
    /// Takes an export into a project.
    Import(Import),
    /// Makes a flag or an environment again what it was after an entry.
    Restore(Restore),
    /// Brings a stream up to date with the log, now.
    Publish(Publish),
    /// Erases the data of entries of the log, for good.
    Erase(Erase),
}

const EVAL_AFTER: &str = "\
Examples:
  flagstone eval new-checkout --context '{\"targetingKey\":\"u-1\",\"country\":\"DE\"}'
  flagstone eval --context @context.json                    all flags
  flagstone eval new-checkout --snapshot snapshot.jsonl.zst
  flagstone eval --snapshot FILE --batch < cases.jsonl

With --batch, a case is {\"flag\",\"context\",\"at\"?,\"type\"?,\"default\"?} on one line of standard input. Its answer is
{\"value\",\"variation\",\"reason\",\"error_code\",\"rule\",\"exp\",\"bucket\"} on one line, absent members left out; a case that
cannot be read answers {\"error\":CODE}, and the run goes on.";

const VERIFY_AFTER: &str = "\
Examples:
  flagstone verify stream.bundle --root 1:04862e…        against a pin you trust
  flagstone verify \"$CONNECTION\"                         FLAGSTONE_SDK_KEY opens closed streams

Without --root or --connection a bundle is checked against the first root in it: that it is whole and signed, not by
whom. Compare the root it prints with the pin you have. The exit status is 0 or 1.";

/// Where the admin API is, and what of it is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApiArgs {
    /// The admin API [env: FLAGSTONE_URL, else http://127.0.0.1:8080].
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The project [env: FLAGSTONE_PROJECT, else demo].
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<ProjectId>,
    /// The environment [env: FLAGSTONE_ENV, else production].
    #[arg(long = "env", short = 'e', value_name = "ENVIRONMENT")]
    pub(crate) environment: Option<EnvironmentId>,
}

/// How a change is made.
#[derive(Debug, Clone, Args)]
pub(crate) struct WriteArgs {
    /// Why; it stands in the history.
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Confirms a change that touches more than half of all flags.
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Does not wait until the change is announced.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone dev
  flagstone dev --listen 127.0.0.1:0 --data /tmp/flags

Where standard output is no terminal it gets exactly one JSON line, when everything is ready:
{\"api\",\"cdn\",\"token\",\"project\",\"environments\":{ENV:{\"server\",\"client\",\"sdk_key\"}}}. Logs go to standard error.")]
pub(crate) struct Dev {
    /// Where to listen, on loopback; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = loopback)]
    pub(crate) listen: SocketAddr,
    /// Where log, bucket, keys, and token are kept.
    #[arg(long, value_name = "DIR", default_value = ".flagstone")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// The flag.
    pub(crate) key: FlagKey,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Rollout {
    /// The flag.
    pub(crate) key: FlagKey,
    /// The share, 0 to 100 with at most three decimals; `%` may follow.
    #[arg(value_parser = percent)]
    pub(crate) percent: f64,
    /// The variation to serve to it.
    #[arg(long, value_name = "VARIATION", default_value = "on")]
    pub(crate) variation: VariationKey,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// The flag.
    pub(crate) key: FlagKey,
    /// At most so many changes, newest first.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Eval {
    /// The flag; without it, all flags.
    #[arg(conflicts_with = "batch")]
    pub(crate) key: Option<String>,
    /// Whom it is evaluated for: a JSON object, @FILE, or -.
    #[arg(long, value_name = "JSON", conflicts_with = "batch")]
    pub(crate) context: Option<Given>,
    /// When: an instant such as 2026-12-01T09:00:00Z. Default: now.
    #[arg(long, value_name = "INSTANT", conflicts_with = "batch")]
    pub(crate) at: Option<String>,
    /// Evaluates this file of snapshot lines, plain or zstd, and asks no server.
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,
    /// Reads cases from standard input, one JSON object a line, and answers each on one line.
    #[arg(long, requires = "snapshot")]
    pub(crate) batch: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The connection string of a stream.
    pub(crate) connection: String,
    /// How often to poll. Default: what the stream suggests.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(10..))]
    pub(crate) poll_ms: Option<u64>,
    /// Keeps the last good bundle here, and starts from it.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// A flag whose value each line tells; may stand there several times.
    #[arg(long = "flag", value_name = "KEY", action = ArgAction::Append)]
    pub(crate) flags: Vec<String>,
    /// Whom they are evaluated for, one for each --flag in order: a JSON object or @FILE. The last one is that of all
    /// further flags.
    #[arg(long = "context", value_name = "JSON", action = ArgAction::Append, requires = "flags")]
    pub(crate) contexts: Vec<Given>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A bundle file, or the connection string of a stream.
    #[arg(value_name = "BUNDLE_OR_CONNECTION")]
    pub(crate) subject: String,
    /// The root a bundle has to begin with, N:SHA256.
    #[arg(long, value_name = "PIN", conflicts_with = "connection")]
    pub(crate) root: Option<String>,
    /// The connection string whose pin and stream a bundle has to have.
    #[arg(long, value_name = "CONNECTION")]
    pub(crate) connection: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// What a user gets, and which changes altered it.
    User(AuditUser),
    /// Proves log, archive, and announced content of a data directory. Writes nothing.
    Verify(AuditVerify),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  flagstone audit verify --data .flagstone

Checks the chain from entry 1, folds it, compares the checkpoints, the log heads that manifests were signed with, the \
claims, and the content that the log gives with what is announced. Tells the first fault: which entry or object, and what is wrong. \
A program may be using the directory meanwhile.")]
pub(crate) struct AuditVerify {
    /// The data directory of `flagstone dev` or `flagstone serve`.
    #[arg(long, value_name = "DIR", default_value = ".flagstone")]
    pub(crate) data: PathBuf,
    /// The project [env: FLAGSTONE_PROJECT, else that of the directory].
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<ProjectId>,
}

/// Everything here speaks plain HTTP and hands out keys: never beyond this machine.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').ok_or("an address is HOST:PORT, such as 127.0.0.1:8080")?;
    let text = if host == "localhost" { format!("127.0.0.1:{port}") } else { text.to_owned() };
    let address: SocketAddr =
        text.parse().map_err(|_| "an address is HOST:PORT, such as 127.0.0.1:8080".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("`dev` listens on loopback only: its token and keys travel in the clear".to_owned())
    }
}

/// 0 to 100 with at most three decimals.
fn percent(text: &str) -> Result<f64, String> {
    let digits = text.strip_suffix('%').unwrap_or(text).trim();
    let wrong = || "a percentage is a number from 0 to 100 with at most three decimals".to_owned();
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent: f64 = digits.parse().map_err(|_| wrong())?;
    if plain && decimals <= 3 && (0.0..=100.0).contains(&percent) { Ok(percent) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of the document.
    const DOCUMENT_WIDTH: usize = 110;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    /// Each verb, with the names that lead to it.
    fn leaves(command: &clap::Command, above: &str, found: &mut Vec<(String, clap::Command)>) {
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let path = format!("{above} {}", verb.get_name());
            // One that takes arguments of its own is a verb too.
            if !verb.has_subcommands() || verb.is_args_conflicts_with_subcommands_set() {
                found.push((path.clone(), verb.clone()));
            }
            leaves(verb, &path, found);
        }
    }

    fn verbs() -> Vec<(String, clap::Command)> {
        use clap::CommandFactory;
        let mut found = Vec::new();
        leaves(&Cli::command(), "flagstone", &mut found);
        found
    }

    #[test]
    fn every_verb_has_an_example_that_names_it_and_every_option_a_word() {
        let without = verbs().into_iter().filter_map(|(path, mut verb)| {
            let help = verb.render_long_help().to_string();
            let examples = help.split("Example").nth(1).unwrap_or_default();
            (!examples.contains(&path)).then_some(path)
        });
        assert_eq!(
            without.collect::<Vec<_>>(),
            [""; 0],
            "verbs without an example of themselves in their help"
        );
        for (path, verb) in verbs() {
            assert!(verb.get_about().is_some(), "{path} does not say what it does");
            for option in verb.get_arguments() {
                assert!(option.get_help().is_some(), "{path}: {} is not explained", option.get_id());
            }
        }
    }

    #[test]
    fn the_verbs_in_the_document_are_the_verbs_there_are() {
        let mut text = String::from(
            "# The command line\n\nMade from the program's own help by a test; `FLAGSTONE_WRITE_DOCS=1 cargo test -p \
             flagstone-cli args` writes it anew.\n",
        );
        let top = <Cli as clap::CommandFactory>::command().term_width(DOCUMENT_WIDTH).render_long_help();
        text.extend(["\n```text\n", &plain(&top.to_string()), "\n```\n"]);
        for (path, verb) in verbs() {
            let help = verb.bin_name(path.clone()).term_width(DOCUMENT_WIDTH).render_long_help();
            text.extend(["\n## ", &path, "\n\n```text\n", &plain(&help.to_string()), "\n```\n"]);
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/CLI.md");
        #[expect(clippy::disallowed_methods, reason = "a test is told by its environment to write")]
        let write = std::env::var_os("FLAGSTONE_WRITE_DOCS").is_some();
        if write {
            std::fs::write(file, &text).unwrap();
        }
        let there = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            there == text,
            "docs/CLI.md is out of date: FLAGSTONE_WRITE_DOCS=1 cargo test -p flagstone-cli args"
        );
    }

    /// Lines without blanks at their end.
    fn plain(text: &str) -> String {
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    #[test]
    fn a_percentage_has_at_most_three_decimals() {
        assert_eq!(percent("25"), Ok(25.0));
        assert_eq!(percent("33.333%"), Ok(33.333));
        for wrong in ["", "-1", "100.1", "1e1", "0.0001", "NaN", "inf", "ten"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn dev_listens_on_loopback_only() {
        assert!(loopback("127.0.0.1:0").is_ok());
        assert!(loopback("[::1]:8080").is_ok());
        assert!(loopback("localhost:8080").is_ok());
        for wrong in ["0.0.0.0:8080", "192.0.2.1:80", "8080", "example.com:80"] {
            assert!(loopback(wrong).is_err(), "{wrong}");
        }
    }
}
