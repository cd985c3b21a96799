//! The cloud on one machine: real servers on loopback ports, for tests and for laptops.
//!
//! Whatever Flagstone uses in a cloud has a stand-in here that runs as a process of this machine: started on a port of
//! its own, awaited, and ended with the value that stands for it. Nobody else's process is ever touched, and nothing
//! listens to anything but `127.0.0.1`. What a server is made of comes from the package registries, once, into the
//! project's `.cache` ([`cache`]).
//!
//! ```no_run
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::process::Command;
//!
//! use flagstone_cloud::process::{Server, free_port};
//!
//! let port = free_port()?;
//! let mut command = Command::new("python3");
//! command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
//! let server = Server::start("files", command, port).await?;
//! println!("{} answers", server.url());
//! # Ok::<(), flagstone_cloud::CloudError>(())
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What it does not do
//!
//! It knows no AWS crate: it speaks HTTP, and what is sent is made by whoever is tested. It is no part of what is
//! shipped.

pub mod bridge;
pub mod cache;
pub mod edge;
pub mod http;
pub mod lambda;
pub mod nginx;
pub mod process;
pub mod requests;
pub mod varnish;

mod error;

pub use error::CloudError;
