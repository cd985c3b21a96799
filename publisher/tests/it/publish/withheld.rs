//! Flags of which a check does not hold: they alone are not announced as they were built.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flagstone_bundle::Content;
use flagstone_bundle::manifest::Stream;
use flagstone_model::line::Head;
use flagstone_publisher::observe::{Append, Observer, Stage};
use flagstone_publisher::publish::{Built, LineSource, Ports, Publisher, SourceError};

use super::world::{Folding, World, flag, manifest_path, stream};

/// The flags of which a check does not hold.
const DOUBTFUL: [&str; 2] = ["b-2", "b"];

/// Expects something of a flag that no line of it does.
fn check(flag: &str) -> String {
    format!(
        r#"{{"check":"{flag}/1","flag":"{flag}","at":"2026-01-01T00:00:00Z","expect":{{"variation":"gone","reason":"STATIC"}}}}"#
    )
}

/// Builds right, and adds checks that do not hold.
struct Doubtful(Folding);

#[async_trait]
impl LineSource for Doubtful {
    async fn build(&self, stream: &Stream, seq: u64) -> Result<Built, SourceError> {
        let built = self.0.build(stream, seq).await?;
        let is_there = |key: &&str| built.content.line(Head { name: "flag", key }).is_some();
        let checks: Vec<String> = DOUBTFUL.into_iter().filter(is_there).map(check).collect();
        let lines = checks.iter().map(String::as_bytes).chain(built.content.lines());
        let content = Content::from_lines(lines).unwrap();
        Ok(Built { content, ..built })
    }
}

