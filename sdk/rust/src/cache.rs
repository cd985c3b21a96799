//! The bundle on disk: read once at start, replaced whole, never by something older (FORMAT T-5.1).

use core::time::Duration;
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use flagstone_bundle::manifest::Stream;
use flagstone_bundle::root::Pin;
use flagstone_model::digest::Digest;

use crate::clock::Randomness;
use crate::list_cache::{self, FOLDER};

/// Hexadecimal digits of a cache file's name.
const NAME_DIGITS: usize = 32;
/// What the name of a file ends in that is being written.
const TEMPORARY: &str = ".tmp";
/// How long a file is left alone that another process may still be writing, or may be about to name in a bundle.
pub(crate) const SPARED: Duration = Duration::from_mins(10);

/// One stream's file in the cache directory.
#[derive(Debug, Clone)]
pub(crate) struct DiskCache {
    directory: PathBuf,
    name: String,
    max_bytes: usize,
    random: Arc<dyn Randomness>,
}

/// How a save ended when nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// The file is the one given now.
    Written,
    /// The file on disk is as new or newer.
    NotOlder,
    /// Another process is writing.
    Busy,
}

impl DiskCache {
    pub(crate) fn new(
        directory: PathBuf,
        pin: &Pin,
        stream: &Stream,
        max_bytes: usize,
        random: Arc<dyn Randomness>,
    ) -> Self {
        let Stream { project, environment, view } = stream;
        let identity = format!("{pin}\n{project}\n{environment}\n{view}\n");
        let mut name = Digest::of(identity.as_bytes()).to_string();
        name.truncate(NAME_DIGITS);
        Self { directory, name, max_bytes, random }
    }

    /// The file as it is, or `None` if there is none. Links, pipes, and files over the limit are errors.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let mut options = OpenOptions::new();
        options.read(true);
        let file = match no_follow(&mut options).open(self.path("bundle")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        read(file, self.max_bytes).map(Some)
    }

    /// Replaces the file, unless the one there is not `older` or another process is at it. Of the lists only those stay
    /// that it names, and those that are new.
    pub(crate) fn save(
        &self,
        bytes: &[u8],
        lists: &BTreeSet<Digest>,
        older: impl FnOnce(&[u8]) -> bool,
    ) -> io::Result<Saved> {
        create_directory(&self.directory)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let lock = private(no_follow(&mut options)).open(self.path("bundle.lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Saved::Busy),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // What cannot be read is no reason to keep it.
        if let Ok(Some(there)) = self.read()
            && !older(&there)
        {
            return Ok(Saved::NotOlder);
        }
        let name = format!("{}.bundle", self.name);
        let written = write_atomically(&self.directory, &name, bytes, &*self.random)?;
        list_cache::prune(&self.lists(), lists, written);
        Ok(Saved::Written)
    }

    /// The folder of the stream's lists.
    pub(crate) fn lists(&self) -> PathBuf {
        self.path(FOLDER)
    }

    fn path(&self, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", self.name))
    }
}

/// Writes a file that is there whole or not at all, for its owner alone: a new one, synced and renamed, and the folder
/// synced. It returns once it would outlast a loss of power, and says when the file was begun, by the clock of the disk.
///
/// What killed writers left of this file goes first. What is not old may be of a writer that lives.
pub(crate) fn write_atomically(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    random: &dyn Randomness,
) -> io::Result<SystemTime> {
    let temporary =
        folder.join(format!("{name}.{}-{:016x}{TEMPORARY}", std::process::id(), random.next_u64()));
    let mut options = OpenOptions::new();
    let file = private(no_follow(options.create_new(true).write(true))).open(&temporary)?;
    let put = |mut file: File| -> io::Result<SystemTime> {
        let begun = file.metadata()?.modified()?;
        remove_leftovers(folder, name, begun);
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, folder.join(name))?;
        Ok(begun)
    };
    let begun = put(file).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })?;
    sync_directory(folder)?;
    Ok(begun)
}

