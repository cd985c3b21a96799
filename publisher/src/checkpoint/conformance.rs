//! What every store of checkpoints must do, as a suite its adapters run.
#![expect(clippy::unwrap_used, reason = "a suite for tests: a store that fails it is to be told loudly")]

use std::sync::Arc;

use flagstone_bundle::container::{Encoding, StoredObject};
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;

use super::{Checkpoints, Mark};
use crate::log::Head;

/// How many writers race to keep the checkpoint of one entry.
const WRITERS: u64 = 16;

/// Opens one more handle on the checkpoints under test; all handles must see the same ones.
pub type Open<'a> = &'a (dyn Fn() -> Arc<dyn Checkpoints> + Sync);

/// Runs the suite on a store without checkpoints.
///
/// # Panics
///
/// At the first thing that is not as it must be.
pub async fn run(open: Open<'_>) {
    a_project_starts_without_checkpoints(open).await;
    checkpoints_read_back_as_they_were_kept(open).await;
    the_pointer_never_moves_back(open).await;
    what_is_forgotten_is_gone_and_does_not_come_back(open).await;
    projects_are_apart(open).await;
    of_racing_writers_one_keeps_its_checkpoint(open).await;
}

/// A mark for the entry `seq`.
pub fn mark(seq: u64) -> Mark {
    let digest = Digest::of(&seq.to_be_bytes());
    let object = StoredObject { encoding: Encoding::Zstd, sha256: digest, size: 8, raw_size: seq };
    let time_ms = i64::try_from(seq).unwrap_or(i64::MAX);
    Mark { head: Head { seq, hash: digest, time_ms }, object }
}

fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

async fn seqs(checkpoints: &dyn Checkpoints, project: &ProjectId) -> Vec<u64> {
    checkpoints.marks(project).await.unwrap().iter().map(Mark::seq).collect()
}

async fn a_project_starts_without_checkpoints(open: Open<'_>) {
    let (checkpoints, empty) = (open(), project("empty"));
    assert_eq!(checkpoints.marks(&empty).await.unwrap(), []);
    assert_eq!(checkpoints.stored(&empty, 1).await.unwrap(), None);
    checkpoints.forget(&empty, 1..=1).await.unwrap();
}

async fn checkpoints_read_back_as_they_were_kept(open: Open<'_>) {
    let name = project("read-back");
    assert!(open().keep(&name, &mark(3), b"three").await.unwrap());
    assert!(open().keep(&name, &mark(7), &[0, 255, 10]).await.unwrap());
    assert_eq!(open().marks(&name).await.unwrap(), [mark(3), mark(7)]);
    assert_eq!(open().stored(&name, 3).await.unwrap().as_deref(), Some(b"three".as_slice()));
    assert_eq!(open().stored(&name, 7).await.unwrap(), Some(vec![0, 255, 10]));
    assert_eq!(open().stored(&name, 5).await.unwrap(), None);
}

async fn the_pointer_never_moves_back(open: Open<'_>) {
    let (checkpoints, name) = (open(), project("forward"));
    assert!(checkpoints.keep(&name, &mark(10), b"first").await.unwrap());
    assert!(!checkpoints.keep(&name, &mark(9), b"older").await.unwrap());
    assert!(!open().keep(&name, &mark(10), b"again").await.unwrap());
    assert_eq!(seqs(&*checkpoints, &name).await, [10]);
    assert_eq!(checkpoints.stored(&name, 10).await.unwrap().as_deref(), Some(b"first".as_slice()));
}

async fn what_is_forgotten_is_gone_and_does_not_come_back(open: Open<'_>) {
    let (checkpoints, name) = (open(), project("forgotten"));
    for seq in [2, 4, 6, 8] {
        assert!(checkpoints.keep(&name, &mark(seq), b"bytes").await.unwrap());
    }
    open().forget(&name, 4..=6).await.unwrap();
    assert_eq!(seqs(&*checkpoints, &name).await, [2, 8]);
    assert_eq!(checkpoints.stored(&name, 4).await.unwrap(), None);
    assert!(!checkpoints.keep(&name, &mark(5), b"late").await.unwrap(), "forgetting moved the pointer back");
    checkpoints.forget(&name, 1..=11).await.unwrap();
    assert!(seqs(&*checkpoints, &name).await.is_empty());
    assert!(!checkpoints.keep(&name, &mark(11), b"late").await.unwrap(), "what was forgotten came back");
    assert!(checkpoints.keep(&name, &mark(12), b"next").await.unwrap());
}

async fn projects_are_apart(open: Open<'_>) {
    let (checkpoints, one, other) = (open(), project("apart"), project("apart-2"));
    assert!(checkpoints.keep(&one, &mark(5), b"one").await.unwrap());
    assert!(checkpoints.keep(&other, &mark(4), b"other").await.unwrap());
    checkpoints.forget(&one, 1..=9).await.unwrap();
    assert_eq!(seqs(&*checkpoints, &other).await, [4]);
}

async fn of_racing_writers_one_keeps_its_checkpoint(open: Open<'_>) {
    let name = project("race");
    let racers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (checkpoints, name) = (open(), name.clone());
            let bytes = writer.to_be_bytes();
            tokio::spawn(
                async move { checkpoints.keep(&name, &mark(1), &bytes).await.unwrap().then_some(bytes) },
            )
        })
        .collect();
    let mut winners = Vec::new();
    for racer in racers {
        winners.extend(racer.await.unwrap());
    }
    assert_eq!(winners.len(), 1, "several writers kept the checkpoint of one entry");
    let stored = open().stored(&name, 1).await.unwrap();
    assert_eq!(stored.as_deref(), winners.first().map(<[u8; 8]>::as_slice));
}
