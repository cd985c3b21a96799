//! Faulty builders: whatever they build, nothing is announced and the old manifest stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use flagstone_bundle::Content;
use flagstone_bundle::delta::DeltaLines;
use flagstone_bundle::manifest::Stream;
use flagstone_model::line::Head;
use flagstone_publisher::publish::{Built, LineSource, Ports, PublishError, SourceError};

use super::world::{Folding, Poll, World, flag, stream};

/// Builds right, then spoils it.
struct Faulty {
    right: Folding,
    spoil: Arc<AtomicBool>,
    lines: fn(&mut Vec<String>),
    delta: fn(&Content, &[Head<'_>]) -> DeltaLines,
}

#[async_trait]
impl LineSource for Faulty {
    async fn build(&self, stream: &Stream, seq: u64) -> Result<Built, SourceError> {
        let built = self.right.build(stream, seq).await?;
        let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
        let mut lines: Vec<String> = built.content.lines().map(text).collect();
        if self.spoil.load(Ordering::SeqCst) {
            (self.lines)(&mut lines);
        }
        lines.sort();
        let content = Content::from_lines(lines.iter().map(String::as_bytes));
        let content = content.map_err(|error| SourceError::new("content-unreadable", error))?;
        Ok(Built { content, ..built })
    }

    fn delta(&self, content: &Content, touched: &[Head<'_>]) -> DeltaLines {
        if self.spoil.load(Ordering::SeqCst) {
            (self.delta)(content, touched)
        } else {
            right(content, touched)
        }
    }
}

fn right(content: &Content, touched: &[Head<'_>]) -> DeltaLines {
    content.delta_of(touched.iter().copied())
}

async fn refused(
    lines: fn(&mut Vec<String>),
    delta: fn(&Content, &[Head<'_>]) -> DeltaLines,
    restarted: bool,
) -> String {
    let world = World::announced().await;
    let spoil = Arc::new(AtomicBool::new(false));
    let faulty = Faulty { right: Folding(world.log.clone()), spoil: spoil.clone(), lines, delta };
    let publisher = world.publisher_with(Ports { source: Arc::new(faulty), ..world.ports() });
    if !restarted {
        // So that it remembers the last content, and proves only what changes.
        world.append([("w", Some(flag("w", 1, true)))]).await;
        world.publish(&publisher).await.unwrap();
        world.poll().await;
    }
    spoil.store(true, Ordering::SeqCst);
    let (manifest, item) = (world.manifest_bytes().await, world.items.read(&stream()).await.unwrap());
    let objects = world.memory.paths();
    world.append([("b", Some(flag("b", 2, false)))]).await;
    let error = world.publish(&publisher).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused(_) | PublishError::Source(_)), "{error:?}");
    assert!(publisher.sweep(&stream()).await.is_err());

    assert_eq!(world.manifest_bytes().await, manifest, "the old manifest stays");
    assert_eq!(world.items.read(&stream()).await.unwrap().claim, item.claim, "nothing was claimed");
    assert_eq!(world.memory.paths(), objects, "nothing was uploaded");
    assert_eq!(world.poll().await, Poll::Same);

    world.publish(&world.publisher()).await.unwrap();
    assert_eq!(world.poll().await, Poll::Inline, "the next good builder publishes");
    world.assert_current().await;
    error.code().to_owned()
}

async fn both(lines: fn(&mut Vec<String>), delta: fn(&Content, &[Head<'_>]) -> DeltaLines) -> String {
    let code = refused(lines, delta, true).await;
    assert_eq!(refused(lines, delta, false).await, code);
    code
}

/// A flag line with a condition that no reader knows.
fn unknown(key: &str, rev: u64, on: bool) -> String {
    const RULES: &str =
        r#""rules":[{"id":"r","if":[{"attr":"pos","geo_within":["x"]}],"serve":"on"}],"fallthrough""#;
    flag(key, rev, on).replace(r#""fallthrough""#, RULES)
}

#[tokio::test]
async fn a_line_that_is_not_understood_costs_its_own_flag_only() {
    let long = format!("\"on\":true,\"{}\":true}}", "x".repeat(70_000));
    for line in [
        r#"{"flag":"zz","type":"bool","on":tru"#.to_owned(),
        unknown("zz", 1, true),
        flag("zz", 1, true).replace(r#""fallthrough":"on""#, r#""fallthrough":"on2""#),
        flag("zz", 1, true).replace("\"on\":true}", &long),
    ] {
        for is_restarted in [false, true] {
            let world = World::announced().await;
            let mut publisher = world.publisher();
            world.append([("w", Some(flag("w", 1, true)))]).await;
            world.publish(&publisher).await.unwrap();
            if is_restarted {
                publisher = world.publisher();
            }
            world.append([("zz", Some(line.clone())), ("b", Some(flag("b", 2, false)))]).await;
            world.publish(&publisher).await.unwrap();
            assert_eq!(publisher.withheld(&stream()), ["zz".to_owned()].into());
            world.append([("zz", None)]).await;
            world.publish(&publisher).await.unwrap();
            world.assert_current().await;
            assert!(publisher.withheld(&stream()).is_empty());
        }
    }
}

#[tokio::test]
async fn a_line_that_is_not_understood_any_more_stays_and_can_be_switched_off() {
    // What is off is announced also where it is not understood: so it is there, as from a release that knew it.
    let world = World::new().await;
    let publisher = world.publisher();
    world.append([("a", Some(unknown("a", 1, false))), ("b", Some(flag("b", 1, true)))]).await;
    world.publish(&publisher).await.unwrap();
    for (publisher, rev) in [(publisher, 2), (world.publisher(), 3)] {
        world.append([("b", Some(flag("b", rev, false)))]).await;
        world.publish(&publisher).await.unwrap();
        world.assert_current().await;
        world.append([("a", Some(unknown("a", rev, false)))]).await;
        world.publish(&publisher).await.unwrap();
        world.assert_current().await;
        assert!(publisher.withheld(&stream()).is_empty());
    }
    // An edit of it is held back.
    let before = world.manifest_bytes().await;
    let publisher = world.publisher();
    world.append([("a", Some(unknown("a", 4, true)))]).await;
    world.publish(&publisher).await.unwrap();
    assert_eq!(publisher.withheld(&stream()), ["a".to_owned()].into());
    assert_eq!(world.manifest_bytes().await, before);
}

#[tokio::test]
async fn a_line_twice_is_refused() {
    assert_eq!(both(|lines| lines.push(flag("a", 9, true)), right).await, "content-unreadable");
}

#[tokio::test]
async fn a_dangling_prerequisite_is_refused() {
    let dangling = |lines: &mut Vec<String>| {
        lines.push(
            flag("zz", 1, true)
                .replace(r#","fallthrough""#, r#","needs":[{"flag":"gone","is":["on"]}],"fallthrough""#),
        );
    };
    assert_eq!(both(dangling, right).await, "reference-broken");
}

#[tokio::test]
async fn a_prerequisite_that_is_taken_away_under_another_flag_is_refused() {
    let world = World::announced().await;
    let publisher = world.publisher();
    let needs = flag("z", 1, true)
        .replace(r#","fallthrough""#, r#","needs":[{"flag":"a","is":["on"]}],"fallthrough""#);
    world.append([("z", Some(needs))]).await;
    world.publish(&publisher).await.unwrap();
    world.append([("a", None)]).await;
    assert_eq!(world.publish(&publisher).await.unwrap_err().code(), "reference-broken");
    assert_eq!(world.manifest().await.version(), 2);
}

#[tokio::test]
async fn a_delta_that_leaves_a_line_out_is_refused() {
    let code =
        refused(|_| {}, |content, touched| content.delta_of(touched.iter().copied().skip(1)), true).await;
    assert_eq!(code, "delta-wrong");
}

#[tokio::test]
async fn a_delta_with_another_line_than_the_content_is_refused() {
    let other = |_: &Content, _: &[Head<'_>]| {
        DeltaLines::parse(format!("{}\n", flag("b", 99, false)).as_bytes()).unwrap()
    };
    assert_eq!(refused(|_| {}, other, true).await, "delta-wrong");
}

#[tokio::test]
async fn lines_of_another_environment_are_refused() {
    let other = |lines: &mut Vec<String>| {
        for line in lines {
            *line = line.replace(r#"{"environment":"production""#, r#"{"environment":"staging""#);
        }
    };
    assert_eq!(both(other, right).await, "content-of-another-stream");
    let none = |lines: &mut Vec<String>| lines.retain(|line| !line.starts_with(r#"{"environment""#));
    assert_eq!(both(none, right).await, "content-of-another-stream");
    let two = |lines: &mut Vec<String>| {
        lines.push(r#"{"environment":"zz","project":"shop","view":"server"}"#.to_owned());
    };
    assert_eq!(both(two, right).await, "content-of-another-stream");
}

#[tokio::test]
async fn a_snapshot_over_its_size_is_refused() {
    let huge = |lines: &mut Vec<String>| {
        for number in 0..700 {
            let line = flag(&format!("h{number}"), 1, true);
            lines.push(
                line.replace("\"values\":{", &format!("\"values\":{{\"a\":{}true,", " ".repeat(50_000))),
            );
        }
    };
    let code = refused(huge, right, true).await;
    assert!(["content-unreadable", "content-not-understood"].contains(&&*code), "{code}");
}
