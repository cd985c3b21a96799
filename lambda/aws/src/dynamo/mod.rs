//! The records of a project in one DynamoDB table.
//!
//! The table has the partition key `pk` (a string) and the sort key `sk` (a number), and nothing else is asked of it:
//! no index, no stream, no transaction. Any store that speaks this API and honours conditions will do; `flagstone doctor
//! store` tells whether one does.
//!
//! | `pk` | `sk` | Item |
//! |---|---|---|
//! | `L#PROJECT` | seq | an entry of the change log |
//! | `P#PROJECT/ENVIRONMENT/VIEW` | 0 | the publication item of a stream |
//! | `C#PROJECT` | 0 | the marks of all checkpoints, and the pointer |
//! | `A#PROJECT` | number | a row of the access log; at 0 its counters |
//!
//! What is larger than an item may be lies in the private bucket ([`crate::s3::PrivateBucket`]).

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use flagstone_publisher::storage::StorageError;

use crate::fault::At;
use crate::s3::PrivateBucket;

mod access;
mod checkpoints;
mod log;
mod publications;

/// An item as the service gives it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Most items that one query asks for. A page has at most 1 MB anyway.
const MAX_PAGE: usize = 1_000;

/// One table, and the bucket beside it.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: Client,
    table: Arc<str>,
    large: PrivateBucket,
}

impl DynamoStore {
    /// The table of this name. What no item can hold goes into `large`.
    pub fn new(client: Client, table: &str, large: PrivateBucket) -> Self {
        Self { client, table: table.into(), large }
    }

    /// The name of the table, for errors.
    fn place(&self) -> String {
        format!("the table `{}`", self.table)
    }

    /// An item, as of a moment after the call.
    async fn item(&self, [pk, sk]: Key) -> Result<Option<Item>, StorageError> {
        let found = self
            .client
            .get_item()
            .table_name(&*self.table)
            .key("pk", pk)
            .key("sk", sk)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| At::of("read", self.place(), &error))?;
        Ok(found.item)
    }

    /// Items of a partition behind a sort key, ascending, as far as one answer goes.
    async fn page(&self, pk: AttributeValue, after: u64, limit: usize) -> Result<Page, StorageError> {
        let found = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("pk = :pk AND sk > :after")
            .expression_attribute_values(":pk", pk)
            .expression_attribute_values(":after", number(after))
            .consistent_read(true)
            .limit(i32::try_from(limit.min(MAX_PAGE)).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| At::of("read", self.place(), &error))?;
        let is_last = found.last_evaluated_key.is_none();
        Ok(Page { items: found.items.unwrap_or_default(), is_last })
    }

    /// The change of one item, to be said.
    fn update(&self, [pk, sk]: Key) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&*self.table).key("pk", pk).key("sk", sk)
    }

    /// Sends a change; `false` if its condition did not hold.
    async fn changed(&self, update: UpdateItemFluentBuilder) -> Result<bool, StorageError> {
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_conditional(&error) => Ok(false),
            Err(error) => Err(At::of("write to", self.place(), &error).into()),
        }
    }
}

/// Some items of a partition, and whether none come behind them.
struct Page {
    items: Vec<Item>,
    is_last: bool,
}

/// The partition key and the sort key of an item.
type Key = [AttributeValue; 2];

/// Whether an update was refused by its condition alone.
fn is_conditional(error: &SdkError<UpdateItemError, HttpResponse>) -> bool {
    error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception)
}

fn number(number: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn bytes(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// A number of an item, if it has one that fits.
fn number_of<T: TryFrom<i128>>(item: &Item, name: &str) -> Option<T> {
    T::try_from(item.get(name)?.as_n().ok()?.parse::<i128>().ok()?).ok()
}

fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn bytes_of<'a>(item: &'a Item, name: &str) -> Option<&'a [u8]> {
    item.get(name)?.as_b().ok().map(AsRef::as_ref)
}
