//! Objects as files below one directory.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use flagstone_model::digest::Digest;

use super::{
    Etag, Expect, MAX_OBJECT_BYTES, Object, ObjectHead, ObjectPath, ObjectStore, PutIf, PutNew, StoreError,
    within_cap,
};
use crate::private;

/// Where files are written before they get their name.
const TEMPORARY: &str = ".tmp";
/// Where the locks of mutable objects lie.
const LOCKS: &str = ".locks";
/// A temporary file older than this was left by a process that is gone.
const STALE: Duration = Duration::from_hours(1);
/// How long a writer waits for another one, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest time between two tries of a lock.
const PAUSE: Duration = Duration::from_millis(16);

/// Objects as files below one directory, safe for several processes at once.
///
/// A file is written under a name nobody else has, synced, and then linked (create-only) or renamed (compare-and-set,
/// under a lock the operating system frees when its holder dies) to its own name; the directory is synced after that.
/// So a reader meets whole objects only, and what was reported as written is there after a power cut. The ETag is the
/// digest of the content: a file changed behind the store's back is another state. A file too large to be an object is
/// not read; its ETag is made of its size and time. What the store makes is for its owner only.
#[derive(Debug, Clone)]
pub struct DirectoryStore {
    root: Arc<Path>,
    patience: Duration,
    /// Directories that are there for good.
    known: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl DirectoryStore {
    /// Opens the store below `root`, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::ReadOnly`] where nothing can be written, which is found out here and not at the first change.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root: PathBuf = root.into();
        blocking(move || {
            create_root(&root)?;
            let store = Self { root: root.into(), patience: PATIENCE, known: Arc::default() };
            for own in [TEMPORARY, LOCKS] {
                store.ensure_directory(&store.root.join(own))?;
            }
            sweep_stale(&store.root.join(TEMPORARY));
            store.temporary(b"")?.discard();
            Ok(store)
        })
        .await
    }

