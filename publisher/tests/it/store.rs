//! The object stores, each against the port's suite, and what only a directory can get wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flagstone_publisher::store::{
    DirectoryStore, Expect, MemoryStore, ObjectPath, ObjectStore, PutIf, PutNew, StoreError, conformance,
};

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_store_conforms() {
    let store = Arc::new(MemoryStore::new());
    conformance::run(&|| Arc::clone(&store) as Arc<dyn ObjectStore>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_directory_store_conforms_with_one_handle() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(DirectoryStore::open(directory.path()).await.unwrap());
    conformance::run(&|| Arc::clone(&store) as Arc<dyn ObjectStore>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_directory_store_conforms_with_a_handle_per_writer() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Handle::current();
    conformance::run(&|| {
        let open = DirectoryStore::open(directory.path());
        let store = tokio::task::block_in_place(|| runtime.block_on(open)).unwrap();
        Arc::new(store) as Arc<dyn ObjectStore>
    })
    .await;
}

#[tokio::test]
async fn no_temporary_file_is_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(directory.path().join("a/b")).await.unwrap();
    let name = path("x/y");
    assert_eq!(store.put_new(&name, b"1").await.unwrap(), PutNew::Created);
    assert_eq!(store.put_new(&name, b"2").await.unwrap(), PutNew::Exists { size: 1 });
    let etag = store.head(&name).await.unwrap().unwrap().etag;
    assert!(matches!(store.put_if(&name, b"3", &Expect::Is(etag)).await.unwrap(), PutIf::Written { .. }));
    let left = std::fs::read_dir(store.root().join(".tmp")).unwrap().count();
    assert_eq!(left, 0);
}

#[cfg(unix)]
#[tokio::test]
async fn what_the_store_makes_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let shared = directory.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o755)).unwrap();
    for root in [shared, directory.path().join("own")] {
        let store = DirectoryStore::open(&root).await.unwrap();
        store.put_new(&path("closed/shop/s/object"), b"1").await.unwrap();
        store.put_if(&path("closed/shop/manifest"), b"1", &Expect::Absent).await.unwrap();
        let mut left = vec![root];
        let mut seen = 0;
        while let Some(place) = left.pop() {
            let facts = std::fs::metadata(&place).unwrap();
            if !place.ends_with("shared") {
                assert_eq!(facts.permissions().mode() & 0o077, 0, "{}", place.display());
            }
            if facts.is_dir() {
                left.extend(std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
            }
            seen += 1;
        }
        assert_eq!(seen, 9, "five directories below the root, two objects, and a lock");
    }
}

#[tokio::test]
async fn a_file_changed_behind_the_stores_back_is_another_state() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(directory.path()).await.unwrap();
    let name = path("manifest");
    let PutIf::Written { etag } = store.put_if(&name, b"mine", &Expect::Absent).await.unwrap() else {
        panic!("nothing was there");
    };
    std::fs::write(directory.path().join("manifest"), b"evil").unwrap();
    assert_eq!(store.put_if(&name, b"next", &Expect::Is(etag)).await.unwrap(), PutIf::Lost);
    assert_eq!(store.get(&name).await.unwrap().unwrap().bytes, b"evil");
}

#[tokio::test]
async fn a_directory_or_a_path_below_a_file_is_no_object() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(directory.path()).await.unwrap();
    store.put_new(&path("a/b"), b"1").await.unwrap();
    assert_eq!(store.get(&path("a")).await.unwrap(), None);
    assert_eq!(store.get(&path("a/b/c")).await.unwrap(), None);
    assert!(store.put_new(&path("a/b/c"), b"1").await.is_err());
    assert_eq!(store.get(&path("a/b")).await.unwrap().unwrap().bytes, b"1");
}

#[tokio::test]
async fn an_oversize_object_is_refused_before_it_fills_the_memory() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(directory.path()).await.unwrap();
    let file = std::fs::File::create(directory.path().join("huge")).unwrap();
    file.set_len(1 << 40).unwrap();
    let Err(StoreError::TooLarge { size, .. }) = store.get(&path("huge")).await else {
        panic!("a terabyte was read");
    };
    assert_eq!(size, 1 << 40);
}

#[tokio::test]
async fn an_oversize_object_in_memory_can_be_seen_and_replaced() {
    let store = Arc::new(MemoryStore::new());
    let plant = |path: &ObjectPath, size| {
        store.overwrite(path, Some(vec![0; usize::try_from(size).unwrap()]));
    };
    conformance::run_oversize(&|| Arc::clone(&store) as Arc<dyn ObjectStore>, &plant).await;
}

#[tokio::test]
async fn an_oversize_object_in_a_directory_can_be_seen_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(DirectoryStore::open(directory.path()).await.unwrap());
    let plant = |path: &ObjectPath, size| {
        let place = directory.path().join(path.as_str());
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::File::create(place).unwrap().set_len(size).unwrap();
    };
    conformance::run_oversize(&|| Arc::clone(&store) as Arc<dyn ObjectStore>, &plant).await;
}

#[tokio::test]
async fn a_place_that_cannot_be_a_directory_is_refused_when_opening() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(DirectoryStore::open(&file).await.is_err());
    assert!(DirectoryStore::open(Path::new("/proc/nothing/here")).await.is_err());
}

#[tokio::test]
async fn a_writer_that_hangs_with_the_lock_does_not_hang_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(directory.path()).await.unwrap().with_patience(Duration::ZERO);
    let name = path("manifest");
    let PutIf::Written { etag } = store.put_if(&name, b"1", &Expect::Absent).await.unwrap() else {
        panic!("nothing was there");
    };
    let locks: Vec<_> = std::fs::read_dir(directory.path().join(".locks")).unwrap().collect();
    assert_eq!(locks.len(), 1);
    let held = std::fs::File::open(locks[0].as_ref().unwrap().path()).unwrap();
    held.lock().unwrap();
    let expect = Expect::Is(etag);
    let error = store.put_if(&name, b"2", &expect).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { action: "lock", .. }), "{error}");
    assert_eq!(store.get(&name).await.unwrap().unwrap().bytes, b"1");
    drop(held);
    assert!(matches!(store.put_if(&name, b"2", &expect).await.unwrap(), PutIf::Written { .. }));
}
