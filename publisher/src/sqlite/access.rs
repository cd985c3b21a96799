//! The access log in SQLite.

use async_trait::async_trait;
use flagstone_model::key::{EnvironmentId, ProjectId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Faults, SqliteStore};
use crate::access::{Access, AccessLog, AccessRow, Bounds, REPEATS_MS};
use crate::storage::StorageError;

/// What layout 3 added. How many rows there are is kept, for counting them takes too long.
pub(super) const SCHEMA: &str = "
CREATE TABLE access (
    project TEXT NOT NULL,
    number INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    principal TEXT,
    via TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    environment TEXT,
    status INTEGER NOT NULL,
    code TEXT,
    request_id TEXT NOT NULL,
    seq INTEGER,
    PRIMARY KEY (project, number)
) STRICT;
CREATE INDEX access_repeats ON access (project, principal, route, first_ms);
CREATE INDEX access_anonymous ON access (project, number) WHERE principal IS NULL;
CREATE TABLE access_total (
    project TEXT NOT NULL PRIMARY KEY,
    newest INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    anonymous INTEGER NOT NULL
) STRICT;
";

const COLUMNS: &str = "number, first_ms, last_ms, count, principal, via, method, route, environment, status, code, \
                       request_id, seq";

/// A number as SQLite keeps it.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn row(row: &Row<'_>) -> rusqlite::Result<AccessRow> {
    // An environment is written by this file only; one that is none says nothing.
    let environment: Option<String> = row.get(8)?;
    let access = Access {
        time_ms: row.get(2)?,
        principal: row.get(4)?,
        via: row.get(5)?,
        method: row.get(6)?,
        route: row.get(7)?,
        environment: environment.and_then(|id| EnvironmentId::parse(&id).ok()),
        status: row.get(9)?,
        code: row.get(10)?,
        request_id: row.get(11)?,
        seq: row.get::<_, Option<i64>>(12)?.map(i64::cast_unsigned),
        count: row.get::<_, i64>(3)?.cast_unsigned(),
    };
    Ok(AccessRow { number: row.get::<_, i64>(0)?.cast_unsigned(), first_ms: row.get(1)?, access })
}

/// Adds to the row that this repeats; `false` if there is none.
fn repeat(connection: &Connection, project: &str, access: &Access) -> rusqlite::Result<bool> {
    if access.seq.is_some() {
        return Ok(false);
    }
    let mut found = connection.prepare_cached(
        "SELECT number FROM access WHERE project = ?1 AND principal IS ?2 AND route = ?3 AND first_ms <= ?4 \
         AND first_ms > ?5 AND method = ?6 AND status = ?7 AND code IS ?8 AND seq IS NULL \
         ORDER BY number DESC LIMIT 1",
    )?;
    let earliest = access.time_ms.saturating_sub(REPEATS_MS);
    let number: Option<i64> = found
        .query_row(
            params![
                project,
                access.principal,
                access.route,
                access.time_ms,
                earliest,
                access.method,
                access.status,
                access.code
            ],
            |row| row.get(0),
        )
        .optional()?;
    let Some(number) = number else { return Ok(false) };
    connection
        .prepare_cached(
            "UPDATE access SET last_ms = ?3, count = count + ?4, via = ?5, environment = ?6, request_id = ?7 \
             WHERE project = ?1 AND number = ?2",
        )?
        .execute(params![
            project,
            number,
            access.time_ms,
            integer(access.count),
            access.via,
            access.environment.as_ref().map(EnvironmentId::as_str),
            access.request_id,
        ])?;
    Ok(true)
}

