//! The embedded store of records: change log, publication items, checkpoints, and private objects in one SQLite file.
//!
//! One file, several processes. Write-ahead logging lets readers go on while one writes; `synchronous=FULL`, set and
//! read back on every connection, makes what was acknowledged survive a power cut. The file carries an application id
//! and a layout number, so that a foreign file or one of a later release is one clear error and stays untouched.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::private;
use crate::storage::StorageError;

mod access;
mod backup;
mod checkpoints;
mod log;
mod private_objects;
mod publications;

/// `FLGS`: what marks a file as ours.
const APPLICATION_ID: i64 = 0x464c_4753;
/// The layout this release writes. A file of an earlier one is brought to it when it is opened for writing.
const LAYOUT: i64 = 4;
/// How long a statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
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
";

/// What layout 2 added.
const CHECKPOINTS: &str = "
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
";

/// What each layout added, in order: a file of an earlier one gets what it lacks.
const MIGRATIONS: [(i64, &str); 4] =
    [(1, SCHEMA), (2, CHECKPOINTS), (3, access::SCHEMA), (4, private_objects::SCHEMA)];

/// Change log, publication items, checkpoints, and private objects in one SQLite file.
///
/// Cheap to clone: clones share their two connections, one that writes and one that reads.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the file, or makes it, readable for its owner only.
    ///
    /// # Errors
    ///
    /// [`StorageError::Foreign`], [`StorageError::Newer`], [`StorageError::ReadOnly`], and [`StorageError::Damaged`]
    /// leave the file as it was found.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let path = path.into();
        finished(
            tokio::task::spawn_blocking(move || {
                let _turn = opening_turn(&path)?;
                let writer = connect(&path)?;
                let reader = connect(&path)?;
                let shared = Shared { path, writer: Mutex::new(writer), reader: Mutex::new(reader) };
                Ok(Self { shared: Arc::new(shared) })
            })
            .await,
        )
    }

    /// Opens a file that is there, to read it and nothing else: for audits. What is asked to write fails.
    ///
    /// Where nobody has the file open it is read as one that stays as it is, so that nothing is made beside it. Who
    /// reads it so has to look afterwards whether it stayed: there is a `-wal` beside it, or it changed.
    pub async fn open_read_only(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let path = path.into();
        finished(
            tokio::task::spawn_blocking(move || {
                let writer = connect_read_only(&path)?;
                let reader = connect_read_only(&path)?;
                let shared = Shared { path, writer: Mutex::new(writer), reader: Mutex::new(reader) };
                Ok(Self { shared: Arc::new(shared) })
            })
            .await,
        )
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Runs `work` in one immediate transaction, which is committed if it succeeds.
    async fn write<T: Send + 'static, E: From<StorageError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Faults<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let faults = Faults { path: &shared.path };
            let mut connection = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(|error| faults.of(error))?;
            let value = work(&transaction, &faults)?;
            transaction.commit().map_err(|error| faults.of(error))?;
            Ok(value)
        });
        finished(done.await)
    }

    /// Moves everything into the file and cuts the write-ahead log to nothing.
    async fn cut_wal(&self) -> Result<(), StorageError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let faults = Faults { path: &shared.path };
            let connection = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let busy: i64 = connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
                .map_err(|error| faults.of(error))?;
            if busy == 0 { Ok(()) } else { Err(StorageError::Busy) }
        });
        finished(done.await)
    }

    async fn read<T: Send + 'static, E: From<StorageError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Faults<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let connection = shared.reader.lock().unwrap_or_else(PoisonError::into_inner);
            work(&connection, &Faults { path: &shared.path })
        });
        finished(done.await)
    }
}

fn finished<T, E: From<StorageError>>(done: Result<Result<T, E>, tokio::task::JoinError>) -> Result<T, E> {
    done.unwrap_or_else(|stopped| Err(StorageError::Unavailable { source: stopped.into() }.into()))
}

/// Processes open a file one after the other, so that two cannot both find it new. The lock is freed with the handle.
fn opening_turn(path: &Path) -> Result<File, StorageError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let refused =
        |source: std::io::Error| StorageError::ReadOnly { path: path.to_path_buf(), source: source.into() };
    let file = private::lock_options().open(&name).map_err(refused)?;
    file.lock().map_err(refused)?;
    match private::options().create_new(true).open(path) {
        // An existing file is left alone: closing a handle of our own on it would drop the POSIX locks that any other
        // connection of this process holds.
        Err(exists) if exists.kind() == std::io::ErrorKind::AlreadyExists => Ok(file),
        Err(source) => Err(refused(source)),
        Ok(_) => Ok(file),
    }
}

