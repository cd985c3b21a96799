//! An entry: its header, its erasable data, and its place in the chain (FORMAT T-4.1).

use std::fmt;

use flagstone_model::digest::Digest;
use flagstone_model::json::{Duplicates, Json, JsonError, ParseOptions};
use flagstone_model::key::ProjectId;

use super::header::{Actor, EntityChange, Header, HeaderError, Request};

/// Most data of one entry, in bytes.
pub const MAX_DATA_BYTES: usize = 4 * 1024 * 1024;
/// Deepest nesting of an entry's data.
const MAX_DATA_DEPTH: usize = 64;

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Seq of the last entry.
    pub seq: u64,
    /// Its hash, which covers the whole log.
    pub hash: Digest,
    /// Its time, in Unix milliseconds.
    pub time_ms: i64,
}

/// Data and the salt that hides it from its own commitments. Erased together.
#[derive(Clone, PartialEq, Eq)]
pub struct SaltedData {
    /// Random.
    pub salt: [u8; 16],
    /// The data as stored: canonical JSON, see [`EntryData`].
    pub bytes: Vec<u8>,
}

impl SaltedData {
    /// What the header says of the data: `SHA-256("flagstone/data/1\n" ‖ salt ‖ data bytes)`.
    pub fn commitment(&self) -> Digest {
        Digest::of_parts([b"flagstone/data/1\n".as_slice(), &self.salt, &self.bytes])
    }

    /// What the header says of the request: `SHA-256("flagstone/request/1\n" ‖ salt ‖ request bytes)`.
    pub fn request_commitment(&self, request: &[u8]) -> Digest {
        request_commitment(&self.salt, request)
    }
}

impl fmt::Debug for SaltedData {
    /// Says how much there is, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaltedData({} bytes)", self.bytes.len())
    }
}

fn request_commitment(salt: &[u8; 16], request: &[u8]) -> Digest {
    Digest::of_parts([b"flagstone/request/1\n".as_slice(), salt, request])
}

/// The hash of an entry: `SHA-256("flagstone/log/1\n" ‖ hash of the entry before ‖ header bytes)`.
///
/// Before the first entry stand 32 zero bytes.
pub fn chain_hash(before: Option<&Digest>, header: &[u8]) -> Digest {
    let zero = Digest::from_bytes([0; 32]);
    Digest::of_parts([b"flagstone/log/1\n".as_slice(), before.unwrap_or(&zero).as_bytes(), header])
}

/// What may be personal, and may be erased: who, in words, and why; and the states that the changes led to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EntryData {
    /// The reason given.
    pub reason: Option<String>,
    /// The actor's name.
    pub actor_name: Option<String>,
    /// The actor's e-mail address.
    pub actor_email: Option<String>,
    /// The new state of each changed entity, in the order of the header's changes; `Null`: it is gone.
    pub states: Vec<Json<'static>>,
}

/// Why bytes are no data of an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The bytes are no JSON.
    #[error("the data is not readable")]
    Json(#[from] JsonError),
    /// A member is missing or not of its shape.
    #[error("the member `{member}` of the data is missing or not of its shape")]
    Member {
        /// Which.
        member: &'static str,
    },
}

impl DataError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        "invalid-data"
    }
}

impl EntryData {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = |text: &String| Json::String(text.clone().into());
        let mut actor = Vec::new();
        actor.extend(self.actor_email.as_ref().map(|email| ("email", text(email))));
        actor.extend(self.actor_name.as_ref().map(|name| ("name", text(name))));
        let mut members = Vec::new();
        if !actor.is_empty() {
            members.push(("actor", Json::object(actor)));
        }
        members.extend(self.reason.as_ref().map(|reason| ("reason", text(reason))));
        members.push(("states", Json::Array(self.states.clone())));
        Json::object(members).to_canonical().into_bytes()
    }

    /// Reads what [`Self::to_bytes`] wrote. Members it does not know are left aside.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let options = ParseOptions { max_depth: MAX_DATA_DEPTH, duplicates: Duplicates::Refuse };
        let json = Json::parse_with(bytes, options)?.into_owned();
        let text = |of: Option<&Json<'static>>, member| match of {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone().into_owned())),
            Some(_) => Err(DataError::Member { member }),
        };
        let actor = json.member("actor");
        let states = json.member("states").and_then(Json::as_array);
        Ok(Self {
            reason: text(json.member("reason"), "reason")?,
            actor_name: text(actor.and_then(|actor| actor.member("name")), "actor.name")?,
            actor_email: text(actor.and_then(|actor| actor.member("email")), "actor.email")?,
            states: states.ok_or(DataError::Member { member: "states" })?.to_vec(),
        })
    }
}

