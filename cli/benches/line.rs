//! The whole line on one machine: a change, its manifest on disk, a poll over HTTP, the swap in an SDK client.
//!
//! `cargo bench -p flagstone-cli`; figures are in `docs/PERFORMANCE.md`. The client polls at once: in life half a poll
//! interval comes on top.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a benchmark is a program of its own")]

#[path = "../../publisher/benches/project/mod.rs"]
mod project;

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use flagstone::{Client, Connection, Refreshed};
use flagstone_admin::cdn::{self, KeyScope, StaticSdkKeys};
use flagstone_publisher::clock::SystemClock;
use flagstone_publisher::control::{ControlPlane, Ports};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::ChangeLog;
use flagstone_publisher::publish::Options;
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::store::DirectoryStore;
use project::{FLAGS, NOW_MS, entries, production, project, switch};
use tokio::runtime::Runtime;

const SDK_KEY: &str = "benchmark-key-benchmark-key-0000";

fn main() {
    divan::main();
}

struct Line {
    runtime: Runtime,
    control: ControlPlane,
    client: Client,
    _directory: tempfile::TempDir,
}

impl Line {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (control, client) = runtime.block_on(async {
            let keys = Keys::open(directory.path().join("keys"), &project(), NOW_MS).await.unwrap();
            let records = Arc::new(SqliteStore::open(directory.path().join("log.sqlite")).await.unwrap());
            let store = Arc::new(DirectoryStore::open(directory.path().join("bucket")).await.unwrap());
            keys.publish_root(&*store).await.unwrap();
            for entry in entries() {
                records.append(&entry).await.unwrap();
            }
            let (root, pin) = (keys.root().clone(), keys.pin());
            let ports = Ports {
                log: records.clone(),
                checkpoints: records.clone(),
                objects: records.clone(),
                publications: records,
                store: store.clone(),
                signer: Arc::new(keys),
                clock: Arc::new(SystemClock),
            };
            let control = ControlPlane::new(project(), root, ports, Options::default());
            control.publish(&production()).await.unwrap();

            let scope = KeyScope { project: project(), environment: production() };
            let app = cdn::router(store, Arc::new(StaticSdkKeys::new([(SDK_KEY.to_owned(), scope)])));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, app).await });
            let connection = format!(
                "flagstone+http://{address}/cdn?project={}&environment={}&view=server&root={pin}",
                project(),
                production()
            );
            let connection: Connection = connection.parse().unwrap();
            let builder = Client::builder(connection).sdk_key(SDK_KEY).poll_interval(Duration::from_hours(1));
            let client = builder.build().unwrap();
            client.wait_for_ready(Duration::from_secs(30)).await.unwrap();
            (control, client)
        });
        assert_eq!(client.flag_keys().len(), FLAGS);
        Self { runtime, control, client, _directory: directory }
    }

    fn change(&self, on: bool) {
        let (operation, write) = switch(123, on);
        self.runtime.block_on(self.control.write(operation, write)).unwrap();
    }

    fn swap(&self) {
        assert_eq!(self.runtime.block_on(self.client.refresh()).unwrap(), Refreshed::Swapped);
    }
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn change_to_swap(bencher: Bencher<'_, '_>) {
    let line = Line::new();
    let mut on = false;
    bencher.bench_local(|| {
        line.change(on);
        line.swap();
        on = !on;
    });
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn poll_to_swap(bencher: Bencher<'_, '_>) {
    let line = Line::new();
    let mut on = false;
    bencher
        .with_inputs(|| {
            line.change(on);
            on = !on;
        })
        .bench_local_values(|()| line.swap());
}
