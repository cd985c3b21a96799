//! What is wrong with a connection string.

use flagstone_model::key::KeyError;

use super::{MAX_ALSO, MAX_BYTES};

/// Why a text is no connection string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// It does not begin with `flagstone://` or `flagstone+http://`.
    #[error("a connection string begins with flagstone:// (or flagstone+http:// on loopback)")]
    Scheme,
    /// Longer than any that is ever written.
    #[error("a connection string has at most {MAX_BYTES} bytes")]
    TooLong,
    /// A character that may not stand there, such as a space or a `#`.
    #[error("a character at byte {offset} may not stand in a connection string")]
    Character {
        /// Its place, in bytes.
        offset: usize,
    },
    /// The host is missing or is no host name or address.
    #[error("no host name or address in the base URL {base:?}")]
    Host {
        /// The base URL as written.
        base: String,
    },
    /// A user name or password stands before the host.
    #[error("a connection string holds no user name, password, or key")]
    Credentials,
    /// The port is not a number from 1 to 65535.
    #[error("the port of {base:?} is not a number from 1 to 65535")]
    Port {
        /// The base URL as written.
        base: String,
    },
    /// The base path has an empty, `.`, or `..` segment, or a malformed escape.
    #[error("the path of {base:?} has an empty, `.`, or `..` segment or a malformed escape")]
    BasePath {
        /// The base URL as written.
        base: String,
    },
    /// `flagstone+http` with a host that is not this machine.
    #[error("flagstone+http:// is for loopback addresses only, not for {host:?}")]
    NotLoopback {
        /// The host.
        host: String,
    },
    /// A parameter that is needed is missing.
    #[error("the parameter `{name}` is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A parameter stands there twice.
    #[error("the parameter `{name}` stands there twice")]
    Repeated {
        /// Its name.
        name: &'static str,
    },
    /// A parameter this version does not know.
    #[error("unknown parameter `{name}`")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A project, environment, or view that is no id.
    #[error("the parameter `{name}` is no id")]
    Id {
        /// The parameter.
        name: &'static str,
        /// What is wrong with it.
        source: KeyError,
    },
    /// `root` is not `N:SHA256`.
    #[error("the parameter `root` is not a number, a colon, and 64 lower-case hexadecimal digits")]
    Root,
    /// `access` is neither `open` nor `closed`.
    #[error("the parameter `access` is neither `open` nor `closed`")]
    Access,
    /// A parameter is no `name=value` or has a malformed percent escape.
    #[error("a parameter is no `name=value` with well-formed escapes")]
    Escape,
    /// More further base URLs than anybody needs.
    #[error("at most {MAX_ALSO} further base URLs may be given")]
    TooManyBases,
}

impl ConnectionError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Scheme => "connection-scheme",
            Self::TooLong => "connection-too-long",
            Self::Character { .. } => "connection-character",
            Self::Host { .. } => "connection-host",
            Self::Credentials => "connection-credentials",
            Self::Port { .. } => "connection-port",
            Self::BasePath { .. } => "connection-path",
            Self::NotLoopback { .. } => "connection-not-loopback",
            Self::Missing { .. } => "connection-missing",
            Self::Repeated { .. } => "connection-repeated",
            Self::Unknown { .. } => "connection-unknown",
            Self::Id { .. } => "connection-id",
            Self::Root => "connection-root",
            Self::Access => "connection-access",
            Self::Escape => "connection-escape",
            Self::TooManyBases => "connection-too-many-bases",
        }
    }
}
