//! `serve` and what a server's operator needs.

use std::path::PathBuf;

use clap::Args;
use flagstone_model::key::ProjectId;

use crate::verbs::LogFormat;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone init --data /var/lib/flagstone --project acme --env production --env staging
  flagstone serve --config /etc/flagstone.toml
  flagstone serve --data /var/lib/flagstone --project acme --listen 127.0.0.1:8080
  flagstone serve --project acme --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem \\
    --public-url https://flags.example.com:8443/cdn

Each setting is taken from the first of: option, environment variable, configuration file, default. All of them are \
in docs/SERVE.md. Where standard output is no terminal it gets exactly one JSON line, when everything is ready:
{\"api\",\"cdn\",\"project\",\"root\",\"token_file\",\"environments\":{ENV:{\"server\",\"client\"}}}. Logs go to standard error.
SIGTERM and Ctrl-C let requests in flight end; a second one ends at once.")]
pub(crate) struct Serve {
    /// The configuration file, TOML [env: FLAGSTONE_CONFIG].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen, HOST:PORT; may stand there several times [env: FLAGSTONE_LISTEN, else 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<String>,
    /// Where log, bucket, and keys are kept [env: FLAGSTONE_DATA, else .flagstone].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The project [env: FLAGSTONE_PROJECT].
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// The address of the CDN path as clients see it, for connection strings [env: FLAGSTONE_PUBLIC_URL].
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// The certificate chain, PEM [env: FLAGSTONE_TLS_CERT].
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, PEM [env: FLAGSTONE_TLS_KEY].
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Where plain HTTP may be spoken: `loopback` or, where a proxy ends TLS, `behind-proxy`
    /// [env: FLAGSTONE_PLAIN_HTTP, else loopback].
    #[arg(long, value_name = "WHERE")]
    pub(crate) plain_http: Option<String>,
    /// How often clients should poll, in milliseconds [env: FLAGSTONE_POLL_MS].
    #[arg(long, value_name = "N")]
    pub(crate) poll_ms: Option<String>,
    /// A stream without changes is announced anew this often, in milliseconds [env: FLAGSTONE_HEARTBEAT_MS, else
    /// 300000].
    #[arg(long, value_name = "N")]
    pub(crate) heartbeat_ms: Option<String>,
    /// How many requests a second each token may make, 1 to 1000000 [env: FLAGSTONE_REQUESTS_PER_SECOND, else 50].
    #[arg(long, value_name = "N")]
    pub(crate) requests_per_second: Option<String>,
    /// How many of them at once, after a pause [env: FLAGSTONE_BURST, else twice as many].
    #[arg(long, value_name = "N")]
    pub(crate) burst: Option<String>,
    /// Who may read /metrics: `everybody` or `token-holders` [env: FLAGSTONE_METRICS_ACCESS, else everybody where
    /// it listens on loopback only, and token-holders elsewhere].
    #[arg(long, value_name = "WHO")]
    pub(crate) metrics_access: Option<String>,
    /// What is logged, such as `info` or `warn,flagstone_admin=debug` [env: FLAGSTONE_LOG, else info].
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// How it is logged [env: FLAGSTONE_LOG_FORMAT, else json, and text on a terminal].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flagstone init --project acme --env production --env staging
  flagstone init --data /var/lib/flagstone --project acme --env production --public-url https://flags.example.com/cdn

Makes root and manifest key, the project, its environments, and the admin token; what is there already stays as it is, \
so that it can be run again. Then start `flagstone serve` on the directory. A server that runs makes environments with \
`flagstone env create`.")]
pub(crate) struct Init {
    /// Where log, bucket, and keys are kept [env: FLAGSTONE_DATA, else .flagstone].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The project [env: FLAGSTONE_PROJECT].
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<ProjectId>,
    /// The project's name for people. Default: its id.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// An environment to make; may stand there several times.
    #[arg(long = "env", short = 'e', value_name = "ENVIRONMENT")]
    pub(crate) environments: Vec<flagstone_model::key::EnvironmentId>,
    /// The address of the CDN path as clients see it, for connection strings [env: FLAGSTONE_PUBLIC_URL, else
    /// http://127.0.0.1:8080/cdn].
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
}
