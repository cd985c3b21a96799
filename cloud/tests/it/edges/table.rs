//! The table of requests.

use flagstone_cloud::edge::EdgeKey;
use flagstone_cloud::http::Request;
use flagstone_cloud::requests::Table;

use super::origin::{IMMUTABLE, MANIFEST};
use super::{Bench, Edge, Kind, of_each_edge};

/// What lies where nobody may read.
const CANARY: &str = "canary of the private part of a bucket";

async fn every_request_is_answered_as_the_table_says(kind: Kind) {
    let table = Table::shipped().unwrap();
    let bench = Bench::new(kind, &table.edge_keys()).await;
    for object in table.objects() {
        let cache = if object.path.ends_with("/manifest") { MANIFEST } else { IMMUTABLE };
        bench.origin.put(&object.path, &object.body, cache);
    }
    for path in table.private() {
        bench.origin.put(path, CANARY, IMMUTABLE);
    }
    let mut faults = Vec::new();
    for row in table.rows() {
        let before = bench.origin.count();
        let answer = table.ask(row, bench.edge.port(), None).await.unwrap();
        let asked = bench.origin.count() - before;
        let mut found = table.faults(row, &answer);
        if row.asks != (asked > 0) && !row.is_served() {
            found.push(format!("the origin was asked {asked} times"));
        }
        if answer.header("strict-transport-security").is_some() {
            found.push("the bucket speaks for the edge's name".to_owned());
        }
        if answer.text().contains("canary") {
            found.push("what is private was told".to_owned());
        }
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", row.name)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for asked in bench.origin.asked() {
        assert_eq!(asked.method, "GET", "{asked:?}");
        assert!(
            asked.headers.keys().all(|name| ["host", "if-none-match"].contains(&name.as_str())),
            "nothing goes on but the path, and what is kept: {asked:?}"
        );
    }
}

async fn a_request_to_another_host_or_with_a_body_is_the_same_request(kind: Kind) {
    let bench = Bench::new(kind, &[]).await;
    let root = "/open/shop/v1/root/1";
    bench.origin.put(root, "root", IMMUTABLE);
    for request in [
        Request::get(root),
        Request::get(&format!("http://elsewhere.example{root}")),
        Request::get(root).header("content-length", "0"),
    ] {
        let answer = bench.ask(&request).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "root"), "{request:?}");
    }
    assert_eq!(bench.origin.count(), 1);
}

/// Varnish goes on with the request as it came when its configuration fails: then nothing of it was checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Varnish: cargo xtask test cdn"]
async fn a_request_that_varnish_fails_at_is_not_sent_on_and_not_answered_from_a_copy() {
    let (kept, other) = ("/closed/shop/v1/s/kept", "/closed/shop/v1/s/other");
    let (key, path) = (EdgeKey::new("fsk_k", "shop", "production"), "/shop/state/17-x.jsonl.zst");
    let bench = Bench::new(Kind::Varnish, &[key]).await;
    for path in [kept, other, path] {
        bench.origin.put(path, CANARY, IMMUTABLE);
    }
    let with_key = |path: &str| Request::get(path).header("x-flagstone-key", "fsk_k");
    assert_eq!(bench.ask(&with_key(kept)).await.status, 200);
    let Edge::Varnish(varnish) = &bench.edge else { panic!("another edge") };
    varnish.replace_key_table("failing", "sub flagstone_scope {\n    return (fail);\n}\n").unwrap();
    for asked in [kept, other, &format!("{other}?list-type=2")] {
        let answer = bench.ask(&with_key(asked)).await;
        assert_eq!((answer.status, answer.text().as_str()), (503, "unavailable\n"), "{asked}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{asked}");
    }
    assert_eq!(bench.ask(&with_key(path)).await.status, 404);
    assert_eq!(bench.origin.count(), 1, "only what was asked for before: {:?}", bench.origin.asked());
}

of_each_edge! {
    every_request_is_answered_as_the_table_says
    a_request_to_another_host_or_with_a_body_is_the_same_request
}
