//! From a change to its manifest, among 10 000 flags, on the embedded adapters.
//!
//! `cargo bench -p flagstone-publisher`; figures are in `docs/PERFORMANCE.md`. Both stores sync what they write, so
//! the disk is part of what is measured.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a benchmark is a program of its own")]

mod project;

use std::sync::Arc;

use divan::Bencher;
use flagstone_model::instant::Instant;
use flagstone_publisher::checkpoint::{self, Checkpoints, MAX_TAIL_ENTRIES, MemoryCheckpoints};
use flagstone_publisher::clock::SystemClock;
use flagstone_publisher::control::{ControlPlane, Ports, PublicationState};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::{Entry, MemoryLog};
use flagstone_publisher::private_object::MemoryObjects;
use flagstone_publisher::publication::MemoryPublications;
use flagstone_publisher::publish::Options;
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::state::State;
use flagstone_publisher::state::change::{self, Terms};
use flagstone_publisher::store::{DirectoryStore, MemoryStore};
use project::{NOW_MS, entries, flag, production, project, project_of, record, switch};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

struct Bench {
    runtime: Runtime,
    control: ControlPlane,
    _directory: tempfile::TempDir,
}

fn in_memory(keys: &Keys) -> Ports {
    Ports {
        log: Arc::new(MemoryLog::new()),
        checkpoints: Arc::new(MemoryCheckpoints::new()),
        objects: Arc::new(MemoryObjects::new()),
        publications: Arc::new(MemoryPublications::new()),
        store: Arc::new(MemoryStore::new()),
        signer: Arc::new(keys.clone()),
        clock: Arc::new(SystemClock),
    }
}

fn bench(durable: bool) -> Bench {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let control = runtime.block_on(async {
        let keys = Keys::open(directory.path().join("keys"), &project(), NOW_MS).await.unwrap();
        let root = keys.root().clone();
        let mut ports = in_memory(&keys);
        if durable {
            let records = Arc::new(SqliteStore::open(directory.path().join("log.sqlite")).await.unwrap());
            let store = DirectoryStore::open(directory.path().join("bucket")).await.unwrap();
            ports = Ports {
                log: records.clone(),
                checkpoints: records.clone(),
                objects: records.clone(),
                publications: records,
                store: Arc::new(store),
                ..ports
            };
        }
        for entry in entries() {
            ports.log.append(&entry).await.unwrap();
        }
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
        let (operation, write) = switch(123, on);
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

/// The entries of a project with few flags, and so many switches of single flags after them, one a second.
fn history(flags: usize, switches: usize) -> Vec<Entry> {
    let (mut state, mut entries) = project_of(flags);
    for n in 0..switches {
        let (flag, on) = (flag(n % flags), n / flags % 2 == 1);
        let edits = change::switch(&state, &production(), &flag, on, Terms::default());
        record(&mut state, &mut entries, edits.unwrap());
    }
    entries
}

/// 1,000 flags and 100,000 switches of one flag each, with checkpoints as sweeps leave them, or without.
struct Past {
    runtime: Runtime,
    ports: Ports,
    keys: Keys,
    _directory: tempfile::TempDir,
}

impl Past {
    fn new(with_checkpoints: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (ports, keys) = runtime.block_on(async {
            let keys = Keys::open(directory.path(), &project(), NOW_MS).await.unwrap();
            let ports = in_memory(&keys);
            let mut state = State::new(project());
            // The last checkpoint has 500 entries behind it, half of the most there are.
            for entry in history(1_000, 100_478) {
                ports.log.append(&entry).await.unwrap();
                state.apply(&entry).unwrap();
                if with_checkpoints && state.seq().is_multiple_of(MAX_TAIL_ENTRIES) {
                    keep(&*ports.checkpoints, &state).await;
                }
            }
            assert_eq!(state.seq(), 100_500);
            (ports, keys)
        });
        Self { runtime, ports, keys, _directory: directory }
    }

    fn start(&self) -> ControlPlane {
        ControlPlane::new(project(), self.keys.root().clone(), self.ports.clone(), Options::default())
    }
}

async fn keep(checkpoints: &dyn Checkpoints, state: &State) {
    let (mark, stored) = checkpoint::write(state).unwrap().unwrap();
    assert!(checkpoints.keep(&project(), &mark, &stored).await.unwrap());
    while let Some(seq) = checkpoint::surplus(&checkpoints.marks(&project()).await.unwrap()) {
        checkpoints.forget(&project(), seq..=seq).await.unwrap();
    }
}

fn fold_100_000_entries(bencher: Bencher<'_, '_>, with_checkpoints: bool) {
    let past = Past::new(with_checkpoints);
    bencher.with_inputs(|| past.start()).bench_local_values(|control| {
        let state = past.runtime.block_on(control.state()).unwrap();
        assert_eq!(state.seq(), 100_500);
        state
    });
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn start_from_the_first_of_100_000_entries(bencher: Bencher<'_, '_>) {
    fold_100_000_entries(bencher, false);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn start_from_a_checkpoint_of_100_000_entries(bencher: Bencher<'_, '_>) {
    fold_100_000_entries(bencher, true);
}

fn state_before_so_many_entries(bencher: Bencher<'_, '_>, with_checkpoints: bool, entries: i64) {
    let past = Past::new(with_checkpoints);
    let control = past.start();
    let time = Instant::from_millis(NOW_MS + (100_499 - entries) * 1_000);
    past.runtime.block_on(control.state()).unwrap();
    bencher.bench_local(|| {
        let state = past.runtime.block_on(control.state_at(time)).unwrap();
        assert_eq!(state.seq(), u64::try_from(100_500 - entries).unwrap());
        state
    });
}

#[divan::bench(sample_count = 20, sample_size = 1, args = [100, 5_000, 50_000, 99_000])]
fn state_at_an_old_time(bencher: Bencher<'_, '_>, entries_ago: i64) {
    state_before_so_many_entries(bencher, true, entries_ago);
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn state_at_an_old_time_without_checkpoints(bencher: Bencher<'_, '_>) {
    state_before_so_many_entries(bencher, false, 5_000);
}
