//! `audit verify`: what it proves, and the first fault of each kind it finds.

use std::path::{Path, PathBuf};

use flagstone_model::key::ProjectId;
use flagstone_publisher::checkpoint::{self, Checkpoints as _};
use flagstone_publisher::log::ChangeLog as _;
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::state::State;

use crate::support::*;

/// A data directory with a few changes, which nobody uses any more.
fn data() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(directory.path());
    dev.done(&["off", "welcome-banner"]);
    dev.done(&["rollout", "search-ranking", "50", "--variation", "neural"]);
    assert_eq!(dev.process.terminate(), Some(0));
    directory
}

fn audit(directory: &Path) -> Ran {
    run(&["--json", "audit", "verify", "--data", directory.to_str().unwrap()])
}

fn fault(directory: &Path) -> String {
    let ran = audit(directory);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{}", ran.out);
    text(&ran.json(), &["code"])
}

fn production(directory: &Path) -> PathBuf {
    directory.join("bucket/closed/demo/v1/e/production/server")
}

/// All files below a directory with their bytes.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
    files.sort();
    files
}

#[test]
fn an_untouched_directory_verifies_and_nothing_is_written() {
    let directory = data();
    let before = files(directory.path());
    let ran = audit(directory.path());
    assert_eq!(ran.code, 0, "{}", ran.out);
    let told = ran.json();
    assert_eq!(number(&told, &["entries"]), 16);
    let streams = at(&told, &["streams"]).as_array().unwrap();
    assert_eq!(streams.len(), 4, "two environments, and two views of each");
    assert!(streams.iter().all(|stream| at(stream, &["announced"]).as_bool() == Some(true)));
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_directory_that_is_in_use_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(directory.path());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..20 {
                dev.done(&[if round % 2 == 0 { "off" } else { "on" }, "welcome-banner"]);
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let ran = audit(directory.path());
            assert_eq!(ran.code, 0, "{}", ran.out);
        }
    });
}

/// Flips one bit in the middle of wherever `needle` stands in the data file.
fn flip_in_log(directory: &Path, needle: &[u8]) {
    let path = directory.join("log.sqlite");
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<_> =
        bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle).collect();
    let place = places.first().expect("it is in the file").0 + needle.len() / 2;
    bytes[place] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_changed_byte_of_an_entry_is_found_where_it_is() {
    for needle in
        ["\"entity\":\"flag/production/search-ranking\"", "{\"authored\":{\"fallthrough\":{\"rollout\""]
    {
        let directory = data();
        flip_in_log(directory.path(), needle.as_bytes());
        let before = std::fs::read(directory.path().join("log.sqlite")).unwrap();
        let ran = audit(directory.path());
        assert_eq!(ran.code, 1, "{}", ran.out);
        assert!(number(&ran.json(), &["seq"]) > 3, "{}", ran.out);
        assert_eq!(std::fs::read(directory.path().join("log.sqlite")).unwrap(), before);
    }
}

#[test]
fn an_entry_that_is_gone_at_the_end_is_noticed_by_what_was_announced() {
    let directory = data();
    let shorter = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(shorter.path());
    dev.process.terminate();
    // Another log altogether, and the longer bucket with its keys.
    std::fs::copy(shorter.path().join("log.sqlite"), directory.path().join("log.sqlite")).unwrap();
    let code = fault(directory.path());
    assert!(["unclaimed", "anchor-mismatch", "log-truncated"].contains(&code.as_str()), "{code}");
}

