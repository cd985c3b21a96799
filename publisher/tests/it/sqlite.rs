//! The SQLite file: both suites, several handles on one file, and every file that is not ours.

use std::path::Path;
use std::sync::Arc;

use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;
use flagstone_publisher::checkpoint::{Checkpoints as _, Mark};
use flagstone_publisher::log::conformance::draft;
use flagstone_publisher::log::verify::{VerifyError, verify_log};
use flagstone_publisher::log::{self, Appended, ChangeLog, Damage, Entry, LogError};
use flagstone_publisher::publication::{self, PublicationError, Publications};
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::storage::StorageError;
use rusqlite::Connection;

fn shop() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

/// Opens a handle with connections of its own: what another process would have.
fn handle(path: &Path) -> Arc<SqliteStore> {
    let open = SqliteStore::open(path);
    Arc::new(tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_log_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let store = handle(&directory.path().join("data.sqlite"));
    log::conformance::run(&|| Arc::clone(&store) as Arc<dyn ChangeLog>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_log_conforms_with_several_handles_on_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let handles: Vec<_> = (0..4).map(|_| handle(&path)).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    log::conformance::run(&|| {
        let turn = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Arc::clone(&handles[turn % handles.len()]) as Arc<dyn ChangeLog>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_items_conform() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let handles: Vec<_> = (0..4).map(|_| handle(&path)).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    publication::conformance::run(&|| {
        let turn = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Arc::clone(&handles[turn % handles.len()]) as Arc<dyn Publications>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_first_starts_make_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let racers: Vec<_> = (0..8).map(|_| tokio::spawn(SqliteStore::open(path.clone()))).collect();
    for racer in racers {
        racer.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_there_for_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let entry = Entry::seal(draft(&shop(), 1, "words"), None).unwrap();
    assert_eq!(handle(&path).append(&entry).await.unwrap(), Appended::Written);
    assert_eq!(ChangeLog::read(&*handle(&path), &shop(), 0, 10).await.unwrap(), [entry]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for file in std::fs::read_dir(directory.path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
        }
    }
}

async fn refusal(path: &Path) -> StorageError {
    let before = std::fs::read(path).ok();
    let error = SqliteStore::open(path).await.unwrap_err();
    assert_eq!(std::fs::read(path).ok(), before, "a refused file was changed");
    error
}

#[tokio::test]
async fn a_foreign_file_is_one_clear_error_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "these are my notes, not a database\n".repeat(50)).unwrap();
    let error = refusal(&text).await;
    assert!(matches!(error, StorageError::Foreign { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("{} is not a Flagstone data file", text.display()));

    let other = directory.path().join("other.sqlite");
    let connection = Connection::open(&other).unwrap();
    connection.execute_batch("CREATE TABLE cookies (name TEXT)").unwrap();
    drop(connection);
    assert_eq!(refusal(&other).await.code(), "foreign-file");

    let marked = directory.path().join("marked.sqlite");
    let connection = Connection::open(&marked).unwrap();
    connection.execute_batch("PRAGMA application_id = 252006674; CREATE TABLE t (x)").unwrap();
    drop(connection);
    assert_eq!(refusal(&marked).await.code(), "foreign-file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_later_release_is_one_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    drop(handle(&path));
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, StorageError::Newer { found: 99, known: 4, .. }), "{error:?}");
}

/// The tables of layout 1, as the release that wrote it made them.
const LAYOUT_1: &str = "
CREATE TABLE entry (
    project TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    header BLOB NOT NULL,
    salt BLOB,
    data BLOB,
    PRIMARY KEY (project, seq)
) STRICT;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
CREATE TRIGGER entry_is_only_erased BEFORE UPDATE ON entry
WHEN NEW.project IS NOT OLD.project OR NEW.seq IS NOT OLD.seq OR NEW.hash IS NOT OLD.hash
    OR NEW.header IS NOT OLD.header OR NEW.salt IS NOT NULL OR NEW.data IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TABLE publication (
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    view TEXT NOT NULL,
    serial INTEGER NOT NULL,
    claim BLOB,
    covered_seq INTEGER NOT NULL,
    covered_hash BLOB,
    wanted_seq INTEGER NOT NULL,
    announced_serial INTEGER NOT NULL,
    lease_holder TEXT,
    lease_until_ms INTEGER,
    PRIMARY KEY (project, environment, view)
) STRICT;
INSERT INTO publication VALUES ('shop', 'production', 'server', 0, NULL, 0, NULL, 7, 0, NULL, NULL);
PRAGMA application_id = 1179404115;
PRAGMA user_version = 1;
";

/// What layout 2 added, with a checkpoint that was forgotten: its pointer stays.
const LAYOUT_2: &str = "
CREATE TABLE checkpoint (
    project TEXT NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    size INTEGER NOT NULL,
    raw_size INTEGER NOT NULL,
    stored BLOB NOT NULL,
    PRIMARY KEY (project, seq)
) STRICT;
CREATE TABLE checkpoint_pointer (
    project TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO checkpoint VALUES ('shop', 2, zeroblob(32), 5, zeroblob(32), 3, 9, x'010203');
INSERT INTO checkpoint_pointer VALUES ('shop', 4);
PRAGMA user_version = 2;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_earlier_layouts_keep_what_they_have_and_get_what_they_lack() {
    let one = Entry::seal(draft(&shop(), 1, "one"), None).unwrap();
    let two = Entry::seal(draft(&shop(), 2, "two"), Some(&one.head())).unwrap();
    let three = Entry::seal(draft(&shop(), 3, "three"), Some(&two.head())).unwrap();
    for layout in 1..=2 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
        connection.execute_batch(LAYOUT_1).unwrap();
        if layout == 2 {
            connection.execute_batch(LAYOUT_2).unwrap();
        }
        for entry in [&one, &two] {
            let data = entry.data.as_ref().unwrap();
            let row = (
                "shop",
                entry.seq().cast_signed(),
                entry.hash.as_bytes(),
                &entry.header_bytes,
                data.salt,
                &data.bytes,
            );
            connection.execute("INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row).unwrap();
        }
        drop(connection);

        let read_only = SqliteStore::open_read_only(&path).await.unwrap();
        assert_eq!(read_only.marks(&shop()).await.unwrap().len(), layout - 1);
        assert_eq!(verify_log(&read_only, &shop(), []).await.unwrap().head, Some(two.head()));
        drop(read_only);

        let store = handle(&path);
        assert_eq!(ChangeLog::read(&*store, &shop(), 0, 10).await.unwrap(), [one.clone(), two.clone()]);
        let stream = publication::conformance::stream("production");
        let stream = flagstone_bundle::manifest::Stream { project: shop(), ..stream };
        assert_eq!(Publications::read(&*store, &stream).await.unwrap().wanted_seq, 7);
        assert_eq!(store.append(&three).await.unwrap(), Appended::Written);
        let marks = store.marks(&shop()).await.unwrap();
        assert_eq!(marks.iter().map(Mark::seq).collect::<Vec<_>>(), [2][..layout - 1]);
        let mark = Mark {
            head: three.head(),
            object: StoredObject {
                encoding: Encoding::Zstd,
                sha256: Digest::from_bytes([1; 32]),
                size: 1,
                raw_size: 1,
            },
        };
        assert_eq!(store.keep(&shop(), &mark, b"x").await.unwrap(), layout == 1, "the pointer is at 4");
        assert_eq!(access_tables(&path), (4, 2));
        drop(store);
        // Once more is nothing; a layout that is not known yet is left alone.
        assert_eq!(
            ChangeLog::read(&*handle(&path), &shop(), 2, 10).await.unwrap(),
            std::slice::from_ref(&three)
        );
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA user_version = 5; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        drop(connection);
        assert_eq!(refusal(&path).await.code(), "newer-file");
    }
}

/// The layout of a file, and how many tables of layout 3 it has.
fn access_tables(path: &Path) -> (i64, i64) {
    let connection = Connection::open(path).unwrap();
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let tables =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('access', 'access_total')";
    (number("PRAGMA user_version"), number(tables))
}

#[tokio::test]
async fn a_place_without_a_directory_is_one_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(directory.path().join("none/data.sqlite")).await.unwrap_err();
    assert_eq!(error.code(), "storage-read-only");
}

/// What somebody with a SQLite shell can do, who also removes the triggers.
fn tamper(path: &Path, sql: &str) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("DROP TRIGGER IF EXISTS entry_stays; DROP TRIGGER IF EXISTS entry_is_only_erased;")
        .unwrap();
    connection.execute_batch(sql).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_is_named_and_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let store = handle(&path);
    let first = Entry::seal(draft(&shop(), 1, "one"), None).unwrap();
    let second = Entry::seal(draft(&shop(), 2, "two"), Some(&first.head())).unwrap();
    store.append(&first).await.unwrap();
    store.append(&second).await.unwrap();
    tamper(
        &path,
        "UPDATE entry SET header = CAST(replace(CAST(header AS TEXT), 'suite', 'Suite') AS BLOB) WHERE seq = 2",
    );

    let proved = verify_log(&*store, &shop(), []).await.unwrap_err();
    assert!(
        matches!(proved, VerifyError::Fault(ref fault) if fault.seq == 2 && fault.what == Damage::Link),
        "{proved}"
    );

    tamper(&path, "UPDATE entry SET data = x'7b7d' WHERE seq = 2");
    for error in [
        store.head(&shop()).await.unwrap_err(),
        store.append(&second).await.unwrap_err(),
        store.entry(&shop(), 2).await.unwrap_err(),
        ChangeLog::read(&*store, &shop(), 0, 10).await.unwrap_err(),
    ] {
        assert!(matches!(error, LogError::Corrupt { seq: 2, what: Damage::Data, .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "entry 2 of project shop is damaged: its data is not what its header commits to"
        );
    }
    let third = Entry::seal(draft(&shop(), 3, "three"), Some(&second.head())).unwrap();
    assert_eq!(store.append(&third).await.unwrap_err().code(), "log-corrupt", "appended to a damaged log");
    assert_eq!(store.entry(&shop(), 1).await.unwrap(), Some(first));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_itself_refuses_to_change_or_delete_entries() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let store = handle(&path);
    store.append(&Entry::seal(draft(&shop(), 1, "one"), None).unwrap()).await.unwrap();
    let connection = Connection::open(&path).unwrap();
    for sql in [
        "DELETE FROM entry",
        "UPDATE entry SET header = x'00'",
        "UPDATE entry SET seq = 9",
        "UPDATE entry SET data = x'00'",
    ] {
        assert!(connection.execute_batch(sql).is_err(), "{sql}");
    }
    connection.execute_batch("UPDATE entry SET salt = NULL, data = NULL").unwrap();
    assert_eq!(store.entry(&shop(), 1).await.unwrap().unwrap().data, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_item_is_named_and_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let store = handle(&path);
    let stream = publication::conformance::stream("production");
    store.want(&stream, 1).await.unwrap();
    tamper(&path, "UPDATE publication SET claim = x'7b7d', serial = 1");
    let error = Publications::read(&*store, &stream).await.unwrap_err();
    assert!(matches!(error, PublicationError::Corrupt { what: "claim", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_torn_pages_is_damaged_and_not_foreign() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data.sqlite");
    let store = handle(&path);
    let mut head = None;
    for number in 1..=50 {
        let entry = Entry::seal(draft(&shop(), number, &"w".repeat(2_000)), head.as_ref()).unwrap();
        store.append(&entry).await.unwrap();
        head = Some(entry.head());
    }
    drop(store);
    Connection::open(&path).unwrap().pragma_update(None, "wal_checkpoint", "TRUNCATE").ok();
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in &mut bytes[4096..] {
        *byte = 0xa5;
    }
    std::fs::write(&path, bytes).unwrap();
    let error = match SqliteStore::open(&path).await {
        Ok(store) => verify_log(&store, &shop(), []).await.unwrap_err().code().to_owned(),
        Err(error) => error.code().to_owned(),
    };
    assert_eq!(error, "storage-damaged");
}
