//! Keys of an embedded installation: made at the first start, and never twice (FORMAT T-2.3).
//!
//! A directory holds, for one project, the root key, the manifest key, and root document 1, which delegates `*` to the
//! manifest key. Whoever runs more than a development server moves `root.key` away after the first start: nothing here
//! needs it again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flagstone_bundle::framing::{PayloadType, assemble};
use flagstone_bundle::key::{KEY_BYTES, Signature, SigningKey};
use flagstone_bundle::limits::MAX_ROOT_LIFETIME_MS;
use flagstone_bundle::manifest::Stream;
use flagstone_bundle::root::{Delegation, Pin, Role, Root, RootBody, RootKey, Scope, UnverifiedRoot};
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::ProjectId;
use zeroize::Zeroizing;

use crate::private;
use crate::store::{Expect, Object, ObjectPath, ObjectStore, PutIf, PutNew, StoreError};

mod pem;
mod signer;

pub use signer::{FileSigner, ManifestSigner, SignError};

/// The root key's file.
const ROOT_KEY: &str = "root.key";
/// The manifest key's file.
const MANIFEST_KEY: &str = "manifest.key";
/// Root document 1, as it is published.
const ROOT_DOCUMENT: &str = "root.1.json";
/// How often publishing the root document is tried against other writers.
const TRIES: usize = 5;

/// Why keys can not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A file or directory can not be read or written.
    #[error("could not {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A root document is there, but the manifest key it needs is not. Nothing is made anew: no client would take it.
    #[error("{} is missing, while the root document that names it is there", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A private key that others can read.
    #[error("{} can be read by others; make it private (chmod 600) or make a new key", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A file that is no private key in the form this program writes.
    #[error("{} is no Ed25519 private key", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The root document is damaged, of another project, or does not name the keys beside it.
    #[error("{} {what}", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The store has another root 1 for this project: the keys belong to another installation.
    #[error("the store holds another root document than these keys belong to")]
    Foreign,
    /// Others kept writing where the root document lies; trying again may help.
    #[error("others keep writing where the root document is published")]
    Contended,
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gave no randomness.
    #[error("no randomness for a key")]
    Random,
}

impl KeysError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "keys-unreadable",
            Self::Missing { .. } => "key-missing",
            Self::Exposed { .. } => "key-exposed",
            Self::Malformed { .. } => "key-malformed",
            Self::Root { .. } => "root-malformed",
            Self::Foreign => "root-foreign",
            Self::Contended => "root-contended",
            Self::Store(error) => error.code(),
            Self::Random => "no-randomness",
        }
    }
}

/// The keys of one project, and its root document.
#[derive(Debug, Clone)]
pub struct Keys {
    root: Root,
    signers: BTreeMap<Scope, Arc<FileSigner>>,
}

impl Keys {
    /// Reads the keys in `directory`, or makes them at the first start. Of two processes at once, one makes them.
    pub async fn open(
        directory: impl Into<PathBuf>,
        project: &ProjectId,
        now_ms: i64,
    ) -> Result<Self, KeysError> {
        let (directory, project) = (directory.into(), project.clone());
        let opened = tokio::task::spawn_blocking(move || open(&directory, &project, now_ms)).await;
        opened.unwrap_or_else(|stopped| {
            let source = io::Error::other(stopped);
            Err(KeysError::File { action: "open", path: PathBuf::new(), source })
        })
    }

    /// Root document 1, verified.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// What a client is configured with.
    pub const fn pin(&self) -> Pin {
        self.root.pin()
    }

    /// Puts the root document where clients find it: [`publish_root`].
    pub async fn publish_root(&self, store: &dyn ObjectStore) -> Result<(), KeysError> {
        publish_root(&self.root, store).await
    }
}

