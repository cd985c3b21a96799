//! The `bootstrap` of the publish function.

use std::process::ExitCode;
use std::sync::Arc;

use flagstone_aws::dynamo::DynamoStore;
use flagstone_aws::publish::PublishFunction;
use flagstone_aws::s3::{PrivateBucket, PublicBucket};
use flagstone_aws::secret::SecretSigner;
use flagstone_aws::services::Services;
use flagstone_aws::settings::{PublishSettings, Variables};
use flagstone_aws::start;
use flagstone_publisher::clock::{Clock, SystemClock};
use flagstone_publisher::control::Ports;

fn main() -> ExitCode {
    let variables = Variables::of_process();
    start::run(PublishSettings::read(&variables), &variables, |settings| settings.common.level, function)
}

fn function(settings: PublishSettings) -> PublishFunction {
    let PublishSettings { common, bucket, signing_secrets, root, options } = settings;
    let connection = common.connection;
    let services = Services::new(&connection.region, connection.credentials, connection.endpoints);
    let large = PrivateBucket::new(services.s3(), &common.private_bucket);
    let records = Arc::new(DynamoStore::new(services.dynamodb(), &common.table, large.clone()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ports = Ports {
        log: records.clone(),
        checkpoints: records.clone(),
        objects: Arc::new(large),
        publications: records,
        store: Arc::new(PublicBucket::new(services.s3(), &bucket)),
        signer: Arc::new(SecretSigner::new(services.secrets(), signing_secrets, Arc::clone(&clock))),
        clock,
    };
    PublishFunction::new(root, ports, options)
}
