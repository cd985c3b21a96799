//! `docs/TOUR.md` and `docs/EXPERIMENTS.md` are what they show: each command of their `console` blocks is run, in order,
//! in one shell, against a fresh `dev`, and has to print what stands below it.
//!
//! `…` stands for any text within a line, a line `…` for any number of lines, and a last line `exit status N` for a
//! status that is not 0. `FLAGSTONE_TOUR=print` prints what the commands came to, for whoever writes the page.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::*;

/// What ends the output of a command in that of the shell.
const END: char = '\u{1}';

/// A command and the lines it has to print.
#[derive(Debug)]
struct Shown {
    command: String,
    lines: Vec<String>,
    status: i32,
}

fn shown(page: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (false, _) => {}
            (true, line) => {
                if let Some(command) = line.strip_prefix("$ ") {
                    all.push(Shown { command: command.to_owned(), lines: Vec::new(), status: 0 });
                    continue;
                }
                let last = all.last_mut().expect("a block begins with a command");
                match (line.strip_prefix("> "), line.strip_prefix("exit status ")) {
                    (Some(more), _) if last.lines.is_empty() => {
                        last.command.push('\n');
                        last.command.push_str(more);
                    }
                    (_, Some(status)) => last.status = status.parse().expect("a number"),
                    _ => last.lines.push(line.to_owned()),
                }
            }
        }
    }
    all
}

/// Whether a line is as shown, `…` standing for anything.
fn line_fits(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether lines are as shown, a line `…` standing for any number of them.
fn lines_fit(shown: &[String], lines: &[&str]) -> bool {
    match (shown.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first.trim() == "…" => {
            (0..=lines.len()).any(|skipped| lines_fit(rest, &lines[skipped..]))
        }
        (Some((first, rest)), Some((line, lines))) => line_fits(first, line) && lines_fit(rest, lines),
        _ => false,
    }
}

#[test]
fn the_tour_is_what_happens() {
    happens("TOUR.md", 20);
}

#[test]
fn what_is_told_of_experiments_is_what_happens() {
    happens("EXPERIMENTS.md", 15);
}

/// Runs what a page of `docs/` shows, which is more than so many commands.
fn happens(page: &str, more_than: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let shown = shown(&std::fs::read_to_string(path).expect("the page is there"));
    assert!(shown.len() > more_than, "{page} shows {} commands", shown.len());

    let directory = tempfile::tempdir().expect("a directory");
    let dev = Dev::start(&directory.path().join("data"));
    let binaries = Path::new(env!("CARGO_BIN_EXE_flagstone")).parent().expect("a directory");
    let path = std::env::var("PATH").expect("a path");
    let mut script = "exec 2>&1\n".to_owned();
    for one in &shown {
        writeln!(script, "{}\nprintf '{END}%d\\n' $?", one.command).expect("text");
    }
    let ran = Command::new("bash")
        .env_clear()
        .env("PATH", format!("{}:{path}", binaries.display()))
        .env("HOME", directory.path())
        .env("TZ", "UTC")
        .env("FLAGSTONE_URL", dev.api())
        .env("FLAGSTONE_TOKEN", dev.token())
        .env("FLAGSTONE_SDK_KEY", dev.sdk_key("production"))
        .env("CONNECTION", dev.connection("production"))
        .env("DATA", directory.path().join("data"))
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .args(["-c", &script])
        .output()
        .expect("bash runs");
    let output = String::from_utf8(ran.stdout).expect("text");
    let print = std::env::var("FLAGSTONE_TOUR").is_ok_and(|told| told == "print");

    let mut rest = output.as_str();
    let mut wrong = Vec::new();
    for one in &shown {
        let (printed, after) = rest.split_once(END).unwrap_or_else(|| panic!("the shell ended: {rest}"));
        let (status, after) = after.split_once('\n').expect("a line");
        rest = after;
        if print {
            println!("$ {}\n{printed}[{status}]", one.command);
        }
        let lines: Vec<&str> = printed.lines().collect();
        if status != one.status.to_string() || !lines_fit(&one.lines, &lines) {
            wrong.push(format!("$ {}\n{printed}[{status}]", one.command));
        }
    }
    assert!(wrong.is_empty(), "{page} shows something else:\n{}", wrong.join("\n"));
}

#[test]
fn a_tour_that_shows_something_else_is_noticed() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(lines_fit(&lines("a … c\n…\nz"), &["a b c", "1", "2", "z"]));
    assert!(lines_fit(&lines("a\n…"), &["a"]));
    for (shown, printed) in [
        ("a", vec![]),
        ("a", vec!["b"]),
        ("a … c", vec!["a b d"]),
        ("…\nz", vec!["y"]),
        ("a", vec!["a", "b"]),
    ] {
        assert!(!lines_fit(&lines(shown), &printed), "{shown} {printed:?}");
    }
}
