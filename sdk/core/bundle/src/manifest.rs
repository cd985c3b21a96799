//! The manifest: the small signed pointer that clients poll (FORMAT T-1).

use core::fmt;

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

use crate::container::StoredObject;
use crate::framing::{Framed, FramingError, PayloadType};
use crate::limits::{MAX_DELTAS, MAX_INTEGER, MAX_MANIFEST_LIFETIME_MS};
use crate::payload::{self, Members, PayloadError};
use crate::root::Root;
use crate::signature::SignatureError;

pub use crate::order::{Outcome, Position, order};

/// The format a manifest of this version names.
pub const MANIFEST_FORMAT: &str = "flagstone/manifest/1";

/// What an SDK follows: one view of one environment of one project.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream {
    /// The project.
    pub project: ProjectId,
    /// The environment.
    pub environment: EnvironmentId,
    /// The view.
    pub view: ViewId,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.project, self.environment, self.view)
    }
}

/// A delta a manifest lists: the lines touched since an older version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The oldest version it may be applied to.
    pub since: u64,
    /// Its bytes.
    pub object: StoredObject,
}

/// The head of the change log that is folded into an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogHead {
    /// Sequence number of the newest entry.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

/// The members of a manifest's payload, in the order they are written (FORMAT T-1.5).
///
/// Plain data: what a publisher fills in. A client only ever reads one through a verified [`Manifest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestBody {
    /// Whose it is.
    pub stream: Stream,
    /// The root document that was current when it was signed, ≥ 1.
    pub root: u64,
    /// Trust generation of the environment, ≥ 1.
    pub epoch: u64,
    /// Content number, ≥ 1: one more for each change of content.
    pub version: u64,
    /// Announcement number, ≥ 1: one more for each signing claim.
    pub serial: u64,
    /// When it was signed, in epoch ms.
    pub issued_ms: i64,
    /// When it stops being current, in epoch ms; at most 30 days after `issued_ms`.
    pub expires_ms: i64,
    /// The publisher promises a newer serial at least this often.
    pub heartbeat_ms: u64,
    /// How often clients should poll, if the publisher says.
    pub poll_ms: Option<u64>,
    /// Number of the code that made the lines.
    pub builder: u64,
    /// The content hash.
    pub content: Digest,
    /// How many lines the content has.
    pub lines: u64,
    /// The whole content.
    pub snapshot: StoredObject,
    /// At most two deltas, newest `since` first; the first may stand inline.
    pub deltas: Vec<Delta>,
    /// The log's head; left out of public views.
    pub log: Option<LogHead>,
}

impl ManifestBody {
    /// The payload: canonical JSON with its members in the order of FORMAT T-1.5.
    ///
    /// [`assemble`](crate::framing::assemble) refuses it where it is too long.
    pub fn to_payload(&self) -> Vec<u8> {
        let text = |digest: Digest| Json::from(digest.to_string());
        let stream = &self.stream;
        let mut members = vec![
            ("format", Json::from(MANIFEST_FORMAT)),
            ("project", Json::from(stream.project.as_str())),
            ("environment", Json::from(stream.environment.as_str())),
            ("view", Json::from(stream.view.as_str())),
            ("root", Json::from(self.root)),
            ("epoch", Json::from(self.epoch)),
            ("version", Json::from(self.version)),
            ("serial", Json::from(self.serial)),
            ("issued_ms", Json::from(self.issued_ms)),
            ("expires_ms", Json::from(self.expires_ms)),
            ("heartbeat_ms", Json::from(self.heartbeat_ms)),
        ];
        members.extend(self.poll_ms.map(|poll| ("poll_ms", Json::from(poll))));
        members.extend([
            ("builder", Json::from(self.builder)),
            ("content", text(self.content)),
            ("lines", Json::from(self.lines)),
            ("snapshot", Json::object(self.snapshot.members())),
            (
                "deltas",
                self.deltas
                    .iter()
                    .map(|delta| {
                        let since = ("since", Json::from(delta.since));
                        Json::object([since].into_iter().chain(delta.object.members()))
                    })
                    .collect(),
            ),
        ]);
        members.extend(
            self.log
                .map(|log| ("log", Json::object([("seq", Json::from(log.seq)), ("hash", text(log.hash))]))),
        );
        let mut payload = String::new();
        Json::object(members).write(&mut payload);
        payload.into_bytes()
    }

