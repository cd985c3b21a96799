//! Tokens and SDK keys of a project: made, listed, revoked, and recognised by their SHA-256.

use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;

use super::ControlPlane;
use super::error::ControlError;
use super::mint::Minted;
use super::read::{Entity, environment_of};
use super::write::{Operation, Write, Written};
use crate::author::Token;
use crate::log::{SdkKeyId, TokenId};
use crate::state::change::{New, Refusal, is_live};
use crate::state::{Authored, Credential, CredentialState};

/// What the text of a token begins with.
const TOKEN_KIND: &str = "fat";
/// What the text of an SDK key begins with.
const SDK_KEY_KIND: &str = "fsk";

/// The id that the text of a token names, if it is of the form `fat_{id}_{secret}`.
pub fn token_named_in(text: &[u8]) -> Option<TokenId> {
    let text = core::str::from_utf8(text).ok()?;
    let (id, secret) = text.strip_prefix(TOKEN_KIND)?.strip_prefix('_')?.rsplit_once('_')?;
    TokenId::parse(id).ok().filter(|_| !secret.is_empty())
}

impl ControlPlane {
    /// Makes a token. Its text is in the answer and nowhere else.
    ///
    /// A retry of the same request finds the token made already, and its text nowhere: that is
    /// [`ControlError::AlreadyCreated`].
    pub async fn create_token(
        &self,
        body: Json<'static>,
        write: Write,
    ) -> Result<(Written, Minted<TokenId>), ControlError> {
        let minted = Minted::new(TOKEN_KIND, TokenId::PREFIX, |id| TokenId::parse(id).ok())?;
        let new = New { id: minted.id.clone(), sha256: minted.sha256(), body, now_ms: self.now_ms() };
        let mut written = self.write(Operation::CreateToken(new), write).await?;
        let state = self.state().await?;
        if let Some(token) = state.token(&minted.id) {
            let entity = shown(minted.id.as_str(), token);
            written.entity = entity.map_or(written.entity, |entity| entity.body);
            return Ok((written, minted));
        }
        let mut all = state.all_tokens();
        let id = all.find_map(|(id, token)| (token.seq == written.seq).then(|| id.to_string()));
        Err(ControlError::AlreadyCreated { id })
    }

    /// Makes an SDK key; otherwise like [`Self::create_token`].
    pub async fn create_sdk_key(
        &self,
        environment: &EnvironmentId,
        body: Json<'static>,
        write: Write,
    ) -> Result<(Written, Minted<SdkKeyId>), ControlError> {
        let minted = Minted::new(SDK_KEY_KIND, SdkKeyId::PREFIX, |id| SdkKeyId::parse(id).ok())?;
        let new = New { id: minted.id.clone(), sha256: minted.sha256(), body, now_ms: self.now_ms() };
        let mut written = self.write(Operation::CreateSdkKey(environment.clone(), new), write).await?;
        let state = self.state().await?;
        if let Some(key) = state.sdk_key(environment, &minted.id) {
            let entity = shown_key(&minted.id, key);
            written.entity = entity.map_or(written.entity, |entity| entity.body);
            return Ok((written, minted));
        }
        let mut all = state.all_sdk_keys();
        let id = all.find_map(|((_, id), key)| (key.seq == written.seq).then(|| id.to_string()));
        Err(ControlError::AlreadyCreated { id })
    }

    /// All tokens that are not revoked, by id.
    pub async fn tokens(&self) -> Result<Vec<(Entity, Token)>, ControlError> {
        let state = self.state().await?;
        let all = state.all_tokens();
        Ok(all.filter_map(|(id, token)| Some((shown(id.as_str(), token)?, authored(token)?))).collect())
    }

    /// One token that is not revoked.
    pub async fn token(&self, id: &TokenId) -> Result<(Entity, Token), ControlError> {
        let state = self.state().await?;
        let found = state.token(id).and_then(|token| Some((shown(id.as_str(), token)?, authored(token)?)));
        found.ok_or_else(|| Refusal::TokenNotFound { id: id.to_string() }.into())
    }

