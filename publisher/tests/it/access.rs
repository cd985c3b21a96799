//! The access log: what its adapters do, and that an older file gets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flagstone_publisher::access::{AccessLog, MemoryAccessLog, conformance};
use flagstone_publisher::sqlite::SqliteStore;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_access_log_conforms() {
    let log = Arc::new(MemoryAccessLog::new());
    conformance::run(&|| Arc::clone(&log) as Arc<dyn AccessLog>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_access_log_conforms_with_several_handles_on_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut handles = Vec::new();
    for _ in 0..4 {
        handles.push(Arc::new(SqliteStore::open(directory.path().join("data.sqlite")).await.unwrap()));
    }
    let next = AtomicUsize::new(0);
    conformance::run(&|| {
        let turn = next.fetch_add(1, Ordering::SeqCst);
        Arc::clone(&handles[turn % handles.len()]) as Arc<dyn AccessLog>
    })
    .await;
}
