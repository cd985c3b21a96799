//! What is put right every few seconds, whoever left it undone.

use core::time::Duration;
use std::sync::Arc;

use flagstone_publisher::control::{ControlPlane, PublicationState};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::store::ObjectStore;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::verbs::host::sdk_keys::SdkKeyFile;
use crate::verbs::host::{Host, environments};

/// How often what was left undone is looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// A task that sweeps until it is told to stop.
pub(in crate::verbs) struct Sweeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Sweeper {
    /// Begins at once with what an earlier process left.
    pub(in crate::verbs) fn start(host: &Host, keys: Arc<SdkKeyFile>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let swept = Swept {
            control: host.control.clone(),
            signing: host.signing.clone(),
            bucket: Arc::clone(&host.bucket),
            keys,
        };
        Self { stop, task: tokio::spawn(sweep(swept, stopped)) }
    }

    /// Lets the sweep that is under way end, and announces what was written last; no longer than `limit`. What is not done then, the next start does.
    pub(in crate::verbs) async fn stop(self, limit: Duration) {
        // Nobody listens only where the task has ended.
        let _ = self.stop.send(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(limit, self.task).await.is_err() {
            abort.abort();
            tracing::warn!("publications were left to the next start");
        }
    }
}

struct Swept {
    control: ControlPlane,
    signing: Keys,
    bucket: Arc<dyn ObjectStore>,
    keys: Arc<SdkKeyFile>,
}

async fn sweep(swept: Swept, mut stopped: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => once(&swept).await,
            _ = stopped.changed() => return finish(&swept.control).await,
        }
    }
}

/// Announces everything that is in the log; a stream that fails is logged, and left to the next start.
async fn finish(control: &ControlPlane) {
    for environment in environments(control).await.unwrap_or_default() {
        loop {
            match control.publish(&environment).await {
                Ok(published) if published.values().all(|view| view.state == PublicationState::Announced) => {
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%environment, code = error.code(), %error, "a stream could not be announced");
                    break;
                }
            }
        }
    }
}

/// What fails is logged where it fails, and tried again.
async fn once(Swept { control, signing, bucket, keys }: &Swept) {
    if let Err(error) = control.sweep().await {
        tracing::warn!(code = error.code(), "the sweep is not done");
    }
    if let Err(error) = signing.publish_root(&**bucket).await {
        tracing::error!(code = error.code(), %error, "the root document is not where clients find it");
    }
    let Ok(environments) = environments(control).await else { return };
    match keys.add(&environments) {
        Ok(added) => {
            for environment in added {
                tracing::info!(%environment, "the environment has an SDK key in sdk-keys.json now");
            }
        }
        Err(failure) => tracing::warn!(code = failure.code, "no SDK keys for new environments"),
    }
}