    /// The token of this id if it has this SHA-256, unless it is revoked or expired.
    ///
    /// The id is no secret ([`token_named_in`] a token's text); the digests are compared in a time that tells nothing
    /// of where they differ.
    pub async fn token_with(&self, id: &TokenId, sha256: &Digest) -> Result<Option<Token>, ControlError> {
        let state = self.state().await?;
        let token = state.token(id).and_then(|token| token.credential.as_ref());
        let presented = token.filter(|token| same(&token.sha256, sha256));
        let live = presented.filter(|token| is_live(&token.authored, self.now_ms()));
        Ok(live.map(|token| token.authored.clone()))
    }

    /// The SDK keys of an environment that are not revoked, by id.
    pub async fn sdk_keys(&self, environment: &EnvironmentId) -> Result<Vec<Entity>, ControlError> {
        let state = self.state().await?;
        environment_of(&state, environment)?;
        let own = state.all_sdk_keys().filter(|((id, _), _)| id == environment);
        Ok(own.filter_map(|((_, id), key)| shown_key(id, key)).collect())
    }

    /// One SDK key that is not revoked.
    pub async fn sdk_key(&self, environment: &EnvironmentId, id: &SdkKeyId) -> Result<Entity, ControlError> {
        let state = self.state().await?;
        environment_of(&state, environment)?;
        let found = state.sdk_key(environment, id).and_then(|key| shown_key(id, key));
        found.ok_or_else(|| Refusal::KeyNotFound { id: id.to_string() }.into())
    }

    /// The environment whose SDK key has this SHA-256, unless it is revoked.
    pub async fn sdk_key_by_sha256(&self, sha256: &Digest) -> Result<Option<EnvironmentId>, ControlError> {
        let state = self.state().await?;
        let mut found = None;
        for ((environment, _), key) in state.all_sdk_keys() {
            if key.credential.as_ref().is_some_and(|key| same(&key.sha256, sha256)) {
                found = Some(environment.clone());
            }
        }
        Ok(found)
    }
}

fn authored(state: &CredentialState<Token>) -> Option<Token> {
    state.credential.as_ref().map(|credential| credential.authored.clone())
}

/// What may be shown of a secret: everything but its SHA-256.
fn shown<T: Authored>(id: &str, state: &CredentialState<T>) -> Option<Entity> {
    let Credential { authored, created, sha256: _ } = state.credential.as_ref()?;
    let mut body = vec![("id".into(), Json::from(id.to_owned()))];
    if let Json::Object(members) = authored.write() {
        body.extend(members);
    }
    body.push(("created".into(), Json::from(created.to_string())));
    Some(Entity { key: id.to_owned(), revision: state.revision, body: Json::Object(body) })
}

/// An SDK key as it is shown: with its SHA-256, which is all that an edge knows of it (docs/CDN.md).
fn shown_key<T: Authored>(id: &SdkKeyId, state: &CredentialState<T>) -> Option<Entity> {
    let mut entity = shown(id.as_str(), state)?;
    let sha256 = state.credential.as_ref()?.sha256.to_string();
    if let Json::Object(members) = &mut entity.body {
        members.push(("sha256".into(), Json::from(sha256)));
    }
    Some(entity)
}

/// Whether two digests are equal, in a time that tells nothing of where they differ.
fn same(a: &Digest, b: &Digest) -> bool {
    let differing = a.as_bytes().iter().zip(b.as_bytes()).fold(0, |bits, (a, b)| bits | (a ^ b));
    core::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_token_names_its_id() {
        let named = |text: &str| token_named_in(text.as_bytes()).map(|id| id.to_string());
        assert_eq!(named("fat_t_abc27_secret"), Some("t_abc27".to_owned()));
        for none in [
            "",
            "fat_",
            "fat_t_abc27",
            "fat_t_abc27_",
            "fat_t__secret",
            "t_abc27_secret",
            "fsk_t_abc27_secret",
            "fat_t_a_b_c",
            "fat_k_abc27_secret",
        ] {
            assert_eq!(named(none), None, "{none}");
        }
        assert_eq!(token_named_in(b"fat_t_a\xff_secret"), None);
    }
}
