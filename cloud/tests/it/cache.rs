//! What is made once.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use flagstone_cloud::CloudError;
use flagstone_cloud::cache::{Cache, run};

#[test]
fn what_is_made_is_made_once_however_many_ask() {
    let folder = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let place = Cache::at(folder.path()).made_once("thing", |place| {
                    made.fetch_add(1, Ordering::SeqCst);
                    fs::write(place.join("file"), "whole").unwrap();
                    Ok(())
                });
                assert_eq!(fs::read(place.unwrap().join("file")).unwrap(), b"whole");
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}

#[test]
fn what_was_not_made_whole_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let failed = cache.made_once("thing", |place| {
        fs::write(place.join("half"), "").unwrap();
        Err(CloudError::Missing { program: "x", install: "y" })
    });
    assert_eq!(failed.unwrap_err().code(), "tool-missing");
    let place = cache.made_once("thing", |_| Ok(())).unwrap();
    assert_eq!(fs::read_dir(place).unwrap().count(), 0, "a half stayed");
}

#[test]
fn a_program_that_is_not_there_or_fails_is_told_with_its_reason() {
    let missing = run("nothing", "cannot be had", &mut Command::new("/nonexistent/program")).unwrap_err();
    assert_eq!(missing.to_string(), "nothing is not installed: cannot be had");
    let failed =
        run("sh", "is always there", Command::new("sh").args(["-c", "echo why; exit 3"])).unwrap_err();
    assert_eq!(
        (failed.code(), failed.to_string()),
        ("tool-failed", "sh ended with exit status: 3: why".to_owned())
    );
    assert_eq!(run("sh", "", Command::new("sh").args(["-c", "echo done"])).unwrap(), "done\n");
}
