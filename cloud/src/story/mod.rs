//! A story of the whole: what people do, what fails meanwhile, and that nothing is lost.
//!
//! Each step says what it saw, or ends the story with what it did not see.

mod cost;
mod proof;
mod watch;

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::CloudError;
use crate::cost::Counts;
use crate::deployment::{Deployment, ENVIRONMENT, finish};
use crate::proxy::{Asked, Fault, Rule};
use watch::{Watch, unfinished};

/// How many people write at the same time.
const WRITERS: usize = 50;
/// How often one of them tries again when the log is busy.
const TRIES: usize = 5;
/// Most polls of the manifest from an announcement to the swap: the edge may still hand out a copy once.
const MOST_POLLS: usize = 2;
/// The poll from which on an SDK polls regularly: its second one comes at any time within an interval.
const SETTLED: u64 = 3;
/// How many sweeps it may take in the end until all is announced: a publisher may still be at work.
const MOST_SWEEPS: usize = 30;
/// How long a sweep comes after another, here: on AWS it is a minute.
const SCHEDULE: Duration = Duration::from_secs(1);
/// How often it is looked whether something has begun.
const PAUSE: Duration = Duration::from_millis(5);
/// How long it may take to begin, in looks.
const LOOKS: usize = 2_000;

const CHECKOUT: &str = "new-checkout";
const SEARCH: &str = "new-search";
/// Whom the SDK evaluates for.
const PERSON: &str = r#"{"targetingKey":"u-22"}"#;
const TARGETED: &str = r#"{"on":true,"off":"off","targets":{"on":["u-22"]},"fallthrough":{"serve":"off"}}"#;

/// The story, while it is told.
struct Story<'t> {
    cloud: Deployment,
    tell: &'t (dyn Fn(String) + Sync),
    sdk_key: String,
}

/// Tells the story, and what its last, quiet part cost.
///
/// # Errors
///
/// The first thing that did not happen.
pub async fn tell(cloud: Deployment, tell: &(dyn Fn(String) + Sync)) -> Result<Counts, CloudError> {
    let mut story = Story { cloud, tell, sdk_key: String::new() };
    story.begins().await?;
    let mut sdk = Watch::start(&story.cloud, &story.sdk_key, &[CHECKOUT, SEARCH], PERSON)?;
    let ready = sdk.until("an SDK that is ready", |event| is(event, "event", "ready")).await?;
    story.say(format!("an SDK is ready through the edge, at version {}", number(&ready, "version")));
    cost::after(&story, SETTLED).await?;
    story.people_change_flags(&mut sdk).await?;
    story.the_bucket_fails(&mut sdk).await?;
    story.the_table_fails(&mut sdk).await?;
    story.the_publisher_is_killed(&mut sdk).await?;
    story.everybody_writes().await?;
    story.everything_is_proved().await?;
    drop(sdk);
    cost::count(&story).await
}

