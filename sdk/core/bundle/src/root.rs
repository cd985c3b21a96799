//! Root documents: which keys may sign for which environment (FORMAT T-2).

use core::fmt;
use core::str::FromStr;
use std::collections::{BTreeMap, BTreeSet};

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId};

use crate::base64;
use crate::framing::{Framed, FramingError, PayloadType};
use crate::key::{KEY_BYTES, KeyError, KeyId, PublicKey};
use crate::limits::{MAX_INTEGER, MAX_ROOT_LIFETIME_MS};
use crate::payload::{self, Members, PayloadError};
use crate::signature::{self, SignatureError};

/// The format a root document of this version names.
pub const ROOT_FORMAT: &str = "flagstone/root/1";

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

/// A key a root document lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootKey {
    /// The 32 bytes of the public key.
    pub public: [u8; KEY_BYTES],
    /// What people call it.
    pub note: Option<String>,
}

/// How many of which keys must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// How many distinct keys must sign, 1 to the number of keys.
    pub threshold: u64,
    /// The keys, each once.
    pub keyids: Vec<KeyId>,
}

/// Who may sign manifests of an environment, and in which trust generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// Trust generation, ≥ 1: raised to end whatever older keys signed.
    pub epoch: u64,
    /// The keys. None at all means revoked; the threshold is not read then.
    pub role: Role,
}

/// Which environments a delegation is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `*`: every environment that is not named.
    Others,
    /// One environment, by name.
    Environment(EnvironmentId),
}

impl Scope {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" { Some(Self::Others) } else { EnvironmentId::parse(text).ok().map(Self::Environment) }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Others => "*",
            Self::Environment(id) => id.as_str(),
        }
    }
}

/// The members of a root's payload (FORMAT T-2.1). Plain data: what a ceremony fills in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootBody {
    /// The project it speaks for.
    pub project: ProjectId,
    /// Its number, ≥ 1.
    pub root: u64,
    /// When it was made, in epoch ms.
    pub issued_ms: i64,
    /// When it should have been renewed, in epoch ms; at most 400 days after `issued_ms`.
    pub expires_ms: i64,
    /// Every key any role names.
    pub keys: Vec<RootKey>,
    /// Who may sign the next root.
    pub root_role: Role,
    /// Who may sign manifests.
    pub environments: BTreeMap<Scope, Delegation>,
}

impl RootBody {
    /// The payload: canonical JSON, keys and keyids ascending by id.
    pub fn to_payload(&self) -> Vec<u8> {
        let mut keys: Vec<_> = self.keys.iter().map(|key| (KeyId::of(&key.public), key)).collect();
        keys.sort_by_key(|(id, _)| *id);
        let keys = keys.into_iter().map(|(id, key)| {
            let mut members = vec![
                ("keyid", Json::from(id.to_string())),
                ("alg", Json::from("ed25519")),
                ("public", Json::from(base64::encode(&key.public))),
            ];
            members.extend(key.note.as_deref().map(|note| ("note", Json::from(note))));
            Json::object(members)
        });
        let environments = self.environments.iter().map(|(scope, delegation)| {
            let epoch = ("epoch", Json::from(delegation.epoch));
            (scope.as_str(), Json::object([epoch].into_iter().chain(delegation.role.members())))
        });
        let json = Json::object([
            ("format", Json::from(ROOT_FORMAT)),
            ("project", Json::from(self.project.as_str())),
            ("root", Json::from(self.root)),
            ("issued_ms", Json::from(self.issued_ms)),
            ("expires_ms", Json::from(self.expires_ms)),
            ("keys", keys.collect()),
            ("root_role", Json::object(self.root_role.members())),
            ("environments", Json::object(environments)),
        ]);
        let mut payload = String::new();
        json.write(&mut payload);
        payload.into_bytes()
    }

