//! Tokens that `flagstone login` keeps: one file for its owner only.
//!
//! `{"current":URL,"servers":{URL:{"project":PROJECT,"token":TOKEN},…}}`

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use flagstone_model::json::Json;

use crate::failure::Failure;
use crate::surroundings::Surroundings;
use crate::verbs::{make_private_directory, replace_private};

/// Below the user's configuration.
const DIRECTORY: &str = "flagstone";
const FILE: &str = "credentials.json";
const LOCK: &str = ".credentials.lock";
/// Largest file of credentials, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// What is known about one server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) token: String,
    pub(crate) project: Option<String>,
}

impl core::fmt::Debug for Login {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Login").field("project", &self.project).finish_non_exhaustive()
    }
}

/// Everything in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The server that was logged in to last.
    pub(crate) current: Option<String>,
    /// By the address of the admin API.
    pub(crate) servers: BTreeMap<String, Login>,
}

/// Where the file lies.
pub(crate) fn path(surroundings: &Surroundings) -> Result<PathBuf, Failure> {
    surroundings.config_home.as_ref().map(|home| home.join(DIRECTORY).join(FILE)).ok_or_else(|| {
        Failure::refused("no-config-directory", "there is no directory for credentials")
            .hint("set HOME or XDG_CONFIG_HOME, or give the token in FLAGSTONE_TOKEN")
    })
}

/// An address as the file has it: without the version and a final slash.
pub(crate) fn server(url: &str) -> String {
    let base = url.trim_end_matches('/');
    base.strip_suffix("/v1").unwrap_or(base).trim_end_matches('/').to_owned()
}

impl Credentials {
    /// Reads the file; none is as good as an empty one.
    pub(crate) fn read(surroundings: &Surroundings) -> Result<Self, Failure> {
        match path(surroundings) {
            Ok(path) => Self::of_file(&path),
            Err(_) => Ok(Self::default()),
        }
    }

    fn of_file(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error: &std::io::Error| {
            Failure::refused("credentials-unreadable", format!("{} cannot be read: {error}", path.display()))
        };
        let facts = match fs::symlink_metadata(path) {
            Ok(facts) => facts,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(unreadable(&error)),
        };
        if !facts.is_file() {
            let detail = format!("{} is no file of its own", path.display());
            return Err(Failure::refused("credentials-exposed", detail)
                .hint("a link could lead to a file of somebody else: remove it, and log in again"));
        }
        if exposed(&facts) {
            let detail = format!("{} can be read by others", path.display());
            return Err(Failure::refused("credentials-exposed", detail).hint(format!(
                "chmod 600 {}, and take a new token if others may have read it",
                path.display()
            )));
        }
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
            .map_err(|error| unreadable(&error))?;
        Self::parse(&text).ok_or_else(|| {
            Failure::refused("credentials-malformed", format!("{} is no file of credentials", path.display()))
                .hint("remove it, and log in again")
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let json = Json::parse(text.trim().as_bytes()).ok()?;
        let mut servers = BTreeMap::new();
        for (url, login) in json.member("servers")?.as_object()? {
            let token = login.member("token")?.as_str()?.to_owned();
            let project = login.member("project").and_then(Json::as_str).map(str::to_owned);
            servers.insert(url.clone().into_owned(), Login { token, project });
        }
        let current = json.member("current").and_then(Json::as_str).map(str::to_owned);
        Some(Self { current, servers })
    }

    fn to_json(&self) -> Json<'static> {
        let servers = self.servers.iter().map(|(url, login)| {
            let mut members = vec![("token", Json::from(login.token.clone()))];
            members.extend(login.project.clone().map(|project| ("project", Json::from(project))));
            (url.clone(), Json::object(members))
        });
        let mut members = vec![("servers", Json::object(servers))];
        members.extend(self.current.clone().map(|current| ("current", Json::from(current))));
        Json::object(members)
    }

    /// Changes the file, one process after the other; the new one is whole or not there.
    pub(crate) fn change<T>(
        surroundings: &Surroundings,
        change: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, Failure> {
        let path = path(surroundings)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let unwritable = |error: std::io::Error| {
            Failure::refused(
                "credentials-unwritable",
                format!("{} cannot be written: {error}", directory.display()),
            )
        };
        make_private_directory(directory).map_err(unwritable)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let turn = options.open(directory.join(LOCK)).map_err(unwritable)?;
        turn.lock().map_err(unwritable)?;
        let mut credentials = Self::of_file(&path)?;
        let value = change(&mut credentials);
        replace_private(&path, format!("{}\n", credentials.to_json()).as_bytes())?;
        Ok(value)
    }
}

#[cfg(unix)]
fn exposed(facts: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    facts.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn exposed(_facts: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let login = Login { token: "t".to_owned(), project: Some("acme".to_owned()) };
        let credentials = Credentials {
            current: Some("https://a".to_owned()),
            servers: BTreeMap::from([("https://a".to_owned(), login)]),
        };
        assert_eq!(Credentials::parse(&credentials.to_json().to_string()), Some(credentials));
        assert_eq!(Credentials::parse("{}"), None);
        assert_eq!(Credentials::parse("[]"), None);
    }

    #[test]
    fn a_server_has_one_name_however_it_is_written() {
        for url in
            ["https://a.example", "https://a.example/", "https://a.example/v1", "https://a.example/v1/"]
        {
            assert_eq!(server(url), "https://a.example");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let login = Login { token: "s3cret".to_owned(), project: None };
        assert!(!format!("{login:?}").contains("s3cret"));
    }
}
