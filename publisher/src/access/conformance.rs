//! What every access log must do, as a suite its adapters run.
#![expect(clippy::unwrap_used, reason = "a suite for tests: a log that fails it is to be told loudly")]

use std::sync::Arc;

use flagstone_model::key::{EnvironmentId, ProjectId};

use super::{Access, AccessLog, AccessRow, Bounds, REPEATS_MS};

/// Opens one more handle on the log under test; all handles must see the same rows.
pub type Open<'a> = &'a (dyn Fn() -> Arc<dyn AccessLog> + Sync);

const NOW_MS: i64 = 1_795_262_400_000;

/// Runs the suite on a log without rows.
///
/// # Panics
///
/// At the first thing that is not as it must be.
pub async fn run(open: Open<'_>) {
    what_was_recorded_is_read_in_order_and_by_project(open).await;
    repeats_within_a_minute_are_one_row(open).await;
    what_made_an_entry_or_differs_is_a_row_of_its_own(open).await;
    the_oldest_rows_give_way(open).await;
    who_is_not_known_pushes_nobody_out(open).await;
    nothing_is_lost_between_handles(open).await;
}

fn project(name: &str) -> ProjectId {
    ProjectId::parse(name).unwrap()
}

/// A refusal of nobody who is known.
fn refusal(time_ms: i64) -> Access {
    Access {
        time_ms,
        principal: None,
        via: "api".into(),
        method: "GET".into(),
        route: "/v1/projects/{project}/flags".into(),
        environment: None,
        status: 401,
        code: Some("unauthenticated".into()),
        request_id: format!("r-{time_ms}"),
        seq: None,
        count: 1,
    }
}

fn write(time_ms: i64, seq: u64) -> Access {
    Access {
        principal: Some("t_1".into()),
        via: "cli".into(),
        method: "POST".into(),
        environment: Some(EnvironmentId::parse("production").unwrap()),
        status: 200,
        code: None,
        seq: Some(seq),
        ..refusal(time_ms)
    }
}

async fn record(log: &dyn AccessLog, project: &ProjectId, access: &Access) {
    log.record(project, access, Bounds::DEFAULT).await.unwrap();
}

async fn all(log: &dyn AccessLog, project: &ProjectId) -> Vec<AccessRow> {
    log.read(project, 0, usize::MAX).await.unwrap()
}

async fn what_was_recorded_is_read_in_order_and_by_project(open: Open<'_>) {
    let (log, one, other) = (open(), project("order-1"), project("order-2"));
    assert_eq!((all(&*log, &one).await.len(), log.newest(&one).await.unwrap()), (0, 0));
    let accesses = [write(NOW_MS, 5), refusal(NOW_MS), write(NOW_MS + 1, 6)];
    for access in &accesses {
        record(&*log, &one, access).await;
    }
    record(&*log, &other, &write(NOW_MS, 1)).await;
    let rows = all(&*open(), &one).await;
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(rows.iter().map(|row| row.access.clone()).collect::<Vec<_>>(), accesses);
    assert_eq!(log.read(&one, 1, 1).await.unwrap(), rows.get(1..2).unwrap());
    assert_eq!(log.read(&one, 3, 1).await.unwrap(), []);
    assert_eq!((log.newest(&one).await.unwrap(), log.newest(&other).await.unwrap()), (3, 1));
}

async fn repeats_within_a_minute_are_one_row(open: Open<'_>) {
    let (log, name) = (open(), project("repeats"));
    record(&*log, &name, &refusal(NOW_MS)).await;
    record(&*log, &name, &write(NOW_MS + 1, 1)).await;
    record(&*log, &name, &Access { count: 7, ..refusal(NOW_MS + 2) }).await;
    record(&*log, &name, &Access { via: "cli".into(), ..refusal(NOW_MS + REPEATS_MS - 1) }).await;
    record(&*log, &name, &refusal(NOW_MS + REPEATS_MS)).await;
    // A clock that was set back begins anew.
    record(&*log, &name, &refusal(NOW_MS - 1)).await;
    let rows = all(&*log, &name).await;
    let told = rows
        .iter()
        .map(|row| (row.number, row.first_ms - NOW_MS, row.access.time_ms - NOW_MS, row.access.count));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(1, 0, REPEATS_MS - 1, 9), (2, 1, 1, 1), (3, REPEATS_MS, REPEATS_MS, 1), (4, -1, -1, 1)]
    );
    let last = &rows.first().unwrap().access;
    assert_eq!((&*last.via, &*last.request_id), ("cli", &*format!("r-{}", NOW_MS + REPEATS_MS - 1)));
}

