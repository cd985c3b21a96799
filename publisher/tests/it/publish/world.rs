//! A small installation: a log of lines, a publisher, and a client that checks everything a client checks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flagstone_bundle::Content;
use flagstone_bundle::manifest::{Manifest, Outcome, Position, Stream, UnverifiedManifest, order};
use flagstone_bundle::root::Root;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ProjectId, ViewId};
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::{
    Actor, ActorKind, Appended, ChangeLog, Draft, Entity, EntityChange, Entry, EntryData, MemoryLog,
};
use flagstone_publisher::publication::{MemoryPublications, Publications};
use flagstone_publisher::publish::{
    Built, Layout, LineSource, Options, Ports, Progress, PublicationState, PublishError, Publisher,
    SourceError, Withheld,
};
use flagstone_publisher::store::{MemoryStore, ObjectPath, ObjectStore};

pub(super) const NOW: i64 = 1_795_000_000_000;
pub(super) const BUDGET: Duration = Duration::from_mins(1);

pub(super) fn stream() -> Stream {
    Stream {
        project: ProjectId::parse("shop").unwrap(),
        environment: EnvironmentId::parse("production").unwrap(),
        view: ViewId::server(),
    }
}

/// A flag line that serves `on` or `off` to everybody.
pub(super) fn flag(key: &str, rev: u64, on: bool) -> String {
    format!(
        r#"{{"flag":"{key}","type":"bool","rev":{rev},"on":{on},"values":{{"off":false,"on":true}},"off":"off","fallthrough":"on"}}"#
    )
}

/// Builds lines from a log whose states are the lines themselves.
pub(super) struct Folding(pub(super) Arc<dyn ChangeLog>);

pub(super) async fn fold(log: &dyn ChangeLog, stream: &Stream) -> (Option<Entry>, BTreeMap<String, String>) {
    let mut lines = BTreeMap::new();
    let (environment, project, view) = (&stream.environment, &stream.project, &stream.view);
    let own = format!(r#"{{"environment":"{environment}","project":"{project}","view":"{view}"}}"#);
    lines.insert("environment".to_owned(), own);
    let mut last = None;
    for entry in log.read(&stream.project, 0, usize::MAX).await.unwrap() {
        let states = entry.read_data().unwrap().unwrap().states;
        for (change, state) in entry.header.changes.iter().zip(states) {
            match state.as_str() {
                Some(line) => lines.insert(change.entity.to_string(), line.to_owned()),
                None => lines.remove(&change.entity.to_string()),
            };
        }
        last = Some(entry);
    }
    (last, lines)
}

#[async_trait]
impl LineSource for Folding {
    async fn build(&self, stream: &Stream, _seq: u64) -> Result<Built, SourceError> {
        let (last, lines) = fold(&*self.0, stream).await;
        let mut lines: Vec<_> = lines.into_values().collect();
        lines.sort();
        let content = Content::from_lines(lines.iter().map(String::as_bytes)).unwrap();
        Ok(Built { head: last.unwrap().head(), content, withheld: Withheld::default() })
    }
}

pub(super) struct World {
    pub(super) log: Arc<dyn ChangeLog>,
    pub(super) items: Arc<dyn Publications>,
    pub(super) memory: Arc<MemoryStore>,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) keys: Arc<Keys>,
    pub(super) client: Mutex<Client>,
    pub(super) options: Options,
    _keys: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path(), &stream().project, NOW).await.unwrap();
        let memory = Arc::new(MemoryStore::new());
        Self {
            log: Arc::new(MemoryLog::new()),
            items: Arc::new(MemoryPublications::new()),
            store: memory.clone(),
            memory,
            clock: Arc::new(ManualClock::at(NOW)),
            client: Mutex::new(Client::new(keys.root().clone())),
            keys: Arc::new(keys),
            options: Options::default(),
            _keys: directory,
        }
    }

    /// A world with the flags `a`, `b`, `c` on, announced, and loaded by the client.
    pub(super) async fn announced() -> Self {
        let world = Self::new().await;
        world
            .append([
                ("a", Some(flag("a", 1, true))),
                ("b", Some(flag("b", 1, true))),
                ("c", Some(flag("c", 1, true))),
            ])
            .await;
        world.publish(&world.publisher()).await.unwrap();
        assert_eq!(world.poll().await, Poll::Full);
        world
    }

    pub(super) fn ports(&self) -> Ports {
        Ports {
            log: self.log.clone(),
            publications: self.items.clone(),
            store: self.store.clone(),
            source: Arc::new(Folding(self.log.clone())),
            signer: self.keys.clone(),
            clock: self.clock.clone(),
        }
    }

    pub(super) fn publisher(&self) -> Publisher {
        self.publisher_with(self.ports())
    }

    pub(super) fn publisher_with(&self, ports: Ports) -> Publisher {
        Publisher::new(self.keys.root().clone(), ports, self.options.clone())
    }

    pub(super) async fn append(&self, lines: impl IntoIterator<Item = (&str, Option<String>)>) -> u64 {
        append(&*self.log, lines).await
    }

    /// Publishes up to the log's end.
    pub(super) async fn publish(&self, publisher: &Publisher) -> Result<Progress, PublishError> {
        let head = self.log.head(&stream().project).await.unwrap().map_or(0, |head| head.seq);
        let progress = publisher.publish(&stream(), head, BUDGET).await?;
        assert_eq!(progress.state, PublicationState::Announced);
        Ok(progress)
    }

    pub(super) async fn poll(&self) -> Poll {
        let mut client = self.client.lock().unwrap().clone();
        let poll = client.poll(&*self.memory).await;
        *self.client.lock().unwrap() = client;
        poll
    }

    /// A client that has nothing yet loads all there is.
    pub(super) async fn fresh_client(&self) -> Client {
        let mut client = Client::new(self.keys.root().clone());
        assert_eq!(client.poll(&*self.memory).await, Poll::Full);
        client
    }

    /// What the client has, and that it is what the log says.
    pub(super) async fn assert_current(&self) {
        self.poll().await;
        let (_, lines) = fold(&*self.log, &stream()).await;
        let mut wanted: Vec<_> = lines.into_values().collect();
        wanted.sort();
        let client = self.client.lock().unwrap().clone();
        assert_eq!(client.lines(), wanted);
        assert_eq!(self.fresh_client().await.lines(), wanted);
    }

    pub(super) async fn manifest_bytes(&self) -> Vec<u8> {
        self.memory.get(&manifest_path()).await.unwrap().unwrap().bytes
    }

    pub(super) async fn manifest(&self) -> Manifest {
        let bytes = self.manifest_bytes().await;
        UnverifiedManifest::parse(&bytes).unwrap().verify(self.keys.root(), &stream()).unwrap()
    }
}

