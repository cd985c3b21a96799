//! `eval`: by the admin API, or from a snapshot file without any server.

use std::io::{BufRead, BufReader, BufWriter, Write, stdin, stdout};
use std::path::Path;
use std::sync::Arc;

use flagstone_bundle::container::{Caps, Encoding, StoredObject, decode_frame};
use flagstone_eval::{List, MAX_LIST_BYTES, Report, Snapshot, WantedList, batch};
use flagstone_model::json::Json;

use crate::api::Api;
use crate::args::Eval;
use crate::failure::{Failure, closest};
use crate::screen::{Paint, Screen};
use crate::surroundings::Surroundings;
use crate::verbs::{block_on, now, told};

/// What a zstd frame begins with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Places in a snapshot that are not understood and named one by one.
const MOST_PROBLEMS: usize = 20;

pub(super) fn run(args: &Eval, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let Some(file) = &args.snapshot else {
        return block_on(by_api(args, surroundings, screen));
    };
    let lines = read_lines(file)?;
    let split = lines.strip_suffix(b"\n").unwrap_or(&lines).split(|byte| *byte == b'\n');
    let (snapshot, report) = Snapshot::compile(split.filter(|_| !lines.is_empty()));
    tell_problems(&report, screen);
    let snapshot = with_lists(snapshot, file, screen);
    if args.batch {
        return answer_cases(&snapshot);
    }
    let keys: Vec<_> = match &args.key {
        Some(key) => vec![key.clone()],
        None => {
            let mut keys: Vec<_> = snapshot.flag_keys().map(ToString::to_string).collect();
            keys.sort_unstable();
            keys
        }
    };
    let context = context(args)?;
    for key in keys {
        let mut case = vec![("flag", Json::from(key.as_str())), ("context", context.clone())];
        case.extend(args.at.as_deref().map(|at| ("at", Json::from(at))));
        let answer = batch::answer(&snapshot, Json::object(case).to_string().as_bytes(), now());
        let details = Json::parse(answer.as_bytes()).unwrap_or(Json::Null);
        if details.member("error").is_some() {
            return Err(Failure::usage("--at is an instant such as 2026-12-01T09:00:00Z"));
        }
        let keys: Vec<_> = snapshot.flag_keys().cloned().collect();
        refuse_unknown(&key, &details, keys.iter().map(|key| &**key))?;
        one(screen, &key, &details, args.key.is_none())?;
    }
    Ok(())
}

/// The lines of a snapshot file, unpacked if it is a zstd frame.
fn read_lines(file: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(file).map_err(|error| {
        Failure::refused("unreadable", format!("{} cannot be read: {error}", file.display()))
    })?;
    if !bytes.starts_with(&ZSTD_MAGIC) {
        return Ok(bytes);
    }
    decode_frame(&bytes, Caps::SNAPSHOT)
        .map_err(|error| Failure::refused(error.code(), format!("{}: {error}", file.display())))
}

/// Most bytes of a list object: unpacked as the evaluator has it, and no more before.
const LIST_CAPS: Caps = Caps { stored: MAX_LIST_BYTES as u64, raw: MAX_LIST_BYTES as u64 };

/// The snapshot with the objects of its lists that lie in `k/` beside its file.
///
/// One that is missing or damaged is a remark: tests on its list are undecidable, and nothing else is.
fn with_lists(mut snapshot: Snapshot, file: &Path, screen: &Screen) -> Snapshot {
    let folder = file.parent().unwrap_or(Path::new("")).join("k");
    for wanted in snapshot.wanted_lists() {
        match read_list(&folder.join(format!("{}.txt.zst", wanted.sha256)), &wanted) {
            Ok(list) => snapshot = snapshot.with_list(wanted.sha256, &Arc::new(list)),
            Err(why) => screen.note(format!("list `{}` is undecidable: {why}", wanted.key)),
        }
    }
    snapshot
}

fn read_list(file: &Path, wanted: &WantedList) -> Result<List, String> {
    let told = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let WantedList { sha256, size, raw_size, .. } = *wanted;
    let object = StoredObject { encoding: Encoding::Zstd, sha256, size, raw_size };
    object.within(LIST_CAPS).map_err(|why| told(&why))?;
    let stored = std::fs::read(file).map_err(|why| told(&why))?;
    let keys = object.open(&stored, LIST_CAPS).map_err(|why| told(&why))?;
    List::parse(keys).map_err(|why| told(&why))
}

/// Remarks, not failures: what is not understood costs its own flag.
fn tell_problems(report: &Report, screen: &Screen) {
    for problem in report.problems.iter().take(MOST_PROBLEMS) {
        let pointer = if problem.pointer.is_empty() { "the line" } else { &problem.pointer };
        screen.note(format!("{} `{}`: {pointer}: {}", problem.kind, problem.key, problem.why));
    }
    if let Some(more) = report.problems.len().checked_sub(MOST_PROBLEMS).filter(|more| *more > 0) {
        screen.note(format!("{more} more places are not understood"));
    }
    if report.headless_lines > 0 {
        screen.note(format!("{} lines name no entity and are ignored", report.headless_lines));
    }
}

