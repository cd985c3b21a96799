//! A stream signed by keys of the test: what a publisher would announce, and what a thief could.

use std::collections::BTreeMap;

use flagstone_bundle::container::{StoredObject, encode_zstd};
use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::key::SigningKey;
use flagstone_bundle::manifest::{Delta, ManifestBody, Stream};
use flagstone_bundle::root::{Delegation, Pin, Role, RootBody, RootKey, Scope};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

const DAY_MS: i64 = 86_400_000;

impl Clone for Publisher {
    /// A publisher that goes another way from here: a thief, or a twin.
    fn clone(&self) -> Self {
        Self {
            root_key: key("root"),
            manifest_key: key("manifest"),
            cold_key: key("cold"),
            stream: self.stream.clone(),
            lines: self.lines.clone(),
            last: self.last.clone(),
            ..*self
        }
    }
}

/// Everything one publication puts into the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    pub(crate) body: ManifestBody,
    pub(crate) inline: Option<Vec<u8>>,
    /// The manifest file.
    pub(crate) file: Vec<u8>,
    /// Paths and bytes of immutable objects.
    pub(crate) objects: Vec<(String, Vec<u8>)>,
}

pub(crate) struct Publisher {
    pub(crate) root_key: SigningKey,
    pub(crate) manifest_key: SigningKey,
    /// A second key of the manifest role.
    pub(crate) cold_key: SigningKey,
    /// How many of the two must sign.
    pub(crate) threshold: u64,
    stream: Stream,
    lines: BTreeMap<String, String>,
    version: u64,
    serial: u64,
    last: Option<(u64, Content)>,
    /// Whether the manifest carries its delta.
    pub(crate) inline: bool,
    pub(crate) heartbeat_ms: u64,
    pub(crate) poll_ms: Option<u64>,
    pub(crate) lifetime_ms: i64,
}

pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(name.as_bytes()).as_bytes())
}

impl Publisher {
    pub(crate) fn new(project: &str, environment: &str) -> Self {
        let stream = Stream {
            project: ProjectId::parse(project).unwrap(),
            environment: EnvironmentId::parse(environment).unwrap(),
            view: ViewId::server(),
        };
        let head =
            format!("{{\"environment\":\"{environment}\",\"project\":\"{project}\",\"view\":\"server\"}}");
        let lines = (0..40).map(|n| (format!("flag-{n:02}"), flag(&format!("flag-{n:02}"), "constant")));
        let lines = lines.chain([("environment".to_owned(), head)]).collect();
        Self {
            root_key: key("root"),
            manifest_key: key("manifest"),
            cold_key: key("cold"),
            threshold: 1,
            stream,
            lines,
            version: 0,
            serial: 0,
            last: None,
            inline: true,
            heartbeat_ms: 300_000,
            poll_ms: Some(10_000),
            lifetime_ms: 3_600_000,
        }
    }

    pub(crate) fn root_body(&self) -> RootBody {
        let keyids = vec![self.manifest_key.id(), self.cold_key.id()];
        let delegation = Delegation { epoch: 1, role: Role { threshold: self.threshold, keyids } };
        let listed = |key: &SigningKey| RootKey { public: key.public(), note: None };
        RootBody {
            project: self.stream.project.clone(),
            root: 1,
            issued_ms: super::START_MS - DAY_MS,
            expires_ms: super::START_MS + 300 * DAY_MS,
            keys: vec![listed(&self.root_key), listed(&self.manifest_key), listed(&self.cold_key)],
            root_role: Role { threshold: 1, keyids: vec![self.root_key.id()] },
            environments: BTreeMap::from([(Scope::Others, delegation)]),
        }
    }

    pub(crate) fn root_file(&self) -> Vec<u8> {
        let payload = self.root_body().to_payload();
        let signature = self.root_key.sign(PayloadType::Root, &payload);
        assemble(PayloadType::Root, &payload, &[signature], None).unwrap()
    }

    pub(crate) fn pin(&self) -> Pin {
        Pin { root: 1, sha256: Digest::of(&self.root_body().to_payload()) }
    }

    pub(crate) fn manifest_path(&self) -> String {
        let Stream { project, environment, view } = &self.stream;
        format!("/closed/{project}/v1/e/{environment}/{view}/manifest")
    }

    pub(crate) fn set_text(&mut self, key: &str, value: &str) {
        self.set_line(key, &flag(key, value));
    }

