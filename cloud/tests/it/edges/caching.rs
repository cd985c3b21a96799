//! What an edge keeps, and for how long.

use core::time::Duration;

use flagstone_cloud::http::{Answer, Request};
use tokio::task::JoinSet;

use super::origin::{IMMUTABLE, MANIFEST, Mode};
use super::{Bench, Kind, OPEN, of_each_edge};

const OBJECT: &str = "/open/shop/v1/s/x";
/// Longer than a manifest is fresh: nginx counts whole seconds, so that one second may last almost two.
const A_QUIET_WHILE: Duration = Duration::from_millis(2_100);
/// How often an edge is asked whether its origin is back.
const PAUSE: Duration = Duration::from_millis(20);
/// An origin that fails before it has answered.
const FAILURES: [Mode; 7] = [
    Mode::Says(500),
    Mode::Says(502),
    Mode::Says(503),
    Mode::Says(504),
    Mode::Says(429),
    Mode::CutsHeaders,
    Mode::IsSilent,
];

fn is(answer: &Answer, body: &str) -> bool {
    answer.status == 200 && answer.text() == body && answer.is_whole()
}

/// Varnish lets an origin that refused a connection rest for a quarter of a second.
async fn until_it_is(bench: &Bench, path: &str, body: &str) {
    while !is(&bench.get(path).await, body) {
        tokio::time::sleep(PAUSE).await;
    }
}

async fn one_copy_serves_all(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OBJECT, "object", IMMUTABLE);
    let etag = bench.get(OBJECT).await.header("etag").unwrap().to_owned();
    for _ in 0..3 {
        assert!(is(&bench.get(OBJECT).await, "object"));
    }
    assert_eq!(bench.ask(&Request::new("HEAD", OBJECT)).await.status, 200);
    assert_eq!(bench.ask(&Request::get(OBJECT).header("if-none-match", &etag)).await.status, 304);
    let varied = Request::get(OBJECT).header("origin", "https://a.example").header("accept-encoding", "br");
    assert!(is(&bench.ask(&varied).await, "object"));
    assert_eq!(bench.origin.count(), 1);
}

async fn the_headers_alone_fetch_the_whole_object_once(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OBJECT, "object", IMMUTABLE);
    let head = bench.ask(&Request::new("HEAD", OBJECT)).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("6"), 0));
    assert!(is(&bench.get(OBJECT).await, "object"));
    assert_eq!(bench.origin.count(), 1);
}

async fn a_shared_age_counts_before_an_age(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OPEN, "first", "public, max-age=0, s-maxage=600, no-transform");
    assert!(is(&bench.get(OPEN).await, "first"));
    bench.origin.put(OPEN, "second", MANIFEST);
    assert!(is(&bench.get(OPEN).await, "first"));
    assert_eq!(bench.origin.count(), 1);
}

async fn what_may_not_be_kept_is_not(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    for cache_control in ["no-store", "private, max-age=600", "max-age=0"] {
        bench.origin.put(OPEN, "first", cache_control);
        assert!(is(&bench.get(OPEN).await, "first"));
        bench.origin.put(OPEN, "second", cache_control);
        assert!(is(&bench.get(OPEN).await, "second"), "{cache_control}");
    }
}

async fn a_quiet_edge_serves_what_is_new(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OPEN, "first", MANIFEST);
    assert!(is(&bench.get(OPEN).await, "first"));
    bench.origin.put(OPEN, "second", MANIFEST);
    tokio::time::sleep(A_QUIET_WHILE).await;
    // The very first one: no old copy while a new one is fetched behind the client's back.
    assert!(is(&bench.get(OPEN).await, "second"));
    assert_eq!(bench.origin.count(), 2);
}

async fn an_old_copy_is_asked_about_and_is_fresh_again(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OPEN, "first", MANIFEST);
    let etag = bench.get(OPEN).await.header("etag").unwrap().to_owned();
    tokio::time::sleep(A_QUIET_WHILE).await;
    let conditional = Request::get(OPEN).header("if-none-match", &etag);
    assert_eq!(bench.ask(&conditional).await.status, 304);
    assert_eq!(bench.origin.asked().last().unwrap().headers.get("if-none-match"), Some(&etag));
    // The bucket's 304 says nothing of how long: what it said first holds. One of so many at once is within a second.
    let before = bench.origin.count();
    for _ in 0..20 {
        let answer = bench.get(OPEN).await;
        assert!(is(&answer, "first"));
        assert_eq!(answer.header("cache-control"), Some(MANIFEST));
    }
    assert!(bench.origin.count() < before + 20);

    // Another state: the client's tag does not reach the origin, and does not keep the answer from the client.
    bench.origin.put(OPEN, "second", MANIFEST);
    tokio::time::sleep(A_QUIET_WHILE).await;
    let answer = bench.ask(&conditional).await;
    assert!(is(&answer, "second") && answer.header("etag") != Some(&etag));
}

async fn a_tag_of_a_client_that_nobody_else_has_does_not_empty_the_answer(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OBJECT, "object", IMMUTABLE);
    let answer = bench.ask(&Request::get(OBJECT).header("if-none-match", "\"else\"")).await;
    assert!(is(&answer, "object"));
    assert_eq!(bench.origin.asked()[0].headers.get("if-none-match"), None);
    assert!(is(&bench.get(OBJECT).await, "object"), "what is kept is whole");
}

