//! The table and the buckets as they must be, for tests and for the example `provision`.

use std::error::Error;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use flagstone_aws::services::Services;

type Made = Result<(), Box<dyn Error + Send + Sync>>;

/// Makes a table for records.
pub(crate) async fn make_table(services: &Services, name: &str) -> Made {
    make_table_with(services, name, ["pk", "sk"]).await
}

/// Makes a table with a partition key and a sort key of these names.
pub(crate) async fn make_table_with(services: &Services, name: &str, keys: [&str; 2]) -> Made {
    let kinds = [(KeyType::Hash, ScalarAttributeType::S), (KeyType::Range, ScalarAttributeType::N)];
    let mut create =
        services.dynamodb().create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (key, (part, kind)) in keys.into_iter().zip(kinds) {
        create = create
            .key_schema(KeySchemaElement::builder().attribute_name(key).key_type(part).build()?)
            .attribute_definitions(
                AttributeDefinition::builder().attribute_name(key).attribute_type(kind).build()?,
            );
    }
    create.send().await?;
    Ok(())
}

/// Makes a bucket: a public one keeps versions, a private one does not.
pub(crate) async fn make_bucket(services: &Services, name: &str, is_versioned: bool) -> Made {
    services.s3().create_bucket().bucket(name).send().await?;
    if is_versioned {
        let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        services.s3().put_bucket_versioning().bucket(name).versioning_configuration(on).send().await?;
    }
    Ok(())
}
