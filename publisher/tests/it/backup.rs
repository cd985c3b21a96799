//! A copy of the SQLite file while it is used.

use flagstone_bundle::manifest::Stream;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::log::conformance::draft;
use flagstone_publisher::log::verify::verify_log;
use flagstone_publisher::log::{Appended, ChangeLog, Entry};
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::storage::StorageError;
use rusqlite::Connection;

fn stream(environment: &str) -> Stream {
    Stream {
        project: ProjectId::parse("shop").unwrap(),
        environment: EnvironmentId::parse(environment).unwrap(),
        view: ViewId::server(),
    }
}

async fn append(store: &SqliteStore, count: u64) {
    let project = ProjectId::parse("shop").unwrap();
    for _ in 0..count {
        let head = store.head(&project).await.unwrap();
        let number = head.map_or(0, |head| head.seq) + 1;
        let entry = Entry::seal(draft(&project, number, "words"), head.as_ref()).unwrap();
        assert_eq!(store.append(&entry).await.unwrap(), Appended::Written);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_has_every_entry_there_was_and_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("log.sqlite")).await.unwrap();
    append(&store, 5).await;
    let to = directory.path().join("copy.sqlite");
    store.back_up(&to, Vec::new()).await.unwrap();
    append(&store, 2).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let copy = SqliteStore::open(&to).await.unwrap();
    let project = ProjectId::parse("shop").unwrap();
    let head = verify_log(&copy, &project, []).await.unwrap().head.unwrap();
    assert_eq!(head.seq, 5);
    append(&copy, 1).await;
    assert_eq!(store.head(&project).await.unwrap().unwrap().seq, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_announces_no_more_than_the_bucket_it_is_kept_with() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let store = SqliteStore::open(&path).await.unwrap();
    let rows = Connection::open(&path).unwrap();
    for (environment, announced) in [("behind", 9), ("even", 4), ("ahead", 3), ("lost", 7)] {
        rows.execute(
            "INSERT INTO publication (project, environment, view, serial, covered_seq, wanted_seq, announced_serial, \
             lease_holder, lease_until_ms) VALUES ('shop', ?1, 'server', 0, 0, 0, ?2, 'somebody', 99)",
            (environment, announced),
        )
        .unwrap();
    }
    let to = directory.path().join("copy.sqlite");
    let kept = vec![(stream("behind"), 8), (stream("even"), 4), (stream("ahead"), 5)];
    store.back_up(&to, kept).await.unwrap();
    let copy = Connection::open(&to).unwrap();
    let mut statement = copy
        .prepare("SELECT environment, announced_serial, lease_holder FROM publication ORDER BY 1")
        .unwrap();
    let all: Vec<(String, i64, Option<String>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let all: Vec<_> =
        all.iter().map(|(name, serial, lease)| (name.as_str(), *serial, lease.as_deref())).collect();
    assert_eq!(all, [("ahead", 3, None), ("behind", 8, None), ("even", 4, None), ("lost", 0, None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_there_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("log.sqlite")).await.unwrap();
    let to = directory.path().join("mine");
    std::fs::write(&to, "mine").unwrap();
    let refused = store.back_up(&to, Vec::new()).await.unwrap_err();
    assert!(matches!(refused, StorageError::ReadOnly { .. }), "{refused}");
    assert_eq!(std::fs::read(&to).unwrap(), b"mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sqlite");
    let store = SqliteStore::open(&path).await.unwrap();
    append(&store, 50).await;
    store.quick_check().await.unwrap();
    let to = directory.path().join("copy.sqlite");
    store.back_up(&to, Vec::new()).await.unwrap();
    let mut bytes = std::fs::read(&to).unwrap();
    let end = bytes.len();
    bytes[end - 4096..].fill(0xA5);
    std::fs::write(&to, bytes).unwrap();
    let damaged = SqliteStore::open_read_only(&to).await.unwrap().quick_check().await.unwrap_err();
    assert_eq!(damaged.code(), "storage-damaged");
}
