//! Publication items in SQLite.

use async_trait::async_trait;
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::digest::Digest;
use rusqlite::{Connection, OptionalExtension as _, Params, params};

use super::{Faults, SqliteStore};
use crate::publication::{Claim, Lease, Publication, PublicationError, Publications};

const KEY: &str = "project = ?1 AND environment = ?2 AND view = ?3";

type Row = (Option<Vec<u8>>, i64, Option<Vec<u8>>, i64, i64, Option<String>, Option<i64>, i64);

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn read_item(stream: &Stream, row: Row) -> Result<Publication, PublicationError> {
    let (claim, covered_seq, covered_hash, wanted_seq, announced, holder, until_ms, serial) = row;
    let corrupt = |what| PublicationError::Corrupt { stream: Box::new(stream.clone()), what };
    let claim = claim.map(|bytes| Claim::parse(&bytes).ok_or_else(|| corrupt("claim"))).transpose()?;
    if claim.as_ref().map_or(0, |claim| integer(claim.serial)) != serial {
        return Err(corrupt("serial"));
    }
    let covered = covered_hash
        .map(|hash| -> Result<LogHead, PublicationError> {
            let hash = hash.as_slice().try_into().map_err(|_| corrupt("covered hash"))?;
            let seq = u64::try_from(covered_seq).map_err(|_| corrupt("covered seq"))?;
            Ok(LogHead { seq, hash: Digest::from_bytes(hash) })
        })
        .transpose()?;
    Ok(Publication {
        claim,
        covered,
        wanted_seq: u64::try_from(wanted_seq).map_err(|_| corrupt("wanted seq"))?,
        announced_serial: u64::try_from(announced).map_err(|_| corrupt("announced serial"))?,
        lease: holder.zip(until_ms).map(|(holder, until_ms)| Lease { holder, until_ms }),
    })
}

/// Changes the item if the condition holds, after making sure that there is one.
fn change(
    connection: &Connection,
    faults: &Faults<'_>,
    stream: &Stream,
    sql: &str,
    parameters: impl Params,
) -> Result<bool, PublicationError> {
    let key = (stream.project.as_str(), stream.environment.as_str(), stream.view.as_str());
    let changed = connection
        .prepare_cached(
            "INSERT INTO publication (project, environment, view, serial, covered_seq, wanted_seq, announced_serial) \
             VALUES (?1, ?2, ?3, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
        )
        .and_then(|mut insert| insert.execute(key))
        .and_then(|_| connection.prepare_cached(sql))
        .and_then(|mut update| update.execute(parameters))
        .map_err(|error| faults.of(error))?;
    Ok(changed == 1)
}

impl SqliteStore {
    async fn change(
        &self,
        stream: &Stream,
        what: impl FnOnce(&Connection, &Faults<'_>, &Stream) -> Result<bool, PublicationError> + Send + 'static,
    ) -> Result<bool, PublicationError> {
        let stream = stream.clone();
        self.write(move |connection, faults| what(connection, faults, &stream)).await
    }
}

#[async_trait]
impl Publications for SqliteStore {
    async fn read(&self, stream: &Stream) -> Result<Publication, PublicationError> {
        let stream = stream.clone();
        self.read(move |connection, faults| {
            let sql = format!(
                "SELECT claim, covered_seq, covered_hash, wanted_seq, announced_serial, lease_holder, \
                 lease_until_ms, serial FROM publication WHERE {KEY}"
            );
            let row: Option<Row> = connection
                .prepare_cached(&sql)
                .and_then(|mut item| {
                    let key = (stream.project.as_str(), stream.environment.as_str(), stream.view.as_str());
                    item.query_row(key, |row| row.try_into()).optional()
                })
                .map_err(|error| faults.of(error))?;
            row.map_or_else(|| Ok(Publication::default()), |row| read_item(&stream, row))
        })
        .await
    }