/// Puts a root document where clients find it, unless it is there. Bytes that are no root document of this project and
/// number are nobody's, and are replaced.
pub async fn publish_root(root: &Root, store: &dyn ObjectStore) -> Result<(), KeysError> {
    let path = root_path(root.project(), root.number())?;
    for _ in 0..TRIES {
        let (bytes, etag) = match store.get(&path).await {
            Ok(Some(Object { bytes, etag })) => (bytes, etag),
            Ok(None) => match store.put_new(&path, root.file()).await? {
                PutNew::Created => return Ok(()),
                PutNew::Exists { .. } => continue,
            },
            // Too large for a root document, whatever it says.
            Err(StoreError::TooLarge { .. }) => match store.head(&path).await? {
                Some(head) => (Vec::new(), head.etag),
                None => continue,
            },
            Err(error) => return Err(error.into()),
        };
        match verified_by_itself(&bytes, root.number()) {
            Some(present) if present.pin() == root.pin() => return Ok(()),
            Some(present) if present.project() == root.project() => return Err(KeysError::Foreign),
            _ => {}
        }
        tracing::warn!(%path, "a stored root document does not verify and is replaced");
        if let PutIf::Written { .. } = store.put_if(&path, root.file(), &Expect::Is(etag)).await? {
            return Ok(());
        }
    }
    Err(KeysError::Contended)
}

#[async_trait]
impl ManifestSigner for Keys {
    /// Signs with the environment's own key if the root names it, else with that of `*`.
    async fn sign(&self, stream: &Stream, payload: &[u8]) -> Result<Vec<Signature>, SignError> {
        let named = self.signers.get(&Scope::Environment(stream.environment.clone()));
        match named.or_else(|| self.signers.get(&Scope::Others)) {
            Some(signer) if *self.root.project() == stream.project => signer.sign(stream, payload).await,
            _ => Err(SignError::NoKey),
        }
    }
}

/// Reads an Ed25519 private key as PKCS #8 in PEM, the form of the key files; `None` if it is none.
pub fn parse_private_key(pem: &[u8]) -> Option<SigningKey> {
    pem::decode(pem).map(|seed| SigningKey::from_seed(&seed))
}

/// Where a root document lies (FORMAT T-3.7).
pub fn root_path(project: &ProjectId, number: u64) -> Result<ObjectPath, StoreError> {
    ObjectPath::parse(&format!("open/{project}/v1/root/{number}"))
}

fn open(directory: &Path, project: &ProjectId, now_ms: i64) -> Result<Keys, KeysError> {
    ensure_private(directory)?;
    let _turn = turn(&directory.join(".lock"))?;
    let document = directory.join(ROOT_DOCUMENT);
    let manifest = directory.join(MANIFEST_KEY);
    let file = match fs::read(&document) {
        Ok(file) => file,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
            let root_key = key(&directory.join(ROOT_KEY))?;
            let file = first_root(project, &root_key, &key(&manifest)?, now_ms).ok_or_else(|| {
                KeysError::Root { path: document.clone(), what: "can not be made of these keys" }
            })?;
            write_new(&document, &file)?;
            file
        }
        Err(source) => return Err(KeysError::File { action: "read", path: document, source }),
    };
    let wrong = |what| KeysError::Root { path: document.clone(), what };
    let root =
        verified_by_itself(&file, 1).ok_or_else(|| wrong("is no root document that its own keys signed"))?;
    if root.project() != project {
        return Err(wrong("belongs to another project"));
    }
    let signing = read_key(&manifest)?.ok_or_else(|| KeysError::Missing { path: manifest.clone() })?;
    let names_it = |delegation: &Delegation| delegation.role.keyids.contains(&signing.id());
    if !root.body().environments.get(&Scope::Others).is_some_and(names_it) {
        return Err(wrong("does not name the manifest key beside it"));
    }
    // Where a key of one environment's own will be read, from `manifest.ENVIRONMENT.key`.
    let signers = BTreeMap::from([(Scope::Others, Arc::new(FileSigner::new(signing)))]);
    Ok(Keys { root, signers })
}

