//! What can be asked.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use flagstone_eval::{Snapshot, batch};
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, ListKey, SegmentKey, ViewId};

use super::ControlPlane;
use super::difference::{Difference, differences};
use super::error::{ControlError, nothing};
use super::moment::When;
use super::words::{summary, with_phases};
use super::write::{authored, begun};
use crate::author::Targeting;
use crate::build::build;
use crate::log::{Actor, Entity as LogEntity, Entry, EntryData};
use crate::lower::phase::Begun;
use crate::state::change::Refusal;
use crate::state::{EnvironmentState, State};

/// An entity as authored, with its bookkeeping.
#[derive(Debug, Clone)]
pub struct Entity {
    /// Its key or id.
    pub key: String,
    /// Its edit number.
    pub revision: u64,
    /// What its author wrote.
    pub body: Json<'static>,
}

/// One change of a flag.
#[derive(Debug, Clone)]
pub struct HistoryItem {
    /// Its entry.
    pub seq: u64,
    /// When.
    pub time: Instant,
    /// Who.
    pub actor: Actor,
    /// The actor's name, unless it was erased.
    pub actor_name: Option<String>,
    /// Why, unless it was erased.
    pub reason: Option<String>,
    /// What changed: the definition or the targeting.
    pub entity: String,
    /// From which revision to which.
    pub revision: (u64, u64),
    /// What it was; `None` if it was not there or was erased.
    pub from: Option<Json<'static>>,
    /// What it became; `None` if it was deleted or erased.
    pub to: Option<Json<'static>>,
    /// What differs, member by member; nothing where either is not known.
    pub changes: Vec<Difference>,
    /// The same in words, and which phases of experiments it began.
    pub summary: String,
    /// The phases of experiments that it began.
    pub phases: Vec<Begun>,
}

/// A part of the log.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// Seq and JSON of each entry: header, hash, and the data unless it was erased.
    pub entries: Vec<(u64, Json<'static>)>,
    /// Whether later entries are there.
    pub more: bool,
}

/// Evaluations of one environment.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The newest version of its stream; 0 before the first.
    pub version: u64,
    /// Each flag's key, its switch, and the members of its details as canonical JSON without braces; by key.
    pub flags: Vec<(String, bool, String)>,
}

/// One state of an entity in its history, newest first.
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) entry: Entry,
    pub(super) revision: (u64, u64),
    /// As the log keeps it, unless it was erased.
    pub(super) state: Option<Json<'static>>,
    pub(super) data: Option<EntryData>,
    entity: LogEntity,
}

/// The snapshot last compiled for an environment, for as long as the environment is unchanged.
pub(super) type Compiled = BTreeMap<EnvironmentId, (Arc<EnvironmentState>, Arc<Snapshot>)>;

impl ControlPlane {
    /// The state of the project, as of a moment after the call.
    pub async fn state(&self) -> Result<Arc<State>, ControlError> {
        self.inner.folded.state().await
    }

    /// The state as it was at a time: with every entry that has this time or an earlier one.
    pub async fn state_at(&self, time: Instant) -> Result<Arc<State>, ControlError> {
        self.inner.folded.state_at(time.millis()).await
    }

    /// The state as the entry `seq` left it; of a later entry than the last one, the state there is.
    pub async fn state_at_seq(&self, seq: u64) -> Result<Arc<State>, ControlError> {
        self.inner.folded.state_at_seq(seq).await
    }

    /// All flags that are not archived, by key.
    pub async fn flags(&self) -> Result<Vec<Entity>, ControlError> {
        self.moment(When::NOW).await?.flags()
    }

    /// One flag's definition, an archived one's too.
    pub async fn flag(&self, key: &FlagKey) -> Result<Entity, ControlError> {
        self.moment(When::NOW).await?.flag(key)
    }

    /// All environments, by id.
    pub async fn environments(&self) -> Result<Vec<Entity>, ControlError> {
        self.moment(When::NOW).await?.environments()
    }

    /// One environment.
    pub async fn environment(&self, id: &EnvironmentId) -> Result<Entity, ControlError> {
        self.moment(When::NOW).await?.environment(id)
    }

    /// The targeting of every flag in an environment, by key.
    pub async fn targetings(&self, environment: &EnvironmentId) -> Result<Vec<Entity>, ControlError> {
        self.moment(When::NOW).await?.targetings(environment)
    }

    /// One flag's targeting in an environment.
    pub async fn targeting(
        &self,
        environment: &EnvironmentId,
        flag: &FlagKey,
    ) -> Result<Entity, ControlError> {
        self.moment(When::NOW).await?.targeting(environment, flag)
    }

    /// The segments of an environment, by key.
    pub async fn segments(&self, environment: &EnvironmentId) -> Result<Vec<Entity>, ControlError> {
        self.moment(When::NOW).await?.segments(environment)
    }

    /// What is declared of attributes.
    pub async fn attributes(&self) -> Result<Entity, ControlError> {
        self.moment(When::NOW).await?.attributes()
    }

