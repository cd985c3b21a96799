//! FAULTS F8, F19, F20: errors, lost hosts, and whatever sits in between.

use std::time::Duration;

use crate::world::World;
use crate::world::cdn::Reply;

/// F8: an origin in trouble.
#[tokio::test(start_paused = true)]
async fn errors_of_the_origin_are_unreachable_and_pass() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;
    for status in [500, 502, 503, 404, 403, 429] {
        world.cdn.attack("a.example", move |_| Some(Reply::Bytes(status, Vec::new())));
        world.refuses(&client, "unreachable").await;
    }
    world.cdn.attack("a.example", |_| Some(Reply::CutAt(300)));
    world.refuses(&client, "unreachable").await;
    world.cdn.attack("a.example", |_| Some(Reply::Hang));
    world.refuses(&client, "timeout").await;

    world.cdn.relent("a.example");
    world.legitimate_update(&client).await;
}

/// F8: silence is a status after half a minute, and is over with the first answer.
#[tokio::test(start_paused = true)]
async fn a_lost_origin_is_noticed_and_found_again() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;
    world.cdn.attack("a.example", |_| Some(Reply::Refused));
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert!(client.status().bits.is_empty());
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(client.status().bits.to_string(), "unreachable");
    assert_eq!(client.status().code(), Some("unreachable"));
    world.serves_newest(&client);

    let next = world.next();
    world.upload(&next);
    world.cdn.relent("a.example");
    tokio::time::sleep(Duration::from_secs(61)).await;
    world.serves_newest(&client);
    assert!(client.status().bits.is_empty());
    world.legitimate_update(&client).await;
}

/// F10, for one client: an outage of ten minutes costs few requests more than polling.
#[tokio::test(start_paused = true)]
async fn an_outage_does_not_make_a_client_ask_more() {
    let world = World::new();
    let client = world.client().await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    world.cdn.take_seen();
    tokio::time::sleep(Duration::from_mins(10)).await;
    let quiet = world.cdn.take_seen().len();
    world.cdn.attack("a.example", |_| Some(Reply::Refused));
    tokio::time::sleep(Duration::from_mins(10)).await;
    let outage = world.cdn.take_seen().len();
    assert!(outage * 10 <= quiet * 11, "{outage} requests in the outage, {quiet} without");
    world.serves_newest(&client);
}

/// F20, T-5.5: what is no single, short entity tag is not sent back. `*` would match every later manifest.
#[tokio::test(start_paused = true)]
async fn what_is_no_entity_tag_is_never_sent_back() {
    let large = format!("\"{}\"", "x".repeat(20_000));
    for etag in [large.as_str(), "*", "W/*", "no quotes", "\"", "\"one\", \"two\"", "\"a\nb\"", ""] {
        let mut world = World::new();
        let client = world.client().await;
        world.legitimate_update(&client).await;

        let answered = etag.to_owned();
        world.cdn.attack("a.example", move |_| Some(Reply::Etag(answered.clone())));
        world.legitimate_update(&client).await;

        world.cdn.relent("a.example");
        world.cdn.take_seen();
        assert_eq!(client.refresh().await.unwrap(), flagstone::Refreshed::Unchanged, "{etag:.20}");
        assert_eq!(world.cdn.take_seen()[0].headers.get("if-none-match"), None, "{etag:.20}");
        world.serves_newest(&client);
        world.legitimate_update(&client).await;
    }
    for etag in ["\"\"", "\"one\"", "W/\"one\""] {
        let world = World::new();
        world.cdn.attack("a.example", move |_| Some(Reply::Etag(etag.to_owned())));
        let client = world.client().await;
        world.cdn.take_seen();
        client.refresh().await.unwrap();
        assert_eq!(world.cdn.take_seen()[0].headers["if-none-match"], etag);
    }
}

/// F20, T-5.5: an ETag that somebody in between takes offence at, whichever way they say so, is sent once.
#[tokio::test(start_paused = true)]
async fn an_etag_that_gives_offence_is_sent_once() {
    for offended in ["400", "403", "431", "503", "reset"] {
        let mut world = World::new();
        let client = world.client().await;
        world.legitimate_update(&client).await;

        world.cdn.attack("a.example", move |_| Some(Reply::Etag(format!("\"offends-{offended}\""))));
        world.legitimate_update(&client).await;
        world.cdn.relent("a.example");
        world.refuses(&client, "unreachable").await;
        world.serves_newest(&client);

        world.legitimate_update(&client).await;
    }
}