pub(super) fn manifest_path() -> ObjectPath {
    Layout::of(&stream()).manifest().unwrap()
}

/// Appends one entry that sets or removes lines of flags, trying again when another writer was faster.
pub(super) async fn append(
    log: &dyn ChangeLog,
    lines: impl IntoIterator<Item = (&str, Option<String>)>,
) -> u64 {
    let lines: Vec<_> = lines.into_iter().collect();
    loop {
        let head = log.head(&stream().project).await.unwrap();
        let seq = head.map_or(0, |head| head.seq) + 1;
        let changes = lines.iter().map(|(key, _)| EntityChange {
            entity: Entity::Targeting(stream().environment, FlagKey::parse(key).unwrap()),
            revision: (seq - 1, seq),
            prior_seq: 0,
        });
        let states =
            lines.iter().map(|(_, line)| line.clone().map_or(Json::Null, |line| Json::String(line.into())));
        let draft = Draft {
            project: stream().project,
            time_ms: NOW,
            actor: Actor { kind: ActorKind::User, id: "u_1".into(), via: "test".into() },
            request_id: format!("r-{seq}"),
            request: Vec::new(),
            changes: changes.collect(),
            data: EntryData { states: states.collect(), ..EntryData::default() },
        };
        let entry = Entry::seal(draft, head.as_ref()).unwrap();
        if log.append(&entry).await.unwrap() == Appended::Written {
            return seq;
        }
    }
}

/// How a client got what is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Poll {
    Nothing,
    Same,
    Heartbeat,
    Inline,
    Listed,
    Full,
}

/// A client without timers: verifies, keeps order, prefers deltas, and fails the test at anything a client may not meet.
#[derive(Clone)]
pub(super) struct Client {
    root: Root,
    pub(super) seen: Option<Position>,
    pub(super) content: Option<Content>,
}

impl Client {
    pub(super) fn new(root: Root) -> Self {
        Self { root, seen: None, content: None }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let content = self.content.as_ref().expect("a client that has loaded something");
        content.lines().map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
    }

    pub(super) async fn poll(&mut self, store: &dyn ObjectStore) -> Poll {
        let stream = stream();
        let layout = Layout::of(&stream);
        let Some(object) = store.get(&layout.manifest().unwrap()).await.unwrap() else {
            return Poll::Nothing;
        };
        let manifest = UnverifiedManifest::parse(&object.bytes).unwrap().verify(&self.root, &stream).unwrap();
        match order(self.seen.as_ref(), &manifest.position()) {
            Outcome::Accept => {}
            Outcome::Same => return Poll::Same,
            other => panic!("{other:?}: {:?} after {:?}", manifest.position(), self.seen),
        }
        let own = self.seen.as_ref().map_or(0, |seen| seen.version);
        let (content, how) = self.load(&manifest, own, store).await;
        manifest.check(&content).unwrap();
        self.seen = Some(manifest.position());
        self.content = Some(content);
        how
    }

    async fn load(&self, manifest: &Manifest, own: u64, store: &dyn ObjectStore) -> (Content, Poll) {
        let (stream, content) = (stream(), self.content.as_ref());
        let layout = Layout::of(&stream);
        if let Some(content) = content.filter(|_| own == manifest.version()) {
            return (content.clone(), Poll::Heartbeat);
        }
        let full = store.get(&layout.snapshot(manifest.snapshot()).unwrap()).await.unwrap();
        let full = manifest.open_snapshot(&full.expect("an announced snapshot is there").bytes).unwrap();
        manifest.check(&full).unwrap();
        for delta in manifest.deltas() {
            let stored = store.get(&layout.delta(&delta.object).unwrap()).await.unwrap();
            let stored = stored.expect("an announced delta is there").bytes;
            if let Some((first, inline)) = manifest.inline_delta() {
                assert!(first != delta || inline == stored, "the inline delta is not the stored one");
            }
            let Some(content) = content.filter(|_| delta.since <= own && own < manifest.version()) else {
                continue;
            };
            let (next, _) = manifest.apply_delta(delta, &stored, content).unwrap();
            let inline = manifest.inline_delta().is_some_and(|(first, _)| first == delta);
            return (next, if inline { Poll::Inline } else { Poll::Listed });
        }
        (full, Poll::Full)
    }
}