    /// Waits this long for another writer of one object, in place of 10 s, and is then unavailable.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn file(&self, path: &ObjectPath) -> PathBuf {
        let mut file = self.root.to_path_buf();
        file.extend(path.as_str().split('/'));
        file
    }

    fn find(&self, path: &ObjectPath) -> Result<Option<Found>, StoreError> {
        let location = self.file(path);
        let error = |source| failed("read", &location, source);
        let file = match File::open(&location) {
            Ok(file) => file,
            // A path below a file, or a directory, is no object.
            Err(missing) if matches!(missing.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(error(source)),
        };
        let facts = file.metadata().map_err(error)?;
        if !facts.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        if facts.len() <= MAX_OBJECT_BYTES {
            bytes.reserve(usize::try_from(facts.len()).unwrap_or(0));
            file.take(MAX_OBJECT_BYTES + 1).read_to_end(&mut bytes).map_err(error)?;
        }
        let size = facts.len().max(bytes.len() as u64);
        if size > MAX_OBJECT_BYTES {
            return Ok(Some(Found::Oversize(ObjectHead { size, etag: etag_unread(&facts) })));
        }
        let etag = Etag::of(&bytes);
        Ok(Some(Found::Whole(Object { bytes, etag })))
    }

    fn read(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        match self.find(path)? {
            None => Ok(None),
            Some(Found::Whole(object)) => Ok(Some(object)),
            Some(Found::Oversize(ObjectHead { size, .. })) => {
                Err(StoreError::TooLarge { path: path.clone(), size })
            }
        }
    }

    fn look(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        Ok(self.find(path)?.map(|found| match found {
            Found::Whole(Object { bytes, etag }) => ObjectHead { size: bytes.len() as u64, etag },
            Found::Oversize(head) => head,
        }))
    }

    fn write_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        within_cap(path, bytes)?;
        let target = self.file(path);
        let directory = parent(&target);
        // Whoever made it may not have got to syncing its name, and who is told that it exists relies on it.
        let exists = |facts: &Metadata| {
            self.ensure_directory(directory)?;
            sync_directory(directory)?;
            Ok(PutNew::Exists { size: facts.len() })
        };
        if let Ok(facts) = fs::metadata(&target) {
            return exists(&facts);
        }
        self.ensure_directory(directory)?;
        let temporary = self.temporary(bytes)?;
        match fs::hard_link(&temporary.0, &target) {
            Ok(()) => {}
            Err(taken) if taken.kind() == ErrorKind::AlreadyExists => {
                return exists(&fs::metadata(&target).map_err(|source| failed("read", &target, source))?);
            }
            // File systems without links: a check and a rename under the store's one lock, which all writers take.
            Err(refused)
                if matches!(refused.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) =>
            {
                let _lock = self.lock(".create")?;
                if let Ok(facts) = fs::metadata(&target) {
                    return exists(&facts);
                }
                temporary.rename(&target)?;
            }
            Err(source) => return Err(failed("create", &target, source)),
        }
        sync_directory(directory)?;
        Ok(PutNew::Created)
    }

    fn replace(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        within_cap(path, bytes)?;
        let target = self.file(path);
        let _lock = self.lock(path.as_str())?;
        match expect {
            Expect::Absent => match self.write_new(path, bytes)? {
                PutNew::Created => {}
                PutNew::Exists { .. } => return Ok(PutIf::Lost),
            },
            Expect::Is(etag) => {
                if self.look(path)?.is_none_or(|present| present.etag != *etag) {
                    return Ok(PutIf::Lost);
                }
                self.ensure_directory(parent(&target))?;
                self.temporary(bytes)?.rename(&target)?;
                sync_directory(parent(&target))?;
            }
        }
        Ok(PutIf::Written { etag: Etag::of(bytes) })
    }

    /// Creates a directory and those above it, up to the store's own.
    ///
    /// Each is synced into the one that holds it, once in the life of this store also those that are there: whoever
    /// made them may have died before.
    fn ensure_directory(&self, directory: &Path) -> Result<(), StoreError> {
        if directory == &*self.root || (self.is_known(directory) && directory.is_dir()) {
            return Ok(());
        }
        let above = parent(directory);
        self.ensure_directory(above)?;
        create_directory(directory)?;
        sync_directory(above)?;
        self.known().insert(directory.to_path_buf());
        Ok(())
    }

    fn is_known(&self, directory: &Path) -> bool {
        self.known().contains(directory)
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the lock of `name`. It is freed with the file handle, so also when the holder is killed; one who holds
    /// it and hangs must not hang everybody.
    fn lock(&self, name: &str) -> Result<File, StoreError> {
        let text = Digest::of(name.as_bytes()).to_string();
        let location = self.root.join(LOCKS).join(text.get(..16).unwrap_or(&text));
        let error = |source| failed("lock", &location, source);
        let file = private::lock_options().open(&location).map_err(error)?;
        let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(1));
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if waited < self.patience => {}
                Err(refused) => return Err(error(refused.into())),
            }
            std::thread::sleep(pause);
            waited = waited.saturating_add(pause);
            pause = pause.saturating_mul(2).min(PAUSE);
        }
    }

    /// Writes and syncs a file that nobody else knows of.
    fn temporary(&self, bytes: &[u8]) -> Result<Temporary, StoreError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|source| StoreError::Unavailable {
            action: "name a file in",
            location: self.root.display().to_string(),
            source: source.into(),
        })?;
        let name = format!("{}-{:016x}", std::process::id(), u64::from_le_bytes(random));
        let location = self.root.join(TEMPORARY).join(name);
        let error = |source| failed("write", &location, source);
        let mut file = private::options().create_new(true).open(&location).map_err(error)?;
        let temporary = Temporary(location.clone());
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(error)?;
        Ok(temporary)
    }
}

/// A file where an object lies.
enum Found {
    Whole(Object),
    Oversize(ObjectHead),
}

/// The ETag of a file that is not read. No digest is mistaken for it.
fn etag_unread(facts: &Metadata) -> Etag {
    let since = facts.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let at = since.unwrap_or_default().as_nanos();
    Etag::new(&format!("\"unread-{}-{at}\"", facts.len()))
}

