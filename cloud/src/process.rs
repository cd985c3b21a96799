//! A server as a child process on a loopback port of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::CloudError;
use crate::cache::end_of;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long between two looks whether it does.
const PAUSE: Duration = Duration::from_millis(20);

/// A running server. It ends when the value does.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    port: u16,
    /// What it writes goes into a file here.
    folder: TempDir,
}

/// A port of 127.0.0.1 that nobody uses.
///
/// # Errors
///
/// If the system has none.
pub fn free_port() -> Result<u16, CloudError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(CloudError::io("find a free port"))
}

impl Server {
    /// Starts a server that listens to `port` of 127.0.0.1, and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// If it cannot be started, ends by itself, or does not answer within a minute.
    pub async fn start(name: &str, mut command: Command, port: u16) -> Result<Self, CloudError> {
        let folder = TempDir::new().map_err(CloudError::io("create a folder for a server"))?;
        let output = File::create(folder.path().join("output")).map_err(CloudError::io("create a log"))?;
        let errors = output.try_clone().map_err(CloudError::io("share a log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(CloudError::io(format!("start {name}")))?;
        let mut server = Self { name: name.to_owned(), child, port, folder };
        match tokio::time::timeout(PATIENCE, server.until_it_answers()).await {
            Ok(answers) => answers?,
            Err(_) => return Err(CloudError::Silent { name: name.to_owned(), port, said: server.said() }),
        }
        Ok(server)
    }

    async fn until_it_answers(&mut self) -> Result<(), CloudError> {
        loop {
            if let Some(status) =
                self.child.try_wait().map_err(CloudError::io(format!("look at {}", self.name)))?
            {
                return Err(CloudError::Failed { program: self.name.clone(), status, said: self.said() });
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id: it is the caller's own child, until the value ends.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of what it wrote so far.
    pub fn said(&self) -> String {
        let said = fs::read(self.folder.path().join("output")).unwrap_or_default();
        end_of(&String::from_utf8_lossy(&said))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already, or it goes now: nothing of it is kept.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
