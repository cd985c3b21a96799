//! The state of a project: the fold of its log (FORMAT T-4).
//!
//! [`State`] is a value. A clone is cheap and shares almost everything, so that readers keep theirs while a writer
//! prepares the next: [`change`] computes what a request would record, [`State::with`] what it would lead to, and
//! [`State::apply`] folds the entry once it is in the log.

use core::fmt;
use std::sync::Arc;

use flagstone_model::key::{EnvironmentId, FlagKey, ProjectId, ViewId};

pub mod change;
mod checks;

mod credential;
mod entity;
mod experiments;
mod fold;
mod lines;
mod reach;
mod references;
mod requests;
mod room;
mod sorted_map;
mod view;

pub use credential::{Authored, Credential, CredentialState};
pub use entity::{
    EnvironmentState, FlagInEnvironment, FlagState, ListState, ProjectState, SegmentState, SettledTargeting,
};
pub(crate) use entity::{authored_environment, authored_segment, notes};
pub use fold::FoldError;
pub use lines::StateFault;
pub use reach::Reach;
pub use requests::{REMEMBERED, REMEMBERED_MS, Recorded, Requests};
pub use room::{MAX_KEYED_BYTES, MAX_PACKED_BYTES, MAX_PUBLIC_BYTES};
pub use sorted_map::SortedMap;
pub use view::{AttributesState, Obstacle, ObstacleAt, ViewState};

use crate::author::{SdkKey, Token};
use crate::log::{Entity, Head, SdkKeyId, TokenId};
use crate::lower::salt::Salts;
use entity::Environments;

/// Everything about a project at one point of its log.
#[derive(Clone)]
pub struct State {
    id: ProjectId,
    head: Option<Head>,
    project: Option<Arc<ProjectState>>,
    flags: SortedMap<FlagKey, Arc<FlagState>>,
    environments: Environments,
    tokens: SortedMap<TokenId, Arc<CredentialState<Token>>>,
    sdk_keys: SortedMap<(EnvironmentId, SdkKeyId), Arc<CredentialState<SdkKey>>>,
    attributes: AttributesState,
    views: SortedMap<ViewId, Arc<ViewState>>,
    requests: Requests,
    /// Revision and last entry of entities that this release only carries along.
    others: SortedMap<Arc<str>, (u64, u64)>,
}

/// Says how much there is: what authors wrote has no place in a log of the program.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("project", &self.id)
            .field("seq", &self.seq())
            .field("flags", &self.flags.len())
            .field("environments", &self.environments.keys())
            .finish_non_exhaustive()
    }
}

impl State {
    /// The state before the first entry.
    pub fn new(project: ProjectId) -> Self {
        Self {
            id: project,
            head: None,
            project: None,
            flags: SortedMap::default(),
            environments: Environments::new(),
            tokens: SortedMap::default(),
            sdk_keys: SortedMap::default(),
            attributes: AttributesState::default(),
            views: SortedMap::default(),
            requests: Requests::default(),
            others: SortedMap::default(),
        }
    }

    /// The id of the project.
    pub const fn id(&self) -> &ProjectId {
        &self.id
    }

