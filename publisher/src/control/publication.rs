//! Publishing what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flagstone_bundle::manifest::{LogHead, Stream};
use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::error::ControlError;
use super::write::{Published, Write};
use super::{ControlPlane, Publication, Views};
use crate::author::Audience;
use crate::log::{Actor, ActorKind, Entity as LogEntity};
use crate::publish::{Lost, Progress, PublicationState, PublishError, Publishing, Standing};
use crate::state::State;
use crate::state::change::{self, Edit, Precondition, Refusal};
use crate::trial::{self, Trial, TrialError};
use crate::view::ClientSalt;

/// How long a write waits for its announcement (FORMAT T-4.6).
const BUDGET: Duration = Duration::from_millis(2_500);
/// How many streams are handed over at once to be published when nobody waits for them.
const MAX_HANDED_OVER: usize = 16;
/// How long the sweep of one stream may take.
const SWEEP_LIMIT: Duration = Duration::from_secs(30);
/// How long a sweep may take for finishing erasures: with what else it does, less than a heartbeat is apart.
const ERASURES_LIMIT: Duration = Duration::from_mins(2);

impl ControlPlane {
    /// Publishes an environment up to the head of the log, each view, and waits for it within the budget.
    ///
    /// A stream that fails blocks no other; the first failure is returned when all have been tried.
    pub async fn publish(&self, environment: &EnvironmentId) -> Result<Views, ControlError> {
        let state = self.known(environment).await?;
        let begun = tokio::time::Instant::now();
        self.each_stream(&state, environment, |publishing, stream| {
            let (seq, left) = (state.seq(), BUDGET.saturating_sub(begun.elapsed()));
            async move { publishing.publish(&stream, seq, left).await }
        })
        .await
    }

    /// Publishes an environment up to the head of the log and builds it anew, whatever it holds: a step of deploying a
    /// newer builder. Equal lines announce nothing.
    pub async fn rebuild(&self, environment: &EnvironmentId) -> Result<Views, ControlError> {
        let state = self.known(environment).await?;
        let rebuild = |publishing: Arc<dyn Publishing>, stream: Stream| async move {
            publishing.rebuild(&stream).await
        };
        self.each_stream(&state, environment, rebuild).await
    }

