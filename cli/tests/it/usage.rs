//! Wrong command lines and missing settings.

use crate::support::*;

#[test]
fn a_wrong_command_line_is_status_2_and_what_was_probably_meant_is_said() {
    let ran = run(&["verfy", "x"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("'verify'"), "{}", ran.err);
    for (arguments, meant) in [
        (&["--json", "rolout", "x", "5"][..], "rollout"),
        (&["--json", "flag", "list", "--projct", "x"], "--project"),
        (&["--json", "completions", "bsh"], "bash"),
    ] {
        let ran = run(arguments);
        assert_eq!((ran.code, text(&ran.error(), &["suggestion"]).as_str()), (2, meant), "{}", ran.err);
    }
    let ran = run(&["--json", "on"]);
    assert_eq!((ran.code, text(&ran.error(), &["code"]).as_str()), (2, "usage"));
}

#[test]
fn help_has_examples_and_the_exit_statuses_and_no_colours() {
    let ran = run(&["--help"]);
    assert_eq!(ran.code, 0);
    for part in ["Examples:", "flagstone dev", "Exit status:", "FLAGSTONE_TOKEN"] {
        assert!(ran.out.contains(part), "{part}");
    }
    assert!(!ran.out.contains('\x1b'));
}

#[test]
fn the_exit_statuses_in_the_help_are_those_that_are_given() {
    let help = run(&["--help"]).out;
    let statuses = help.split("Exit status:").nth(1).unwrap();
    let documented: Vec<_> = statuses.lines().filter_map(|line| line.trim().split_once("  ")).collect();
    let numbers: Vec<_> = documented.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "4", "5"]);
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    assert_eq!(dev.run(&["flag", "list"]).code, 0);
    assert_eq!(dev.run(&["flag", "show", "nothing"]).code, 1);
    assert_eq!(dev.run(&["flag", "shwo", "nothing"]).code, 2);
    assert_eq!(dev.run(&["flag", "list", "--url", "http://127.0.0.1:1"]).code, 3);
}

#[test]
fn a_token_is_asked_for_before_anything_is_sent() {
    let ran = run(&["flag", "list"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("set FLAGSTONE_TOKEN"), "{}", ran.err);
}

#[test]
fn a_server_that_does_not_answer_is_status_3() {
    let ran = flagstone()
        .args(["--json", "flag", "list", "--url", "http://127.0.0.1:1"])
        .env("FLAGSTONE_TOKEN", "t0ken")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(3));
    let err = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(text(&parse(err.trim_end()), &["error", "code"]), "unreachable");
    assert!(!err.contains("t0ken"));
}

#[test]
fn a_token_is_not_sent_in_the_clear() {
    let ran = flagstone()
        .args(["flag", "list", "--url", "http://flags.example"])
        .env("FLAGSTONE_TOKEN", "t0ken")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8(ran.stderr).unwrap().contains("in the clear"));
}