    /// One view of the project.
    pub async fn view(&self, id: &ViewId) -> Result<Entity, ControlError> {
        self.moment(When::NOW).await?.view(id)
    }

    /// One segment.
    pub async fn segment(
        &self,
        environment: &EnvironmentId,
        key: &SegmentKey,
    ) -> Result<Entity, ControlError> {
        self.moment(When::NOW).await?.segment(environment, key)
    }

    /// One list: what it is, not its keys.
    pub async fn list(&self, environment: &EnvironmentId, key: &ListKey) -> Result<Entity, ControlError> {
        self.moment(When::NOW).await?.list(environment, key)
    }

    /// Up to `limit` changes of a flag's definition and of its targeting in an environment, newest first, all of them
    /// before the entry `before` if there is one.
    pub async fn history(
        &self,
        environment: &EnvironmentId,
        flag: &FlagKey,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<HistoryItem>, ControlError> {
        let state = self.state().await?;
        environment_of(&state, environment)?;
        let definition =
            &state.flag(flag.as_str()).ok_or_else(|| Refusal::no_flag(&state, flag.as_str()))?.definition;
        let untouched = Targeting::untouched(definition).to_json().into_owned();
        let newest = before.map_or(u64::MAX, |before| before.saturating_sub(1));
        // One more of each than is told: the last one is told from what was there before it.
        let read = limit.saturating_add(1);
        let targeting = LogEntity::Targeting(environment.clone(), flag.clone());
        let definitions = self.chain(&state, LogEntity::Flag(flag.clone()), newest, read).await?;
        let targetings = self.chain(&state, targeting, newest, read).await?;
        let mut items: Vec<HistoryItem> = history(&definitions, None)
            .take(limit)
            .chain(history(&targetings, Some(untouched)).take(limit))
            .collect();
        items.sort_by_key(|item| std::cmp::Reverse(item.seq));
        items.truncate(limit);
        Ok(items)
    }

    /// Up to `limit` changes of a flag's definition, of a segment, of a list, or of an environment, newest first, all of them
    /// before the entry `before` if there is one.
    pub async fn history_of(
        &self,
        entity: LogEntity,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<HistoryItem>, ControlError> {
        let state = self.state().await?;
        if state.place(&entity).0 == 0 {
            let refusal = match &entity {
                LogEntity::Flag(key) => Refusal::no_flag(&state, key.as_str()),
                LogEntity::Segment(id, key) => Refusal::no_segment(environment_of(&state, id)?, key.as_str()),
                LogEntity::List(id, key) => Refusal::no_list(environment_of(&state, id)?, key.as_str()),
                LogEntity::Environment(id) => Refusal::no_environment(&state, id.as_str()),
                _ => return Ok(Vec::new()),
            };
            return Err(refusal.into());
        }
        let newest = before.map_or(u64::MAX, |before| before.saturating_sub(1));
        let links = self.chain(&state, entity, newest, limit.saturating_add(1)).await?;
        Ok(history(&links, None).take(limit).collect())
    }

    /// Up to `limit` states that an entity has had by the entry `newest`, newest first, found by following each entry
    /// to the one before it.
    pub(super) async fn chain(
        &self,
        state: &State,
        entity: LogEntity,
        newest: u64,
        limit: usize,
    ) -> Result<Vec<Link>, ControlError> {
        let folded = &self.inner.folded;
        let targeted = match &entity {
            // A targeting's place rises with its definition; its own last entry is asked for here.
            LogEntity::Targeting(environment, flag) => state
                .environment(environment.as_str())
                .and_then(|found| found.flags.get(flag))
                .map(|flag| flag.seq),
            _ => None,
        };
        let mut seq = targeted.unwrap_or_else(|| state.place(&entity).1);
        let mut links = Vec::new();
        while seq > 0 && links.len() < limit {
            let Some(entry) = folded.log().entry(folded.project(), seq).await? else { break };
            let index = entry.header.changes.iter().position(|change| change.entity == entity);
            let Some((index, change)) =
                index.and_then(|at| Some((at, entry.header.changes.get(at)?.clone())))
            else {
                break;
            };
            if seq <= newest {
                let data = entry.read_data().ok().flatten();
                let state = data.as_ref().and_then(|data| data.states.get(index).cloned());
                links.push(Link {
                    seq,
                    entry,
                    revision: change.revision,
                    state,
                    data,
                    entity: entity.clone(),
                });
            }
            seq = change.prior_seq;
        }
        Ok(links)
    }

    /// Evaluates one flag or all flags of an environment for a context, as the log has them, or had them then.
    ///
    /// A time also decides schedules and ramps. An entry without a time means the moment it was written. If data that
    /// the answer depends on has been erased, nobody knows it: [`ControlError::DataErased`].
    pub async fn evaluate(
        &self,
        environment: &EnvironmentId,
        flag: Option<&str>,
        context: &Context,
        when: When,
    ) -> Result<Evaluated, ControlError> {
        let (state, now) = self.state_and_time(when).await?;
        let found = environment_of(&state, environment)?;
        let holes = self.holes(&state).await?;
        match flag {
            Some(key) => holes.check_reach(found, &found.reach(key))?,
            None => holes.check_all(found)?,
        }
        let snapshot = self.compiled(&state, environment, found).await?;
        let evaluated = |key: &str, on: bool| {
            let mut members = String::new();
            let details = snapshot.evaluate(key, None, context, now);
            batch::write_details(&details, None, &mut members);
            (key.to_owned(), on, members)
        };
        let flags = match flag {
            Some(key) => {
                let found = found.live_flag(key).ok_or_else(|| Refusal::no_flag(&state, key))?;
                vec![evaluated(key, found.targeting.authored.on)]
            }
            None => found
                .live_flags()
                .map(|(key, found)| evaluated(key.as_str(), found.targeting.authored.on))
                .collect(),
        };
        let version = self.inner.publications.read(&self.stream(environment)).await?.version();
        Ok(Evaluated { version, flags })
    }

    pub(super) async fn compiled(
        &self,
        state: &State,
        id: &EnvironmentId,
        environment: &Arc<EnvironmentState>,
    ) -> Result<Arc<Snapshot>, ControlError> {
        let compiled = &self.inner.compiled;
        let last = compiled.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some((_, snapshot)) = last.filter(|(of, _)| Arc::ptr_eq(of, environment)) {
            return Ok(snapshot);
        }
        let snapshot = Arc::new(self.with_lists(compile(state, id)?).await?);
        let kept = (Arc::clone(environment), Arc::clone(&snapshot));
        // What is looked at most often is what is there now. A list that is missing may come back.
        if state.seq() >= self.inner.folded.newest_seq() && snapshot.wanted_lists().is_empty() {
            compiled.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), kept);
        }
        Ok(snapshot)
    }

