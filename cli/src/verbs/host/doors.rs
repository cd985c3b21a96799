//! Sockets, connections, and how they end.
//!
//! Own accept loops, for a server that stays up: a connection has to finish its TLS handshake and its request head in
//! time, there are only so many at once, and a listener that is out of descriptors waits and goes on.

use core::time::Duration;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::failure::Failure;

/// How long a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a client may take to send the head of a request, and may keep an idle connection.
const HEAD: Duration = Duration::from_secs(75);
/// How long a listener that cannot accept waits.
const PAUSE: Duration = Duration::from_millis(200);
/// Largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Sockets that are bound, and nobody is let in yet.
pub(in crate::verbs) struct Doors {
    listeners: Vec<(TcpListener, SocketAddr)>,
}

impl Doors {
    /// Binds each address.
    pub(in crate::verbs) async fn bind(addresses: &[SocketAddr]) -> Result<Self, Failure> {
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            let refused = |error: std::io::Error| cannot_listen(*address, &error);
            let listener = TcpListener::bind(*address).await.map_err(refused)?;
            let bound = listener.local_addr().map_err(refused)?;
            listeners.push((listener, bound));
        }
        Ok(Self { listeners })
    }

    /// Where it listens; port 0 has become the port that was free.
    pub(in crate::verbs) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, address)| *address).collect()
    }

    /// Lets clients in, at most `most` connections at once.
    pub(in crate::verbs) fn open(self, app: &Router, tls: Option<&TlsAcceptor>, most: usize) -> Open {
        let connections = Arc::new(GracefulShutdown::new());
        let places = Arc::new(Semaphore::new(most));
        let mut loops = JoinSet::new();
        for (listener, _) in self.listeners {
            let door = Door {
                app: app.clone(),
                tls: tls.cloned(),
                places: Arc::clone(&places),
                connections: Arc::clone(&connections),
            };
            loops.spawn(door.accept(listener));
        }
        Open { loops, connections }
    }
}

/// Doors that clients come through.
pub(in crate::verbs) struct Open {
    loops: JoinSet<()>,
    connections: Arc<GracefulShutdown>,
}

impl Open {
    /// Lets nobody in any more, and waits until requests in flight are answered, at most so long.
    pub(in crate::verbs) async fn close(mut self, limit: Duration) {
        self.loops.shutdown().await;
        // The loops held the other clones.
        let Some(connections) = Arc::into_inner(self.connections) else { return };
        if tokio::time::timeout(limit, connections.shutdown()).await.is_err() {
            tracing::warn!("requests in flight were cut off");
        }
    }
}

/// One accept loop.
struct Door {
    app: Router,
    tls: Option<TlsAcceptor>,
    places: Arc<Semaphore>,
    connections: Arc<GracefulShutdown>,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                // The client has gone again.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted
                            | ErrorKind::ConnectionRefused
                            | ErrorKind::ConnectionReset
                    ) =>
                {
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted now");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // Small answers, at once; a connection that refuses works all the same.
            let _ = stream.set_nodelay(true);
            let (app, tls, watcher) = (self.app.clone(), self.tls.clone(), self.connections.watcher());
            tokio::spawn(async move {
                through(stream, tls, app, watcher).await;
                drop(place);
            });
        }
    }
}

async fn through(stream: TcpStream, tls: Option<TlsAcceptor>, app: Router, watcher: Watcher) {
    let Some(tls) = tls else { return talk(stream, app, watcher).await };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => talk(stream, app, watcher).await,
        // Scanners, and clients that trust another authority: theirs to tell.
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake came to nothing"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router, watcher: Watcher) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HEAD_BYTES);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke off");
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AddrInUse => {
            let mut other = address;
            other.set_port(0);
            Failure::refused("address-in-use", format!("another program listens on {address}"))
                .hint(format!("--listen {other} takes a free port"))
        }
        ErrorKind::PermissionDenied => Failure::refused(
            "address-forbidden",
            format!("the system does not let this user listen on {address}"),
        )
        .hint("take a port above 1023"),
        ErrorKind::AddrNotAvailable => {
            Failure::refused("address-unavailable", format!("{address} is no address of this machine"))
        }
        _ => Failure::refused("address-unavailable", format!("cannot listen on {address}: {error}")),
    }
}