impl Story<'_> {
    fn say(&self, what: impl AsRef<str>) {
        (self.tell)(what.as_ref().to_owned());
    }

    /// A command that has to be done.
    async fn done(&self, arguments: &[&str]) -> Result<Value, CloudError> {
        finish(&format!("flagstone {}", arguments.join(" ")), &mut self.cloud.flagstone(arguments)).await
    }

    async fn begins(&mut self) -> Result<(), CloudError> {
        self.done(&["env", "create", "production"]).await?;
        for flag in [CHECKOUT, SEARCH] {
            self.done(&["flag", "create", flag, "--type", "bool"]).await?;
        }
        let key = self.done(&["key", "create", "--name", "story"]).await?;
        let key = key.get("sdk_key").and_then(Value::as_str).unwrap_or_default();
        key.clone_into(&mut self.sdk_key);
        self.cloud.admit(key)?;
        self.cloud.sweep().await?;
        self.say("a project with an environment, two flags, and an SDK key");
        Ok(())
    }

    /// Waits until the SDK serves `value` of `flag` since a change that was announced, and counts its polls.
    async fn swaps(
        &self,
        sdk: &mut Watch,
        flag: &str,
        value: bool,
        answer: &Value,
    ) -> Result<(), CloudError> {
        let version = announced(answer)
            .ok_or_else(|| unfinished("an announcement", &format!("it is still pending: {answer}")))?;
        let before = self.polls()?;
        sdk.until(&format!("{flag} = {value}"), |event| serves(event, flag, value, version)).await?;
        let polls = self.polls()?.saturating_sub(before);
        if polls > MOST_POLLS {
            return Err(unfinished("a swap", &format!("version {version} took {polls} polls")));
        }
        self.say(format!("  version {version}: {flag} = {value}, after {polls} polls"));
        Ok(())
    }

    /// How often the manifest was asked for at the edge.
    fn polls(&self) -> Result<usize, CloudError> {
        Ok(self.cloud.edge.logged()?.lines().filter(|line| line.contains("/manifest\" ")).count())
    }

    async fn people_change_flags(&self, sdk: &mut Watch) -> Result<(), CloudError> {
        self.say("a person is targeted");
        let answer = self.done(&["flag", "edit", CHECKOUT, "--targeting", TARGETED]).await?;
        self.swaps(sdk, CHECKOUT, true, &answer).await?;
        self.say("a flag is ramped up");
        self.done(&["on", SEARCH]).await?;
        self.done(&["rollout", SEARCH, "0"]).await?;
        for percent in ["25", "50"] {
            self.done(&["rollout", SEARCH, percent]).await?;
        }
        let answer = self.done(&["rollout", SEARCH, "100", "--confirm"]).await?;
        self.swaps(sdk, SEARCH, true, &answer).await?;
        self.say("a flag is killed");
        let answer = self.done(&["off", CHECKOUT]).await?;
        self.swaps(sdk, CHECKOUT, false, &answer).await
    }

    async fn the_bucket_fails(&mut self, sdk: &mut Watch) -> Result<(), CloudError> {
        // Somebody else starts: from now on the edge has all that a start needs.
        self.starts().await?;
        self.say("the bucket is down");
        self.cloud.minio.stop();
        let answer = self.done(&["on", CHECKOUT]).await?;
        if announced(&answer).is_some() {
            return Err(unfinished("a change without a bucket", "it says that it is announced"));
        }
        let before = self.stale_polls()?;
        self.starts().await?;
        let stale = self.stale_polls()?.saturating_sub(before);
        if stale == 0 {
            return Err(unfinished("an edge without a bucket", "it served no old copy"));
        }
        self.say(format!(
            "  a change is taken, and pending; an SDK starts with what the edge has, {stale} old manifests"
        ));
        self.cloud.minio.go_on().await?;
        self.is_repaired(sdk, true).await?;
        self.say("  the bucket is back: the sweep announces it, and the SDK swaps");
        Ok(())
    }

    /// An SDK with nothing of its own starts, and serves what was announced before the bucket failed.
    async fn starts(&self) -> Result<(), CloudError> {
        let mut sdk = Watch::start(&self.cloud, &self.sdk_key, &[CHECKOUT], PERSON)?;
        sdk.until("an SDK that starts", |event| serves(event, CHECKOUT, false, 0)).await.map(drop)
    }

    /// How often the edge handed out an old manifest, for the bucket failed.
    fn stale_polls(&self) -> Result<usize, CloudError> {
        let logged = self.cloud.edge.logged()?;
        Ok(logged.lines().filter(|line| line.contains("/manifest\" ") && line.contains(" STALE ")).count())
    }

    async fn the_table_fails(&self, sdk: &mut Watch) -> Result<(), CloudError> {
        self.say("the table is throttled");
        self.cloud.table.rule(Rule::always(Fault::Throttle).times(3));
        let answer = self.done(&["off", CHECKOUT]).await?;
        self.cloud.table.clear();
        self.swaps(sdk, CHECKOUT, false, &answer).await?;
        self.say("the table commits, and its answer is lost");
        let before = self.head().await?;
        let appends =
            |asked: &Asked| asked.target.as_deref().is_some_and(|target| target.ends_with(".PutItem"));
        self.cloud.table.rule(Rule::always(Fault::LoseAnswer).when(appends).times(1));
        let answer = self.done(&["on", CHECKOUT]).await?;
        self.cloud.table.clear();
        let entries = self.head().await?.saturating_sub(before);
        if entries != 1 {
            return Err(unfinished("a change whose answer was lost", &format!("it made {entries} entries")));
        }
        self.swaps(sdk, CHECKOUT, true, &answer).await?;
        self.say("  it is in the log once");
        Ok(())
    }

    /// Sweeps until the SDK serves what was pending. A publisher that was killed still leads until its lease ends.
    async fn is_repaired(&self, sdk: &mut Watch, value: bool) -> Result<(), CloudError> {
        let sweeps = async {
            loop {
                if let Err(error) = self.cloud.sweep().await {
                    return error;
                }
                tokio::time::sleep(SCHEDULE).await;
            }
        };
        tokio::select! {
            swapped = sdk.until("the change that was pending", |event| serves(event, CHECKOUT, value, 0)) => {
                swapped.map(drop)
            }
            error = sweeps => Err(error),
        }
    }

    /// The number of the last entry.
    async fn head(&self) -> Result<u64, CloudError> {
        let history = self.done(&["history", CHECKOUT]).await?;
        let first = history.get("items").and_then(|items| items.get(0));
        first
            .and_then(|entry| entry.get("seq")?.as_u64())
            .ok_or_else(|| unfinished("a history", "it is empty"))
    }

    async fn the_publisher_is_killed(&self, sdk: &mut Watch) -> Result<(), CloudError> {
        self.say("the publisher is killed in the middle of a publication");
        let writes = |asked: &Asked| asked.method == "PUT";
        let before = self.cloud.buckets.asked().iter().filter(|asked| writes(asked)).count();
        self.cloud.buckets.rule(Rule::always(Fault::Delay(Duration::from_secs(5))).when(writes));
        let mut off = self.cloud.flagstone(&["off", CHECKOUT]);
        let change = tokio::spawn(async move { finish("flagstone off", &mut off).await });
        let mut looks = 0..LOOKS;
        while self.cloud.buckets.asked().iter().filter(|asked| writes(asked)).count() == before {
            if looks.next().is_none() {
                return Err(unfinished("a publication", "it did not begin to write"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        let killed = self.cloud.publish.kill_busy();
        self.cloud.buckets.clear();
        let answer = change.await.map_err(|error| unfinished("flagstone off", &error.to_string()))??;
        if announced(&answer).is_some() || killed == 0 {
            return Err(unfinished("a publication that is cut off", &format!("{killed} killed: {answer}")));
        }
        self.say("  the change is pending");
        self.is_repaired(sdk, false).await?;
        self.say("  the sweep announces it, and the SDK swaps");
        Ok(())
    }

    async fn everybody_writes(&self) -> Result<(), CloudError> {
        self.say(format!("{WRITERS} people write at once"));
        let mut writers = JoinSet::new();
        for n in 0..WRITERS {
            let flag = format!("race-{n:02}");
            let arguments = ["flag", "create", &flag, "--type", "bool", "--no-wait"];
            let commands: Vec<_> = (0..TRIES).map(|_| self.cloud.flagstone(&arguments)).collect();
            writers.spawn(async move {
                let mut last = None;
                for (tries, mut command) in commands.into_iter().enumerate() {
                    match finish("flagstone flag create", &mut command).await {
                        Ok(answer) => return Ok((answer, tries)),
                        // Busy, or the answer was lost: then it is there already.
                        Err(CloudError::Failed { said, .. }) if said.contains("already-exists") => {
                            return Ok((Value::Null, tries));
                        }
                        Err(error) => last = Some(error),
                    }
                }
                Err(last.unwrap_or_else(|| unfinished("a writer", "it never tried")))
            });
        }
        let (mut answers, mut retries) = (Vec::new(), 0);
        while let Some(written) = writers.join_next().await {
            let (answer, tries) = written.map_err(|error| unfinished("a writer", &error.to_string()))??;
            answers.push(answer);
            retries += tries;
        }
        self.cloud.sweep().await?;
        let list = self.cloud.flagstone(&["flag", "list"]).output().await;
        let list = list.map_err(CloudError::io("start flagstone flag list"))?;
        let list = String::from_utf8_lossy(&list.stdout);
        let there = (0..WRITERS).filter(|n| list.contains(&format!("\"race-{n:02}\""))).count();
        if there < WRITERS {
            return Err(unfinished("everybody's flag", &format!("only {there} are there")));
        }
        let numbered = proof::numbered(&answers).map_err(|said| unfinished("numbers of their own", &said))?;
        let instances = self.cloud.admin.starts();
        self.say(format!(
            "  {WRITERS} flags are there, {numbered} answers have numbers of their own, {retries} tried again; \
             {instances} instances of the admin function so far"
        ));
        Ok(())
    }

    async fn everything_is_proved(&self) -> Result<(), CloudError> {
        let mut proved = self.cloud.audit().await?;
        let mut sweeps = 0..MOST_SWEEPS;
        while let Some(said) = proof::unannounced(&proved, ENVIRONMENT) {
            if sweeps.next().is_none() {
                return Err(unfinished("an announcement of all that is in the log", &said));
            }
            self.cloud.sweep().await?;
            tokio::time::sleep(SCHEDULE).await;
            proved = self.cloud.audit().await?;
        }
        let entries = number(&proved, "entries");
        self.say(format!(
            "the audit, from table and buckets alone: {entries} entries hang together, and all are announced"
        ));
        let connection = self.cloud.connection();
        let mut verify = self.cloud.flagstone(&["verify", &connection]);
        let verified = finish("flagstone verify", verify.env("FLAGSTONE_SDK_KEY", &self.sdk_key)).await?;
        self.say(format!(
            "the stream verifies through the edge, at version {}",
            number(&verified, "version")
        ));
        Ok(())
    }
}

/// The version that an answer says is announced to servers.
fn announced(answer: &Value) -> Option<u64> {
    let view = answer.get("publication")?.get("production")?.get("server")?;
    is(view, "state", "announced").then(|| view.get("version")?.as_u64())?
}

/// Whether an event of the SDK is at this version, and serves this.
fn serves(event: &Value, flag: &str, value: bool, version: u64) -> bool {
    let served = event.get("values").and_then(|values| values.get(flag)?.get("value")?.as_bool());
    served == Some(value) && number(event, "version") >= version
}

fn is(json: &Value, name: &str, text: &str) -> bool {
    json.get(name).and_then(Value::as_str) == Some(text)
}

fn number(json: &Value, name: &str) -> u64 {
    json.get(name).and_then(Value::as_u64).unwrap_or_default()
}