/// What is to be recorded, before it has a place in the log.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The project.
    pub project: ProjectId,
    /// Now; an earlier time than the last entry's is raised to that.
    pub time_ms: i64,
    /// Who.
    pub actor: Actor,
    /// The id of the request.
    pub request_id: String,
    /// The bytes of the request, of which only a commitment is kept.
    pub request: Vec<u8>,
    /// What changes.
    pub changes: Vec<EntityChange>,
    /// The data, one state per change.
    pub data: EntryData,
}

/// Why a draft can not become an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The header would be invalid.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// States and changes differ in number.
    #[error("{states} states for {changes} changes")]
    States {
        /// Number of states.
        states: usize,
        /// Number of changes.
        changes: usize,
    },
    /// More data than an entry holds.
    #[error("the data has {size} bytes, more than {MAX_DATA_BYTES}")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The system gave no randomness.
    #[error("no randomness for the salt")]
    Random,
}

impl SealError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Header(error) => error.code(),
            Self::States { .. } => "invalid-data",
            Self::TooLarge { .. } => "too-large",
            Self::Random => "no-randomness",
        }
    }
}

/// One audited request, as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The header, read.
    pub header: Header,
    /// The header, as stored and hashed.
    pub header_bytes: Vec<u8>,
    /// The data, unless it was erased.
    pub data: Option<SaltedData>,
    /// The hash of the log up to and with this entry.
    pub hash: Digest,
}

impl Entry {
    /// Makes the entry that follows `head`, with fresh salt (and nonce, if it is the first).
    pub fn seal(draft: Draft, head: Option<&Head>) -> Result<Self, SealError> {
        let (mut salt, mut nonce) = ([0; 16], [0; 16]);
        getrandom::fill(&mut salt)
            .and_then(|()| getrandom::fill(&mut nonce))
            .map_err(|_| SealError::Random)?;
        Self::seal_with(draft, head, salt, nonce)
    }

    /// [`Self::seal`] with chosen randomness: for tests and vectors.
    pub fn seal_with(
        draft: Draft,
        head: Option<&Head>,
        salt: [u8; 16],
        nonce: [u8; 16],
    ) -> Result<Self, SealError> {
        let (states, changes) = (draft.data.states.len(), draft.changes.len());
        if states != changes {
            return Err(SealError::States { states, changes });
        }
        let data = SaltedData { salt, bytes: draft.data.to_bytes() };
        if data.bytes.len() > MAX_DATA_BYTES {
            return Err(SealError::TooLarge { size: data.bytes.len() });
        }
        let header = Header {
            seq: head.map_or(1, |head| head.seq.saturating_add(1)),
            time_ms: head.map_or(draft.time_ms, |head| draft.time_ms.max(head.time_ms)),
            project: draft.project,
            nonce: head.is_none().then_some(nonce),
            actor: draft.actor,
            request: Request { id: draft.request_id, sha256: data.request_commitment(&draft.request) },
            changes: draft.changes,
            data: data.commitment(),
        };
        header.check()?;
        let header_bytes = header.to_bytes();
        if header_bytes.len() > super::header::MAX_HEADER_BYTES {
            return Err(HeaderError::TooLarge { size: header_bytes.len() }.into());
        }
        let hash = chain_hash(head.map(|head| &head.hash), &header_bytes);
        Ok(Self { header, header_bytes, data: Some(data), hash })
    }

    /// Seq of this entry.
    pub const fn seq(&self) -> u64 {
        self.header.seq
    }

    /// The head of the log that ends here.
    pub const fn head(&self) -> Head {
        Head { seq: self.header.seq, hash: self.hash, time_ms: self.header.time_ms }
    }

