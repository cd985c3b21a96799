//! What Flagstone costs on AWS: counts of the story, times prices.
//!
//! `docs/cost.json` has the counts as the story made them, `docs/prices.json` the prices and whatever else is put in.
//! `docs/COST.md` is made of both.

mod page;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::CloudError;
pub use page::page;

/// The page that is made.
const PAGE: &str = "COST.md";
/// Hours of a month.
const HOURS: f64 = 730.0;
/// How long the edge may hand out a manifest without asking the bucket, in seconds: its `s-maxage`.
const S_MAXAGE_S: f64 = 1.0;
/// By how much bytes may differ between two tellings, in parts of a hundred: times and signatures differ in length.
const TOLERANCE_PERCENT: u64 = 5;
/// By how many requests work may differ: on a slow machine something is asked again.
const TOLERANCE_REQUESTS: u64 = 3;

/// What a client asks for, and gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests.
    pub requests: u64,
    /// Bytes of the answers, with their headers.
    pub bytes: u64,
}

/// What something asks of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Requests at the gateway.
    pub gateway: u64,
    /// Invocations of the admin function.
    pub admin: u64,
    /// Invocations of the publish function.
    pub publish: u64,
    /// Requests that read the table.
    pub table_reads: u64,
    /// Requests that write it.
    pub table_writes: u64,
    /// Requests that read a bucket.
    pub bucket_reads: u64,
    /// Requests that write one.
    pub bucket_writes: u64,
}

impl Work {
    const fn counts(&self) -> [u64; 7] {
        let Self { gateway, admin, publish, table_reads, table_writes, bucket_reads, bucket_writes } = *self;
        [gateway, admin, publish, table_reads, table_writes, bucket_reads, bucket_writes]
    }

    /// What was asked since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            gateway: self.gateway.saturating_sub(before.gateway),
            admin: self.admin.saturating_sub(before.admin),
            publish: self.publish.saturating_sub(before.publish),
            table_reads: self.table_reads.saturating_sub(before.table_reads),
            table_writes: self.table_writes.saturating_sub(before.table_writes),
            bucket_reads: self.bucket_reads.saturating_sub(before.bucket_reads),
            bucket_writes: self.bucket_writes.saturating_sub(before.bucket_writes),
        }
    }
}

/// What the story counted. Traffic is that of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// A first start, until it has polled once.
    pub start: Traffic,
    /// A poll that finds nothing new.
    pub poll: Traffic,
    /// The poll that brings a change.
    pub client_change: Traffic,
    /// The poll that meets a heartbeat: the manifest is signed anew, and sent whole.
    pub client_heartbeat: Traffic,
    /// What the edge asks of the bucket for a poll, if its copy is no longer fresh.
    pub origin: Traffic,
    /// A change by the command-line interface, until it is announced.
    pub change: Work,
    /// A sweep of the publish function that finds nothing to do: every minute.
    pub sweep_streams: Work,
    /// A sweep of the admin function that finds nothing to do: every minute.
    pub sweep_log: Work,
    /// A sweep that announces both streams of an environment anew.
    pub heartbeat: Work,
}

