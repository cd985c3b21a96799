//! `plan`, `apply`, and `import`: files against the server, and one entry that makes them equal.

mod document;
mod effect;
mod lists;
mod server;
mod show;
mod wanted;

use std::collections::BTreeSet;
use std::io::{BufRead, Write as _};
use std::path::Path;
use std::process::ExitCode;

use flagstone_model::json::Json;
use flagstone_publisher::author::{MAX_CHANGES, code};
use reqwest::Method;

use crate::api::{Answer, Api, Expected};
use crate::args::{Apply, Import, Plan, WriteArgs};
use crate::failure::{Exit, Failure};
use crate::screen::Screen;
use crate::surroundings::Surroundings;
use crate::tree::{self, MARKER, Read};
use crate::verbs::told;
use document::Document;
use lists::Lists;
use wanted::Planned;

pub(super) use server::Server;
pub(crate) use show::changes as show_changes;

/// The refusals that are none for somebody who says `confirm`.
const CONFIRMED: [&str; 2] = ["needs-confirmation", "schedule-in-past"];

/// Changes that are wanted, where each comes from, and what the server says that they would do.
struct Trial {
    changes: Vec<Planned>,
    /// The answer of the server to a dry run.
    answer: Json<'static>,
    /// Why somebody has to say that it should be made, if that is so.
    asks: Option<Failure>,
}

impl Trial {
    /// Asks the server. Nothing is sent if nothing is wanted.
    async fn of(api: &Api, changes: Vec<Planned>, read: Option<&Read>) -> Result<Self, Failure> {
        if changes.is_empty() {
            let answer = Json::object([("seq", Json::Null), ("changes", Json::Array(Vec::new()))]);
            return Ok(Self { changes, answer, asks: None });
        }
        if changes.len() > MAX_CHANGES {
            let detail = format!("{} changes, and one entry has at most {MAX_CHANGES}", changes.len());
            return Err(Failure::refused("too-large", detail).hint("apply a part of the files first"));
        }
        let body = body(&changes);
        let path = api.in_project("changes?dry_run=true");
        let told = |failure| wanted::in_files(failure, &changes, read);
        match api.ask(&path, &body).await {
            Ok(answer) => Ok(Self { answer: answer.body, changes, asks: None }),
            Err(failure) if CONFIRMED.contains(&failure.code.as_str()) => {
                let asks = Some(told(failure));
                let answer = api.ask(&format!("{path}&confirm=true"), &body).await.map_err(told)?;
                Ok(Self { answer: answer.body, changes, asks })
            }
            Err(failure) => Err(told(failure)),
        }
    }

    fn changed(&self) -> &[Json<'static>] {
        self.answer.member("changes").and_then(Json::as_array).unwrap_or_default()
    }

    /// Shows what would change; `false` if nothing would. What is `confirmed` needs no word more.
    fn show(&self, screen: &Screen, confirmed: bool) -> Result<bool, Failure> {
        let changed = self.changed();
        if screen.is_json() {
            return Ok(!changed.is_empty());
        }
        show::changes(screen, changed)?;
        if let (Some(asks), false) = (&self.asks, confirmed) {
            let places = asks.spots.iter().map(|spot| format!("\n  at {}", spot.pointer)).collect::<String>();
            screen.note(format_args!("{}: it takes --confirm{places}", asks.detail));
        }
        Ok(!changed.is_empty())
    }
}

