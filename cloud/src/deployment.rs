//! All parts of the control plane on AWS, wired on one machine as they are deployed.
//!
//! ```text
//! people ─► gateway ─► admin ──────────► table ◄──────── publish ─► bucket ◄── edge ◄── SDKs
//!                        └─ invokes ─────────────────────────┘   └─ secret
//! ```
//!
//! Between the functions and their stores stand proxies, which can be told to fail; between the edge and its neighbours
//! wires, which count.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flagstone_model::digest::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::CloudError;
use crate::bridge::Bridge;
use crate::cache::Cache;
use crate::dynamodb_local;
use crate::edge::{EdgeKey, Origin};
use crate::lambda::service::InvokeApi;
use crate::lambda::{Function, Outcome, Setup};
use crate::minio::{self, Minio};
use crate::nginx::Nginx;
use crate::process::Server;
use crate::proxy::Proxy;
use crate::secrets::Secrets;
use crate::wire::Wire;

/// The project, and its environment.
pub const PROJECT: &str = "shop";
/// The environment that the story is about.
pub const ENVIRONMENT: &str = "production";
const REGION: &str = "eu-central-1";
const TABLE: &str = "flagstone";
const PRIVATE_BUCKET: &str = "flagstone-private";
const BUCKET: &str = "flagstone-public";
const SECRET: &str = "flagstone/manifest-key";
/// Most instances of a function: enough for fifty people at once.
const MOST_INSTANCES: usize = 64;
/// How often the publish function announces a stream in which nothing happens, in milliseconds.
pub const HEARTBEAT_MS: u64 = 60_000;

