//! SDK keys: one for each environment, in one private file that several processes share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use flagstone_admin::auth::AuthError;
use flagstone_admin::cdn::{KeyScope, SdkKeys};
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId};

use crate::failure::Failure;
use crate::verbs::host::data::{DataDirectory, read, replace, secret};

/// `{"ENVIRONMENT":"KEY",…}`.
type Keys = BTreeMap<EnvironmentId, String>;

/// The file of SDK keys.
pub(in crate::verbs) struct SdkKeyFile {
    data: DataDirectory,
    path: PathBuf,
    project: ProjectId,
    known: Mutex<Keys>,
}

impl SdkKeyFile {
    /// Reads the file and adds what is missing.
    pub(in crate::verbs) fn open(
        data: &DataDirectory,
        project: ProjectId,
        environments: &[EnvironmentId],
    ) -> Result<Self, Failure> {
        let keys = Self { data: data.clone(), path: data.sdk_keys(), project, known: Mutex::default() };
        keys.add(environments)?;
        Ok(keys)
    }

    /// All keys.
    pub(in crate::verbs) fn all(&self) -> Keys {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes keys for environments that have none, and tells for which.
    pub(in crate::verbs) fn add(
        &self,
        environments: &[EnvironmentId],
    ) -> Result<Vec<EnvironmentId>, Failure> {
        let missing = |keys: &Keys| -> Vec<_> {
            environments.iter().filter(|environment| !keys.contains_key(*environment)).cloned().collect()
        };
        if missing(&self.all()).is_empty() {
            return Ok(Vec::new());
        }
        let _turn = self.data.lock()?;
        let mut keys = self.read()?;
        let missing = missing(&keys);
        for environment in &missing {
            keys.insert(environment.clone(), secret("fsk")?);
        }
        if !missing.is_empty() {
            let members =
                keys.iter().map(|(environment, key)| (environment.to_string(), Json::from(key.clone())));
            replace(&self.path, format!("{}\n", Json::object(members)).as_bytes())?;
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(missing)
    }

    fn read(&self) -> Result<Keys, Failure> {
        let Some(text) = read(&self.path)? else { return Ok(Keys::new()) };
        let malformed = || {
            let detail = format!("{} is no JSON object of environments and their keys", self.path.display());
            Failure::refused("sdk-keys-malformed", detail)
        };
        let json = Json::parse(text.trim().as_bytes()).map_err(|_| malformed())?;
        let members = json.as_object().ok_or_else(malformed)?;
        let pair = |(environment, key): &(std::borrow::Cow<'_, str>, Json<'_>)| {
            Some((EnvironmentId::parse(environment).ok()?, key.as_str()?.to_owned()))
        };
        members.iter().map(|member| pair(member).ok_or_else(malformed)).collect()
    }

    fn find(&self, sha256: &Digest) -> Option<EnvironmentId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|(_, key)| Digest::of(key.as_bytes()) == *sha256);
        found.map(|(environment, _)| environment.clone())
    }
}

#[async_trait]
impl SdkKeys for SdkKeyFile {
    async fn scope(&self, key_sha256: &Digest) -> Result<Option<KeyScope>, AuthError> {
        let mut found = self.find(key_sha256);
        if found.is_none()
            && let Ok(keys) = self.read()
        {
            // Another process on this directory may have made it.
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = keys;
            found = self.find(key_sha256);
        }
        Ok(found.map(|environment| KeyScope { project: self.project.clone(), environment }))
    }
}