    /// Reads the members and builds the usable keys with their computed ids.
    fn parse(json: &Json<'_>) -> Result<(Self, BTreeMap<KeyId, PublicKey>), RootError> {
        let members = Members::of(json)?;
        let format = members.text("format")?;
        if format != ROOT_FORMAT {
            return Err(RootError::Unsupported { format: format.chars().take(64).collect() });
        }
        let mut keys = BTreeMap::new();
        let mut listed = Vec::new();
        for entry in members.objects("keys")? {
            let (id, key) = read_key(&entry)?;
            listed.push(RootKey {
                public: *key.as_bytes(),
                note: entry.optional("note").map(|_| entry.text("note").map(str::to_owned)).transpose()?,
            });
            if keys.insert(id, key).is_some() {
                return Err(RootError::DuplicateKey { keyid: id });
            }
        }
        let mut environments = BTreeMap::new();
        for (name, value) in members.object("environments")?.entries() {
            let scope = Scope::parse(name)
                .ok_or_else(|| members.wrong("environments", "an object of environment ids or `*`"))?;
            let entry = Members::at(value, format!("environments.{name}"))?;
            let delegation =
                Delegation { epoch: entry.positive("epoch")?, role: Role::parse(&entry, &keys, true)? };
            environments.insert(scope, delegation);
        }
        let body = Self {
            project: members.parsed("project", "a project id", |id| ProjectId::parse(id).ok())?,
            root: members.positive("root")?,
            issued_ms: members.time("issued_ms")?,
            expires_ms: members.time("expires_ms")?,
            keys: listed,
            root_role: Role::parse(&members.object("root_role")?, &keys, false)?,
            environments,
        };
        if body.expires_ms.saturating_sub(body.issued_ms) > MAX_ROOT_LIFETIME_MS {
            return Err(members.wrong("expires_ms", "at most 400 days after `issued_ms`").into());
        }
        Ok((body, keys))
    }
}

/// One entry of `keys`; its id is recomputed, never believed.
fn read_key(entry: &Members<'_>) -> Result<(KeyId, PublicKey), RootError> {
    let alg = entry.text("alg")?;
    if alg != "ed25519" {
        return Err(RootError::Unsupported { format: alg.chars().take(64).collect() });
    }
    let keyid = entry.parsed("keyid", "16 lower-case hex digits", KeyId::parse)?;
    let key = PublicKey::from_bytes(&entry.bytes("public")?)
        .map_err(|source| RootError::WeakKey { keyid, source })?;
    if key.id() != keyid {
        return Err(RootError::WrongKeyId { named: keyid, computed: key.id() });
    }
    Ok((keyid, key))
}

impl Role {
    fn members(&self) -> [(&'static str, Json<'static>); 2] {
        let mut keyids = self.keyids.clone();
        keyids.sort_unstable();
        [
            ("threshold", Json::from(self.threshold)),
            ("keyids", keyids.iter().map(|id| Json::from(id.to_string())).collect()),
        ]
    }

    fn parse(
        members: &Members<'_>,
        keys: &BTreeMap<KeyId, PublicKey>,
        may_be_revoked: bool,
    ) -> Result<Self, RootError> {
        let not_ids = || members.wrong("keyids", "an array of distinct ids of listed keys");
        let mut keyids = Vec::new();
        let mut distinct = BTreeSet::new();
        for json in members.array("keyids")? {
            let id = json.as_str().and_then(KeyId::parse).ok_or_else(not_ids)?;
            if !keys.contains_key(&id) || !distinct.insert(id) {
                return Err(not_ids().into());
            }
            keyids.push(id);
        }
        if keyids.is_empty() && may_be_revoked {
            return Ok(Self { threshold: 1, keyids });
        }
        let threshold = members.positive("threshold")?;
        if usize::try_from(threshold).map_or(true, |threshold| threshold > keyids.len()) {
            return Err(members.wrong("threshold", "between 1 and the number of keys").into());
        }
        Ok(Self { threshold, keyids })
    }

    fn verify(&self, framed: &Framed<'_>, keys: &BTreeMap<KeyId, PublicKey>) -> Result<(), SignatureError> {
        let threshold = usize::try_from(self.threshold).unwrap_or(usize::MAX);
        signature::verify(framed, keys, &self.keyids, threshold)
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
