//! What goes over a wire: a relay that counts connections and bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::CloudError;

/// How much is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// A relay before a server on this machine. It ends when the value does.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    down: Arc<AtomicU64>,
    relay: JoinHandle<()>,
}

impl Wire {
    /// A relay before the server at this port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If the system has no free port.
    pub async fn before(port: u16) -> Result<Self, CloudError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(CloudError::io("listen"))?;
        let address = listener.local_addr().map_err(CloudError::io("listen"))?;
        let down = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&down);
        let relay = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, port, Arc::clone(&counted)));
            }
        });
        Ok(Self { address, down, relay })
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many bytes the server has sent so far, headers included.
    pub fn sent(&self) -> u64 {
        self.down.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

async fn pass(client: TcpStream, port: u16, down: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(relay(from_client, to_server, None), relay(from_server, to_client, Some(down)));
}

/// Until one of both hangs up, which ends the other's half too.
async fn relay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, counted: Option<Arc<AtomicU64>>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Some(counted) = &counted {
            counted.fetch_add(read as u64, Ordering::SeqCst);
        }
        let Some(bytes) = buffer.get(..read) else { break };
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    // It is gone already, or it goes now.
    let _ = to.shutdown().await;
}