/// The request for some changes.
fn body(changes: &[Planned]) -> Json<'static> {
    Json::object([("changes", changes.iter().map(|planned| planned.change.clone()).collect::<Json<'_>>())])
}

/// Shows what `apply` would do.
pub(super) async fn plan(
    args: &Plan,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let read = tree::read(&args.dir)?;
    same_project(&api, &read)?;
    let server = Server::read(&api).await?;
    if let Some(out) = &args.out
        && let Some(last) = Document::find(out)?
    {
        show::drift(screen, &api, last.head).await?;
    }
    let wanted = wanted::all(&read, &server, args.prune);
    wanted.remarks(screen);
    wanted.check_environments(&server, &read)?;
    let lists = Lists::of(&api, &read.tree, server.tree.environments.keys(), args.prune).await?;
    lists.show(screen)?;
    let trial = match Trial::of(&api, wanted.changes, Some(&read)).await {
        Err(failure) if failure.code == code::DANGLING_REFERENCE && lists.makes_some() => {
            return Err(failure
                .hint("lists that are new are written first: `flagstone apply` tries the rest after that"));
        }
        other => other?,
    };
    let differs = trial.show(screen, false)? || !lists.is_empty();
    if screen.is_json() {
        let mut members = trial.answer.as_object().unwrap_or_default().to_vec();
        members.push(("lists".into(), lists.to_json()));
        members.push(("needs_confirmation".into(), Json::from(trial.asks.is_some())));
        screen.json(&Json::Object(members))?;
    }
    if let Some(out) = &args.out {
        let head = told::number(&trial.answer, "head").and_then(|head| u64::try_from(head).ok());
        let document = Document::new(&read.tree.project, head.or(server.head));
        document.write(out, &body(&trial.changes))?;
        screen.note(format_args!("the plan is in {}; `flagstone apply {0}` makes exactly it", out.display()));
        if !lists.is_empty() {
            screen.note("lists are not in the plan; `flagstone apply --dir` writes them");
        }
    }
    let code = if differs && args.detailed_exitcode {
        ExitCode::from(Exit::Differs as u8)
    } else {
        ExitCode::SUCCESS
    };
    Ok(code)
}

/// Makes the changes of a plan, or of files, in one entry.
pub(super) async fn apply(args: &Apply, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    match &args.plan {
        Some(file) => {
            let document = Document::read(file)?;
            if document.project != *api.project() {
                return Err(other_project(&file.display().to_string(), &document.project, &api));
            }
            let trial = Trial::of(&api, document.changes, None).await?;
            make(&api, &trial, args.yes, &args.write, surroundings, screen).await
        }
        None => {
            let read = tree::read(&args.dir)?;
            same_project(&api, &read)?;
            let server = Server::read(&api).await?;
            let wanted = wanted::all(&read, &server, args.prune);
            wanted.remarks(screen);
            wanted.check_environments(&server, &read)?;
            let lists = Lists::of(&api, &read.tree, server.tree.environments.keys(), args.prune).await?;
            lists.show(screen)?;
            if !lists.is_empty() && !args.yes {
                agreed(surroundings, screen)?;
            }
            lists.write(&api, &args.write, screen).await?;
            if wanted.changes.is_empty() && lists.writes_some() && !screen.is_json() {
                return lists.delete(&api, &args.write, screen).await;
            }
            let trial = Trial::of(&api, wanted.changes, Some(&read)).await?;
            make(&api, &trial, args.yes, &args.write, surroundings, screen).await?;
            lists.delete(&api, &args.write, screen).await
        }
    }
}

/// Previews in the environment what files want, if they want something; `question` says for whom.
pub(super) async fn ask_about_files(
    api: &Api,
    dir: &Path,
    prune: bool,
    question: Vec<(&'static str, Json<'static>)>,
    screen: &Screen,
) -> Result<Option<Answer>, Failure> {
    let read = tree::read(dir)?;
    same_project(api, &read)?;
    let server = Server::read(api).await?;
    let wanted = wanted::all(&read, &server, prune);
    wanted.remarks(screen);
    wanted.check_environments(&server, &read)?;
    if wanted.changes.is_empty() {
        return Ok(None);
    }
    let mut body = body(&wanted.changes);
    if let Json::Object(members) = &mut body {
        members.extend(question.into_iter().map(|(name, value)| (name.into(), value)));
    }
    let asked = api.ask(&api.in_environment("preview"), &body).await;
    asked.map(Some).map_err(|failure| wanted::in_files(failure, &wanted.changes, Some(&read)))
}

/// Takes an export into a project.
pub(super) async fn import(
    args: &Import,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let read = tree::read(directory(&args.from)?)?;
    let server = Server::read(&api).await?;
    let wanted = wanted::all(&read, &server, false);
    if let (false, Some(present)) = (args.yes, wanted.changes.iter().find(|planned| !planned.is_new(&server)))
    {
        let detail = format!("{} is there already, and would be changed", present.what);
        return Err(Failure::refused("already-exists", detail)
            .hint("`flagstone plan` shows what differs; --yes imports over it"));
    }
    for environment in wanted.missing_environments(&server, &read) {
        let body = environment.to_json();
        let path = api.in_project("environments");
        api.write(Method::POST, &path, Some(&body), Expected::Nothing, &args.write).await?;
        if !screen.is_json() {
            screen.line(format_args!("environment {} was created", environment.id))?;
        }
    }
    let known = server.tree.environments.keys().chain(read.tree.environments.keys());
    let known: BTreeSet<_> = known.collect();
    let lists = Lists::of(&api, &read.tree, known.into_iter(), false).await?;
    if let (false, Some(present)) = (args.yes, lists.overwritten()) {
        return Err(Failure::refused(
            "already-exists",
            format!("{present} is there already, and would be changed"),
        )
        .hint("`flagstone plan` shows what differs; --yes imports over it"));
    }
    lists.show(screen)?;
    lists.write(&api, &args.write, screen).await?;
    // What is new to the project serves nobody yet, so nobody is asked about it.
    let confirm = args.write.confirm || wanted.changes.iter().all(|planned| planned.is_new(&server));
    let how = WriteArgs { confirm, ..args.write.clone() };
    for part in wanted::parts(wanted.changes) {
        let trial = Trial::of(&api, part, Some(&read)).await?;
        make(&api, &trial, true, &how, surroundings, screen).await?;
    }
    Ok(())
}

/// A directory of an export, or the file in it that says so.
fn directory(from: &Path) -> Result<&Path, Failure> {
    if from.is_dir() {
        return Ok(from);
    }
    let named = from.file_name().is_some_and(|name| name == MARKER);
    match from.parent() {
        Some(parent) if named && from.is_file() => {
            Ok(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
        }
        _ if !from.exists() => Err(Failure::usage(format!("{} is not there", from.display()))),
        _ => Err(Failure::refused("unknown-format", format!("{} is of a foreign format", from.display()))
            .hint("import takes the directory that `flagstone export` writes, or the flagstone.json in it")),
    }
}

fn same_project(api: &Api, read: &Read) -> Result<(), Failure> {
    if read.tree.project == *api.project() {
        return Ok(());
    }
    Err(other_project("the files", &read.tree.project, api))
}

fn other_project(what: &str, project: &flagstone_model::key::ProjectId, api: &Api) -> Failure {
    let detail = format!("{what}: of project `{project}`, and this would change `{}`", api.project());
    Failure::refused("other-project", detail)
        .hint("--project names the one that is meant; `flagstone import` takes files of another")
}

/// Shows, asks, and makes one entry, or none.
async fn make(
    api: &Api,
    trial: &Trial,
    yes: bool,
    how: &WriteArgs,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    if !trial.show(screen, how.confirm)? {
        if screen.is_json() {
            return screen.json(&trial.answer);
        }
        return screen.line("nothing to do");
    }
    if let (Some(asks), false) = (&trial.asks, how.confirm) {
        return Err(asks.clone().hint("--confirm does it all the same"));
    }
    if !yes {
        agreed(surroundings, screen)?;
    }
    let path = api.in_project("changes");
    let body = body(&trial.changes);
    let written = api.write(Method::POST, &path, Some(&body), Expected::Nothing, how).await;
    let answer = written.map_err(|failure| wanted::in_files(failure, &trial.changes, None))?;
    let count = answer.body.member("changes").and_then(Json::as_array).map_or(0, <[_]>::len);
    let what = if count == 1 { "1 change was made".to_owned() } else { format!("{count} changes were made") };
    told::change(screen, &answer, &what)
}

/// Asks whoever sits at the terminal.
pub(super) fn agreed(surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    if !surroundings.terminal_in || !surroundings.terminal_err || screen.is_json() {
        return Err(Failure::usage("nobody is there to ask: --yes makes the changes without asking"));
    }
    let mut answer = String::new();
    let asked = write!(std::io::stderr().lock(), "Make these changes? [y/N] ")
        .and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    let yes = ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
    if asked.is_ok() && yes { Ok(()) } else { Err(Failure::refused("not-confirmed", "nothing was changed")) }
}
