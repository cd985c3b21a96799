//! The access log in DynamoDB.
//!
//! The item at 0 counts the rows and knows which uses began within the last minute, so that one conditional update
//! decides whether a use is a row of its own or a repeat, whoever else writes. The row is written behind it: a process
//! that dies in between loses that use, and leaves a number without a row.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId};
use flagstone_publisher::access::{Access, AccessLog, AccessRow, Bounds, REPEATS_MS};
use flagstone_publisher::storage::StorageError;

use super::{DynamoStore, Item, Key, number, number_of, text, text_of};
use crate::fault::At;

/// How many uses the item at 0 knows before those that are over are taken out of it.
const MAX_KNOWN: usize = 32;
/// How many it knows at all: an item holds 400 KiB, and each write pays for all of it.
const MAX_LIVE: usize = 256;
/// How many rows more than are to go are read at first, if only some kinds of rows may go.
const FEW_BETWEEN: usize = 20;
/// Before the digest of a use: the name of the time when it began, and that of its row's number.
const BEGAN: &str = "f_";
const ROW: &str = "n_";

fn partition(project: &ProjectId) -> AttributeValue {
    text(format!("A#{project}"))
}

fn key(project: &ProjectId, row: u64) -> Key {
    [partition(project), number(row)]
}

/// The row of a use, and when it began.
struct Place {
    row: u64,
    first_ms: i64,
    /// The item at 0, if the row is new.
    counters: Option<Item>,
}

/// What repeats of a use have in common, as one name.
fn repeated(access: &Access) -> String {
    let status = access.status.to_be_bytes();
    let mut parts = vec![access.method.as_bytes(), b"\0", access.route.as_bytes(), b"\0", &status];
    for optional in [&access.principal, &access.code] {
        let text = optional.as_ref().map_or(&b""[..], |text| text.as_bytes());
        parts.extend([&b"\0"[..], if optional.is_some() { b"1" } else { b"0" }, text]);
    }
    Digest::of_parts(parts).to_string().chars().take(32).collect()
}

fn read_row(item: &Item) -> Option<AccessRow> {
    let optional = |name| text_of(item, name).map(str::to_owned);
    Some(AccessRow {
        number: number_of(item, "sk")?,
        first_ms: number_of(item, "first_ms")?,
        access: Access {
            time_ms: number_of(item, "last_ms")?,
            principal: optional("principal"),
            via: optional("via")?,
            method: optional("method")?,
            route: optional("route")?,
            environment: text_of(item, "environment").and_then(|id| EnvironmentId::parse(id).ok()),
            status: number_of(item, "status")?,
            code: optional("code"),
            request_id: optional("request_id")?,
            seq: number_of(item, "seq"),
            count: number_of(item, "count")?,
        },
    })
}

