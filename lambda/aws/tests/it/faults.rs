//! What services do, and say, instead of doing what they are asked, as they document it, from a proxy on a loopback port.

use std::sync::Arc;

use flagstone_aws::services::MAX_RETRIES;
use flagstone_aws::{dynamo::DynamoStore, s3::PrivateBucket, s3::PublicBucket};
use flagstone_cloud::careless::CarelessS3;
use flagstone_cloud::process::free_port;
use flagstone_cloud::proxy::{Fault, Proxy, Rule};
use flagstone_model::key::ProjectId;
use flagstone_publisher::log::ChangeLog as _;
use flagstone_publisher::publication::MemoryPublications;
use flagstone_publisher::store::{ObjectPath, ObjectStore as _};
use flagstone_publisher::trial::{self, RACERS, Verdict};

use crate::world::services;

/// Adapters that reach nobody but a proxy, behind which nobody listens.
async fn adapters() -> (Proxy, DynamoStore, PublicBucket) {
    let proxy = Proxy::before(free_port().unwrap()).await.unwrap();
    let services = services(Some(proxy.url()), Some(proxy.url()), None);
    let records =
        DynamoStore::new(services.dynamodb(), "records", PrivateBucket::new(services.s3(), "private"));
    let objects = PublicBucket::new(services.s3(), "public");
    (proxy, records, objects)
}

fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

fn path() -> ObjectPath {
    ObjectPath::parse("open/shop/v1/root/1").unwrap()
}

fn says(status: u16, code: &str) -> Rule {
    Rule::always(Fault::Error { status, code: code.to_owned() })
}

#[tokio::test]
async fn a_table_that_is_not_set_up_as_it_must_be_is_told_by_a_code_of_its_own() {
    let (proxy, records, _) = adapters().await;
    for (status, said, code) in [
        (400, "AccessDeniedException", "service-denied"),
        (400, "ResourceNotFoundException", "service-missing"),
        (400, "UnrecognizedClientException", "service-credentials"),
        (400, "ExpiredTokenException", "service-credentials"),
        (403, "RequestTimeTooSkewed", "service-clock"),
    ] {
        proxy.clear();
        proxy.rule(says(status, said));
        let error = records.head(&project()).await.unwrap_err();
        assert_eq!(error.code(), code, "{said}: {error}");
        let told = error.to_string();
        assert!(told.contains("the table `records`") && told.contains(said), "{told}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_set_up_as_it_must_be_is_told_by_a_code_of_its_own() {
    let (proxy, _, objects) = adapters().await;
    for (status, said, code) in [
        (403, "AccessDenied", "service-denied"),
        (404, "NoSuchBucket", "service-missing"),
        (301, "PermanentRedirect", "service-region"),
        (400, "AuthorizationHeaderMalformed", "service-region"),
        (403, "RequestTimeTooSkewed", "service-clock"),
        (403, "InvalidAccessKeyId", "service-credentials"),
        (400, "ExpiredToken", "service-credentials"),
    ] {
        proxy.clear();
        proxy.rule(says(status, said));
        let read = objects.get(&path()).await.unwrap_err();
        let written = objects.put_new(&path(), b"x").await.unwrap_err();
        assert_eq!((read.code(), written.code()), (code, code), "{said}: {read}; {written}");
        assert!(read.to_string().contains("the bucket `public`"), "{read}");
    }
}

#[tokio::test]
async fn throttling_is_retried_and_then_told_as_busy() {
    let (proxy, records, objects) = adapters().await;
    proxy.rule(Rule::always(Fault::Throttle));
    assert_eq!(records.head(&project()).await.unwrap_err().code(), "storage-busy");
    let tries = u64::from(MAX_RETRIES) + 1;
    assert_eq!(proxy.asked().len() as u64, tries);
    assert_eq!(objects.put_new(&path(), b"x").await.unwrap_err().code(), "store-busy");
    assert_eq!(proxy.asked().len() as u64, 2 * tries);
}

#[tokio::test]
async fn a_service_that_nobody_reaches_is_unavailable() {
    let (proxy, records, objects) = adapters().await;
    proxy.rule(Rule::always(Fault::Refuse));
    let error = records.head(&project()).await.unwrap_err();
    assert_eq!(error.code(), "storage-unavailable");
    assert_eq!(objects.get(&path()).await.unwrap_err().code(), "store-unavailable");
}

#[tokio::test]
async fn a_bucket_that_ignores_conditions_is_found() {
    let careless = CarelessS3::start().await.unwrap();
    let objects = PublicBucket::new(services(None, Some(careless.url()), None).s3(), "public");
    let items = Arc::new(MemoryPublications::new());
    let told = trial::run(Arc::new(objects), items, &project()).await.unwrap();
    let races: Vec<_> = told.races.iter().map(|race| (race.won, race.verdict)).collect();
    let ignored = |won| (won, Verdict::Ignored);
    assert_eq!(races, [ignored(RACERS), ignored(RACERS), ignored(3), (1, Verdict::Fair)]);
    assert!(told.is_ignored());
}
