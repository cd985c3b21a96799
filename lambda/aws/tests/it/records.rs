//! What real servers show of records and objects: lost answers, large data, and places that are not as they must be.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use flagstone_aws::dynamo::DynamoStore;
use flagstone_aws::s3::{PrivateBucket, PublicBucket};
use flagstone_aws::services::{Credentials, Endpoints, Services};
use flagstone_bundle::manifest::LogHead;
use flagstone_cloud::proxy::{Fault, Proxy, Rule};
use flagstone_model::digest::Digest;
use flagstone_model::key::ProjectId;
use flagstone_publisher::checkpoint::{self, Checkpoints as _};
use flagstone_publisher::log::conformance::draft;
use flagstone_publisher::log::{Appended, ChangeLog, Entry};
use flagstone_publisher::publication::{self, Publications as _};
use flagstone_publisher::store::{Etag, Expect, ObjectPath, ObjectStore as _, PutIf, PutNew};
use flagstone_publisher::trial;

use crate::places::{make_bucket, make_table_with};
use crate::world::{REGION, Tables, World, services};

/// More than an item's data may have.
const LARGE: usize = 300_000;

fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

async fn append(log: &dyn ChangeLog, words: &str) -> Entry {
    let head = log.head(&project()).await.unwrap();
    let entry = Entry::seal(draft(&project(), 1, words), head.as_ref()).unwrap();
    assert_eq!(log.append(&entry).await.unwrap(), Appended::Written);
    entry
}

/// The names below a prefix of the private bucket, each as often as it has versions.
async fn kept(world: &World, prefix: &str) -> Vec<String> {
    let found =
        world.services.s3().list_object_versions().bucket(&world.name).prefix(prefix).send().await.unwrap();
    found.versions().iter().filter_map(|version| version.key().map(str::to_owned)).collect()
}