    /// Whether this entry records exactly `request`; `None` if its salt was erased, so that nobody can tell.
    pub fn records(&self, request: &[u8]) -> Option<bool> {
        self.data.as_ref().map(|data| data.request_commitment(request) == self.header.request.sha256)
    }

    /// The data, read; `None` if it was erased.
    pub fn read_data(&self) -> Result<Option<EntryData>, DataError> {
        self.data.as_ref().map(|data| EntryData::parse(&data.bytes)).transpose()
    }

    /// Checks a stored row and reads it: everything but its link to the row before.
    pub fn read(project: &ProjectId, seq: u64, row: StoredEntry) -> Result<Self, Damage> {
        let header = Header::parse(&row.header).map_err(Damage::Header)?;
        if header.seq != seq {
            return Err(Damage::Seq { found: header.seq });
        }
        if header.project != *project {
            return Err(Damage::Project);
        }
        let hash = row.hash.as_slice().try_into().map(Digest::from_bytes).map_err(|_| Damage::HashLength)?;
        let data = match (row.salt, row.data) {
            (None, None) => None,
            (Some(salt), Some(bytes)) => {
                let salt = salt.as_slice().try_into().map_err(|_| Damage::SaltLength)?;
                Some(SaltedData { salt, bytes })
            }
            _ => return Err(Damage::HalfErased),
        };
        if data.as_ref().is_some_and(|data| data.commitment() != header.data) {
            return Err(Damage::Data);
        }
        Ok(Self { header, header_bytes: row.header, data, hash })
    }
}

/// An entry as an adapter keeps it: bytes that nobody has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The hash; 32 bytes.
    pub hash: Vec<u8>,
    /// The header.
    pub header: Vec<u8>,
    /// The salt; 16 bytes, or erased.
    pub salt: Option<Vec<u8>>,
    /// The data, or erased.
    pub data: Option<Vec<u8>>,
}

impl From<&Entry> for StoredEntry {
    fn from(entry: &Entry) -> Self {
        Self {
            hash: entry.hash.as_bytes().to_vec(),
            header: entry.header_bytes.clone(),
            salt: entry.data.as_ref().map(|data| data.salt.to_vec()),
            data: entry.data.as_ref().map(|data| data.bytes.clone()),
        }
    }
}

/// What is wrong with a stored entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The header can not be read.
    #[error("its header is damaged: {0}")]
    Header(HeaderError),
    /// The header names another seq.
    #[error("its header says seq {found}")]
    Seq {
        /// The seq it names.
        found: u64,
    },
    /// The header names another project.
    #[error("its header names another project")]
    Project,
    /// The stored hash has not 32 bytes.
    #[error("its hash has not 32 bytes")]
    HashLength,
    /// The stored salt has not 16 bytes.
    #[error("its salt has not 16 bytes")]
    SaltLength,
    /// Of salt and data one is there and the other is not.
    #[error("of its salt and its data one is missing")]
    HalfErased,
    /// The data is not what the header commits to.
    #[error("its data is not what its header commits to")]
    Data,
    /// The hash does not follow from the entry before and the header.
    #[error("its hash does not follow from the entry before it and its header")]
    Link,
    /// The entry is missing while later ones are there.
    #[error("it is missing")]
    Missing,
    /// Its time lies before that of the entry before it.
    #[error("its time lies before that of the entry before it")]
    Time,
    /// Its data is gone and no entry says that it was erased.
    #[error("its data is gone, and no entry says that it was erased")]
    Unexplained,
    /// Somebody else has seen another hash at this seq.
    #[error("its hash is not the one that a manifest was signed with")]
    Anchor,
}

impl Damage {
    /// The stable code of this damage.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Header(_) => "header-damaged",
            Self::Seq { .. } => "seq-wrong",
            Self::Project => "project-wrong",
            Self::HashLength => "hash-damaged",
            Self::SaltLength => "salt-damaged",
            Self::HalfErased => "half-erased",
            Self::Data => "data-damaged",
            Self::Link => "chain-broken",
            Self::Missing => "entry-missing",
            Self::Time => "time-backwards",
            Self::Unexplained => "data-missing",
            Self::Anchor => "anchor-mismatch",
        }
    }
}
