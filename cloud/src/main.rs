//! The cloud on one machine, as a command: `cargo xtask test servers` has it fetch what tests start.
#![expect(clippy::print_stdout, reason = "a command tells what it does")]

use std::process::ExitCode;

use flagstone_cloud::cache::Cache;
use flagstone_cloud::{CloudError, dynamodb_local, dynoxide, minio};

const USAGE: &str = "usage: flagstone-cloud fetch

  fetch  fetches or builds DynamoDB Local, dynoxide, and MinIO into the project's .cache; what is there stays.
         Exit status 3 says that a program is missing which it takes to do so; the last line says which";

/// A program is missing; another status is a failure.
const MISSING: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments != ["fetch"] {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    match fetch(&Cache::of_project()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ CloudError::Missing { .. }) => {
            println!("{error}");
            ExitCode::from(MISSING)
        }
        Err(error) => {
            eprintln!("{error} [{}]", error.code());
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
