//! The client of the admin API: one request, one answer, every refusal a [`Failure`].

mod problem;
mod transport;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, ProjectId, SegmentKey};
use reqwest::Method;

use crate::api::transport::{Content, Sent, Transport};
use crate::args::{ApiArgs, WriteArgs};
use crate::credentials::{self, Credentials};
use crate::failure::{Failure, closest};
use crate::surroundings::Surroundings;

const DEFAULT_URL: &str = "http://127.0.0.1:8080";
const DEFAULT_PROJECT: &str = "demo";
const DEFAULT_ENVIRONMENT: &str = "production";

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The body.
    pub(crate) body: Json<'static>,
    /// The entity's revision, as its ETag says.
    pub(crate) revision: Option<u64>,
}

impl Answer {
    /// A member of the body, as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.member(name).and_then(Json::as_str)
    }

    /// The elements of a list.
    pub(crate) fn items(&self) -> &[Json<'static>] {
        self.body.member("items").and_then(Json::as_array).unwrap_or_default()
    }
}

/// What a write expects of the entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It does not exist yet, or the request says so itself.
    Nothing,
    /// It must not exist.
    Absent,
    /// It has this revision.
    Revision(u64),
}

/// One project, and one environment of it, at an admin API.
#[derive(Debug)]
pub(crate) struct Api {
    transport: Transport,
    project: ProjectId,
    environment: EnvironmentId,
}

impl Api {
    /// Sets it up; nothing is sent yet.
    pub(crate) fn new(args: &ApiArgs, surroundings: &Surroundings) -> Result<Self, Failure> {
        let environment = match (&args.environment, &surroundings.environment) {
            (Some(environment), _) => environment.clone(),
            (None, named) => {
                let named = named.as_deref().unwrap_or(DEFAULT_ENVIRONMENT);
                EnvironmentId::parse(named)
                    .map_err(|error| Failure::usage(format!("FLAGSTONE_ENV: {error}")))?
            }
        };
        let Reached { url, token, project, .. } = Reached::of(args, surroundings)?;
        let token = token.ok_or_else(no_token)?;
        let project = match (project, &args.project, &surroundings.project) {
            (Some(project), None, None) => ProjectId::parse(&project).map_err(|error| {
                Failure::refused("credentials-malformed", format!("the login's project: {error}"))
            })?,
            _ => self::project(args.project.as_ref(), surroundings)?,
        };
        let transport = Transport::new(&url, token)?.visible(surroundings.shows_progress());
        Ok(Self { transport, project, environment })
    }

    /// A server and token that are named, for `login`.
    pub(crate) fn at(url: &str, token: String, project: ProjectId) -> Result<Self, Failure> {
        let environment = EnvironmentId::parse(DEFAULT_ENVIRONMENT)
            .map_err(|error| Failure::refused(error.code(), error.to_string()))?;
        Ok(Self { transport: Transport::new(url, token)?, project, environment })
    }

    /// Whose the token is. A server that does not know the question shows by a list that it takes the token.
    pub(crate) async fn whoami(&self) -> Result<Who, Failure> {
        match self.get(&self.in_project("tokens/self")).await {
            Ok(answer) => Ok(Who {
                role: answer.text("role").map(str::to_owned),
                expires: answer.text("expires").map(str::to_owned),
            }),
            Err(failure) if is_missing(&failure, &["not-found"]) => {
                self.get(&self.in_project("environments?limit=1")).await?;
                Ok(Who { role: None, expires: None })
            }
            Err(failure) => Err(failure),
        }
    }

    /// The root document as clients find it.
    pub(crate) async fn root(&self) -> Result<Vec<u8>, Failure> {
        let path = format!("/cdn/open/{}/v1/root/1", self.project);
        let received = self.transport.send(&Sent::new(Method::GET, &path)).await?;
        if received.status == 200 {
            return Ok(received.body);
        }
        let detail = format!("the server has no root document of project `{}`", self.project);
        Err(Failure::refused("root-not-found", detail)
            .hint("--project names another project; the bucket of a deployed project lies behind its CDN"))
    }

    /// Whether the server answers at all, and what its clock said, in epoch seconds.
    pub(crate) async fn probe(&self) -> Result<Option<u64>, Failure> {
        let received = self.transport.send(&Sent::new(Method::GET, "/healthz")).await?;
        if received.status == 200 {
            return Ok(received.date);
        }
        let detail = format!("/healthz answers {}", received.status);
        Err(Failure::refused("bad-answer", detail).hint("is that the address of a Flagstone admin API?"))
    }

    pub(crate) const fn environment(&self) -> &EnvironmentId {
        &self.environment
    }

    pub(crate) const fn project(&self) -> &ProjectId {
        &self.project
    }

    /// The path of something in the project.
    pub(crate) fn in_project(&self, rest: &str) -> String {
        format!("/v1/projects/{}/{rest}", self.project)
    }

