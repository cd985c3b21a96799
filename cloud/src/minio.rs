//! MinIO: S3's API over a folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::CloudError;
use crate::cache::{Cache, run};
use crate::http::Request;
use crate::process::{Server, free_port};

/// The release that was tried: as a Go module, the way it is published.
const MODULE: &str = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c";
/// Where in the cache it lies.
const NAME: &str = "minio-20260212";
/// How long it may take until it answers requests, after it takes connections.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The id of the key that it knows, and the secret. It listens to this machine alone.
pub const CREDENTIALS: (&str, &str) = ("flagstone", "flagstone-on-loopback");

/// The program, built if it is not there: some minutes, once.
///
/// # Errors
///
/// If Go is missing, or the module cannot be fetched or built.
pub fn built(cache: &Cache) -> Result<PathBuf, CloudError> {
    let folder = cache.made_once(NAME, |folder| {
        let mut install = Command::new("go");
        run("go", "see https://go.dev/dl", install.args(["install", MODULE]).env("GOBIN", folder)).map(drop)
    })?;
    Ok(folder.join("minio"))
}

/// A running MinIO, and its folder.
#[derive(Debug)]
pub struct Minio {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    server: Option<Server>,
}

impl Minio {
    /// Starts it without buckets; what is put there goes with the value.
    ///
    /// # Errors
    ///
    /// Those of [`built`], and if it does not start.
    pub async fn start(cache: &Cache) -> Result<Self, CloudError> {
        let folder = TempDir::new().map_err(CloudError::io("create a folder for MinIO"))?;
        let mut minio = Self { program: built(cache)?, folder, port: free_port()?, server: None };
        minio.go_on().await?;
        Ok(minio)
    }

    /// Ends the server; what it keeps stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts the server again, on its port and over what it kept, if it is not running.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn go_on(&mut self) -> Result<(), CloudError> {
        if self.server.is_some() {
            return Ok(());
        }
        let server = Server::start("MinIO", self.command(), self.port).await?;
        let (ready, port) = (Request::get("/minio/health/ready"), self.port);
        let answers = async {
            while ready.ask(port).await.map(|answer| answer.status).ok() != Some(200) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        if tokio::time::timeout(PATIENCE, answers).await.is_err() {
            return Err(CloudError::Silent { name: "MinIO".to_owned(), port, said: server.said() });
        }
        self.server = Some(server);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["server", "--quiet", "--address", &format!("127.0.0.1:{}", self.port)]);
        command.arg(self.folder.path());
        let (id, secret) = CREDENTIALS;
        command.env("MINIO_ROOT_USER", id).env("MINIO_ROOT_PASSWORD", secret);
        // Nothing of it may look for anything outside, and the console would take another port.
        command.env("MINIO_UPDATE", "off").env("MINIO_CALLHOME_ENABLE", "off").env("MINIO_BROWSER", "off");
        command
    }

    /// `http://127.0.0.1:PORT`, also while it is stopped.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it listens, also while it is stopped.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder that it keeps everything in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
