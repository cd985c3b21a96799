//! The real `bootstrap` programs, driven as Lambda drives them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flagstone_bundle::manifest::{Manifest, Stream, UnverifiedManifest};
use flagstone_cloud::bridge::Bridge;
use flagstone_cloud::lambda::service::InvokeApi;
use flagstone_cloud::lambda::{Function, MAX_EVENT_BYTES, Outcome, Setup};
use flagstone_cloud::minio::CREDENTIALS;
use flagstone_cloud::proxy::{Fault, Proxy, Rule};
use flagstone_cloud::secrets::Secrets;
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::clock::{Clock as _, SystemClock};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::ChangeLog as _;
use flagstone_publisher::publish::Layout;
use flagstone_publisher::store::ObjectStore as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{Tables, World};

const TOKEN: &str = "fat_admin_canary";
const SECRET: &str = "shop/manifest-key";
/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9";
const PRODUCTION: &str = "/v1/projects/shop/environments/production";

fn project() -> ProjectId {
    ProjectId::parse("shop").unwrap()
}

fn of_both(setup: Setup) -> Setup {
    setup
        .with("AWS_ACCESS_KEY_ID", CREDENTIALS.0)
        .with("AWS_SECRET_ACCESS_KEY", CREDENTIALS.1)
        .with("AWS_ENDPOINT_URL_DYNAMODB", NOWHERE)
        .with("AWS_ENDPOINT_URL_S3", NOWHERE)
        .with("FLAGSTONE_PROJECT", "shop")
        .with("FLAGSTONE_TABLE", "flagstone")
        .with("FLAGSTONE_PRIVATE_BUCKET", "flagstone-private")
}

fn admin() -> Setup {
    of_both(Setup::new("admin", env!("CARGO_BIN_EXE_admin")))
        .with("AWS_ENDPOINT_URL_LAMBDA", NOWHERE)
        .with("FLAGSTONE_PUBLISH_FUNCTION", "publish")
        .with("FLAGSTONE_ADMIN_TOKEN_SHA256", Digest::of(TOKEN.as_bytes()).to_string())
}

/// A request as API Gateway hands it over.
fn request(method: &str, path: &str, body: &str) -> Value {
    json!({
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"authorization": format!("Bearer {TOKEN}"), "content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        "body": body,
        "isBase64Encoded": false,
    })
}

async fn invoke(function: &Function, event: &Value) -> Result<Value, Value> {
    match function.invoke(event.to_string().into_bytes()).await.unwrap() {
        Outcome::Answered(told) => Ok(serde_json::from_slice(&told).unwrap()),
        Outcome::Failed(told) => Err(serde_json::from_slice(&told).unwrap()),
    }
}

