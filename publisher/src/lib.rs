//! The Flagstone control plane without a cloud: change log, lowering, build, publish.
//!
//! What people write becomes an entry in a log; the log, folded, becomes the lines of each environment; the lines are
//! proved, stored, signed, and announced. Everything outside is a port, and every port has an embedded adapter:
//!
//! ```
//! use std::sync::Arc;
//!
//! use flagstone_model::json::Json;
//! use flagstone_model::key::{EnvironmentId, ProjectId};
//! use flagstone_publisher::clock::{Clock, SystemClock};
//! use flagstone_publisher::control::{ControlPlane, Operation, Ports, Precondition, PublicationState, Write};
//! use flagstone_publisher::keys::Keys;
//! use flagstone_publisher::log::{Actor, ActorKind};
//! use flagstone_publisher::publish::Options;
//! use flagstone_publisher::sqlite::SqliteStore;
//! use flagstone_publisher::store::DirectoryStore;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let place = tempfile::tempdir()?;
//! # let place = place.path();
//! let (project, production) = (ProjectId::parse("shop")?, EnvironmentId::parse("production")?);
//! let records = Arc::new(SqliteStore::open(place.join("data.sqlite")).await?);
//! let store = Arc::new(DirectoryStore::open(place.join("bucket")).await?);
//! let keys = Arc::new(Keys::open(place.join("keys"), &project, SystemClock.now_ms()).await?);
//! keys.publish_root(&*store).await?;
//!
//! let root = keys.root().clone();
//! let ports = Ports {
//!     log: records.clone(),
//!     checkpoints: records.clone(),
//!     objects: records.clone(),
//!     publications: records,
//!     store,
//!     signer: keys,
//!     clock: Arc::new(SystemClock),
//! };
//! let control = ControlPlane::new(project, root, ports, Options::default());
//! let write = || Write {
//!     actor: Actor { kind: ActorKind::User, id: "u_7k2mq4".into(), via: "docs".into() },
//!     actor_name: None,
//!     request_id: None,
//!     request_bytes: Vec::new(),
//!     reason: None,
//!     precondition: Precondition::Any,
//!     confirm: false,
//!     wait: true,
//!     until: None,
//! };
//! let body = |text: &str| Json::parse(text.as_bytes()).map(Json::into_owned);
//! control.write(Operation::CreateProject(body(r#"{"id":"shop"}"#)?), write()).await?;
//! control.write(Operation::CreateEnvironment(body(r#"{"id":"production"}"#)?), write()).await?;
//! control.write(Operation::CreateFlag(body(r#"{"key":"new-cart","type":"bool"}"#)?), write()).await?;
//!
//! let flag = "new-cart".parse()?;
//! let written = control.write(Operation::Switch(production.clone(), flag, true), write()).await?;
//! let published = written.publication[&production].values().next().expect("the server view");
//! assert_eq!((written.seq, published.state), (4, PublicationState::Announced));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # .unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Reading order
//!
//! 1. [`log`]: entries, their chain, the port [`log::ChangeLog`], and the proof of a whole log.
//! 2. [`author`] and [`lower`]: what people write, and what it becomes on a line.
//! 3. [`list`], [`state`], [`checkpoint`], and [`build`](mod@build): the fold of a log, and the lines of an
//!    environment; [`view`]: what of them clients get.
//! 4. [`publish`]: from lines to a signed manifest, over [`publication`], [`store`], and [`keys`].
//! 5. [`control`]: all of it as operations, for an API to call. [`preview`]: whom a change would concern. [`observe`]:
//!    what it tells of its work. [`audit`]: the proof that log and announcements agree.
//!
//! [`sqlite`] and [`store::DirectoryStore`] are the embedded adapters; the memory ones are for tests. A new adapter
//! runs the suites [`log::conformance`], [`checkpoint::conformance`], [`private_object::conformance`],
//! [`publication::conformance`], and [`store::conformance`]; [`trial`] tells at run time whether a store keeps to its
//! conditions.
//!
//! # Invariants
//!
//! * An append is the commit. What was acknowledged is in the log, and the log only grows.
//! * Same log, same lines: nothing is recomputed that an entry could hold.
//! * Nothing is announced that this release's SDK did not load and understand in full.
//! * Only a claim hands out versions and serials; a crash after it is made good by whoever comes next.
//! * Damage is told by what is wrong and where, and never written over.
//!
//! # What it does not do
//!
//! It speaks no HTTP and knows no cloud (`lambda/`), reads no environment variables, and takes the time from a port.

pub mod access;
pub mod audit;
pub mod author;
pub mod build;
pub mod causes;
pub mod check;
pub mod checkpoint;
pub mod clock;
pub mod control;
pub mod keys;
pub mod list;
pub mod log;
pub mod lower;
pub mod observe;
pub mod preview;
mod private;
pub mod private_object;
pub mod publication;
pub mod publish;
pub mod sqlite;
pub mod state;
pub mod storage;
pub mod store;
pub mod trial;
pub mod view;
