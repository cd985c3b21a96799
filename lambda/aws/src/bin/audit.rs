//! Proves a log in a table, and what was announced of it, with nothing but read access to table and buckets: no function
//! takes part (docs/AWS.md).
//!
//! ```sh
//! FLAGSTONE_PROJECT=shop FLAGSTONE_TABLE=flagstone FLAGSTONE_PRIVATE_BUCKET=… FLAGSTONE_BUCKET=… audit --root root.1.json
//! ```
//!
//! It prints one JSON object, as `flagstone --json audit verify` does. Exit status: 0 proved, 1 not, 2 used wrongly.
#![expect(clippy::print_stdout, reason = "it is what it prints")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use flagstone_aws::dynamo::DynamoStore;
use flagstone_aws::s3::{PrivateBucket, PublicBucket};
use flagstone_aws::services::{Credentials, Endpoints, Services};
use flagstone_model::key::ProjectId;
use flagstone_publisher::audit::{Records, audit};

const WRONG_USAGE: u8 = 2;

/// What is proved, and where it lies.
struct Setting {
    project: ProjectId,
    records: Records,
    published: PublicBucket,
    /// The root document that the operator has.
    root: Option<Vec<u8>>,
}

fn main() -> ExitCode {
    let setting = match setting() {
        Ok(setting) => setting,
        Err(what) => {
            eprintln!("error: {what}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: there is no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let Setting { project, records, published, root } = setting;
    match runtime.block_on(audit(project, &records, &published, root)) {
        Ok(proved) => {
            println!("{}", proved.to_json());
            ExitCode::SUCCESS
        }
        Err(fault) => {
            println!("{}", fault.to_json());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a binary: it reads the environment")]
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| format!("{name} is missing"))
}

fn setting() -> Result<Setting, String> {
    let mut arguments = std::env::args_os().skip(1);
    let root = match (arguments.next(), arguments.next(), arguments.next()) {
        (None, ..) => None,
        (Some(option), Some(path), None) if option == "--root" => {
            let path = PathBuf::from(path);
            Some(
                std::fs::read(&path)
                    .map_err(|error| format!("{} cannot be read: {error}", path.display()))?,
            )
        }
        _ => return Err("usage: audit [--root FILE]".to_owned()),
    };
    let project = ProjectId::parse(&variable("FLAGSTONE_PROJECT")?)
        .map_err(|error| format!("FLAGSTONE_PROJECT is wrong: {error}"))?;
    let credentials = Credentials::new(
        &variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
        variable("AWS_SESSION_TOKEN").ok(),
    );
    let endpoints = Endpoints {
        dynamodb: variable("AWS_ENDPOINT_URL_DYNAMODB").ok(),
        s3: variable("AWS_ENDPOINT_URL_S3").ok(),
        secrets: None,
    };
    let services = Services::new(&variable("AWS_REGION")?, credentials, endpoints);
    let large = PrivateBucket::new(services.s3(), &variable("FLAGSTONE_PRIVATE_BUCKET")?);
    let store = Arc::new(DynamoStore::new(services.dynamodb(), &variable("FLAGSTONE_TABLE")?, large.clone()));
    let records = Records {
        log: Arc::clone(&store) as _,
        checkpoints: Arc::clone(&store) as _,
        objects: Arc::new(large),
        publications: store,
    };
    let published = PublicBucket::new(services.s3(), &variable("FLAGSTONE_BUCKET")?);
    Ok(Setting { project, records, published, root })
}