/// Status and document of an answer.
async fn ask(function: &Function, method: &str, path: &str, body: &str) -> (u64, Value) {
    let answer = invoke(function, &request(method, path, body)).await.unwrap();
    let text = answer["body"].as_str().unwrap();
    (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(text).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_function_that_is_configured_wrongly_says_so_in_one_sentence_and_does_not_start() {
    let broken =
        Function::new(admin().with("FLAGSTONE_TABLE", "").with("FLAGSTONE_SIGNING_SECRET", "canary"));
    let told = invoke(&broken, &json!({})).await.unwrap_err();
    let sentence = "the configuration of the admin function is wrong: `FLAGSTONE_SIGNING_SECRET` belongs to the \
                    publish function only; `FLAGSTONE_TABLE` is missing: the DynamoDB table of the records";
    assert_eq!(
        (told["errorType"].as_str(), told["errorMessage"].as_str()),
        (Some("configuration"), Some(sentence))
    );
    assert_eq!(broken.said(), format!("{sentence}\n"));
    assert_eq!(broken.instances(), 0);

    let empty = Function::new(Setup::new("publish", env!("CARGO_BIN_EXE_publish")));
    let told = invoke(&empty, &json!({})).await.unwrap_err();
    let message = told["errorMessage"].as_str().unwrap();
    for name in [
        "FLAGSTONE_PROJECT",
        "FLAGSTONE_BUCKET",
        "FLAGSTONE_ROOT",
        "FLAGSTONE_SIGNING_SECRET",
        "AWS_ACCESS_KEY_ID",
    ] {
        assert!(message.contains(&format!("`{name}` is missing")), "{message}");
    }
}

#[tokio::test]
async fn a_function_starts_without_its_stores_and_is_used_again_after_a_freeze() {
    let function = Function::new(admin());
    for _ in 0..3 {
        let (status, _) = ask(&function, "GET", "/openapi.json", "").await;
        assert_eq!(status, 200);
    }
    assert_eq!((function.starts(), function.instances()), (1, 1));
}

#[tokio::test]
async fn an_event_of_the_wrong_shape_is_refused_and_the_function_goes_on() {
    let function = Function::new(admin());
    let detail = async |event: Value| {
        let told = invoke(&function, &event).await.unwrap_err();
        assert_eq!(told["errorType"], "wrong-event");
        told["errorMessage"].as_str().unwrap().to_owned()
    };
    assert!(detail(json!({"Records": [{"s3": "canary"}]})).await.ends_with("this event has `Records`"));
    let v1 = json!({"httpMethod": "GET", "path": "/", "requestContext": {"stage": "x"}});
    assert_eq!(detail(v1).await, "the payload format is 1.0; set it to 2.0");
    let mut torn = request("PUT", "/v1/projects/shop/lists", "canary body");
    torn["isBase64Encoded"] = json!(true);
    assert_eq!(detail(torn).await, "the event of a request has a body that is not base64");
    assert!(detail(json!([1, 2])).await.ends_with("this event has no members"));
    assert_eq!(ask(&function, "GET", "/openapi.json", "").await.0, 200);
    assert_eq!(function.starts(), 1);
    assert!(!function.said().contains("canary"), "{}", function.said());
}

#[tokio::test]
async fn a_stage_is_no_part_of_the_path_behind_a_gateway() {
    let bridge = Bridge::start(Function::new(admin()), "prod").await.unwrap();
    let address = bridge.url();
    let mut stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).await.unwrap();
    stream
        .write_all(b"GET /prod/openapi.json HTTP/1.1\r\nhost: [\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-request-id: local-0"), "{answer:.300}");
}

/// Both functions over tables, buckets, and a secret of one test, with a proxy before the buckets of the publisher.
struct Cloud {
    world: World,
    keys: Keys,
    admin: Function,
    publish: Function,
    bucket: Proxy,
    _invocations: InvokeApi,
    _secrets: Secrets,
    _directory: TempDir,
}

