//! The cloud on one machine, as a command: `cargo xtask cloud`, and `cargo xtask test servers cloud`.
#![expect(clippy::print_stdout, reason = "a command tells what it does")]
#![expect(clippy::disallowed_methods, reason = "a binary: it reads the environment")]

use std::process::ExitCode;
use std::time::Duration;

use flagstone_cloud::cache::Cache;
use flagstone_cloud::cost::{self, Counts, Prices};
use flagstone_cloud::deployment::{Deployment, ENVIRONMENT, PROJECT, Programs, finish};
use flagstone_cloud::{CloudError, dynamodb_local, dynoxide, minio, story};
use serde_json::Value;

const USAGE: &str = "usage: flagstone-cloud fetch|up|story

  fetch  fetches or builds DynamoDB Local, dynoxide, and MinIO into the project's .cache; what is there stays
  up     starts all of Flagstone on AWS parts on this machine, and stays up until Ctrl-C
  story  starts it, lets people change flags while parts of it fail, and counts what it costs

Its programs lie beside it: `cargo xtask cloud` builds them. Exit status 3 says that a program is missing which this
machine does not have; the last line says which.";

/// What a shell says of wrong arguments.
const WRONG_USAGE: u8 = 2;
/// A program is missing; another status is a failure.
const MISSING: u8 = 3;
/// How often what is scheduled runs.
const SCHEDULE: Duration = Duration::from_mins(1);
/// Says to write down what was counted, in place of comparing it.
const WRITE_DOCS: &str = "FLAGSTONE_WRITE_DOCS";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fetch"] => fetch(&Cache::of_project()),
        ["up"] => up().await,
        ["story"] => told().await,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ CloudError::Missing { .. }) => {
            println!("{error}");
            ExitCode::from(MISSING)
        }
        Err(error) => {
            eprintln!("{error} [{}]", error.code());
            let mut below = std::error::Error::source(&error);
            while let Some(cause) = below {
                eprintln!("  {cause}");
                below = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn fetch(cache: &Cache) -> Result<(), CloudError> {
    println!("DynamoDB Local: {}", dynamodb_local::fetched(cache)?.display());
    println!("dynoxide: {}", dynoxide::built(cache)?.display());
    println!("MinIO: {}", minio::built(cache)?.display());
    Ok(())
}

/// Stays up until it is told to end, and runs what is scheduled.
async fn up() -> Result<(), CloudError> {
    let cloud = Deployment::start(Programs::beside()?).await?;
    finish("flagstone env create", &mut cloud.flagstone(&["env", "create", ENVIRONMENT])).await?;
    let mut create = cloud.flagstone(&["key", "create", "--name", "laptop"]);
    let key = finish("flagstone key create", &mut create).await?;
    let key = key.get("sdk_key").and_then(Value::as_str).unwrap_or_default();
    cloud.admit(key)?;
    cloud.sweep().await?;
    println!("The cloud is up until Ctrl-C. For the command line:\n");
    println!("  export FLAGSTONE_URL={}", cloud.gateway.url());
    println!("  export FLAGSTONE_TOKEN={}", cloud.token());
    println!("  export FLAGSTONE_PROJECT={PROJECT}");
    println!("  flagstone flag create new-checkout --type bool\n");
    println!("and for an SDK, which comes in through nginx:\n");
    println!("  export FLAGSTONE_SDK_KEY={key}");
    println!("  flagstone watch '{}'", cloud.connection());
    let mut schedule = tokio::time::interval(SCHEDULE);
    loop {
        tokio::select! {
            _ = schedule.tick() => {
                if let Err(error) = cloud.sweep().await {
                    eprintln!("{error} [{}]", error.code());
                }
            }
            ended = tokio::signal::ctrl_c() => {
                return ended.map_err(|source| CloudError::Io { action: "wait for Ctrl-C".to_owned(), source });
            }
        }
    }
}

/// Tells the story, and compares what it counted with what is written down.
async fn told() -> Result<(), CloudError> {
    let cloud = Deployment::start(Programs::beside()?).await?;
    let counts = story::tell(cloud, &|what| println!("{what}")).await?;
    if std::env::var_os(WRITE_DOCS).is_some() {
        cost::write_counts(&counts)?;
        let prices: Prices = cost::read("prices.json")?;
        cost::write_page(&cost::page(&counts, &prices))?;
        println!("docs/cost.json and docs/COST.md are written anew");
        return Ok(());
    }
    let written: Counts = cost::read("cost.json")?;
    match counts.difference(&written) {
        None => Ok(()),
        Some(said) => Err(CloudError::Unfinished {
            what: format!(
                "agreement with docs/cost.json; `{WRITE_DOCS}=1 cargo xtask cloud --story` writes it anew"
            ),
            said,
        }),
    }
}
