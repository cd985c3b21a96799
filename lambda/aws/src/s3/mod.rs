//! Two buckets: what clients fetch, and what nobody is served.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flagstone_model::digest::Digest;

use crate::fault::At;

mod private;
mod public;
mod published;

pub use private::PrivateBucket;
pub use public::PublicBucket;

/// One bucket.
#[derive(Debug, Clone)]
struct Bucket {
    client: Client,
    name: Arc<str>,
}

impl Bucket {
    fn fault<E: ProvideErrorMetadata>(
        &self,
        action: &'static str,
        key: &str,
        error: &SdkError<E, HttpResponse>,
    ) -> At {
        At::of(action, format!("{key} of the bucket `{}`", self.name), error)
    }
}

/// The status of an answer, where there was one.
fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether an object is not there, and its bucket is.
fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(404) && error.code() != Some("NoSuchBucket")
}

/// The digest of a body as S3 compares it before it stores anything.
fn checksum(bytes: &[u8]) -> String {
    STANDARD.encode(Digest::of(bytes).as_bytes())
}

fn body(bytes: &[u8]) -> ByteStream {
    ByteStream::from(bytes.to_vec())
}
