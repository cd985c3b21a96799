//! What it costs: the page is what the counts and the prices give.

use flagstone_cloud::cost::{self, Counts, Prices, Traffic, Work, bill, page};

fn counts() -> Counts {
    let traffic = |requests, bytes| Traffic { requests, bytes };
    let none = Work {
        gateway: 0,
        admin: 0,
        publish: 0,
        table_reads: 0,
        table_writes: 0,
        bucket_reads: 0,
        bucket_writes: 0,
    };
    Counts {
        start: traffic(3, 5_000),
        poll: traffic(1, 200),
        client_change: traffic(1, 1_500),
        client_heartbeat: traffic(1, 1_200),
        origin: traffic(1, 300),
        change: Work { gateway: 1, admin: 1, publish: 1, table_writes: 3, ..none },
        sweep_streams: Work { publish: 1, table_reads: 2, ..none },
        sweep_log: Work { admin: 1, ..none },
        heartbeat: Work { publish: 1, table_reads: 2, table_writes: 2, bucket_writes: 1, ..none },
    }
}

/// Everything is free, and nothing happens, but what a test sets.
fn free() -> Prices {
    Prices {
        source: "a test".to_owned(),
        currency: "EUR".to_owned(),
        edge_million_requests: 0.0,
        edge_function_million: 0.0,
        edge_key_million: 0.0,
        edge_gb: 0.0,
        bucket_million_reads: 0.0,
        bucket_million_writes: 0.0,
        table_million_reads: 0.0,
        table_million_writes: 0.0,
        function_million: 0.0,
        function_gb_s: 0.0,
        gateway_million: 0.0,
        secret_million: 0.0,
        month: 0.0,
        units_of_a_read: 1.0,
        units_of_a_write: 1.0,
        admin_s: 1.0,
        admin_gb: 1.0,
        publish_s: 1.0,
        publish_gb: 1.0,
        changes_an_hour: 0.0,
        starts_a_day: 0.0,
        edge_places: 2.0,
        heartbeats_an_hour: 0.0,
        environments: 1.0,
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a person says to write the page")]
fn the_page_is_what_counts_and_prices_give() {
    let made = page(&cost::read("cost.json").unwrap(), &cost::read("prices.json").unwrap());
    if std::env::var_os("FLAGSTONE_WRITE_DOCS").is_some() {
        cost::write_page(&made).unwrap();
    }
    assert_eq!(cost::read_page().unwrap(), made, "write it anew with FLAGSTONE_WRITE_DOCS=1");
}

/// A client that polls every 10 s makes 360 polls an hour, 262,800 in a month of 730 hours.
#[test]
fn each_poll_of_each_client_is_paid_at_the_edge() {
    let prices = Prices { edge_million_requests: 1.0, edge_gb: 1.0, ..free() };
    let ten = bill(&counts(), &prices, 10.0, 10.0);
    assert!((ten.edge_requests - 2.628).abs() < 1e-9, "{ten:?}");
    // 2,628,000 answers of 200 bytes.
    assert!((ten.edge_bytes - 0.5256).abs() < 1e-9, "{ten:?}");
    assert!((ten.sum() - 3.1536).abs() < 1e-9, "{ten:?}");
}

#[test]
fn each_request_at_the_edge_is_checked_by_a_function_and_its_keys() {
    let prices = Prices { edge_function_million: 1.0, edge_key_million: 0.5, ..free() };
    let ten = bill(&counts(), &prices, 10.0, 10.0);
    // 2,628,000 requests.
    assert!((ten.edge_checks - 3.942).abs() < 1e-9, "{ten:?}");
    assert!((ten.sum() - 3.942).abs() < 1e-9, "{ten:?}");
}

#[test]
fn a_client_takes_the_manifest_whole_with_each_heartbeat_that_it_polls_after() {
    let prices = Prices { edge_gb: 1.0, heartbeats_an_hour: 12.0, ..free() };
    let bytes = |every_s| bill(&counts(), &prices, 1e6, every_s).edge_bytes;
    // 24 polls of 200 bytes, 12 of which are 1,000 bytes more.
    assert!((bytes(150.0) - 16_800.0 * 0.73).abs() < 1e-6, "{}", bytes(150.0));
    // Whoever polls six times an hour meets six: 1,200 bytes each time.
    assert!((bytes(600.0) - 7_200.0 * 0.73).abs() < 1e-6, "{}", bytes(600.0));
    let idle = page(&counts(), &prices);
    assert!(idle.contains("| polls every 150 s, idle | 24 | 16,800 |"), "{idle}");
    assert!(idle.contains("| polls every 150 s, with the change | 24 | 18,100 |"), "{idle}");
}

#[test]
fn the_secret_is_read_for_each_heartbeat_of_each_environment_and_each_change() {
    let prices = Prices {
        secret_million: 1.0,
        heartbeats_an_hour: 15.0,
        environments: 3.0,
        changes_an_hour: 2.0,
        ..free()
    };
    let control = bill(&counts(), &prices, 1.0, 10.0).control;
    assert!((control - 47.0 * 730.0 / 1e6).abs() < 1e-12, "{control}");
}

#[test]
fn the_bucket_is_asked_once_a_second_at_each_place_however_many_clients_poll() {
    let prices = Prices { bucket_million_reads: 1.0, ..free() };
    let few = bill(&counts(), &prices, 2.0, 10.0).bucket;
    assert!((few - 0.5256).abs() < 1e-9, "{few}");
    let many = |clients| bill(&counts(), &prices, clients, 10.0).bucket;
    // Two places, 3,600 seconds, 730 hours.
    assert!((many(1e5) - 5.256).abs() < 1e-9);
    assert_eq!(many(1e5), many(1e6));
}

#[test]
fn the_control_plane_costs_the_same_for_one_client_and_for_many() {
    let prices = Prices { function_million: 1.0, changes_an_hour: 2.0, ..free() };
    let control = bill(&counts(), &prices, 1.0, 10.0).control;
    // Two sweeps a minute, two changes an hour with two invocations each.
    assert!((control - (120.0 + 4.0) * 730.0 / 1e6).abs() < 1e-12, "{control}");
    assert_eq!(control, bill(&counts(), &prices, 1e6, 60.0).control);
}

#[test]
fn what_differs_by_more_than_noise_is_told() {
    let (written, mut now) = (counts(), counts());
    now.poll.bytes += 1;
    assert_eq!(now.difference(&written), None);
    now.poll.bytes += 20;
    assert!(now.difference(&written).unwrap().starts_with("poll: "));
    let mut now = counts();
    now.start.requests += 1;
    assert!(now.difference(&written).unwrap().starts_with("start: "));
    let mut now = counts();
    now.client_heartbeat.bytes += 100;
    assert!(now.difference(&written).unwrap().starts_with("client_heartbeat: "));
    let mut now = counts();
    now.change.table_writes += 3;
    assert_eq!(now.difference(&written), None);
    now.change.table_writes += 1;
    assert!(now.difference(&written).unwrap().starts_with("change: "));
}
