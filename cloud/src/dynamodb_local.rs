//! Amazon's DynamoDB Local: a Java program, from its public Maven repository.
//!
//! It is fetched by Maven, and every file is compared with the digest of the one that was tried. By itself it listens to
//! every address of the machine; a few lines of Java start it on the loopback address.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flagstone_model::digest::Digest;

use crate::CloudError;
use crate::cache::{Cache, run};
use crate::process::{Server, free_port};

/// Where in the cache it lies. It names what is in it, so that a later release is fetched anew.
const NAME: &str = "dynamodb-local-2.6.1";
/// What is fetched.
const POM: &str = include_str!("../dynamodb-local/pom.xml");
/// The digests of the files that were tried, as `sha256sum` writes them.
const SUMS: &str = include_str!("../dynamodb-local/SHA256SUMS");
/// What starts it.
const LAUNCHER: &str = include_str!("../dynamodb-local/Loopback.java");

/// The folder with everything it needs, fetched if it is not there.
///
/// # Errors
///
/// If Maven or a Java development kit is missing, nothing can be fetched, or something else was fetched than was tried.
pub fn fetched(cache: &Cache) -> Result<PathBuf, CloudError> {
    cache.made_once(NAME, |folder| {
        let pom = folder.join("pom.xml");
        fs::write(&pom, POM).map_err(CloudError::io("write pom.xml"))?;
        let mut fetch = Command::new("mvn");
        fetch.args(["--quiet", "--batch-mode", "--file"]).arg(&pom);
        fetch.args(["dependency:copy-dependencies", "-DoutputDirectory=jars"]);
        run("mvn", "apt-get install maven", &mut fetch)?;
        check(&folder.join("jars"))?;
        fs::write(folder.join("Loopback.java"), LAUNCHER).map_err(CloudError::io("write Loopback.java"))?;
        let mut compile = Command::new("javac");
        compile.arg("-cp").arg(folder.join("jars/*")).arg("-d").arg(folder).arg(folder.join("Loopback.java"));
        run("javac", "apt-get install default-jdk-headless", &mut compile).map(drop)
    })
}

/// Compares the files in a folder with those that were tried: nothing else, and nothing less.
fn check(folder: &Path) -> Result<(), CloudError> {
    let mut left: std::collections::BTreeMap<&str, &str> =
        SUMS.lines().filter_map(|line| line.split_once("  ").map(|(sum, name)| (name, sum))).collect();
    let reading = || CloudError::io(format!("read {}", folder.display()));
    for file in fs::read_dir(folder).map_err(reading())? {
        let path = file.map_err(reading())?.path();
        let sum = path.file_name().and_then(|name| left.remove(name.to_str()?));
        let bytes = fs::read(&path).map_err(reading())?;
        if sum.and_then(Digest::parse) != Some(Digest::of(&bytes)) {
            return Err(CloudError::Altered { path, what: "its digest is another, or it has none" });
        }
    }
    match left.into_keys().next() {
        Some(name) => Err(CloudError::Altered { path: folder.join(name), what: "it is missing" }),
        None => Ok(()),
    }
}

/// Starts it with nothing in it; what is put there goes with it. Any credentials do.
///
/// # Errors
///
/// Those of [`fetched`], and if it does not start.
pub async fn start(cache: &Cache) -> Result<Server, CloudError> {
    let (folder, port) = (fetched(cache)?, free_port()?);
    let jars = folder.join("jars");
    let mut command = Command::new("java");
    command.arg(format!("-Djava.library.path={}", jars.display()));
    command.arg("-cp").arg(format!("{}:{}/*", folder.display(), jars.display()));
    command.args(["Loopback", "-inMemory", "-sharedDb", "-disableTelemetry", "-port", &port.to_string()]);
    Server::start("DynamoDB Local", command, port).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_not_tried_is_refused_and_so_is_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let missing = check(folder.path()).unwrap_err();
        assert!(missing.to_string().ends_with("it is missing"), "{missing}");
        let name = SUMS.lines().next().and_then(|line| line.split("  ").nth(1)).unwrap();
        for name in [name, "other.jar"] {
            fs::write(folder.path().join(name), "altered").unwrap();
            let altered = check(folder.path()).unwrap_err();
            assert_eq!(altered.code(), "download-altered");
            assert!(altered.to_string().contains(name), "{altered}");
            fs::remove_file(folder.path().join(name)).unwrap();
        }
    }
}
