//! How AWS is reached: region, credentials, endpoints, retries, and time-outs.

use std::time::Duration;

pub use aws_credential_types::Credentials as AwsCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

/// How often a request is sent again that was throttled, failed, or got no answer (FORMAT T-4.2).
pub const MAX_RETRIES: u32 = 8;
/// The first pause between two tries is at most this long; the next ones double, each with full jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a table or a secret may take to answer once.
const RECORD_ANSWER: Duration = Duration::from_secs(5);
/// How long a bucket may take to answer once: a large object takes a while.
const OBJECT_ANSWER: Duration = Duration::from_mins(1);

/// Whom AWS takes this program for. Nobody who prints it sees the secret.
#[derive(Clone)]
pub struct Credentials(AwsCredentials);

impl Credentials {
    /// An access key's id, its secret, and the token that comes with a role's.
    pub fn new(id: &str, secret: String, session_token: Option<String>) -> Self {
        Self(AwsCredentials::new(id, secret, session_token, None, "flagstone"))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// Where services are that are not at the region's own address: stand-ins for tests, private endpoints.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// Of the table.
    pub dynamodb: Option<String>,
    /// Of the buckets; its buckets are named in the path.
    pub s3: Option<String>,
    /// Of the secrets.
    pub secrets: Option<String>,
}

/// Makes the clients of the services. They share connections and credentials, and connect at their first request.
#[derive(Debug, Clone)]
pub struct Services {
    shared: SdkConfig,
    endpoints: Endpoints,
}

impl Services {
    /// The services of a region.
    pub fn new(region: &str, credentials: Credentials, endpoints: Endpoints) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let retries = RetryConfig::standard()
            .with_max_attempts(MAX_RETRIES.saturating_add(1))
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let shared = SdkConfig::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials.0))
            .http_client(http)
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(SystemTimeSource::new()))
            .retry_config(retries)
            .timeout_config(answers_within(RECORD_ANSWER))
            .build();
        Self { shared, endpoints }
    }

    /// What the clients have in common, for one that is made elsewhere.
    pub const fn shared(&self) -> &SdkConfig {
        &self.shared
    }

    /// A client of the tables.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::config::Builder::from(&self.shared);
        config.set_endpoint_url(self.endpoints.dynamodb.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A client of the buckets.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::config::Builder::from(&self.shared)
            .timeout_config(answers_within(OBJECT_ANSWER))
            .force_path_style(self.endpoints.s3.is_some());
        config.set_endpoint_url(self.endpoints.s3.clone());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// A client of the secrets.
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.shared);
        config.set_endpoint_url(self.endpoints.secrets.clone());
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }
}

fn answers_within(once: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(once).build()
}