/// The world's records and objects behind a proxy that loses the answer to the first request of this kind.
async fn losing(world: &World, target: &'static str) -> (Proxy, DynamoStore) {
    let proxy = Proxy::before(world.tables_port()).await.unwrap();
    proxy.rule(
        Rule::always(Fault::LoseAnswer)
            .times(1)
            .when(move |asked| asked.target.as_ref().is_some_and(|said| said.ends_with(target))),
    );
    let table = services(Some(proxy.url()), None, None).dynamodb();
    (proxy, DynamoStore::new(table, &world.name, world.private()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn a_write_whose_answer_was_lost_is_recognised_as_made() {
    let world = World::on(Tables::Dynoxide).await;
    for (turn, words) in ["small".to_owned(), "w".repeat(LARGE)].iter().enumerate() {
        let (proxy, records) = losing(&world, ".PutItem").await;
        let entry = append(&records, words).await;
        let puts =
            proxy.asked().iter().filter(|asked| asked.target.as_ref().unwrap().ends_with(".PutItem")).count();
        assert_eq!((entry.seq(), puts), (turn as u64 + 1, 2));
        assert_eq!(world.records().entry(&project(), entry.seq()).await.unwrap(), Some(entry));
    }
    let (_proxy, records) = losing(&world, ".UpdateItem").await;
    let (stream, claim) = (publication::conformance::stream("lost"), publication::conformance::claim(1, 1));
    let head = LogHead { seq: 1, hash: Digest::of(b"") };
    assert!(records.claim(&stream, 0, &claim, head).await.unwrap(), "it was its own claim");
    let (_proxy, records) = losing(&world, ".UpdateItem").await;
    let mark = checkpoint::conformance::mark(5);
    assert!(records.keep(&project(), &mark, b"state").await.unwrap(), "it was its own checkpoint");
    assert_eq!(records.stored(&project(), 5).await.unwrap().as_deref(), Some(&b"state"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn an_object_whose_answer_was_lost_is_there_and_told_as_met() {
    let world = World::on(Tables::Dynoxide).await;
    let proxy = Proxy::before(world.minio_port()).await.unwrap();
    let store = PublicBucket::new(services(None, Some(proxy.url()), None).s3(), &world.public_name());
    let path = ObjectPath::parse("open/shop/v1/root/1").unwrap();
    let lose = || Rule::always(Fault::LoseAnswer).times(1).when(|asked| asked.method == "PUT");
    proxy.rule(lose());
    assert_eq!(store.put_new(&path, b"one").await.unwrap(), PutNew::Exists { size: 3 });
    let seen = store.get(&path).await.unwrap().unwrap();
    assert_eq!(seen.bytes, b"one");
    proxy.rule(lose());
    assert_eq!(store.put_if(&path, b"two", &Expect::Is(seen.etag)).await.unwrap(), PutIf::Lost);
    assert_eq!(store.get(&path).await.unwrap().unwrap().bytes, b"two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn what_is_throttled_for_a_while_is_done_in_the_end() {
    let world = World::on(Tables::Dynoxide).await;
    let proxy = Proxy::before(world.tables_port()).await.unwrap();
    let table = services(Some(proxy.url()), None, None).dynamodb();
    let records = DynamoStore::new(table, &world.name, world.private());
    proxy.rule(Rule::always(Fault::Throttle).times(3));
    append(&records, "words").await;
    assert_eq!(records.head(&project()).await.unwrap().map(|head| head.seq), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn large_data_lies_in_the_private_bucket_and_goes_when_it_is_erased() {
    let world = World::on(Tables::Amazon).await;
    let records = world.records();
    append(&records, "small").await;
    assert_eq!(kept(&world, "data/").await.len(), 0);
    let large = append(&records, &"w".repeat(LARGE)).await;
    assert_eq!(kept(&world, "data/shop/0000000000000002/").await.len(), 1);
    assert_eq!(ChangeLog::read(&records, &project(), 1, 9).await.unwrap(), [large]);
    records.erase(&project(), 2).await.unwrap();
    assert_eq!(kept(&world, "data/").await.len(), 0, "erased data is still in the bucket");
    assert!(records.entry(&project(), 2).await.unwrap().unwrap().data.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn an_erasure_that_is_cut_off_or_met_by_a_reader_leaves_nothing_and_no_damage() {
    let world = World::on(Tables::Dynoxide).await;
    let proxy = Proxy::before(world.minio_port()).await.unwrap();
    let large = PrivateBucket::new(services(None, Some(proxy.url()), None).s3(), &world.name);
    let records = DynamoStore::new(world.services.dynamodb(), &world.name, large);
    for words in ["w", "v"] {
        append(&records, &words.repeat(LARGE)).await;
    }
    proxy.rule(Rule::always(Fault::Error { status: 403, code: "AccessDenied".to_owned() }));
    assert_eq!(records.erase(&project(), 1).await.unwrap_err().code(), "service-denied");
    assert!(world.records().entry(&project(), 1).await.unwrap().unwrap().data.is_none(), "the item is done");
    assert_eq!(kept(&world, "data/").await.len(), 2, "and the bucket is not");
    proxy.clear();
    records.erase(&project(), 1).await.unwrap();
    assert_eq!(kept(&world, "data/").await.len(), 1);

    // A reader has the item, and gets to its data when that is gone.
    proxy.rule(Rule::always(Fault::Delay(Duration::from_secs(2))).when(|asked| asked.method == "GET"));
    let reader = tokio::spawn(async move { records.entry(&project(), 2).await });
    while !proxy.asked().iter().any(|asked| asked.method == "GET" && asked.path.contains("data/")) {
        tokio::task::yield_now().await;
    }
    world.records().erase(&project(), 2).await.unwrap();
    assert!(reader.await.unwrap().unwrap().unwrap().data.is_none());
    assert_eq!(kept(&world, "data/").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn of_twins_with_large_data_one_is_written_and_keeps_its_data() {
    let world = World::on(Tables::Amazon).await;
    let mut twins = tokio::task::JoinSet::new();
    for _ in 0..8 {
        // The same words, each with a salt of its own.
        let (records, entry) =
            (world.records(), Entry::seal(draft(&project(), 1, &"w".repeat(LARGE)), None).unwrap());
        twins.spawn(async move { records.append(&entry).await.unwrap() == Appended::Written });
    }
    assert_eq!(twins.join_all().await.into_iter().filter(|won| *won).count(), 1);
    assert!(world.records().entry(&project(), 1).await.unwrap().unwrap().data.is_some());
    assert_eq!(kept(&world, "data/").await.len(), 1, "what the losers kept is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn a_log_that_was_restored_from_a_backup_takes_no_entry_behind_its_end() {
    let world = World::on(Tables::Amazon).await;
    let records = world.records();
    for words in ["one", "two", "three"] {
        append(&records, words).await;
    }
    let head = records.head(&project()).await.unwrap();
    let next = Entry::seal(draft(&project(), 1, "four"), head.as_ref()).unwrap();
    for seq in [2, 3] {
        let delete = world.services.dynamodb().delete_item().table_name(&world.name);
        let delete = delete
            .key("pk", AttributeValue::S("L#shop".into()))
            .key("sk", AttributeValue::N(seq.to_string()));
        delete.send().await.unwrap();
    }
    assert_eq!(records.append(&next).await.unwrap_err().code(), "log-not-next");
    assert_eq!(records.head(&project()).await.unwrap().map(|head| head.seq), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn places_that_are_not_as_they_must_be_are_told_by_real_servers_too() {
    let world = World::on(Tables::Amazon).await;
    let path = ObjectPath::parse("open/shop/v1/root/1").unwrap();
    let nowhere = DynamoStore::new(world.services.dynamodb(), "nowhere", world.private());
    assert_eq!(nowhere.head(&project()).await.unwrap_err().code(), "service-missing");
    let nowhere = PublicBucket::new(world.services.s3(), "nowhere");
    assert_eq!(nowhere.get(&path).await.unwrap_err().code(), "service-missing");
    assert_eq!(nowhere.head(&path).await.unwrap_err().code(), "service-missing");
    assert_eq!(nowhere.put_new(&path, b"").await.unwrap_err().code(), "service-missing");
    assert_eq!(
        nowhere.put_if(&path, b"", &Expect::Is(Etag::of(b""))).await.unwrap_err().code(),
        "service-missing"
    );
    assert_eq!(nowhere.inspect().await.unwrap_err().code(), "service-missing");

    for tables in [Tables::Amazon, Tables::Dynoxide] {
        let world = World::on(tables).await;
        let other = format!("{}-other", world.name);
        make_table_with(&world.services, &other, ["id", "number"]).await.unwrap();
        let foreign = DynamoStore::new(world.services.dynamodb(), &other, world.private());
        assert_eq!(foreign.head(&project()).await.unwrap_err().code(), "service-foreign");
        assert_eq!(foreign.entry(&project(), 1).await.unwrap_err().code(), "service-foreign");
    }

    let stranger = Credentials::new("stranger", "unknown".into(), None);
    let endpoints = Endpoints { s3: Some(world.minio_url()), ..Endpoints::default() };
    let stranger = PublicBucket::new(Services::new(REGION, stranger, endpoints).s3(), &world.public_name());
    assert_eq!(stranger.get(&path).await.unwrap_err().code(), "service-credentials");

    let plain = format!("{}-plain", world.name);
    make_bucket(&world.services, &plain, false).await.unwrap();
    let plain = PublicBucket::new(world.services.s3(), &plain);
    assert_eq!(plain.inspect().await.unwrap_err().code(), "bucket-unversioned");
    world.public().inspect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn a_trial_finds_that_both_kinds_of_tables_and_minio_can_be_trusted() {
    for tables in [Tables::Amazon, Tables::Dynoxide] {
        let world = World::on(tables).await;
        let told = trial::run(Arc::new(world.public()), Arc::new(world.records()), &project()).await.unwrap();
        assert!(told.is_trusted(), "{tables:?}: {told:?}");
    }
}
