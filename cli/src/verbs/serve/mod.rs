//! `serve`: what `dev` runs, for real use on one machine.

mod allowed;
mod file;
mod ready;
pub(in crate::verbs) mod settings;

use std::net::SocketAddr;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::args::Serve;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::surroundings::Surroundings;
use crate::verbs::LogFormat;
use crate::verbs::host::data::DataDirectory;
use crate::verbs::host::doors::Doors;
use crate::verbs::host::public::PublicUrl;
use crate::verbs::host::{self, Host, Sweeper, logs, tls};
use crate::verbs::init;
use crate::verbs::serve::ready::Ready;
use crate::verbs::serve::settings::Settings;
use crate::verbs::stop::Stop;

pub(super) fn run(args: &Serve, surroundings: &Surroundings, screen: &Screen) -> Result<ExitCode, Failure> {
    let settings = Settings::read(args, surroundings)?;
    let mut filter = Some(logs::filter(settings.log_level.as_deref(), "log.level")?);
    let fallback = if surroundings.terminal_err { LogFormat::Text } else { LogFormat::Json };
    let format = settings.log_format.unwrap_or(fallback);
    // People first read where things are, and only then what happens.
    if !surroundings.terminal_err
        && let Some(filter) = filter.take()
    {
        logs::start(filter, format, surroundings)?;
    }
    let started = |filter: Option<EnvFilter>| match filter {
        Some(filter) => logs::start(filter, format, surroundings),
        None => Ok(()),
    };
    host::run(serve(settings, || started(filter), surroundings, screen)).map(|()| ExitCode::SUCCESS)
}

async fn serve(
    settings: Settings,
    log: impl FnOnce() -> Result<(), Failure>,
    surroundings: &Surroundings,
    screen: &Screen,
) -> Result<(), Failure> {
    // What can be wrong is found out before anything is made, and before anybody is let in.
    let acceptor = settings.tls.as_ref().map(|tls| tls::acceptor(&tls.certificate, &tls.key)).transpose()?;
    let doors = Doors::bind(&settings.listen).await?;
    let addresses = doors.addresses();
    let Settings { data, project, options, .. } = &settings;
    let host = Host::open(data, project.clone(), options.clone(), DataDirectory::occupy).await?;
    init::project(&host, None).await?;
    let token = host.data.admin_token()?;
    let keys = host.sdk_keys().await?;

    let stop = Stop::listen();
    let open =
        doors.open(&host.app(&token, &keys, settings.allowed), acceptor.as_ref(), settings.connections);
    let public_url = settings.public_url.clone().unwrap_or_else(|| of_first(&addresses));
    let ready = Ready {
        addresses,
        tls: acceptor.is_some(),
        public_url,
        project: project.clone(),
        pin: host.pin(),
        environments: host.environments().await?,
        token_file: host.data.admin_token_file(),
        data: data.clone(),
    };
    ready.tell(screen, surroundings)?;
    log()?;
    for (name, source) in &settings.sources {
        tracing::debug!(name, %source, "setting");
    }
    tracing::info!(addresses = %ready.listening(), %project, "serving");
    let sweeper = Sweeper::start(&host, keys);

    stop.wait().await;
    tracing::info!("ending: requests in flight are answered, changes announced");
    let begun = tokio::time::Instant::now();
    open.close(settings.grace).await;
    sweeper.stop(settings.grace.saturating_sub(begun.elapsed())).await;
    tracing::info!("ended");
    Ok(())
}

/// Without TLS and on loopback, what clients see is where it listens.
fn of_first(addresses: &[SocketAddr]) -> PublicUrl {
    let first = addresses.first().copied();
    PublicUrl::of(first.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))))
}
