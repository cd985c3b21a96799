//! The cloud on one machine: real servers on loopback ports, for tests and for laptops.
//!
//! Whatever Flagstone uses in a cloud has a stand-in here that runs as a process of this machine: started on a port of
//! its own, awaited, and ended with the value that stands for it. Nobody else's process is ever touched, and nothing
//! listens to anything but `127.0.0.1`. What a server is made of comes from the package registries, once, into the
//! project's `.cache` ([`cache`]).
//!
//! ```no_run
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use flagstone_cloud::cache::Cache;
//! use flagstone_cloud::minio::Minio;
//!
//! let minio = Minio::start(&Cache::of_project()).await?;
//! println!("{} speaks S3", minio.url());
//! # Ok::<(), flagstone_cloud::CloudError>(())
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Reading order
//!
//! 1. [`cache`] and [`process`]: how a server is had, started, and ended.
//! 2. [`dynamodb_local`], [`dynoxide`], [`minio`]: tables and buckets, as other people's programs.
//! 3. [`secrets`], [`careless`]: what is small enough to be written here. [`proxy`]: faults between a program and a server.
//! 4. [`deployment`]: all of it, wired as it is deployed; [`story`]: what happens there; [`cost`]: what that costs.
//!
//! # What it does not do
//!
//! It knows no AWS crate: it speaks HTTP, and what is sent is made by whoever is tested. It is no part of what is
//! shipped.

pub mod bridge;
pub mod cache;
pub mod careless;
pub mod cost;
pub mod deployment;
pub mod dynamodb_local;
pub mod dynoxide;
pub mod edge;
pub mod http;
pub mod lambda;
pub mod minio;
pub mod nginx;
pub mod process;
pub mod proxy;
pub mod requests;
pub mod secrets;
pub mod story;
pub mod varnish;
pub mod wire;

mod error;
mod serve;

pub use error::CloudError;
