//! What a change is about.

use std::fmt;
use std::sync::Arc;

use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, SegmentKey, ViewId};

use super::id::{SdkKeyId, TokenId};

/// Longest text of an entity, in bytes.
const MAX_ENTITY_BYTES: usize = 256;

/// What a change is about, written as a path: `flag/production/new-checkout`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Entity {
    /// The project itself: `project`.
    Project,
    /// An environment: `environment/ENV`.
    Environment(EnvironmentId),
    /// The definition of a flag, the same in every environment: `flag/KEY`.
    Flag(FlagKey),
    /// The targeting of a flag in one environment: `flag/ENV/KEY`.
    Targeting(EnvironmentId, FlagKey),
    /// A segment of one environment: `segment/ENV/KEY`.
    Segment(EnvironmentId, SegmentKey),
    /// A list of one environment: `list/ENV/KEY`.
    List(EnvironmentId, ListKey),
    /// A token of the admin API: `token/ID`.
    Token(TokenId),
    /// An SDK key of one environment: `sdk-key/ENV/ID`.
    SdkKey(EnvironmentId, SdkKeyId),
    /// What clients may know of attributes: `attributes`.
    Attributes,
    /// The definition of a view: `view/ID`.
    View(ViewId),
    /// The data of an earlier entry, which this change took away: `erase/SEQ`.
    Erasure(u64),
    /// What one stream announces, taken over although the log did not hold it: `restore/ENV/VIEW` (FORMAT T-4.7).
    Restoration(EnvironmentId, ViewId),
    /// Something that a later release knows: its text, kept.
    Unknown(Arc<str>),
}

/// A text that names no entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an entity")]
pub struct EntityError;

impl EntityError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        "invalid-entity"
    }
}

impl Entity {
    /// Reads the text of an entity. A kind this release does not know is kept; a known one must be well-formed.
    pub fn parse(text: &str) -> Result<Self, EntityError> {
        let parts: Vec<&str> = text.splitn(3, '/').collect();
        let environment = |id: &str| EnvironmentId::parse(id).map_err(|_| EntityError);
        let flag = |key: &str| FlagKey::parse(key).map_err(|_| EntityError);
        match *parts.as_slice() {
            ["project"] => Ok(Self::Project),
            ["environment", id] => Ok(Self::Environment(environment(id)?)),
            ["flag", key] => Ok(Self::Flag(flag(key)?)),
            ["flag", id, key] => Ok(Self::Targeting(environment(id)?, flag(key)?)),
            ["segment", id, key] => {
                Ok(Self::Segment(environment(id)?, SegmentKey::parse(key).map_err(|_| EntityError)?))
            }
            ["list", id, key] => {
                Ok(Self::List(environment(id)?, ListKey::parse(key).map_err(|_| EntityError)?))
            }
            ["token", id] => Ok(Self::Token(TokenId::parse(id).map_err(|_| EntityError)?)),
            ["sdk-key", id, key] => {
                Ok(Self::SdkKey(environment(id)?, SdkKeyId::parse(key).map_err(|_| EntityError)?))
            }
            ["attributes"] => Ok(Self::Attributes),
            ["view", id] => Ok(Self::View(ViewId::parse(id).map_err(|_| EntityError)?)),
            ["erase", seq] => {
                let number = seq.parse().map_err(|_| EntityError)?;
                if seq == format!("{number}") { Ok(Self::Erasure(number)) } else { Err(EntityError) }
            }
            ["restore", id, view] => {
                Ok(Self::Restoration(environment(id)?, ViewId::parse(view).map_err(|_| EntityError)?))
            }
            [
                "project" | "environment" | "flag" | "segment" | "list" | "token" | "sdk-key" | "attributes"
                | "view" | "erase" | "restore",
                ..,
            ] => Err(EntityError),
            _ if is_name(text) => Ok(Self::Unknown(text.into())),
            _ => Err(EntityError),
        }
    }
}

/// A kind of lower-case letters and dashes, then perhaps `/` and printable ASCII.
fn is_name(text: &str) -> bool {
    let kind = text.split('/').next().unwrap_or(text);
    !kind.is_empty()
        && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        && text.len() <= MAX_ENTITY_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.ends_with('/')
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project => f.write_str("project"),
            Self::Environment(environment) => write!(f, "environment/{environment}"),
            Self::Flag(flag) => write!(f, "flag/{flag}"),
            Self::Targeting(environment, flag) => write!(f, "flag/{environment}/{flag}"),
            Self::Segment(environment, segment) => write!(f, "segment/{environment}/{segment}"),
            Self::List(environment, list) => write!(f, "list/{environment}/{list}"),
            Self::Token(token) => write!(f, "token/{token}"),
            Self::SdkKey(environment, key) => write!(f, "sdk-key/{environment}/{key}"),
            Self::Attributes => f.write_str("attributes"),
            Self::View(view) => write!(f, "view/{view}"),
            Self::Erasure(seq) => write!(f, "erase/{seq}"),
            Self::Restoration(environment, view) => write!(f, "restore/{environment}/{view}"),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entity_reads_back_as_it_was_written() {
        for text in [
            "project",
            "environment/production",
            "flag/new-checkout",
            "flag/production/new-checkout",
            "segment/production/beta-testers",
            "list/production/vip-keys",
            "erase/17",
            "restore/production/server",
            "token/t_81",
            "sdk-key/production/k_7q",
            "view/client-eu",
            "attributes",
            "holdout",
        ] {
            assert_eq!(Entity::parse(text).unwrap().to_string(), text);
        }
        assert!(matches!(Entity::parse("flag/production/x").unwrap(), Entity::Targeting(..)));
        assert!(matches!(Entity::parse("holdout/production/x").unwrap(), Entity::Unknown(_)));
    }

    #[test]
    fn a_known_kind_must_be_well_formed_and_an_unknown_one_printable() {
        for text in [
            "",
            "flag",
            "flag/",
            "flag//x",
            "flag/a/b/c",
            "flag/Prod/x",
            "segment/x",
            "list/x",
            "list/production/a b",
            "environment/A",
            "erase/",
            "erase/01",
            "erase/-1",
            "project/x",
            "attributes/x",
            "view",
            "view/Client",
            "view/a/b",
            "restore/x",
            "restore/production/Server",
            "Token/x",
            "token/",
            "token/a b",
            "token/ä",
            "token/81",
            "token/t_81/x",
            "sdk-key/k_7q",
            "sdk-key/production/t_81",
            "token/\n",
        ] {
            assert_eq!(Entity::parse(text), Err(EntityError), "{text}");
        }
    }
}
