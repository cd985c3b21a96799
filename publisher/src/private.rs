//! Files and directories for their owner only.
//!
//! The buckets that readers meet are served by a process; nobody reads, or locks, its files beside it.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// Options that make a new file readable and writable for its owner only. A file that is there keeps its mode.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true);
    options
}

/// Options of a lock file: made if it is missing, never changed.
pub(crate) fn lock_options() -> OpenOptions {
    let mut options = options();
    options.create(true).truncate(false);
    options
}

/// Makes a directory that only its owner can enter.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    builder().create(path)
}

/// Makes a directory, and those above it, that only its owner can enter.
pub(crate) fn create_directories(path: &Path) -> io::Result<()> {
    builder().recursive(true).create(path)
}

fn builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}