    /// Any line, also one no builder would make.
    pub(crate) fn set_line(&mut self, name: &str, line: &str) {
        self.lines.insert(name.to_owned(), line.to_owned());
    }

    pub(crate) fn content(&self) -> Content {
        let mut lines: Vec<_> = self.lines.values().map(std::string::String::as_bytes).collect();
        lines.sort_unstable();
        Content::from_lines(lines.into_iter()).unwrap()
    }

    /// The next version: claimed, built, signed.
    pub(crate) fn publish(&mut self, now_ms: i64) -> Announcement {
        let content = self.content();
        let mut objects = Vec::new();
        let (bytes, snapshot) = encode_zstd(&content.raw()).unwrap();
        objects.push((self.object("s", &snapshot), bytes));
        let mut inline = None;
        let mut deltas = Vec::new();
        if let Some((since, before)) = &self.last {
            let (bytes, object) = encode_zstd(&content.diff(before).encode()).unwrap();
            deltas.push(Delta { since: *since, object });
            if self.inline {
                inline = Some(bytes);
            } else {
                objects.push((self.object("d", &object), bytes));
            }
        }
        self.version += 1;
        let body = self.announce(content.content_hash(), content.len(), snapshot, deltas, now_ms);
        self.last = Some((self.version, content));
        Announcement { file: self.sign(&body, inline.as_deref()), body, inline, objects }
    }

    /// A delta whose lines are not the difference, signed all the same: a fault of the builder.
    pub(crate) fn with_wrong_delta(&self, announcement: &Announcement) -> Announcement {
        let wrong = Content::from_lines([flag("wrong", "wrong").as_bytes()].into_iter()).unwrap();
        let empty = Content::from_lines(core::iter::empty()).unwrap();
        let lines: DeltaLines = wrong.diff(&empty);
        let (bytes, object) = encode_zstd(&lines.encode()).unwrap();
        let mut faulty = announcement.clone();
        faulty.body.deltas[0].object = object;
        faulty.file = self.sign(&faulty.body, Some(&bytes));
        faulty
    }

    /// The same content under the next serial.
    pub(crate) fn heartbeat(&mut self, of: &Announcement, now_ms: i64) -> Announcement {
        self.serial += 1;
        let mut next = of.clone();
        next.body.serial = self.serial;
        next.body.issued_ms = now_ms;
        next.body.expires_ms = now_ms + self.lifetime_ms;
        next.file = self.sign(&next.body, next.inline.as_deref());
        next
    }

    fn announce(
        &mut self,
        content: Digest,
        lines: usize,
        snapshot: StoredObject,
        deltas: Vec<Delta>,
        now_ms: i64,
    ) -> ManifestBody {
        self.serial += 1;
        ManifestBody {
            stream: self.stream.clone(),
            root: 1,
            epoch: 1,
            version: self.version,
            serial: self.serial,
            issued_ms: now_ms,
            expires_ms: now_ms + self.lifetime_ms,
            heartbeat_ms: self.heartbeat_ms,
            poll_ms: self.poll_ms,
            builder: 1,
            content,
            lines: lines as u64,
            snapshot,
            deltas,
            log: None,
        }
    }

    pub(crate) fn sign(&self, body: &ManifestBody, inline: Option<&[u8]>) -> Vec<u8> {
        let keys: &[_] =
            if self.threshold > 1 { &[&self.manifest_key, &self.cold_key] } else { &[&self.manifest_key] };
        sign_with(keys, &body.to_payload(), inline)
    }

    fn object(&self, folder: &str, object: &StoredObject) -> String {
        format!("/closed/{}/v1/{folder}/{}.jsonl.zst", self.stream.project, object.sha256)
    }
}

pub(crate) fn sign_with(keys: &[&SigningKey], payload: &[u8], inline: Option<&[u8]>) -> Vec<u8> {
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(PayloadType::Manifest, payload)).collect();
    assemble(PayloadType::Manifest, payload, &signatures, inline).unwrap()
}

/// The line of a string flag that serves `value` to everybody.
pub(crate) fn flag(key: &str, value: &str) -> String {
    format!(
        "{{\"flag\":\"{key}\",\"type\":\"string\",\"rev\":1,\"on\":true,\"values\":{{\"off\":\"off\",\"on\":\"{value}\"}},\
         \"off\":\"off\",\"fallthrough\":\"on\"}}"
    )
}
