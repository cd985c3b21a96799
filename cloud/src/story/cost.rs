//! What a quiet cloud costs: counted, not calculated.

use std::time::Duration;

use crate::CloudError;
use crate::cost::{Counts, Traffic, Work};
use crate::deployment::HEARTBEAT_MS;
use crate::story::watch::{POLL_MS, Watch, unfinished};
use crate::story::{CHECKOUT, PERSON, Story, serves};

/// How many polls an SDK is given to settle, and over how many it is counted.
const SETTLING: u64 = 5;
const COUNTED: u64 = 20;
/// Longer than the edge hands out a copy of a manifest: nginx counts whole seconds, so that one may last almost two.
const COPY: Duration = Duration::from_millis(2_100);
/// How many polls are waited for at most, in polls.
const PATIENCE: u32 = 10;

/// What clients have taken so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    polls: u64,
    /// Those of clients at the edge, and those of the edge at the bucket.
    requests: u64,
    bytes: u64,
    origin_requests: u64,
    origin_bytes: u64,
}

/// Counts a start, polls, one that brings a change, one that meets a heartbeat, and what runs every minute.
pub(super) async fn count(story: &Story<'_>) -> Result<Counts, CloudError> {
    story.say("what it costs: an SDK starts, polls, and takes a change");
    story.cloud.sweep().await?;
    // Or the start would get the manifest before, and the first poll one more.
    tokio::time::sleep(COPY).await;
    let begun = taken(story)?;
    let mut sdk = Watch::start(&story.cloud, &story.sdk_key, &[CHECKOUT], PERSON)?;
    sdk.until("an SDK that is ready", |event| event.get("values").is_some()).await?;
    let settled = after(story, begun.polls.saturating_add(SETTLING).saturating_add(1)).await?;
    let polled = after(story, settled.polls.saturating_add(COUNTED)).await?;
    let per_poll = |from: fn(&Taken) -> u64| {
        let polls = polled.polls.saturating_sub(settled.polls).max(1);
        from(&polled).saturating_sub(from(&settled)).div_ceil(polls)
    };
    let poll = Traffic { requests: per_poll(|taken| taken.requests), bytes: per_poll(|taken| taken.bytes) };
    // Of those polls that the edge had no fresh copy for: each is one request.
    let asked = polled.origin_requests.saturating_sub(settled.origin_requests).max(1);
    let bytes = polled.origin_bytes.saturating_sub(settled.origin_bytes).div_ceil(asked);
    let origin = Traffic { requests: 1, bytes };
    let start = beyond(&begun, &settled, poll, SETTLING);

    let before = work(story);
    story.done(&["on", CHECKOUT]).await?;
    let change = work(story).since(&before);
    sdk.until("the change that is counted", |event| serves(event, CHECKOUT, true, 0)).await?;
    let swapped = after(story, polled.polls.saturating_add(PATIENCE.into())).await?;
    let polls = swapped.polls.saturating_sub(polled.polls).saturating_sub(1);
    let client_change = beyond(&polled, &swapped, poll, polls);

    // The first one may have something to do.
    story.cloud.sweep_streams().await?;
    let sweeping = work(story);
    story.cloud.sweep_streams().await?;
    let swept = work(story);
    story.cloud.sweep_log().await?;
    let logged = work(story);
    tokio::time::sleep(Duration::from_millis(HEARTBEAT_MS)).await;
    let quiet = work(story);
    // Right after a poll, so that none is under way.
    let unmet = after(story, taken(story)?.polls.saturating_add(1)).await?;
    story.cloud.sweep_streams().await?;
    let heartbeat = work(story).since(&quiet);
    let beat = taken(story)?.polls;
    let met = after(story, beat.saturating_add(PATIENCE.into())).await?;
    let polls = met.polls.saturating_sub(unmet.polls).saturating_sub(1);
    let client_heartbeat = beyond(&unmet, &met, poll, polls);
    drop(sdk);
    Ok(Counts {
        start,
        poll,
        client_change,
        client_heartbeat,
        origin,
        change,
        sweep_streams: swept.since(&sweeping),
        sweep_log: logged.since(&swept),
        heartbeat,
    })
}

/// What was taken between two moments, besides so many polls.
fn beyond(from: &Taken, to: &Taken, poll: Traffic, polls: u64) -> Traffic {
    let of_polls = |each: u64| each.saturating_mul(polls);
    Traffic {
        requests: to.requests.saturating_sub(from.requests).saturating_sub(of_polls(poll.requests)),
        bytes: to.bytes.saturating_sub(from.bytes).saturating_sub(of_polls(poll.bytes)),
    }
}

fn taken(story: &Story<'_>) -> Result<Taken, CloudError> {
    let (door, origin) = (story.cloud.door.sent(), story.cloud.origin.sent());
    let logged = story.cloud.edge.logged()?;
    let requests = || logged.lines().filter(|line| line.contains("/v1/"));
    let count = |lines: usize| lines as u64;
    Ok(Taken {
        polls: count(requests().filter(|line| line.contains("/manifest\" ")).count()),
        requests: count(requests().count()),
        bytes: door,
        // The last field: how the bucket answered, if it was asked.
        origin_requests: count(requests().filter(|line| !line.ends_with(" -")).count()),
        origin_bytes: origin,
    })
}

/// What was taken when the manifest has been asked for so often.
pub(super) async fn after(story: &Story<'_>, polls: u64) -> Result<Taken, CloudError> {
    let mut left = u64::from(PATIENCE).saturating_mul(SETTLING.saturating_add(COUNTED)).saturating_mul(10);
    loop {
        let taken = taken(story)?;
        if taken.polls >= polls {
            return Ok(taken);
        }
        left = left.checked_sub(1).ok_or_else(|| unfinished("polls", "the SDK has stopped to poll"))?;
        tokio::time::sleep(Duration::from_millis(POLL_MS / 10)).await;
    }
}

fn work(story: &Story<'_>) -> Work {
    let cloud = &story.cloud;
    let (mut table_reads, mut table_writes) = (0_u64, 0_u64);
    for asked in cloud.table.asked() {
        let operation =
            asked.target.as_deref().and_then(|target| target.rsplit('.').next()).unwrap_or_default();
        let is_read = matches!(operation, "GetItem" | "BatchGetItem" | "Query" | "Scan");
        let count = if is_read { &mut table_reads } else { &mut table_writes };
        *count = count.saturating_add(1);
    }
    let asked = cloud.buckets.asked();
    let bucket_writes = asked.iter().filter(|asked| asked.method == "PUT" || asked.method == "POST").count();
    Work {
        gateway: cloud.gateway.requests(),
        admin: cloud.admin.invocations(),
        publish: cloud.publish.invocations(),
        table_reads,
        table_writes,
        bucket_reads: (asked.len() - bucket_writes) as u64,
        bucket_writes: bucket_writes as u64,
    }
}
