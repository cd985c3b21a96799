//! A project in memory, with its API and its CDN.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use flagstone_admin::Limits;
use flagstone_admin::auth::{AdminToken, Principal, ProjectTokens};
use flagstone_admin::cdn::{self, KeyScope, ProjectSdkKeys, StaticSdkKeys};
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ProjectId, ViewId};
use flagstone_publisher::checkpoint::MemoryCheckpoints;
use flagstone_publisher::clock::ManualClock;
use flagstone_publisher::control::{ControlPlane, Operation, Ports, Precondition, Write};
use flagstone_publisher::keys::Keys;
use flagstone_publisher::log::{
    Actor, ActorKind, Appended, ChangeLog, Entry, Head, LogError, MemoryLog, SdkKeyId, TokenId,
};
use flagstone_publisher::private_object::MemoryObjects;
use flagstone_publisher::publication::MemoryPublications;
use flagstone_publisher::publish::Options;
use flagstone_publisher::state::change::New;
use flagstone_publisher::storage::StorageError;
use flagstone_publisher::store::{MemoryStore, ObjectStore};
use tower::ServiceExt;

use crate::canary;
use crate::contract::{self, Asked};

/// 2026-11-21T12:00:00Z
pub(crate) const NOW_MS: i64 = 1_795_262_400_000;
/// The token of the one who may do everything.
pub(crate) const TOKEN: &str = "fat_canary-token-4711";
/// The SDK key of each environment, and of one in another project.
pub(crate) const PRODUCTION_KEY: &str = "fsk_canary-production-4712";
pub(crate) const STAGING_KEY: &str = "fsk_canary-staging-4713";
pub(crate) const FOREIGN_KEY: &str = "fsk_canary-foreign-4714";

/// Makes idempotency keys of requests that have none of their own.
static KEYS: AtomicU64 = AtomicU64::new(0);

/// The API and the CDN over memory.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) app: Router,
    pub(crate) log: Arc<BlockableLog>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) project: ProjectId,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) control: ControlPlane,
    cdn: Router,
}

/// A log in memory that can be out of reach.
#[derive(Default)]
pub(crate) struct BlockableLog {
    pub(crate) inner: MemoryLog,
    pub(crate) is_blocked: AtomicBool,
}

impl BlockableLog {
    fn check(&self) -> Result<(), LogError> {
        if self.is_blocked.load(Ordering::SeqCst) { Err(StorageError::Busy.into()) } else { Ok(()) }
    }
}

#[async_trait]
impl ChangeLog for BlockableLog {
    async fn append(&self, entry: &Entry) -> Result<Appended, LogError> {
        self.check()?;
        self.inner.append(entry).await
    }

    async fn read(&self, project: &ProjectId, after_seq: u64, limit: usize) -> Result<Vec<Entry>, LogError> {
        self.check()?;
        self.inner.read(project, after_seq, limit).await
    }

    async fn head(&self, project: &ProjectId) -> Result<Option<Head>, LogError> {
        self.check()?;
        self.inner.head(project).await
    }

    async fn entry(&self, project: &ProjectId, seq: u64) -> Result<Option<Entry>, LogError> {
        self.check()?;
        self.inner.entry(project, seq).await
    }

    async fn erase(&self, project: &ProjectId, seq: u64) -> Result<(), LogError> {
        self.check()?;
        self.inner.erase(project, seq).await
    }
}

