//! The configuration of the functions: environment variables, all of them checked before the first event.
//!
//! The two roles have two sets. What belongs to the other role is refused like a misspelt name, so that the function
//! that faces people never holds a secret to sign with.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flagstone_admin::{Limits, Rate};
use flagstone_bundle::root::{Root, Scope};
use flagstone_model::digest::Digest;
use flagstone_model::key::{EnvironmentId, ProjectId};
use flagstone_publisher::keys::root_by_itself;
use flagstone_publisher::publish::Options;
use http::Uri;
use tracing::level_filters::LevelFilter;

use crate::services::{Credentials, Endpoints};

/// Shortest and longest time between two polls, in milliseconds.
const POLL_MS: RangeInclusive<u64> = 1_000..=3_600_000;
/// Shortest and longest time between two heartbeats, in milliseconds. They go out with sweeps, one a minute.
const HEARTBEAT_MS: RangeInclusive<u64> = 60_000..=86_400_000;
/// Fewest and most requests a second that a token can be allowed, and at once.
const REQUESTS: RangeInclusive<u64> = 1..=1_000_000;
/// What the names of all variables of Flagstone begin with.
const PREFIX: &str = "FLAGSTONE_";

/// Which function it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Serves the API, and appends.
    Admin,
    /// Signs, and writes what clients fetch.
    Publish,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Publish => "publish",
        }
    }
}

/// A variable: its name, whose it is (both roles' without one), whether it must be set, and what it is.
pub type Variable = (&'static str, Option<Role>, bool, &'static str);

/// Every variable of Flagstone that a function reads, in the order of docs/LAMBDA.md.
pub const VARIABLES: [Variable; 14] = [
    ("FLAGSTONE_PROJECT", None, true, "the project's id"),
    ("FLAGSTONE_TABLE", None, true, "the DynamoDB table of the records"),
    ("FLAGSTONE_PRIVATE_BUCKET", None, true, "the bucket of what is too large for the table"),
    ("FLAGSTONE_LOG", None, false, "off, error, warn, info, debug, or trace"),
    ("FLAGSTONE_PUBLISH_FUNCTION", Some(Role::Admin), true, "the publish function's name or ARN"),
    (
        "FLAGSTONE_ADMIN_TOKEN_SHA256",
        Some(Role::Admin),
        false,
        "the SHA-256 of a token that may do everything, in 64 lower-case hex digits",
    ),
    ("FLAGSTONE_REQUESTS_PER_SECOND", Some(Role::Admin), false, "a number from 1 to 1000000"),
    ("FLAGSTONE_BURST", Some(Role::Admin), false, "a number from 1 to 1000000"),
    ("FLAGSTONE_BUCKET", Some(Role::Publish), true, "the bucket that clients fetch from, behind the CDN"),
    (
        "FLAGSTONE_SIGNING_SECRET",
        Some(Role::Publish),
        true,
        "the secret with the manifest key, by name or ARN",
    ),
    (
        "FLAGSTONE_SIGNING_SECRETS",
        Some(Role::Publish),
        false,
        "ENVIRONMENT=SECRET, of each environment that has a secret of its own, with commas between",
    ),
    ("FLAGSTONE_ROOT", Some(Role::Publish), true, "the project's root document, in base64"),
    ("FLAGSTONE_HEARTBEAT_MS", Some(Role::Publish), false, "a number from 60000 to 86400000"),
    ("FLAGSTONE_POLL_MS", Some(Role::Publish), false, "a number from 1000 to 3600000"),
];

/// What Lambda sets for every function, and `lambda_runtime` can not do without.
const OF_LAMBDA: [&str; 4] = [
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_RUNTIME_API",
];

/// The environment as it was found.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// These variables.
    pub fn of(all: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(all.into_iter().collect())
    }

    /// Those of this process that are texts.
    pub fn of_process() -> Self {
        let all = std::env::vars_os();
        Self::of(all.filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok())))
    }

    /// Whether Lambda has started this process.
    pub(crate) fn are_of_lambda(&self) -> bool {
        self.text("AWS_LAMBDA_RUNTIME_API").is_some()
    }

    /// A variable; one that is set to nothing is not set.
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Everything that is wrong with a configuration, in one sentence. No value of a variable stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration of the {} function is wrong: {}", role.as_str(), problems.join("; "))]
pub struct SettingsError {
    role: Role,
    problems: Vec<String>,
}

