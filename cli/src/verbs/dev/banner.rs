//! What `dev` prints when it is ready.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use flagstone_bundle::root::Pin;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId};

use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::dev::sample;

/// Where everything is.
#[derive(Clone)]
pub(super) struct Ready {
    pub(super) address: SocketAddr,
    pub(super) token: String,
    pub(super) project: ProjectId,
    pub(super) pin: Pin,
    /// The SDK key of each environment.
    pub(super) keys: BTreeMap<EnvironmentId, String>,
    pub(super) data: PathBuf,
}

impl Ready {
    /// One JSON line where a program reads, else a few lines for people.
    pub(super) fn tell(&self, screen: &Screen, surroundings: &Surroundings) -> Result<(), Failure> {
        if screen.is_json() || !surroundings.terminal_out {
            screen.json(&self.to_json())
        } else {
            self.banner(screen)
        }
    }

    /// The connection string of an environment's server view, and the key that opens it.
    pub(super) fn connection(&self, environment: &str) -> Option<(String, &str)> {
        let (environment, key) = self.keys.iter().find(|(known, _)| known.as_str() == environment)?;
        Some((self.stream(environment, "server"), key))
    }

    fn api(&self) -> String {
        format!("http://{}", self.address)
    }

    fn stream(&self, environment: &EnvironmentId, view: &str) -> String {
        let Self { address, project, pin, .. } = self;
        format!(
            "flagstone+http://{address}/cdn?project={project}&environment={environment}&view={view}&root={pin}"
        )
    }

    fn to_json(&self) -> Json<'static> {
        let environments = self.keys.iter().map(|(environment, key)| {
            let members = [
                ("server", Json::from(self.stream(environment, "server"))),
                ("client", Json::from(self.stream(environment, "client"))),
                ("sdk_key", Json::from(key.clone())),
            ];
            (environment.to_string(), Json::object(members))
        });
        Json::object([
            ("api", Json::from(self.api())),
            ("cdn", Json::from(format!("{}/cdn", self.api()))),
            ("token", Json::from(self.token.clone())),
            ("project", Json::from(self.project.to_string())),
            ("environments", Json::object(environments)),
        ])
    }

    fn banner(&self, screen: &Screen) -> Result<(), Failure> {
        let (api, token) = (self.api(), &self.token);
        let name = |text: &str| screen.paint(Paint::Dim, format!("{text:<12}"));
        let running = screen.paint(Paint::Bold, "flagstone dev is running.");
        screen.line(format!("{running} Ctrl-C ends it; everything stays in {}\n", self.data.display()))?;
        screen.line(format!("  {}{api}/v1", name("admin API")))?;
        screen.line(format!("  {}{api}/cdn/", name("CDN")))?;
        screen.line(format!("  {}{}", name("project"), self.project))?;
        screen.line(format!("  {}{token}", name("token")))?;
        for (environment, key) in &self.keys {
            screen.line(format!("  {}{}", name(environment.as_str()), self.stream(environment, "server")))?;
            screen.line(format!("  {}SDK key {key}", name("")))?;
        }
        let flag = sample::FIRST_FLAG;
        let path = format!("v1/projects/{}/environments/production/flags/{flag}/off", self.project);
        screen.line(format!("\n{}", screen.paint(Paint::Bold, "To paste into another terminal:")))?;
        screen.line(format!("  export FLAGSTONE_URL={api} FLAGSTONE_TOKEN={token}"))?;
        screen.line(format!(
            "  curl -X POST -H \"Authorization: Bearer $FLAGSTONE_TOKEN\" $FLAGSTONE_URL/{path}\n"
        ))
    }
}
