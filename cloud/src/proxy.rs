//! Faults between a program and a server: a proxy that throttles, delays, refuses, and loses answers.
//!
//! It forwards HTTP requests as they are, so that signatures hold, except where a fault is due: a [`Rule`] says which
//! requests, how many of them, and what becomes of them. The first rule that concerns a request decides.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::CloudError;
use crate::serve::{Body, HungUp, Served, answer};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The service's own words for too many requests; nothing is forwarded.
    Throttle,
    /// It is forwarded and done, and the connection closes without the answer.
    LoseAnswer,
    /// The connection closes, and nothing is forwarded.
    Refuse,
    /// It is forwarded after this time.
    Delay(Duration),
    /// An error of the service, by its code; nothing is forwarded.
    Error {
        /// The HTTP status.
        status: u16,
        /// The code, such as `AccessDenied`.
        code: String,
    },
}

/// What is seen of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The operation of a table or a secret, such as `DynamoDB_20120810.PutItem`.
    pub target: Option<String>,
}

/// Which requests a fault concerns.
type When = Box<dyn Fn(&Asked) -> bool + Send>;

/// A fault, and where it is due.
pub struct Rule {
    when: When,
    left: u64,
    fault: Fault,
}

impl Rule {
    /// This fault, for every request from now on.
    pub fn always(fault: Fault) -> Self {
        Self { when: Box::new(|_| true), left: u64::MAX, fault }
    }

    /// Only so many times.
    #[must_use]
    pub fn times(self, left: u64) -> Self {
        Self { left, ..self }
    }

    /// Only for requests of which this holds.
    #[must_use]
    pub fn when(self, when: impl Fn(&Asked) -> bool + Send + 'static) -> Self {
        Self { when: Box::new(when), ..self }
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule").field("left", &self.left).field("fault", &self.fault).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Plan {
    rules: Vec<Rule>,
    asked: Vec<Asked>,
}

/// A running proxy. It ends when the value does.
#[derive(Debug)]
pub struct Proxy {
    served: Served,
    plan: Arc<Mutex<Plan>>,
}

impl Proxy {
    /// A proxy before the server at this port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// If the system has no free port.
    pub async fn before(port: u16) -> Result<Self, CloudError> {
        let plan = Arc::new(Mutex::new(Plan::default()));
        let (of, upstream) = (Arc::clone(&plan), SocketAddr::from(([127, 0, 0, 1], port)));
        let served = Served::start(move |request| pass(Arc::clone(&of), upstream, request)).await?;
        Ok(Self { served, plan })
    }

    /// Adds a rule behind those that are there.
    pub fn rule(&self, rule: Rule) {
        lock(&self.plan).rules.push(rule);
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        lock(&self.plan).rules.clear();
    }

    /// Every request so far, those that met a fault too.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.plan).asked.clone()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.served.url()
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.served.address().port()
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Plan {
    fn due(&mut self, asked: Asked) -> Option<Fault> {
        let rule = self.rules.iter_mut().find(|rule| rule.left > 0 && (rule.when)(&asked));
        self.asked.push(asked);
        let rule = rule?;
        rule.left = rule.left.saturating_sub(1);
        Some(rule.fault.clone())
    }
}

async fn pass(
    plan: Arc<Mutex<Plan>>,
    upstream: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, HungUp> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let asked = Asked {
        method: request.method().to_string(),
        path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        target: target.map(str::to_owned),
    };
    let speaks_json = asked.target.is_some();
    let due = lock(&plan).due(asked);
    match due {
        Some(Fault::Refuse) => Err(HungUp),
        Some(Fault::Throttle) if speaks_json => {
            Ok(refusal(true, StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"))
        }
        Some(Fault::Throttle) => Ok(refusal(false, StatusCode::SERVICE_UNAVAILABLE, "SlowDown")),
        Some(Fault::Error { status, code }) => {
            Ok(refusal(speaks_json, StatusCode::from_u16(status).map_err(|_| HungUp)?, &code))
        }
        Some(Fault::LoseAnswer) => {
            // To its end, so that it is done whatever it is.
            forward(upstream, request).await?.into_body().collect().await.map_err(|_| HungUp)?;
            Err(HungUp)
        }
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            forward(upstream, request).await
        }
        None => forward(upstream, request).await,
    }
}

async fn forward(upstream: SocketAddr, request: Request<Incoming>) -> Result<Response<Body>, HungUp> {
    let stream = TcpStream::connect(upstream).await.map_err(|_| HungUp)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| HungUp)?;
    // It drives the request and its answer, and ends with them.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|_| HungUp)?;
    Ok(response.map(http_body_util::BodyExt::boxed_unsync))
}

/// An error as the services write it: JSON for tables and secrets, XML for objects.
fn refusal(speaks_json: bool, status: StatusCode, code: &str) -> Response<Body> {
    if speaks_json {
        let body = format!(r#"{{"__type":"com.amazonaws.service#{code}","message":"as asked for"}}"#);
        return answer(status, "application/x-amz-json-1.0", body);
    }
    let body = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>as asked for</Message></Error>"#
    );
    answer(status, "application/xml", body)
}