impl Counts {
    /// What differs between these counts and `other` by more than their noise; nothing, if they agree.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let near =
            |one: u64, two: u64| one.abs_diff(two).saturating_mul(100) <= one.max(two) * TOLERANCE_PERCENT;
        let traffic = [
            ("start", self.start, other.start),
            ("poll", self.poll, other.poll),
            ("client_change", self.client_change, other.client_change),
            ("client_heartbeat", self.client_heartbeat, other.client_heartbeat),
            ("origin", self.origin, other.origin),
        ];
        let work = [
            ("change", self.change, other.change),
            ("sweep_streams", self.sweep_streams, other.sweep_streams),
            ("sweep_log", self.sweep_log, other.sweep_log),
            ("heartbeat", self.heartbeat, other.heartbeat),
        ];
        let of_traffic = traffic
            .into_iter()
            .filter(|(_, one, two)| one.requests != two.requests || !near(one.bytes, two.bytes))
            .map(|(name, one, two)| format!("{name}: {one:?}, was {two:?}"));
        let of_work = work
            .into_iter()
            .filter(|(_, one, two)| {
                let counts = one.counts().into_iter().zip(two.counts());
                counts.into_iter().any(|(one, two)| one.abs_diff(two) > TOLERANCE_REQUESTS)
            })
            .map(|(name, one, two)| format!("{name}: {one:?}, was {two:?}"));
        let all: Vec<_> = of_traffic.chain(of_work).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Prices, and how much there is to do: what is put in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Where they are from.
    pub source: String,
    /// The currency.
    pub currency: String,
    /// The edge, a million requests.
    pub edge_million_requests: f64,
    /// The function at the edge, a million requests: it runs on each.
    pub edge_function_million: f64,
    /// Its key-value store, a million keys that are looked up: one for each request of what is closed.
    pub edge_key_million: f64,
    /// The edge, a GB sent.
    pub edge_gb: f64,
    /// The bucket, a million requests that read.
    pub bucket_million_reads: f64,
    /// The bucket, a million requests that write.
    pub bucket_million_writes: f64,
    /// The table, a million units of reading.
    pub table_million_reads: f64,
    /// The table, a million units of writing.
    pub table_million_writes: f64,
    /// The functions, a million invocations.
    pub function_million: f64,
    /// The functions, a GB for a second.
    pub function_gb_s: f64,
    /// The gateway, a million requests.
    pub gateway_million: f64,
    /// The secret, a million requests that read it.
    pub secret_million: f64,
    /// What a month costs whatever is done: the secret and its key.
    pub month: f64,
    /// Units of a read, and of a write, of the table: of 4 kB, and of 1 kB.
    pub units_of_a_read: f64,
    /// Units of a write.
    pub units_of_a_write: f64,
    /// How long the admin function takes, in seconds, and its memory in GB.
    pub admin_s: f64,
    /// Its memory in GB.
    pub admin_gb: f64,
    /// How long the publish function takes, in seconds.
    pub publish_s: f64,
    /// Its memory in GB.
    pub publish_gb: f64,
    /// Changes an hour.
    pub changes_an_hour: f64,
    /// First starts of a client in a day.
    pub starts_a_day: f64,
    /// At how many places the edge keeps its own copies.
    pub edge_places: f64,
    /// How often an hour a sweep announces the streams of an environment anew.
    pub heartbeats_an_hour: f64,
    /// Environments.
    pub environments: f64,
}

/// A month's bill, by part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bill {
    /// Requests at the edge.
    pub edge_requests: f64,
    /// What the edge does to check them.
    pub edge_checks: f64,
    /// What the edge sends.
    pub edge_bytes: f64,
    /// The bucket.
    pub bucket: f64,
    /// Table, functions, gateway, and secret: the control plane.
    pub control: f64,
}

impl Bill {
    /// All of it.
    pub fn sum(&self) -> f64 {
        self.edge_requests + self.edge_checks + self.edge_bytes + self.bucket + self.control
    }
}

fn docs(file: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).join("docs").join(file)
}

/// A file of `docs`, such as `cost.json`.
///
/// # Errors
///
/// If it is not there, or not of this shape.
pub fn read<T: DeserializeOwned>(file: &str) -> Result<T, CloudError> {
    let path = docs(file);
    let text = std::fs::read(&path).map_err(CloudError::io(format!("read {}", path.display())))?;
    serde_json::from_slice(&text)
        .map_err(|error| CloudError::io(format!("understand {}", path.display()))(error.into()))
}

/// The page as it is committed.
///
/// # Errors
///
/// If it cannot be read.
pub fn read_page() -> Result<String, CloudError> {
    let path = docs(PAGE);
    std::fs::read_to_string(&path).map_err(CloudError::io(format!("read {}", path.display())))
}