/// Root 1: one root key, and one manifest key for every environment.
fn first_root(
    project: &ProjectId,
    root_key: &SigningKey,
    manifest_key: &SigningKey,
    now_ms: i64,
) -> Option<Vec<u8>> {
    let role = |key: &SigningKey| Role { threshold: 1, keyids: vec![key.id()] };
    let listed = |key: &SigningKey, note: &str| RootKey { public: key.public(), note: Some(note.to_owned()) };
    let body = RootBody {
        project: project.clone(),
        root: 1,
        issued_ms: now_ms,
        expires_ms: now_ms.saturating_add(MAX_ROOT_LIFETIME_MS),
        keys: vec![listed(root_key, "root"), listed(manifest_key, "manifest")],
        root_role: role(root_key),
        environments: BTreeMap::from([(Scope::Others, Delegation { epoch: 1, role: role(manifest_key) })]),
    };
    let payload = body.to_payload();
    let signature = root_key.sign(PayloadType::Root, &payload);
    assemble(PayloadType::Root, &payload, &[signature], None).ok()
}

/// Reads a root document that is trusted because of where it is from, such as the configuration of a publisher: its own
/// number and digest are its pin. `None` if its own keys did not sign it.
pub fn root_by_itself(file: &[u8]) -> Option<Root> {
    let payload = Json::parse(file.split(|byte| *byte == b'\n').next()?).ok()?;
    let number = payload.member("root").and_then(Json::as_integer)?.try_into().ok()?;
    verified_by_itself(file, number)
}

/// Reads a root document by the pin that it has. For the operator's own copy that is the place where trust starts.
fn verified_by_itself(file: &[u8], number: u64) -> Option<Root> {
    let payload = file.split(|byte| *byte == b'\n').next()?;
    let pin = Pin { root: number, sha256: Digest::of(payload) };
    UnverifiedRoot::parse(file).ok()?.verify_pinned(&pin).ok()
}

/// The key in a file, which is made if it is missing.
fn key(path: &Path) -> Result<SigningKey, KeysError> {
    if let Some(key) = read_key(path)? {
        return Ok(key);
    }
    let mut seed = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *seed).map_err(|_| KeysError::Random)?;
    write_new(path, pem::encode(&seed).as_bytes())?;
    Ok(SigningKey::from_seed(&seed))
}

fn read_key(path: &Path) -> Result<Option<SigningKey>, KeysError> {
    let failed = |source| KeysError::File { action: "read", path: path.to_path_buf(), source };
    let text = match fs::read(path) {
        Ok(text) => Zeroizing::new(text),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    if !is_private(path).map_err(failed)? {
        return Err(KeysError::Exposed { path: path.to_path_buf() });
    }
    let key = parse_private_key(&text).ok_or_else(|| KeysError::Malformed { path: path.to_path_buf() })?;
    Ok(Some(key))
}

#[cfg(unix)]
fn is_private(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    let others = fs::metadata(path)?.permissions().mode() & 0o077;
    Ok(others == 0)
}

#[cfg(not(unix))]
fn is_private(_path: &Path) -> io::Result<bool> {
    Ok(true)
}

fn ensure_private(directory: &Path) -> Result<(), KeysError> {
    let failed = |source| KeysError::File { action: "create", path: directory.to_path_buf(), source };
    private::create_directories(directory).map_err(failed)
}

/// Processes look and make one after the other. The lock is freed with the handle, so also when its holder dies.
fn turn(path: &Path) -> Result<File, KeysError> {
    let failed = |source| KeysError::File { action: "lock", path: path.to_path_buf(), source };
    let file = private::lock_options().open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// Writes a file that is whole or not there, readable for its owner only. The caller holds the turn.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeysError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let write = || {
        // Left by a process that died here: it held the turn then, so nobody else writes it now.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private::options().create_new(true).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if cfg!(unix) {
            File::open(path.parent().unwrap_or(path))?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| KeysError::File { action: "write", path: path.to_path_buf(), source })
}