/// A file that is removed when dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn rename(self, target: &Path) -> Result<(), StoreError> {
        fs::rename(&self.0, target).map_err(|source| failed("replace", target, source))
    }

    fn discard(self) {
        drop(self);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already after a rename; what cannot be removed is swept at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

#[async_trait]
impl ObjectStore for DirectoryStore {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Object>, StoreError> {
        let (store, path) = (self.clone(), path.clone());
        blocking(move || store.read(&path)).await
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectHead>, StoreError> {
        let (store, path) = (self.clone(), path.clone());
        blocking(move || store.look(&path)).await
    }

    async fn put_new(&self, path: &ObjectPath, bytes: &[u8]) -> Result<PutNew, StoreError> {
        let (store, path, bytes) = (self.clone(), path.clone(), bytes.to_vec());
        blocking(move || store.write_new(&path, &bytes)).await
    }

    async fn put_if(&self, path: &ObjectPath, bytes: &[u8], expect: &Expect) -> Result<PutIf, StoreError> {
        let (store, path, bytes, expect) = (self.clone(), path.clone(), bytes.to_vec(), expect.clone());
        blocking(move || store.replace(&path, &bytes, &expect)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(stopped) => Err(StoreError::Unavailable {
            action: "finish a task of",
            location: "the directory store".to_owned(),
            source: stopped.into(),
        }),
    }
}

fn parent(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}

/// Creates the store's own directory and those above it.
fn create_root(root: &Path) -> Result<(), StoreError> {
    if root.as_os_str().is_empty() || root.is_dir() {
        return Ok(());
    }
    let above = parent(root);
    create_root(above)?;
    create_directory(root)?;
    sync_directory(above)
}

fn create_directory(directory: &Path) -> Result<(), StoreError> {
    match private::create_directory(directory) {
        Err(exists) if exists.kind() == ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        done => done.map_err(|source| failed("create", directory, source)),
    }
}

fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    #[cfg(test)]
    tests::SYNCED.with_borrow_mut(|synced| synced.push(directory.to_path_buf()));
    if cfg!(unix) {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        File::open(directory)
            .and_then(|handle| handle.sync_all())
            .map_err(|source| failed("sync", directory, source))?;
    }
    Ok(())
}

/// Removes temporary files of processes that are gone. Nothing depends on it.
fn sweep_stale(directory: &Path) {
    let Ok(files) = fs::read_dir(directory) else { return };
    for file in files.flatten() {
        let age = file.metadata().and_then(|facts| facts.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > STALE) {
            let _ = fs::remove_file(file.path());
        }
    }
}

fn failed(action: &'static str, location: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if action != "read" => {
            StoreError::ReadOnly { location: location.to_path_buf(), source }
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            StoreError::Full { location: location.to_path_buf(), source }
        }
        _ => StoreError::Unavailable {
            action,
            location: location.display().to_string(),
            source: source.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// What this thread synced.
        pub(super) static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    }

    fn synced() -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        SYNCED.take().into_iter().map(text).collect()
    }

    #[tokio::test]
    async fn what_another_process_made_is_synced_before_it_is_said_to_exist() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display().to_string();
        let store = DirectoryStore::open(directory.path()).await.unwrap();
        let name = ObjectPath::parse("a/b/object").unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/b/object"), b"12").unwrap();
        let all = [root.clone(), format!("{root}/a"), format!("{root}/a/b")];

        assert_eq!(store.write_new(&name, b"34").unwrap(), PutNew::Exists { size: 2 });
        assert_eq!(synced(), all);
        assert_eq!(store.write_new(&name, b"34").unwrap(), PutNew::Exists { size: 2 });
        assert_eq!(synced(), all[2..], "its name, and no more than that");
        let beside = ObjectPath::parse("a/b/beside").unwrap();
        assert_eq!(store.write_new(&beside, b"34").unwrap(), PutNew::Created);
        assert_eq!(synced(), all[2..]);

        let other = DirectoryStore::open(directory.path()).await.unwrap();
        let third = ObjectPath::parse("a/b/third").unwrap();
        assert_eq!(other.write_new(&third, b"34").unwrap(), PutNew::Created);
        assert_eq!(synced(), all, "directories that another store made");
    }
}