fn connect(path: &Path) -> Result<Connection, StorageError> {
    let faults = Faults { path };
    let fault = |error| faults.of(error);
    let mut connection = Connection::open(path).map_err(fault)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fault)?;
    let number = |connection: &Connection, pragma: &str| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(fault)
    };
    // Whose file it is comes first: nothing is written to a foreign one, not even its journal mode.
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
    let layout = number(&connection, "user_version")?;
    let layout = match number(&connection, "application_id")? {
        APPLICATION_ID if layout > LAYOUT => {
            return Err(StorageError::Newer { path: path.to_path_buf(), found: layout, known: LAYOUT });
        }
        APPLICATION_ID => layout,
        0 if layout == 0 && tables == 0 => 0,
        _ => return Err(StorageError::Foreign { path: path.to_path_buf() }),
    };
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(fault)?;
    for (pragma, value) in
        [("synchronous", "FULL"), ("fullfsync", "ON"), ("trusted_schema", "OFF"), ("secure_delete", "ON")]
    {
        connection.pragma_update(None, pragma, value).map_err(fault)?;
    }
    let synchronous = number(&connection, "synchronous")?;
    if mode != "wal" || synchronous != 2 {
        let what =
            format!("journal_mode is {mode} and synchronous is {synchronous}, wanted wal and 2 (FULL)");
        return Err(StorageError::Unavailable { source: what.into() });
    }
    if layout < LAYOUT {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
        for (since, added) in MIGRATIONS {
            if layout < since {
                transaction.execute_batch(added).map_err(fault)?;
            }
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(fault)?;
        transaction.pragma_update(None, "user_version", LAYOUT).map_err(fault)?;
        transaction.commit().map_err(fault)?;
    }
    Ok(connection)
}

/// A connection that cannot write. Without a write-ahead log beside the file nobody has it open; reading it like a file
/// in use would make that log and its index, and leave them there.
fn connect_read_only(path: &Path) -> Result<Connection, StorageError> {
    let faults = Faults { path };
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let open = |query: &str| {
        let connection = Connection::open_with_flags(uri(path, query), flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let owner: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        Ok((connection, owner, layout))
    };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let query = if Path::new(&log).exists() { "mode=ro" } else { "mode=ro&immutable=1" };
    match open(query).map_err(|error| faults.of(error))? {
        (_, APPLICATION_ID, layout) if layout > LAYOUT => {
            Err(StorageError::Newer { path: path.to_path_buf(), found: layout, known: LAYOUT })
        }
        (connection, APPLICATION_ID, _) => Ok(connection),
        _ => Err(StorageError::Foreign { path: path.to_path_buf() }),
    }
}

/// The path as SQLite's URI.
fn uri(path: &Path, query: &str) -> String {
    let escaped: String = path
        .to_string_lossy()
        .chars()
        .map(|character| match character {
            '?' | '#' | '%' => format!("%{:02X}", u32::from(character)),
            other => other.to_string(),
        })
        .collect();
    format!("file:{escaped}?{query}")
}

/// Turns what SQLite says into what a caller can do about it.
struct Faults<'p> {
    path: &'p Path,
}

impl Faults<'_> {
    /// Whether the file has this table: one of an earlier layout that is only read may lack it.
    fn has_table(&self, connection: &Connection, name: &str) -> Result<bool, StorageError> {
        connection
            .prepare_cached("SELECT count(*) FROM sqlite_schema WHERE name = ?1")
            .and_then(|mut count| count.query_row([name], |row| row.get::<_, i64>(0)))
            .map(|count| count > 0)
            .map_err(|error| self.of(error))
    }

    fn of(&self, error: rusqlite::Error) -> StorageError {
        let path = || self.path.to_path_buf();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => StorageError::Foreign { path: path() },
            Some(ErrorCode::DatabaseCorrupt) => StorageError::Damaged { path: path(), source: error.into() },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                StorageError::ReadOnly { path: path(), source: error.into() }
            }
            Some(ErrorCode::DiskFull) => StorageError::Full { path: path() },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StorageError::Busy,
            _ => StorageError::Unavailable { source: error.into() },
        }
    }
}