/// Answers the cases on standard input, line by line.
fn answer_cases(snapshot: &Snapshot) -> Result<(), Failure> {
    let mut cases = BufReader::with_capacity(1 << 16, stdin().lock());
    let mut answers = BufWriter::with_capacity(1 << 16, stdout().lock());
    let mut case = Vec::new();
    loop {
        // Who waits for an answer before the next case gets it.
        if cases.buffer().is_empty() {
            answers.flush().map_err(|_| Failure::closed())?;
        }
        case.clear();
        let read = cases
            .read_until(b'\n', &mut case)
            .map_err(|error| Failure::refused("unreadable", format!("standard input: {error}")))?;
        if read == 0 {
            return answers.flush().map_err(|_| Failure::closed());
        }
        let case = case.strip_suffix(b"\n").unwrap_or(&case);
        let answer = batch::answer(snapshot, case, now());
        writeln!(answers, "{answer}").map_err(|_| Failure::closed())?;
    }
}

fn context(args: &Eval) -> Result<Json<'static>, Failure> {
    let context = args.context.as_ref().map(|given| given.read("--context")).transpose()?;
    let context = context.unwrap_or_else(|| Json::Object(Vec::new()));
    if context.as_object().is_none() {
        return Err(Failure::usage("--context is no JSON object"));
    }
    Ok(context)
}

async fn by_api(args: &Eval, surroundings: &Surroundings, screen: &Screen) -> Result<(), Failure> {
    let api = Api::new(&args.api, surroundings)?;
    let mut body = vec![("context", context(args)?)];
    body.extend(args.key.as_ref().map(|key| ("flag", Json::from(key.clone()))));
    body.extend(args.at.as_ref().map(|at| ("at", Json::from(at.clone()))));
    let answer = api.ask(&api.in_environment("evaluate"), &Json::object(body)).await;
    let flags = async || -> Result<Vec<String>, Failure> {
        let flags = api.list(&api.in_project("flags")).await?;
        Ok(flags.iter().map(|flag| told::text(flag, "key").to_owned()).collect())
    };
    let answer = match answer {
        Err(failure) if failure.code == "flag-not-found" && failure.suggestion.is_none() => {
            let keys = flags().await.unwrap_or_default();
            let key = args.key.as_deref().unwrap_or_default();
            return Err(failure.suggest(closest(key, keys.iter().map(String::as_str))));
        }
        answer => answer?,
    };
    if let Some(key) = &args.key {
        if is_unknown(&answer.body) {
            let keys = flags().await?;
            refuse_unknown(key, &answer.body, keys.iter().map(String::as_str))?;
        }
        return one(screen, key, &answer.body, false);
    }
    if screen.is_json() {
        return screen.json(&answer.body);
    }
    for (key, details) in answer.body.member("flags").and_then(Json::as_object).unwrap_or_default() {
        one(screen, key, details, true)?;
    }
    Ok(())
}

fn is_unknown(details: &Json<'_>) -> bool {
    told::text(details, "error_code") == "FLAG_NOT_FOUND"
}

fn refuse_unknown<'k>(
    key: &str,
    details: &Json<'_>,
    keys: impl IntoIterator<Item = &'k str>,
) -> Result<(), Failure> {
    if is_unknown(details) {
        return Err(
            Failure::refused("flag-not-found", format!("no flag `{key}`")).suggest(closest(key, keys))
        );
    }
    Ok(())
}

/// What one flag serves, and why.
fn one(screen: &Screen, key: &str, details: &Json<'_>, of_many: bool) -> Result<(), Failure> {
    if screen.is_json() {
        if !of_many {
            return screen.json(details);
        }
        let mut members = vec![("flag".into(), Json::from(key))];
        members.extend_from_slice(details.as_object().unwrap_or_default());
        return screen.json(&Json::Object(members));
    }
    let value = match details.member("value") {
        Some(value) => screen.paint(Paint::Green, value),
        None => screen.paint(Paint::Yellow, "the default in the code"),
    };
    let mut why = vec![told::text(details, "reason").to_owned()];
    for (name, text) in
        [("variation", "variation"), ("rule", "rule"), ("error_code", "code"), ("exp", "experiment")]
    {
        match told::text(details, name) {
            "" => {}
            value => why.push(format!("{text} {value}")),
        }
    }
    why.extend(told::number(details, "bucket").map(|bucket| format!("bucket {bucket}")));
    let why = screen.paint(Paint::Dim, format!("({})", why.join(", ")));
    screen.line(format!("{} = {value}  {why}", screen.paint(Paint::Bold, key)))
}