    /// The path of something in the environment.
    pub(crate) fn in_environment(&self, rest: &str) -> String {
        format!("/v1/projects/{}/environments/{}/{rest}", self.project, self.environment)
    }

    /// The path of a flag's definition.
    pub(crate) fn definition(&self, key: &FlagKey) -> String {
        self.in_project(&format!("flags/{}", escaped(key.as_str())))
    }

    /// The path of a flag's targeting.
    pub(crate) fn targeting(&self, key: &FlagKey) -> String {
        self.in_environment(&format!("flags/{}", escaped(key.as_str())))
    }

    /// The path of a segment.
    pub(crate) fn segment(&self, key: &SegmentKey) -> String {
        self.in_environment(&format!("segments/{}", escaped(key.as_str())))
    }

    /// The path of a list.
    pub(crate) fn keys_of(&self, key: &ListKey) -> String {
        self.in_environment(&format!("lists/{}", escaped(key.as_str())))
    }

    /// Reads text, and the revision it is of.
    pub(crate) async fn text(&self, path: &str) -> Result<(String, Option<u64>), Failure> {
        let sent = Sent::new(Method::GET, path).with_header("accept", "text/plain".to_owned());
        let received = self.transport.send(&sent).await?;
        if received.status != 200 {
            let failure = problem::failure(received.status, &received.body);
            return Err(self.with_suggestion(failure, path).await);
        }
        let text = String::from_utf8(received.body);
        let text = text.map_err(|_| Failure::refused("bad-answer", "the answer is no text"))?;
        Ok((text, received.revision))
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.finish(Sent::new(Method::GET, path)).await
    }

    /// Reads, where there may be nothing.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<Answer>, Failure> {
        match self.get(path).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure)
                if is_missing(
                    &failure,
                    &["flag-not-found", "segment-not-found", "list-not-found", "view-not-found"],
                ) =>
            {
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Asks something that changes nothing.
    pub(crate) async fn ask(&self, path: &str, body: &Json<'_>) -> Result<Answer, Failure> {
        self.finish(Sent::new(Method::POST, path).with_content(Content::json(body))).await
    }

    /// Reads a list to its end.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Json<'static>>, Failure> {
        const PAGE: u32 = 1000;
        let mut items = Vec::new();
        let mut page = format!("{path}?limit={PAGE}");
        loop {
            let answer = self.get(&page).await?;
            items.extend_from_slice(answer.items());
            match answer.text("next") {
                Some(cursor) => page = format!("{path}?limit={PAGE}&cursor={}", escaped(cursor)),
                None => return Ok(items),
            }
        }
    }

    /// Changes something. The same key goes with every try, so that it happens once.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json<'_>>,
        expected: Expected,
        how: &WriteArgs,
    ) -> Result<Answer, Failure> {
        let body = body.map(Content::json);
        self.write_content(method, path, body, expected, how).await
    }

    /// The same of a body of text.
    pub(crate) async fn write_text(
        &self,
        path: &str,
        text: &str,
        expected: Expected,
        how: &WriteArgs,
    ) -> Result<Answer, Failure> {
        self.write_content(Method::PUT, path, Some(Content::text(text)), expected, how).await
    }

    async fn write_content(
        &self,
        method: Method,
        path: &str,
        content: Option<Content>,
        expected: Expected,
        how: &WriteArgs,
    ) -> Result<Answer, Failure> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = if how.confirm { format!("{path}{sign}confirm=true") } else { path.to_owned() };
        let mut sent = Sent::new(method, &path).with_header("idempotency-key", random_id()?);
        if let Some(content) = content {
            sent = sent.with_content(content);
        }
        sent = match expected {
            Expected::Nothing => sent,
            Expected::Absent => sent.with_header("if-none-match", "*".to_owned()),
            Expected::Revision(revision) => sent.with_header("if-match", format!("\"{revision}\"")),
        };
        if let Some(reason) = &how.reason {
            sent = sent.with_header("x-flagstone-reason", escaped(reason));
        }
        if how.no_wait {
            sent = sent.with_header("prefer", "respond-async".to_owned());
        }
        self.finish(sent).await
    }

    async fn finish(&self, sent: Sent<'_>) -> Result<Answer, Failure> {
        let received = self.transport.send(&sent).await?;
        if (200..300).contains(&received.status) {
            let body = if received.body.is_empty() {
                Json::Null
            } else {
                Json::parse(&received.body)
                    .map_err(|error| {
                        Failure::refused("bad-answer", format!("the answer is no JSON ({error})"))
                            .hint("is FLAGSTONE_URL the address of a Flagstone admin API?")
                    })?
                    .into_owned()
            };
            let of_body = body.member("revision").and_then(Json::as_integer);
            let of_body = of_body.and_then(|revision| u64::try_from(revision).ok());
            return Ok(Answer { body, revision: received.revision.or(of_body) });
        }
        let failure = problem::failure(received.status, &received.body);
        Err(self.with_suggestion(failure, sent.path).await)
    }

    /// A slip of the keyboard: the server's suggestion, or the nearest name there is.
    async fn with_suggestion(&self, failure: Failure, path: &str) -> Failure {
        if failure.suggestion.is_some() {
            return failure;
        }
        let mut segments = path.split(['/', '?']).skip_while(|segment| *segment != "projects").skip(2);
        let mut named = |place: &str| {
            segments.by_ref().skip_while(|segment| *segment != place).nth(1).unwrap_or_default().to_owned()
        };
        let (list, member, name) = match failure.code.as_str() {
            "flag-not-found" => (self.in_project("flags"), "key", named("flags")),
            "segment-not-found" => (self.in_environment("segments"), "key", named("segments")),
            "list-not-found" => (self.in_environment("lists"), "key", named("lists")),
            "view-not-found" => (self.in_project("views"), "key", named("views")),
            "environment-not-found" => (self.in_project("environments"), "key", self.environment.to_string()),
            _ => return failure,
        };
        // Only the first page: a guess is not worth more.
        let Ok(received) = self.transport.send(&Sent::new(Method::GET, &list)).await else { return failure };
        let body = Json::parse(&received.body).unwrap_or(Json::Null);
        let items = body.member("items").and_then(Json::as_array).unwrap_or_default();
        let keys = items.iter().filter_map(|item| item.member(member)?.as_str());
        let suggestion = closest(&name, keys);
        failure.suggest(suggestion)
    }
}