fn insert(connection: &Connection, project: &str, access: &Access) -> rusqlite::Result<(i64, i64)> {
    let (number, rows, anonymous): (i64, i64, i64) = connection
        .prepare_cached(
            "INSERT INTO access_total (project, newest, rows, anonymous) VALUES (?1, 1, 1, ?2) \
             ON CONFLICT DO UPDATE SET newest = newest + 1, rows = rows + 1, anonymous = anonymous + ?2 \
             RETURNING newest, rows, anonymous",
        )?
        .query_row(params![project, i64::from(access.principal.is_none())], |row| row.try_into())?;
    connection
        .prepare_cached(&format!(
            "INSERT INTO access (project, {COLUMNS}) VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        ))?
        .execute(params![
            project,
            number,
            access.time_ms,
            integer(access.count),
            access.principal,
            access.via,
            access.method,
            access.route,
            access.environment.as_ref().map(EnvironmentId::as_str),
            access.status,
            access.code,
            access.request_id,
            access.seq.map(integer),
        ])?;
    Ok((rows, anonymous))
}

/// Takes the oldest rows away that are too many.
fn shorten(
    connection: &Connection,
    project: &str,
    (rows, anonymous): (i64, i64),
    bounds: Bounds,
) -> rusqlite::Result<()> {
    let surplus = anonymous.saturating_sub(integer(bounds.anonymous)).max(0);
    let mut gone = 0;
    if surplus > 0 {
        gone = surplus;
        connection
            .prepare_cached(
                "DELETE FROM access WHERE project = ?1 AND number IN (SELECT number FROM access \
                 WHERE project = ?1 AND principal IS NULL ORDER BY number LIMIT ?2)",
            )?
            .execute(params![project, surplus])?;
    }
    let rest = rows.saturating_sub(gone).saturating_sub(integer(bounds.rows)).max(0);
    let mut anonymous_gone = gone;
    if rest > 0 {
        let mut oldest = connection.prepare_cached(
            "DELETE FROM access WHERE project = ?1 AND number IN (SELECT number FROM access \
             WHERE project = ?1 ORDER BY number LIMIT ?2) RETURNING principal IS NULL",
        )?;
        let taken = oldest.query_map(params![project, rest], |row| row.get::<_, i64>(0))?;
        for was_anonymous in taken {
            anonymous_gone = anonymous_gone.saturating_add(was_anonymous?);
        }
    }
    if surplus > 0 || rest > 0 {
        connection
            .prepare_cached(
                "UPDATE access_total SET rows = rows - ?2, anonymous = anonymous - ?3 WHERE project = ?1",
            )?
            .execute(params![project, gone.saturating_add(rest), anonymous_gone])?;
    }
    Ok(())
}

#[async_trait]
impl AccessLog for SqliteStore {
    async fn record(&self, project: &ProjectId, access: &Access, bounds: Bounds) -> Result<(), StorageError> {
        let (project, access) = (project.clone(), access.clone());
        self.write(move |connection, faults: &Faults<'_>| {
            let project = project.as_str();
            let done = repeat(connection, project, &access).and_then(|is_repeat| {
                if is_repeat {
                    return Ok(());
                }
                let counts = insert(connection, project, &access)?;
                shorten(connection, project, counts, bounds)
            });
            done.map_err(|error| faults.of(error))
        })
        .await
    }

    async fn read(
        &self,
        project: &ProjectId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AccessRow>, StorageError> {
        let project = project.clone();
        self.read(move |connection, faults| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let sql = format!(
                "SELECT {COLUMNS} FROM access WHERE project = ?1 AND number > ?2 ORDER BY number LIMIT ?3"
            );
            connection
                .prepare_cached(&sql)
                .and_then(|mut rows| {
                    rows.query_map(params![project.as_str(), integer(after), limit], row)?.collect()
                })
                .map_err(|error| faults.of(error))
        })
        .await
    }

    async fn newest(&self, project: &ProjectId) -> Result<u64, StorageError> {
        let project = project.clone();
        self.read(move |connection, faults| {
            let newest: Option<i64> = connection
                .prepare_cached("SELECT newest FROM access_total WHERE project = ?1")
                .and_then(|mut total| total.query_row([project.as_str()], |row| row.get(0)).optional())
                .map_err(|error| faults.of(error))?;
            Ok(newest.map_or(0, i64::cast_unsigned))
        })
        .await
    }
}
