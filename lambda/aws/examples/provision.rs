//! Makes the table and the buckets on the stand-ins of one machine, as `cargo xtask cloud` wants them. On AWS they are made
//! by whoever deploys (docs/AWS.md): a bucket there is not for everybody to read.

use std::error::Error;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use flagstone_aws::services::{Credentials, Endpoints, Services};

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(provision())
}

#[expect(clippy::disallowed_methods, reason = "a binary: it reads the environment")]
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is missing"))
}

async fn provision() -> Result<(), Box<dyn Error>> {
    let credentials =
        Credentials::new(&variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?, None);
    let endpoints = Endpoints {
        dynamodb: Some(variable("AWS_ENDPOINT_URL_DYNAMODB")?),
        s3: Some(variable("AWS_ENDPOINT_URL_S3")?),
        secrets: None,
    };
    let services = Services::new(&variable("AWS_REGION")?, credentials, endpoints);
    make_table(&services, &variable("FLAGSTONE_TABLE")?).await?;
    make_bucket(&services, &variable("FLAGSTONE_PRIVATE_BUCKET")?).await?;
    let public = variable("FLAGSTONE_BUCKET")?;
    make_bucket(&services, &public).await?;
    // The edge has no credentials here.
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":["*"]}},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::{public}/*"]}}]}}"#
    );
    services.s3().put_bucket_policy().bucket(&public).policy(policy).send().await?;
    Ok(())
}

async fn make_table(services: &Services, name: &str) -> Result<(), Box<dyn Error>> {
    let keys =
        [("pk", KeyType::Hash, ScalarAttributeType::S), ("sk", KeyType::Range, ScalarAttributeType::N)];
    let mut create =
        services.dynamodb().create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (name, key, kind) in keys {
        create = create
            .key_schema(KeySchemaElement::builder().attribute_name(name).key_type(key).build()?)
            .attribute_definitions(
                AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()?,
            );
    }
    create.send().await?;
    Ok(())
}

async fn make_bucket(services: &Services, name: &str) -> Result<(), Box<dyn Error>> {
    services.s3().create_bucket().bucket(name).send().await?;
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    services.s3().put_bucket_versioning().bucket(name).versioning_configuration(on).send().await?;
    Ok(())
}