/// Whose a token is, as far as the server tells.
#[derive(Debug)]
pub(crate) struct Who {
    /// What it may do.
    pub(crate) role: Option<String>,
    /// When it ends, as an instant.
    pub(crate) expires: Option<String>,
}

/// Which server is meant, and with which token and project; and where that was said.
#[derive(Clone)]
pub(crate) struct Reached {
    pub(crate) url: String,
    pub(crate) url_from: &'static str,
    pub(crate) token: Option<String>,
    pub(crate) token_from: &'static str,
    /// The project that was logged in to.
    pub(crate) project: Option<String>,
}

impl Reached {
    /// An address is taken from the option, the variable, the last login; a token from the variable, or from the login
    /// to that address. A token of the variable never goes to the address of a login: it may be another server's.
    pub(crate) fn of(args: &ApiArgs, surroundings: &Surroundings) -> Result<Self, Failure> {
        let named = match (&args.url, &surroundings.url) {
            (Some(url), _) => Some((url.clone(), "--url")),
            (None, Some(url)) => Some((url.clone(), "FLAGSTONE_URL")),
            (None, None) => None,
        };
        let default = || (DEFAULT_URL.to_owned(), "default");
        if let Some(token) = &surroundings.token {
            let (url, url_from) = named.unwrap_or_else(default);
            let (token, token_from) = (Some(token.clone()), "FLAGSTONE_TOKEN");
            return Ok(Self { url, url_from, token, token_from, project: None });
        }
        let mut credentials = Credentials::read(surroundings)?;
        let last = || credentials.current.clone().map(|url| (url, "login"));
        let (url, url_from) = named.or_else(last).unwrap_or_else(default);
        let (token, project) = match credentials.servers.remove(&credentials::server(&url)) {
            Some(login) => (Some(login.token), login.project),
            None => (None, None),
        };
        Ok(Self { url, url_from, token, token_from: "login", project })
    }
}

fn no_token() -> Failure {
    Failure::usage("there is no token: run `flagstone login URL`, or set FLAGSTONE_TOKEN")
        .hint("`flagstone dev` prints its token each time it starts")
}

/// The project that is meant, where no server is asked.
pub(crate) fn project(named: Option<&ProjectId>, surroundings: &Surroundings) -> Result<ProjectId, Failure> {
    match (named, &surroundings.project) {
        (Some(project), _) => Ok(project.clone()),
        (None, named) => ProjectId::parse(named.as_deref().unwrap_or(DEFAULT_PROJECT))
            .map_err(|error| Failure::usage(format!("FLAGSTONE_PROJECT: {error}"))),
    }
}

/// Whether a failure says that something is not there.
pub(crate) fn is_missing(failure: &Failure, codes: &[&str]) -> bool {
    codes.contains(&failure.code.as_str())
}

/// Percent-encodes everything that could mean something in a URL or a header.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// 128 random bits in hexadecimal.
fn random_id() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::refused("no-randomness", format!("the system has no randomness: {error}"))
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mean_something_in_a_url_is_escaped() {
        assert_eq!(escaped("new-checkout_1.2~"), "new-checkout_1.2~");
        assert_eq!(escaped("a b/c?ü"), "a%20b%2Fc%3F%C3%BC");
    }
}
