//! AWS Lambda on one machine: real `bootstrap` programs, driven through the Runtime API.
//!
//! A [`Function`] starts a program with the environment that Lambda sets, hands it events, and does to it what Lambda
//! does: several instances when all are busy, each frozen (SIGSTOP) between two invocations and thawed for the next,
//! killed at its deadline. The program cannot tell the difference; nothing of it is made for tests.
//!
//! [`service`] is the Invoke API over functions, for programs that invoke others. `cargo-lambda` has an emulator too,
//! but that freezes nothing, kills nothing at a deadline, and starts no second instance.

mod instance;
mod runtime_api;
pub mod service;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::CloudError;
use instance::Instance;

/// The largest event of a synchronous invocation, in bytes.
pub const MAX_EVENT_BYTES: usize = 6_291_456;
/// The largest answer that is passed on, in bytes.
pub const MAX_ANSWER_BYTES: usize = 6_291_556;
/// How long an instance may take to its first request for an event.
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// A function as it is deployed.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its name.
    pub name: String,
    /// Its program.
    pub bootstrap: PathBuf,
    /// The variables it is configured with, and the credentials of its role.
    pub environment: BTreeMap<String, String>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// Its memory in MB, as it is told.
    pub memory_mb: u32,
    /// Most instances at once.
    pub most_instances: usize,
    /// Whether instances are frozen between invocations, as Lambda's are.
    pub freezes: bool,
}

impl Setup {
    /// A function with Lambda's usual limits.
    pub fn new(name: &str, bootstrap: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            bootstrap: bootstrap.into(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(30),
            memory_mb: 512,
            most_instances: 10,
            freezes: true,
        }
    }

    /// The same with a further variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    fn arn(&self) -> String {
        format!("arn:aws:lambda:eu-central-1:000000000000:function:{}", self.name)
    }
}

/// What became of an event that a program was handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It answered this.
    Answered(Vec<u8>),
    /// It, or Lambda in its place, said that it failed: `{"errorType","errorMessage"}`.
    Failed(Vec<u8>),
}

impl Outcome {
    fn failed(kind: &str, message: &str) -> Self {
        let told = serde_json::json!({ "errorType": kind, "errorMessage": message });
        Self::Failed(told.to_string().into_bytes())
    }
}

/// Why an event was handed to no program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The event is larger than [`MAX_EVENT_BYTES`].
    #[error("the event has {size} bytes, at most {MAX_EVENT_BYTES} are taken")]
    TooLarge {
        /// How large it is.
        size: usize,
    },
    /// All instances are busy, and there are as many as there may be.
    #[error("all instances are busy")]
    Throttled,
    /// The program could not be started.
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

/// A deployed function. Clones are the same; its instances end with the last one.
#[derive(Debug, Clone)]
pub struct Function {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    setup: Setup,
    /// Instances that wait for an event.
    idle: Mutex<Vec<Arc<Instance>>>,
    /// Instances that have one, or start.
    busy: Mutex<Vec<Arc<Instance>>>,
    instances: AtomicUsize,
    starts: AtomicUsize,
    invocations: AtomicU64,
    /// How long instances took to ask for their first event.
    inits: Mutex<Vec<Duration>>,
    /// What ended instances wrote.
    said: Mutex<String>,
}

