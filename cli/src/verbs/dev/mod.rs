//! `dev`: admin API, log, publisher, and bucket in one process.

mod banner;
mod data;
mod follow;
mod keys;
mod logs;
mod sample;

use core::time::Duration;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use axum::serve::ListenerExt;
use flagstone_admin::auth::{AdminToken, Principal};
use flagstone_publisher::clock::{Clock, SystemClock};
use flagstone_publisher::control::{ControlPlane, Ports};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::publish::Options;
use flagstone_publisher::sqlite::SqliteStore;
use flagstone_publisher::store::{DirectoryStore, ObjectStore};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::args::Dev;
use crate::failure::{Failure, sentence};
use crate::screen::Screen;
use crate::surroundings::Surroundings;
use crate::verbs::dev::banner::Ready;
use crate::verbs::dev::data::DataDirectory;
use crate::verbs::dev::keys::SdkKeyFile;

/// The project of a data directory that `dev` made.
const PROJECT: &str = "demo";
/// How often clients of a `dev` should poll: a change is to be seen within two seconds.
const POLL_MS: u64 = 1_000;
/// How long a change waits for another `dev` on the same data that was killed while it published.
const LEASE_MS: u32 = 500;
/// How often what was left undone is looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// How long requests in flight may take after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);

pub(super) fn run(args: &Dev, surroundings: &Surroundings, screen: &Screen) -> Result<ExitCode, Failure> {
    let mut filter = Some(logs::filter(surroundings)?);
    // People first read where things are, and only then what happens.
    if !surroundings.terminal_err
        && let Some(filter) = filter.take()
    {
        logs::start(filter, surroundings)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::refused("no-runtime", format!("no runtime: {error}")))?;
    let served = runtime.block_on(serve(args, filter, surroundings, screen));
    // Publications that were left running stop here; the next start goes on with them.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(
    args: &Dev,
    filter: Option<tracing_subscriber::EnvFilter>,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let listener =
        TcpListener::bind(args.listen).await.map_err(|error| cannot_listen(args.listen, &error))?;
    let address = listener.local_addr().map_err(|error| cannot_listen(args.listen, &error))?;

    let data = DataDirectory::open(&args.data)?;
    let project = flagstone_model::key::ProjectId::parse(PROJECT)
        .map_err(|error| Failure::refused(error.code(), error.to_string()))?;
    let log = SqliteStore::open(data.log()).await.map_err(|error| sentence(error.code(), &error))?;
    let bucket = DirectoryStore::open(data.bucket()).await.map_err(|error| sentence(error.code(), &error))?;
    let bucket: Arc<dyn ObjectStore> = Arc::new(bucket);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let signing = Keys::open(data.keys(), &project, clock.now_ms())
        .await
        .map_err(|error| sentence(error.code(), &error))?;
    signing.publish_root(&*bucket).await.map_err(|error| sentence(error.code(), &error))?;
    let token = data.admin_token()?;
    let pin = signing.pin();

    let ports = Ports {
        log: Arc::new(log.clone()),
        checkpoints: Arc::new(log.clone()),
        publications: Arc::new(log),
        store: Arc::clone(&bucket),
        signer: Arc::new(signing.clone()),
        clock,
    };
    let options = Options { poll_ms: Some(POLL_MS), lease_ms: LEASE_MS, ..Options::default() };
    let control = ControlPlane::new(project.clone(), signing.root().clone(), ports, options);
    sample::write(&control).await?;
    let environments = environments(&control).await?;
    let sdk_keys = Arc::new(SdkKeyFile::open(&data, project.clone(), &environments)?);

    let principal = Principal::admin("admin");
    let kept = Arc::clone(&bucket);
    let app = flagstone_admin::router(control.clone(), Arc::new(AdminToken::new(&token, principal)))
        .merge(flagstone_admin::cdn::router(bucket, Arc::<SdkKeyFile>::clone(&sdk_keys)));
    let stop = Arc::new(Notify::new());
    let listener = listener.tap_io(|stream| {
        // Small answers, at once; a connection that refuses works all the same.
        let _ = stream.set_nodelay(true);
    });
    let stopping = Arc::clone(&stop);
    let server = tokio::spawn(async move {
        axum::serve(listener, app).with_graceful_shutdown(async move { stopping.notified().await }).await
    });

    let stopped = super::stopped();
    let ready = Ready { address, token, project, pin, keys: sdk_keys.all(), data: args.data.clone() };
    ready.tell(screen, surroundings)?;
    if let Some(filter) = filter {
        logs::start(filter, surroundings)?;
    }
    let client = follow::start(&ready, surroundings.terminal_err)?;
    let sweeper = tokio::spawn(sweep(Swept { control, signing, bucket: kept, keys: sdk_keys, address }));

    stopped.await;
    tracing::info!("ending");
    sweeper.abort();
    client.close().await;
    stop.notify_one();
    match tokio::time::timeout(GRACE, server).await {
        Ok(Ok(Err(error))) => Err(Failure::refused("server-failed", format!("the server failed: {error}"))),
        Ok(_) => Ok(()),
        Err(_) => {
            tracing::warn!("requests in flight were cut off");
            Ok(())
        }
    }
}

/// The ids of all environments.
async fn environments(control: &ControlPlane) -> Result<Vec<flagstone_model::key::EnvironmentId>, Failure> {
    let environments = control.environments().await.map_err(|error| sentence(error.code(), &error))?;
    Ok(environments.iter().filter_map(|entity| entity.key.parse().ok()).collect())
}

/// What is swept.
struct Swept {
    control: ControlPlane,
    signing: Keys,
    bucket: Arc<dyn ObjectStore>,
    keys: Arc<SdkKeyFile>,
    address: SocketAddr,
}

/// Publishes at once what an earlier process left undone, then looks again every few seconds.
async fn sweep(Swept { control, signing, bucket, keys, address }: Swept) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // What fails is logged where it fails, and tried again.
        if let Err(error) = control.sweep().await {
            tracing::warn!(code = error.code(), "the sweep is not done");
        }
        if let Err(error) = signing.publish_root(&*bucket).await {
            tracing::error!(code = error.code(), %error, "the root document is not where clients find it");
        }
        let Ok(environments) = environments(&control).await else { continue };
        match keys.add(&environments) {
            Ok(added) => {
                for environment in added {
                    tracing::info!(%environment, api = %address, "the environment has an SDK key in sdk-keys.json now");
                }
            }
            Err(failure) => tracing::warn!(code = failure.code, "no SDK keys for new environments"),
        }
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AddrInUse => {
            Failure::refused("address-in-use", format!("another program listens on {address}"))
                .hint("--listen 127.0.0.1:0 takes a free port")
        }
        ErrorKind::PermissionDenied => Failure::refused(
            "address-forbidden",
            format!("the system does not let this user listen on {address}"),
        )
        .hint("take a port above 1023"),
        _ => Failure::refused("address-unavailable", format!("cannot listen on {address}: {error}")),
    }
}
