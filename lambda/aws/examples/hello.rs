//! A function that answers nothing: what the start of the real ones is compared with.

use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use serde_json::Value;

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Runtime::new(service_fn(async |_: LambdaEvent<Value>| Ok::<_, Error>(()))).run())
}