impl Function {
    /// Deploys a function. Nothing is started before its first event.
    pub fn new(setup: Setup) -> Self {
        let (idle, busy, instances, starts, invocations, inits, said) = Default::default();
        Self { inner: Arc::new(Inner { setup, idle, busy, instances, starts, invocations, inits, said }) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.setup.name
    }

    /// How many instances were ever started.
    pub fn starts(&self) -> usize {
        self.inner.starts.load(Ordering::SeqCst)
    }

    /// How long each instance took from its start to its first request for an event.
    pub fn inits(&self) -> Vec<Duration> {
        lock(&self.inner.inits).clone()
    }

    /// How many events were ever handed over.
    pub fn invocations(&self) -> u64 {
        self.inner.invocations.load(Ordering::SeqCst)
    }

    /// How many instances there are.
    pub fn instances(&self) -> usize {
        self.inner.instances.load(Ordering::SeqCst)
    }

    /// Everything that its instances have written.
    pub fn said(&self) -> String {
        let mut said = lock(&self.inner.said).clone();
        for of in [&self.inner.idle, &self.inner.busy] {
            for instance in lock(of).iter() {
                said.push_str(&instance.said());
            }
        }
        said
    }

    /// Kills the instances that have an event (signal 9), in the middle of whatever they do. Says how many.
    pub fn kill_busy(&self) -> usize {
        let busy = lock(&self.inner.busy).clone();
        for instance in &busy {
            instance.kill();
        }
        busy.len()
    }

    /// Ends the instances that wait, as Lambda does after a while: the next event is a cold start.
    pub fn retire_idle(&self) {
        for instance in std::mem::take(&mut *lock(&self.inner.idle)) {
            self.inner.ended(&instance);
        }
    }

    /// Hands over an event, and waits for its answer, or for the end of its instance.
    ///
    /// # Errors
    ///
    /// If no program was handed the event.
    pub async fn invoke(&self, event: Vec<u8>) -> Result<Outcome, InvokeError> {
        if event.len() > MAX_EVENT_BYTES {
            return Err(InvokeError::TooLarge { size: event.len() });
        }
        // An invocation ends as it would elsewhere, even if its caller goes away.
        let inner = Arc::clone(&self.inner);
        let invoked = tokio::spawn(async move { inner.invoke(event).await });
        invoked.await.unwrap_or_else(|stopped| {
            let source = std::io::Error::other(stopped);
            Err(CloudError::Io { action: "invoke a function".to_owned(), source }.into())
        })
    }
}

impl Inner {
    async fn invoke(&self, event: Vec<u8>) -> Result<Outcome, InvokeError> {
        let (instance, is_new) = self.instance().await?;
        if is_new {
            match instance.ready(INIT_LIMIT).await {
                Ok(took) => lock(&self.inits).push(took),
                Err(outcome) => {
                    self.ended(&instance);
                    return Ok(outcome);
                }
            }
        }
        let id = self.invocations.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let request_id = format!("{id:08x}-0000-4000-8000-000000000000");
        let outcome = instance.handle(&request_id, event, self.setup.timeout).await;
        lock(&self.busy).retain(|other| !Arc::ptr_eq(other, &instance));
        if instance.is_over() {
            self.ended(&instance);
        } else {
            if self.setup.freezes {
                instance.freeze();
            }
            lock(&self.idle).push(instance);
        }
        Ok(outcome)
    }

    /// An instance for one event: one that waits, or a new one.
    async fn instance(&self) -> Result<(Arc<Instance>, bool), InvokeError> {
        loop {
            let Some(instance) = lock(&self.idle).pop() else { break };
            if instance.is_over() {
                self.ended(&instance);
                continue;
            }
            instance.thaw();
            lock(&self.busy).push(Arc::clone(&instance));
            return Ok((instance, false));
        }
        let most = self.setup.most_instances;
        let one_more = |count: usize| (count < most).then(|| count.saturating_add(1));
        if self.instances.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_err() {
            return Err(InvokeError::Throttled);
        }
        let number = self.starts.fetch_add(1, Ordering::SeqCst);
        match Instance::start(&self.setup, number).await {
            Ok(instance) => {
                let instance = Arc::new(instance);
                lock(&self.busy).push(Arc::clone(&instance));
                Ok((instance, true))
            }
            Err(error) => {
                self.instances.fetch_sub(1, Ordering::SeqCst);
                Err(error.into())
            }
        }
    }

    fn ended(&self, instance: &Arc<Instance>) {
        instance.kill();
        lock(&self.busy).retain(|other| !Arc::ptr_eq(other, instance));
        lock(&self.said).push_str(&instance.said());
        self.instances.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
