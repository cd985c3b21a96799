//! Copying files so that a copy is whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::verbs::host::data::{make_private_directory, unwritable};

/// A directory that gets its name when all of it is there, and is removed if that never comes.
pub(super) struct Partial {
    path: PathBuf,
    name: PathBuf,
    finished: bool,
}

impl Partial {
    /// A directory beside the one that is wanted, which must not be there yet, or be empty.
    pub(super) fn beside(wanted: &Path) -> Result<Self, Failure> {
        // `backup/` is `backup`: with the slash, what is beside it would be inside of it.
        let wanted: PathBuf = wanted.components().collect();
        let Some(last) = wanted.file_name() else {
            return Err(Failure::usage(format!("{} names no new directory", wanted.display())));
        };
        let mut name = last.to_owned();
        name.push(format!(".partial-{}", std::process::id()));
        let taken = match fs::read_dir(&wanted) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(_) => true,
        };
        if taken {
            let detail = format!("{} is there already, and is not an empty directory", wanted.display());
            return Err(Failure::refused("not-empty", detail).hint("name a directory that is not there yet"));
        }
        let partial = Self { path: wanted.with_file_name(name), name: wanted, finished: false };
        make_private_directory(&partial.path).map_err(|error| unwritable(&partial.path, &error))?;
        Ok(partial)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        // An empty directory makes room; a rename would do that too, but not everywhere.
        let _ = fs::remove_dir(&self.name);
        fs::rename(&self.path, &self.name).map_err(|error| unwritable(&self.name, &error))?;
        self.finished = true;
        if cfg!(unix) {
            let above = self.name.parent().filter(|above| !above.as_os_str().is_empty());
            let above = above.unwrap_or(Path::new("."));
            File::open(above).and_then(|file| file.sync_all()).map_err(|error| unwritable(above, &error))?;
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed is told by its name.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Copies the files that are wanted, by their path below `from`; how many, and how many bytes. What begins with a dot
/// is nobody's but the process's that made it.
pub(super) fn copy_tree(
    from: &Path,
    to: &Path,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(u64, u64), Failure> {
    let (mut files, mut bytes) = (0, 0);
    let mut left = vec![String::new()];
    while let Some(below) = left.pop() {
        let source = from.join(&below);
        let unreadable = |error: &io::Error| {
            Failure::refused("unreadable", format!("{} cannot be read: {error}", source.display()))
        };
        let entries = match fs::read_dir(&source) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            let kind = entry.file_type().map_err(|error| unreadable(&error))?;
            if kind.is_dir() {
                left.push(path);
            } else if kind.is_file() && wanted(&path) {
                bytes += copy_file(&entry.path(), &to.join(&path))?;
                files += 1;
            }
        }
    }
    Ok((files, bytes))
}

/// Copies one file, for its owner only, down to the disk; how many bytes.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<u64, Failure> {
    let mut source = File::open(from).map_err(|error| {
        Failure::refused("unreadable", format!("{} cannot be read: {error}", from.display()))
    })?;
    let mut write = || {
        if let Some(above) = to.parent() {
            make_private_directory(above)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut target = options.open(to)?;
        let bytes = io::copy(&mut source, &mut target)?;
        target.sync_all()?;
        Ok(bytes)
    };
    write().map_err(|error: io::Error| unwritable(to, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_after_the_name_changes_nothing() {
        let place = tempfile::tempdir().unwrap();
        let wanted = place.path().join("backup");
        fs::create_dir_all(&wanted).unwrap();
        let partial = Partial::beside(&place.path().join("backup/")).unwrap();
        assert_eq!(partial.path().parent(), Some(place.path()));
        fs::write(partial.path().join("file"), "x").unwrap();
        partial.finish().unwrap();
        assert_eq!(fs::read(wanted.join("file")).unwrap(), b"x");
        for nameless in ["/", ".."] {
            assert!(Partial::beside(Path::new(nameless)).is_err());
        }
    }
}
