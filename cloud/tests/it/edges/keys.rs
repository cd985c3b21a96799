//! Keys: rotation, and what is logged.

use core::time::Duration;

use flagstone_cloud::edge::EdgeKey;
use flagstone_cloud::http::Request;

use super::origin::{IMMUTABLE, Mode};
use super::{Bench, Kind, of_each_edge};

const SNAPSHOT: &str = "/closed/shop/v1/s/x";
const OLD: &str = "fsk_canary_old_4711";
const NEW: &str = "fsk_canary_new_4712";
/// How often a server is asked whether it has read its keys.
const PAUSE: Duration = Duration::from_millis(20);

fn with(key: &str) -> Request {
    Request::get(SNAPSHOT).header("x-flagstone-key", key)
}

async fn a_key_is_added_without_a_refusal_of_the_old_one(kind: Kind) {
    let (old, new) = (EdgeKey::new(OLD, "shop", "production"), EdgeKey::new(NEW, "shop", "production"));
    let bench = Bench::new(kind, std::slice::from_ref(&old)).await;
    bench.origin.put(SNAPSHOT, "snapshot", IMMUTABLE);
    assert_eq!(bench.ask(&with(OLD)).await.status, 200);
    assert_eq!(bench.ask(&with(NEW)).await.status, 403);

    bench.edge.replace_keys(&[old, new]);
    while bench.ask(&with(NEW)).await.status != 200 {
        assert_eq!(bench.ask(&with(OLD)).await.status, 200, "the old one opens all the time");
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(bench.ask(&with(OLD)).await.status, 200, "two live during a rotation");
    assert_eq!(bench.origin.count(), 1, "both read the same copy");
}

async fn a_revoked_key_is_refused_though_the_object_is_kept(kind: Kind) {
    let (old, new) = (EdgeKey::new(OLD, "shop", "production"), EdgeKey::new(NEW, "shop", "production"));
    let bench = Bench::new(kind, &[old, new.clone()]).await;
    bench.origin.put(SNAPSHOT, "snapshot", IMMUTABLE);
    assert_eq!(bench.ask(&with(OLD)).await.status, 200);

    bench.edge.replace_keys(&[new]);
    while bench.ask(&with(OLD)).await.status != 403 {
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(bench.ask(&with(NEW)).await.status, 200);
    assert_eq!(bench.origin.count(), 1, "what is kept stays");
}

async fn no_key_is_logged_or_told_to_the_origin(kind: Kind) {
    let bench = Bench::new(kind, &[EdgeKey::new(OLD, "shop", "production")]).await;
    bench.origin.put(SNAPSHOT, "snapshot", IMMUTABLE);
    let missing = Request::get("/closed/shop/v1/s/missing").header("x-flagstone-key", OLD);
    for mode in [Mode::Serves, Mode::CutsHeaders, Mode::Says(500), Mode::Hides] {
        bench.origin.does(mode);
        let twice = with(OLD).header("x-flagstone-key", NEW);
        for request in [&with(OLD), &with(NEW), &missing, &twice] {
            bench.ask(request).await;
        }
    }
    let logged = bench.edge.logged();
    assert!(logged.contains("/closed/shop/v1/s/missing"), "it does log: {logged}");
    assert!(!logged.contains("canary"), "{logged}");
    for asked in bench.origin.asked() {
        assert!(!format!("{asked:?}").contains("canary"), "{asked:?}");
    }
}

of_each_edge! {
    a_key_is_added_without_a_refusal_of_the_old_one
    a_revoked_key_is_refused_though_the_object_is_kept
    no_key_is_logged_or_told_to_the_origin
}
