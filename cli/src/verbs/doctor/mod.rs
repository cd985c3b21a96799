//! `doctor`: what holds, what does not, and what to do.

mod local;
mod remote;
mod store;

use core::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use flagstone_model::json::Json;

use crate::args::{Doctor, DoctorVerb};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::{block_on, verify};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug)]
struct Check {
    /// What was looked at, a stable name.
    name: &'static str,
    level: Level,
    detail: String,
    /// What to do.
    advice: Option<String>,
}

/// Everything that was looked at.
#[derive(Debug, Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn ok(&mut self, name: &'static str, detail: impl Display) {
        self.add(name, Level::Ok, detail, None);
    }

    fn warn(&mut self, name: &'static str, detail: impl Display, advice: impl Into<String>) {
        self.add(name, Level::Warn, detail, Some(advice.into()));
    }

    fn fail(&mut self, name: &'static str, detail: impl Display, advice: impl Into<String>) {
        self.add(name, Level::Fail, detail, Some(advice.into()));
    }

    /// What went wrong, with the advice that it has itself.
    fn failed(&mut self, name: &'static str, failure: &Failure) {
        let detail = format!("{} [{}]", failure.detail, failure.code);
        let meant = failure.suggestion.as_ref().map(|meant| format!("did you mean `{meant}`?"));
        self.add(name, Level::Fail, detail, meant.or_else(|| failure.hint.clone()));
    }

    fn add(&mut self, name: &'static str, level: Level, detail: impl Display, advice: Option<String>) {
        self.0.push(Check { name, level, detail: detail.to_string(), advice });
    }
}

pub(super) fn run(args: &Doctor, surroundings: &Surroundings, screen: &Screen) -> Result<ExitCode, Failure> {
    let progress = Progress::start(screen.shows_progress(), "looking");
    let mut checks = Checks::default();
    if let Some(DoctorVerb::Store(args)) = &args.only {
        block_on(store::look(args, surroundings, &mut checks))?;
        drop(progress);
        return tell(&checks, screen);
    }
    let data = args.data.clone().or_else(|| surroundings.setting("FLAGSTONE_DATA").map(PathBuf::from));
    if let Some(data) = &data {
        block_on(async {
            local::look(data, &mut checks).await;
            Ok(())
        })?;
    }
    // A directory alone needs no server.
    if data.is_none() || args.api.url.is_some() || surroundings.url.is_some() {
        block_on(async {
            remote::look(&args.api, surroundings, &mut checks).await;
            Ok(())
        })?;
    }
    for connection in &args.connections {
        match verify::look(connection, surroundings) {
            Ok(told) => checks.ok("stream", told),
            Err(failure) => checks.failed("stream", &failure),
        }
    }
    drop(progress);
    tell(&checks, screen)
}

/// Tells what was looked at, and whether nothing of it failed.
fn tell(checks: &Checks, screen: &Screen) -> Result<ExitCode, Failure> {
    let failed = checks.0.iter().any(|check| check.level == Level::Fail);
    show(checks, screen)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn show(checks: &Checks, screen: &Screen) -> Result<(), Failure> {
    if screen.is_json() {
        let ok = checks.0.iter().all(|check| check.level != Level::Fail);
        let checks = checks.0.iter().map(|check| {
            let mut members = vec![
                ("name", Json::from(check.name)),
                ("level", Json::from(check.level.as_str())),
                ("detail", Json::from(check.detail.clone())),
            ];
            members.extend(check.advice.clone().map(|advice| ("advice", Json::from(advice))));
            Json::object(members)
        });
        return screen.json(&Json::object([("ok", Json::from(ok)), ("checks", checks.collect())]));
    }
    let width = checks.0.iter().map(|check| check.name.len()).max().unwrap_or_default();
    for Check { name, level, detail, advice } in &checks.0 {
        let paint = match level {
            Level::Ok => Paint::Green,
            Level::Warn => Paint::Yellow,
            Level::Fail => Paint::Red,
        };
        let mark = screen.paint(paint, format!("{:<4}", level.as_str()));
        screen.line(format!("{mark}  {name:<width$}  {detail}"))?;
        if let Some(advice) = advice {
            screen.line(format!("{:width$}{}", "", screen.paint(Paint::Dim, advice), width = width + 8))?;
        }
    }
    Ok(())
}

/// Now, in epoch milliseconds.
fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a binary reads the clock")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A time that is left, for people.
fn days(ms: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    match ms / DAY_MS {
        0 => "less than a day".to_owned(),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}
