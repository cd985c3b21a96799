//! What `dev` and `serve` have in common: one process that is admin API, log, publisher, and bucket of a project.

pub(in crate::verbs) mod data;
pub(in crate::verbs) mod doors;
pub(in crate::verbs) mod logs;
pub(in crate::verbs) mod public;
pub(in crate::verbs) mod sdk_keys;
mod sweeper;
pub(in crate::verbs) mod tls;
#[cfg(feature = "otel")]
mod traces;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use flagstone_admin::auth::{AdminToken, Principal, ProjectTokens};
use flagstone_admin::cdn::{self, ProjectSdkKeys};
use flagstone_admin::{Limits, MetricsAccess};
use flagstone_bundle::root::Pin;
use flagstone_model::key::{EnvironmentId, ProjectId};
use flagstone_publisher::access::AccessLog;
use flagstone_publisher::clock::{Clock, SystemClock};
use flagstone_publisher::control::{ControlPlane, Ports};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::publish::Options;
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::store::{DirectoryStore, ObjectStore};

use crate::failure::{Failure, sentence};
use crate::verbs::host::data::{DataDirectory, Tenancy};
use crate::verbs::host::sdk_keys::SdkKeyFile;

pub(in crate::verbs) use sweeper::Sweeper;

/// How often somebody may ask, and who may read `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::verbs) struct Allowed {
    pub(in crate::verbs) limits: Limits,
    pub(in crate::verbs) metrics: MetricsAccess,
}

/// One project on one machine, open and ready to be served.
pub(in crate::verbs) struct Host {
    pub(in crate::verbs) data: DataDirectory,
    pub(in crate::verbs) project: ProjectId,
    pub(in crate::verbs) control: ControlPlane,
    signing: Keys,
    bucket: Arc<dyn ObjectStore>,
    /// Uses and refusals, in the file of the log.
    access: Arc<dyn AccessLog>,
    /// Held as long as the directory is used.
    _tenancy: Tenancy,
}

impl Host {
    /// Opens a data directory, and makes what is missing: log, bucket, and keys.
    pub(in crate::verbs) async fn open(
        path: &Path,
        project: ProjectId,
        options: Options,
        tenancy: impl FnOnce(&DataDirectory) -> Result<Tenancy, Failure>,
    ) -> Result<Self, Failure> {
        let data = DataDirectory::open(path)?;
        let tenancy = tenancy(&data)?;
        let log = SqliteStore::open(data.log()).await.map_err(|error| sentence(error.code(), &error))?;
        let access: Arc<dyn AccessLog> = Arc::new(log.clone());
        let bucket =
            DirectoryStore::open(data.bucket()).await.map_err(|error| sentence(error.code(), &error))?;
        let bucket: Arc<dyn ObjectStore> = Arc::new(bucket);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let signing = Keys::open(data.keys(), &project, clock.now_ms())
            .await
            .map_err(|error| sentence(error.code(), &error))?;
        signing.publish_root(&*bucket).await.map_err(|error| sentence(error.code(), &error))?;
        let ports = Ports {
            log: Arc::new(log.clone()),
            checkpoints: Arc::new(log.clone()),
            objects: Arc::new(log.clone()),
            publications: Arc::new(log),
            store: Arc::clone(&bucket),
            signer: Arc::new(signing.clone()),
            clock,
        };
        let control = ControlPlane::new(project.clone(), signing.root().clone(), ports, options);
        Ok(Self { data, project, control, signing, bucket, access, _tenancy: tenancy })
    }

    /// What clients are configured with.
    pub(in crate::verbs) const fn pin(&self) -> Pin {
        self.signing.pin()
    }

    /// The ids of all environments.
    pub(in crate::verbs) async fn environments(&self) -> Result<Vec<EnvironmentId>, Failure> {
        environments(&self.control).await
    }

    /// The SDK keys; environments that have none get one.
    pub(in crate::verbs) async fn sdk_keys(&self) -> Result<Arc<SdkKeyFile>, Failure> {
        let environments = self.environments().await?;
        Ok(Arc::new(SdkKeyFile::open(&self.data, self.project.clone(), &environments)?))
    }

    /// Admin API and bucket under one address.
    pub(in crate::verbs) fn app(&self, token: &str, keys: &Arc<SdkKeyFile>, allowed: Allowed) -> Router {
        let bootstrap = AdminToken::new(token, Principal::admin("admin"));
        let tokens = Arc::new(ProjectTokens::new(self.control.clone(), Some(bootstrap)));
        let keys = ProjectSdkKeys::new(self.control.clone(), Arc::<SdkKeyFile>::clone(keys));
        let options = flagstone_admin::Options {
            #[cfg(feature = "otel")]
            adopt: Some(traces::adopt),
            #[cfg(not(feature = "otel"))]
            adopt: None,
            limits: allowed.limits,
            metrics: allowed.metrics,
            access: Some(Arc::clone(&self.access)),
        };
        flagstone_admin::router_with(self.control.clone(), tokens, options)
            .merge(cdn::router(Arc::clone(&self.bucket), Arc::new(keys)))
    }
}

/// The ids of all environments.
async fn environments(control: &ControlPlane) -> Result<Vec<EnvironmentId>, Failure> {
    let environments = control.environments().await.map_err(|error| sentence(error.code(), &error))?;
    Ok(environments.iter().filter_map(|entity| entity.key.parse().ok()).collect())
}

/// Runs something that serves until it is told to stop.
pub(in crate::verbs) fn run<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::refused("no-runtime", format!("no runtime: {error}")))?;
    let served = runtime.block_on(future);
    // Publications that were left running stop here; the next start goes on with them.
    runtime.shutdown_timeout(core::time::Duration::from_secs(1));
    #[cfg(feature = "otel")]
    traces::end();
    served
}
