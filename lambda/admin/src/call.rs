//! One request of the API, taken apart: who, on what, with which body and conditions.

use std::sync::Arc;

use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use flagstone_model::digest::Digest;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, KeyError, ListKey, SegmentKey, ViewId};
use flagstone_publisher::control::{Precondition, Write};
use flagstone_publisher::log::Actor;

use crate::auth::Principal;
use crate::etag::{self, EntityTags};
use crate::percent;
use crate::problem::{Problem, code};
use crate::query::Query;
use crate::{MAX_BODY_BYTES, MAX_PREVIEW_BODY_BYTES, Service, Until};

/// Longest idempotency key, in characters.
const MAX_IDEMPOTENCY_KEY_CHARS: usize = 255;
/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 1_000;
/// In how many seconds to try again when too many large bodies are under way.
const LARGE_BODY_PAUSE_S: u32 = 5;
/// A revision that no entity reaches, for a condition that must fail.
const NO_REVISION: u64 = u64::MAX;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const REASON: HeaderName = HeaderName::from_static("x-flagstone-reason");

/// A request of somebody who may make it, its body read. Not `Debug`: its headers hold the token.
pub(crate) struct Call {
    principal: Principal,
    parameters: Vec<(String, String)>,
    parts: Parts,
    body: Bytes,
    /// What a large body takes of all that large bodies may take together.
    room: Option<Room>,
}

/// The right to hold a large body in memory.
pub(crate) type Room = tokio::sync::OwnedSemaphorePermit;

/// How large a body may be where it may be larger than elsewhere: an extension that a route sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

impl FromRequest<Service> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, service: &Service) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Some(principal) = parts.extensions.get::<Principal>().cloned() else {
            return Err(Problem::internal());
        };
        let parameters = path_parameters(&mut parts).await?;
        let project = service.control.project();
        if parameters.iter().any(|(name, value)| name == "project" && value != project.as_str()) {
            let detail = "there is no project of this id here";
            return Err(Problem::new(StatusCode::NOT_FOUND, code::PROJECT_NOT_FOUND, detail));
        }
        let BodyLimit(max) = parts.extensions.get().copied().unwrap_or(BodyLimit(MAX_BODY_BYTES));
        // So large a body may only be where its length was told, and there is room for it.
        let is_large = max > MAX_PREVIEW_BODY_BYTES;
        let room = if is_large && length_of(&parts.headers) > MAX_BODY_BYTES as u64 {
            let room = Arc::clone(&service.large_bodies).try_acquire_owned();
            Some(room.map_err(|_| Problem::busy(LARGE_BODY_PAUSE_S))?)
        } else {
            None
        };
        let max = if is_large && room.is_none() { MAX_BODY_BYTES } else { max };
        let body = body_of(Request::from_parts(parts.clone(), body), max).await?;
        Ok(Self { principal, parameters, parts, body, room })
    }
}

async fn path_parameters(parts: &mut Parts) -> Result<Vec<(String, String)>, Problem> {
    let Ok(parameters) = RawPathParams::from_request_parts(parts, &()).await else {
        return Err(Problem::parameter("", "the path is not UTF-8"));
    };
    Ok(parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// How long the body is going to be, as far as that is told.
fn length_of(headers: &HeaderMap) -> u64 {
    headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// The whole body, unless it is over the limit. A length that says so is believed before a byte is read.
async fn body_of(request: Request, max: usize) -> Result<Bytes, Problem> {
    if length_of(request.headers()) > max as u64 {
        return Err(Problem::too_large(max));
    }
    let body: Bytes = request.extract().await.map_err(|rejection: BytesRejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::too_large(max)
        } else {
            Problem::body("", "the body did not arrive whole")
        }
    })?;
    if body.len() > max { Err(Problem::too_large(max)) } else { Ok(body) }
}

/// What a route expects as a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/json`
    Json,
    /// That, or `application/merge-patch+json`
    MergePatch,
}