/// A server that asks for patience gets it.
#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured() {
    let world = World::new();
    let client = world.client().await;
    world.cdn.attack("a.example", |_| Some(Reply::Header("retry-after", "120".to_owned())));
    world.cdn.remove_everywhere(&world.publisher.manifest_path());
    client.refresh().await.unwrap_err();
    world.cdn.take_seen();
    tokio::time::sleep(Duration::from_secs(119)).await;
    assert_eq!(world.cdn.take_seen().len(), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.cdn.take_seen().len(), 1);
}

/// F19: the first URL is lost; the second is used at once, and stays in use.
#[tokio::test(start_paused = true)]
async fn the_next_url_is_used_at_once_and_sticks() {
    let mut world = World::with_hosts(&["a.example", "b.example"]);
    let client = world.client().await;
    world.legitimate_update(&client).await;
    world.cdn.take_seen();

    world.cdn.attack("a.example", |_| Some(Reply::Refused));
    let update = world.next();
    world.upload(&update);
    client.refresh().await.unwrap();
    world.serves_newest(&client);
    assert_eq!(client.status().code(), Some("unreachable"), "what went wrong is told");
    let hosts: Vec<_> = world.cdn.take_seen().into_iter().map(|seen| seen.host).collect();
    assert_eq!(hosts, ["a.example", "b.example"]);

    world.legitimate_update(&client).await;
    client.refresh().await.unwrap();
    let hosts: Vec<_> = world.cdn.take_seen().into_iter().map(|seen| seen.host).collect();
    assert_eq!(hosts, ["b.example", "b.example"]);
    // An ETag of one host is not shown to another.
    world.cdn.relent("a.example");
    world.cdn.attack("b.example", |_| Some(Reply::Refused));
    client.refresh().await.unwrap();
    let seen = world.cdn.take_seen();
    assert_eq!(seen[1].host, "a.example");
    assert_eq!(seen[1].headers.get("if-none-match"), None);
    world.legitimate_update(&client).await;
}

/// F20: captive portals and proxies that rewrite.
#[tokio::test(start_paused = true)]
async fn what_a_portal_or_proxy_answers_is_malformed() {
    let mut world = World::new();
    let client = world.client().await;
    world.legitimate_update(&client).await;
    let attacks: [fn(&str) -> Option<Reply>; 4] = [
        |_| Some(Reply::Bytes(200, b"<!doctype html><title>Log in</title>\n".to_vec())),
        |_| Some(Reply::Bytes(302, Vec::new())),
        |_| Some(Reply::Bytes(200, Vec::new())),
        |_| Some(Reply::Header("content-encoding", "gzip".to_owned())),
    ];
    for attack in attacks {
        let update = world.publisher.clone().publish(world.clock.true_ms());
        world.announce(&update.file);
        world.cdn.attack("a.example", attack);
        world.refuses(&client, "malformed").await;
    }
    // Nothing of this is an answer, so silence is noticed too.
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(client.status().bits.to_string(), "unreachable");

    world.cdn.relent("a.example");
    world.legitimate_update(&client).await;
}

/// F20: without ETags everything works, and 304 without a question is refused.
#[tokio::test(start_paused = true)]
async fn a_stripped_etag_is_fine() {
    let mut world = World::new();
    world.cdn.attack("a.example", |_| Some(Reply::WithoutEtag));
    let client = world.builder().sdk_key("another").build().unwrap();
    client.wait_for_ready(Duration::from_secs(5)).await.unwrap();
    assert_eq!(client.refresh().await.unwrap(), flagstone::Refreshed::Unchanged);
    world.legitimate_update(&client).await;
    assert!(world.cdn.take_seen().iter().all(|seen| !seen.headers.contains_key("if-none-match")));

    world.cdn.attack("a.example", |_| Some(Reply::Bytes(304, Vec::new())));
    world.refuses(&client, "malformed").await;
    world.cdn.attack("a.example", |_| Some(Reply::WithoutEtag));
    world.legitimate_update(&client).await;
}