    async fn each_stream<F>(
        &self,
        state: &State,
        environment: &EnvironmentId,
        mut work: impl FnMut(Arc<dyn Publishing>, Stream) -> F,
    ) -> Result<Views, ControlError>
    where
        F: Future<Output = Result<Progress, PublishError>>,
    {
        let (mut views, mut first) = (Views::new(), None);
        for stream in self.streams(state, environment) {
            match work(Arc::clone(&self.inner.publishing), stream.clone()).await {
                Ok(progress) => drop(views.insert(stream.view, progress.into())),
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(views), |error| Err(error.into()))
    }

    /// Goes on from what an environment announces, although it is not what the log and the claims say: after they were
    /// restored from a copy (FORMAT T-4.7). Then publishes what the log says, as the next version.
    ///
    /// It is done for each view that stands still. An entry of the log names what is given up. A request whose id is
    /// in the log already only publishes.
    ///
    /// # Errors
    ///
    /// [`PublishError::NothingToAdopt`] if no stream stands still.
    pub async fn adopt(&self, environment: &EnvironmentId, write: Write) -> Result<Views, ControlError> {
        let state = self.known(environment).await?;
        let inner = &*self.inner;
        let is_retry = |id: &String| state.requests().find(&write.actor.id, id).is_some();
        if !write.request_id.as_ref().is_some_and(is_retry) {
            let mut lost = Vec::new();
            for stream in self.streams(&state, environment) {
                match inner.publishing.lost(&stream).await {
                    Ok(found) => lost.push((stream, found)),
                    Err(PublishError::NothingToAdopt) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if lost.is_empty() {
                return Err(PublishError::NothingToAdopt.into());
            }
            let edits = |state: &State| {
                let edit = |(stream, lost): &(Stream, Lost)| {
                    let entity = LogEntity::Restoration(environment.clone(), stream.view.clone());
                    Edit::of(state, entity, &lost.to_json())
                };
                Ok(lost.iter().map(edit).collect())
            };
            // The next run has the entry itself to publish, and with it all that the log says.
            if let Some((entry, _)) = self.append(edits, &write).await?
                && let Some(before) =
                    inner.folded.log().entry(self.project(), entry.seq().saturating_sub(1)).await?
            {
                let covered = LogHead { seq: before.seq(), hash: before.hash };
                for (stream, lost) in &lost {
                    inner.publishing.adopt(stream, lost, covered).await?;
                }
            }
        }
        self.publish(environment).await
    }

    /// How far an environment has been published, by view.
    pub async fn publication(&self, environment: &EnvironmentId) -> Result<Json<'static>, ControlError> {
        let state = self.known(environment).await?;
        let streams = self.streams(&state, environment);
        let mut asked = JoinSet::new();
        for (place, stream) in streams.iter().cloned().enumerate() {
            let (control, state) = (self.clone(), Arc::clone(&state));
            let told = async move { (place, control.publication_of(&state, &stream).await) };
            asked.spawn(told.in_current_span());
        }
        let mut told = BTreeMap::new();
        while let Some(done) = asked.join_next().await {
            let (place, members) = done.map_err(|_| PublishError::Stopped)?;
            told.insert(place, members?);
        }
        Ok(Json::object(streams.iter().map(|stream| stream.view.to_string()).zip(told.into_values())))
    }

    async fn publication_of(&self, state: &State, stream: &Stream) -> Result<Json<'static>, ControlError> {
        let head = state.seq();
        let item = self.inner.publications.read(stream).await?;
        let announced = item.is_announced() && item.covered_seq() >= head;
        let progress = if announced { PublicationState::Announced } else { PublicationState::Pending };
        let mut members = vec![
            ("version", Json::from(item.version())),
            ("state", Json::from(progress.as_str())),
            ("serial", Json::from(item.serial())),
            ("announced_serial", Json::from(item.announced_serial)),
            ("covered_seq", Json::from(item.covered_seq())),
            ("head_seq", Json::from(head)),
        ];
        if let Some(claim) = &item.claim {
            members.push(("content", Json::from(claim.content.to_string())));
            members.push(("lines", Json::from(claim.lines)));
            members.push(("size", Json::from(claim.snapshot.size)));
            members.push(("issued_ms", Json::from(claim.issued_ms)));
        }
        let is_public = state.view(&stream.view).is_some_and(|view| view.audience == Audience::Public);
        let found = state.environment(stream.environment.as_str()).filter(|_| is_public);
        let left_out: Vec<_> = found.iter().flat_map(|found| found.unfit().into_keys()).collect();
        if !left_out.is_empty() {
            members.push(("left_out", left_out.iter().map(|key| Json::from(key.to_string())).collect()));
        }
        // That the publisher cannot say it is told in its place: somebody asks because something is wrong.
        let unknown = |error| Standing { withheld: BTreeSet::new(), alarm: Some(error) };
        let Standing { withheld, alarm } =
            self.inner.publishing.standing(stream).await.unwrap_or_else(unknown);
        if !withheld.is_empty() {
            members.push(("withheld", withheld.into_iter().map(Json::from).collect()));
        }
        if let Some(alarm) = alarm {
            // What an operator's service is called is for the log.
            let detail = match (alarm.misconfiguration(), &alarm) {
                (Some(what), _) => what.to_string(),
                (None, PublishError::Unavailable { .. }) => "the publisher did not answer".to_owned(),
                (None, alarm) => alarm.to_string(),
            };
            let alarm = [("code", Json::from(alarm.code())), ("detail", Json::from(detail))];
            members.push(("alarm", Json::object(alarm)));
        }
        Ok(Json::object(members))
    }

    /// Puts right what is not: first what the log lacks, then every stream, last what was to be erased. To be called
    /// every few seconds to every minute. Where appending and publishing are apart, the one calls
    /// [`Self::sweep_log`] and the other [`Self::sweep_streams`].
    ///
    /// # Errors
    ///
    /// Those of [`Self::sweep_streams`]; what else fails is logged, and tried again by the next sweep.
    pub async fn sweep(&self) -> Result<(), ControlError> {
        self.complete_log().await;
        let swept = self.sweep_streams().await;
        // Last, for it waits for whoever writes a list.
        self.erase_in_time().await;
        swept
    }

    /// Does what a change has left undone that only takes the log and what stands beside it: finishes erasures, and
    /// gives environments that are older than public views their salt. What fails is logged, and tried again by the
    /// next sweep.
    pub async fn sweep_log(&self) {
        self.complete_log().await;
        self.erase_in_time().await;
    }

    /// Puts right what is not, in every stream: changes that nobody published, announcements that a crash cut off,
    /// manifests that want a heartbeat; writes a checkpoint if it is time. Appends nothing.
    ///
    /// Streams are swept side by side: one that fails or hangs does not keep the others from it. The last error
    /// is returned.
    pub async fn sweep_streams(&self) -> Result<(), ControlError> {
        let state = self.state().await?;
        let mut sweeps = JoinSet::new();
        let streams = state.environments().flat_map(|(environment, _)| self.streams(&state, environment));
        for stream in streams {
            let publishing = Arc::clone(&self.inner.publishing);
            sweeps.spawn(async move {
                let swept = tokio::time::timeout(SWEEP_LIMIT, publishing.sweep(&stream)).await;
                let swept = swept.unwrap_or(Err(PublishError::Stopped));
                swept.inspect_err(|error| {
                    tracing::error!(%stream, code = error.code(), %error, "a stream could not be swept");
                })
            });
        }
        self.inner.folded.checkpoint().await;
        let mut result = Ok(());
        while let Some(swept) = sweeps.join_next().await {
            if let Err(error) = swept.unwrap_or(Err(PublishError::Stopped)) {
                result = Err(error.into());
            }
        }
        result
    }

    /// Folds the log and says which entry is its last one, if this is one of its streams: before it is published for
    /// somebody who names it.
    ///
    /// # Errors
    ///
    /// The [`Refusal`]s of an environment or a view that is not there.
    pub async fn known_stream(&self, stream: &Stream) -> Result<u64, ControlError> {
        let state = self.known(&stream.environment).await?;
        if stream.project != *self.project() || !self.streams(&state, &stream.environment).contains(stream) {
            return Err(Refusal::no_view(&state, stream.view.as_str()).into());
        }
        Ok(state.seq())
    }

    /// Lets writers race for the stores that the publisher writes, to learn whether they keep to their conditions.
    ///
    /// # Errors
    ///
    /// [`TrialError::Taken`] if the project has an environment where the trial would write, and those of the stores.
    pub async fn try_stores(&self) -> Result<Trial, TrialError> {
        let state = self.state().await.map_err(|error| TrialError::Log(Box::new(error)))?;
        if state.environment(trial::RESERVED).is_some() {
            return Err(TrialError::Taken);
        }
        self.inner.publishing.try_stores(self.project()).await
    }

    async fn complete_log(&self) {
        if let Err(error) = self.add_client_salts().await {
            tracing::error!(code = error.code(), %error, "an environment has no salt for public views");
        }
    }

    async fn erase_in_time(&self) {
        match tokio::time::timeout(ERASURES_LIMIT, self.finish_erasures()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(code = error.code(), %error, "an erasure is not finished"),
            Err(_) => tracing::error!("erasures are not finished in time; the next sweep goes on"),
        }
    }

    /// Publishes a change that is in the log, and says how far it has got. Whatever fails is left to the sweep: the
    /// change is made.
    ///
    /// Production comes last and, of an environment, `server` before public views; none waits for one that fails
    /// (FORMAT T-4.8); all share one budget.
    pub(super) async fn publish_to(
        &self,
        environments: &[EnvironmentId],
        seq: u64,
        wait: bool,
    ) -> Publication {
        let begun = tokio::time::Instant::now();
        let budget = if wait { BUDGET } else { Duration::ZERO };
        let mut all = Publication::new();
        // What can not be read now is left to the sweep: the change is made.
        let state = match self.state().await {
            Ok(state) => state,
            Err(error) => {
                tracing::error!(seq, code = error.code(), %error, "a change is not yet published");
                return all;
            }
        };
        let is_production = |id: &EnvironmentId| {
            state.environment(id.as_str()).is_some_and(|found| found.environment.is_production())
        };
        let (last, first): (Vec<_>, Vec<_>) =
            environments.iter().partition(|environment| is_production(environment));
        for part in [first, last] {
            let mut handed_over = JoinSet::new();
            let mut keep = |(stream, published): (Stream, Published)| {
                all.entry(stream.environment).or_default().insert(stream.view, published);
            };
            for stream in part.into_iter().flat_map(|environment| self.streams(&state, environment)) {
                let left = budget.saturating_sub(begun.elapsed());
                let one = self.clone().publish_one(stream.clone(), seq, left);
                let one = async move { (stream, one.await) }.in_current_span();
                if !left.is_zero() {
                    keep(one.await);
                    continue;
                }
                // Nobody waits for what is only handed over, so some of it goes side by side.
                if handed_over.len() >= MAX_HANDED_OVER {
                    handed_over.join_next().await.into_iter().flatten().for_each(&mut keep);
                }
                handed_over.spawn(one);
            }
            while let Some(done) = handed_over.join_next().await {
                done.into_iter().for_each(&mut keep);
            }
        }
        all
    }

    async fn publish_one(self, stream: Stream, seq: u64, budget: Duration) -> Published {
        match self.inner.publishing.publish(&stream, seq, budget).await {
            Ok(progress) => progress.into(),
            Err(error) => {
                tracing::error!(%stream, seq, code = error.code(), %error, "a change is not yet published");
                let version = self.inner.publications.read(&stream).await.map_or(0, |item| item.version());
                let is_standing = error.is_alarm() || error.misconfiguration().is_some();
                let alarm = is_standing.then(|| error.code());
                Published { version, state: PublicationState::Pending, alarm }
            }
        }
    }

    /// Gives environments that are older than public views what these are hashed with.
    async fn add_client_salts(&self) -> Result<(), ControlError> {
        if self.state().await?.without_client_salt().next().is_none() {
            return Ok(());
        }
        let write = Write {
            actor: Actor { kind: ActorKind::System, id: "publisher".to_owned(), via: "sweep".to_owned() },
            actor_name: None,
            request_id: None,
            request_bytes: Vec::new(),
            reason: Some("public views need a salt in each environment".to_owned()),
            precondition: Precondition::Any,
            confirm: false,
            wait: false,
            until: None,
        };
        let edits = |state: &State| {
            let salt = || client_salt().ok();
            change::add_client_salts(state, salt).ok_or(ControlError::Random)
        };
        self.append(edits, &write).await.map(|_| ())
    }

    /// The state, if it knows the environment.
    async fn known(&self, environment: &EnvironmentId) -> Result<Arc<State>, ControlError> {
        let state = self.state().await?;
        if state.environment(environment.as_str()).is_none() {
            return Err(Refusal::no_environment(&state, environment.as_str()).into());
        }
        Ok(state)
    }
}

/// A fresh salt for the public views of an environment.
pub(super) fn client_salt() -> Result<ClientSalt, ControlError> {
    getrandom::u64().map(ClientSalt::of).map_err(|_| ControlError::Random)
}

impl From<Progress> for Published {
    fn from(progress: Progress) -> Self {
        Self { version: progress.version, state: progress.state, alarm: None }
    }
}
