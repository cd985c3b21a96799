//! Servers that tests share while one of them runs, and a table and buckets of a test's own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use flagstone_aws::dynamo::DynamoStore;
use flagstone_aws::s3::{PrivateBucket, PublicBucket};
use flagstone_aws::services::{Credentials, Endpoints, Services};
use flagstone_cloud::cache::Cache;
use flagstone_cloud::minio::{self, Minio};
use flagstone_cloud::process::Server;
use flagstone_cloud::{dynamodb_local, dynoxide};
use tokio::sync::Mutex;

use crate::places::{make_bucket, make_table};

/// The region that everything says it is in.
pub(crate) const REGION: &str = "eu-central-1";

/// Whose tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tables {
    /// Amazon's own emulator.
    Amazon,
    /// Somebody else's.
    Dynoxide,
}

/// The running servers. They end with the last test that holds them.
pub(crate) struct Servers {
    pub(crate) tables: Server,
    pub(crate) minio: Minio,
}

type Shared = Mutex<Weak<Servers>>;

/// Starts the servers, or joins the tests that have them.
pub(crate) async fn servers(tables: Tables) -> Arc<Servers> {
    static AMAZON: Shared = Mutex::const_new(Weak::new());
    static DYNOXIDE: Shared = Mutex::const_new(Weak::new());
    let (shared, cache) = (if tables == Tables::Amazon { &AMAZON } else { &DYNOXIDE }, Cache::of_project());
    let mut shared = shared.lock().await;
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let tables = match tables {
        Tables::Amazon => dynamodb_local::start(&cache).await.unwrap(),
        Tables::Dynoxide => dynoxide::start(&cache).await.unwrap(),
    };
    let servers = Arc::new(Servers { tables, minio: Minio::start(&cache).await.unwrap() });
    *shared = Arc::downgrade(&servers);
    servers
}

/// The services at these addresses, with the credentials that MinIO knows.
pub(crate) fn services(dynamodb: Option<String>, s3: Option<String>, secrets: Option<String>) -> Services {
    let (id, secret) = minio::CREDENTIALS;
    let credentials = Credentials::new(id, secret.to_owned(), None);
    Services::new(REGION, credentials, Endpoints { dynamodb, s3, secrets })
}

/// A table and two buckets of one test.
pub(crate) struct World {
    pub(crate) servers: Arc<Servers>,
    pub(crate) services: Services,
    /// The name of the table and of both buckets; the public one ends in `-public`.
    pub(crate) name: String,
}

impl World {
    pub(crate) async fn on(tables: Tables) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let servers = servers(tables).await;
        let services = services(Some(servers.tables.url()), Some(servers.minio.url()), None);
        let name = format!("flagstone-{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        let world = Self { servers, services, name };
        make_table(&world.services, &world.name).await.unwrap();
        make_bucket(&world.services, &world.name, false).await.unwrap();
        make_bucket(&world.services, &world.public_name(), true).await.unwrap();
        world
    }

    pub(crate) fn tables_port(&self) -> u16 {
        self.servers.tables.port()
    }

    pub(crate) fn minio_port(&self) -> u16 {
        self.servers.minio.port()
    }

    pub(crate) fn minio_url(&self) -> String {
        self.servers.minio.url()
    }

    pub(crate) fn public_name(&self) -> String {
        format!("{}-public", self.name)
    }

    pub(crate) fn private(&self) -> PrivateBucket {
        PrivateBucket::new(self.services.s3(), &self.name)
    }

    pub(crate) fn public(&self) -> PublicBucket {
        PublicBucket::new(self.services.s3(), &self.public_name())
    }

    pub(crate) fn records(&self) -> DynamoStore {
        DynamoStore::new(self.services.dynamodb(), &self.name, self.private())
    }
}
