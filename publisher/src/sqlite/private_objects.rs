//! Private objects in SQLite, in the file of the log: a copy of it has them all.

use async_trait::async_trait;
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;
use rusqlite::OptionalExtension as _;

use super::SqliteStore;
use crate::private_object::PrivateObjects;
use crate::storage::StorageError;

/// What layout 4 added.
pub(super) const SCHEMA: &str = "
CREATE TABLE private_object (
    project TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    kept_ms INTEGER NOT NULL,
    stored BLOB NOT NULL,
    PRIMARY KEY (project, sha256)
) STRICT;
";

#[async_trait]
impl PrivateObjects for SqliteStore {
    async fn keep(
        &self,
        project: &ProjectId,
        sha256: &Digest,
        stored: &[u8],
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let (project, sha256, stored) = (project.clone(), *sha256, stored.to_vec());
        self.write(move |connection, faults| {
            connection
                .prepare_cached(
                    "INSERT INTO private_object (project, sha256, kept_ms, stored) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (project, sha256) DO UPDATE SET \
                     kept_ms = max(kept_ms, excluded.kept_ms), stored = excluded.stored",
                )
                .and_then(|mut keep| keep.execute((project.as_str(), sha256.as_bytes(), now_ms, stored)))
                .map(drop)
                .map_err(|error| faults.of(error))
        })
        .await
    }

    async fn stored(&self, project: &ProjectId, sha256: &Digest) -> Result<Option<Vec<u8>>, StorageError> {
        let (project, sha256) = (project.clone(), *sha256);
        self.read(move |connection, faults| {
            if !faults.has_table(connection, "private_object")? {
                return Ok(None);
            }
            connection
                .prepare_cached("SELECT stored FROM private_object WHERE project = ?1 AND sha256 = ?2")
                .and_then(|mut found| {
                    found.query_row((project.as_str(), sha256.as_bytes()), |row| row.get(0)).optional()
                })
                .map_err(|error| faults.of(error))
        })
        .await
    }

    async fn all(&self, project: &ProjectId) -> Result<Vec<(Digest, i64)>, StorageError> {
        let project = project.clone();
        self.read(move |connection, faults| {
            if !faults.has_table(connection, "private_object")? {
                return Ok(Vec::new());
            }
            let rows: Vec<(Vec<u8>, i64)> = connection
                .prepare_cached(
                    "SELECT sha256, kept_ms FROM private_object WHERE project = ?1 ORDER BY sha256",
                )
                .and_then(|mut all| all.query_map([project.as_str()], |row| row.try_into())?.collect())
                .map_err(|error| faults.of(error))?;
            // A name that is no digest is nobody's: no entry can name it.
            let named = |(sha256, kept_ms): (Vec<u8>, i64)| {
                Some((Digest::from_bytes(sha256.as_slice().try_into().ok()?), kept_ms))
            };
            Ok(rows.into_iter().filter_map(named).collect())
        })
        .await
    }

    async fn forget(&self, project: &ProjectId, sha256: &Digest, before_ms: i64) -> Result<(), StorageError> {
        let (project, sha256) = (project.clone(), *sha256);
        self.write(move |connection, faults| {
            connection
                .prepare_cached(
                    "DELETE FROM private_object WHERE project = ?1 AND sha256 = ?2 AND kept_ms < ?3",
                )
                .and_then(|mut forget| forget.execute((project.as_str(), sha256.as_bytes(), before_ms)))
                .map(drop)
                .map_err(|error| faults.of(error))
        })
        .await?;
        // `secure_delete` overwrites what the file held; the write-ahead log has older pages until it is cut.
        self.cut_wal().await
    }
}