    fn parse(json: &Json<'_>) -> Result<Self, ManifestError> {
        let members = Members::of(json)?;
        let format = members.text("format")?;
        if format != MANIFEST_FORMAT {
            return Err(ManifestError::Unsupported { format: format.chars().take(64).collect() });
        }
        let body = Self {
            stream: Stream {
                project: members.parsed("project", "a project id", |id| ProjectId::parse(id).ok())?,
                environment: members
                    .parsed("environment", "an environment id", |id| EnvironmentId::parse(id).ok())?,
                view: members.parsed("view", "a view id", |id| ViewId::parse(id).ok())?,
            },
            root: members.positive("root")?,
            epoch: members.positive("epoch")?,
            version: members.positive("version")?,
            serial: members.positive("serial")?,
            issued_ms: members.time("issued_ms")?,
            expires_ms: members.time("expires_ms")?,
            heartbeat_ms: members.integer("heartbeat_ms")?,
            poll_ms: members.optional("poll_ms").map(|_| members.integer("poll_ms")).transpose()?,
            builder: members.integer("builder")?,
            content: members.digest("content")?,
            lines: members.integer("lines")?,
            snapshot: StoredObject::parse(&members.object("snapshot")?)?,
            deltas: members
                .objects("deltas")?
                .iter()
                .map(|delta| {
                    Ok(Delta { since: delta.integer("since")?, object: StoredObject::parse(delta)? })
                })
                .collect::<Result<_, PayloadError>>()?,
            log: members
                .optional("log")
                .map(|_| {
                    let log = members.object("log")?;
                    Ok::<_, PayloadError>(LogHead { seq: log.integer("seq")?, hash: log.digest("hash")? })
                })
                .transpose()?,
        };
        if body.expires_ms.saturating_sub(body.issued_ms) > MAX_MANIFEST_LIFETIME_MS {
            return Err(members.wrong("expires_ms", "at most 30 days after `issued_ms`").into());
        }
        if body.deltas.len() > MAX_DELTAS {
            return Err(members.wrong("deltas", "an array of at most 2").into());
        }
        if !body.deltas.iter().rev().is_sorted_by(|newer, older| newer.since < older.since) {
            return Err(members.wrong("deltas", "in descending order of `since`").into());
        }
        Ok(body)
    }
}

/// Why a manifest is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// No manifest file at all.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// Not signed by enough of the keys the root names. A newer root may know them: walk once.
    #[error(transparent)]
    Signatures(#[from] SignatureError),
    /// Signed, but not what the format says.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Of a later format: keep serving, and upgrade.
    #[error("the format is {format:?}, this reads {MANIFEST_FORMAT:?}")]
    Unsupported {
        /// The format it names, cut at 64 characters.
        format: String,
    },
    /// Another project's, environment's, or view's manifest.
    #[error("a manifest of {offered}, not of {expected}")]
    WrongStream {
        /// Whose was wanted.
        expected: Box<Stream>,
        /// Whose it is.
        offered: Box<Stream>,
    },
    /// Signed under a newer root than the trusted one: walk once.
    #[error("signed under root {offered}, trusted is root {trusted}")]
    RootAhead {
        /// Number of the trusted root.
        trusted: u64,
        /// Number the manifest names.
        offered: u64,
    },
    /// Of a later trust generation than the trusted root's: walk once.
    #[error("of epoch {offered}, the trusted root has {trusted}")]
    EpochAhead {
        /// Epoch in the trusted root.
        trusted: u64,
        /// Epoch the manifest names.
        offered: u64,
    },
    /// Of a trust generation that was ended.
    #[error("of epoch {offered}, the trusted root has {trusted}")]
    EpochBehind {
        /// Epoch in the trusted root.
        trusted: u64,
        /// Epoch the manifest names.
        offered: u64,
    },
}

