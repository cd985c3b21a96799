//! The page that is made of counts and prices, for people.

use std::fmt::Write as _;

use super::{Bill, Counts, Prices, Work, bill, hour};

/// How many clients the bill is made for.
const CLIENTS: [f64; 3] = [10.0, 1_000.0, 100_000.0];
/// How often they poll, in seconds.
const POLLS_S: [f64; 3] = [10.0, 60.0, 150.0];
/// The page for people.
#[expect(clippy::cast_precision_loss, reason = "counts of bytes are small")]
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
        ("the poll that meets a heartbeat", counts.client_heartbeat),
        ("of the edge at the bucket, for a copy that has aged", counts.origin),
    ] {
        line(format!("| {name} | {} | {} |", traffic.requests, grouped(traffic.bytes as f64)));
    }
    line("\n| An hour of one client, a change an hour | Requests | Bytes |\n|---|---:|---:|".to_owned());
    for poll_s in POLLS_S {
        for (what, changes) in [("idle", 0.0), ("with the change", 1.0)] {
            let of = |of| hour(counts, prices, poll_s, changes, of);
            let (requests, bytes) = (of(|traffic| traffic.requests), of(|traffic| traffic.bytes));
            line(format!("| polls every {poll_s:.0} s, {what} | {requests:.0} | {} |", grouped(bytes)));
        }
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
    line("| Clients | Poll | Edge, requests | Edge, checks | Edge, bytes | Bucket | Control plane | Together |".to_owned());
    line("|---:|---:|---:|---:|---:|---:|---:|---:|".to_owned());
    for clients in CLIENTS {
        for poll_s in POLLS_S {
            let bill = bill(counts, prices, clients, poll_s);
            let Bill { edge_requests, edge_checks, edge_bytes, bucket, control } = bill;
            line(format!(
                "| {clients:.0} | {poll_s:.0} s | {edge_requests:.2} | {edge_checks:.2} | {edge_bytes:.2} | \
                 {bucket:.2} | {control:.2} | **{:.2}** |",
                bill.sum()
            ));
        }
    }
    let _ = write!(page, "{FOOT}");
    page
}

/// A whole number, in groups of three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
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
wire, headers included, of an environment with fifty flags and more. An hour, idle or not, has heartbeats: with each, the
manifest is signed anew, and the next poll of every client takes it whole.

";

const FOOT: &str = "\nThe edge's requests are the bill, and the interval of polls is its price: servers that share one SDK, and clients that poll
seldom, cost next to nothing. `publish.poll-ms` (`FLAGSTONE_POLL_MS` of the publish function) sets it for every SDK that was
not told otherwise, without a deployment. Checks are CloudFront's function and its key-value store, which another edge does not
have; the control plane has the requests for the secret. What is not counted: logs, what is stored, requests that are refused,
and what leaves the account's own network.
";
