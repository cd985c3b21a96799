//! What a root document says: the members of its payload (FORMAT T-2.1).

use std::collections::{BTreeMap, BTreeSet};

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId};

use crate::base64;
use crate::framing::Framed;
use crate::key::{KEY_BYTES, KeyId, PublicKey};
use crate::limits::MAX_ROOT_LIFETIME_MS;
use crate::payload::Members;
use crate::root::RootError;
use crate::signature::{self, SignatureError};

/// The format a root document of this version names.
pub const ROOT_FORMAT: &str = "flagstone/root/1";

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
    pub(crate) fn parse(json: &Json<'_>) -> Result<(Self, BTreeMap<KeyId, PublicKey>), RootError> {
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

    pub(crate) fn verify(
        &self,
        framed: &Framed<'_>,
        keys: &BTreeMap<KeyId, PublicKey>,
    ) -> Result<(), SignatureError> {
        let threshold = usize::try_from(self.threshold).unwrap_or(usize::MAX);
        signature::verify(framed, keys, &self.keyids, threshold)
    }
}
