//! Keys at the first start, at every later one, and when something is wrong with them.

use std::fs;
use std::path::Path;

use flagstone_bundle::root::UnverifiedRoot;
use flagstone_model::key::{EnvironmentId, ProjectId};
use flagstone_publisher::keys::{Keys, KeysError, root_path};
use flagstone_publisher::store::{MAX_OBJECT_BYTES, MemoryStore, ObjectStore};

const NOW: i64 = 1_795_000_000_000;

fn shop() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

async fn open(directory: &Path) -> Result<Keys, KeysError> {
    Keys::open(directory, &shop(), NOW).await
}

#[tokio::test]
async fn the_first_start_makes_keys_and_the_second_finds_them() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("keys");
    let first = open(&place).await.unwrap();
    let second = Keys::open(&place, &shop(), NOW + 1_000_000).await.unwrap();
    assert_eq!(first.pin(), second.pin());
    assert_eq!(first.root().file(), second.root().file());
    let mut files: Vec<_> =
        fs::read_dir(&place).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, [".lock", "manifest.key", "root.1.json", "root.key"]);
    #[cfg(unix)]
    for key in [".lock", "manifest.key", "root.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(place.join(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_first_starts_make_one_set_of_keys() {
    let directory = tempfile::tempdir().unwrap();
    let racers: Vec<_> = (0..16)
        .map(|_| {
            let place = directory.path().to_path_buf();
            tokio::spawn(async move { open(&place).await.unwrap().pin() })
        })
        .collect();
    let mut pins = Vec::new();
    for racer in racers {
        pins.push(racer.await.unwrap());
    }
    pins.dedup();
    assert_eq!(pins.len(), 1);
}

#[tokio::test]
async fn a_crash_between_key_and_root_document_is_made_good() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).await.unwrap();
    let key = fs::read(directory.path().join("manifest.key")).unwrap();
    fs::remove_file(directory.path().join("root.1.json")).unwrap();
    fs::write(directory.path().join("root.1.json.new"), b"half a docu").unwrap();
    open(directory.path()).await.unwrap();
    assert_eq!(fs::read(directory.path().join("manifest.key")).unwrap(), key);
}

#[tokio::test]
async fn the_root_key_may_be_moved_away() {
    let directory = tempfile::tempdir().unwrap();
    let pin = open(directory.path()).await.unwrap().pin();
    fs::remove_file(directory.path().join("root.key")).unwrap();
    assert_eq!(open(directory.path()).await.unwrap().pin(), pin);
    assert!(!directory.path().join("root.key").exists());
}

#[tokio::test]
async fn keys_that_do_not_fit_are_refused_and_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    open(place).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    open(other.path()).await.unwrap();
    let manifest = place.join("manifest.key");
    let good = fs::read(&manifest).unwrap();

    fs::copy(other.path().join("manifest.key"), &manifest).unwrap();
    assert_eq!(open(place).await.unwrap_err().code(), "root-malformed");
    fs::write(&manifest, b"not a key").unwrap();
    assert_eq!(open(place).await.unwrap_err().code(), "key-malformed");
    fs::remove_file(&manifest).unwrap();
    assert_eq!(open(place).await.unwrap_err().code(), "key-missing");
    assert!(!manifest.exists());
    fs::write(&manifest, &good).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(open(place).await.unwrap_err().code(), "key-exposed");
        fs::set_permissions(&manifest, fs::Permissions::from_mode(0o600)).unwrap();
    }
    open(place).await.unwrap();

    let document = place.join("root.1.json");
    let mut bytes = fs::read(&document).unwrap();
    bytes[20] ^= 1;
    fs::write(&document, &bytes).unwrap();
    assert_eq!(open(place).await.unwrap_err().code(), "root-malformed");
    let error = Keys::open(other.path(), &ProjectId::parse("else").unwrap(), NOW).await.unwrap_err();
    assert_eq!(error.code(), "root-malformed");
}

#[tokio::test]
async fn the_root_document_is_published_once_and_a_foreign_one_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let keys = open(directory.path()).await.unwrap();
    let store = MemoryStore::new();
    keys.publish_root(&store).await.unwrap();
    keys.publish_root(&store).await.unwrap();
    let path = root_path(&shop(), 1).unwrap();
    assert_eq!(path.as_str(), "open/shop/v1/root/1");
    let stored = store.get(&path).await.unwrap().unwrap().bytes;
    let root = UnverifiedRoot::parse(&stored).unwrap().verify_pinned(&keys.pin()).unwrap();
    assert!(root.delegation(&EnvironmentId::parse("production").unwrap()).is_some());

    let other = tempfile::tempdir().unwrap();
    let foreign = open(other.path()).await.unwrap();
    assert_eq!(foreign.publish_root(&store).await.unwrap_err().code(), "root-foreign");
    assert_eq!(store.get(&path).await.unwrap().unwrap().bytes, stored);
}

#[tokio::test]
async fn a_damaged_root_document_is_published_again() {
    let directory = tempfile::tempdir().unwrap();
    let keys = open(directory.path()).await.unwrap();
    let store = MemoryStore::new();
    keys.publish_root(&store).await.unwrap();
    let path = root_path(&shop(), 1).unwrap();
    let good = keys.root().file().to_vec();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut unsigned = good.clone();
    unsigned.truncate(good.iter().position(|byte| *byte == b'\n').unwrap() + 1);
    let place = tempfile::tempdir().unwrap();
    let other = Keys::open(place.path(), &ProjectId::parse("other").unwrap(), NOW).await.unwrap();
    let oversize = vec![0; usize::try_from(MAX_OBJECT_BYTES).unwrap() + 1];
    for damaged in
        [Vec::new(), vec![0; good.len()], flipped, unsigned, other.root().file().to_vec(), oversize]
    {
        let size = damaged.len();
        store.overwrite(&path, Some(damaged));
        keys.publish_root(&store).await.unwrap();
        assert!(store.get(&path).await.unwrap().unwrap().bytes == good, "{size} bytes are still there");
    }
}

#[tokio::test]
async fn no_debug_output_holds_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let keys = open(directory.path()).await.unwrap();
    let printed = format!("{keys:?}");
    let text = fs::read_to_string(directory.path().join("manifest.key")).unwrap();
    let secret = text.lines().nth(1).unwrap();
    assert!(printed.contains("FileSigner"), "{printed}");
    assert!(!printed.contains(&secret[22..40]));
}
