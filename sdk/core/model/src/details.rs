//! Reasons and error codes of an evaluation: OpenFeature's strings, exactly.

use core::fmt;

/// Why a value was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The flag is on and has neither rules nor needs.
    Static,
    /// A rule matched, and no bucket took part in it.
    TargetingMatch,
    /// A bucket decided.
    Split,
    /// On, but no rule decided.
    Default,
    /// Off, or one of its needs is not true.
    Disabled,
    /// Undecidable: something was not understood. The off variation is served.
    Unknown,
    /// The default value was returned; an [`ErrorCode`] says why.
    Error,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::Static,
        Self::TargetingMatch,
        Self::Split,
        Self::Default,
        Self::Disabled,
        Self::Unknown,
        Self::Error,
    ];

    /// The reason of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// OpenFeature's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Default => "DEFAULT",
            Self::Disabled => "DISABLED",
            Self::Unknown => "UNKNOWN",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why the default value was returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Nothing was ever loaded.
    ProviderNotReady,
    /// The snapshot has no such flag.
    FlagNotFound,
    /// The flag's line could not be read.
    ParseError,
    /// The flag's type cannot be read as the one asked for.
    TypeMismatch,
    /// The context is no object.
    InvalidContext,
    /// A split met no unit, and nothing else decided.
    TargetingKeyMissing,
}

impl ErrorCode {
    /// OpenFeature's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProviderNotReady => "PROVIDER_NOT_READY",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
            Self::ParseError => "PARSE_ERROR",
            Self::TypeMismatch => "TYPE_MISMATCH",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_by_the_names_of_openfeature() {
        for (name, reason) in [
            ("STATIC", Reason::Static),
            ("TARGETING_MATCH", Reason::TargetingMatch),
            ("SPLIT", Reason::Split),
            ("DEFAULT", Reason::Default),
            ("DISABLED", Reason::Disabled),
            ("UNKNOWN", Reason::Unknown),
            ("ERROR", Reason::Error),
        ] {
            assert_eq!(Reason::parse(name), Some(reason));
            assert_eq!(format!("{reason:>15}").trim_start(), name);
        }
        for name in ["", "static", "STALE", "CACHED", "SPLIT "] {
            assert_eq!(Reason::parse(name), None, "{name}");
        }
    }
}
