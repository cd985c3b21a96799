//! Makes the table and the buckets on the stand-ins of one machine, as `cargo xtask cloud` wants them. On AWS they are made
//! by whoever deploys (docs/AWS.md): a bucket there is not for everybody to read.

use std::error::Error;

use flagstone_aws::services::{Credentials, Endpoints, Services};

#[path = "../tests/it/places.rs"]
mod places;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(provision())
}

#[expect(clippy::disallowed_methods, reason = "a binary: it reads the environment")]
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is missing"))
}

async fn provision() -> Result<(), Box<dyn Error + Send + Sync>> {
    let credentials =
        Credentials::new(&variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?, None);
    let endpoints = Endpoints {
        dynamodb: Some(variable("AWS_ENDPOINT_URL_DYNAMODB")?),
        s3: Some(variable("AWS_ENDPOINT_URL_S3")?),
        secrets: None,
    };
    let services = Services::new(&variable("AWS_REGION")?, credentials, endpoints);
    places::make_table(&services, &variable("FLAGSTONE_TABLE")?).await?;
    places::make_bucket(&services, &variable("FLAGSTONE_PRIVATE_BUCKET")?, false).await?;
    let public = variable("FLAGSTONE_BUCKET")?;
    places::make_bucket(&services, &public, true).await?;
    // The edge has no credentials here.
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":["*"]}},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::{public}/*"]}}]}}"#
    );
    services.s3().put_bucket_policy().bucket(&public).policy(policy).send().await?;
    Ok(())
}
