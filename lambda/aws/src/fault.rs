//! What a service answered instead of doing what it was asked, in words that say what to do.

use std::fmt;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use flagstone_publisher::keys::SignError;
use flagstone_publisher::publish::PublishError;
use flagstone_publisher::storage::{Misconfiguration, StorageError};
use flagstone_publisher::store::StoreError;

/// Why a service did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not set up as it must be.
    Misconfigured(Misconfiguration),
    /// There were too many requests, also after the retries.
    Throttled,
    /// Anything else: no answer, or an error of the service.
    Unavailable,
}

/// Which of them a service's error code and HTTP status mean. What a `HEAD` is refused with has no body, so no code.
fn classify(code: Option<&str>, status: Option<u16>, message: Option<&str>) -> Fault {
    let what = match code.unwrap_or_default() {
        "AccessDenied"
        | "AccessDeniedException"
        | "AllAccessDisabled"
        | "DecryptionFailure"
        | "KMSAccessDeniedException" => Misconfiguration::Denied,
        // The last one is said of a secret that is about to be deleted.
        "NoSuchBucket" | "ResourceNotFoundException" | "InvalidRequestException" => Misconfiguration::Missing,
        "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "PermanentRedirect"
        | "TemporaryRedirect" => Misconfiguration::Region,
        "RequestExpired" | "RequestInTheFuture" | "RequestTimeTooSkewed" => Misconfiguration::Clock,
        "InvalidSignatureException" | "SignatureDoesNotMatch"
            if says(message, "signature expired") || says(message, "signature not yet current") =>
        {
            Misconfiguration::Clock
        }
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "MissingAuthenticationTokenException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Misconfiguration::Credentials,
        "ValidationException" if says(message, "key") => Misconfiguration::Foreign,
        "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException" => return Fault::Throttled,
        _ => match status {
            Some(301 | 307) => Misconfiguration::Region,
            Some(401 | 403) => Misconfiguration::Denied,
            Some(429) => return Fault::Throttled,
            _ => return Fault::Unavailable,
        },
    };
    Fault::Misconfigured(what)
}

/// Whether a message has these words: services use one code for several things.
fn says(message: Option<&str>, words: &str) -> bool {
    message.is_some_and(|message| message.to_ascii_lowercase().contains(words))
}

/// A fault at a place, with what the service said of it: its code and the id of the request, and nothing of what was
/// sent.
#[derive(Debug)]
pub(crate) struct At {
    pub(crate) fault: Fault,
    action: &'static str,
    place: String,
    said: String,
}

impl At {
    /// Reads the error of an SDK call that was to `action` at `place`.
    pub(crate) fn of<E>(
        action: &'static str,
        place: impl Into<String>,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code();
        let said = match (code, status, error) {
            (Some(code), ..) => code.to_owned(),
            (None, Some(status), _) => format!("HTTP {status}"),
            (None, None, SdkError::TimeoutError(_)) => "no answer in time".to_owned(),
            (None, None, SdkError::DispatchFailure(failure)) if failure.is_timeout() => {
                "no answer in time".to_owned()
            }
            (None, None, SdkError::DispatchFailure(_)) => "no connection".to_owned(),
            (None, None, _) => "an unreadable answer".to_owned(),
        };
        Self { fault: classify(code, status, error.message()), action, place: place.into(), said }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, place, said, .. } = self;
        write!(f, "could not {action} {place}: {said}")
    }
}

impl std::error::Error for At {}

impl From<At> for StorageError {
    fn from(at: At) -> Self {
        match at.fault {
            Fault::Misconfigured(what) => Self::Misconfigured { what, detail: at.to_string() },
            Fault::Throttled => Self::Busy,
            Fault::Unavailable => Self::Unavailable { source: Box::new(at) },
        }
    }
}

impl From<At> for StoreError {
    fn from(at: At) -> Self {
        match at.fault {
            Fault::Misconfigured(what) => Self::Misconfigured { what, detail: at.to_string() },
            Fault::Throttled => Self::Busy { action: at.action, location: at.place },
            Fault::Unavailable => {
                Self::Unavailable { action: at.action, location: at.place.clone(), source: Box::new(at) }
            }
        }
    }
}

impl From<At> for PublishError {
    fn from(at: At) -> Self {
        match at.fault {
            Fault::Misconfigured(what) => {
                Self::Failed { code: what.code().to_owned(), detail: at.to_string() }
            }
            Fault::Throttled | Fault::Unavailable => Self::Unavailable { source: Box::new(at) },
        }
    }
}

impl From<At> for SignError {
    fn from(at: At) -> Self {
        match at.fault {
            Fault::Misconfigured(what) => Self::Misconfigured { what, detail: at.to_string() },
            Fault::Throttled | Fault::Unavailable => Self::Unavailable { source: Box::new(at) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_becomes_what_to_do() {
        use Misconfiguration::{Clock, Credentials, Denied, Foreign, Missing, Region};
        let wrong = Fault::Misconfigured;
        for (code, status, message, fault) in [
            ("AccessDeniedException", 400, "", wrong(Denied)),
            ("ResourceNotFoundException", 400, "Requested resource not found", wrong(Missing)),
            ("NoSuchBucket", 404, "", wrong(Missing)),
            ("PermanentRedirect", 301, "", wrong(Region)),
            ("RequestTimeTooSkewed", 403, "", wrong(Clock)),
            (
                "InvalidSignatureException",
                400,
                "Signature expired: 20261122T000000Z is now earlier",
                wrong(Clock),
            ),
            (
                "InvalidSignatureException",
                400,
                "Signature not yet current: 20261122T010000Z is still later",
                wrong(Clock),
            ),
            ("InvalidSignatureException", 400, "The request signature we calculated", wrong(Credentials)),
            ("ExpiredTokenException", 400, "", wrong(Credentials)),
            ("DecryptionFailure", 400, "", wrong(Denied)),
            ("KMSAccessDeniedException", 502, "", wrong(Denied)),
            (
                "InvalidRequestException",
                400,
                "You can't perform this operation on the secret",
                wrong(Missing),
            ),
            (
                "ValidationException",
                400,
                "The provided key element does not match the schema",
                wrong(Foreign),
            ),
            ("ValidationException", 400, "Item size has exceeded the maximum", Fault::Unavailable),
            ("ProvisionedThroughputExceededException", 400, "", Fault::Throttled),
            ("SlowDown", 503, "", Fault::Throttled),
            ("InternalServerError", 500, "", Fault::Unavailable),
        ] {
            assert_eq!(classify(Some(code), Some(status), Some(message)), fault, "{code}: {message}");
        }
        // A HEAD has no body that could say more.
        for (status, fault) in [(403, wrong(Denied)), (301, wrong(Region)), (503, Fault::Unavailable)] {
            assert_eq!(classify(None, Some(status), None), fault, "{status}");
        }
        assert_eq!(classify(None, None, None), Fault::Unavailable);
    }
}