impl ManifestError {
    /// The stable code of this error (FORMAT T-5.6).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Framing(error) => error.code(),
            Self::Signatures(error) => error.code(),
            Self::Payload(error) => error.code(),
            Self::Unsupported { .. } => "unsupported",
            Self::WrongStream { .. } => "wrong-stream",
            Self::RootAhead { .. } | Self::EpochAhead { .. } => "untrusted",
            Self::EpochBehind { .. } => "older",
        }
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::Framing(error) => error.detail(),
            Self::Signatures(error) => error.detail(),
            Self::Payload(error) => error.detail(),
            Self::Unsupported { .. } => "format",
            Self::WrongStream { .. } => "wrong-stream",
            Self::RootAhead { .. } => "root-ahead",
            Self::EpochAhead { .. } => "epoch-ahead",
            Self::EpochBehind { .. } => "epoch-behind",
        }
    }

    /// Whether a newer root could make this manifest acceptable (FORMAT T-2.5).
    pub const fn asks_for_a_newer_root(&self) -> bool {
        matches!(
            self,
            Self::Signatures(SignatureError::Threshold { .. })
                | Self::RootAhead { .. }
                | Self::EpochAhead { .. }
        )
    }
}

/// A file that is framed like a manifest. There is nothing to read in it until it is verified.
#[derive(Debug, Clone)]
pub struct UnverifiedManifest<'a>(Framed<'a>);

impl<'a> UnverifiedManifest<'a> {
    /// Cuts a file into payload, signatures, and inline delta. The payload is not looked into.
    pub fn parse(file: &'a [u8]) -> Result<Self, FramingError> {
        Framed::parse(PayloadType::Manifest, file).map(Self)
    }

    /// Verifies signatures, then form, then names, then root and epoch: the only way to a [`Manifest`].
    ///
    /// Order among manifests and freshness are the caller's: [`order`] and its own clock.
    pub fn verify(self, root: &Root, stream: &Stream) -> Result<Manifest, ManifestError> {
        let framed = self.0;
        let delegation = root.verify_environment(&framed, &stream.environment)?;

        let body = ManifestBody::parse(&payload::parse(framed.payload)?)?;
        if body.stream != *stream || *root.project() != stream.project {
            let mut offered = body.stream;
            if offered == *stream {
                offered.project = root.project().clone();
            }
            return Err(ManifestError::WrongStream {
                expected: Box::new(stream.clone()),
                offered: Box::new(offered),
            });
        }
        let (trusted, offered) = (root.number(), body.root);
        if offered > trusted {
            return Err(ManifestError::RootAhead { trusted, offered });
        }
        let (trusted, offered) = (delegation.epoch, body.epoch);
        if offered > trusted {
            return Err(ManifestError::EpochAhead { trusted, offered });
        }
        if offered < trusted {
            return Err(ManifestError::EpochBehind { trusted, offered });
        }
        let payload_sha256 = Digest::of(framed.payload);
        // The inline line is not signed. It is kept only if the first delta's signed digest vouches for it.
        let genuine = |bytes: &Vec<u8>| body.deltas.first().is_some_and(|delta| delta.object.is(bytes));
        let (inline, file) = match framed.inline {
            Some(inline) if genuine(&inline.bytes) => (Inline::Genuine(inline.bytes.into()), inline.through),
            Some(_) => (Inline::Foreign, framed.signed),
            None => (Inline::None, framed.signed),
        };
        Ok(Manifest { body, payload_sha256, file: file.into(), inline })
    }
}

/// What became of the inline line.
#[derive(Debug, Clone)]
enum Inline {
    None,
    Genuine(Box<[u8]>),
    Foreign,
}

/// A manifest that the trusted root's keys signed, for the stream it was asked for.
#[derive(Debug, Clone)]
pub struct Manifest {
    body: ManifestBody,
    payload_sha256: Digest,
    file: Box<[u8]>,
    inline: Inline,
}

