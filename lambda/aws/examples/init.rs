//! How long the functions take from their start to their first request for an event, beside one that does nothing
//! (docs/PERFORMANCE.md):
//!
//! ```sh
//! cargo xtask lambda --hello && cargo run --package flagstone-aws --example init
//! ```
#![expect(clippy::print_stdout, reason = "it tells what it measures")]

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flagstone_cloud::lambda::{Function, Setup};
use flagstone_model::key::ProjectId;
use flagstone_publisher::keys::Keys;

/// How often each is started, in turn with the others.
const ROUNDS: usize = 40;
/// Where `cargo xtask lambda --hello` leaves the programs.
const PROGRAMS: &str = "target/x86_64-unknown-linux-gnu/release";
/// Where it leaves the one that does nothing: what is not zipped has been taken from there.
const HELLO: &str = "target/lambda/hello/bootstrap";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).ok_or("no workspace")?;
    let programs = workspace.join(PROGRAMS);
    let directory = tempfile::tempdir()?;
    let keys = Keys::open(directory.path(), &ProjectId::parse("shop")?, 0).await?;
    let of_both = |name: &str| {
        Setup::new(name, programs.join(name))
            .with("AWS_ACCESS_KEY_ID", "id")
            .with("AWS_SECRET_ACCESS_KEY", "secret")
            .with("FLAGSTONE_PROJECT", "shop")
            .with("FLAGSTONE_TABLE", "flagstone")
            .with("FLAGSTONE_PRIVATE_BUCKET", "flagstone-private")
    };
    let admin = of_both("admin").with("FLAGSTONE_PUBLISH_FUNCTION", "publish");
    let publish = of_both("publish")
        .with("FLAGSTONE_BUCKET", "flagstone-public")
        .with("FLAGSTONE_SIGNING_SECRET", "flagstone/manifest-key")
        .with("FLAGSTONE_ROOT", BASE64.encode(keys.root().file()));
    let hello = Setup::new("hello", workspace.join(HELLO));
    let functions = [hello, admin, publish].map(Function::new);
    for _ in 0..ROUNDS {
        for function in &functions {
            function.invoke(b"{}".to_vec()).await?;
            function.retire_idle();
        }
    }
    let medians = functions.each_ref().map(|function| median(function.inits()));
    let base = medians.first().copied().unwrap_or_default();
    for (function, median) in functions.iter().zip(medians) {
        let beyond = median.saturating_sub(base).as_secs_f64() * 1e3;
        println!(
            "{:<8} {:6.2} ms, {beyond:5.2} ms beyond hello",
            function.name(),
            median.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}
