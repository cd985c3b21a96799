//! The SDK client that `dev` has built in: it tells each swap in one line.

use core::time::Duration;

use flagstone::{Client, Connection, Event, EventKind};

use crate::failure::{Failure, sentence};
use crate::verbs::dev::banner::Ready;
use crate::verbs::watch::build_failure;

/// The environment that is followed.
const ENVIRONMENT: &str = "production";
const POLL: Duration = Duration::from_millis(500);
/// Keys that one line names.
const MOST_KEYS: usize = 10;

/// Starts following the server view of production, over HTTP like every other client.
pub(super) fn start(ready: &Ready, for_people: bool) -> Result<Client, Failure> {
    let (text, key) = ready.connection(ENVIRONMENT).ok_or_else(|| {
        Failure::refused("environment-not-found", format!("there is no environment `{ENVIRONMENT}`"))
    })?;
    let connection = Connection::parse(&text).map_err(|error| sentence(error.code(), &error))?;
    let client = Client::builder(connection)
        .sdk_key(key)
        .poll_interval(POLL)
        .user_agent("flagstone-dev")
        .build()
        .map_err(|error| build_failure(&error))?;
    let mut events = client.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if for_people { tell(&event) } else { record(&event) }
        }
    });
    Ok(client)
}

/// The line for people.
fn tell(event: &Event) {
    let version = event.version.unwrap_or_default();
    match event.kind {
        EventKind::Ready | EventKind::Swap => {
            let word = if event.kind == EventKind::Ready { "follows" } else { "swapped in" };
            let mut keys: Vec<_> = event.keys.iter().take(MOST_KEYS).map(|key| &**key).collect();
            if event.keys.len() > MOST_KEYS {
                keys.push("…");
            }
            let keys = if keys.is_empty() { String::new() } else { format!(", changed: {}", keys.join(" ")) };
            tracing::info!(
                "SDK {word} {ENVIRONMENT} version {version}: {} bytes, applied in {:.2} ms{keys}",
                event.fetched,
                event.apply.as_secs_f64() * 1_000.0,
            );
        }
        _ => {
            let bits: Vec<_> = event.bits.names().collect();
            let code = event.code.unwrap_or("none");
            tracing::warn!("SDK status: [{}], code {code}; version {version} is served", bits.join(" "));
        }
    }
}

/// The line for programs.
fn record(event: &Event) {
    let keys: Vec<_> = event.keys.iter().map(|key| &**key).collect();
    let bits: Vec<_> = event.bits.names().collect();
    tracing::info!(
        event = event.kind.as_str(),
        environment = ENVIRONMENT,
        version = event.version,
        serial = event.serial,
        fetched = event.fetched,
        requests = event.requests,
        apply_us = u64::try_from(event.apply.as_micros()).unwrap_or(u64::MAX),
        keys = keys.join(" "),
        status = bits.join(" "),
        code = event.code,
        "sdk"
    );
}