/// Writes the page anew.
///
/// # Errors
///
/// If it cannot be written.
pub fn write_page(page: &str) -> Result<(), CloudError> {
    let path = docs(PAGE);
    std::fs::write(&path, page).map_err(CloudError::io(format!("write {}", path.display())))
}

/// Writes the counts anew.
///
/// # Errors
///
/// If they cannot be written.
pub fn write_counts(counts: &Counts) -> Result<(), CloudError> {
    let path = docs("cost.json");
    let text = serde_json::to_string_pretty(counts)
        .map_err(|error| CloudError::io("write counts as JSON")(error.into()))?;
    std::fs::write(&path, text + "\n").map_err(CloudError::io(format!("write {}", path.display())))
}

/// What one client takes in an hour in which it does not start: its polls, and what some of them are more than a poll.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn hour(counts: &Counts, prices: &Prices, every_s: f64, changes: f64, of: fn(&Traffic) -> u64) -> f64 {
    let polls = 3_600.0 / every_s;
    let poll = of(&counts.poll) as f64;
    let beyond = |traffic: &Traffic| (of(traffic) as f64 - poll).max(0.0);
    // Who polls seldom does not meet each heartbeat.
    let heartbeats = polls.min(prices.heartbeats_an_hour);
    polls * poll + changes * beyond(&counts.client_change) + heartbeats * beyond(&counts.client_heartbeat)
}

/// The bill for so many clients that poll every so many seconds.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
pub fn bill(counts: &Counts, prices: &Prices, clients: f64, every_s: f64) -> Bill {
    let per_million = |price: f64| price / 1e6;
    let polls = 3_600.0 / every_s;
    let starts = prices.starts_a_day / 24.0;
    // Of one client in an hour.
    let all = |of: fn(&Traffic) -> u64| {
        hour(counts, prices, every_s, prices.changes_an_hour, of) + starts * of(&counts.start) as f64
    };
    let requests = clients * all(|traffic| traffic.requests) * HOURS;
    let bytes = clients * all(|traffic| traffic.bytes) * HOURS;
    // A copy is asked for anew by the first poll after it has aged, at each place.
    let revalidations = (clients * polls).min(prices.edge_places * 3_600.0 / S_MAXAGE_S);
    let origin = revalidations * counts.origin.requests as f64 * HOURS;

    let heartbeats = prices.heartbeats_an_hour * prices.environments;
    let of_work = |of: fn(&Work) -> u64| {
        let each_minute = of(&counts.sweep_streams) as f64 + of(&counts.sweep_log) as f64;
        let beat = (of(&counts.heartbeat) as f64 - of(&counts.sweep_streams) as f64).max(0.0);
        (60.0 * each_minute + heartbeats * beat + prices.changes_an_hour * of(&counts.change) as f64) * HOURS
    };
    let table =
        of_work(|work| work.table_reads) * prices.units_of_a_read * per_million(prices.table_million_reads)
            + of_work(|work| work.table_writes)
                * prices.units_of_a_write
                * per_million(prices.table_million_writes);
    let admin = of_work(|work| work.admin);
    let publish = of_work(|work| work.publish);
    let functions = (admin + publish) * per_million(prices.function_million)
        + (admin * prices.admin_s * prices.admin_gb + publish * prices.publish_s * prices.publish_gb)
            * prices.function_gb_s;
    let gateway = of_work(|work| work.gateway) * per_million(prices.gateway_million);
    // It is read again for what is signed, unless that was done a moment ago.
    let secret = (heartbeats + prices.changes_an_hour) * HOURS * per_million(prices.secret_million);
    Bill {
        edge_requests: requests * per_million(prices.edge_million_requests),
        edge_checks: requests * per_million(prices.edge_function_million + prices.edge_key_million),
        edge_bytes: bytes / 1e9 * prices.edge_gb,
        bucket: (origin + of_work(|work| work.bucket_reads)) * per_million(prices.bucket_million_reads)
            + of_work(|work| work.bucket_writes) * per_million(prices.bucket_million_writes),
        control: table + functions + gateway + secret + prices.month,
    }
}
