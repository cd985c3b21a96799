//! How a function starts: configuration, logs, and the loop that asks Lambda for events.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use flagstone_publisher::clock::{Clock as _, SystemClock};
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use lambda_runtime_api_client::{Client as RuntimeApi, body::Body};
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::level_filters::LevelFilter;

use crate::failure::Failure;
use crate::settings::{SettingsError, Variables};

/// Where Lambda is told why a function does not start.
const INIT_ERROR: &str = "/2018-06-01/runtime/init/error";

/// What is done with an event.
pub trait Function {
    /// Answers an event, with that much time until Lambda ends the process.
    fn handle(&self, event: &str, left: Duration) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// Runs a function until Lambda ends the process. What is wrong with its settings is one line on standard error, Lambda
/// is told the same, and the process ends.
pub fn run<S, F: Function>(
    settings: Result<S, SettingsError>,
    variables: &Variables,
    level: impl FnOnce(&S) -> LevelFilter,
    function: impl FnOnce(S) -> F,
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the function can not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            if variables.are_of_lambda() {
                runtime.block_on(tell(&error));
            }
            return ExitCode::FAILURE;
        }
    };
    log(level(&settings));
    let handled = runtime.block_on(async {
        let function = function(settings);
        let handle = async |event: LambdaEvent<Box<RawValue>>| {
            let (payload, context) = event.into_parts();
            let done = function.handle(payload.get(), left(context.deadline)).await;
            done.inspect_err(|failure| {
                tracing::error!(code = failure.code, detail = failure.detail, "the invocation failed");
            })
        };
        Runtime::new(service_fn(handle)).run().await
    });
    match handled {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "Lambda can not be asked for events");
            ExitCode::FAILURE
        }
    }
}

/// The time until a deadline, by this machine's clock.
fn left(deadline_ms: u64) -> Duration {
    let now_ms = u64::try_from(SystemClock.now_ms()).unwrap_or_default();
    Duration::from_millis(deadline_ms.saturating_sub(now_ms))
}

/// Logs JSON lines, as far as they are wanted.
fn log(level: LevelFilter) {
    let log = tracing_subscriber::fmt().json().flatten_event(true).with_target(false).with_max_level(level);
    // Another one is there already only in a test.
    let _ = log.try_init();
}

/// Tells Lambda, so that whoever invokes the function reads it too. It is on standard error in any case.
async fn tell(error: &SettingsError) {
    let told = serde_json::json!({
        "errorType": SettingsError::CODE,
        "errorMessage": error.to_string(),
        "stackTrace": [],
    });
    let request = http::Request::post(INIT_ERROR)
        .header("content-type", "application/json")
        .header("lambda-runtime-function-error-type", "Function.Configuration")
        .body(Body::from(told.to_string()));
    if let (Ok(client), Ok(request)) = (RuntimeApi::builder().build(), request) {
        let _ = client.call(request).await;
    }
}
