//! `init`: a data directory with keys, project, environments, and the admin token.

use std::process::ExitCode;

use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;
use flagstone_publisher::control::{ControlError, Operation, Precondition, Write};
use flagstone_publisher::log::{Actor, ActorKind};
use flagstone_publisher::publish::Options;

use crate::args::Init;
use crate::failure::{Failure, sentence};
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::host::data::DataDirectory;
use crate::verbs::host::public::PublicUrl;
use crate::verbs::host::{self, Host};
use crate::verbs::serve::settings::DEFAULT_DATA;

const DEFAULT_PUBLIC_URL: &str = "http://127.0.0.1:8080/cdn";

/// What was there, and what was made.
struct Made {
    project: bool,
    environments: Vec<(EnvironmentId, bool)>,
}

pub(super) fn run(args: &Init, surroundings: &Surroundings, screen: &Screen) -> Result<ExitCode, Failure> {
    if args.project.is_none() && surroundings.project.is_none() {
        return Err(Failure::usage("which project?").hint("--project ID, such as --project acme"));
    }
    let project = crate::api::project(args.project.as_ref(), surroundings)?;
    let public_url = args.public_url.as_deref().or_else(|| surroundings.setting("FLAGSTONE_PUBLIC_URL"));
    let public_url = PublicUrl::parse(public_url.unwrap_or(DEFAULT_PUBLIC_URL))?;
    let data = args.data.clone().or_else(|| surroundings.setting("FLAGSTONE_DATA").map(Into::into));
    let data = data.unwrap_or_else(|| DEFAULT_DATA.into());
    host::run(async {
        let host = Host::open(&data, project, Options::default(), DataDirectory::occupy)
            .await
            .map_err(while_it_serves)?;
        let made = Made {
            project: self::project(&host, args.name.as_deref()).await?,
            environments: environments(&host, &args.environments).await?,
        };
        host.data.admin_token()?;
        host.sdk_keys().await?;
        tell(&host, &made, &public_url, screen)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn while_it_serves(mut failure: Failure) -> Failure {
    if failure.code == "data-in-use" {
        failure.hint = Some("a server that runs makes environments with `flagstone env create`".to_owned());
    }
    failure
}

/// Makes the project, unless it is there; whether it was made.
pub(super) async fn project(host: &Host, name: Option<&str>) -> Result<bool, Failure> {
    let state = host.control.state().await.map_err(|error| sentence(error.code(), &error))?;
    if state.seq() > 0 {
        return Ok(false);
    }
    let id = host.project.to_string();
    let body =
        Json::object([("id", Json::from(id.clone())), ("name", Json::from(name.unwrap_or(&id).to_owned()))]);
    write(host, format!("project {id}"), Operation::CreateProject(body)).await
}

/// Makes environments, unless they are there; whether each was made.
async fn environments(host: &Host, wanted: &[EnvironmentId]) -> Result<Vec<(EnvironmentId, bool)>, Failure> {
    let mut made = Vec::new();
    for environment in wanted {
        let body = Json::object([("id", Json::from(environment.to_string()))]);
        let new =
            write(host, format!("environment {environment}"), Operation::CreateEnvironment(body)).await?;
        made.push((environment.clone(), new));
    }
    for environment in host.environments().await? {
        if !wanted.contains(&environment) {
            made.push((environment, false));
        }
    }
    for (environment, new) in &made {
        if *new {
            host.control.publish(environment).await.map_err(|error| sentence(error.code(), &error))?;
        }
    }
    Ok(made)
}

async fn write(host: &Host, what: String, operation: Operation) -> Result<bool, Failure> {
    let write = Write {
        actor: Actor { kind: ActorKind::System, id: "init".to_owned(), via: "init".to_owned() },
        actor_name: None,
        request_id: None,
        request_bytes: what.into_bytes(),
        reason: Some("set up".to_owned()),
        precondition: Precondition::Any,
        confirm: true,
        wait: false,
        until: None,
    };
    match host.control.write(operation, write).await {
        Ok(_) => Ok(true),
        Err(error) if is_there(&error) => Ok(false),
        Err(error) => Err(sentence(error.code(), &error)),
    }
}

fn is_there(error: &ControlError) -> bool {
    error.code() == "already-exists"
}

fn tell(host: &Host, made: &Made, public_url: &PublicUrl, screen: &Screen) -> Result<(), Failure> {
    let stream = |environment, view| public_url.connection(&host.project, environment, view, host.pin());
    let (data, token_file) = (host.data.path(), host.data.admin_token_file());
    if screen.is_json() {
        let environments = made.environments.iter().map(|(environment, new)| {
            let members = [
                ("made", Json::from(*new)),
                ("server", Json::from(stream(environment, "server"))),
                ("client", Json::from(stream(environment, "client"))),
            ];
            (environment.to_string(), Json::object(members))
        });
        return screen.json(&Json::object([
            ("data", Json::from(data.display().to_string())),
            ("project", Json::from(host.project.to_string())),
            ("made", Json::from(made.project)),
            ("root", Json::from(host.pin().to_string())),
            ("token_file", Json::from(token_file.display().to_string())),
            ("environments", Json::object(environments)),
        ]));
    }
    let name = |text: &str| screen.paint(Paint::Dim, format!("{text:<12}"));
    let state = |new: bool| if new { screen.paint(Paint::Green, "made") } else { "was there".to_owned() };
    screen.line(format!("  {}{} ({})", name("project"), host.project, state(made.project)))?;
    screen.line(format!("  {}{}", name("data"), data.display()))?;
    screen.line(format!("  {}{}", name("root"), host.pin()))?;
    screen.line(format!("  {}in {}", name("admin token"), token_file.display()))?;
    for (environment, new) in &made.environments {
        screen.line(format!("  {}{}", name(environment.as_str()), state(*new)))?;
        screen.line(format!("  {}{}", name(""), stream(environment, "server")))?;
    }
    screen.line(format!("\n{}", screen.paint(Paint::Bold, "Next:")))?;
    screen.line(format!("  flagstone serve --project {} --data {}", host.project, data.display()))?;
    screen.line(format!("  flagstone login URL --project {} < {}", host.project, token_file.display()))?;
    screen.line(format!(
        "  keep {} and root.key elsewhere, offline: who has root.key may replace every other key",
        data.join("keys").display()
    ))
}
