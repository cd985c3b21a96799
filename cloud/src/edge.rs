//! What the edges of [`crate::nginx`] and [`crate::varnish`] have in common: an origin, keys, templates.
//!
//! The configurations are those that are shipped, in the folder `cdn`: nothing of them is repeated here.

use std::path::{Path, PathBuf};

use flagstone_model::digest::Digest;

use crate::CloudError;

/// Where an edge has objects from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its port of 127.0.0.1.
    pub port: u16,
    /// What stands before the path of an object, such as `/bucket`; nothing, or without a slash at its end.
    pub prefix: String,
}

/// An SDK key as an edge knows it: by its SHA-256 only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeKey {
    sha256: Digest,
    scope: String,
}

impl EdgeKey {
    /// A key that opens an environment of a project.
    pub fn new(key: &str, project: &str, environment: &str) -> Self {
        Self { sha256: Digest::of(key.as_bytes()), scope: format!("{project}/{environment}") }
    }

    /// Its SHA-256.
    pub const fn sha256(&self) -> &Digest {
        &self.sha256
    }

    /// `PROJECT/ENVIRONMENT`.
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

/// A file of the folder `cdn`.
pub(crate) fn shipped(file: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).join("cdn").join(file)
}

/// A template of the folder `cdn` with its values: `${FLAGSTONE_NAME}` is the value of `NAME`.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> Result<String, CloudError> {
    let path = shipped(template);
    let text = std::fs::read_to_string(&path).map_err(CloudError::io(format!("read {}", path.display())))?;
    let filled = values
        .iter()
        .fold(text, |text, (name, value)| text.replace(&format!("${{FLAGSTONE_{name}}}"), value));
    Ok(filled)
}

/// Writes a file of an edge.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), CloudError> {
    std::fs::write(path, text).map_err(CloudError::io(format!("write {}", path.display())))
}

/// A path in a configuration.
pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
