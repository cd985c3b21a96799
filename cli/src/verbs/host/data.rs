//! The data directory: what lies where, and the secrets in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

const TOKEN: &str = "admin.token";
const LOCK: &str = ".lock";
const TENANCY: &str = ".serving";

/// That a directory is in use. Freed with the handle, also when its holder dies.
#[derive(Debug)]
pub(in crate::verbs) struct Tenancy {
    _held: File,
}

/// The directory of one `serve`, or of several `dev` at once.
#[derive(Debug, Clone)]
pub(in crate::verbs) struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    /// A directory that is there.
    pub(in crate::verbs) fn existing(path: &Path) -> Result<Self, Failure> {
        if path.is_dir() {
            return Ok(Self { path: path.to_path_buf() });
        }
        let detail = format!("there is no directory {}", path.display());
        Err(Failure::refused("unreadable", detail)
            .hint("--data is the directory that `flagstone serve` was given"))
    }

    /// The directory, which is made if it is missing, for its owner only.
    pub(in crate::verbs) fn open(path: &Path) -> Result<Self, Failure> {
        let made = make_private_directory(path);
        if path.exists() && !path.is_dir() {
            let detail =
                format!("{} is a file, and the data directory has to be a directory", path.display());
            return Err(Failure::refused("not-a-directory", detail));
        }
        made.map_err(|error| unwritable(path, &error))?;
        let data = Self { path: path.to_path_buf() };
        // Found out here, and not half-way through the first change.
        drop(data.lock()?);
        Ok(data)
    }

    /// Change log and publication items.
    pub(in crate::verbs) fn log(&self) -> PathBuf {
        self.path.join("log.sqlite")
    }

    /// The objects that a CDN would serve.
    pub(in crate::verbs) fn bucket(&self) -> PathBuf {
        self.path.join("bucket")
    }

    /// Signing keys.
    pub(in crate::verbs) fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// SDK keys of closed streams.
    pub(in crate::verbs) fn sdk_keys(&self) -> PathBuf {
        self.path.join("sdk-keys.json")
    }

    /// The file of the admin token.
    pub(in crate::verbs) fn admin_token_file(&self) -> PathBuf {
        self.path.join(TOKEN)
    }

    /// The directory itself.
    pub(in crate::verbs) fn path(&self) -> &Path {
        &self.path
    }

    /// The admin token, made at the first start.
    pub(in crate::verbs) fn admin_token(&self) -> Result<String, Failure> {
        let _turn = self.lock()?;
        let path = self.path.join(TOKEN);
        if let Some(token) = read(&path)? {
            let token = token.trim().to_owned();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                let detail = format!("{} holds no token; delete it to get a new one", path.display());
                return Err(Failure::refused("token-malformed", detail));
            }
            return Ok(token);
        }
        let token = secret("fst")?;
        replace(&path, format!("{token}\n").as_bytes())?;
        Ok(token)
    }

    /// Uses the directory beside others that share it too: every `dev`.
    pub(in crate::verbs) fn share(&self) -> Result<Tenancy, Failure> {
        self.tenancy(File::try_lock_shared)
    }

    /// Uses the directory alone.
    pub(in crate::verbs) fn occupy(&self) -> Result<Tenancy, Failure> {
        self.tenancy(File::try_lock)
    }

    fn tenancy(&self, lock: impl FnOnce(&File) -> Result<(), TryLockError>) -> Result<Tenancy, Failure> {
        let path = self.path.join(TENANCY);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        private(&mut options);
        let file = options.open(&path).map_err(|error| unwritable(&path, &error))?;
        match lock(&file) {
            Ok(()) => Ok(Tenancy { _held: file }),
            Err(TryLockError::WouldBlock) => {
                let detail = format!("another `flagstone` serves from {}", self.path.display());
                Err(Failure::refused("data-in-use", detail)
                    .hint("stop it first, or take another directory with --data"))
            }
            Err(TryLockError::Error(error)) => Err(unwritable(&path, &error)),
        }
    }

    /// Processes read and write small files one after the other. Freed with the handle, also when its holder dies.
    pub(in crate::verbs) fn lock(&self) -> Result<File, Failure> {
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        private(&mut options);
        let file = options.open(&path).map_err(|error| unwritable(&self.path, &error))?;
        file.lock().map_err(|error| unwritable(&path, &error))?;
        Ok(file)
    }
}

/// Makes a directory, and those above it, for its owner only.
pub(crate) fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The text of a file, if there is one.
pub(in crate::verbs) fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(Failure::refused("unreadable", format!("{} cannot be read: {error}", path.display())))
        }
    }
}

/// Writes a file that others cannot read, whole or not at all. The caller holds the lock.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let write = || -> io::Result<()> {
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        private(&mut options);
        let mut file = options.open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| unwritable(path, &error))
}

/// A new secret of 192 random bits, with what it is for in front.
pub(in crate::verbs) fn secret(prefix: &str) -> Result<String, Failure> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::refused("no-randomness", format!("the system has no randomness: {error}"))
    })?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{prefix}_{hex}"))
}

fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

/// Why something in a data directory could not be written.
pub(in crate::verbs) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Failure::refused(
            "storage-read-only",
            format!("{path} cannot be written: it is read-only for this user"),
        )
        .hint("--data DIR takes another directory"),
        ErrorKind::NotADirectory => {
            Failure::refused("not-a-directory", format!("{path} cannot be made: a part of it is a file"))
        }
        ErrorKind::StorageFull => Failure::refused("storage-full", format!("no space is left for {path}")),
        _ => Failure::refused("storage-unavailable", format!("{path} cannot be written: {error}")),
    }
}
