//! Refusals as problem documents (RFC 9457).

use std::fmt::Display;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flagstone_model::json::Json;
use flagstone_model::key::KeyError;
use flagstone_publisher::author;
use flagstone_publisher::control::{ControlError, Kind};
use flagstone_publisher::state::change::Refusal;

/// What stands before a code in the `type` of a problem document.
const TYPE_PREFIX: &str = "urn:flagstone:problem:";
/// Most problems of one document that are listed one by one.
const MAX_LISTED: usize = 100;

/// What is told of a disk without room. Its path is nobody's business.
const NO_SPACE: &str = "no space is left where data is kept; try again when there is some";
/// When what an operator has to mend may be tried again, in seconds: a disk without room, a service set up wrong.
const MENDED_RETRY_S: u32 = 60;

/// The media type of a problem document.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Codes that arise at the edge; those of the control plane come with its errors.
pub(crate) mod code {
    pub(crate) const BUSY: &str = "busy";
    pub(crate) const FORBIDDEN: &str = "forbidden";
    pub(crate) const INTERNAL: &str = "internal";
    pub(crate) const INVALID_REQUEST: &str = "invalid-request";
    pub(crate) const METHOD_NOT_ALLOWED: &str = "method-not-allowed";
    pub(crate) const NOT_FOUND: &str = "not-found";
    pub(crate) const PROJECT_NOT_FOUND: &str = "project-not-found";
    pub(crate) const RATE_LIMITED: &str = "rate-limited";
    pub(crate) const STORAGE_FULL: &str = "storage-full";
    pub(crate) const TOO_LARGE: &str = "too-large";
    pub(crate) const UNAUTHENTICATED: &str = "unauthenticated";
    pub(crate) const UNSUPPORTED_MEDIA_TYPE: &str = "unsupported-media-type";
}

/// The code of the problem a response tells, for the log line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProblemCode(pub(crate) &'static str);

