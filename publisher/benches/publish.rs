//! From a change to its manifest, among 10 000 flags, on the embedded adapters.
//!
//! `cargo bench -p flagstone-publisher`; figures are in `docs/PERFORMANCE.md`. Both stores sync what they write, so
//! the disk is part of what is measured.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a benchmark is a program of its own")]

mod project;

use std::sync::Arc;

use divan::Bencher;
use flagstone_publisher::clock::SystemClock;
use flagstone_publisher::control::{ControlPlane, Ports, PublicationState};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::{ChangeLog, MemoryLog};
use flagstone_publisher::publication::{MemoryPublications, Publications};
use flagstone_publisher::publish::Options;
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::state::State;
use flagstone_publisher::store::{DirectoryStore, MemoryStore, ObjectStore};
use project::{NOW_MS, entries, production, project, switch};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
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
