//! Root documents: which keys may sign for which environment (FORMAT T-2).

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId};

use crate::framing::{Framed, FramingError, PayloadType};
use crate::key::{KeyError, KeyId, PublicKey};
use crate::limits::MAX_INTEGER;
use crate::payload::{self, PayloadError};
use crate::signature::SignatureError;

pub use crate::root_body::{Delegation, ROOT_FORMAT, Role, RootBody, RootKey, Scope};

/// The root an SDK is configured with: its number and the SHA-256 of its payload, written `N:HEX` (FORMAT T-2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin {
    /// Number of the pinned root, ≥ 1.
    pub root: u64,
    /// SHA-256 of its payload.
    pub sha256: Digest,
}

impl Pin {
    /// Reads `N:HEX`: a number without sign or leading zeros, and 64 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (root, sha256) = text.split_once(':')?;
        Some(Self { root: root_number(root)?, sha256: Digest::parse(sha256)? })
    }
}

/// A root's number: decimal, at least 1, no sign, no leading zero.
pub(crate) fn root_number(text: &str) -> Option<u64> {
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| plain && *number <= MAX_INTEGER)
}

/// A text that is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a root pin is a number, a colon, and 64 lower-case hex digits")]
pub struct PinError;

impl PinError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        "malformed"
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        Self::parse(text).ok_or(PinError)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.root, self.sha256)
    }
}

/// Why a root document is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// No root file at all.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// Not the payload the pin names.
    #[error("the payload of the root is not the pinned one")]
    NotPinned,
    /// The pinned payload says it is another root.
    #[error("root {offered} where root {expected} should be")]
    Number {
        /// The number wanted.
        expected: u64,
        /// The number it has.
        offered: u64,
    },
    /// Not what the format says.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Of a later format, or with a kind of key this cannot use.
    #[error("{format:?} is not supported")]
    Unsupported {
        /// The format or algorithm it names, cut at 64 characters.
        format: String,
    },
    /// A public key nobody should trust.
    #[error("key {keyid}: {source}")]
    WeakKey {
        /// Its id.
        keyid: KeyId,
        /// What is wrong with it.
        source: KeyError,
    },
    /// An id that is not its key's.
    #[error("key {computed} is listed as {named}")]
    WrongKeyId {
        /// The id as written.
        named: KeyId,
        /// The id computed from the key.
        computed: KeyId,
    },
    /// Two entries of one id.
    #[error("key {keyid} is listed twice")]
    DuplicateKey {
        /// The id.
        keyid: KeyId,
    },
    /// Signed by fewer root keys than it asks for itself.
    #[error(transparent)]
    Signatures(#[from] SignatureError),
    /// Walking from one root to the next is not built yet.
    #[error("walking to a newer root is not supported yet")]
    WalkUnsupported,
}

impl RootError {
    /// The stable code of this error (FORMAT T-5.6).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Framing(error) => error.code(),
            Self::Payload(error) => error.code(),
            Self::Signatures(error) => error.code(),
            Self::WeakKey { source, .. } => source.code(),
            Self::NotPinned | Self::Number { .. } => "untrusted",
            Self::Unsupported { .. } | Self::WalkUnsupported => "unsupported",
            Self::WrongKeyId { .. } | Self::DuplicateKey { .. } => "malformed",
        }
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::Framing(error) => error.detail(),
            Self::Payload(error) => error.detail(),
            Self::Signatures(error) => error.detail(),
            Self::WeakKey { source, .. } => source.detail(),
            Self::NotPinned => "not-pinned",
            Self::Number { .. } => "root-number",
            Self::Unsupported { .. } => "format",
            Self::WalkUnsupported => "walk",
            Self::WrongKeyId { .. } => "wrong-keyid",
            Self::DuplicateKey { .. } => "duplicate-key",
        }
    }
}

/// A file that is framed like a root. There is nothing to read in it until it is verified.
#[derive(Debug, Clone)]
pub struct UnverifiedRoot<'a>(Framed<'a>);