impl Manifest {
    /// All members at once.
    pub const fn body(&self) -> &ManifestBody {
        &self.body
    }

    /// Whose it is.
    pub const fn stream(&self) -> &Stream {
        &self.body.stream
    }

    /// The root document that was current when it was signed.
    pub const fn root(&self) -> u64 {
        self.body.root
    }

    /// Trust generation.
    pub const fn epoch(&self) -> u64 {
        self.body.epoch
    }

    /// Content number.
    pub const fn version(&self) -> u64 {
        self.body.version
    }

    /// Announcement number.
    pub const fn serial(&self) -> u64 {
        self.body.serial
    }

    /// When it was signed, in epoch ms.
    pub const fn issued_ms(&self) -> i64 {
        self.body.issued_ms
    }

    /// When it stops being current, in epoch ms.
    pub const fn expires_ms(&self) -> i64 {
        self.body.expires_ms
    }

    /// A newer serial appears at least this often.
    pub const fn heartbeat_ms(&self) -> u64 {
        self.body.heartbeat_ms
    }

    /// The poll interval the publisher suggests.
    pub const fn poll_ms(&self) -> Option<u64> {
        self.body.poll_ms
    }

    /// Number of the code that made the lines.
    pub const fn builder(&self) -> u64 {
        self.body.builder
    }

    /// The content hash.
    pub const fn content(&self) -> Digest {
        self.body.content
    }

    /// How many lines the content has.
    pub const fn lines(&self) -> u64 {
        self.body.lines
    }

    /// Where the whole content is.
    pub const fn snapshot(&self) -> &StoredObject {
        &self.body.snapshot
    }

    /// The deltas it lists, newest `since` first.
    pub fn deltas(&self) -> &[Delta] {
        &self.body.deltas
    }

    /// The log's head.
    pub const fn log(&self) -> Option<LogHead> {
        self.body.log
    }

    /// SHA-256 of the payload: the manifest's identity.
    pub const fn payload_sha256(&self) -> Digest {
        self.payload_sha256
    }

    /// What is proved of the file, for the cache: payload, signatures, and an inline line that is the first delta's.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// The stored bytes of the first delta, where they came inline and have its signed size and digest.
    pub fn inline(&self) -> Option<&[u8]> {
        if let Inline::Genuine(bytes) = &self.inline { Some(bytes) } else { None }
    }

    /// Whether an inline line came that is not the first delta's. It is not signed, so the manifest stands: report
    /// `digest-mismatch` and take another way to the content.
    pub const fn inline_is_foreign(&self) -> bool {
        matches!(self.inline, Inline::Foreign)
    }

    /// The first delta and its inline bytes, for [`apply_delta`](Self::apply_delta).
    pub fn inline_delta(&self) -> Option<(&Delta, &[u8])> {
        Some((self.body.deltas.first()?, self.inline()?))
    }

    /// The deltas that lead from version `own` of the same epoch to this one, best first (FORMAT T-3.3).
    pub fn usable_deltas(&self, own: u64) -> impl Iterator<Item = &Delta> {
        let version = self.body.version;
        self.body.deltas.iter().filter(move |delta| delta.since <= own && own < version)
    }

    /// Where it stands among the manifests of its stream.
    pub const fn position(&self) -> Position {
        Position {
            epoch: self.body.epoch,
            version: self.body.version,
            serial: self.body.serial,
            content: self.body.content,
            payload: self.payload_sha256,
        }
    }

    /// What it is, as plain data to print: every member, the payload's digest, the inline delta's size.
    pub fn describe(&self) -> Json<'static> {
        let payload = self.body.to_payload();
        let mut members = match Json::parse(&payload).map(Json::into_owned) {
            Ok(Json::Object(members)) => members,
            _ => Vec::new(),
        };
        members.push(("payload_sha256".into(), Json::from(self.payload_sha256.to_string())));
        if let Some(inline) = self.inline() {
            members.push(("inline".into(), Json::from(inline.len().try_into().unwrap_or(MAX_INTEGER))));
        }
        Json::Object(members)
    }
}