    /// The entry it stands at.
    pub const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The seq of the entry it stands at; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.head.map_or(0, |head| head.seq)
    }

    /// The project itself, once an entry has said what it is.
    pub fn project(&self) -> Option<&Arc<ProjectState>> {
        self.project.as_ref()
    }

    /// A flag, archived ones too.
    pub fn flag(&self, key: &str) -> Option<&Arc<FlagState>> {
        self.flags.get(key)
    }

    /// All flags, archived ones too.
    pub const fn flags(&self) -> &SortedMap<FlagKey, Arc<FlagState>> {
        &self.flags
    }

    /// An environment.
    pub fn environment(&self, id: &str) -> Option<&Arc<EnvironmentState>> {
        self.environments.get(id)
    }

    /// All environments, by id.
    pub fn environments(&self) -> impl Iterator<Item = (&EnvironmentId, &Arc<EnvironmentState>)> {
        self.environments.iter()
    }

    /// A token, a revoked one too.
    pub fn token(&self, id: &TokenId) -> Option<&Arc<CredentialState<Token>>> {
        self.tokens.get(id)
    }

    /// All tokens by id, revoked ones too.
    pub fn all_tokens(&self) -> impl Iterator<Item = (&TokenId, &Arc<CredentialState<Token>>)> {
        self.tokens.iter()
    }

    /// The tokens that are not revoked, by id; expired ones are among them.
    pub fn tokens(&self) -> impl Iterator<Item = (&TokenId, &Credential<Token>)> {
        self.tokens.iter().filter_map(|(id, token)| Some((id, token.credential.as_ref()?)))
    }

    /// An SDK key, a revoked one too.
    pub fn sdk_key(
        &self,
        environment: &EnvironmentId,
        id: &SdkKeyId,
    ) -> Option<&Arc<CredentialState<SdkKey>>> {
        self.sdk_keys.get(&(environment.clone(), id.clone()))
    }

    /// All SDK keys by environment and id, revoked ones too.
    pub fn all_sdk_keys(
        &self,
    ) -> impl Iterator<Item = (&(EnvironmentId, SdkKeyId), &Arc<CredentialState<SdkKey>>)> {
        self.sdk_keys.iter()
    }

    /// The SDK keys of an environment that are not revoked, by id.
    pub fn sdk_keys(
        &self,
        environment: &EnvironmentId,
    ) -> impl Iterator<Item = (&SdkKeyId, &Credential<SdkKey>)> {
        let own = self.sdk_keys.iter().filter(move |((id, _), _)| id == environment);
        own.filter_map(|((_, id), key)| Some((id, key.credential.as_ref()?)))
    }

    /// The requests that are remembered.
    pub const fn requests(&self) -> &Requests {
        &self.requests
    }

    /// The entries that were erased, each with the last entry that says so.
    pub fn erasures(&self) -> impl Iterator<Item = (u64, u64)> {
        let all = self.others.iter_after("erase/").take_while(|(text, _)| text.starts_with("erase/"));
        all.filter_map(|(text, (_, seq))| Some((text.strip_prefix("erase/")?.parse().ok()?, *seq)))
    }

    /// The revision of an entity and the last entry that changed it; both 0 if there was none.
    pub fn place(&self, entity: &Entity) -> (u64, u64) {
        let place = match entity {
            Entity::Project => self.project.as_ref().map(|project| (project.revision, project.seq)),
            Entity::Environment(id) => self.environments.get(id).map(|found| (found.revision, found.seq)),
            Entity::Flag(key) => self.flags.get(key).map(|flag| (flag.revision, flag.seq)),
            Entity::Targeting(id, key) => self
                .environments
                .get(id)
                .and_then(|environment| environment.flags.get(key))
                .map(|flag| (flag.revision(), flag.seq)),
            Entity::Segment(id, key) => self
                .environments
                .get(id)
                .and_then(|environment| environment.segments.get(key))
                .map(|segment| (segment.revision, segment.seq)),
            Entity::List(id, key) => self
                .environments
                .get(id)
                .and_then(|environment| environment.lists.get(key))
                .map(|list| (list.revision, list.seq)),
            Entity::Token(id) => self.tokens.get(id).map(|token| (token.revision, token.seq)),
            Entity::SdkKey(id, key) => self.sdk_key(id, key).map(|key| (key.revision, key.seq)),
            Entity::Attributes => Some((self.attributes.revision, self.attributes.seq)),
            Entity::View(id) => self.views.get(id).map(|view| (view.revision, view.seq)),
            other => self.others.get(other.to_string().as_str()).copied(),
        };
        place.unwrap_or_default()
    }
}

impl EnvironmentState {
    /// The salts in use, but for those of one entity.
    fn salts(&self, but_flag: Option<&str>, but_segment: Option<&str>) -> Salts<'_> {
        let flags = self.live_flags().filter(|(key, _)| but_flag != Some(key.as_str()));
        let of_flags = flags.flat_map(|(_, flag)| &flag.targeting.salts);
        let segments = self.live_segments().filter(|(key, _)| but_segment != Some(key.as_str()));
        Salts::elsewhere(of_flags.chain(segments.flat_map(|(_, segment)| &segment.salts)))
    }
}