impl Cloud {
    async fn new(time_out: Duration) -> Self {
        let world = World::on(Tables::Dynoxide).await;
        let directory = TempDir::new().unwrap();
        let keys = Keys::open(directory.path(), &project(), SystemClock.now_ms()).await.unwrap();
        let secrets = Secrets::start().await.unwrap();
        secrets.put(SECRET, &std::fs::read_to_string(directory.path().join("manifest.key")).unwrap());
        let bucket = Proxy::before(world.servers.minio.port()).await.unwrap();
        let stores = |setup: Setup, s3: &str| {
            of_both(setup)
                .with("AWS_ENDPOINT_URL_DYNAMODB", world.servers.tables.url())
                .with("AWS_ENDPOINT_URL_S3", s3)
                .with("FLAGSTONE_TABLE", &world.name)
                .with("FLAGSTONE_PRIVATE_BUCKET", &world.name)
        };
        let publish = stores(Setup::new("publish", env!("CARGO_BIN_EXE_publish")), &bucket.url())
            .with("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.url())
            .with("FLAGSTONE_BUCKET", world.public_name())
            .with("FLAGSTONE_SIGNING_SECRET", SECRET)
            .with("FLAGSTONE_ROOT", BASE64.encode(keys.root().file()));
        let publish = Function::new(Setup { timeout: time_out, ..publish });
        let invocations = InvokeApi::start([publish.clone()]).await.unwrap();
        let admin =
            stores(admin(), &world.servers.minio.url()).with("AWS_ENDPOINT_URL_LAMBDA", invocations.url());
        let admin = Function::new(admin);
        let cloud = Self {
            world,
            keys,
            admin,
            publish,
            bucket,
            _invocations: invocations,
            _secrets: secrets,
            _directory: directory,
        };
        let (status, told) =
            cloud.ask("POST", "/v1/projects/shop/environments", r#"{"id":"production"}"#).await;
        assert_eq!(status, 201, "{told} {}", cloud.admin.said());
        cloud
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u64, Value) {
        ask(&self.admin, method, path, body).await
    }

    /// Makes a flag; its seq, and how far it has got in production.
    async fn create(&self, key: &str) -> (u64, String) {
        let body = json!({"key": key, "type": "bool"}).to_string();
        let (status, told) = self.ask("POST", "/v1/projects/shop/flags", &body).await;
        assert_eq!(status, 201, "{told}");
        let state = told["publication"]["production"]["server"]["state"].as_str().unwrap().to_owned();
        (told["seq"].as_u64().unwrap(), state)
    }

    async fn manifest(&self) -> Manifest {
        let environment = EnvironmentId::parse("production").unwrap();
        let stream = Stream { project: project(), environment, view: ViewId::server() };
        let path = Layout::of(&stream).manifest().unwrap();
        let bytes = self.world.public().get(&path).await.unwrap().unwrap().bytes;
        UnverifiedManifest::parse(&bytes).unwrap().verify(self.keys.root(), &stream).unwrap()
    }

    async fn announced_seq(&self) -> u64 {
        self.manifest().await.log().unwrap().seq
    }

    /// Sweeps until that is announced: a lease of one that was killed is waited for.
    async fn swept_to(&self, seq: u64) {
        for _ in 0..100 {
            // What fails here is tried again, and shown by the manifest in the end.
            let _ = invoke(&self.publish, &json!({"do": "sweep"})).await;
            if self.announced_seq().await == seq {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("it is never announced: {}", self.publish.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn what_one_function_appends_the_other_announces() {
    let cloud = Cloud::new(Duration::from_secs(30)).await;
    let (seq, state) = cloud.create("a").await;
    assert_eq!((seq, state.as_str()), (3, "announced"), "project, environment, flag");
    let manifest = cloud.manifest().await;
    assert_eq!((manifest.log().unwrap().seq, manifest.lines()), (3, 2));
    let starts = (cloud.admin.starts(), cloud.publish.starts());
    assert_eq!(starts, (1, 1), "frozen and used again");
    let (status, told) = cloud.ask("GET", &format!("{PRODUCTION}/publication"), "").await;
    assert_eq!((status, &told["server"]["state"]), (200, &json!("announced")));
    assert_eq!(told["server"]["alarm"], Value::Null);
    assert_eq!(invoke(&cloud.admin, &json!({"do": "sweep"})).await, Ok(json!({"done": null})));
    assert_eq!(invoke(&cloud.publish, &json!({"do": "sweep"})).await, Ok(json!({"done": null})));
    let said = cloud.admin.said() + &cloud.publish.said();
    assert!(!said.contains(TOKEN) && !said.contains(CREDENTIALS.1) && !said.contains("PRIVATE"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn a_publication_that_is_killed_at_its_deadline_is_finished_by_the_sweep() {
    let cloud = Cloud::new(Duration::from_secs(4)).await;
    cloud.create("a").await;
    let version = cloud.manifest().await.version();
    // The pointer can not be moved, and the function can not notice before Lambda ends it.
    let is_manifest = |asked: &flagstone_cloud::proxy::Asked| {
        asked.method == "PUT" && asked.path.split('?').next().is_some_and(|path| path.ends_with("/manifest"))
    };
    cloud.bucket.rule(Rule::always(Fault::Delay(Duration::from_mins(1))).when(is_manifest));
    let (seq, state) = cloud.create("b").await;
    assert_eq!(state, "pending");
    assert_eq!(cloud.manifest().await.version(), version);
    cloud.publish.kill_busy();
    cloud.bucket.clear();
    cloud.swept_to(seq).await;
    let (_, state) = cloud.create("c").await;
    assert_eq!(state, "announced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn a_function_that_runs_out_of_time_stops_before_lambda_ends_it() {
    let cloud = Cloud::new(Duration::from_secs(2)).await;
    cloud.create("a").await;
    cloud.bucket.rule(Rule::always(Fault::Delay(Duration::from_mins(1))));
    let told = invoke(&cloud.publish, &json!({"do": "sweep"})).await.unwrap_err();
    assert_eq!(told["errorType"], "deadline", "{told}");
    cloud.bucket.clear();
    let starts = cloud.publish.starts();
    let (seq, _) = cloud.create("b").await;
    cloud.swept_to(seq).await;
    assert_eq!(cloud.publish.starts(), starts, "it was not killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn a_change_is_made_though_nobody_publishes() {
    let cloud = Cloud::new(Duration::from_secs(30)).await;
    let no_more =
        Function::new(Setup { most_instances: 0, ..Setup::new("publish", env!("CARGO_BIN_EXE_publish")) });
    let throttled = InvokeApi::start([no_more]).await.unwrap();
    let stores = |setup: Setup| {
        setup
            .with("AWS_ENDPOINT_URL_DYNAMODB", cloud.world.servers.tables.url())
            .with("AWS_ENDPOINT_URL_S3", cloud.world.servers.minio.url())
            .with("FLAGSTONE_TABLE", &cloud.world.name)
            .with("FLAGSTONE_PRIVATE_BUCKET", &cloud.world.name)
    };
    let port = throttled.url().rsplit(':').next().unwrap().parse().unwrap();
    let denying = Proxy::before(port).await.unwrap();
    denying.rule(Rule::always(Fault::Error { status: 403, code: "AccessDeniedException".to_owned() }));
    let mut seq = 0;
    for (lambda, function, alarm) in [
        (throttled.url(), "publish", Value::Null),
        (throttled.url(), "other", json!("service-missing")),
        (denying.url(), "publish", json!("service-denied")),
        (NOWHERE.to_owned(), "publish", Value::Null),
    ] {
        let alone = stores(admin())
            .with("AWS_ENDPOINT_URL_LAMBDA", lambda)
            .with("FLAGSTONE_PUBLISH_FUNCTION", function);
        let alone = Function::new(alone);
        let body = json!({"key": format!("f-{seq}"), "type": "bool"}).to_string();
        let (status, told) = ask(&alone, "POST", "/v1/projects/shop/flags", &body).await;
        let server = &told["publication"]["production"]["server"];
        assert_eq!((status, &server["state"], &server["alarm"]), (201, &json!("pending"), &alarm), "{told}");
        let code = alarm.as_str().unwrap_or("publisher-unavailable");
        assert!(alone.said().contains(code), "{}", alone.said());
        let (status, asked) = ask(&alone, "GET", &format!("{PRODUCTION}/publication"), "").await;
        assert_eq!((status, &asked["server"]["alarm"]["code"]), (200, &json!(code)), "{asked}");
        seq = told["seq"].as_u64().unwrap();
    }
    assert_eq!(cloud.world.records().head(&project()).await.unwrap().unwrap().seq, seq);
    cloud.swept_to(seq).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn stores_are_tried_from_outside_by_the_function_that_writes_them() {
    let cloud = Cloud::new(Duration::from_secs(30)).await;
    let (status, told) = cloud.ask("POST", "/v1/projects/shop/doctor", "{}").await;
    assert_eq!((status, &told["trusted"]), (200, &json!(true)), "{told}");
    assert_eq!(told["races"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn what_is_wrong_with_the_publishers_services_is_told_to_who_asks() {
    let cloud = Cloud::new(Duration::from_secs(30)).await;
    let rebuild = format!("{PRODUCTION}/publish");
    let told = async |status: u64, code: &str| {
        let (told_status, told) = cloud.ask("POST", &rebuild, r#"{"rebuild":true}"#).await;
        assert_eq!((told_status, &told["code"]), (status, &json!(code)), "{told} {}", cloud.publish.said());
        assert!(!told.to_string().contains(&cloud.world.name), "{told}");
    };
    for (status, said, code) in [
        (403, "AccessDenied", "service-denied"),
        (404, "NoSuchBucket", "service-missing"),
        (400, "ExpiredToken", "service-credentials"),
    ] {
        cloud.bucket.rule(Rule::always(Fault::Error { status, code: said.to_owned() }));
        told(503, code).await;
        cloud.bucket.clear();
        assert!(cloud.publish.said().contains(code), "{}", cloud.publish.said());
    }
    cloud.bucket.rule(Rule::always(Fault::Throttle));
    told(503, "busy").await;
    cloud.bucket.clear();
    assert_eq!(cloud.ask("POST", &rebuild, r#"{"rebuild":true}"#).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn connections_that_died_during_a_freeze_are_made_anew() {
    let cloud = Cloud::new(Duration::from_secs(30)).await;
    cloud.create("a").await;
    // Everything that is kept open is cut while both functions are frozen.
    cloud.bucket.rule(Rule::always(Fault::Refuse).times(2));
    let (seq, state) = cloud.create("b").await;
    assert_eq!(state, "announced");
    assert_eq!(cloud.announced_seq().await, seq);
    assert_eq!((cloud.admin.starts(), cloud.publish.starts()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs servers: cargo xtask test servers"]
async fn a_request_is_taken_and_an_answer_given_up_to_lambdas_limit() {
    let cloud = Cloud::new(Duration::from_secs(30)).await;
    let path = format!("{PRODUCTION}/lists/beta");
    let frame = request("PUT", &path, "").to_string().len();
    // In an event the end of a line is two bytes.
    let keys =
        |size: usize| -> String { (0..size / 102).map(|n| format!("{n:08}{}\n", "k".repeat(92))).collect() };
    let mut event = request("PUT", &path, "");
    event["headers"]["content-type"] = json!("text/plain");
    let frame = frame.max(event.to_string().len());
    let body = keys(MAX_EVENT_BYTES - frame);
    event["body"] = json!(body);
    let size = event.to_string().len();
    assert!(size <= MAX_EVENT_BYTES && size > MAX_EVENT_BYTES - 200, "{size}");
    let answer = invoke(&cloud.admin, &event).await.unwrap();
    assert!([200, 201].contains(&answer["statusCode"].as_u64().unwrap()), "{answer:.500}");

    // With some more of them the keys are more than one answer holds.
    let add: Vec<String> = (0..1_000).map(|n| format!("more-{n:08}{}", "k".repeat(90))).collect();
    let (status, told) = cloud.ask("PATCH", &path, &json!({ "add": add }).to_string()).await;
    assert_eq!(status, 200, "{told}");
    let mut all = request("GET", &format!("{path}/keys"), "");
    all["headers"]["accept"] = json!("text/plain");
    let answer = invoke(&cloud.admin, &all).await.unwrap();
    let told: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!((&answer["statusCode"], &told["code"]), (&json!(500), &json!("answer-too-large")), "{told}");
    let (status, told) = cloud.ask("GET", &format!("{path}/keys"), "").await;
    assert_eq!(status, 200, "{told:.300}");
}