impl DynamoStore {
    /// Finds the row of a use: that which it repeats, or a new one.
    async fn place_of(&self, project: &ProjectId, access: &Access) -> Result<Place, StorageError> {
        let update = self
            .update(key(project, 0))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":anonymous", number(i64::from(access.principal.is_none())))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let counted = "ADD newest_row :one, row_count :one, anonymous_count :anonymous";
        let name = repeated(access);
        let (began, row) = (format!("{BEGAN}{name}"), format!("{ROW}{name}"));
        // What made an entry stands by itself.
        let update = if access.seq.is_some() {
            update.update_expression(counted)
        } else {
            update
                .update_expression(format!(
                    "SET {began} = :now, {row} = if_not_exists(newest_row, :zero) + :one {counted}"
                ))
                .condition_expression(format!(
                    "attribute_not_exists({began}) OR {began} <= :over OR {began} > :now"
                ))
                .expression_attribute_values(":zero", number(0))
                .expression_attribute_values(":now", number(access.time_ms))
                .expression_attribute_values(":over", number(access.time_ms.saturating_sub(REPEATS_MS)))
        };
        let damaged = || self.damaged("the counters of an access log");
        let error = match update.send().await {
            Ok(updated) => {
                let counters = updated.attributes.ok_or_else(damaged)?;
                let row = number_of(&counters, "newest_row").ok_or_else(damaged)?;
                return Ok(Place { row, first_ms: access.time_ms, counters: Some(counters) });
            }
            Err(error) => error,
        };
        let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
            return Err(At::of("write to", self.place(), &error).into());
        };
        let found = match failed.item() {
            Some(item) => Some(item.clone()),
            None => self.item(key(project, 0)).await?,
        };
        let of = |item: &Item| Some((number_of(item, &row)?, number_of(item, &began)?));
        let (row, first_ms) = found.as_ref().and_then(of).ok_or_else(damaged)?;
        Ok(Place { row, first_ms, counters: None })
    }

    fn damaged(&self, what: &str) -> StorageError {
        StorageError::Unavailable { source: format!("{what} in {} cannot be read", self.place()).into() }
    }

    /// Makes a row, or adds to it: whoever is first makes it.
    async fn write_row(
        &self,
        project: &ProjectId,
        place: &Place,
        access: &Access,
    ) -> Result<(), StorageError> {
        let environment = access.environment.as_ref().map(EnvironmentId::as_str);
        let members = [
            ("first_ms", Some(number(place.first_ms))),
            ("last_ms", Some(number(access.time_ms))),
            ("principal", access.principal.as_deref().map(text)),
            ("via", Some(text(&*access.via))),
            ("method", Some(text(&*access.method))),
            ("route", Some(text(&*access.route))),
            ("environment", environment.map(text)),
            ("status", Some(number(access.status))),
            ("code", access.code.as_deref().map(text)),
            ("request_id", Some(text(&*access.request_id))),
            ("seq", access.seq.map(number)),
        ];
        let mut update = self.update(key(project, place.row));
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        for (name, value) in members {
            update = update.expression_attribute_names(format!("#{name}"), name);
            match value {
                Some(value) => {
                    update = update.expression_attribute_values(format!(":{name}"), value);
                    set.push(format!("#{name} = :{name}"));
                }
                None => remove.push(format!("#{name}")),
            }
        }
        let mut expression = format!("SET {} ADD #count :count", set.join(", "));
        if !remove.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&remove.join(", "));
        }
        update
            .update_expression(expression)
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":count", number(access.count))
            .send()
            .await
            .map_err(|error| At::of("write to", self.place(), &error))?;
        Ok(())
    }

    /// Takes the oldest rows away that are too many. Several processes at once may take a few more.
    async fn shorten(
        &self,
        project: &ProjectId,
        counters: &Item,
        bounds: Bounds,
    ) -> Result<(), StorageError> {
        let count = |name| number_of::<u64>(counters, name).unwrap_or_default();
        let surplus = count("anonymous_count").saturating_sub(bounds.anonymous);
        let mut gone = (0, 0, number_of(counters, "anonymous_from").unwrap_or_default());
        if surplus > 0 {
            gone = self.take_oldest(project, surplus, Some(gone.2)).await?;
        }
        let rest = count("row_count").saturating_sub(gone.0).saturating_sub(bounds.rows);
        if rest > 0 {
            let (rows, anonymous, _) = self.take_oldest(project, rest, None).await?;
            gone = (gone.0.saturating_add(rows), gone.1.saturating_add(anonymous), gone.2);
        }
        if gone.0 == 0 {
            return Ok(());
        }
        self.update(key(project, 0))
            .update_expression("SET anonymous_from = :from ADD row_count :rows, anonymous_count :anonymous")
            .expression_attribute_values(":from", number(gone.2))
            .expression_attribute_values(":rows", number(-i128::from(gone.0)))
            .expression_attribute_values(":anonymous", number(-i128::from(gone.1)))
            .send()
            .await
            .map_err(|error| At::of("write to", self.place(), &error))?;
        Ok(())
    }

    /// Deletes the oldest rows, or only those about nobody who is known, which begin behind `anonymous_from`: how many
    /// went, how many of them were about nobody who is known, and the last one's number.
    async fn take_oldest(
        &self,
        project: &ProjectId,
        most: u64,
        anonymous_from: Option<u64>,
    ) -> Result<(u64, u64, u64), StorageError> {
        let (mut rows, mut anonymous, mut after) = (0_u64, 0_u64, anonymous_from.unwrap_or_default());
        // Every row that is read is paid for. Between those about nobody who is known others may stand: few, or many.
        let mut between = if anonymous_from.is_some() { FEW_BETWEEN } else { 0 };
        while rows < most {
            let wanted = usize::try_from(most.saturating_sub(rows)).unwrap_or(usize::MAX);
            let page = self.page(partition(project), after, wanted.saturating_add(between)).await?.items;
            between = between.saturating_mul(2);
            let Some(last) = page.last() else { break };
            let end = number_of(last, "sk").unwrap_or(u64::MAX);
            for item in page.iter().filter(|item| anonymous_from.is_none() || !item.contains_key("principal"))
            {
                if rows == most {
                    return Ok((rows, anonymous, after));
                }
                after = number_of(item, "sk").unwrap_or(u64::MAX);
                let [pk, sk] = key(project, after);
                let deleted = self
                    .client
                    .delete_item()
                    .table_name(&*self.table)
                    .key("pk", pk)
                    .key("sk", sk)
                    .return_values(ReturnValue::AllOld)
                    .send()
                    .await
                    .map_err(|error| At::of("delete from", self.place(), &error))?;
                // Of two that take the same row, one did.
                if let Some(was) = deleted.attributes {
                    rows = rows.saturating_add(1);
                    anonymous = anonymous.saturating_add(u64::from(!was.contains_key("principal")));
                }
            }
            after = after.max(end);
        }
        Ok((rows, anonymous, after))
    }

    /// Takes uses out of the item at 0 that are over, or too many; if somebody changes it meanwhile, another time.
    async fn forget_over(
        &self,
        project: &ProjectId,
        counters: &Item,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let mut known: Vec<(i64, &str)> = counters
            .keys()
            .filter_map(|name| Some((number_of(counters, name)?, name.strip_prefix(BEGAN)?)))
            .collect();
        if known.len() <= MAX_KNOWN {
            return Ok(());
        }
        known.sort_unstable();
        let is_live = |began: i64| (0..REPEATS_MS).contains(&now_ms.saturating_sub(began));
        let too_many = known.len().saturating_sub(MAX_LIVE);
        let over: Vec<(usize, (i64, &str))> = known
            .into_iter()
            .enumerate()
            .filter(|(place, (began, _))| *place < too_many || !is_live(*began))
            .take(MAX_KNOWN)
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        let mut update = self.update(key(project, 0));
        let (mut names, mut same) = (Vec::new(), Vec::new());
        for (place, (began, name)) in over {
            names.push(format!("{BEGAN}{name}, {ROW}{name}"));
            same.push(format!("{BEGAN}{name} = :v{place}"));
            update = update.expression_attribute_values(format!(":v{place}"), number(began));
        }
        let update = update.update_expression(format!("REMOVE {}", names.join(", ")));
        self.changed(update.condition_expression(same.join(" AND "))).await.map(drop)
    }
}

#[async_trait]
impl AccessLog for DynamoStore {
    async fn record(&self, project: &ProjectId, access: &Access, bounds: Bounds) -> Result<(), StorageError> {
        let place = self.place_of(project, access).await?;
        self.write_row(project, &place, access).await?;
        if let Some(counters) = &place.counters {
            self.shorten(project, counters, bounds).await?;
            self.forget_over(project, counters, access.time_ms).await?;
        }
        Ok(())
    }

    async fn read(
        &self,
        project: &ProjectId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<AccessRow>, StorageError> {
        let (mut rows, mut after) = (Vec::new(), after);
        while rows.len() < limit {
            let page = self.page(partition(project), after, limit.saturating_sub(rows.len())).await?;
            for item in &page.items {
                let row = read_row(item).ok_or_else(|| self.damaged("a row of an access log"))?;
                after = row.number;
                rows.push(row);
            }
            if page.is_last {
                break;
            }
        }
        Ok(rows)
    }

    async fn newest(&self, project: &ProjectId) -> Result<u64, StorageError> {
        let counters = self.item(key(project, 0)).await?;
        Ok(counters.and_then(|counters| number_of(&counters, "newest_row")).unwrap_or_default())
    }
}
