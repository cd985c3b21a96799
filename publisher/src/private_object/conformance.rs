//! What every store of private objects must do, as a suite its adapters run.
#![expect(clippy::unwrap_used, reason = "a suite for tests: a store that fails it is to be told loudly")]

use std::sync::Arc;

use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;

use super::PrivateObjects;

/// How many writers race to keep one object.
const WRITERS: u8 = 8;

/// Opens one more handle on the objects under test; all handles must see the same ones.
pub type Open<'a> = &'a (dyn Fn() -> Arc<dyn PrivateObjects> + Sync);

/// Runs the suite on a store without objects.
///
/// # Panics
///
/// At the first thing that is not as it must be.
pub async fn run(open: Open<'_>) {
    a_project_starts_without_objects(open).await;
    objects_read_back_as_they_were_kept(open).await;
    what_is_kept_again_is_mended_and_its_time_never_goes_back(open).await;
    what_is_forgotten_is_gone_unless_it_was_kept_again(open).await;
    projects_are_apart(open).await;
    racing_writers_keep_one_object(open).await;
}

fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

async fn a_project_starts_without_objects(open: Open<'_>) {
    let (objects, empty, none) = (open(), project("empty"), Digest::of(b"none"));
    assert_eq!(objects.all(&empty).await.unwrap(), []);
    assert_eq!(objects.stored(&empty, &none).await.unwrap(), None);
    objects.forget(&empty, &none, i64::MAX).await.unwrap();
}

async fn objects_read_back_as_they_were_kept(open: Open<'_>) {
    let name = project("read-back");
    let large = vec![0xA5; 3 * 1024 * 1024];
    let mut expected = Vec::new();
    for (bytes, at_ms) in [(&b"one"[..], 1), (&[0, 255, 10], 2), (&[], 3), (&large, 4)] {
        let digest = Digest::of(bytes);
        open().keep(&name, &digest, bytes, at_ms).await.unwrap();
        assert_eq!(open().stored(&name, &digest).await.unwrap().as_deref(), Some(bytes));
        expected.push((digest, at_ms));
    }
    expected.sort_unstable_by_key(|(digest, _)| *digest);
    assert_eq!(open().all(&name).await.unwrap(), expected);
}

async fn what_is_kept_again_is_mended_and_its_time_never_goes_back(open: Open<'_>) {
    let (name, digest) = (project("again"), Digest::of(b"whole"));
    open().keep(&name, &digest, b"torn", 7).await.unwrap();
    open().keep(&name, &digest, b"whole", 5).await.unwrap();
    assert_eq!(open().stored(&name, &digest).await.unwrap().as_deref(), Some(&b"whole"[..]));
    assert_eq!(open().all(&name).await.unwrap(), [(digest, 7)]);
    open().keep(&name, &digest, b"whole", 9).await.unwrap();
    assert_eq!(open().all(&name).await.unwrap(), [(digest, 9)]);
}

async fn what_is_forgotten_is_gone_unless_it_was_kept_again(open: Open<'_>) {
    let (name, digest) = (project("forget"), Digest::of(b"x"));
    open().keep(&name, &digest, b"x", 10).await.unwrap();
    open().forget(&name, &digest, 10).await.unwrap();
    assert_eq!(open().stored(&name, &digest).await.unwrap().as_deref(), Some(&b"x"[..]));
    open().forget(&name, &digest, 11).await.unwrap();
    assert_eq!(open().stored(&name, &digest).await.unwrap(), None);
    assert_eq!(open().all(&name).await.unwrap(), []);
    open().keep(&name, &digest, b"x", 12).await.unwrap();
    assert_eq!(open().all(&name).await.unwrap(), [(digest, 12)]);
}

async fn projects_are_apart(open: Open<'_>) {
    let (one, other, digest) = (project("apart-1"), project("apart-2"), Digest::of(b"y"));
    open().keep(&one, &digest, b"y", 1).await.unwrap();
    assert_eq!(open().stored(&other, &digest).await.unwrap(), None);
    open().forget(&other, &digest, i64::MAX).await.unwrap();
    assert_eq!(open().stored(&one, &digest).await.unwrap().as_deref(), Some(&b"y"[..]));
}

async fn racing_writers_keep_one_object(open: Open<'_>) {
    let (name, digest) = (project("race"), Digest::of(b"z"));
    let racers: Vec<_> = (1..=WRITERS)
        .map(|at_ms| {
            let (objects, name) = (open(), name.clone());
            tokio::spawn(async move { objects.keep(&name, &digest, b"z", at_ms.into()).await.unwrap() })
        })
        .collect();
    for racer in racers {
        racer.await.unwrap();
    }
    assert_eq!(open().all(&name).await.unwrap(), [(digest, WRITERS.into())]);
    assert_eq!(open().stored(&name, &digest).await.unwrap().as_deref(), Some(&b"z"[..]));
}
