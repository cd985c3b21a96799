//! `verify`: all of FORMAT T on a bundle file or a stream.

use core::fmt::Display;
use core::time::Duration;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use flagstone::{Client, Connection};
use flagstone_bundle::container::Caps;
use flagstone_bundle::content::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::limits::MAX_BUNDLE_BYTES;
use flagstone_bundle::manifest::Stream;
use flagstone_bundle::root::Pin;
use flagstone_bundle::{BundleError, UnverifiedBundle, Verified};
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::causes::with_causes;

use crate::args::Verify;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::watch::{build_failure, connection};
use crate::verbs::{block_on, told};

/// How long a stream may take to come.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a clock may be wrong by (FORMAT T-1.8).
const CLOCK_ERROR_MS: i64 = 60_000;

/// What was found wrong: the stable code, and a sentence.
struct Fault {
    code: String,
    detail: String,
}

impl Fault {
    fn new(code: &str, detail: impl Display) -> Self {
        Self { code: code.to_owned(), detail: format!("{detail}") }
    }
}

impl From<BundleError> for Fault {
    fn from(error: BundleError) -> Self {
        Self::new(error.code(), error)
    }
}

/// What is good, as members in the order they are told.
type Described = Vec<(&'static str, Json<'static>)>;

pub(super) fn run(args: &Verify, surroundings: &Surroundings, screen: &Screen) -> Result<ExitCode, Failure> {
    let checked = if args.subject.starts_with("flagstone://") || args.subject.starts_with("flagstone+http://")
    {
        if args.root.is_some() || args.connection.is_some() {
            return Err(Failure::usage("a connection string holds its pin itself"));
        }
        let connection = connection(&args.subject)?;
        let _progress = Progress::start(screen.shows_progress(), "fetching the stream");
        block_on(stream(connection, surroundings))?
    } else {
        let trust = match (&args.root, &args.connection) {
            (_, Some(text)) => Some(of_connection(&connection(text)?)),
            (Some(pin), None) => Some((
                Pin::parse(pin)
                    .ok_or_else(|| Failure::usage("--root is N:SHA256, as in a connection string"))?,
                None,
            )),
            (None, None) => None,
        };
        bundle(&read(Path::new(&args.subject))?, trust)
    };
    tell(&checked, screen)?;
    Ok(if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Fetches a stream as every client does, and says in one sentence what it is.
pub(super) fn look(text: &str, surroundings: &Surroundings) -> Result<String, Failure> {
    match block_on(stream(connection(text)?, surroundings))? {
        Err(fault) => Err(Failure::refused(&fault.code, fault.detail)),
        Ok(members) => {
            let described = Json::object(members);
            let text = |name| told::text(&described, name);
            let version = told::number(&described, "version").unwrap_or_default();
            let status = described.member("status").and_then(Json::as_array).unwrap_or_default();
            let bits: Vec<_> = status.iter().map(told::plain).collect();
            let bits = if bits.is_empty() { String::new() } else { format!(", status {}", bits.join(" ")) };
            Ok(format!("{}/{}: an SDK verifies version {version}{bits}", text("environment"), text("view")))
        }
    }
}

fn of_connection(connection: &Connection) -> (Pin, Option<Stream>) {
    (*connection.pin(), Some(connection.stream().clone()))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::refused("unreadable", format!("{} cannot be read: {error}", path.display()))
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_BUNDLE_BYTES as u64 {
        return Err(Failure::refused(
            "too-large",
            format!("{} has {size} bytes, more than any bundle", path.display()),
        ));
    }
    std::fs::read(path).map_err(unreadable)
}

/// Checks a bundle file, against a pin or, without one, against its own first root.
fn bundle(file: &[u8], trust: Option<(Pin, Option<Stream>)>) -> Result<Described, Fault> {
    let unverified = UnverifiedBundle::parse(file)?;
    let pinned = trust.is_some();
    let own_stream = || {
        stream_of(unverified.parts().manifest)
            .ok_or_else(|| Fault::new("malformed", "the manifest names no stream"))
    };
    let (pin, stream) = match trust {
        Some((pin, Some(stream))) => (pin, stream),
        Some((pin, None)) => (pin, own_stream()?),
        None => (pin_of(&unverified)?, own_stream()?),
    };
    let verified = unverified.load(&pin, &stream)?;
    check_inline(&verified)?;
    Ok(describe(&verified, pinned))
}

/// The pin of the first root in a bundle: what there is to compare with one that is trusted.
fn pin_of(bundle: &UnverifiedBundle<'_>) -> Result<Pin, Fault> {
    let first = bundle.parts().roots.first();
    let (number, file) = first.ok_or_else(|| Fault::new("malformed", "the bundle has no root"))?;
    let payload = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Pin { root: *number, sha256: Digest::of(payload) })
}

/// The stream a manifest says it is of.
fn stream_of(manifest: &[u8]) -> Option<Stream> {
    let payload = Json::parse(manifest.split(|byte| *byte == b'\n').next()?).ok()?;
    let text = |name| payload.member(name).and_then(Json::as_str);
    Some(Stream {
        project: ProjectId::parse(text("project")?).ok()?,
        environment: EnvironmentId::parse(text("environment")?).ok()?,
        view: ViewId::parse(text("view")?).ok()?,
    })
}

/// A bundle does not need the inline delta of its manifest; a byte of it is nevertheless not to be wrong.
fn check_inline(verified: &Verified) -> Result<(), Fault> {
    let Some((delta, inline)) = verified.manifest.inline_delta() else { return Ok(()) };
    let raw = delta
        .object
        .open(inline, Caps::SNAPSHOT)
        .map_err(|error| Fault::new(error.code(), format!("inline delta: {error}")))?;
    let lines = DeltaLines::parse(&raw)
        .map_err(|error| Fault::new(error.code(), format!("inline delta: {error}")))?;
    let content: &Content = &verified.content;
    let written = lines.heads().zip(lines.upserts()).all(|(head, line)| content.line(head) == Some(line));
    let gone = lines.drops().all(|drop| content.line(drop.head).is_none());
    if written && gone {
        Ok(())
    } else {
        Err(Fault::new("content-mismatch", "the inline delta leads to another content"))
    }
}

fn describe(verified: &Verified, pinned: bool) -> Described {
    let Verified { root, manifest, content } = verified;
    let stream = manifest.stream();
    let now = now_ms();
    let late = |expires_ms: i64| now > expires_ms.saturating_add(CLOCK_ERROR_MS);
    let mut status = Vec::new();
    if late(manifest.expires_ms()) {
        status.push(Json::from("expired"));
    }
    if late(root.expires_ms()) {
        status.push(Json::from("root-expired"));
    }
    vec![
        ("kind", Json::from("bundle")),
        ("project", Json::from(stream.project.to_string())),
        ("environment", Json::from(stream.environment.to_string())),
        ("view", Json::from(stream.view.to_string())),
        ("root", Json::from(root.pin().to_string())),
        ("pinned", Json::from(pinned)),
        ("epoch", Json::from(manifest.epoch())),
        ("version", Json::from(manifest.version())),
        ("serial", Json::from(manifest.serial())),
        ("issued_ms", Json::from(manifest.issued_ms())),
        ("expires_ms", Json::from(manifest.expires_ms())),
        ("content", Json::from(manifest.content().to_string())),
        ("lines", Json::from(content.len() as u64)),
        ("status", Json::Array(status)),
    ]
}

/// Fetches a stream as every client does, and tells what that came to.
async fn stream(
    connection: Connection,
    surroundings: &Surroundings,
) -> Result<Result<Described, Fault>, Failure> {
    let pin = connection.pin().to_string();
    let stream = connection.stream().clone();
    let mut builder = Client::builder(connection);
    if let Some(key) = &surroundings.sdk_key {
        builder = builder.sdk_key(key);
    }
    let client = builder.build().map_err(|error| build_failure(&error))?;
    let waited = tokio::time::timeout(PATIENCE, client.refresh()).await;
    let status = client.status();
    client.close().await;
    let fault = |code: &str, error: &dyn core::error::Error| Fault::new(code, with_causes(error));
    let failed = match waited {
        Err(_) => Some(Fault::new("timeout", "the stream did not come in time")),
        Ok(Err(error)) => Some(fault(error.code(), &error)),
        Ok(Ok(_)) => status.last_error.as_ref().map(|failure| fault(failure.code(), failure)),
    };
    if let Some(fault) = failed {
        return Ok(Err(fault));
    }
    let number = |number: Option<u64>| number.map_or(Json::Null, Json::from);
    Ok(Ok(vec![
        ("kind", Json::from("stream")),
        ("project", Json::from(stream.project.to_string())),
        ("environment", Json::from(stream.environment.to_string())),
        ("view", Json::from(stream.view.to_string())),
        ("root", Json::from(pin)),
        ("pinned", Json::from(true)),
        ("epoch", number(status.epoch)),
        ("version", number(status.version)),
        ("serial", number(status.serial)),
        ("content", status.content.map_or(Json::Null, |content| Json::from(content.to_string()))),
        ("fetched", Json::from(status.counters.bytes)),
        ("requests", Json::from(status.counters.requests)),
        ("status", status.bits.names().map(Json::from).collect()),
    ]))
}

fn tell(checked: &Result<Described, Fault>, screen: &Screen) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json(&match checked {
            Ok(members) => {
                Json::object([("ok", Json::from(true))].into_iter().chain(members.iter().cloned()))
            }
            Err(fault) => Json::object([
                ("ok", Json::from(false)),
                ("code", Json::from(fault.code.clone())),
                ("detail", Json::from(fault.detail.clone())),
            ]),
        });
    }
    match checked {
        Err(fault) => screen.line(format!("{}: {}", screen.paint(Paint::Red, &fault.code), fault.detail)),
        Ok(members) => {
            let described = Json::object(members.iter().cloned());
            let text = |name| told::text(&described, name);
            let (kind, project) = (text("kind"), text("project"));
            let stream = format!("{project}/{}/{}", text("environment"), text("view"));
            screen.line(format!("{}: a {kind} of {stream}", screen.paint(Paint::Green, "ok")))?;
            let rest = members.iter().skip_while(|(name, _)| *name != "root").cloned();
            told::entity(screen, &Json::object(rest))?;
            if described.member("pinned").and_then(Json::as_bool) == Some(false) {
                screen.note("compare the root with the pin you trust, or give it: --root N:SHA256");
            }
            Ok(())
        }
    }
}

fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a binary reads the clock")]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
