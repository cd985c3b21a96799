//! Publication items in DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::digest::Digest;
use flagstone_publisher::publication::{Claim, Lease, Publication, PublicationError, Publications};
use flagstone_publisher::storage::StorageError;

use super::{DynamoStore, Item, Key, bytes, bytes_of, number, number_of, text, text_of};
use crate::fault::At;

fn key(stream: &Stream) -> Key {
    [text(format!("P#{stream}")), number(0)]
}

fn read_item(stream: &Stream, item: &Item) -> Result<Publication, PublicationError> {
    let corrupt = |what| PublicationError::Corrupt { stream: Box::new(stream.clone()), what };
    let natural = |name, what| {
        if item.contains_key(name) {
            number_of::<u64>(item, name).ok_or_else(|| corrupt(what))
        } else {
            Ok(0)
        }
    };
    let claim = bytes_of(item, "claim")
        .map(|bytes| Claim::parse(bytes).ok_or_else(|| corrupt("claim")))
        .transpose()?;
    if claim.as_ref().map_or(0, |claim| claim.serial) != natural("serial", "serial")? {
        return Err(corrupt("serial"));
    }
    let covered = bytes_of(item, "covered_hash")
        .map(|hash| -> Result<LogHead, PublicationError> {
            let hash = hash.try_into().map_err(|_| corrupt("covered hash"))?;
            Ok(LogHead { seq: natural("covered_seq", "covered seq")?, hash: Digest::from_bytes(hash) })
        })
        .transpose()?;
    let until_ms = number_of(item, "lease_until_ms");
    Ok(Publication {
        claim,
        covered,
        wanted_seq: natural("wanted_seq", "wanted seq")?,
        announced_serial: natural("announced_serial", "announced serial")?,
        lease: text_of(item, "lease_holder")
            .zip(until_ms)
            .map(|(holder, until_ms)| Lease { holder: holder.to_owned(), until_ms }),
    })
}

impl DynamoStore {
    async fn replace(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
        condition: &str,
    ) -> Result<bool, PublicationError> {
        // Two publishers may make equal claims of different logs: only this call knows its own by this.
        let mut by = [0; 16];
        getrandom::fill(&mut by).map_err(|error| StorageError::Unavailable { source: Box::new(error) })?;
        // A new item has no serial; `expected` is 0 then.
        let serial = if expected == 0 {
            "(attribute_not_exists(serial) OR serial = :expected)"
        } else {
            "serial = :expected"
        };
        let mut update = self
            .update(key(stream))
            .update_expression(
                "SET serial = :serial, claim = :claim, claimed_by = :by, covered_seq = :covered, covered_hash = :hash",
            )
            .condition_expression(format!("{serial}{condition}"))
            .expression_attribute_values(":expected", number(expected))
            .expression_attribute_values(":serial", number(claim.serial))
            .expression_attribute_values(":claim", bytes(claim.to_bytes()))
            .expression_attribute_values(":by", bytes(by))
            .expression_attribute_values(":covered", number(covered.seq))
            .expression_attribute_values(":hash", bytes(covered.hash.as_bytes()));
        update = update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = update.send().await else { return Ok(true) };
        let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
            return Err(StorageError::from(At::of("claim in", self.place(), &error)).into());
        };
        // An earlier try of this very call may have been made, and its answer lost.
        let found = match failed.item() {
            Some(item) => Some(item.clone()),
            None => self.item(key(stream)).await?,
        };
        Ok(found.is_some_and(|item| bytes_of(&item, "claimed_by") == Some(&by)))
    }

    async fn raise(&self, stream: &Stream, name: &str, to: u64) -> Result<(), PublicationError> {
        let update = self
            .update(key(stream))
            .update_expression(format!("SET {name} = :to"))
            .condition_expression(format!("attribute_not_exists({name}) OR {name} < :to"))
            .expression_attribute_values(":to", number(to));
        Ok(self.changed(update).await.map(drop)?)
    }
}

#[async_trait]
impl Publications for DynamoStore {
    async fn read(&self, stream: &Stream) -> Result<Publication, PublicationError> {
        let item = self.item(key(stream)).await?;
        item.map_or_else(|| Ok(Publication::default()), |item| read_item(stream, &item))
    }

    async fn claim(
        &self,
        stream: &Stream,
        expected: u64,
        claim: &Claim,
        covered: LogHead,
    ) -> Result<bool, PublicationError> {
        let condition = " AND (attribute_not_exists(covered_seq) OR covered_seq <= :covered)";
        self.replace(stream, expected, claim, covered, condition).await
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
        let raise = self
            .update(key(stream))
            .update_expression("SET covered_seq = :covered, covered_hash = :hash")
            .condition_expression("serial = :serial AND covered_seq < :covered")
            .expression_attribute_values(":serial", number(serial))
            .expression_attribute_values(":covered", number(covered.seq))
            .expression_attribute_values(":hash", bytes(covered.hash.as_bytes()));
        if self.changed(raise).await? {
            return Ok(true);
        }
        // As much is covered already, or another claim was made.
        let found = Publications::read(self, stream).await?;
        Ok(found.serial() == serial && found.covered_seq() >= covered.seq)
    }

    async fn want(&self, stream: &Stream, seq: u64) -> Result<(), PublicationError> {
        self.raise(stream, "wanted_seq", seq).await
    }

    async fn announced(&self, stream: &Stream, serial: u64) -> Result<(), PublicationError> {
        self.raise(stream, "announced_serial", serial).await
    }

    async fn lease(&self, stream: &Stream, lease: &Lease, now_ms: i64) -> Result<bool, PublicationError> {
        let update = self
            .update(key(stream))
            .update_expression("SET lease_holder = :holder, lease_until_ms = :until")
            .condition_expression(
                "attribute_not_exists(lease_holder) OR lease_holder = :holder OR lease_until_ms <= :now \
                 OR lease_until_ms > :horizon",
            )
            .expression_attribute_values(":holder", text(&lease.holder))
            .expression_attribute_values(":until", number(lease.until_ms))
            .expression_attribute_values(":now", number(now_ms))
            .expression_attribute_values(":horizon", number(lease.horizon_ms(now_ms)));
        Ok(self.changed(update).await?)
    }

    async fn release(&self, stream: &Stream, holder: &str) -> Result<(), PublicationError> {
        let update = self
            .update(key(stream))
            .update_expression("REMOVE lease_holder, lease_until_ms")
            .condition_expression("lease_holder = :holder")
            .expression_attribute_values(":holder", text(holder));
        Ok(self.changed(update).await.map(drop)?)
    }
}
