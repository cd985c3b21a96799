//! dynoxide: DynamoDB's API over SQLite, by people who have nothing to do with Amazon's own emulator.
//!
//! It is a library too. It runs as a program of its own here because it comes with another release of SQLite than the
//! project's own adapter, and one program can have only one.

use std::path::PathBuf;
use std::process::Command;

use crate::CloudError;
use crate::cache::{Cache, run};
use crate::process::{Server, free_port};

/// The release that was tried.
const VERSION: &str = "3.2.0";

/// The program, built if it is not there.
///
/// # Errors
///
/// If it cannot be fetched or built.
pub fn built(cache: &Cache) -> Result<PathBuf, CloudError> {
    let folder = cache.made_once(&format!("dynoxide-{VERSION}"), |folder| {
        let mut install = Command::new("cargo");
        // A debug build: it compiles in a fraction of the time, and is fast enough for tests.
        install.args(["install", "--locked", "--debug", "--quiet", "--version", VERSION]);
        install.args(["--no-default-features", "--features", "native-sqlite,http-server,cli", "--root"]);
        run("cargo", "it comes with Rust", install.arg(folder).arg("dynoxide-rs")).map(drop)
    })?;
    Ok(folder.join("bin/dynoxide"))
}

/// Starts it with nothing in it; what is put there goes with it. Any credentials do.
///
/// # Errors
///
/// Those of [`built`], and if it does not start.
pub async fn start(cache: &Cache) -> Result<Server, CloudError> {
    let (program, port) = (built(cache)?, free_port()?);
    let mut command = Command::new(program);
    command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()]);
    Server::start("dynoxide", command, port).await
}
