//! Checkpoints in SQLite.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;
use rusqlite::{OptionalExtension as _, params};

use super::SqliteStore;
use crate::checkpoint::{CheckpointError, Checkpoints, Mark};
use crate::log::Head;

/// Seq, hash, time, digest, stored and unpacked size.
type Row = (i64, Vec<u8>, i64, Vec<u8>, i64, i64);

/// A number as SQLite keeps it. A seq is at most 2⁵³−1.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn read_mark(project: &ProjectId, row: &Row) -> Result<Mark, CheckpointError> {
    let (seq, hash, time_ms, sha256, size, raw_size) = row;
    let digest = |bytes: &[u8]| Some(Digest::from_bytes(bytes.try_into().ok()?));
    let natural = |number: i64| u64::try_from(number).ok();
    let read = || {
        let head = Head { seq: natural(*seq)?, hash: digest(hash)?, time_ms: *time_ms };
        let (sha256, size, raw_size) = (digest(sha256)?, natural(*size)?, natural(*raw_size)?);
        Some(Mark { head, object: StoredObject { encoding: Encoding::Zstd, sha256, size, raw_size } })
    };
    read().ok_or_else(|| CheckpointError::Corrupt { project: project.clone(), seq: seq.cast_unsigned() })
}

#[async_trait]
impl Checkpoints for SqliteStore {
    async fn keep(&self, project: &ProjectId, mark: &Mark, stored: &[u8]) -> Result<bool, CheckpointError> {
        let (project, mark, stored) = (project.clone(), *mark, stored.to_vec());
        self.write(move |connection, faults| {
            let keep = || {
                let moved = connection
                    .prepare_cached(
                        "INSERT INTO checkpoint_pointer (project, seq) VALUES (?1, ?2) \
                         ON CONFLICT (project) DO UPDATE SET seq = excluded.seq WHERE seq < excluded.seq",
                    )?
                    .execute((project.as_str(), integer(mark.seq())))?;
                if moved == 0 {
                    return Ok(false);
                }
                connection
                    .prepare_cached(
                        "INSERT INTO checkpoint (project, seq, hash, time_ms, sha256, size, raw_size, stored) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    )?
                    .execute(params![
                        project.as_str(),
                        integer(mark.seq()),
                        mark.head.hash.as_bytes(),
                        mark.head.time_ms,
                        mark.object.sha256.as_bytes(),
                        integer(mark.object.size),
                        integer(mark.object.raw_size),
                        stored,
                    ])?;
                Ok(true)
            };
            keep().map_err(|error| faults.of(error).into())
        })
        .await
    }

    async fn marks(&self, project: &ProjectId) -> Result<Vec<Mark>, CheckpointError> {
        let project = project.clone();
        self.read(move |connection, faults| {
            // A file of layout 1 that is only read has none.
            if !faults.has_table(connection, "checkpoint")? {
                return Ok(Vec::new());
            }
            let rows: Vec<Row> = connection
                .prepare_cached(
                    "SELECT seq, hash, time_ms, sha256, size, raw_size FROM checkpoint \
                     WHERE project = ?1 ORDER BY seq",
                )
                .and_then(|mut marks| marks.query_map([project.as_str()], |row| row.try_into())?.collect())
                .map_err(|error| faults.of(error))?;
            rows.iter().map(|row| read_mark(&project, row)).collect()
        })
        .await
    }

    async fn stored(&self, project: &ProjectId, seq: u64) -> Result<Option<Vec<u8>>, CheckpointError> {
        let project = project.clone();
        self.read(move |connection, faults| {
            connection
                .prepare_cached("SELECT stored FROM checkpoint WHERE project = ?1 AND seq = ?2")
                .and_then(|mut found| {
                    found.query_row((project.as_str(), integer(seq)), |row| row.get(0)).optional()
                })
                .map_err(|error| faults.of(error).into())
        })
        .await
    }

    async fn forget(&self, project: &ProjectId, seqs: RangeInclusive<u64>) -> Result<(), CheckpointError> {
        let project = project.clone();
        let (from, through) = (integer(*seqs.start()), integer(*seqs.end()));
        self.write(move |connection, faults| {
            connection
                .prepare_cached("DELETE FROM checkpoint WHERE project = ?1 AND seq BETWEEN ?2 AND ?3")
                .and_then(|mut delete| delete.execute((project.as_str(), from, through)))
                .and_then(|_| {
                    connection.prepare_cached(
                        "INSERT INTO checkpoint_pointer (project, seq) VALUES (?1, ?2) \
                         ON CONFLICT (project) DO UPDATE SET seq = excluded.seq WHERE seq < excluded.seq",
                    )
                })
                .and_then(|mut raise| raise.execute((project.as_str(), through)))
                .map(drop)
                .map_err(|error| faults.of(error).into())
        })
        .await
    }
}
