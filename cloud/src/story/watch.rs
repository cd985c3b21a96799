//! An SDK that follows the environment through the edge: `flagstone watch`.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::CloudError;
use crate::deployment::Deployment;

/// How often it polls, in milliseconds, give or take a tenth: from one poll to the next but one is longer than the two
/// seconds for which nginx, which counts whole ones, may hand out a copy that is fresh for one.
pub(super) const POLL_MS: u64 = 1_200;
/// How long an event may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running SDK. It ends with the value.
pub(super) struct Watch {
    events: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Watch {
    /// Follows flags for one person.
    pub(super) fn start(
        cloud: &Deployment,
        sdk_key: &str,
        flags: &[&str],
        person: &str,
    ) -> Result<Self, CloudError> {
        let (connection, poll) = (cloud.connection(), POLL_MS.to_string());
        let mut command = cloud.flagstone(&["watch", &connection, "--poll-ms", &poll, "--context", person]);
        for flag in flags {
            command.args(["--flag", flag]);
        }
        command.env("FLAGSTONE_SDK_KEY", sdk_key).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(CloudError::io("start flagstone watch"))?;
        let events = child.stdout.take().ok_or_else(|| unfinished("the SDK", "it has no output"))?;
        Ok(Self { events: BufReader::new(events).lines(), _child: child })
    }

    /// The next event of which this holds.
    pub(super) async fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value, CloudError> {
        let mut last = Value::Null;
        let next = async {
            loop {
                let line = self.events.next_line().await.map_err(CloudError::io("read flagstone watch"))?;
                let line = line.ok_or_else(|| unfinished(what, "the SDK has ended"))?;
                last = serde_json::from_str(&line).unwrap_or(Value::Null);
                if holds(&last) {
                    return Ok(last.clone());
                }
            }
        };
        match tokio::time::timeout(PATIENCE, next).await {
            Ok(event) => event,
            Err(_) => {
                Err(unfinished(what, &format!("the SDK saw nothing of it in a minute; at last: {last}")))
            }
        }
    }
}

pub(super) fn unfinished(what: &str, said: &str) -> CloudError {
    CloudError::Unfinished { what: what.to_owned(), said: said.to_owned() }
}