/// The programs, in one folder: what `cargo build --package flagstone-cli --package flagstone-aws` leaves.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The programs in the folder that this one lies in, such as `target/debug`.
    ///
    /// # Errors
    ///
    /// If the system does not say where that is.
    pub fn beside() -> Result<Self, CloudError> {
        let own = std::env::current_exe().map_err(CloudError::io("find the folder of this program"))?;
        Ok(Self { folder: own.parent().unwrap_or(&own).to_owned() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The command-line interface.
    pub fn flagstone(&self) -> PathBuf {
        self.path("flagstone")
    }
}

/// The running parts. They end with the value.
#[derive(Debug)]
pub struct Deployment {
    /// Before the table, for both functions.
    pub table: Proxy,
    /// The bucket's server.
    pub minio: Minio,
    /// Before the buckets, for both functions.
    pub buckets: Proxy,
    /// The admin function.
    pub admin: Function,
    /// The publish function.
    pub publish: Function,
    /// The front door of the admin function.
    pub gateway: Bridge,
    /// Between edge and bucket.
    pub origin: Wire,
    /// The edge.
    pub edge: Nginx,
    /// Between clients and edge.
    pub door: Wire,
    programs: Programs,
    /// Of an administrator.
    token: String,
    pin: String,
    folder: TempDir,
    tables: Server,
    _invocations: InvokeApi,
    _secrets: Secrets,
}

impl Deployment {
    /// Starts all of it: servers, table, buckets, keys, functions, and edge.
    ///
    /// # Errors
    ///
    /// If a part is missing or does not start.
    pub async fn start(programs: Programs) -> Result<Self, CloudError> {
        let cache = Cache::of_project();
        let folder = TempDir::new().map_err(CloudError::io("create a folder for the cloud"))?;
        let tables = dynamodb_local::start(&cache).await?;
        let minio = Minio::start(&cache).await?;
        let (table, buckets) = (Proxy::before(tables.port()).await?, Proxy::before(minio.port()).await?);
        let (id, secret) = minio::CREDENTIALS;
        let stores = [
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("FLAGSTONE_TABLE", TABLE),
            ("FLAGSTONE_PRIVATE_BUCKET", PRIVATE_BUCKET),
            ("FLAGSTONE_PROJECT", PROJECT),
        ];
        let endpoints = [("AWS_ENDPOINT_URL_DYNAMODB", table.url()), ("AWS_ENDPOINT_URL_S3", buckets.url())];
        let mut provision = Command::new(programs.path("examples/provision"));
        provision.envs(stores).envs(endpoints.clone()).env("FLAGSTONE_BUCKET", BUCKET);
        finish("provision", &mut provision).await?;

        // Root, manifest key, and pin, as an operator makes them.
        let data = folder.path().join("keys-of-shop");
        let mut init = Command::new(programs.flagstone());
        init.arg("--json").arg("init").arg("--data").arg(&data).args(["--project", PROJECT]);
        finish("flagstone init", &mut init).await?;
        let mut show = Command::new(programs.flagstone());
        let shown =
            finish("flagstone keys show", show.args(["--json", "keys", "show", "--data"]).arg(&data)).await?;
        let pin = shown.get("pin").and_then(Value::as_str).unwrap_or_default().to_owned();
        let read = |name: &str| {
            let path = data.join("keys").join(name);
            std::fs::read(&path).map_err(CloudError::io(format!("read {}", path.display())))
        };
        let (root, key) = (read("root.1.json")?, read("manifest.key")?);
        let secrets = Secrets::start().await?;
        secrets.put(SECRET, &String::from_utf8_lossy(&key));

        let function = |name: &str, timeout_s: u64| {
            let setup = Setup {
                timeout: Duration::from_secs(timeout_s),
                most_instances: MOST_INSTANCES,
                ..Setup::new(name, programs.path(name))
            };
            let setup = stores.into_iter().fold(setup, |setup, (name, value)| setup.with(name, value));
            endpoints.clone().into_iter().fold(setup, |setup, (name, value)| setup.with(name, value))
        };
        let publish = function("publish", 60)
            .with("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.url())
            .with("FLAGSTONE_BUCKET", BUCKET)
            .with("FLAGSTONE_SIGNING_SECRET", SECRET)
            .with("FLAGSTONE_HEARTBEAT_MS", HEARTBEAT_MS.to_string())
            .with("FLAGSTONE_ROOT", BASE64.encode(root));
        let publish = Function::new(publish);
        let invocations = InvokeApi::start([publish.clone()]).await?;
        let token = token(&data)?;
        let admin = function("admin", 30)
            .with("AWS_ENDPOINT_URL_LAMBDA", invocations.url())
            .with("FLAGSTONE_PUBLISH_FUNCTION", "publish")
            .with("FLAGSTONE_ADMIN_TOKEN_SHA256", Digest::of(token.as_bytes()).to_string());
        let admin = Function::new(admin);
        let gateway = Bridge::start(admin.clone(), "$default").await?;

        let origin = Wire::before(minio.port()).await?;
        let edge = Nginx::start(&Origin { port: origin.port(), prefix: format!("/{BUCKET}") }, &[]).await?;
        let door = Wire::before(edge.port()).await?;
        Ok(Self {
            table,
            minio,
            buckets,
            admin,
            publish,
            gateway,
            origin,
            edge,
            door,
            programs,
            token,
            pin,
            folder,
            tables,
            _invocations: invocations,
            _secrets: secrets,
        })
    }

    /// What an SDK of the environment is given, besides its key.
    pub fn connection(&self) -> String {
        format!(
            "flagstone+http://127.0.0.1:{}?project={PROJECT}&environment={ENVIRONMENT}&view=server&root={}",
            self.door.port(),
            self.pin
        )
    }

    /// The administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Tells the edge which SDK key opens the environment.
    ///
    /// # Errors
    ///
    /// If it cannot be told.
    pub fn admit(&self, sdk_key: &str) -> Result<(), CloudError> {
        self.edge.replace_keys(&[EdgeKey::new(sdk_key, PROJECT, ENVIRONMENT)])
    }

    /// The command-line interface, logged in as an administrator, on this environment.
    pub fn flagstone(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.flagstone());
        command
            .arg("--json")
            .args(arguments)
            .env("FLAGSTONE_URL", self.gateway.url())
            .env("FLAGSTONE_TOKEN", &self.token)
            .env("FLAGSTONE_PROJECT", PROJECT)
            .env("FLAGSTONE_ENV", ENVIRONMENT)
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs the scheduled events of both functions, as EventBridge does every minute.
    ///
    /// # Errors
    ///
    /// If something could not be put right.
    pub async fn sweep(&self) -> Result<(), CloudError> {
        self.sweep_log().await?;
        self.sweep_streams().await
    }

    /// Runs the scheduled event of the publish function.
    ///
    /// # Errors
    ///
    /// If a stream could not be put right.
    pub async fn sweep_streams(&self) -> Result<(), CloudError> {
        swept(&self.publish).await
    }

    /// Runs the scheduled event of the admin function.
    ///
    /// # Errors
    ///
    /// If it fails.
    pub async fn sweep_log(&self) -> Result<(), CloudError> {
        swept(&self.admin).await
    }

    /// Proves log, claims, and bucket, without any of the functions.
    ///
    /// # Errors
    ///
    /// What does not hold.
    pub async fn audit(&self) -> Result<Value, CloudError> {
        let (id, secret) = minio::CREDENTIALS;
        let mut audit = Command::new(self.programs.path("audit"));
        audit
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_ENDPOINT_URL_DYNAMODB", self.tables.url())
            .env("AWS_ENDPOINT_URL_S3", self.minio.url())
            .env("FLAGSTONE_PROJECT", PROJECT)
            .env("FLAGSTONE_TABLE", TABLE)
            .env("FLAGSTONE_PRIVATE_BUCKET", PRIVATE_BUCKET)
            .env("FLAGSTONE_BUCKET", BUCKET)
            .arg("--root")
            .arg(self.folder.path().join("keys-of-shop/keys/root.1.json"));
        finish("audit", &mut audit).await
    }
}

async fn swept(function: &Function) -> Result<(), CloudError> {
    let said = |said| CloudError::Unfinished { what: format!("the sweep of {}", function.name()), said };
    match function.invoke(json!({"do": "sweep"}).to_string().into_bytes()).await {
        Ok(Outcome::Answered(_)) => Ok(()),
        Ok(Outcome::Failed(told)) => Err(said(String::from_utf8_lossy(&told).into_owned())),
        Err(error) => Err(said(error.to_string())),
    }
}

/// The administrator's token that `flagstone init` made.
fn token(data: &Path) -> Result<String, CloudError> {
    let path = data.join("admin.token");
    let token = std::fs::read_to_string(&path).map_err(CloudError::io(format!("read {}", path.display())))?;
    Ok(token.trim().to_owned())
}

/// Runs a program to its end; the last line of its output, as JSON.
///
/// # Errors
///
/// If it does not start, or says that something is wrong.
pub async fn finish(name: &str, command: &mut Command) -> Result<Value, CloudError> {
    let output = command.output().await.map_err(CloudError::io(format!("start {name}")))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        let said = format!("{out}{err}");
        return Err(CloudError::Failed { program: name.to_owned(), status: output.status, said });
    }
    let last = out.lines().last().and_then(|line| serde_json::from_str(line).ok());
    Ok(last.unwrap_or(Value::Null))
}