async fn an_old_copy_is_served_while_the_origin_fails(kind: Kind) {
    let mut bench = Bench::new(kind, &[]).await;
    bench.origin.put(OPEN, "first", MANIFEST);
    assert!(is(&bench.get(OPEN).await, "first"));
    bench.origin.put(OPEN, "second", MANIFEST);
    bench.origin.does(Mode::Says(503));
    tokio::time::sleep(A_QUIET_WHILE).await;
    for mode in FAILURES {
        bench.origin.does(mode);
        let before = bench.origin.count();
        assert!(is(&bench.get(OPEN).await, "first"), "{mode:?}");
        assert!(bench.origin.count() > before, "{mode:?}: it was asked before");
    }
    bench.origin.goes_down().await;
    assert!(is(&bench.get(OPEN).await, "first"), "down");
    bench.origin.does(Mode::Serves);
    bench.origin.comes_back().await;
    until_it_is(&bench, OPEN, "second").await;
}

async fn a_failure_without_a_copy_is_503_and_is_not_kept(kind: Kind) {
    let mut bench = Bench::new(kind, &[]).await;
    bench.origin.put(OBJECT, "object", IMMUTABLE);
    for mode in FAILURES.into_iter().chain([Mode::Says(302), Mode::Says(400), Mode::Says(401)]) {
        bench.origin.does(mode);
        let answer = bench.get(OBJECT).await;
        assert_eq!((answer.status, answer.header("cache-control")), (503, Some("no-store")), "{mode:?}");
        assert_eq!(answer.text(), "unavailable\n", "{mode:?}");
    }
    bench.origin.goes_down().await;
    assert_eq!(bench.get(OBJECT).await.status, 503, "down");
    bench.origin.does(Mode::Serves);
    bench.origin.comes_back().await;
    until_it_is(&bench, OBJECT, "object").await;
}

async fn a_missing_object_appears_at_once(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    for (mode, path) in [(Mode::Serves, "/open/shop/v1/s/told"), (Mode::Hides, "/open/shop/v1/s/hidden")] {
        bench.origin.does(mode);
        for _ in 0..2 {
            let answer = bench.get(path).await;
            assert_eq!((answer.status, answer.header("cache-control")), (404, Some("no-store")), "{mode:?}");
            assert_eq!(answer.text(), "not-found\n");
        }
        bench.origin.put(path, "uploaded", IMMUTABLE);
        assert!(is(&bench.get(path).await, "uploaded"), "{mode:?}");
    }
    assert_eq!(bench.origin.count(), 6);
}

async fn a_deleted_manifest_is_missing_and_not_old(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OPEN, "first", MANIFEST);
    assert!(is(&bench.get(OPEN).await, "first"));
    bench.origin.remove(OPEN);
    tokio::time::sleep(A_QUIET_WHILE).await;
    for mode in [Mode::Serves, Mode::Hides] {
        bench.origin.does(mode);
        assert_eq!(bench.get(OPEN).await.status, 404, "{mode:?}");
    }
}

async fn a_leaked_object_is_gone_after_a_purge(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OBJECT, "leak", IMMUTABLE);
    bench.origin.put("/open/shop/v1/s/other", "other", IMMUTABLE);
    assert!(is(&bench.get(OBJECT).await, "leak") && is(&bench.get("/open/shop/v1/s/other").await, "other"));
    bench.origin.remove(OBJECT);
    assert!(is(&bench.get(OBJECT).await, "leak"), "immutable: the edge does not ask");
    bench.edge.purge();
    assert_eq!(bench.get(OBJECT).await.status, 404);
    assert!(is(&bench.get("/open/shop/v1/s/other").await, "other"));
}

async fn a_body_that_is_cut_is_never_kept(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    let whole = "0123456789".repeat(20_000);
    bench.origin.put(OBJECT, &whole, IMMUTABLE);
    bench.origin.does(Mode::CutsBody);
    for _ in 0..2 {
        let answer = bench.get(OBJECT).await;
        assert!(answer.status == 503 || !answer.is_whole(), "a client can tell: {}", answer.status);
    }
    bench.origin.does(Mode::Serves);
    assert!(is(&bench.get(OBJECT).await, &whole));
}

async fn a_body_without_a_length_is_not_kept(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OBJECT, "as much as came", IMMUTABLE);
    bench.origin.does(Mode::NamesNoLength);
    bench.get(OBJECT).await;
    bench.origin.put(OBJECT, "all of it", IMMUTABLE);
    bench.origin.does(Mode::Serves);
    assert!(is(&bench.get(OBJECT).await, "all of it"));
}

async fn many_at_once_ask_the_origin_once(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    bench.origin.put(OBJECT, "object", IMMUTABLE);
    bench.origin.holds_back();
    let (port, request) = (bench.edge.port(), Request::get(OBJECT));
    let mut answers = JoinSet::new();
    for _ in 0..20 {
        // Sent before anybody gets an answer.
        let sent = request.send(port).await.unwrap();
        answers.spawn(Answer::read(sent));
    }
    bench.origin.lets_go();
    while let Some(answer) = answers.join_next().await {
        assert!(is(&answer.unwrap().unwrap(), "object"));
    }
    assert_eq!(bench.origin.count(), 1);
}

of_each_edge! {
    one_copy_serves_all
    the_headers_alone_fetch_the_whole_object_once
    a_shared_age_counts_before_an_age
    what_may_not_be_kept_is_not
    a_quiet_edge_serves_what_is_new
    an_old_copy_is_asked_about_and_is_fresh_again
    a_tag_of_a_client_that_nobody_else_has_does_not_empty_the_answer
    an_old_copy_is_served_while_the_origin_fails
    a_failure_without_a_copy_is_503_and_is_not_kept
    a_missing_object_appears_at_once
    a_deleted_manifest_is_missing_and_not_old
    a_leaked_object_is_gone_after_a_purge
    a_body_that_is_cut_is_never_kept
    a_body_without_a_length_is_not_kept
    many_at_once_ask_the_origin_once
}
