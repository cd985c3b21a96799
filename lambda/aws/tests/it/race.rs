//! Fifty writers at the end of one log.

use std::sync::Arc;
use std::time::Duration;

use flagstone_model::key::ProjectId;
use flagstone_publisher::log::conformance::draft;
use flagstone_publisher::log::verify::verify_log;
use flagstone_publisher::log::{Appended, ChangeLog, Entry, Head};

use crate::world::{Tables, World};

const WRITERS: u64 = 50;
/// How many entries each of them gets in. A hundred take some minutes.
const EACH: u64 = 25;

/// Each writer appends and, when it is beaten, reads what it missed and tries again a little later, as the control plane
/// does.
async fn write(log: Arc<dyn ChangeLog>, project: ProjectId, writer: u64) -> Vec<u64> {
    let (mut head, mut written, mut beaten): (Option<Head>, Vec<u64>, u64) = (None, Vec::new(), 0);
    for turn in 0..EACH {
        loop {
            let offered =
                Entry::seal(draft(&project, writer, &format!("{writer}/{turn}")), head.as_ref()).unwrap();
            match log.append(&offered).await.unwrap() {
                Appended::Written => {
                    written.push(offered.seq());
                    head = Some(offered.head());
                    break;
                }
                Appended::Lost { .. } => {
                    beaten += 1;
                    // Spread out, the same in every run.
                    tokio::time::sleep(Duration::from_millis((writer * 7 + beaten * 13) % 97)).await;
                    head = log.head(&project).await.unwrap();
                }
            }
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn fifty_writers_lose_nothing_and_leave_no_gap() {
    let world = World::on(Tables::Amazon).await;
    let project = ProjectId::parse("race").unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(Arc::new(world.records()), project.clone(), writer));
    }
    let mut acknowledged = writers.join_all().await.concat();
    acknowledged.sort_unstable();
    assert!(acknowledged.into_iter().eq(1..=WRITERS * EACH), "an entry is lost, or two got one seq");
    let verified = verify_log(&world.records(), &project, []).await.unwrap();
    assert_eq!(verified.head.map(|head| head.seq), Some(WRITERS * EACH));
}