impl Call {
    fn parameter<K>(&self, name: &'static str, parse: fn(&str) -> Result<K, KeyError>) -> Result<K, Problem> {
        parse(self.raw_parameter(name)).map_err(|error| Problem::key(name, &error))
    }

    /// Who asks.
    pub(crate) const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// A part of the path, as it came; empty if the route has none of this name.
    pub(crate) fn raw_parameter(&self, name: &str) -> &str {
        let value = self.parameters.iter().find(|(present, _)| present == name);
        value.map_or("", |(_, value)| value.as_str())
    }

    /// The environment in the path.
    pub(crate) fn environment(&self) -> Result<EnvironmentId, Problem> {
        self.parameter("environment", EnvironmentId::parse)
    }

    /// The flag in the path.
    pub(crate) fn flag(&self) -> Result<FlagKey, Problem> {
        self.parameter("flag", FlagKey::parse)
    }

    /// The segment in the path.
    pub(crate) fn segment(&self) -> Result<SegmentKey, Problem> {
        self.parameter("segment", SegmentKey::parse)
    }

    /// The list in the path.
    pub(crate) fn list(&self) -> Result<ListKey, Problem> {
        self.parameter("list", ListKey::parse)
    }

    /// The body, as it came.
    pub(crate) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// Takes what its body holds of the room for large ones, for work that outlives the request.
    pub(crate) const fn take_room(&mut self) -> Option<Room> {
        self.room.take()
    }

