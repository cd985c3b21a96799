//! One instance of a function: a child process and the Runtime API that is its own.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

use super::runtime_api::{Delivery, RuntimeApi};
use super::{Outcome, Setup, lock};
use crate::CloudError;

/// How often it is looked whether the child has ended.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a program that could not get ready may take to end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The variables that Lambda sets for every function, with values of this machine.
const FIXED: [(&str, &str); 8] = [
    ("AWS_DEFAULT_REGION", "eu-central-1"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_REGION", "eu-central-1"),
    ("LANG", "en_US.UTF-8"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
    ("TZ", ":UTC"),
    ("_HANDLER", "bootstrap"),
];

#[derive(Debug)]
pub(super) struct Instance {
    child: Mutex<Child>,
    api: RuntimeApi,
    arn: String,
    frozen: AtomicBool,
    folder: TempDir,
    started: Instant,
}

impl Instance {
    pub(super) async fn start(setup: &Setup, number: usize) -> Result<Self, CloudError> {
        let api = RuntimeApi::start().await?;
        let folder = TempDir::new().map_err(CloudError::io("create a folder for a function"))?;
        let output = File::create(folder.path().join("output")).map_err(CloudError::io("create a log"))?;
        let errors = output.try_clone().map_err(CloudError::io("share a log"))?;
        let own = [
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", setup.memory_mb.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", setup.name.clone()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", setup.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", format!("instance/{number}")),
            ("AWS_LAMBDA_RUNTIME_API", api.address().to_string()),
            ("LAMBDA_TASK_ROOT", folder.path().display().to_string()),
        ];
        let started = Instant::now();
        let child = Command::new(&setup.bootstrap)
            .env_clear()
            .envs(FIXED)
            .envs(own)
            .envs(&setup.environment)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(CloudError::io(format!("start {}", setup.bootstrap.display())))?;
        let (child, frozen) = (Mutex::new(child), AtomicBool::new(false));
        Ok(Self { child, api, arn: setup.arn(), frozen, folder, started })
    }

    /// Waits until it asks for an event, and says how long that took; or why it does not.
    pub(super) async fn ready(&self, limit: Duration) -> Result<Duration, Outcome> {
        let ready = async {
            tokio::select! {
                biased;
                told = self.api.init_error() => {
                    // It ends by itself, and may have more to say.
                    let _ = tokio::time::timeout(LAST_WORDS, self.over()).await;
                    Err(Outcome::Failed(told))
                }
                () = self.api.polled(0) => Ok(self.started.elapsed()),
                () = self.over() => Err(self.exit()),
            }
        };
        let timed_out = || Outcome::failed("Sandbox.Timedout", "the function did not get ready in time");
        tokio::time::timeout(limit, ready).await.unwrap_or_else(|_| Err(timed_out()))
    }

    /// Hands over an event and waits until the child asks for the next one, or has ended; at the deadline it is
    /// killed.
    pub(super) async fn handle(&self, request_id: &str, event: Vec<u8>, limit: Duration) -> Outcome {
        let polls = self.api.polls();
        let deadline_ms = unix_ms().saturating_add(limit.as_millis());
        let (arn, request_id) = (self.arn.clone(), request_id.to_owned());
        let timed_out = format!("{request_id} Task timed out after {:.2} seconds", limit.as_secs_f64());
        let delivery = Delivery { request_id, deadline_ms, arn, event };
        let handled = async {
            let answered = tokio::select! {
                biased;
                answered = self.api.deliver(delivery) => answered,
                () = self.over() => None,
            };
            let Some(answered) = answered else { return self.exit() };
            tokio::select! {
                () = self.api.polled(polls) => {}
                () = self.over() => {}
            }
            answered
        };
        match tokio::time::timeout(limit, handled).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.kill();
                Outcome::failed("Sandbox.Timedout", &timed_out)
            }
        }
    }

    /// Ends when the child has.
    async fn over(&self) {
        while !self.is_over() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(super) fn is_over(&self) -> bool {
        !matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// What Lambda says of a program that ended by itself.
    fn exit(&self) -> Outcome {
        let status = lock(&self.child).try_wait().ok().flatten();
        let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        Outcome::failed("Runtime.ExitError", &format!("Runtime exited with error: {status}"))
    }

    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
        self.frozen.store(true, Ordering::SeqCst);
    }

    pub(super) fn thaw(&self) {
        if self.frozen.swap(false, Ordering::SeqCst) {
            self.signal(Signal::CONT);
        }
    }

    fn signal(&self, signal: Signal) {
        let mut child = lock(&self.child);
        // While it is held here and not waited for, nobody else can have its number.
        if let Ok(None) = child.try_wait()
            && let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        {
            // It may just have ended; then there is nothing to tell it.
            let _ = kill_process(pid, signal);
        }
    }

    pub(super) fn kill(&self) {
        let mut child = lock(&self.child);
        // It is gone already, or it goes now.
        let _ = child.kill();
        let _ = child.wait();
    }

    pub(super) fn said(&self) -> String {
        let said = fs::read(self.folder.path().join("output")).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

fn unix_ms() -> u128 {
    #[expect(clippy::disallowed_methods, reason = "a stand-in for Lambda, whose deadlines are moments")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
