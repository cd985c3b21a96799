//! The access log: what its adapters do, and that an older file gets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flagstone_model::key::ProjectId;
use flagstone_publisher::access::{Access, AccessLog, Bounds, MemoryAccessLog, REPEATS_MS, conformance};
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

#[tokio::test]
async fn a_hundred_thousand_rows_are_kept_and_then_the_oldest_go() {
    const NOW_MS: i64 = 1_795_262_400_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let log = SqliteStore::open(&path).await.unwrap();
    let project = ProjectId::parse("full").unwrap();
    // 99,998 rows, the last 9,999 of them about nobody who is known: each bound is one or two rows away.
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "BEGIN;
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 99998)
         INSERT INTO access (project, number, first_ms, last_ms, count, principal, via, method, route, status, request_id, seq)
         SELECT 'full', n, 0, 0, 1, iif(n < 90000, 't_1', NULL), 'api', 'GET', '/v1', 200, '', n FROM numbers;
         INSERT INTO access_total (project, newest, rows, anonymous) VALUES ('full', 99998, 99998, 9999);
         COMMIT;",
    )
    .unwrap();
    let access = |time_ms, principal: Option<&str>| Access {
        time_ms,
        principal: principal.map(str::to_owned),
        via: "api".into(),
        method: "POST".into(),
        route: "/v1".into(),
        environment: None,
        status: 401,
        code: None,
        request_id: String::new(),
        seq: None,
        count: 1,
    };
    let first = async |after| log.read(&project, after, 1).await.unwrap()[0].number;
    let rows = || file.query_one("SELECT count(*) FROM access", [], |row| row.get::<_, i64>(0)).unwrap();
    let record = async |access| log.record(&project, &access, Bounds::DEFAULT).await.unwrap();

    record(access(NOW_MS, None)).await;
    record(access(NOW_MS, Some("t_1"))).await;
    assert_eq!((rows(), first(0).await, first(89_999).await), (100_000, 1, 90_000), "both bounds are full");
    record(access(NOW_MS, Some("t_2"))).await;
    assert_eq!((rows(), first(0).await, first(89_999).await), (100_000, 2, 90_000), "the oldest of all");
    record(access(NOW_MS + REPEATS_MS, None)).await;
    assert_eq!((rows(), first(0).await, first(89_999).await), (100_000, 2, 90_001), "the oldest unknown");
    record(access(NOW_MS + REPEATS_MS, None)).await;
    assert_eq!((rows(), first(0).await, first(89_999).await), (100_000, 2, 90_001), "a repeat is no row");
    assert_eq!(log.newest(&project).await.unwrap(), 100_002);
}
