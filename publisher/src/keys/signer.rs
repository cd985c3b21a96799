//! Who signs manifests: the port, and the adapter with a key in memory.

use async_trait::async_trait;
use flagstone_bundle::framing::PayloadType;
use flagstone_bundle::key::{KeyId, Signature, SigningKey};
use flagstone_bundle::manifest::Stream;

use crate::storage::Misconfiguration;

/// Why a manifest was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The signer did not answer, or answered with an error.
    #[error("the signer is unavailable")]
    Unavailable {
        /// What the adapter met.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The signer is not set up as it must be.
    #[error("{what} ({detail})")]
    Misconfigured {
        /// What is wrong.
        what: Misconfiguration,
        /// Where, and what the service said: for the log, not for answers.
        detail: String,
    },
    /// There is no key for this stream.
    #[error("no key to sign for this stream")]
    NoKey,
}

impl SignError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "signer-unavailable",
            Self::Misconfigured { what, .. } => what.code(),
            Self::NoKey => "signing-key-missing",
        }
    }
}

/// Signs manifests of an environment. What it signed is verified before it is used.
#[async_trait]
pub trait ManifestSigner: Send + Sync {
    /// Signs the payload of a stream's manifest, with one key or, while keys change, with several.
    async fn sign(&self, stream: &Stream, payload: &[u8]) -> Result<Vec<Signature>, SignError>;
}

/// Signs with a key in memory, which is wiped when the signer goes.
#[derive(Debug)]
pub struct FileSigner(SigningKey);

impl FileSigner {
    /// Takes the key.
    pub const fn new(key: SigningKey) -> Self {
        Self(key)
    }

    /// The key's public id.
    pub const fn keyid(&self) -> KeyId {
        self.0.id()
    }
}

#[async_trait]
impl ManifestSigner for FileSigner {
    async fn sign(&self, _stream: &Stream, payload: &[u8]) -> Result<Vec<Signature>, SignError> {
        Ok(vec![self.0.sign(PayloadType::Manifest, payload)])
    }
}