/// A request to be made.
#[derive(Debug)]
pub(crate) struct Ask {
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    authorization: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl World {
    /// A project `demo` with the environments `production` and `staging`, and no flag.
    pub(crate) async fn new() -> Self {
        canary::listen();
        let project = ProjectId::parse("demo").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::open(directory.path(), &project, NOW_MS).await.unwrap();
        let (log, store) = (Arc::new(BlockableLog::default()), Arc::new(MemoryStore::new()));
        keys.publish_root(&*store).await.unwrap();
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let ports = Ports {
            log: Arc::clone(&log) as Arc<dyn ChangeLog>,
            checkpoints: Arc::new(MemoryCheckpoints::new()),
            objects: Arc::new(MemoryObjects::new()),
            publications: Arc::new(MemoryPublications::new()),
            store: Arc::clone(&store) as Arc<dyn ObjectStore>,
            signer: Arc::new(keys.clone()),
            clock: Arc::<ManualClock>::clone(&clock),
        };
        let root = keys.root().clone();
        let control = ControlPlane::new(project.clone(), root, ports, Options::default());
        let first = Operation::CreateProject(Json::object([("id", Json::from("demo"))]));
        control.write(first, system()).await.unwrap();
        let scope = |project: &str, environment: &str| KeyScope {
            project: ProjectId::parse(project).unwrap(),
            environment: EnvironmentId::parse(environment).unwrap(),
        };
        let sdk_keys = StaticSdkKeys::new([
            (PRODUCTION_KEY.into(), scope("demo", "production")),
            (STAGING_KEY.into(), scope("demo", "staging")),
            (FOREIGN_KEY.into(), scope("other", "production")),
        ]);
        let sdk_keys = ProjectSdkKeys::new(control.clone(), Arc::new(sdk_keys));
        let cdn = cdn::router(Arc::clone(&store) as Arc<dyn ObjectStore>, Arc::new(sdk_keys));
        let mut world = Self { app: Router::new(), log, store, project, clock, control, cdn };
        world.serve(flagstone_admin::Options { limits: Limits::NONE, ..flagstone_admin::Options::default() });
        // Read now, so that no test finds the line about it among its own.
        contract::of(&world).await;
        for id in ["production", "staging"] {
            let body = format!(r#"{{"id":"{id}"}}"#);
            world.expect(StatusCode::CREATED, post("/v1/projects/demo/environments", &body)).await;
        }
        world
    }

    /// Serves it from now on with another router.
    pub(crate) fn serve(&mut self, options: flagstone_admin::Options) {
        let principal = Principal { name: Some("Ada Canary".into()), ..Principal::admin("admin") };
        self.serve_with(principal, options);
    }

    /// Serves it from now on as if the token were somebody else's.
    pub(crate) fn serve_to(&mut self, principal: Principal) {
        self.serve_with(principal, flagstone_admin::Options::default());
    }

    /// Serves the bucket from now on to those who have these keys.
    pub(crate) fn serve_cdn_to(&mut self, keys: StaticSdkKeys) {
        self.cdn = cdn::router(Arc::clone(&self.store) as Arc<dyn ObjectStore>, Arc::new(keys));
        self.serve(flagstone_admin::Options { limits: Limits::NONE, ..flagstone_admin::Options::default() });
    }

    fn serve_with(&mut self, principal: Principal, options: flagstone_admin::Options) {
        let bootstrap = AdminToken::new(TOKEN, principal);
        let tokens = Arc::new(ProjectTokens::new(self.control.clone(), Some(bootstrap)));
        self.app =
            flagstone_admin::router_with(self.control.clone(), tokens, options).merge(self.cdn.clone());
    }

    /// The same with some flags and a segment: `needs-payments` needs `payments`, `new-checkout` asks for the segment
    /// `beta`, `old-banner` is archived.
    pub(crate) async fn with_flags() -> Self {
        let world = Self::new().await;
        let (flags, e) = ("/v1/projects/demo/flags", "/v1/projects/demo/environments/production");
        for key in ["new-checkout", "dark-mode", "payments", "needs-payments", "old-banner"] {
            let body = format!(r#"{{"key":"{key}","type":"bool"}}"#);
            world.expect(StatusCode::CREATED, post(flags, &body)).await;
        }
        world.expect(StatusCode::OK, delete(&format!("{flags}/old-banner"))).await;
        let segment = r#"{"rules":[{"if":[{"attr":"email","ends":["@example.com"]}]}]}"#;
        world.expect(StatusCode::CREATED, put(&format!("{e}/segments/beta"), segment)).await;
        for (key, body) in [
            (
                "needs-payments",
                r#"{"on":true,"prerequisites":[{"flag":"payments","is":["on"]}],"fallthrough":{"serve":"on"}}"#,
            ),
            (
                "new-checkout",
                r#"{"on":false,"off":"off","rules":[{"id":"beta","if":[{"segment":["beta"]}],"serve":"on"}],"fallthrough":{"serve":"off"}}"#,
            ),
        ] {
            world.expect(StatusCode::OK, put(&format!("{e}/flags/{key}"), body)).await;
        }
        world
    }

    /// Makes a token by the API; its id and its text.
    pub(crate) async fn token(&self, body: &str) -> (String, String) {
        let told = self.expect(StatusCode::CREATED, post("/v1/projects/demo/tokens", body)).await.json();
        let text = |name| told.member(name).and_then(Json::as_str).unwrap().to_owned();
        (text("id"), text("token"))
    }

    /// Adds the token `t_example` and, to `production`, the SDK key `k_example`, which are nobody's.
    pub(crate) async fn add_examples(&self) {
        let body = |text: &str| Json::parse(text.as_bytes()).unwrap().into_owned();
        let token = New {
            id: TokenId::parse("t_example").unwrap(),
            sha256: Digest::of(b"nobody's token"),
            body: body(r#"{"name":"example","role":"viewer","environments":["staging"]}"#),
            now_ms: NOW_MS,
        };
        self.control.write(Operation::CreateToken(token), system()).await.unwrap();
        let key = New {
            id: SdkKeyId::parse("k_example").unwrap(),
            sha256: Digest::of(b"nobody's key"),
            body: body(r#"{"name":"example"}"#),
            now_ms: NOW_MS,
        };
        let production = EnvironmentId::parse("production").unwrap();
        self.control.write(Operation::CreateSdkKey(production, key), system()).await.unwrap();
        let (view, all) = (ViewId::parse("mobile").unwrap(), r#"{"audience":"public","include":"client"}"#);
        self.control.write(Operation::PutView(view, body(all)), system()).await.unwrap();
    }

    /// Makes a request, and holds what comes back against the OpenAPI document.
    pub(crate) async fn ask(&self, ask: Ask) -> Told {
        let asked = Asked { method: ask.method.clone(), uri: ask.uri.clone(), body: ask.body.clone() };
        let told = self.ask_freely(ask).await;
        contract::check(self, &asked, &told).await;
        canary::check();
        told
    }

    /// Makes a request.
    pub(crate) async fn ask_freely(&self, ask: Ask) -> Told {
        let mut request = Request::builder().method(ask.method.as_str()).uri(&ask.uri);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = &ask.authorization {
            request = request.header("authorization", authorization);
        }
        for name in ["cookie", "referer", "x-forwarded-for"] {
            request = request.header(name, format!("canary-{name}"));
        }
        let is_write = !matches!(ask.method.as_str(), "GET" | "HEAD");
        if is_write && !ask.headers.iter().any(|(name, _)| name == "idempotency-key") {
            let count = KEYS.fetch_add(1, Ordering::Relaxed);
            request = request.header("idempotency-key", format!("canary-key-{count}"));
        }
        let request = request.body(Body::from(ask.body)).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Told { status: parts.status, headers: parts.headers, body }
    }

    /// Makes a request that must be answered with this status.
    pub(crate) async fn expect(&self, status: StatusCode, ask: Ask) -> Told {
        let asked = format!("{} {}", ask.method, ask.uri);
        let told = self.ask(ask).await;
        assert_eq!(told.status, status, "{asked}: {}", told.text());
        told
    }

    /// The seq of the last entry.
    pub(crate) async fn log_head(&self) -> Option<u64> {
        self.log.inner.head(&self.project).await.unwrap().map(|head| head.seq)
    }
}

fn system() -> Write {
    Write {
        actor: Actor { kind: ActorKind::System, id: "setup".into(), via: "test".into() },
        actor_name: None,
        request_id: None,
        request_bytes: Vec::new(),
        reason: None,
        precondition: Precondition::Any,
        confirm: false,
        wait: true,
        until: None,
    }
}

impl Ask {
    /// A request of the admin.
    pub(crate) fn new(method: &str, uri: &str, body: &str) -> Self {
        Self {
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            authorization: Some(format!("Bearer {TOKEN}")),
        }
    }

    /// The same with a header more.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another body.
    pub(crate) fn bytes(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// The same, by the holder of a token.
    pub(crate) fn by(self, token: &str) -> Self {
        self.authorization(Some(&format!("Bearer {token}")))
    }

    /// The same, by somebody else.
    pub(crate) fn authorization(mut self, authorization: Option<&str>) -> Self {
        self.authorization = authorization.map(str::to_owned);
        self
    }
}

impl Told {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Json<'static> {
        Json::parse(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text())).into_owned()
    }

    /// The code of the problem.
    pub(crate) fn code(&self) -> String {
        self.json().member("code").and_then(Json::as_str).unwrap_or("none").to_owned()
    }
}

pub(crate) fn get(uri: &str) -> Ask {
    Ask::new("GET", uri, "")
}

pub(crate) fn post(uri: &str, body: &str) -> Ask {
    Ask::new("POST", uri, body)
}

pub(crate) fn put(uri: &str, body: &str) -> Ask {
    Ask::new("PUT", uri, body)
}

pub(crate) fn patch(uri: &str, body: &str) -> Ask {
    Ask::new("PATCH", uri, body)
}

pub(crate) fn delete(uri: &str) -> Ask {
    Ask::new("DELETE", uri, "")
}