impl SettingsError {
    /// The stable code of this error.
    pub const CODE: &'static str = "configuration";
}

/// Where the services are, and who asks.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The region.
    pub region: String,
    /// The credentials of the function's role.
    pub credentials: Credentials,
    /// Services that are not at their usual address.
    pub endpoints: Endpoints,
    /// The same of Lambda, for whoever invokes another function.
    pub lambda: Option<String>,
}

/// What both functions are configured with.
#[derive(Debug, Clone)]
pub struct Common {
    /// The project.
    pub project: ProjectId,
    /// The table of the records.
    pub table: String,
    /// The bucket of what is too large for the table.
    pub private_bucket: String,
    /// What is logged.
    pub level: LevelFilter,
    /// Where the services are.
    pub connection: Connection,
}

/// The admin function's settings.
#[derive(Debug, Clone)]
pub struct AdminSettings {
    /// What both have.
    pub common: Common,
    /// Whom it asks to publish.
    pub publish_function: String,
    /// The SHA-256 of a token that may do everything.
    pub admin_token: Option<Digest>,
    /// How often somebody may ask one instance.
    pub limits: Limits,
}

/// The publish function's settings.
#[derive(Debug, Clone)]
pub struct PublishSettings {
    /// What both have.
    pub common: Common,
    /// The bucket that clients fetch from.
    pub bucket: String,
    /// The secrets with manifest keys: of environments that have their own, and of all others.
    pub signing_secrets: BTreeMap<Scope, String>,
    /// The project's newest root.
    pub root: Root,
    /// How it publishes.
    pub options: Options,
}

impl AdminSettings {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn read(variables: &Variables) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(variables, Role::Admin);
        let common = reader.common();
        let publish_function = reader.with("FLAGSTONE_PUBLISH_FUNCTION", |text| {
            is_of(text, 1..=170, |c| c.is_ascii_alphanumeric() || "-_:$".contains(c)).then(|| text.to_owned())
        });
        let admin_token = reader.with("FLAGSTONE_ADMIN_TOKEN_SHA256", Digest::parse);
        let per_second = reader.number("FLAGSTONE_REQUESTS_PER_SECOND", &REQUESTS);
        let burst = reader.number("FLAGSTONE_BURST", &REQUESTS);
        let read = common.zip(publish_function);
        reader.end(read.map(|(common, publish_function)| Self {
            common,
            publish_function,
            admin_token,
            limits: limits(per_second, burst),
        }))
    }
}

impl PublishSettings {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn read(variables: &Variables) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(variables, Role::Publish);
        let common = reader.common();
        let bucket = reader.with("FLAGSTONE_BUCKET", bucket);
        let of_others = reader.with("FLAGSTONE_SIGNING_SECRET", secret);
        let of_environments = reader.with("FLAGSTONE_SIGNING_SECRETS", own_secrets);
        let root = reader.with("FLAGSTONE_ROOT", |text| root_by_itself(&BASE64.decode(text).ok()?));
        let heartbeat_ms = reader.number("FLAGSTONE_HEARTBEAT_MS", &HEARTBEAT_MS);
        let poll_ms = reader.number("FLAGSTONE_POLL_MS", &POLL_MS);
        let foreign = |(common, root): (&Common, &Root)| *root.project() != common.project;
        if common.as_ref().zip(root.as_ref()).is_some_and(foreign) {
            reader.problems.push("`FLAGSTONE_ROOT` is the root document of another project".to_owned());
        }
        let defaults = Options::default();
        let heartbeat_ms = heartbeat_ms.unwrap_or(defaults.heartbeat_ms);
        let options = Options { poll_ms, heartbeat_ms, ..defaults };
        let read = common.zip(bucket).zip(of_others.zip(root));
        reader.end(read.map(|((common, bucket), (of_others, root))| {
            let mut signing_secrets = of_environments.unwrap_or_default();
            signing_secrets.insert(Scope::Others, of_others);
            Self { common, bucket, signing_secrets, root, options }
        }))
    }
}

/// The name of a secret, or its ARN.
fn secret(text: &str) -> Option<String> {
    is_of(text, 1..=2_048, |c| c.is_ascii_alphanumeric() || "-_:/+=.@!".contains(c)).then(|| text.to_owned())
}

/// The secrets of environments that have their own, each environment once.
fn own_secrets(text: &str) -> Option<BTreeMap<Scope, String>> {
    let mut secrets = BTreeMap::new();
    for one in text.split(',') {
        let (environment, name) = one.split_once('=')?;
        let environment = EnvironmentId::parse(environment).ok()?;
        if secrets.insert(Scope::Environment(environment), secret(name)?).is_some() {
            return None;
        }
    }
    Some(secrets)
}

