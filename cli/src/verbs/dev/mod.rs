//! `dev`: admin API, log, publisher, and bucket in one process, with a sample project, on loopback.

mod banner;
mod follow;
mod sample;

use core::time::Duration;
use flagstone_admin::{Limits, MetricsAccess, Rate};
use std::process::ExitCode;

use flagstone_model::key::ProjectId;
use flagstone_publisher::publish::Options;
use tracing_subscriber::EnvFilter;

use crate::args::Dev;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::surroundings::Surroundings;
use crate::verbs::dev::banner::Ready;
use crate::verbs::host::data::DataDirectory;
use crate::verbs::host::doors::Doors;
use crate::verbs::host::logs::{self, LogFormat};
use crate::verbs::host::{self, Allowed, Host, Sweeper};
use crate::verbs::stop;

/// One person's own machine: only what runs wild is slowed down.
const ALLOWED: Allowed = Allowed {
    limits: Limits {
        token: Some(Rate { per_second: 1_000, burst: 2_000 }),
        anonymous: Some(Rate { per_second: 1_000, burst: 2_000 }),
    },
    metrics: MetricsAccess::Everybody,
};
/// The project of a data directory that `dev` made.
const PROJECT: &str = "demo";
/// How often clients of a `dev` should poll: a change is to be seen within two seconds.
const POLL_MS: u64 = 1_000;
/// How long a change waits for another `dev` on the same data that was killed while it published.
const LEASE_MS: u32 = 500;
/// How long requests in flight may take after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);
/// Connections at once.
const MAX_CONNECTIONS: usize = 1_024;

pub(super) fn run(args: &Dev, surroundings: &Surroundings, screen: &Screen) -> Result<ExitCode, Failure> {
    let mut filter = Some(logs::filter(surroundings.log.as_deref(), "FLAGSTONE_LOG")?);
    let format = logs::format(surroundings)?;
    // People first read where things are, and only then what happens.
    if !surroundings.terminal_err
        && let Some(filter) = filter.take()
    {
        logs::start(filter, format, surroundings)?;
    }
    host::run(serve(args, (filter, format), surroundings, screen)).map(|()| ExitCode::SUCCESS)
}

async fn serve(
    args: &Dev,
    (filter, format): (Option<EnvFilter>, LogFormat),
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    let doors = Doors::bind(&[args.listen]).await?;
    let address = doors.addresses().first().copied().unwrap_or(args.listen);
    let project =
        ProjectId::parse(PROJECT).map_err(|error| Failure::refused(error.code(), error.to_string()))?;
    let options = Options { poll_ms: Some(POLL_MS), lease_ms: LEASE_MS, ..Options::default() };
    let host = Host::open(&args.data, project.clone(), options, DataDirectory::share).await?;
    let token = host.data.admin_token()?;
    sample::write(&host.control).await?;
    let keys = host.sdk_keys().await?;

    let stop = stop::Stop::listen();
    let open = doors.open(&host.app(&token, &keys, ALLOWED), None, MAX_CONNECTIONS);
    let ready = Ready { address, token, project, pin: host.pin(), keys: keys.all(), data: args.data.clone() };
    ready.tell(screen, surroundings)?;
    if let Some(filter) = filter {
        logs::start(filter, format, surroundings)?;
    }
    let client = follow::start(&ready, surroundings.terminal_err)?;
    let sweeper = Sweeper::start(&host, keys);

    stop.wait().await;
    tracing::info!("ending");
    client.close().await;
    open.close(GRACE).await;
    sweeper.stop(GRACE).await;
    Ok(())
}
