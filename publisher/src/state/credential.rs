//! Tokens and SDK keys, as the log leaves them: what they are for, and the SHA-256 of their secret.

use flagstone_model::digest::Digest;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;

use crate::author::{SdkKey, Token};

/// What a secret stands for.
pub trait Authored: Sized {
    /// Reads the authored form.
    fn read(json: &Json<'_>) -> Option<Self>;
    /// The authored form, normal.
    fn write(&self) -> Json<'static>;
}

impl Authored for Token {
    fn read(json: &Json<'_>) -> Option<Self> {
        Self::parse(json).ok()
    }

    fn write(&self) -> Json<'static> {
        self.to_json()
    }
}

impl Authored for SdkKey {
    fn read(json: &Json<'_>) -> Option<Self> {
        Self::parse(json).ok()
    }

    fn write(&self) -> Json<'static> {
        self.to_json()
    }
}

/// A secret that somebody holds, known by its SHA-256.
///
/// The secret has 256 random bits, so a fast digest is enough: there is nothing to guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential<T> {
    /// What it stands for.
    pub authored: T,
    /// The SHA-256 of its whole text.
    pub sha256: Digest,
    /// When it was made.
    pub created: Instant,
}

impl<T: Authored> Credential<T> {
    /// As the log keeps it.
    pub fn to_json(&self) -> Json<'static> {
        Json::object([
            ("authored", self.authored.write()),
            ("created", Json::from(self.created.to_string())),
            ("sha256", Json::from(self.sha256.to_string())),
        ])
    }

    /// Reads what the log keeps.
    pub fn from_json(json: &Json<'_>) -> Option<Self> {
        Some(Self {
            authored: T::read(json.member("authored")?)?,
            sha256: Digest::parse(json.member("sha256")?.as_str()?)?,
            created: Instant::parse(json.member("created")?.as_str()?).ok()?,
        })
    }
}

/// The place of a token or an SDK key. Revoked ones stay: their ids are never used again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialState<T> {
    /// What it is; `None` once it is revoked.
    pub credential: Option<Credential<T>>,
    /// Its edit number.
    pub revision: u64,
    /// The last entry that changed it.
    pub seq: u64,
}

impl<T: Authored> CredentialState<T> {
    /// What an entry left of it; `None` if that can not be read. What was erased stands for nothing any more: it may
    /// have been the revocation.
    pub(super) fn folded(state: Option<&Json<'_>>, (revision, seq): (u64, u64)) -> Option<Self> {
        let credential = match state {
            None | Some(Json::Null) => None,
            Some(state) => Some(Credential::from_json(state)?),
        };
        Some(Self { credential, revision, seq })
    }

    /// As the log keeps it.
    pub(super) fn to_json(&self) -> Json<'static> {
        self.credential.as_ref().map_or(Json::Null, Credential::to_json)
    }
}