/// Reads one variable after the other, and gathers what is wrong.
struct Reader<'v> {
    variables: &'v Variables,
    role: Role,
    problems: Vec<String>,
}

impl<'v> Reader<'v> {
    fn new(variables: &'v Variables, role: Role) -> Self {
        let mut problems = Vec::new();
        for name in variables.0.keys().filter(|name| name.starts_with(PREFIX)) {
            match VARIABLES.iter().find(|known| known.0 == name) {
                None => problems.push(format!("`{name}` is no variable of Flagstone's functions")),
                Some((_, Some(owner), ..)) if *owner != role => {
                    problems.push(format!("`{name}` belongs to the {} function only", owner.as_str()));
                }
                Some(_) => {}
            }
        }
        Self { variables, role, problems }
    }

    /// A variable of the table, read by `parse`.
    fn with<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let known = VARIABLES.iter().find(|known| known.0 == name);
        let (is_needed, what) = known.map_or((false, ""), |(.., is_needed, what)| (*is_needed, *what));
        let Some(text) = self.variables.text(name) else {
            if is_needed {
                self.problems.push(format!("`{name}` is missing: {what}"));
            }
            return None;
        };
        let parsed = parse(text);
        if parsed.is_none() {
            self.problems.push(format!("`{name}` is not {what}"));
        }
        parsed
    }

    fn number(&mut self, name: &'static str, range: &RangeInclusive<u64>) -> Option<u64> {
        self.with(name, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    fn common(&mut self) -> Option<Common> {
        let project = self.with("FLAGSTONE_PROJECT", |text| ProjectId::parse(text).ok());
        let table = self.with("FLAGSTONE_TABLE", |text| {
            is_of(text, 3..=255, |c| c.is_ascii_alphanumeric() || "-_.".contains(c)).then(|| text.to_owned())
        });
        let private_bucket = self.with("FLAGSTONE_PRIVATE_BUCKET", bucket);
        let level = self.with("FLAGSTONE_LOG", |text| {
            LevelFilter::from_str(text).ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_lowercase()))
        });
        let connection = self.connection();
        let read = project.zip(table).zip(private_bucket.zip(connection));
        read.map(|((project, table), (private_bucket, connection))| Common {
            project,
            table,
            private_bucket,
            level: level.unwrap_or(LevelFilter::INFO),
            connection,
        })
    }

    fn connection(&mut self) -> Option<Connection> {
        let missing: Vec<_> =
            OF_LAMBDA.into_iter().filter(|name| self.variables.text(name).is_none()).collect();
        if !missing.is_empty() {
            let names = missing.join("`, `");
            self.problems.push(format!("`{names}` is missing: AWS Lambda sets it, and starts this program"));
        }
        let region = self.plain("AWS_REGION", "the region");
        let access_key = self.plain("AWS_ACCESS_KEY_ID", "the credentials of the function's role");
        let secret_key = self.plain("AWS_SECRET_ACCESS_KEY", "the credentials of the function's role");
        let session_token = self.variables.text("AWS_SESSION_TOKEN").map(str::to_owned);
        let endpoints = Endpoints {
            dynamodb: self.endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
            s3: self.endpoint("AWS_ENDPOINT_URL_S3"),
            secrets: self.endpoint("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        };
        let lambda = self.endpoint("AWS_ENDPOINT_URL_LAMBDA");
        let (access_key, secret_key) = access_key.zip(secret_key)?;
        let credentials = Credentials::new(&access_key, secret_key, session_token);
        Some(Connection { region: region?, credentials, endpoints, lambda })
    }

    fn plain(&mut self, name: &str, what: &str) -> Option<String> {
        let text = self.variables.text(name);
        if text.is_none() {
            self.problems.push(format!("`{name}` is missing: {what}"));
        }
        text.map(str::to_owned)
    }

    /// Where a service is that is not at its usual address: a VPC endpoint, or a stand-in.
    fn endpoint(&mut self, name: &str) -> Option<String> {
        let text = self.variables.text(name)?;
        let uri = text.parse::<Uri>().ok();
        let is_http = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.path() == "/"
        });
        if !is_http {
            self.problems.push(format!("`{name}` is not the address of a service, such as https://HOST"));
        }
        Some(text.to_owned())
    }

    fn end<T>(self, read: Option<T>) -> Result<T, SettingsError> {
        match read {
            Some(read) if self.problems.is_empty() => Ok(read),
            _ => Err(SettingsError { role: self.role, problems: self.problems }),
        }
    }
}

