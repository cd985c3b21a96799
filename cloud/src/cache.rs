//! The project's cache: what servers are made of, fetched or built once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::CloudError;

/// How much of what a failed program wrote is told, in bytes.
const MAX_SAID_BYTES: usize = 4_000;

/// A folder for what can be made again.
#[derive(Debug, Clone)]
pub struct Cache(PathBuf);

impl Cache {
    /// The project's `.cache`.
    pub fn of_project() -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self(package.parent().unwrap_or(package).join(".cache"))
    }

    /// The cache in this folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The folder `name` of the cache; where it is missing, `make` fills a new one, and it gets that name when it is
    /// whole. Of several processes one makes it and the others wait.
    ///
    /// # Errors
    ///
    /// Those of `make`, and whatever the file system says.
    pub fn made_once(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<(), CloudError>,
    ) -> Result<PathBuf, CloudError> {
        let place = self.0.join(name);
        if place.is_dir() {
            return Ok(place);
        }
        fs::create_dir_all(&self.0).map_err(CloudError::io("create the project's cache"))?;
        let lock = self.0.join(format!("{name}.lock"));
        let lock = File::create(&lock).map_err(CloudError::io(format!("create {}", lock.display())))?;
        lock.lock().map_err(CloudError::io(format!("wait for {name} in the project's cache")))?;
        // Made by another process meanwhile.
        if place.is_dir() {
            return Ok(place);
        }
        let new = self.0.join(format!("{name}.new"));
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(CloudError::io(format!("remove {}", new.display()))(error));
            }
            _ => {}
        }
        fs::create_dir_all(&new).map_err(CloudError::io(format!("create {}", new.display())))?;
        make(&new)?;
        fs::rename(&new, &place).map_err(CloudError::io(format!("name {}", place.display())))?;
        Ok(place)
    }
}

/// Runs a program to its end, for what it makes; what it wrote is told if it failed.
///
/// # Errors
///
/// [`CloudError::Missing`] with `install` if there is no such program, [`CloudError::Failed`] if it ended with an error.
pub fn run(
    program: &'static str,
    install: &'static str,
    command: &mut Command,
) -> Result<String, CloudError> {
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CloudError::Missing { program, install });
        }
        Err(error) => return Err(CloudError::io(format!("start {program}"))(error)),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let said = said + &String::from_utf8_lossy(&output.stderr);
    Err(CloudError::Failed { program: program.to_owned(), status: output.status, said: end_of(&said) })
}

/// The end of a text, as much of it as an error tells.
pub(crate) fn end_of(text: &str) -> String {
    let text = text.trim();
    let from = text.len().saturating_sub(MAX_SAID_BYTES);
    let from = (from..=text.len()).find(|from| text.is_char_boundary(*from)).unwrap_or_default();
    text.get(from..).unwrap_or_default().to_owned()
}
