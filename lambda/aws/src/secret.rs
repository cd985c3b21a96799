//! Signing keys that are secrets in Secrets Manager.
//!
//! A secret is an Ed25519 private key as PKCS #8 in PEM, or several of them while keys change: then each signs. It is
//! read when it is first needed, and again when it was read [`MAX_AGE_MS`] ago, so that a rotated secret is used soon
//! and a withdrawn one no longer. While the service does not answer, what was read last goes on signing: nobody waits
//! for longer than [`PATIENCE`], and only every [`RETRY_MS`].
//!
//! What was read is wiped from memory when its value goes. The client of the service keeps the answer for a moment in
//! buffers of its own, which nobody wipes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use flagstone_bundle::framing::PayloadType;
use flagstone_bundle::key::{KeyId, Signature, SigningKey};
use flagstone_bundle::manifest::Stream;
use flagstone_bundle::root::Scope;
use flagstone_publisher::clock::Clock;
use flagstone_publisher::keys::{ManifestSigner, SignError, parse_private_key};
use flagstone_publisher::storage::Misconfiguration;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::fault::At;

/// How long a secret is used before it is read again, in milliseconds: one minute.
pub const MAX_AGE_MS: i64 = 60_000;
/// How long the service is waited for while there is a key that can sign.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How long what was read goes on signing before a service that did not answer is asked again, in milliseconds.
pub const RETRY_MS: i64 = 10_000;
/// Most keys of one secret.
pub const MAX_KEYS: usize = 4;
/// What each key in a secret ends with.
const END: &str = "-----END PRIVATE KEY-----";

/// The keys of a secret, and for how long from when on they sign before the secret is read again.
struct Held {
    keys: Arc<[SigningKey]>,
    from_ms: i64,
    for_ms: i64,
}

/// Signs with keys from Secrets Manager: an environment's own, else those for all others.
pub struct SecretSigner {
    client: Client,
    secrets: BTreeMap<Scope, Secret>,
    clock: Arc<dyn Clock>,
}

/// One secret: its name, and what was read of it. Each has a lock of its own, so that one that cannot be read holds up
/// no other.
struct Secret {
    name: String,
    held: Mutex<Option<Held>>,
}

impl std::fmt::Debug for SecretSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSigner").field("secrets", &self.secrets.keys()).finish_non_exhaustive()
    }
}

impl SecretSigner {
    /// Signs with the secrets of these names. Nothing is read before it is needed.
    pub fn new(client: Client, names: BTreeMap<Scope, String>, clock: Arc<dyn Clock>) -> Self {
        let secret = |(scope, name)| (scope, Secret { name, held: Mutex::default() });
        Self { client, secrets: names.into_iter().map(secret).collect(), clock }
    }

    /// The public ids of the keys that sign for a stream.
    pub async fn keyids(&self, stream: &Stream) -> Result<Vec<KeyId>, SignError> {
        Ok(self.keys(stream).await?.iter().map(SigningKey::id).collect())
    }

    async fn keys(&self, stream: &Stream) -> Result<Arc<[SigningKey]>, SignError> {
        let own = self.secrets.get(&Scope::Environment(stream.environment.clone()));
        let secret = own.or_else(|| self.secrets.get(&Scope::Others)).ok_or(SignError::NoKey)?;
        // One reads, and the others wait for what it gets.
        let mut held = secret.held.lock().await;
        let now_ms = self.clock.now_ms();
        let is_young = |held: &Held| (0..held.for_ms).contains(&now_ms.saturating_sub(held.from_ms));
        let read = match &*held {
            Some(held) if is_young(held) => return Ok(Arc::clone(&held.keys)),
            Some(_) => tokio::time::timeout(PATIENCE, self.read(&secret.name))
                .await
                .unwrap_or_else(|_| Err(SignError::Unavailable { source: "no answer in time".into() })),
            None => self.read(&secret.name).await,
        };
        let (keys, for_ms) = match (read, held.take()) {
            (Ok(keys), _) => (keys, MAX_AGE_MS),
            (Err(error @ SignError::Unavailable { .. }), Some(held)) => {
                tracing::warn!(
                    code = error.code(),
                    error = &error as &(dyn std::error::Error + 'static),
                    "a secret could not be read again; the one that was read before signs"
                );
                (held.keys, RETRY_MS)
            }
            (Err(error), _) => return Err(error),
        };
        *held = Some(Held { keys: Arc::clone(&keys), from_ms: now_ms, for_ms });
        Ok(keys)
    }

    async fn read(&self, name: &str) -> Result<Arc<[SigningKey]>, SignError> {
        let place = || format!("the secret `{name}`");
        let mut found = self
            .client
            .get_secret_value()
            .secret_id(name)
            .send()
            .await
            .map_err(|error| At::of("read", place(), &error))?;
        let secret = Zeroizing::new(found.secret_string.take().unwrap_or_default());
        parse(&secret)
            .ok_or_else(|| SignError::Misconfigured { what: Misconfiguration::Secret, detail: place() })
    }
}

/// The keys of a secret: at least one, and nothing else.
fn parse(secret: &str) -> Option<Arc<[SigningKey]>> {
    let blocks = secret.trim().split_inclusive(END);
    let keys: Option<Vec<_>> = blocks.map(|block| parse_private_key(block.as_bytes())).collect();
    keys.filter(|keys| (1..=MAX_KEYS).contains(&keys.len())).map(Into::into)
}

#[async_trait]
impl ManifestSigner for SecretSigner {
    async fn sign(&self, stream: &Stream, payload: &[u8]) -> Result<Vec<Signature>, SignError> {
        let keys = self.keys(stream).await?;
        Ok(keys.iter().map(|key| key.sign(PayloadType::Manifest, payload)).collect())
    }
}
