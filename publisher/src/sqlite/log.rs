//! The change log in SQLite.

use async_trait::async_trait;
use flagstone_model::key::ProjectId;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Faults, SqliteStore};
use crate::log::{Appended, ChangeLog, Entry, Head, LogError, ReadBudget, StoredEntry, follows, met};

const COLUMNS: &str = "SELECT seq, hash, header, salt, data FROM entry WHERE project = ?1";

fn row(row: &Row<'_>) -> rusqlite::Result<(i64, StoredEntry)> {
    let stored = StoredEntry { hash: row.get(1)?, header: row.get(2)?, salt: row.get(3)?, data: row.get(4)? };
    Ok((row.get(0)?, stored))
}

fn checked(project: &ProjectId, (seq, row): (i64, StoredEntry)) -> Result<Entry, LogError> {
    let seq = seq.cast_unsigned();
    Entry::read(project, seq, row).map_err(|what| LogError::Corrupt { project: project.clone(), seq, what })
}

/// A seq as SQLite keeps it. A header's is at most 2⁵³−1.
fn integer(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn entry(
    connection: &Connection,
    faults: &Faults<'_>,
    project: &ProjectId,
    seq: u64,
) -> Result<Option<Entry>, LogError> {
    connection
        .prepare_cached(&format!("{COLUMNS} AND seq = ?2"))
        .and_then(|mut found| found.query_row((project.as_str(), integer(seq)), row).optional())
        .map_err(|error| faults.of(error))?
        .map(|found| checked(project, found))
        .transpose()
}

fn head(connection: &Connection, faults: &Faults<'_>, project: &ProjectId) -> Result<Option<Head>, LogError> {
    connection
        .prepare_cached(&format!("{COLUMNS} ORDER BY seq DESC LIMIT 1"))
        .and_then(|mut last| last.query_row([project.as_str()], row).optional())
        .map_err(|error| faults.of(error))?
        .map(|last| checked(project, last).map(|entry| entry.head()))
        .transpose()
}

#[async_trait]
impl ChangeLog for SqliteStore {
    async fn append(&self, entry: &Entry) -> Result<Appended, LogError> {
        let offered = entry.clone();
        self.write(move |connection, faults| {
            let (project, seq) = (&offered.header.project, offered.seq());
            if let Some(existing) = self::entry(connection, faults, project, seq)? {
                return Ok(met(&offered, existing));
            }
            let head = head(connection, faults, project)?;
            if !follows(&offered, head.as_ref()) {
                let head = head.map_or(0, |head| head.seq);
                return Err(LogError::NotNext { project: project.clone(), offered: seq, head });
            }
            let StoredEntry { hash, header, salt, data } = (&offered).into();
            connection
                .prepare_cached(
                    "INSERT INTO entry (project, seq, hash, header, salt, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )
                .and_then(|mut insert| {
                    insert.execute((project.as_str(), integer(seq), hash, header, salt, data))
                })
                .map_err(|error| faults.of(error))?;
            Ok(Appended::Written)
        })
        .await
    }

    async fn read(&self, project: &ProjectId, after_seq: u64, limit: usize) -> Result<Vec<Entry>, LogError> {
        let project = project.clone();
        self.read(move |connection, faults| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut budget = ReadBudget::new();
            let rows: Vec<_> = connection
                .prepare_cached(&format!("{COLUMNS} AND seq > ?2 ORDER BY seq LIMIT ?3"))
                .and_then(|mut tail| {
                    tail.query_map((project.as_str(), integer(after_seq), limit), row)?
                        .take_while(|row| row.as_ref().map_or(true, |(_, row)| budget.takes(row)))
                        .collect()
                })
                .map_err(|error| faults.of(error))?;
            rows.into_iter().map(|row| checked(&project, row)).collect()
        })
        .await
    }

    async fn head(&self, project: &ProjectId) -> Result<Option<Head>, LogError> {
        let project = project.clone();
        self.read(move |connection, faults| head(connection, faults, &project)).await
    }

    async fn entry(&self, project: &ProjectId, seq: u64) -> Result<Option<Entry>, LogError> {
        let project = project.clone();
        self.read(move |connection, faults| entry(connection, faults, &project, seq)).await
    }

    async fn erase(&self, project: &ProjectId, seq: u64) -> Result<(), LogError> {
        let project = project.clone();
        self.write(move |connection, faults| {
            connection
                .prepare_cached("UPDATE entry SET salt = NULL, data = NULL WHERE project = ?1 AND seq = ?2")
                .and_then(|mut erase| erase.execute((project.as_str(), integer(seq))))
                .map(drop)
                .map_err(|error| LogError::from(faults.of(error)))
        })
        .await?;
        // `secure_delete` overwrites what the file held; the write-ahead log has older pages until it is cut.
        Ok(self.cut_wal().await?)
    }
}
