//! `watch`: the SDK, and one JSON line for each change.

use core::time::Duration;

use flagstone::{Client, Connection, Context, Details, Event, EventKind, Value};
use flagstone_model::json::Json;

use crate::args::Watch;
use crate::failure::{Exit, Failure};
use crate::given::Given;
use crate::screen::Screen;
use crate::surroundings::Surroundings;

pub(super) async fn run(args: &Watch, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let watched = watched(args)?;
    let mut builder = Client::builder(connection(&args.connection)?);
    if let Some(key) = &surroundings.sdk_key {
        builder = builder.sdk_key(key);
    }
    if let Some(poll_ms) = args.poll_ms {
        builder = builder.poll_interval(Duration::from_millis(poll_ms));
    }
    if let Some(directory) = &args.cache {
        builder = builder.cache_dir(directory);
    }
    let client = builder.build().map_err(|error| build_failure(&error))?;
    let mut events = client.events();
    let mut stopped = core::pin::pin!(super::stop::Stop::listen().wait());
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = &mut stopped => None,
        };
        match event {
            Some(event) => screen.line(line(&event, &client, &watched))?,
            None => break,
        }
    }
    client.close().await;
    Ok(())
}

/// Reads a connection string.
pub(super) fn connection(text: &str) -> Result<Connection, Failure> {
    Connection::parse(text).map_err(|error| {
        Failure::new(Exit::Usage, error.code(), format!("the connection string is wrong: {error}"))
    })
}

/// Why a client could not be set up.
pub(super) fn build_failure(error: &flagstone::BuildError) -> Failure {
    let failure = Failure::refused(error.code(), error.to_string());
    match error {
        flagstone::BuildError::SdkKeyMissing | flagstone::BuildError::SdkKeyMalformed => {
            failure.hint("the key goes into FLAGSTONE_SDK_KEY")
        }
        _ => failure,
    }
}

/// Each `--flag` with the `--context` that belongs to it; the last context is that of all flags without one.
fn watched(args: &Watch) -> Result<Vec<(String, Context)>, Failure> {
    if args.contexts.len() > args.flags.len() {
        return Err(Failure::usage("there are more --context than --flag"));
    }
    let mut watched: Vec<(String, Context)> = Vec::new();
    for (index, key) in args.flags.iter().enumerate() {
        if watched.iter().any(|(known, _)| known == key) {
            return Err(Failure::usage(format!("--flag {key} stands there twice")));
        }
        let context = match args.contexts.get(index).or(args.contexts.last()) {
            Some(Given::Stdin) => return Err(Failure::usage("--context is JSON or @FILE here")),
            Some(given) => Context::from_json(&given.read("--context")?)
                .ok_or_else(|| Failure::usage("--context is no JSON object"))?,
            None => Context::new(),
        };
        watched.push((key.clone(), context));
    }
    Ok(watched)
}

fn line(event: &Event, client: &Client, watched: &[(String, Context)]) -> Json<'static> {
    let mut members = vec![("event", Json::from(event.kind.as_str()))];
    members.extend(event.version.map(|version| ("version", Json::from(version))));
    members.extend(event.serial.map(|serial| ("serial", Json::from(serial))));
    members.extend(event.source.map(|source| ("source", Json::from(source.as_str()))));
    members.push(("status", event.bits.names().map(Json::from).collect()));
    members.extend(event.code.map(|code| ("code", Json::from(code))));
    if event.kind == EventKind::Swap {
        members.push(("keys", event.keys.iter().map(|key| Json::from(key.to_string())).collect()));
    }
    members.push(("fetched", Json::from(event.fetched)));
    members.push(("requests", Json::from(event.requests)));
    if !watched.is_empty() {
        let values =
            watched.iter().map(|(key, context)| (key.clone(), details(&client.details(key, context))));
        members.push(("values", Json::object(values)));
    }
    Json::object(members)
}

/// The members that `eval --batch` writes, and no others.
fn details(details: &Details<Option<Value>>) -> Json<'static> {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map(|text| Json::from(text.to_string()));
    let mut members = Vec::new();
    members.extend(details.value.as_ref().map(|value| ("value", value.to_json().into_owned())));
    members.extend(text(&details.variation).map(|variation| ("variation", variation)));
    members.push(("reason", Json::from(details.reason.as_str())));
    members.extend(details.error_code.map(|code| ("error_code", Json::from(code.as_str()))));
    members.extend(text(&details.rule).map(|rule| ("rule", rule)));
    members.extend(text(&details.exp).map(|exp| ("exp", exp)));
    members.extend(details.bucket.map(|bucket| ("bucket", Json::from(bucket))));
    Json::object(members)
}
