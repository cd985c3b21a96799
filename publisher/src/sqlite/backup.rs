//! A copy of the file while it is used, and a look at whether it is whole.

use std::fs::File;
use std::path::{Path, PathBuf};

use flagstone_bundle::manifest::Stream;
use rusqlite::{Connection, params};

use super::{Faults, SqliteStore, connect_read_only, finished};
use crate::private;
use crate::storage::StorageError;

impl SqliteStore {
    /// Copies everything, as it is at one moment, into a new file for its owner only. Others go on writing meanwhile.
    ///
    /// `announced` is the serial of each manifest in the bucket that is kept with the copy. It was read before, so that
    /// the copied log covers it; what the items say to be announced beyond it is pending in the copy, and whoever opens
    /// the copy announces it anew. Leases stay behind.
    ///
    /// `VACUUM INTO` reads in one transaction and, other than a copy page by page, leaves out what was erased.
    ///
    /// # Errors
    ///
    /// [`StorageError::ReadOnly`] where `to` exists or cannot be made, [`StorageError::Full`] without room; what was
    /// begun of the copy is then left to the caller.
    pub async fn back_up(
        &self,
        to: impl Into<PathBuf>,
        announced: Vec<(Stream, u64)>,
    ) -> Result<(), StorageError> {
        let (from, to) = (self.path().to_path_buf(), to.into());
        finished(tokio::task::spawn_blocking(move || copy(&from, &to, &announced)).await)
    }

    /// Looks whether the file is whole: pages, order of rows, and indexes.
    ///
    /// # Errors
    ///
    /// [`StorageError::Damaged`] with the first thing that is wrong.
    pub async fn quick_check(&self) -> Result<(), StorageError> {
        self.read(|connection, faults| {
            let said: String = connection
                .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
                .map_err(|error| faults.of(error))?;
            if said == "ok" {
                return Ok(());
            }
            Err(StorageError::Damaged { path: faults.path.to_path_buf(), source: said.into() })
        })
        .await
    }
}

fn copy(from: &Path, to: &Path, announced: &[(Stream, u64)]) -> Result<(), StorageError> {
    let unwritable =
        |source: std::io::Error| StorageError::ReadOnly { path: to.to_path_buf(), source: source.into() };
    // SQLite takes an empty file that is there, and leaves its mode alone.
    drop(private::options().create_new(true).open(to).map_err(unwritable)?);
    let faults = Faults { path: to };
    let fault = |error| faults.of(error);
    let name = to.to_str().ok_or_else(|| unwritable(std::io::Error::other("the path is no UTF-8")))?;
    connect_read_only(from)?.execute("VACUUM INTO ?1", [name]).map_err(fault)?;
    let copy = Connection::open(to).map_err(fault)?;
    settle(&copy, announced).map_err(fault)?;
    copy.close().map_err(|(_, error)| faults.of(error))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(unwritable)
}

/// Sets the items to what the kept bucket announces.
fn settle(copy: &Connection, announced: &[(Stream, u64)]) -> rusqlite::Result<()> {
    copy.execute_batch(
        "CREATE TEMP TABLE kept (project TEXT, environment TEXT, view TEXT, serial INTEGER) STRICT",
    )?;
    for (stream, serial) in announced {
        let serial = i64::try_from(*serial).unwrap_or(i64::MAX);
        copy.execute(
            "INSERT INTO kept VALUES (?1, ?2, ?3, ?4)",
            params![stream.project.as_str(), stream.environment.as_str(), stream.view.as_str(), serial],
        )?;
    }
    copy.execute_batch(
        "UPDATE publication SET lease_holder = NULL, lease_until_ms = NULL, announced_serial = min(
             announced_serial,
             coalesce((SELECT kept.serial FROM kept WHERE kept.project = publication.project
                 AND kept.environment = publication.environment AND kept.view = publication.view), 0))",
    )
}
