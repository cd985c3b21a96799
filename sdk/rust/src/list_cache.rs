//! Lists on disk, each under the digest of its stored bytes: beside the bundle in the cache directory, or beside a bundle
//! file that somebody else keeps.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use flagstone_bundle::container::{Caps, StoredObject};
use flagstone_model::digest::Digest;

use crate::cache::{create_directory, is_old, no_follow, read, write_atomically};
use crate::clock::Randomness;

/// The folder of lists beside a bundle file, as in a bucket.
pub(crate) const FOLDER: &str = "k";
/// What a list's name ends in.
const EXTENSION: &str = ".txt.zst";
/// Characters of a digest.
const DIGITS: usize = 64;

/// Folders in which lists may lie.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListCache {
    own: Option<OwnFolder>,
    /// Those of others, in which is only read.
    others: Vec<PathBuf>,
}

/// Where lists that were fetched are kept.
#[derive(Debug, Clone)]
struct OwnFolder {
    path: PathBuf,
    random: Arc<dyn Randomness>,
}

impl ListCache {
    /// The folder in which lists are kept.
    #[must_use]
    pub(crate) fn kept_in(mut self, path: PathBuf, random: Arc<dyn Randomness>) -> Self {
        self.own = Some(OwnFolder { path, random });
        self
    }

    /// The folder beside a bundle file.
    #[must_use]
    pub(crate) fn beside(mut self, bundle: &Path) -> Self {
        self.others.push(bundle.parent().unwrap_or(Path::new("")).join(FOLDER));
        self
    }

    /// The stored bytes of a list, if they lie in one of the folders and are these.
    pub(crate) fn find(&self, object: &StoredObject) -> Option<Vec<u8>> {
        let own = self.own.iter().map(|own| &own.path);
        own.chain(&self.others).find_map(|folder| find_in(folder, object))
    }

    /// Keeps a list. A disk that will not take it is told and no more: the list is in memory.
    pub(crate) fn keep(&self, object: &StoredObject, bytes: &[u8]) {
        let Some(OwnFolder { path, random }) = &self.own else { return };
        // Other processes fetch the same list at the same time, and one of them is enough.
        if find_in(path, object).is_some() {
            return;
        }
        let kept = create_directory(path)
            .and_then(|()| write_atomically(path, &name(object.sha256), bytes, &**random));
        if let Err(error) = kept {
            tracing::warn!(kind = %error.kind(), "a list cannot be kept on disk");
        }
    }
}

fn find_in(folder: &Path, object: &StoredObject) -> Option<Vec<u8>> {
    let mut options = OpenOptions::new();
    let file = no_follow(options.read(true)).open(folder.join(name(object.sha256))).ok()?;
    let bytes = read(file, usize::try_from(Caps::LIST.stored).unwrap_or(usize::MAX)).ok()?;
    object.is(&bytes).then_some(bytes)
}

/// Removes the old lists from a folder that are not `named`, and what killed writers left of such. It is for whoever has
/// written the bundle that names them, `now`, and still holds its lock. A list that is new may be of another process,
/// whose next bundle names it.
pub(crate) fn prune(folder: &Path, named: &BTreeSet<Digest>, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let list = file.to_str().and_then(|name| name.split_at_checked(DIGITS));
        let list = list.filter(|(_, rest)| rest.starts_with(EXTENSION));
        let digest = list.and_then(|(digits, _)| Digest::parse(digits));
        if digest.is_some_and(|digest| !named.contains(&digest))
            && entry.metadata().is_ok_and(|file| is_old(&file, now))
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn name(sha256: Digest) -> String {
    format!("{sha256}{EXTENSION}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::SPARED;
    use crate::clock::SystemRandomness;
    use flagstone_bundle::container::encode_zstd;

    /// When files were written.
    fn then() -> SystemTime {
        SystemTime::UNIX_EPOCH + core::time::Duration::from_hours(1)
    }

    fn date(folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let file = OpenOptions::new().write(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(then()).unwrap();
        }
    }

    fn names(folder: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn only_lists_that_are_named_stay_and_files_of_others_do() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("lists");
        let cache = ListCache::default().kept_in(folder.clone(), Arc::new(SystemRandomness));
        let [(one, first), (two, second)] =
            ["u-1\n", "u-2\n"].map(|keys| encode_zstd(keys.as_bytes()).unwrap());
        cache.keep(&first, &one);
        cache.keep(&second, &two);
        fs::write(folder.join("mine.txt.zst"), "of somebody else").unwrap();
        let left = format!("{}.1-0000.tmp", name(first.sha256));
        fs::write(folder.join(&left), "torn").unwrap();
        date(&folder);
        prune(&folder, &[second.sha256].into(), then() + SPARED);
        assert_eq!(names(&folder), [name(second.sha256), "mine.txt.zst".to_owned()].into());
        assert_eq!((cache.find(&first), cache.find(&second)), (None, Some(two)));
        prune(&place.path().join("nowhere"), &BTreeSet::new(), then());
    }

    #[test]
    fn lists_stay_for_ten_minutes_whoever_names_them() {
        let place = tempfile::tempdir().unwrap();
        let cache = ListCache::default().kept_in(place.path().into(), Arc::new(SystemRandomness));
        let (bytes, object) = encode_zstd(b"u-1\n").unwrap();
        cache.keep(&object, &bytes);
        date(place.path());
        let ten_minutes = core::time::Duration::from_mins(10);
        let nearly = then() + ten_minutes - core::time::Duration::from_millis(1);
        for early in [then() - ten_minutes, then(), nearly] {
            prune(place.path(), &BTreeSet::new(), early);
            assert_eq!(cache.find(&object).as_ref(), Some(&bytes));
        }
        prune(place.path(), &BTreeSet::new(), then() + ten_minutes);
        assert_eq!(cache.find(&object), None);
    }

    #[test]
    fn a_list_that_is_there_is_not_written_again() {
        let place = tempfile::tempdir().unwrap();
        let cache = ListCache::default().kept_in(place.path().into(), Arc::new(SystemRandomness));
        let (bytes, object) = encode_zstd(b"u-1\n").unwrap();
        cache.keep(&object, &bytes);
        date(place.path());
        cache.keep(&object, &bytes);
        let file = place.path().join(name(object.sha256));
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), then());
        fs::write(&file, "altered").unwrap();
        cache.keep(&object, &bytes);
        assert_eq!(cache.find(&object), Some(bytes));
    }

    #[test]
    fn what_a_killed_writer_left_of_a_list_goes_when_it_is_kept_again() {
        let place = tempfile::tempdir().unwrap();
        let cache = ListCache::default().kept_in(place.path().into(), Arc::new(SystemRandomness));
        let (bytes, object) = encode_zstd(b"u-1\n").unwrap();
        for number in 0..3 {
            let left = format!("{}.{number}-0000.tmp", name(object.sha256));
            fs::write(place.path().join(left), "torn").unwrap();
        }
        date(place.path());
        let begun = format!("{}.4-0000.tmp", name(object.sha256));
        fs::write(place.path().join(&begun), "of a writer that lives").unwrap();
        cache.keep(&object, &bytes);
        assert_eq!(names(place.path()), [name(object.sha256), begun].into());
    }
}