    /// Entries of the log after `after`: up to `limit`, and fewer where they are large.
    pub async fn log(&self, after: u64, limit: usize) -> Result<LogPage, ControlError> {
        let folded = &self.inner.folded;
        let entries = folded.log().read(folded.project(), after, limit).await?;
        let more = match entries.last() {
            Some(last) => {
                folded.log().head(folded.project()).await?.is_some_and(|head| head.seq > last.seq())
            }
            None => false,
        };
        Ok(LogPage { entries: entries.iter().map(|entry| (entry.seq(), entry_json(entry))).collect(), more })
    }
}

/// An environment as servers see it, compiled.
pub(super) fn compile(state: &State, id: &EnvironmentId) -> Result<Snapshot, ControlError> {
    let lines = build(state, id, &ViewId::server())?;
    Ok(Snapshot::compile(lines.iter().map(|line| line.as_bytes())).0)
}

pub(super) fn environment_of<'s>(
    state: &'s State,
    id: &EnvironmentId,
) -> Result<&'s Arc<EnvironmentState>, ControlError> {
    Ok(state.environment(id.as_str()).ok_or_else(|| Refusal::no_environment(state, id.as_str()))?)
}

/// What the links tell; `untouched` is what was there before the first of all.
fn history(links: &[Link], untouched: Option<Json<'static>>) -> impl Iterator<Item = HistoryItem> {
    links.iter().enumerate().map(move |(index, link)| {
        let before = links.get(index.saturating_add(1));
        let shown = |link: &Link| {
            let state = link.state.clone().filter(|state| !state.is_null());
            state.map(|state| authored(&link.entity, Some(state)))
        };
        let (from, to) = (before.map_or_else(|| untouched.clone(), shown), shown(link));
        let changes = match (&from, &to) {
            (Some(from), Some(to)) => differences(from, to),
            _ => Vec::new(),
        };
        let summary = match (&link.state, before.map(|before| &before.state)) {
            (None, _) => "erased".to_owned(),
            (Some(state), Some(None)) if !state.is_null() => {
                "changed; what was there before is erased".to_owned()
            }
            _ => summary(&link.entity, from.as_ref(), to.as_ref(), &changes),
        };
        let phases = begun(&link.entity, link.state.as_ref());
        let summary = with_phases(summary, &phases);
        let header = &link.entry.header;
        HistoryItem {
            seq: link.seq,
            time: Instant::from_millis(header.time_ms),
            actor: header.actor.clone(),
            actor_name: link.data.as_ref().and_then(|data| data.actor_name.clone()),
            reason: link.data.as_ref().and_then(|data| data.reason.clone()),
            entity: link.entity.to_string(),
            revision: link.revision,
            from,
            to,
            changes,
            summary,
            phases,
        }
    })
}

fn entry_json(entry: &Entry) -> Json<'static> {
    let header = Json::parse(&entry.header_bytes).map_or_else(|_| nothing(), Json::into_owned);
    let data = entry.read_data().ok().flatten();
    let data = data.and_then(|data| Json::parse(&data.to_bytes()).ok().map(Json::into_owned));
    Json::object([
        ("header", header),
        ("hash", Json::from(entry.hash.to_string())),
        ("data", data.unwrap_or(Json::Null)),
    ])
}