/// Where only the rate is said, twice as many may come at once, as by default.
fn limits(per_second: Option<u64>, burst: Option<u64>) -> Limits {
    let number = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
    let (per_second, burst) = (number(per_second), number(burst));
    let default = Limits::DEFAULT;
    let token = default.token.map(|token| Rate {
        per_second: per_second.unwrap_or(token.per_second),
        burst: burst.or(per_second.map(|rate| rate.saturating_mul(2))).unwrap_or(token.burst),
    });
    Limits { token, ..default }
}

fn bucket(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    is_of(text, 3..=63, plain).then(|| text.to_owned())
}

fn is_of(text: &str, length: RangeInclusive<usize>, is_plain: impl Fn(char) -> bool) -> bool {
    length.contains(&text.len()) && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAMBDA: [(&str, &str); 8] = [
        ("AWS_ACCESS_KEY_ID", "canary-id"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_SECRET_ACCESS_KEY", "canary-secret"),
        ("PATH", "/bin"),
    ];
    const COMMON: [(&str, &str); 3] = [
        ("FLAGSTONE_PROJECT", "shop"),
        ("FLAGSTONE_TABLE", "flagstone"),
        ("FLAGSTONE_PRIVATE_BUCKET", "shop-private"),
    ];

    fn variables<'v>(more: impl IntoIterator<Item = (&'v str, &'v str)>) -> Variables {
        let all = LAMBDA.into_iter().chain(COMMON).chain(more);
        Variables::of(all.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    fn admin<'v>(more: impl IntoIterator<Item = (&'v str, &'v str)>) -> Result<AdminSettings, String> {
        let all = [("FLAGSTONE_PUBLISH_FUNCTION", "publish")].into_iter().chain(more);
        AdminSettings::read(&variables(all)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_must_be_there_is_enough() {
        let settings = admin([]).unwrap();
        assert_eq!(settings.common.table, "flagstone");
        assert_eq!((settings.publish_function.as_str(), settings.limits), ("publish", Limits::DEFAULT));
        assert_eq!(settings.common.level, LevelFilter::INFO);
        assert!(settings.admin_token.is_none() && settings.common.connection.lambda.is_none());
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_no_value_with_it() {
        let all = [
            ("FLAGSTONE_PROJECT", "canary shop"),
            ("FLAGSTONE_LOG", "canary-loud"),
            ("FLAGSTONE_BURST", "0"),
            ("FLAGSTONE_ADMIN_TOKEN_SHA256", "canary-token"),
            ("FLAGSTONE_SIGNING_SECRET", "canary-key"),
            ("FLAGSTONE_TABEL", "canary-table"),
            ("AWS_ENDPOINT_URL_S3", "canary:9000"),
        ];
        let only = Variables::of(all.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let error = AdminSettings::read(&only).unwrap_err().to_string();
        assert_eq!(
            error,
            "the configuration of the admin function is wrong: `FLAGSTONE_SIGNING_SECRET` belongs to the publish \
             function only; `FLAGSTONE_TABEL` is no variable of Flagstone's functions; `FLAGSTONE_PROJECT` is not the \
             project's id; `FLAGSTONE_TABLE` is missing: the DynamoDB table of the records; \
             `FLAGSTONE_PRIVATE_BUCKET` is missing: the bucket of what is too large for the table; `FLAGSTONE_LOG` is \
             not off, error, warn, info, debug, or trace; `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, \
             `AWS_LAMBDA_FUNCTION_NAME`, `AWS_LAMBDA_FUNCTION_VERSION`, `AWS_LAMBDA_RUNTIME_API` is missing: AWS \
             Lambda sets it, and starts this program; `AWS_REGION` is missing: the region; `AWS_ACCESS_KEY_ID` is \
             missing: the credentials of the function's role; `AWS_SECRET_ACCESS_KEY` is missing: the credentials of \
             the function's role; `AWS_ENDPOINT_URL_S3` is not the address of a service, such as https://HOST; \
             `FLAGSTONE_PUBLISH_FUNCTION` is missing: the publish function's name or ARN; \
             `FLAGSTONE_ADMIN_TOKEN_SHA256` is not the SHA-256 of a token that may do everything, in 64 lower-case hex \
             digits; `FLAGSTONE_BURST` is not a number from 1 to 1000000"
        );
        assert!(!error.contains("canary"));
        assert!(!format!("{only:?}").contains("canary"));
    }

    #[test]
    fn numbers_are_taken_to_their_ends() {
        let burst =
            |text| admin([("FLAGSTONE_BURST", text)]).map(|settings| settings.limits.token.unwrap().burst);
        assert_eq!((burst("1"), burst("1000000")), (Ok(1), Ok(1_000_000)));
        for wrong in ["0", "1000001", "-1", "1.0", " 1", "many"] {
            assert!(burst(wrong).is_err(), "{wrong}");
        }
        let rate = admin([("FLAGSTONE_REQUESTS_PER_SECOND", "7")]).unwrap().limits.token.unwrap();
        assert_eq!((rate.per_second, rate.burst), (7, 14));
    }

    #[test]
    fn names_of_tables_buckets_and_functions_are_taken_to_their_ends() {
        let takes = |name: &'static str, text: &str| admin([(name, text)]).is_ok();
        for (name, shortest, longest) in [
            ("FLAGSTONE_TABLE", 3, 255),
            ("FLAGSTONE_PRIVATE_BUCKET", 3, 63),
            ("FLAGSTONE_PUBLISH_FUNCTION", 1, 170),
        ] {
            assert!(takes(name, &"a".repeat(shortest)) && takes(name, &"a".repeat(longest)), "{name}");
            assert!(!takes(name, &"a".repeat(longest + 1)), "{name}");
            assert!(shortest == 1 || !takes(name, &"a".repeat(shortest - 1)), "{name}");
            assert!(!takes(name, "a b"), "{name}");
        }
        assert!(takes(
            "FLAGSTONE_PUBLISH_FUNCTION",
            "arn:aws:lambda:eu-central-1:123456789012:function:p:live"
        ));
        assert!(!takes("FLAGSTONE_PRIVATE_BUCKET", "Shop"));
    }

    #[test]
    fn the_publish_function_takes_the_root_of_its_own_project() {
        let directory = tempfile::tempdir().unwrap();
        let keys = |project: &str| {
            let project = ProjectId::parse(project).unwrap();
            let keys =
                flagstone_publisher::keys::Keys::open(directory.path().join(project.as_str()), &project, 0);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            BASE64.encode(runtime.block_on(keys).unwrap().root().file())
        };
        let read = |root: &str| {
            let all = [
                ("FLAGSTONE_BUCKET", "shop-public"),
                ("FLAGSTONE_SIGNING_SECRET", "shop/manifest-key"),
                ("FLAGSTONE_ROOT", root),
            ];
            PublishSettings::read(&variables(all)).map_err(|error| error.to_string())
        };
        let own = read(&keys("shop")).unwrap();
        assert_eq!(own.signing_secrets, BTreeMap::from([(Scope::Others, "shop/manifest-key".to_owned())]));
        assert_eq!((own.root.number(), own.root.project().as_str()), (1, "shop"));
        let prefix = "the configuration of the publish function is wrong: `FLAGSTONE_ROOT` is ";
        assert_eq!(
            read(&keys("other")).unwrap_err(),
            format!("{prefix}the root document of another project")
        );
        for wrong in ["bm90aGluZw==", "no base64"] {
            let told = format!("{prefix}not the project's root document, in base64");
            assert_eq!(read(wrong).unwrap_err(), told);
        }
    }

    #[test]
    fn environments_may_have_secrets_of_their_own() {
        let of = |id: &str| Scope::Environment(EnvironmentId::parse(id).unwrap());
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/a=b-x1";
        let told = [(of("production"), arn.to_owned()), (of("staging"), "s".to_owned())];
        assert_eq!(own_secrets(&format!("production={arn},staging=s")), Some(BTreeMap::from(told)));
        for wrong in
            ["production", "=s", "production=", "Production=s", "a=s,", "a=s,a=t", "a=s b", "a=s;b=t"]
        {
            assert_eq!(own_secrets(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_variable_stands_in_the_manual() {
        let manual = include_str!("../../../docs/LAMBDA.md");
        for (name, owner, is_needed, _) in VARIABLES {
            let owner = owner.map_or("both", Role::as_str);
            let needed = if is_needed { "yes" } else { "no" };
            assert!(manual.contains(&format!("| `{name}` | {owner} | {needed} |")), "{name}");
        }
    }
}
