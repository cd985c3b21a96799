//! What Flagstone costs on AWS: counts of the story, times prices.
//!
//! `docs/cost.json` has the counts as the story made them, `docs/prices.json` the prices and whatever else is put in.
//! `docs/COST.md` is made of both.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::CloudError;

/// The page that is made.
const PAGE: &str = "COST.md";
/// Hours of a month.
const HOURS: f64 = 730.0;
/// How long the edge may hand out a manifest without asking the bucket, in seconds: its `s-maxage`.
const S_MAXAGE_S: f64 = 1.0;
/// How many clients the bill is made for.
const CLIENTS: [f64; 3] = [10.0, 1_000.0, 100_000.0];
/// How often they poll, in seconds.
const POLLS_S: [f64; 3] = [10.0, 60.0, 150.0];
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
    /// The edge: a million requests, and a GB sent.
    pub edge_million_requests: f64,
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
    /// Sweeps an hour that announce both streams of an environment anew, those of all environments.
    pub heartbeats_an_hour: f64,
}

/// A month's bill, by part.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bill {
    /// Requests at the edge.
    pub edge_requests: f64,
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
        self.edge_requests + self.edge_bytes + self.bucket + self.control
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

/// The bill for so many clients that poll every so many seconds.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
pub fn bill(counts: &Counts, prices: &Prices, clients: f64, every_s: f64) -> Bill {
    let per_million = |price: f64| price / 1e6;
    let polls = 3_600.0 / every_s;
    let starts = prices.starts_a_day / 24.0;
    // Of one client in an hour.
    let all = |of: fn(&Traffic) -> u64| {
        polls * of(&counts.poll) as f64
            + starts * of(&counts.start) as f64
            + prices.changes_an_hour * (of(&counts.client_change) as f64 - of(&counts.poll) as f64).max(0.0)
    };
    let requests = clients * all(|traffic| traffic.requests) * HOURS;
    let bytes = clients * all(|traffic| traffic.bytes) * HOURS;
    // A copy is asked for anew by the first poll after it has aged, at each place.
    let revalidations = (clients * polls).min(prices.edge_places * 3_600.0 / S_MAXAGE_S);
    let origin = revalidations * counts.origin.requests as f64 * HOURS;

    let of_work = |of: fn(&Work) -> u64| {
        let each_minute = of(&counts.sweep_streams) as f64 + of(&counts.sweep_log) as f64;
        let beat = (of(&counts.heartbeat) as f64 - of(&counts.sweep_streams) as f64).max(0.0);
        (60.0 * each_minute
            + prices.heartbeats_an_hour * beat
            + prices.changes_an_hour * of(&counts.change) as f64)
            * HOURS
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
    Bill {
        edge_requests: requests * per_million(prices.edge_million_requests),
        edge_bytes: bytes / 1e9 * prices.edge_gb,
        bucket: (origin + of_work(|work| work.bucket_reads)) * per_million(prices.bucket_million_reads)
            + of_work(|work| work.bucket_writes) * per_million(prices.bucket_million_writes),
        control: table + functions + gateway + prices.month,
    }
}

/// The page for people.
pub fn page(counts: &Counts, prices: &Prices) -> String {
    let mut page = String::from(HEAD);
    let mut line = |text: String| {
        page.push_str(&text);
        page.push('\n');
    };
    line("| One client | Requests | Bytes |\n|---|---:|---:|".to_owned());
    for (name, traffic) in [
        ("first start", counts.start),
        ("a poll that finds nothing new", counts.poll),
        ("the poll that brings a change", counts.client_change),
        ("of the edge at the bucket, for a copy that has aged", counts.origin),
    ] {
        line(format!("| {name} | {} | {} |", traffic.requests, grouped(traffic.bytes)));
    }
    line("\n| An hour of one client, a change an hour | Requests | Bytes |\n|---|---:|---:|".to_owned());
    for poll_s in [10_u64, 60, 150] {
        let polls = 3_600 / poll_s;
        let idle = Traffic { requests: polls * counts.poll.requests, bytes: polls * counts.poll.bytes };
        let more = counts.client_change.bytes.saturating_sub(counts.poll.bytes);
        let requests = idle.requests + counts.client_change.requests.saturating_sub(counts.poll.requests);
        line(format!("| polls every {poll_s} s, idle | {} | {} |", idle.requests, grouped(idle.bytes)));
        line(format!(
            "| polls every {poll_s} s, with the change | {requests} | {} |",
            grouped(idle.bytes + more)
        ));
    }
    line(
        "\n| Work | Gateway | Admin | Publish | Table reads | Table writes | Bucket reads | Bucket writes |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|"
            .to_owned(),
    );
    for (name, work) in [
        ("a change, until it is announced", counts.change),
        ("a sweep of the streams, every minute", counts.sweep_streams),
        ("a sweep of the log, every minute", counts.sweep_log),
        ("a sweep that announces both streams of the environment anew", counts.heartbeat),
    ] {
        let Work { gateway, admin, publish, table_reads, table_writes, bucket_reads, bucket_writes } = work;
        line(format!(
            "| {name} | {gateway} | {admin} | {publish} | {table_reads} | {table_writes} | {bucket_reads} | \
             {bucket_writes} |"
        ));
    }
    line(format!("\n## A month, in {}\n\n{}\n", prices.currency, prices.source));
    line("| Clients | Poll | Edge, requests | Edge, bytes | Bucket | Control plane | Together |".to_owned());
    line("|---:|---:|---:|---:|---:|---:|---:|".to_owned());
    for clients in CLIENTS {
        for poll_s in POLLS_S {
            let bill = bill(counts, prices, clients, poll_s);
            let Bill { edge_requests, edge_bytes, bucket, control } = bill;
            line(format!(
                "| {clients:.0} | {poll_s:.0} s | {edge_requests:.2} | {edge_bytes:.2} | {bucket:.2} | {control:.2} | \
                 **{:.2}** |",
                bill.sum()
            ));
        }
    }
    let _ = write!(page, "{FOOT}");
    page
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const HEAD: &str = "\
# What it costs

Made of [cost.json](cost.json), which `cargo xtask cloud --story` counts, and [prices.json](prices.json), which is yours to
change: `FLAGSTONE_WRITE_DOCS=1 cargo test -p flagstone-cloud --test it cost` writes this page anew. Bytes are those on the
wire, headers included, of an environment with fifty flags and more.

";

const FOOT: &str = "\nThe edge's requests are the bill, and the interval of polls is its price: servers that share one SDK, and clients that poll
seldom, cost next to nothing. `publish.poll-ms` (`FLAGSTONE_POLL_MS` of the publish function) sets it for every SDK that was
not told otherwise, without a deployment. What is not counted: logs, and what leaves the account's own network.
";