    /// The value of a header, if it stands there.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&HeaderValue> {
        self.parts.headers.get(name)
    }

    /// Whether the body is text: `text/plain`, in UTF-8.
    pub(crate) fn is_text(&self) -> Result<bool, Problem> {
        let Some(told) = self.parts.headers.get(CONTENT_TYPE) else { return Ok(false) };
        let (essence, is_utf8) = essence(told);
        if !essence.eq_ignore_ascii_case("text/plain") {
            return Ok(false);
        }
        if is_utf8 {
            return Ok(true);
        }
        let wanted = "send `Content-Type: text/plain; charset=utf-8`";
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::UNSUPPORTED_MEDIA_TYPE, wanted))
    }

    /// The view in the path.
    pub(crate) fn view(&self) -> Result<ViewId, Problem> {
        self.parameter("view", ViewId::parse)
    }

    /// The path, as it came.
    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Whether the request has this header.
    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.parts.headers.contains_key(name)
    }

    /// The query string, which may have the parameters `known`.
    pub(crate) fn query(&self, known: &[&str]) -> Result<Query, Problem> {
        Query::read(&self.parts.uri, known)
    }

    /// The body as JSON.
    pub(crate) fn json(&self, media: Media) -> Result<Json<'_>, Problem> {
        self.optional_json(media)?.ok_or_else(|| Problem::body("", "a JSON object is wanted as body"))
    }

    /// The body as JSON, if there is one.
    pub(crate) fn optional_json(&self, media: Media) -> Result<Option<Json<'_>>, Problem> {
        if self.body.is_empty() {
            return Ok(None);
        }
        self.check_media(media)?;
        let json = Json::parse(&self.body).map_err(|error| Problem::body("", error))?;
        match json {
            Json::Object(_) => Ok(Some(json)),
            _ => Err(Problem::body("", "a JSON object is wanted as body")),
        }
    }

    /// A body without a type is taken for JSON: with a token in a header nothing can be forged by leaving it out.
    fn check_media(&self, media: Media) -> Result<(), Problem> {
        let Some(told) = self.parts.headers.get(CONTENT_TYPE) else { return Ok(()) };
        let (essence, is_utf8) = essence(told);
        let is_json = essence.eq_ignore_ascii_case("application/json");
        let is_patch = essence.eq_ignore_ascii_case("application/merge-patch+json");
        // What `curl -d` says when it is told nothing. With a token in a header nothing can be forged by it either.
        let is_unsaid = essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
            && self.body.trim_ascii_start().starts_with(b"{");
        if (is_json || is_unsaid || is_patch && media == Media::MergePatch) && is_utf8 {
            return Ok(());
        }
        let wanted = match media {
            Media::Json => "send `Content-Type: application/json`, in UTF-8",
            Media::MergePatch => "send `Content-Type: application/merge-patch+json`, in UTF-8",
        };
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::UNSUPPORTED_MEDIA_TYPE, wanted))
    }

    /// What `If-None-Match` of a read names.
    pub(crate) fn if_none_match(&self) -> Result<Option<EntityTags>, Problem> {
        self.tags(&IF_NONE_MATCH, "If-None-Match")
    }

    fn tags(&self, name: &HeaderName, shown: &'static str) -> Result<Option<EntityTags>, Problem> {
        etag::read(&self.parts.headers, name)
            .map_err(|_| Problem::header(shown, "entity tags stand in quotes, like `\"7\"`, or it is `*`"))
    }

    /// Everything about a write but what it does.
    ///
    /// `reason` is what the body says; `current` reads the entity's revision, 0 if there is none.
    pub(crate) async fn write(
        &self,
        reason: Option<String>,
        current: impl Future<Output = Result<u64, Problem>>,
    ) -> Result<Write, Problem> {
        self.write_with(&self.query(&["confirm"])?, reason, current).await
    }

    /// The same of a route that has parameters of its own.
    pub(crate) async fn write_with(
        &self,
        query: &Query,
        reason: Option<String>,
        current: impl Future<Output = Result<u64, Problem>>,
    ) -> Result<Write, Problem> {
        let confirm = query.truth("confirm")?;
        let request_id = self.idempotency_key()?;
        let told = self.told_reason()?;
        if let (Some(told), Some(reason)) = (&told, &reason)
            && told != reason
        {
            return Err(Problem::header("X-Flagstone-Reason", "the body gives another reason"));
        }
        let precondition = self.precondition(current).await?;
        Ok(Write {
            actor: Actor {
                kind: self.principal.kind,
                id: self.principal.id.clone(),
                via: via(&self.parts.headers).to_owned(),
            },
            actor_name: self.principal.name.clone(),
            request_id,
            request_bytes: self.request_bytes(),
            reason: told.or(reason),
            precondition,
            confirm,
            wait: !self.prefers_async(),
            until: self.parts.extensions.get().map(|Until(until)| *until),
        })
    }

    /// The same for a write that makes something new, of which no revision can be known.
    pub(crate) async fn creation(&self, reason: Option<String>) -> Result<Write, Problem> {
        if self.parts.headers.contains_key(IF_MATCH) {
            return Err(Problem::header("If-Match", "what is made here has no revision yet"));
        }
        self.write(reason, async { Ok(0) }).await
    }

    /// What the control plane compares. It takes one revision; a list, or `*`, becomes the revision that is there now
    /// if it is among them. Should that change before the write, the write fails, as it may.
    async fn precondition(
        &self,
        current: impl Future<Output = Result<u64, Problem>>,
    ) -> Result<Precondition, Problem> {
        let matching = self.tags(&IF_MATCH, "If-Match")?;
        match (matching, self.tags(&IF_NONE_MATCH, "If-None-Match")?) {
            (None, None) => Ok(Precondition::Any),
            (None, Some(EntityTags::Any)) => Ok(Precondition::Absent),
            (None, Some(_)) => Err(Problem::header("If-None-Match", "a write may only say `*` here")),
            (Some(_), Some(_)) => {
                Err(Problem::header("If-None-Match", "`If-Match` and `If-None-Match` exclude each other"))
            }
            (Some(EntityTags::Any), None) => match current.await? {
                0 => Ok(Precondition::Revision(NO_REVISION)),
                current => Ok(Precondition::Revision(current)),
            },
            (Some(EntityTags::These(tags)), None) => {
                let revisions: Vec<u64> = tags.iter().filter_map(etag::EntityTag::revision).collect();
                match revisions[..] {
                    [] => Ok(Precondition::Revision(NO_REVISION)),
                    [only] => Ok(Precondition::Revision(only)),
                    [first, ..] => {
                        let current = current.await?;
                        let met = revisions.contains(&current);
                        Ok(Precondition::Revision(if met { current } else { first }))
                    }
                }
            }
        }
    }

    /// The key of a retry, bare or as the quoted string of its draft standard.
    fn idempotency_key(&self) -> Result<Option<String>, Problem> {
        let mut values = self.parts.headers.get_all(&IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let refusal = || {
            let detail = format!("1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters, once");
            Problem::header("Idempotency-Key", detail)
        };
        let text = value.to_str().ok().filter(|_| values.next().is_none()).ok_or_else(refusal)?;
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !plain || !(1..=MAX_IDEMPOTENCY_KEY_CHARS).contains(&text.len()) {
            return Err(refusal());
        }
        Ok(Some(text.to_owned()))
    }

    fn told_reason(&self) -> Result<Option<String>, Problem> {
        let Some(value) = self.parts.headers.get(&REASON) else { return Ok(None) };
        match percent::decode(value.as_bytes()) {
            Some(text) => check_reason(&text)
                .map(|()| Some(text))
                .map_err(|detail| Problem::header("X-Flagstone-Reason", detail)),
            None => Err(Problem::header("X-Flagstone-Reason", "UTF-8, percent-encoded, is wanted here")),
        }
    }

    fn prefers_async(&self) -> bool {
        let preferences = self.parts.headers.get_all(&PREFER).iter();
        preferences
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|one| one.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("respond-async"))
    }

    /// The request, as far as it says what is to be done: a retry has the same bytes.
    fn request_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {}\n", self.parts.method, self.parts.uri).into_bytes();
        for name in [IF_MATCH, IF_NONE_MATCH, REASON] {
            for value in self.parts.headers.get_all(&name) {
                bytes.extend_from_slice(name.as_str().as_bytes());
                bytes.extend_from_slice(b": ");
                bytes.extend_from_slice(value.as_bytes());
                bytes.push(b'\n');
            }
        }
        bytes.push(b'\n');
        if self.body.len() > MAX_BODY_BYTES {
            // Its digest says as well whether it is the same.
            bytes.extend_from_slice(b"sha256:");
            bytes.extend_from_slice(Digest::of(&self.body).as_bytes());
        } else {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// The type of a body without its parameters, and whether no parameter says another encoding than UTF-8.
fn essence(told: &HeaderValue) -> (&str, bool) {
    let mut parts = told.to_str().unwrap_or_default().split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_utf8 = parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        !name.trim().eq_ignore_ascii_case("charset")
            || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    (essence, is_utf8)
}

/// What the actor used: our own programs say so in `User-Agent`.
pub(crate) fn via(headers: &HeaderMap) -> &'static str {
    let agent = headers.get(USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
    if agent.starts_with(b"flagstone-cli/") {
        "cli"
    } else if agent.starts_with(b"flagstone-console/") {
        "console"
    } else {
        "api"
    }
}

/// Says what is wrong with a reason.
pub(crate) fn check_reason(text: &str) -> Result<(), String> {
    if text.chars().count() > MAX_REASON_CHARS {
        return Err(format!("a reason has at most {MAX_REASON_CHARS} characters"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err("a reason has no control characters".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    trait Unprintable<Marker> {
        fn is() -> bool {
            true
        }
    }

    impl<T> Unprintable<()> for T {}
    impl<T: Debug> Unprintable<u8> for T {}

    #[test]
    fn a_call_that_holds_the_token_cannot_be_printed() {
        // With `Debug` there would be two of these, and this would not compile.
        assert!(<Call as Unprintable<_>>::is());
    }
}
