//! The manifest: the small signed pointer that clients poll (FORMAT T-1).

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;

use crate::container::StoredObject;
use crate::framing::{Framed, FramingError, PayloadType};
use crate::limits::MAX_INTEGER;
use crate::payload::{self, PayloadError};
use crate::root::Root;
use crate::signature::SignatureError;

pub use crate::manifest_body::{Delta, LogHead, MANIFEST_FORMAT, ManifestBody, Stream};
pub use crate::order::{Outcome, Position, order};

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
