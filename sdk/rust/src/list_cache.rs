//! Lists on disk, each under the digest of its stored bytes: beside the bundle in the cache directory, or beside a bundle
//! file that somebody else keeps.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flagstone_bundle::container::{Caps, StoredObject};
use flagstone_model::digest::Digest;

use crate::cache::{create_directory, no_follow, private, read};
use crate::clock::Randomness;

/// The folder of lists beside a bundle file, as in a bucket.
pub(crate) const FOLDER: &str = "k";
/// What a list's name ends in.
const EXTENSION: &str = ".txt.zst";

/// Folders in which lists may lie.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListCache {
    /// Ours: what is fetched is kept there.
    own: Option<(PathBuf, Arc<dyn Randomness>)>,
    /// Those of others, in which is only read.
    others: Vec<PathBuf>,
}

impl ListCache {
    /// The folder in which lists are kept.
    #[must_use]
    pub(crate) fn kept_in(mut self, folder: PathBuf, random: Arc<dyn Randomness>) -> Self {
        self.own = Some((folder, random));
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
        let own = self.own.iter().map(|(folder, _)| folder);
        own.chain(&self.others).find_map(|folder| {
            let mut options = OpenOptions::new();
            let file = no_follow(options.read(true)).open(folder.join(name(object.sha256))).ok()?;
            let bytes = read(file, usize::try_from(Caps::LIST.stored).unwrap_or(usize::MAX)).ok()?;
            object.is(&bytes).then_some(bytes)
        })
    }

    /// Keeps a list, and of those that are kept the `named` ones only. A disk that will not take it is told and no more:
    /// the list is in memory.
    pub(crate) fn keep(&self, object: &StoredObject, bytes: &[u8], named: &BTreeSet<Digest>) {
        let Some((folder, random)) = &self.own else { return };
        if let Err(error) = write(folder, object.sha256, bytes, random.next_u64()) {
            tracing::warn!(kind = %error.kind(), "a list cannot be kept on disk");
        }
        let wanted: BTreeSet<String> = named.iter().map(|digest| name(*digest)).collect();
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let found = entry.file_name();
            let ours = found.to_str().is_some_and(|name| name.ends_with(EXTENSION) && !wanted.contains(name));
            if ours && found.to_str() != Some(name(object.sha256).as_str()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn name(sha256: Digest) -> String {
    format!("{sha256}{EXTENSION}")
}

fn write(folder: &Path, sha256: Digest, bytes: &[u8], random: u64) -> io::Result<()> {
    create_directory(folder)?;
    let temporary = folder.join(format!("{sha256}-{}-{random:016x}.tmp", std::process::id()));
    let mut options = OpenOptions::new();
    let written = private(no_follow(options.create_new(true).write(true))).open(&temporary);
    let put = |mut file: File| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, folder.join(name(sha256)))
    };
    written.and_then(put).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}
