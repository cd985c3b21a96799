//! From a change to its manifest, among 10 000 flags, on the embedded adapters.
//!
//! `cargo bench -p flagstone-publisher`; figures are in `docs/PERFORMANCE.md`. Both stores sync what they write, so
//! the disk is part of what is measured.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark is a program of its own")]

use std::sync::Arc;

use divan::Bencher;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ProjectId};
use flagstone_publisher::clock::SystemClock;
use flagstone_publisher::control::{ControlPlane, Operation, Ports, Precondition, PublicationState, Write};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::{Actor, ActorKind, ChangeLog, Draft, Entry, EntryData, MemoryLog};
use flagstone_publisher::publication::{MemoryPublications, Publications};
use flagstone_publisher::publish::Options;
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{self, Edit, Terms};
use flagstone_publisher::store::{DirectoryStore, MemoryStore, ObjectStore};
use tokio::runtime::Runtime;

const FLAGS: usize = 10_000;
const FLAGS_PER_ENTRY: usize = 100;
const NOW_MS: i64 = 1_796_212_800_000;

fn main() {
    divan::main();
}

fn json(text: &str) -> Json<'static> {
    Json::parse(text.as_bytes()).unwrap().into_owned()
}

fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

fn production() -> EnvironmentId {
    EnvironmentId::parse("production").unwrap()
}

fn flag(n: usize) -> FlagKey {
    FlagKey::parse(&format!("flag-{n:05}")).unwrap()
}

fn actor() -> Actor {
    Actor { kind: ActorKind::System, id: "bench".into(), via: "bench".into() }
}

/// The entries of a project with many flags, each on with a 30 % rollout.
fn entries() -> Vec<Entry> {
    let mut state = State::new(project());
    let mut entries = Vec::new();
    let edits = change::create_project(&state, &json(r#"{"id":"shop"}"#)).unwrap();
    record(&mut state, &mut entries, edits);
    let edits = change::create_environment(&state, &json(r#"{"id":"production"}"#)).unwrap();
    record(&mut state, &mut entries, edits);
    for first in (0..FLAGS).step_by(FLAGS_PER_ENTRY) {
        let flags = first..first + FLAGS_PER_ENTRY;
        let edits = flags.clone().flat_map(|n| {
            change::create_flag(&state, &json(&format!(r#"{{"key":"{}","type":"bool"}}"#, flag(n)))).unwrap()
        });
        let edits = edits.collect();
        record(&mut state, &mut entries, edits);
        let body =
            json(r#"{"on":true,"off":"off","fallthrough":{"rollout":{"weights":{"on":30000,"off":70000}}}}"#);
        let edits = flags.flat_map(|n| {
            change::put_targeting(&state, &production(), &flag(n), &body, Terms::default()).unwrap()
        });
        let edits = edits.collect();
        record(&mut state, &mut entries, edits);
    }
    entries
}

fn record(state: &mut State, entries: &mut Vec<Entry>, edits: Vec<Edit>) {
    let (changes, states) = edits.into_iter().map(|edit| (edit.change, edit.state)).unzip();
    let draft = Draft {
        project: project(),
        time_ms: NOW_MS,
        actor: actor(),
        request_id: format!("r-{}", state.seq()),
        request: Vec::new(),
        changes,
        data: EntryData { states, ..EntryData::default() },
    };
    let entry = Entry::seal(draft, state.head()).unwrap();
    state.apply(&entry).unwrap();
    entries.push(entry);
}

struct Bench {
    runtime: Runtime,
    control: ControlPlane,
    _directory: tempfile::TempDir,
}

fn bench(durable: bool) -> Bench {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let control = runtime.block_on(async {
        let keys = Keys::open(directory.path().join("keys"), &project(), NOW_MS).await.unwrap();
        let (log, publications, store): (Arc<dyn ChangeLog>, Arc<dyn Publications>, Arc<dyn ObjectStore>) =
            if durable {
                let records = Arc::new(SqliteStore::open(directory.path().join("log.sqlite")).await.unwrap());
                let store = DirectoryStore::open(directory.path().join("bucket")).await.unwrap();
                (records.clone(), records, Arc::new(store))
            } else {
                (
                    Arc::new(MemoryLog::new()),
                    Arc::new(MemoryPublications::new()),
                    Arc::new(MemoryStore::new()),
                )
            };
        for entry in entries() {
            log.append(&entry).await.unwrap();
        }
        let root = keys.root().clone();
        let ports = Ports { log, publications, store, signer: Arc::new(keys), clock: Arc::new(SystemClock) };
        let control = ControlPlane::new(project(), root, ports, Options::default());
        control.publish(&production()).await.unwrap();
        control
    });
    Bench { runtime, control, _directory: directory }
}

fn change_to_manifest(bencher: Bencher<'_, '_>, durable: bool) {
    let Bench { runtime, control, .. } = &bench(durable);
    let mut on = false;
    bencher.bench_local(|| {
        let write = Write {
            actor: actor(),
            actor_name: None,
            request_id: None,
            request_bytes: Vec::new(),
            reason: None,
            precondition: Precondition::Any,
            confirm: false,
            wait: true,
        };
        let operation = Operation::Switch(production(), flag(123), on);
        on = !on;
        let written = runtime.block_on(control.write(operation, write)).unwrap();
        let published: Vec<_> = written.publication.values().flat_map(|views| views.values()).collect();
        assert!(published.iter().all(|published| published.state == PublicationState::Announced));
    });
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn change_to_manifest_on_disk(bencher: Bencher<'_, '_>) {
    change_to_manifest(bencher, true);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn change_to_manifest_in_memory(bencher: Bencher<'_, '_>) {
    change_to_manifest(bencher, false);
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn fold_20_000_changes(bencher: Bencher<'_, '_>) {
    let entries = entries();
    bencher.bench_local(|| {
        let mut state = State::new(project());
        for entry in &entries {
            state.apply(entry).unwrap();
        }
        state
    });
}
