//! A small S3 that takes conditions and ignores them, as lookalikes and gateways have done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ETAG, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::CloudError;
use crate::serve::{Body, HungUp, Served, answer};

const XML: &str = "application/xml";

/// A running server of one bucket, which keeps versions, it says. It ends when the value does.
#[derive(Debug)]
pub struct CarelessS3 {
    served: Served,
}

/// Objects by path, each with how often it was written.
type Objects = Mutex<BTreeMap<String, (u64, Bytes)>>;

impl CarelessS3 {
    /// Starts it without objects.
    ///
    /// # Errors
    ///
    /// If the system has no free port.
    pub async fn start() -> Result<Self, CloudError> {
        let objects = Arc::new(Objects::default());
        let served = Served::start(move |request| tell(Arc::clone(&objects), request)).await?;
        Ok(Self { served })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.served.url()
    }
}

async fn tell(objects: Arc<Objects>, request: Request<Incoming>) -> Result<Response<Body>, HungUp> {
    if request.uri().query().is_some_and(|query| query.starts_with("versioning")) {
        let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        return Ok(answer(StatusCode::OK, XML, on));
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = request.into_body().collect().await.map_err(|_| HungUp)?.to_bytes();
    let mut objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
    if method == Method::PUT {
        let (written, kept) = objects.entry(path.clone()).or_default();
        (*written, *kept) = (written.saturating_add(1), body);
    }
    let Some((written, kept)) = objects.get(&path) else {
        let missing = "<Error><Code>NoSuchKey</Code><Message>nothing is there</Message></Error>";
        return Ok(answer(StatusCode::NOT_FOUND, XML, missing));
    };
    let body = if method == Method::GET { kept.clone() } else { Bytes::new() };
    let mut told = answer(StatusCode::OK, "application/octet-stream", body);
    if let Ok(etag) = HeaderValue::try_from(format!("\"{written}\"")) {
        told.headers_mut().insert(ETAG, etag);
    }
    Ok(told)
}
