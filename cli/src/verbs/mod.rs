//! One file per verb.

mod audit;
mod backup;
mod completions;
mod dev;
mod diff;
mod doctor;
mod env;
mod eval;
mod experiment;
mod explain;
mod export;
mod flag;
mod history;
mod host;
mod init;
mod key_table;
mod keys;
mod list;
mod login;
mod plan;
mod records;
mod restore;
mod schedule;
mod segment;
mod serve;
mod stop;
mod switch;
mod token;
mod told;
mod verify;
mod view;
mod watch;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use flagstone_model::instant::Instant;

use crate::args::{
    AttributeVerb, AuditVerb, EnvVerb, ExperimentVerb, FlagVerb, KeyVerb, KeysVerb, SegmentVerb, TokenVerb,
    Verb, ViewVerb,
};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::surroundings::Surroundings;

pub(crate) use host::data::{make_private_directory, replace as replace_private};
pub(crate) use host::logs::LogFormat;

/// Does what the command line says.
pub(crate) fn run(verb: Verb, surroundings: &Surroundings, screen: &Screen) -> Result<ExitCode, Failure> {
    let done = match verb {
        Verb::Dev(args) => return dev::run(&args, surroundings, screen),
        Verb::Serve(args) => return serve::run(&args, surroundings, screen),
        Verb::Init(args) => return init::run(&args, surroundings, screen),
        Verb::Backup(args) => return backup::back_up(&args, surroundings, screen),
        Verb::RestoreBackup(args) => return backup::restore(&args, screen),
        Verb::Doctor(args) => return doctor::run(&args, surroundings, screen),
        Verb::Login(args) => block_on(login::login(&args, surroundings, screen)),
        Verb::Logout(args) => login::logout(&args, surroundings, screen),
        Verb::Keys(KeysVerb::Show(args)) => block_on(keys::show(&args, surroundings, screen)),
        Verb::Completions(args) => completions::run(&args, screen),
        Verb::Verify(args) => return verify::run(&args, surroundings, screen),
        Verb::Audit(AuditVerb::Verify(args)) => return audit::verify(&args, surroundings, screen),
        Verb::Audit(AuditVerb::User(args)) => block_on(explain::user(&args, surroundings, screen)),
        Verb::Diff(args) => block_on(diff::run(&args, surroundings, screen)),
        Verb::Explain(args) => block_on(explain::run(&args, surroundings, screen)),
        Verb::Watch(args) => block_on(watch::run(&args, surroundings, screen)),
        Verb::Eval(args) => eval::run(&args, surroundings, screen),
        Verb::Flag(FlagVerb::Create(args)) => block_on(flag::create(&args, surroundings, screen)),
        Verb::Flag(FlagVerb::List(args)) => block_on(flag::list(&args, surroundings, screen)),
        Verb::Flag(FlagVerb::Show(args)) => block_on(flag::show(&args, surroundings, screen)),
        Verb::Flag(FlagVerb::Edit(args)) => block_on(flag::edit(&args, surroundings, screen)),
        Verb::Flag(FlagVerb::Archive(args)) => block_on(flag::archive(&args, surroundings, screen)),
        Verb::On(args) => block_on(switch::switch(&args, true, surroundings, screen)),
        Verb::Off(args) => block_on(switch::switch(&args, false, surroundings, screen)),
        Verb::Rollout(args) => block_on(switch::rollout(&args, surroundings, screen)),
        Verb::Schedule(args) => block_on(schedule::run(&args, surroundings, screen)),
        Verb::Experiment(ExperimentVerb::List(args)) => {
            block_on(experiment::list(&args, surroundings, screen))
        }
        Verb::Experiment(ExperimentVerb::Show(args)) => {
            block_on(experiment::show(&args, surroundings, screen))
        }
        Verb::Experiment(ExperimentVerb::Reshuffle(args)) => {
            block_on(experiment::reshuffle(&args, surroundings, screen))
        }
        Verb::History(args) => block_on(history::run(&args, surroundings, screen)),
        Verb::Segment(SegmentVerb::List(args)) => block_on(segment::list(&args, surroundings, screen)),
        Verb::Segment(SegmentVerb::Show(args)) => block_on(segment::show(&args, surroundings, screen)),
        Verb::Segment(SegmentVerb::Put(args)) => block_on(segment::put(&args, surroundings, screen)),
        Verb::Token(TokenVerb::Create(args)) => block_on(token::create(&args, surroundings, screen)),
        Verb::Token(TokenVerb::List(args)) => block_on(token::list(&args, surroundings, screen)),
        Verb::Token(TokenVerb::Show(args)) => block_on(token::show(&args, surroundings, screen)),
        Verb::Token(TokenVerb::Revoke(args)) => block_on(token::revoke(&args, surroundings, screen)),
        Verb::Token(TokenVerb::Access(args)) => block_on(token::access(&args, surroundings, screen)),
        Verb::Key(KeyVerb::Create(args)) => block_on(token::create_key(&args, surroundings, screen)),
        Verb::Key(KeyVerb::List(args)) => block_on(token::list_keys(&args, surroundings, screen)),
        Verb::Key(KeyVerb::Table(args)) => block_on(key_table::print(&args, surroundings, screen)),
        Verb::Key(KeyVerb::Revoke(args)) => block_on(token::revoke_key(&args, surroundings, screen)),
        Verb::List(verb) => return block_on(list::run(&verb, surroundings, screen)),
        Verb::Segment(SegmentVerb::Delete(args)) => block_on(segment::delete(&args, surroundings, screen)),
        Verb::Env(EnvVerb::List(args)) => block_on(env::list(&args, surroundings, screen)),
        Verb::Env(EnvVerb::Create(args)) => block_on(env::create(&args, surroundings, screen)),
        Verb::Env(EnvVerb::Edit(args)) => block_on(env::edit(&args, surroundings, screen)),
        Verb::Attribute(AttributeVerb::List(args)) => block_on(view::attributes(&args, surroundings, screen)),
        Verb::Attribute(AttributeVerb::Set(args)) => block_on(view::declare(&args, surroundings, screen)),
        Verb::Attribute(AttributeVerb::Unset(args)) => block_on(view::undeclare(&args, surroundings, screen)),
        Verb::View(ViewVerb::List(args)) => block_on(view::list(&args, surroundings, screen)),
        Verb::View(ViewVerb::Set(args)) => block_on(view::set(&args, surroundings, screen)),
        Verb::View(ViewVerb::Delete(args)) => block_on(view::delete(&args, surroundings, screen)),
        Verb::Export(args) => block_on(export::run(&args, surroundings, screen)),
        Verb::Plan(args) => return block_on(plan::plan(&args, surroundings, screen)),
        Verb::Apply(args) => block_on(plan::apply(&args, surroundings, screen)),
        Verb::Import(args) => block_on(plan::import(&args, surroundings, screen)),
        Verb::Restore(args) => block_on(restore::run(&args, surroundings, screen)),
        Verb::Publish(args) => block_on(records::publish(&args, surroundings, screen)),
        Verb::Erase(args) => block_on(records::erase(&args, surroundings, screen)),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Runs a verb that waits for one thing at a time.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::refused("no-runtime", format!("no runtime: {error}")))?;
    runtime.block_on(future)
}

/// The time by the clock of this machine.
fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a binary reads the clock")]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