#[derive(Default)]
struct Failures(Mutex<Vec<&'static str>>);

impl Observer for Failures {
    fn appended(&self, _: Append) {}

    fn staged(&self, _: Stage, _: Duration, _: Result<(), &'static str>) {}

    fn failed(&self, code: &'static str) {
        self.0.lock().unwrap().push(code);
    }
}

fn doubtful(world: &World) -> Publisher {
    let source = Arc::new(Doubtful(Folding(world.log.clone())));
    world.publisher_with(Ports { source, ..world.ports() })
}

fn needing(key: &str, needs: &str) -> String {
    let needs = format!(r#","needs":[{{"flag":"{needs}","is":["on"]}}],"fallthrough""#);
    flag(key, 1, true).replace(r#","fallthrough""#, &needs)
}

/// The flags that clients have, each with the beginning of its line.
async fn flags(world: &World) -> Vec<String> {
    let lines = world.fresh_client().await.lines();
    let flags = lines.iter().filter(|line| !line.starts_with(r#"{"environment""#));
    flags.map(|line| line.split(r#","values""#).next().unwrap().to_owned()).collect()
}

fn begun(key: &str, rev: u64, on: bool) -> String {
    format!(r#"{{"flag":"{key}","type":"bool","rev":{rev},"on":{on}"#)
}

#[tokio::test]
async fn a_flag_whose_check_does_not_hold_is_held_back_and_every_other_line_is_announced() {
    let world = World::announced().await;
    let (publisher, failures) = (doubtful(&world), Arc::new(Failures::default()));
    assert!(publisher.observe(failures.clone()));
    world.append([("b", Some(flag("b", 2, true))), ("c", Some(flag("c", 2, false)))]).await;
    world.publish(&publisher).await.unwrap();
    let held = [begun("a", 1, true), begun("b", 1, true), begun("c", 2, false)];
    assert_eq!(flags(&world).await, held);
    assert_eq!(publisher.withheld(&stream()), ["b".to_owned()].into());
    assert_eq!(*failures.0.lock().unwrap(), ["check-failed"]);

    // Where nothing else has changed there is no other version; and one that remembers nothing does the same.
    let before = world.manifest_bytes().await;
    for (rev, publisher) in [(3, publisher), (4, doubtful(&world))] {
        world.append([("b", Some(flag("b", rev, true)))]).await;
        world.publish(&publisher).await.unwrap();
        assert_eq!(world.manifest_bytes().await, before);
        assert_eq!(publisher.withheld(&stream()), ["b".to_owned()].into());
    }

    // Once it is mended it is announced as it is by then.
    let publisher = world.publisher();
    world.append([("a", Some(flag("a", 2, false)))]).await;
    world.publish(&publisher).await.unwrap();
    world.assert_current().await;
    assert!(publisher.withheld(&stream()).is_empty());
}

#[tokio::test]
async fn what_is_off_or_was_announced_already_waits_for_no_check_and_is_announced_without_it() {
    // The line is another one than before, and off.
    let world = World::announced().await;
    let (publisher, failures) = (doubtful(&world), Arc::new(Failures::default()));
    assert!(publisher.observe(failures.clone()));
    world.append([("b", Some(flag("b", 2, false)))]).await;
    world.publish(&publisher).await.unwrap();
    assert_eq!(flags(&world).await, [begun("a", 1, true), begun("b", 2, false), begun("c", 1, true)]);
    assert_eq!(*failures.0.lock().unwrap(), ["check-failed"]);
    assert!(publisher.withheld(&stream()).is_empty());

    // Only the check is new, and what asks for the flag.
    let world = World::announced().await;
    let publisher = doubtful(&world);
    world.append([("y", Some(needing("y", "b")))]).await;
    world.publish(&publisher).await.unwrap();
    let all = [begun("a", 1, true), begun("b", 1, true), begun("c", 1, true), begun("y", 1, true)];
    assert_eq!(flags(&world).await, all);
    assert!(publisher.withheld(&stream()).is_empty());

    // There is nothing before, and there are several.
    let world = World::new().await;
    let lines = [("a", true), ("b", false), ("b-2", false)];
    world.append(lines.map(|(key, on)| (key, Some(flag(key, 1, on))))).await;
    world.publish(&doubtful(&world)).await.unwrap();
    let mut wanted = lines.map(|(key, on)| begun(key, 1, on));
    wanted.sort();
    assert_eq!(flags(&world).await, wanted);

    // It was held back when it was on.
    let world = World::announced().await;
    let publisher = doubtful(&world);
    for (rev, on) in [(2, true), (3, false)] {
        world.append([("b", Some(flag("b", rev, on)))]).await;
        world.publish(&publisher).await.unwrap();
        assert_eq!(publisher.withheld(&stream()).is_empty(), !on);
    }
    assert_eq!(flags(&world).await, [begun("a", 1, true), begun("b", 3, false), begun("c", 1, true)]);
}

#[tokio::test]
async fn a_run_of_which_all_is_withheld_announces_what_was_claimed_before() {
    for is_rebuilt in [false, true] {
        let world = World::announced().await;
        let before = world.manifest_bytes().await;
        world.append([("c", Some(flag("c", 2, false)))]).await;
        world.publish(&world.publisher()).await.unwrap();
        // As it is where a publisher stops between the claim and the manifest.
        world.memory.overwrite(&manifest_path(), Some(before));
        world.append([("b", Some(flag("b", 2, true)))]).await;
        let publisher = doubtful(&world);
        if is_rebuilt {
            publisher.rebuild(&stream()).await.unwrap();
        } else {
            world.publish(&publisher).await.unwrap();
        }
        assert_eq!(publisher.withheld(&stream()), ["b".to_owned()].into());
        assert_eq!(flags(&world).await, [begun("a", 1, true), begun("b", 1, true), begun("c", 2, false)]);
    }
}

#[tokio::test]
async fn a_flag_that_can_not_be_held_back_is_left_out_with_what_asks_for_it() {
    // Of the first version there is nothing before.
    let world = World::new().await;
    let (a, b, y, z) = (flag("a", 1, true), flag("b", 1, true), needing("y", "b"), needing("z", "y"));
    world.append([("a", Some(a)), ("b", Some(b)), ("y", Some(y)), ("z", Some(z))]).await;
    let publisher = doubtful(&world);
    world.publish(&publisher).await.unwrap();
    assert_eq!(flags(&world).await, [begun("a", 1, true)]);
    assert_eq!(publisher.withheld(&stream()), ["b", "y", "z"].map(str::to_owned).into());

    // What it was before asks for what is gone.
    let world = World::announced().await;
    world.append([("b", Some(needing("b", "a")))]).await;
    world.publish(&world.publisher()).await.unwrap();
    world.append([("a", None), ("b", Some(flag("b", 3, true)))]).await;
    let publisher = doubtful(&world);
    world.publish(&publisher).await.unwrap();
    assert_eq!(flags(&world).await, [begun("c", 1, true)]);
    assert_eq!(publisher.withheld(&stream()), ["b".to_owned()].into());
}
