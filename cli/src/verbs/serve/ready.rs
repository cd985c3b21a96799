//! What `serve` prints when it is ready: no secret, only where it lies.

use std::net::SocketAddr;
use std::path::PathBuf;

use flagstone_bundle::root::Pin;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId};

use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::host::public::PublicUrl;

/// Where everything is.
pub(super) struct Ready {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) tls: bool,
    pub(super) public_url: PublicUrl,
    pub(super) project: ProjectId,
    pub(super) pin: Pin,
    pub(super) environments: Vec<EnvironmentId>,
    pub(super) token_file: PathBuf,
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

    /// Each address, for a log line.
    pub(super) fn listening(&self) -> String {
        self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn apis(&self) -> impl Iterator<Item = String> + '_ {
        let scheme = if self.tls { "https" } else { "http" };
        self.addresses.iter().map(move |address| format!("{scheme}://{address}"))
    }

    fn stream(&self, environment: &EnvironmentId, view: &str) -> String {
        self.public_url.connection(&self.project, environment, view, self.pin)
    }

    fn to_json(&self) -> Json<'static> {
        let environments = self.environments.iter().map(|environment| {
            let views = ["server", "client"].map(|view| (view, Json::from(self.stream(environment, view))));
            (environment.to_string(), Json::object(views))
        });
        Json::object([
            ("api", Json::from(self.apis().next().unwrap_or_default())),
            ("listen", self.apis().map(Json::from).collect()),
            ("cdn", Json::from(self.public_url.to_string())),
            ("project", Json::from(self.project.to_string())),
            ("root", Json::from(self.pin.to_string())),
            ("token_file", Json::from(self.token_file.display().to_string())),
            ("environments", Json::object(environments)),
        ])
    }

    fn banner(&self, screen: &Screen) -> Result<(), Failure> {
        let name = |text: &str| screen.paint(Paint::Dim, format!("{text:<12}"));
        let running = screen.paint(Paint::Bold, "flagstone serve is running.");
        screen.line(format!("{running} Ctrl-C ends it; everything stays in {}\n", self.data.display()))?;
        for api in self.apis() {
            screen.line(format!("  {}{api}/v1", name("admin API")))?;
        }
        screen.line(format!("  {}{}/", name("CDN"), self.public_url))?;
        screen.line(format!("  {}{}", name("project"), self.project))?;
        screen.line(format!("  {}in {}", name("admin token"), self.token_file.display()))?;
        for environment in &self.environments {
            screen.line(format!("  {}{}", name(environment.as_str()), self.stream(environment, "server")))?;
        }
        if self.environments.is_empty() {
            screen.line(format!(
                "\nThere is no environment yet: `flagstone env create production --project {}` makes one.",
                self.project
            ))?;
        }
        screen.line("")
    }
}