/// Removes what was begun of a file and never renamed.
fn remove_leftovers(folder: &Path, name: &str, now: SystemTime) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let rest = file.to_str().and_then(|file| file.strip_prefix(name));
        if rest.is_some_and(|rest| rest.starts_with('.') && rest.ends_with(TEMPORARY))
            && entry.metadata().is_ok_and(|file| is_old(&file, now))
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a file was written so long before `now`, by the clock of its disk, that no process is still at it.
pub(crate) fn is_old(file: &Metadata, now: SystemTime) -> bool {
    let age = file.modified().ok().and_then(|modified| now.duration_since(modified).ok());
    age.is_some_and(|age| age >= SPARED)
}

/// All of a regular file within the limit of a bundle.
pub(crate) fn read(file: File, max_bytes: usize) -> io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > max_bytes {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "over the limit of a bundle"));
    }
    Ok(bytes)
}

#[cfg(unix)]
pub(crate) fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    // A pipe under this name must not hold the process up either.
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
}

#[cfg(unix)]
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(unix)]
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(not(unix))]
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(not(unix))]
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandomness;
    use crate::list_cache::ListCache;
    use flagstone_bundle::container::encode_zstd;
    use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};

    fn cache_in(directory: &Path, environment: &str) -> DiskCache {
        let stream = Stream {
            project: ProjectId::parse("shop").unwrap(),
            environment: EnvironmentId::parse(environment).unwrap(),
            view: ViewId::server(),
        };
        let pin = Pin { root: 1, sha256: Digest::of(b"root") };
        DiskCache::new(directory.into(), &pin, &stream, 100, Arc::new(SystemRandomness))
    }

    fn cache(directory: &Path) -> DiskCache {
        cache_in(directory, "production")
    }

    /// As if it had been written so long ago.
    fn age(file: &Path, age: Duration) {
        let modified = fs::metadata(file).unwrap().modified().unwrap();
        OpenOptions::new().write(true).open(file).unwrap().set_modified(modified - age).unwrap();
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_saved_is_read_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path());
        assert_eq!(cache.read().unwrap(), None);
        assert_eq!(cache.save(b"one", &BTreeSet::new(), |_| true).unwrap(), Saved::Written);
        assert_eq!(cache.save(b"two", &BTreeSet::new(), |there| there == b"one").unwrap(), Saved::Written);
        assert_eq!(cache.read().unwrap().unwrap(), b"two");
        let [bundle, lock] = &names(directory.path())[..] else { panic!("two files") };
        assert_eq!(bundle.len(), 32 + ".bundle".len());
        assert_eq!(*lock, format!("{bundle}.lock"));
    }

    #[test]
    fn streams_have_files_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        cache(directory.path()).save(b"one", &BTreeSet::new(), |_| true).unwrap();
        assert_eq!(cache_in(directory.path(), "staging").read().unwrap(), None);
    }

    #[test]
    fn a_newer_file_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path());
        cache.save(b"newer", &BTreeSet::new(), |_| true).unwrap();
        assert_eq!(cache.save(b"older", &BTreeSet::new(), |_| false).unwrap(), Saved::NotOlder);
        assert_eq!(cache.read().unwrap().unwrap(), b"newer");
    }

    /// Two processes may be at different versions for a while.
    #[test]
    fn lists_go_with_the_bundle_that_named_them_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path());
        cache.save(b"newer", &BTreeSet::new(), |_| true).unwrap();
        let digest = Digest::of(b"list");
        let list = cache.lists().join(format!("{digest}.txt.zst"));
        create_directory(&cache.lists()).unwrap();
        fs::write(&list, b"list").unwrap();
        assert_eq!(cache.save(b"older", &BTreeSet::new(), |_| false).unwrap(), Saved::NotOlder);
        let lock = File::open(cache.path("bundle.lock")).unwrap();
        lock.lock().unwrap();
        assert_eq!(cache.save(b"other", &BTreeSet::new(), |_| true).unwrap(), Saved::Busy);
        lock.unlock().unwrap();
        cache.save(b"next", &[digest].into(), |_| true).unwrap();
        assert!(list.exists());
        age(&list, SPARED);
        cache.save(b"last", &BTreeSet::new(), |_| true).unwrap();
        assert!(!list.exists());
    }

    /// A process with older content may save while another still waits for its other lists.
    #[test]
    fn a_list_that_was_fetched_for_the_next_bundle_stays_when_the_one_before_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path());
        let lists = ListCache::default().kept_in(cache.lists(), Arc::new(SystemRandomness));
        let (bytes, object) = encode_zstd(b"u-1\n").unwrap();
        lists.keep(&object, &bytes);
        cache.save(b"one", &BTreeSet::new(), |_| true).unwrap();
        cache.save(b"two", &[object.sha256].into(), |_| true).unwrap();
        assert_eq!(lists.find(&object), Some(bytes));
    }

    #[test]
    fn a_busy_lock_skips_the_save() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path());
        cache.save(b"one", &BTreeSet::new(), |_| true).unwrap();
        let lock = File::open(cache.path("bundle.lock")).unwrap();
        lock.lock().unwrap();
        assert_eq!(cache.save(b"two", &BTreeSet::new(), |_| true).unwrap(), Saved::Busy);
        assert_eq!(cache.read().unwrap().unwrap(), b"one");
    }

    /// FAULTS F16: old or new, never a mixture, and never back.
    #[test]
    fn many_writers_leave_a_whole_file_that_is_the_newest() {
        let directory = tempfile::tempdir().unwrap();
        let whole = |number: u8| vec![number; 90];
        let number = |there: &[u8]| {
            assert_eq!(there, whole(there[0]), "torn");
            there[0]
        };
        let newest = std::sync::atomic::AtomicU8::new(0);
        std::thread::scope(|scope| {
            for writer in 0..16 {
                let (cache, newest) = (cache(directory.path()), &newest);
                scope.spawn(move || {
                    for round in 1..=12 {
                        let mine = round * 16 + writer;
                        // A busy lock is no answer here: it is asked again.
                        while cache
                            .save(&whole(mine), &BTreeSet::new(), |there| number(there) < mine)
                            .unwrap()
                            == Saved::Busy
                        {
                            std::thread::yield_now();
                        }
                        let there = number(&cache.read().unwrap().unwrap());
                        assert!(there >= mine, "{there} after {mine}");
                        newest.fetch_max(mine, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(number(&cache(directory.path()).read().unwrap().unwrap()), newest.into_inner());
        assert_eq!(names(directory.path()).len(), 2);
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path());
        cache.save(&[b'x'; 101], &BTreeSet::new(), |_| true).unwrap();
        assert_eq!(cache.read().unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(
            cache.save(b"one", &BTreeSet::new(), |_| panic!("nothing to compare")).unwrap(),
            Saved::Written
        );
    }

    #[test]
    fn files_of_killed_writers_are_removed_by_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path());
        let leftover = cache.path("bundle.1-0000.tmp");
        let foreign = directory.path().join("other.tmp");
        fs::write(&leftover, b"torn").unwrap();
        fs::write(&foreign, b"kept").unwrap();
        age(&leftover, SPARED);
        age(&foreign, SPARED);
        cache.save(b"one", &BTreeSet::new(), |_| true).unwrap();
        assert!(!leftover.exists());
        assert!(foreign.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed_and_is_replaced_not_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let cache = cache(directory.path());
        let victim = directory.path().join("victim");
        fs::write(&victim, b"kept").unwrap();
        std::os::unix::fs::symlink(&victim, cache.path("bundle")).unwrap();
        assert!(cache.read().is_err());
        cache.save(b"one", &BTreeSet::new(), |_| true).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"kept");
        assert_eq!(cache.read().unwrap().unwrap(), b"one");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("made");
        let cache = cache(&inner);
        cache.save(b"one", &BTreeSet::new(), |_| true).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&cache.path("bundle")), 0o600);
        assert_eq!(mode(&inner), 0o700);
    }

    #[test]
    fn a_directory_that_cannot_be_is_an_error_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let cache = cache(&file.join("below"));
        assert!(cache.save(b"one", &BTreeSet::new(), |_| true).is_err());
    }
}