/// A refusal: what the answer says instead of an entity.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    members: Vec<(&'static str, Json<'static>)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Display) -> Self {
        Self { status, code, detail: detail.to_string(), members: Vec::new(), headers: Vec::new() }
    }

    /// The body is not what it should be, at this JSON Pointer.
    pub(crate) fn body(pointer: &str, detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, detail)
            .with("pointer", Json::from(pointer.to_owned()))
    }

    /// A part of the path or the query is not what it should be.
    pub(crate) fn parameter(name: &str, detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, detail)
            .with("parameter", Json::from(name.to_owned()))
    }

    /// A key in the path is none.
    pub(crate) fn key(name: &str, error: &KeyError) -> Self {
        Self::parameter(name, error)
    }

    /// A header of the request is not what it should be.
    pub(crate) fn header(name: &'static str, detail: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::INVALID_REQUEST, detail).with("header", Json::from(name))
    }

    /// No such route.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NOT_FOUND, "nothing is at this path")
    }

    /// The route has other methods. Which, the router says in `Allow`.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "this path does not have that method; `Allow` names those it has";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, code::METHOD_NOT_ALLOWED, detail)
    }

    /// No credential, or one that is not known.
    pub(crate) fn unauthenticated(detail: &'static str, challenge: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code::UNAUTHENTICATED, detail)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// The body is over the limit.
    pub(crate) fn too_large(max: usize) -> Self {
        let detail = format!("a body has at most {max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail)
    }

    /// Too many requests of this token, or of nobody who is known.
    pub(crate) fn rate_limited(retry_after_s: u32) -> Self {
        let detail = format!("too many requests; again in {retry_after_s} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, detail)
            .with_header(RETRY_AFTER, HeaderValue::from(retry_after_s))
    }

    /// Trying again later may help.
    pub(crate) fn busy(retry_after_s: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::BUSY, "too busy just now; try again")
            .with_header(RETRY_AFTER, HeaderValue::from(retry_after_s))
    }

    /// Something broke that the caller can do nothing about; the log says what.
    pub(crate) fn internal() -> Self {
        let detail = "something went wrong here; `x-request-id` finds it in the log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, detail)
    }

    /// Whether it says that something is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// Whether it says that nobody is known to ask.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// The same with a further member.
    pub(crate) fn with(mut self, member: &'static str, value: Json<'static>) -> Self {
        self.members.push((member, value));
        self
    }

    /// The same with a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with what was probably meant, which people read in the detail too.
    pub(crate) fn suggesting(mut self, suggestion: &str) -> Self {
        if !self.detail.contains("did you mean") {
            self.detail.push_str("; did you mean `");
            self.detail.push_str(suggestion);
            self.detail.push_str("`?");
        }
        self.with("suggestion", Json::from(suggestion.to_owned()))
    }

    fn document(self) -> (Vec<(HeaderName, HeaderValue)>, String) {
        let members = [
            ("type", Json::from(format!("{TYPE_PREFIX}{}", self.code))),
            ("title", Json::from(title(self.code))),
            ("status", Json::from(u64::from(self.status.as_u16()))),
            ("detail", Json::from(self.detail)),
            ("code", Json::from(self.code)),
        ];
        (self.headers, Json::object(members.into_iter().chain(self.members)).to_string())
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let status = match error.kind() {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Precondition { current } => {
                return Self::new(StatusCode::PRECONDITION_FAILED, error.code(), &error)
                    .placed(&error)
                    .with("current_revision", Json::from(current));
            }
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Busy { retry_after_s } => {
                tracing::warn!(
                    target: "flagstone_admin",
                    code = error.code(),
                    error = &error as &(dyn std::error::Error + 'static),
                    "the control plane is busy"
                );
                return Self::busy(retry_after_s);
            }
            Kind::Internal if error.code() == code::STORAGE_FULL => {
                tracing::error!(target: "flagstone_admin", code = error.code(), "no space is left");
                return Self {
                    code: code::STORAGE_FULL,
                    detail: NO_SPACE.to_owned(),
                    ..Self::busy(MENDED_RETRY_S)
                };
            }
            Kind::Misconfigured(what) => {
                tracing::error!(
                    target: "flagstone_admin",
                    code = what.code(),
                    error = &error as &(dyn std::error::Error + 'static),
                    "a service is not set up as it must be"
                );
                return Self {
                    code: what.code(),
                    detail: what.advice().to_owned(),
                    ..Self::busy(MENDED_RETRY_S)
                };
            }
            Kind::Internal => {
                tracing::error!(
                    target: "flagstone_admin",
                    code = error.code(),
                    error = &error as &(dyn std::error::Error + 'static),
                    "the control plane failed"
                );
                return Self::internal();
            }
        };
        let problem = Self::new(status, error.code(), &error).placed(&error);
        let problem = match error.problems() {
            [] => problem,
            problems => problem.listing(problems),
        };
        match suggestion(&error) {
            Some(meant) => problem.suggesting(meant),
            None => problem,
        }
    }
}

/// What the caller probably meant, taken from the hint that people read.
fn suggestion(error: &ControlError) -> Option<&str> {
    let ControlError::Refused(refusal) = error else { return None };
    let (Refusal::FlagNotFound { hint, .. }
    | Refusal::EnvironmentNotFound { hint, .. }
    | Refusal::SegmentNotFound { hint, .. }) = refusal.place().1
    else {
        return None;
    };
    hint.split('`').nth(1)
}

impl Problem {
    /// The same with its place in the body, if only a part of that is refused.
    fn placed(self, error: &ControlError) -> Self {
        match error {
            ControlError::Refused(refusal) => match refusal.place().0 {
                Some(pointer) => self.with("pointer", Json::from(pointer.to_owned())),
                None => self,
            },
            _ => self,
        }
    }

    /// The same with everything that is wrong; the first stands at the top too.
    fn listing(self, problems: &[author::Problem]) -> Self {
        let listed = problems.iter().take(MAX_LISTED).map(|problem| {
            Json::object([
                ("pointer", Json::from(problem.pointer.clone())),
                ("code", Json::from(problem.code)),
                ("detail", Json::from(problem.detail.clone())),
            ])
        });
        let listed = listed.collect();
        match problems.first() {
            Some(first) => self.with("pointer", Json::from(first.pointer.clone())),
            None => self,
        }
        .with("errors", listed)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code) = (self.status, self.code);
        let (headers, document) = self.document();
        let mut response = (status, [(CONTENT_TYPE, PROBLEM_JSON)], document).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            // The router fills in what it knows; a header of ours would stand in its way.
            response.headers_mut().remove(ALLOW);
        }
        response.extensions_mut().insert(ProblemCode(code));
        response
    }
}

/// The same words for every occurrence of a code.
fn title(code: &str) -> &'static str {
    match code {
        "already-created" => "made before, and its secret told then",
        "already-exists" => "there is one already",
        "archive-differs" | "log-behind" | "unclaimed-manifest" => "the stream stands still",
        "entry-not-found" => "no such entry",
        "data-erased" => "has been erased",
        "not-yet-superseded" | "still-in-use" => "in use",
        "builder-older" => "a newer builder built it",
        "busy" => "too busy",
        "dangling-reference" => "names something that does not exist",
        "environment-not-found" => "no such environment",
        "flag-not-found" => "no such flag",
        "forbidden" => "not allowed",
        "check-failed" => "a check would not hold any more",
        "idempotency-key-reused" => "the idempotency key belongs to another request",
        "internal" => "internal error",
        "invalid-request" => "the request is not well-formed",
        "key-not-found" => "no such SDK key",
        "key-retired" => "the key is retired",
        "method-not-allowed" => "no such method here",
        "needs-confirmation" => "needs confirmation",
        "not-found" => "no such path",
        "nothing-to-adopt" => "what is announced is what was claimed",
        "prerequisite-cycle" => "flags or segments refer to each other in a circle",
        "project-not-found" => "no such project",
        "rate-limited" => "too many requests",
        "reference-cost" => "reaches too many flags and segments",
        "ramp-not-running" => "no ramp is running",
        "bucket-unversioned"
        | "service-clock"
        | "service-credentials"
        | "service-denied"
        | "service-foreign"
        | "service-missing"
        | "service-region"
        | "signing-secret-malformed" => "a service is not set up as it must be",
        "schedule-in-past" => "all of the schedule is over",
        "schedule-overlap" => "points in time do not follow one another",
        "segment-not-found" => "no such segment",
        "list-not-found" => "no such list",
        "list-object-missing" => "the keys of this list are lost",
        "list-object-damaged" => "the keys of this list are damaged",
        "storage-full" => "no space is left",
        "stale-revision" => "changed in the meantime",
        "token-not-found" => "no such token",
        "too-large" => "too large",
        "too-many-keys" => "two SDK keys are the most",
        "too-many-tokens" => "too many tokens",
        "unauthenticated" => "not authenticated",
        "trial-place-taken" => "something stands where a trial would write",
        "unknown-time-zone" => "no such time zone",
        "unsupported-media-type" => "not JSON",
        "unsupported-test" => "not supported",
        "client-view-refused" => "clients can not be shown this",
        "view-not-found" => "no such view",
        "view-built-in" => "the view is built in",
        _ => "the request was refused",
    }
}

#[cfg(test)]
mod tests {
    use flagstone_publisher::log::LogError;
    use flagstone_publisher::storage::{Misconfiguration, StorageError};

    use super::*;

    #[test]
    fn a_full_disk_is_told_as_such_and_its_path_is_not() {
        let full = StorageError::Full { path: "/canary".into() };
        let problem = Problem::from(ControlError::from(LogError::from(full)));
        assert_eq!((problem.status, problem.code), (StatusCode::SERVICE_UNAVAILABLE, "storage-full"));
        assert!(!problem.detail.contains("canary"));
        assert_eq!(title(problem.code), "no space is left");
    }

    #[test]
    fn a_service_that_is_set_up_wrong_is_told_by_its_code_and_not_by_its_name() {
        for what in Misconfiguration::ALL {
            let misconfigured = StorageError::Misconfigured { what, detail: "the table `canary`".into() };
            let problem = Problem::from(ControlError::from(LogError::from(misconfigured)));
            assert_eq!((problem.status, problem.code), (StatusCode::SERVICE_UNAVAILABLE, what.code()));
            assert!(!problem.detail.contains("canary"), "{}", problem.detail);
            assert_eq!(title(problem.code), "a service is not set up as it must be");
        }
    }
}
