//! Why the cloud is not there.

use std::path::PathBuf;

/// Why a part of the cloud could not be had on this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// A program that is needed is not installed.
    #[error("{program} is not installed: {install}")]
    Missing {
        /// The program.
        program: &'static str,
        /// How it is had.
        install: &'static str,
    },
    /// A program ended with an error.
    #[error("{program} ended with {status}: {said}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it wrote.
        said: String,
    },
    /// A server never answered on its port.
    #[error("{name} does not answer on port {port}: {said}")]
    Silent {
        /// The server.
        name: String,
        /// Where it should listen.
        port: u16,
        /// The end of what it wrote.
        said: String,
    },
    /// What was fetched is not what was tried.
    #[error("{} is not the file that was tried: {what}", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Something that was waited for did not happen.
    #[error("there was not {what}: {said}")]
    Unfinished {
        /// What was waited for.
        what: String,
        /// What happened instead.
        said: String,
    },
    /// A file or a socket could not be used.
    #[error("could not {action}")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl CloudError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "tool-missing",
            Self::Failed { .. } => "tool-failed",
            Self::Silent { .. } => "server-silent",
            Self::Altered { .. } => "download-altered",
            Self::Unfinished { .. } => "not-done",
            Self::Io { .. } => "cloud-io",
        }
    }

    /// For `map_err`: what was tried when the system said no.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
