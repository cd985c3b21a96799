//! What a scenario plays in: a publisher, a CDN of hosts in memory, clocks under control, and a client.

pub(crate) mod cdn;
pub(crate) mod publisher;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use flagstone::{Builder, Client, Clock, Connection, Context, Randomness};

use cdn::Cdn;
use publisher::{Announcement, Publisher};

/// 2026-11-21T09:25:23Z: when every scenario begins.
pub(crate) const START_MS: i64 = 1_795_253_123_000;
pub(crate) const SDK_KEY: &str = "sdk-key-of-the-test";
/// The only flag whose value scenarios look at: each legitimate update gives it the next value.
pub(crate) const FLAG: &str = "release";

/// Clocks that run with tokio's paused time; the wall can be set wrong.
#[derive(Debug)]
pub(crate) struct TestClock {
    start: tokio::time::Instant,
    wall_off_ms: AtomicI64,
}

impl TestClock {
    pub(crate) fn true_ms(&self) -> i64 {
        START_MS + i64::try_from(self.monotonic().as_millis()).unwrap()
    }

    pub(crate) fn set_wall_off_ms(&self, off: i64) {
        self.wall_off_ms.store(off, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        self.true_ms() + self.wall_off_ms.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// SplitMix64 from a fixed seed.
#[derive(Debug)]
pub(crate) struct Seeded(AtomicU64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Randomness for Seeded {
    fn next_u64(&self) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

pub(crate) struct World {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) publisher: Publisher,
    pub(crate) cdn: Arc<Cdn>,
    hosts: Vec<&'static str>,
    updates: u64,
}

impl World {
    /// One base URL, on which version 1 is announced.
    pub(crate) fn new() -> Self {
        Self::with_hosts(&["a.example"])
    }

    pub(crate) fn with_hosts(hosts: &[&'static str]) -> Self {
        Self::with_publisher(hosts, Publisher::new("shop", "production"))
    }

    pub(crate) fn with_publisher(hosts: &[&'static str], publisher: Publisher) -> Self {
        let clock = TestClock { start: tokio::time::Instant::now(), wall_off_ms: AtomicI64::new(0) };
        let mut world = Self {
            clock: Arc::new(clock),
            publisher,
            cdn: Arc::new(Cdn::new(hosts)),
            hosts: hosts.to_vec(),
            updates: 0,
        };
        let root = world.publisher.root_file();
        world.cdn.put_everywhere("/open/shop/v1/root/1", &root);
        let first = world.next();
        world.upload(&first);
        world
    }

    /// Signs the next legitimate update without uploading it.
    pub(crate) fn next(&mut self) -> Announcement {
        self.updates += 1;
        self.publisher.set_text(FLAG, &format!("r{}", self.updates));
        self.publisher.publish(self.clock.true_ms())
    }

    /// Uploads objects, then the manifest, to every host.
    pub(crate) fn upload(&self, announcement: &Announcement) {
        self.upload_objects(announcement);
        self.announce(&announcement.file);
    }

    pub(crate) fn upload_objects(&self, announcement: &Announcement) {
        for (path, bytes) in &announcement.objects {
            self.cdn.put_everywhere(path, bytes);
        }
    }

    /// Puts these bytes where the manifest is, on every host.
    pub(crate) fn announce(&self, manifest: &[u8]) {
        self.cdn.put_everywhere(&self.publisher.manifest_path(), manifest);
    }

    pub(crate) fn connection(&self) -> Connection {
        let also: String = self.hosts[1..].iter().map(|host| format!("&also={host}")).collect();
        let pin = self.publisher.pin();
        let first = self.hosts[0];
        format!("flagstone://{first}?project=shop&environment=production&view=server&root={pin}{also}")
            .parse()
            .unwrap()
    }

    pub(crate) fn builder(&self) -> Builder {
        Client::builder(self.connection())
            .sdk_key(SDK_KEY)
            .transport(self.cdn.clone())
            .clock(self.clock.clone())
            .randomness(Arc::new(Seeded::new(7)))
    }

    /// A client that has what is announced.
    pub(crate) async fn client(&self) -> Client {
        let client = self.builder().build().unwrap();
        client.wait_for_ready(Duration::from_mins(1)).await.unwrap();
        self.serves_newest(&client);
        client
    }

    /// A legitimate update: announced, polled, served.
    pub(crate) async fn legitimate_update(&mut self, client: &Client) {
        let update = self.next();
        self.upload(&update);
        client.refresh().await.unwrap();
        self.serves_newest(client);
        assert_eq!(client.status().code(), None);
    }

    /// The poll is refused under this code, and what was served is served on.
    pub(crate) async fn refuses(&self, client: &Client, code: &str) {
        let serving = value(client);
        let version = client.status().version;
        let refused = client.refresh().await;
        assert_eq!(refused.as_ref().err().map(flagstone::RefreshError::code), Some(code), "{refused:?}");
        assert_eq!(client.status().code(), Some(code));
        assert_eq!(value(client), serving);
        assert_eq!(client.status().version, version);
    }

    pub(crate) fn serves_newest(&self, client: &Client) {
        assert_eq!(value(client), format!("r{}", self.updates), "{:?}", client.status());
    }
}

/// What the client serves; `none` is the default value.
pub(crate) fn value(client: &Client) -> String {
    client.string(FLAG, "none", &Context::new()).to_string()
}