async fn what_made_an_entry_or_differs_is_a_row_of_its_own(open: Open<'_>) {
    let (log, name) = (open(), project("apart"));
    let known = |id: &str| Access { principal: Some(id.into()), ..refusal(NOW_MS) };
    let different = [
        write(NOW_MS, 1),
        write(NOW_MS, 2),
        refusal(NOW_MS),
        known("t_1"),
        known("t_2"),
        Access { method: "PUT".into(), ..refusal(NOW_MS) },
        Access { route: "/v1".into(), ..refusal(NOW_MS) },
        Access { status: 403, ..refusal(NOW_MS) },
        Access { code: None, ..refusal(NOW_MS) },
        Access { seq: None, ..write(NOW_MS, 1) },
    ];
    for access in &different {
        record(&*log, &name, access).await;
    }
    let rows = all(&*log, &name).await;
    assert_eq!(rows.into_iter().map(|row| row.access).collect::<Vec<_>>(), different);
}

async fn the_oldest_rows_give_way(open: Open<'_>) {
    let (log, name) = (open(), project("bound"));
    let bounds = Bounds { rows: 3, anonymous: 3 };
    for seq in 1..=3 {
        log.record(&name, &write(NOW_MS, seq), bounds).await.unwrap();
    }
    let seqs = async |log: &dyn AccessLog| {
        let rows = all(log, &name).await;
        rows.iter().map(|row| (row.number, row.access.seq)).collect::<Vec<_>>()
    };
    assert_eq!(seqs(&*log).await, [(1, Some(1)), (2, Some(2)), (3, Some(3))]);
    log.record(&name, &write(NOW_MS, 4), bounds).await.unwrap();
    assert_eq!(seqs(&*log).await, [(2, Some(2)), (3, Some(3)), (4, Some(4))]);
    // Narrower bounds hold from the next row on.
    log.record(&name, &write(NOW_MS, 5), Bounds { rows: 1, anonymous: 1 }).await.unwrap();
    assert_eq!(seqs(&*log).await, [(5, Some(5))]);
    assert_eq!(log.newest(&name).await.unwrap(), 5);
}

async fn who_is_not_known_pushes_nobody_out(open: Open<'_>) {
    let (log, name) = (open(), project("anonymous"));
    let bounds = Bounds { rows: 10, anonymous: 2 };
    log.record(&name, &write(NOW_MS, 1), bounds).await.unwrap();
    for minute in 0..5 {
        log.record(&name, &refusal(NOW_MS + minute * REPEATS_MS), bounds).await.unwrap();
    }
    log.record(&name, &write(NOW_MS, 2), bounds).await.unwrap();
    let rows = all(&*log, &name).await;
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 5, 6, 7]);
}

async fn nothing_is_lost_between_handles(open: Open<'_>) {
    let name = project("together");
    let racers: Vec<_> = (0..8_u64)
        .map(|racer| {
            let (log, name) = (open(), name.clone());
            tokio::spawn(async move {
                for turn in 0..5 {
                    record(&*log, &name, &write(NOW_MS, racer * 5 + turn)).await;
                    record(&*log, &name, &refusal(NOW_MS)).await;
                }
            })
        })
        .collect();
    for racer in racers {
        racer.await.unwrap();
    }
    let rows = all(&*open(), &name).await;
    let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=41).collect::<Vec<_>>());
    assert_eq!(
        rows.iter().filter(|row| row.access.seq.is_none()).map(|row| row.access.count).sum::<u64>(),
        40
    );
}
