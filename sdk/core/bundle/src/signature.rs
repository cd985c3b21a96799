//! The one place where signatures are counted (FORMAT T-1.3, T-1.4).

use std::collections::{BTreeMap, BTreeSet};

use crate::framing::{Framed, pae};
use crate::key::{KeyId, PublicKey};

/// Why the signatures of a file do not make it trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Fewer good signatures of the role's keys than it asks for.
    #[error("{valid} of {needed} needed signatures are good, {unknown} are of unknown keys")]
    Threshold {
        /// Distinct public keys of the role with a good signature.
        valid: usize,
        /// How many the role needs.
        needed: usize,
        /// Signatures whose key the role does not list: a sign that a newer root exists.
        unknown: usize,
    },
    /// The root lists no keys for this environment any more.
    #[error("the root revokes every key of this environment")]
    Revoked,
    /// The root names neither this environment nor `*`.
    #[error("the root delegates this environment to no key")]
    NotDelegated,
}

impl SignatureError {
    /// The stable code of this error (FORMAT T-5.6).
    pub const fn code(&self) -> &'static str {
        "untrusted"
    }

    /// What exactly is wrong, stable too.
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::Threshold { .. } => "threshold",
            Self::Revoked => "revoked",
            Self::NotDelegated => "not-delegated",
        }
    }
}

/// Counts the distinct public keys of a role that signed, and compares with its threshold.
///
/// A signature counts for the one key its keyid names, if the role lists that key. Others are not tried: an unknown
/// keyid and a failing signature do not count and do no harm.
pub(crate) fn verify(
    framed: &Framed<'_>,
    keys: &BTreeMap<KeyId, PublicKey>,
    role: &[KeyId],
    threshold: usize,
) -> Result<(), SignatureError> {
    let message = pae(framed.payload_type, framed.payload);
    let mut signers = BTreeSet::new();
    let mut unknown = 0_usize;
    for signature in &framed.signatures {
        let listed = role.contains(&signature.keyid);
        match keys.get(&signature.keyid).filter(|_| listed) {
            None => unknown = unknown.saturating_add(1),
            Some(key) => {
                if key.verifies(&message, &signature.bytes) {
                    signers.insert(*key.as_bytes());
                }
            }
        }
    }
    let needed = threshold.max(1);
    if signers.len() < needed {
        return Err(SignatureError::Threshold { valid: signers.len(), needed, unknown });
    }
    Ok(())
}
