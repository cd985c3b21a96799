//! A small Secrets Manager: it tells secrets that it was given, and nothing else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::CloudError;
use crate::serve::{Body, HungUp, Served, answer};

const JSON: &str = "application/x-amz-json-1.1";

/// A running server. It ends when the value does, and so do its secrets.
#[derive(Debug)]
pub struct Secrets {
    served: Served,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    secrets: Mutex<BTreeMap<String, String>>,
    asked: AtomicU64,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl Secrets {
    /// Starts it without secrets.
    ///
    /// # Errors
    ///
    /// If the system has no free port.
    pub async fn start() -> Result<Self, CloudError> {
        let kept = Arc::new(Kept::default());
        let told = Arc::clone(&kept);
        let served = Served::start(move |request| Arc::clone(&told).tell(request)).await?;
        Ok(Self { served, kept })
    }

    /// Keeps a secret under a name, instead of the one that was there.
    pub fn put(&self, name: &str, secret: &str) {
        self.kept.lock().insert(name.to_owned(), secret.to_owned());
    }

    /// Forgets a secret.
    pub fn remove(&self, name: &str) {
        self.kept.lock().remove(name);
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        self.kept.asked.load(Ordering::SeqCst)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.served.url()
    }
}

impl Kept {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, HungUp> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        let is_read = target == Some("secretsmanager.GetSecretValue");
        let body = request.into_body().collect().await.map_err(|_| HungUp)?.to_bytes();
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let name = asked.get("SecretId").and_then(Value::as_str).filter(|_| is_read);
        let Some(name) = name else {
            let refusal = json!({ "__type": "InvalidParameterException", "message": "only GetSecretValue" });
            return Ok(answer(StatusCode::BAD_REQUEST, JSON, refusal.to_string()));
        };
        Ok(match self.lock().get(name) {
            Some(secret) => {
                let told = json!({ "Name": name, "SecretString": secret, "VersionStages": ["AWSCURRENT"] });
                answer(StatusCode::OK, JSON, told.to_string())
            }
            None => {
                let refusal = json!({
                    "__type": "ResourceNotFoundException",
                    "Message": "Secrets Manager can't find the specified secret.",
                });
                answer(StatusCode::BAD_REQUEST, JSON, refusal.to_string())
            }
        })
    }
}
