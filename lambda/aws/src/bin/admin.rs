//! The `bootstrap` of the admin function.

use std::process::ExitCode;
use std::sync::Arc;

use flagstone_aws::admin::AdminFunction;
use flagstone_aws::dynamo::DynamoStore;
use flagstone_aws::remote::RemotePublisher;
use flagstone_aws::s3::PrivateBucket;
use flagstone_aws::services::Services;
use flagstone_aws::settings::{AdminSettings, Variables};
use flagstone_aws::start;
use flagstone_publisher::clock::SystemClock;
use flagstone_publisher::control::AppendPorts;

fn main() -> ExitCode {
    let variables = Variables::of_process();
    start::run(AdminSettings::read(&variables), &variables, |settings| settings.common.level, function)
}

fn function(settings: AdminSettings) -> AdminFunction {
    let AdminSettings { common, publish_function, admin_token, limits } = settings;
    let connection = common.connection;
    let services = Services::new(&connection.region, connection.credentials, connection.endpoints);
    let large = PrivateBucket::new(services.s3(), &common.private_bucket);
    let records = Arc::new(DynamoStore::new(services.dynamodb(), &common.table, large.clone()));
    let publisher =
        RemotePublisher::new(services.shared(), connection.lambda, &publish_function, records.clone());
    let ports = AppendPorts {
        log: records.clone(),
        checkpoints: records.clone(),
        objects: Arc::new(large),
        publications: records.clone(),
        publishing: Arc::new(publisher),
        clock: Arc::new(SystemClock),
    };
    AdminFunction::new(common.project, ports, admin_token, limits, records)
}