    async fn claim(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError> {
        self.replace(stream, expected, claim, covered, "AND covered_seq <= ?6").await
    }

    async fn adopt(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError> {
        self.replace(stream, expected, claim, covered, "").await
    }

    async fn cover(&self, stream: &Stream, serial: u64, covered: LogHead) -> Result<bool, PublicationError> {
        self.change(stream, move |connection, faults, stream| {
            let sql = format!(
                "UPDATE publication SET covered_hash = iif(covered_seq < ?5, ?6, covered_hash), \
                 covered_seq = max(covered_seq, ?5) WHERE {KEY} AND serial = ?4"
            );
            let (project, environment, view) = (&stream.project, &stream.environment, &stream.view);
            let parameters = params![
                project.as_str(),
                environment.as_str(),
                view.as_str(),
                integer(serial),
                integer(covered.seq),
                covered.hash.as_bytes(),
            ];
            change(connection, faults, stream, &sql, parameters)
        })
        .await
    }

    async fn want(&self, stream: &Stream, seq: u64) -> Result<(), PublicationError> {
        self.raise(stream, "wanted_seq", seq).await
    }

    async fn announced(&self, stream: &Stream, serial: u64) -> Result<(), PublicationError> {
        self.raise(stream, "announced_serial", serial).await
    }

    async fn lease(&self, stream: &Stream, lease: &Lease, now_ms: i64) -> Result<bool, PublicationError> {
        let lease = lease.clone();
        self.change(stream, move |connection, faults, stream| {
            let sql = format!(
                "UPDATE publication SET lease_holder = ?4, lease_until_ms = ?5 \
                 WHERE {KEY} AND (lease_holder IS NULL OR lease_holder = ?4 OR lease_until_ms <= ?6 \
                 OR lease_until_ms > ?7)"
            );
            let (project, environment, view) = (&stream.project, &stream.environment, &stream.view);
            let parameters = params![
                project.as_str(),
                environment.as_str(),
                view.as_str(),
                lease.holder,
                lease.until_ms,
                now_ms,
                lease.horizon_ms(now_ms),
            ];
            change(connection, faults, stream, &sql, parameters)
        })
        .await
    }

    async fn release(&self, stream: &Stream, holder: &str) -> Result<(), PublicationError> {
        let holder = holder.to_owned();
        self.change(stream, move |connection, faults, stream| {
            let sql = format!(
                "UPDATE publication SET lease_holder = NULL, lease_until_ms = NULL WHERE {KEY} AND lease_holder = ?4"
            );
            let (project, environment, view) = (&stream.project, &stream.environment, &stream.view);
            let parameters = (project.as_str(), environment.as_str(), view.as_str(), holder);
            change(connection, faults, stream, &sql, parameters)
        })
        .await
        .map(drop)
    }
}

impl SqliteStore {
    async fn replace(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
        condition: &'static str,
    ) -> Result<bool, PublicationError> {
        let (serial, bytes) = (integer(claim.serial), claim.to_bytes());
        self.change(stream, move |connection, faults, stream| {
            let sql = format!(
                "UPDATE publication SET serial = ?4, claim = ?5, covered_seq = ?6, covered_hash = ?7 \
                 WHERE {KEY} AND serial = ?8 {condition}"
            );
            let (project, environment, view) = (&stream.project, &stream.environment, &stream.view);
            let parameters = params![
                project.as_str(),
                environment.as_str(),
                view.as_str(),
                serial,
                bytes,
                integer(covered.seq),
                covered.hash.as_bytes(),
                integer(expected),
            ];
            change(connection, faults, stream, &sql, parameters)
        })
        .await
    }

    async fn raise(&self, stream: &Stream, column: &'static str, to: u64) -> Result<(), PublicationError> {
        self.change(stream, move |connection, faults, stream| {
            let sql = format!("UPDATE publication SET {column} = max({column}, ?4) WHERE {KEY}");
            let (project, environment, view) = (&stream.project, &stream.environment, &stream.view);
            let parameters = (project.as_str(), environment.as_str(), view.as_str(), integer(to));
            change(connection, faults, stream, &sql, parameters)
        })
        .await
        .map(drop)
    }
}