#[test]
fn what_is_announced_and_archived_has_to_be_what_was_claimed() {
    let directory = data();
    let manifest = production(directory.path()).join("manifest");
    let newest = std::fs::read(&manifest).unwrap();

    let mut archive: Vec<_> = std::fs::read_dir(production(directory.path()).join("m"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    archive.sort_by_key(|path| path.file_name().unwrap().to_str().unwrap()[2..].parse::<u64>().unwrap());
    let older = std::fs::read(&archive[0]).unwrap();
    std::fs::write(&manifest, &older).unwrap();
    assert_eq!(fault(directory.path()), "manifest-regressed");

    let mut forged = newest.clone();
    forged[40] ^= 1;
    std::fs::write(&manifest, forged).unwrap();
    assert!(
        ["untrusted", "malformed", "wrong-stream", "unsupported"].contains(&fault(directory.path()).as_str())
    );

    std::fs::write(&manifest, &newest).unwrap();
    let last = archive.last().unwrap();
    let kept = std::fs::read(last).unwrap();
    std::fs::remove_file(last).unwrap();
    assert_eq!(fault(directory.path()), "archive-missing");
    std::fs::write(last, &older).unwrap();
    assert_eq!(fault(directory.path()), "archive-misnamed");
    std::fs::write(last, kept).unwrap();
    assert_eq!(audit(directory.path()).code, 0);
}

#[test]
fn a_bucket_that_has_nothing_of_a_stream_is_not_the_one() {
    for gone in ["closed/demo/v1/e/production", "closed", ""] {
        let directory = data();
        std::fs::remove_dir_all(directory.path().join("bucket").join(gone)).unwrap();
        std::fs::create_dir_all(directory.path().join("bucket")).unwrap();
        assert_eq!(fault(directory.path()), "manifest-regressed", "without {gone}");
    }
}

#[test]
fn a_snapshot_that_is_gone_or_changed_is_named() {
    let directory = data();
    let objects = files(&directory.path().join("bucket/closed/demo/v1/s"));
    let (path, bytes) = &objects[0];
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    std::fs::write(path, changed).unwrap();
    assert_eq!(fault(directory.path()), "digest-mismatch");
    std::fs::remove_file(path).unwrap();
    let ran = audit(directory.path());
    assert_eq!(text(&ran.json(), &["code"]), "object-missing");
    assert!(text(&ran.json(), &["object"]).contains("/s/"));
}

#[test]
fn a_manifest_with_other_content_than_the_log_gives_is_noticed() {
    // Two installations with the same keys: the second one's log holds another change under the same seq.
    let one = data();
    let two = tempfile::tempdir().unwrap();
    std::fs::create_dir(two.path().join("keys")).unwrap();
    for (path, bytes) in files(&one.path().join("keys")) {
        let to = two.path().join("keys").join(path.file_name().unwrap());
        std::fs::write(&to, bytes).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let mut dev = Dev::start(two.path());
    dev.done(&["off", "search-ranking"]);
    dev.done(&["off", "beta-dashboard"]);
    dev.process.terminate();
    let from = production(one.path()).join("m");
    let to = production(two.path()).join("m");
    let newest = |directory: &Path| -> PathBuf {
        let mut paths: Vec<_> = files(directory).into_iter().map(|(path, _)| path).collect();
        paths.sort_by_key(|path| path.file_name().unwrap().to_str().unwrap()[2..].parse::<u64>().unwrap());
        paths.pop().unwrap()
    };
    let stranger = newest(&from);
    std::fs::copy(&stranger, to.join(stranger.file_name().unwrap())).unwrap();
    for (path, bytes) in files(&one.path().join("bucket/closed/demo/v1/s")) {
        std::fs::write(two.path().join("bucket/closed/demo/v1/s").join(path.file_name().unwrap()), bytes)
            .unwrap();
    }
    let code = fault(two.path());
    assert!(["anchor-mismatch", "unclaimed", "serial-order"].contains(&code.as_str()), "{code}");
}

#[test]
fn where_there_is_no_log_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let ran = audit(directory.path());
    assert_eq!((ran.code, text(&ran.error(), &["code"]).as_str()), (1, "unreadable"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
}

/// Somebody with the file and without scruples.
fn sql(directory: &Path, statements: &str) {
    let file = rusqlite::Connection::open(directory.join("log.sqlite")).unwrap();
    file.execute_batch("DROP TRIGGER entry_stays; DROP TRIGGER entry_is_only_erased;").unwrap();
    file.execute_batch(statements).unwrap();
}

#[test]
fn what_somebody_does_to_the_table_is_found_with_its_entry() {
    for (statement, seq, code) in [
        ("DELETE FROM entry WHERE seq = 5", 5, "entry-missing"),
        ("DELETE FROM entry WHERE seq = 1", 1, "entry-missing"),
        ("DELETE FROM entry WHERE seq >= 15", 15, "log-truncated"),
        (
            "UPDATE entry SET data = CAST(replace(CAST(data AS TEXT), 'false', 'true') AS BLOB) WHERE seq = 15",
            15,
            "data-damaged",
        ),
        ("UPDATE entry SET salt = zeroblob(16) WHERE seq = 9", 9, "data-damaged"),
        ("UPDATE entry SET salt = NULL, data = NULL WHERE seq = 9", 9, "data-missing"),
        ("UPDATE entry SET hash = zeroblob(32) WHERE seq = 7", 7, "chain-broken"),
        ("UPDATE entry SET seq = 40 WHERE seq = 16", 16, "entry-missing"),
    ] {
        let directory = data();
        sql(directory.path(), statement);
        let ran = audit(directory.path());
        assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{statement}: {}", ran.out);
        let told = ran.json();
        assert_eq!(
            (number(&told, &["seq"]), text(&told, &["code"]).as_str()),
            (seq, code),
            "{statement}: {told}"
        );
    }
}

#[test]
fn dev_does_not_start_on_a_damaged_log_and_leaves_it_as_it_is() {
    let directory = data();
    flip_in_log(directory.path(), b"\"entity\":\"flag/production/search-ranking\"");
    let before = std::fs::read(directory.path().join("log.sqlite")).unwrap();
    let announced = files(&directory.path().join("bucket/closed"));
    let ran =
        run(&["--json", "dev", "--listen", "127.0.0.1:0", "--data", directory.path().to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert_eq!(text(&ran.error(), &["code"]), "log-not-next");
    assert_eq!(std::fs::read(directory.path().join("log.sqlite")).unwrap(), before);
    assert_eq!(files(&directory.path().join("bucket/closed")), announced);
}

#[test]
fn a_fork_verifies_if_an_entry_names_what_was_given_up() {
    let directory = data();
    let log = directory.path().join("log.sqlite");
    let older = std::fs::read(&log).unwrap();
    let mut dev = Dev::start(directory.path());
    dev.done(&["off", "search-ranking"]);
    dev.done(&["on", "welcome-banner"]);
    assert_eq!(dev.process.terminate(), Some(0));
    std::fs::write(&log, older).unwrap();

    let mut dev = Dev::start(directory.path());
    let path = "/v1/projects/demo/environments/production/publication";
    let (status, body) = dev.http().send("GET", path, &[], "").unwrap();
    assert!(status == 200 && body.contains("\"unclaimed-manifest\""), "{body}");
    assert_eq!(fault(directory.path()), "unclaimed");
    dev.done(&["publish", "--adopt", "-m", "restored from a copy"]);
    dev.done(&["rollout", "search-ranking", "10", "--variation", "neural"]);
    assert_eq!(dev.process.terminate(), Some(0));
    let ran = audit(directory.path());
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.contains("was made of a log that was lost"), "{}", ran.out);
}

#[test]
fn an_erased_entry_is_a_hole_that_verifies_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut dev = Dev::start(directory.path());
    let canary = "erased-canary-reason";
    dev.done(&["off", "welcome-banner", "-m", canary]);
    dev.done(&["on", "welcome-banner"]);
    let (_, body) = dev.http().send("GET", "/v1/projects/demo/log?limit=1000", &[], "").unwrap();
    let log = parse(&body);
    let items = at(&log, &["items"]).as_array().unwrap();
    let entry = items.iter().find(|item| item.to_string().contains(canary)).unwrap();
    let seq = number(entry, &["header", "seq"]);
    dev.done(&["erase", "--seq", &seq.to_string(), "-m", "asked"]);
    let holds = |bytes: &[u8]| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
    for (path, bytes) in files(directory.path()) {
        assert!(!holds(&bytes), "{}", path.display());
    }
    assert_eq!(dev.process.terminate(), Some(0));
    let ran = audit(directory.path());
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_eq!(at(&ran.json(), &["erased"]).to_string(), format!("[{seq}]"));
}

/// Keeps a checkpoint of the state after the entry `seq`, as somebody wrote it whose lines went through `forge`.
fn keep_checkpoint(directory: &Path, seq: u64, forge: impl Fn(&str) -> String) {
    let project = ProjectId::parse("demo").unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = SqliteStore::open(directory.join("log.sqlite")).await.unwrap();
        let mut state = State::new(project.clone());
        for entry in store.read(&project, 0, usize::try_from(seq).unwrap()).await.unwrap() {
            state.apply(&entry).unwrap();
        }
        assert_eq!(state.seq(), seq);
        let lines = String::from_utf8(state.to_lines().unwrap()).unwrap();
        let forged = State::from_lines(&project, forge(&lines).as_bytes()).unwrap();
        let (mark, stored) = checkpoint::write(&forged).unwrap().unwrap();
        assert!(store.keep(&project, &mark, &stored).await.unwrap());
    });
}

#[test]
fn a_checkpoint_that_is_not_what_the_log_gives_is_named() {
    let directory = data();
    keep_checkpoint(directory.path(), 12, str::to_owned);
    keep_checkpoint(directory.path(), 14, str::to_owned);
    let ran = audit(directory.path());
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_eq!(number(&ran.json(), &["checkpoints"]), 2);

    // Its digest and its place in the log are right; it says that a flag is on that was switched off.
    let forged = std::cell::Cell::new(0);
    keep_checkpoint(directory.path(), 15, |lines| {
        let of_flag = |line: &str| line.contains(r#""entity":"flag/production/welcome-banner""#);
        let number = lines.lines().position(of_flag).unwrap();
        forged.set(number + 1);
        let line = lines.lines().nth(number).unwrap();
        assert!(line.contains(r#""on":false"#), "{line}");
        lines.replace(line, &line.replace(r#""on":false"#, r#""on":true"#))
    });
    keep_checkpoint(directory.path(), 16, |lines| {
        lines.lines().filter(|line| !line.contains(r#""request""#)).collect::<Vec<_>>().join("\n")
    });
    let ran = audit(directory.path());
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{}", ran.out);
    let told = ran.json();
    assert_eq!((number(&told, &["seq"]), text(&told, &["code"]).as_str()), (15, "checkpoint-differs"));
    assert!(text(&told, &["detail"]).contains(&format!("line {} ", forged.get())), "{told}");

    for (statement, seq, code) in [
        ("DELETE FROM checkpoint WHERE seq = 15", 16, "checkpoint-differs"),
        ("UPDATE checkpoint SET hash = zeroblob(32) WHERE seq = 14", 14, "checkpoint-foreign"),
        ("UPDATE checkpoint SET stored = zeroblob(size) WHERE seq = 12", 12, "checkpoint-damaged"),
        ("DELETE FROM checkpoint WHERE seq < 16; UPDATE checkpoint SET seq = 99", 99, "checkpoint-foreign"),
    ] {
        let file = rusqlite::Connection::open(directory.path().join("log.sqlite")).unwrap();
        file.execute_batch(statement).unwrap();
        drop(file);
        let ran = audit(directory.path());
        let told = ran.json();
        assert_eq!(ran.code, 1, "{statement}: {told}");
        assert_eq!(
            (number(&told, &["seq"]), text(&told, &["code"]).as_str()),
            (seq, code),
            "{statement}: {told}"
        );
    }
}

#[test]
fn what_an_operator_purged_with_its_archived_manifests_is_remarked() {
    let directory = data();
    let bucket = directory.path().join("bucket");
    let mut archive: Vec<_> = std::fs::read_dir(production(directory.path()).join("m"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    archive.sort_by_key(|path| path.file_name().unwrap().to_str().unwrap()[2..].parse::<u64>().unwrap());
    let newest = archive.pop().unwrap();
    assert!(!archive.is_empty());
    for path in &archive {
        std::fs::remove_file(path).unwrap();
    }
    let left: Vec<String> = files(&bucket)
        .into_iter()
        .filter(|(path, _)| path.components().any(|part| part.as_os_str() == "e"))
        .map(|(_, bytes)| String::from_utf8(bytes).unwrap())
        .collect();
    let mut purged = 0;
    for (path, _) in files(&bucket.join("closed/demo/v1")) {
        let kind = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let digest = path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
        if ["s", "d"].contains(&kind.as_str()) && !left.iter().any(|manifest| manifest.contains(&digest)) {
            std::fs::remove_file(path).unwrap();
            purged += 1;
        }
    }
    assert!(purged > 0);
    let ran = audit(directory.path());
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.contains("older versions were claimed and never archived"), "{}", ran.out);

    // The newest one has to be there.
    std::fs::remove_file(newest).unwrap();
    assert_eq!(fault(directory.path()), "archive-missing");
}
