//! What a manifest says: the members of its payload (FORMAT T-1.5).

use core::fmt;

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

use crate::container::StoredObject;
use crate::limits::{MAX_DELTAS, MAX_MANIFEST_LIFETIME_MS};
use crate::manifest::ManifestError;
use crate::payload::{Members, PayloadError};

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
/// Plain data: what a publisher fills in. A client only ever reads one through a verified
/// [`Manifest`](crate::manifest::Manifest).
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

    pub(crate) fn parse(json: &Json<'_>) -> Result<Self, ManifestError> {
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