impl<'a> UnverifiedRoot<'a> {
    /// Cuts a file into payload and signatures. The payload is not looked into.
    pub fn parse(file: &'a [u8]) -> Result<Self, FramingError> {
        Framed::parse(PayloadType::Root, file).map(Self)
    }

    /// Takes the pinned root: exactly the pinned payload, which also meets its own threshold (FORMAT T-2.4).
    pub fn verify_pinned(self, pin: &Pin) -> Result<Root, RootError> {
        let framed = self.0;
        if Digest::of(framed.payload) != pin.sha256 {
            return Err(RootError::NotPinned);
        }
        let root = Root::read(&framed)?;
        if root.number() != pin.root {
            return Err(RootError::Number { expected: pin.root, offered: root.number() });
        }
        root.body.root_role.verify(&framed, &root.keys)?;
        Ok(root)
    }

    /// Takes root n + 1 after root n (FORMAT T-2.2). **Not built yet**: always refused.
    ///
    /// This is where walking belongs: the same project, the number exactly one more, the thresholds of both roots, no
    /// epoch lower, no named environment and no `*` dropped.
    pub fn verify_successor(self, _trusted: &Root) -> Result<Root, RootError> {
        Err(RootError::WalkUnsupported)
    }
}

/// A root document that is trusted: the pinned one.
#[derive(Debug, Clone)]
pub struct Root {
    body: RootBody,
    keys: BTreeMap<KeyId, PublicKey>,
    payload_sha256: Digest,
    file: Box<[u8]>,
}

impl Root {
    fn read(framed: &Framed<'_>) -> Result<Self, RootError> {
        let (body, keys) = RootBody::parse(&payload::parse(framed.payload)?)?;
        Ok(Self { body, keys, payload_sha256: Digest::of(framed.payload), file: framed.signed.into() })
    }

    /// All members at once.
    pub const fn body(&self) -> &RootBody {
        &self.body
    }

    /// Its number.
    pub const fn number(&self) -> u64 {
        self.body.root
    }

    /// The project it speaks for.
    pub const fn project(&self) -> &ProjectId {
        &self.body.project
    }

    /// When it should have been renewed, in epoch ms: a status, never a reason to drop flags (FORMAT T-2.6).
    pub const fn expires_ms(&self) -> i64 {
        self.body.expires_ms
    }

    /// SHA-256 of the payload.
    pub const fn payload_sha256(&self) -> Digest {
        self.payload_sha256
    }

    /// The pin that names this root.
    pub const fn pin(&self) -> Pin {
        Pin { root: self.body.root, sha256: self.payload_sha256 }
    }

    /// What is proved of the file, for the cache: payload and signatures.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// Who may sign for an environment: by its name if it is named, else by `*`.
    pub fn delegation(&self, environment: &EnvironmentId) -> Option<&Delegation> {
        let named = self.body.environments.get(&Scope::Environment(environment.clone()));
        named.or_else(|| self.body.environments.get(&Scope::Others))
    }

    /// The keys of one role sign for the environment this file is wanted for, whatever it says about itself.
    pub(crate) fn verify_environment(
        &self,
        framed: &Framed<'_>,
        environment: &EnvironmentId,
    ) -> Result<&Delegation, SignatureError> {
        let delegation = self.delegation(environment).ok_or(SignatureError::NotDelegated)?;
        if delegation.role.keyids.is_empty() {
            return Err(SignatureError::Revoked);
        }
        delegation.role.verify(framed, &self.keys)?;
        Ok(delegation)
    }

    /// What it is, as plain data to print: every member and the pin.
    pub fn describe(&self) -> Json<'static> {
        let payload = self.body.to_payload();
        let mut members = match Json::parse(&payload).map(Json::into_owned) {
            Ok(Json::Object(members)) => members,
            _ => Vec::new(),
        };
        members.push(("pin".into(), Json::from(self.pin().to_string())));
        Json::Object(members)
    }
}
