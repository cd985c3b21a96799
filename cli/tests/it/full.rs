//! A file system without room.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Stdio};

use flagstone_model::json::Json;

use crate::serve::{Served, serve};
use crate::support::*;

/// `serve`, so that files that may not grow are an error of the write and not the end of the process.
fn start(data: &Path) -> Served {
    let wanted = serve(data);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    command.arg(wanted.get_program()).args(wanted.get_args()).stderr(Stdio::null());
    for (name, value) in wanted.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut process = Running::start(&mut command);
    let ready = parse(&process.line().expect("serve gets ready"));
    Served { process, ready }
}

/// Sets how large the files of a process may get from now on.
fn limit(served: &Served, bytes: &str) {
    let limit = format!("--fsize={bytes}:");
    let pid = served.process.id().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, &limit]).status().expect("prlimit is there");
    assert!(set.success());
}

fn flags(served: &Served) -> Vec<String> {
    let listed = served.done(&["flag", "list"]);
    let items = at(&listed, &["items"]).as_array().unwrap();
    items.iter().filter_map(|item| item.member("key").and_then(Json::as_str)).map(str::to_owned).collect()
}

#[test]
fn a_write_without_room_is_refused_whole_and_the_next_one_with_room_is_done() {
    let directory = tempfile::tempdir().unwrap();
    crate::serve::init(directory.path(), &["production"]);
    let mut served = start(directory.path());
    served.done(&["flag", "create", "before"]);
    let head = number(&served.done(&["on", "before"]), &["seq"]);
    limit(&served, "0");
    for arguments in [&["flag", "create", "meanwhile"][..], &["off", "before"]] {
        let output = served.verb(&[&["--json"], arguments].concat()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        let error = parse(err.lines().last().expect("an error"));
        assert_eq!((output.status.code(), text(&error, &["error", "code"]).as_str()), (Some(3), "busy"));
    }
    assert_eq!(flags(&served), ["before"], "reads go on, and nothing is half done");
    limit(&served, "unlimited");
    let off = served.done(&["off", "before"]);
    assert_eq!(number(&off, &["seq"]), head + 1, "what was refused is no entry");
    assert_eq!(text(&off, &["publication", "production", "server", "state"]), "announced");
    served.done(&["flag", "create", "after"]);
    assert_eq!(flags(&served), ["after", "before"]);
    assert_eq!(served.process.terminate(), Some(0));
    let data = directory.path().to_str().unwrap();
    let audit = run(&["--json", "audit", "verify", "--project", "acme", "--data", data]);
    assert_eq!(audit.code, 0, "{} {}", audit.out, audit.err);
}
