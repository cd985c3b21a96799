//! What the server has, in the form of files.

use std::collections::BTreeMap;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, SegmentKey, ViewId};
use flagstone_publisher::author::{
    Attributes, Environment, FlagDefinition, Problem, Segment, Targeting, ViewDefinition,
};
use flagstone_publisher::log::Entity;

use crate::api::{Api, escaped};
use crate::failure::Failure;
use crate::tree::{Flag, Tree};
use crate::verbs::told;

/// Members that the server adds.
const OF_THE_SERVER: [&str; 7] = ["key", "environment", "revision", "seq", "notes", "publication", "phases"];
/// How often a project that changes meanwhile is read again.
const ATTEMPTS: usize = 3;

/// A project as the server has it.
pub(crate) struct Server {
    pub(crate) tree: Tree,
    /// What each entity is at.
    pub(super) revisions: BTreeMap<Entity, u64>,
    /// The last entry of the log, if there is an environment that tells.
    pub(crate) head: Option<u64>,
}

impl Server {
    /// Reads the keys of all lists too: what an export needs, and nobody else.
    pub(crate) async fn read_with_lists(api: &Api) -> Result<Self, Failure> {
        let mut server = Self::read(api).await?;
        let environments = server.tree.environments.keys();
        for (environment, key) in super::lists::of_server(api, environments).await?.into_keys() {
            let keys = super::lists::keys(api, &environment, &key).await?;
            server.tree.lists.insert((environment, key), keys);
        }
        Ok(server)
    }

    /// Reads all of it but the lists, as it is at one moment, unless it changes all the time.
    pub(crate) async fn read(api: &Api) -> Result<Self, Failure> {
        let mut server = Self::read_once(api).await?;
        for _ in 1..ATTEMPTS {
            if head(api, &server.tree).await? == server.head {
                break;
            }
            server = Self::read_once(api).await?;
        }
        Ok(server)
    }

    async fn read_once(api: &Api) -> Result<Self, Failure> {
        let mut tree = Tree::empty(api.project().clone());
        let mut revisions = BTreeMap::new();
        for item in api.list(&api.in_project("environments")).await? {
            let environment =
                Environment::parse(&own(&item, &[])).map_err(|wrong| unreadable(&item, &wrong))?;
            tree.environments.insert(environment.id.clone(), environment);
        }
        let head = head(api, &tree).await?;
        let declared = api.get(&api.in_project("attributes")).await?.body;
        let at = revision(&declared);
        if at > 0 {
            let attributes =
                Attributes::parse(&own(&declared, &[])).map_err(|wrong| unreadable(&declared, &wrong))?;
            revisions.insert(Entity::Attributes, at);
            tree.attributes = Some(attributes);
        }
        for item in api.list(&api.in_project("views")).await? {
            let Ok(id) = ViewId::parse(told::text(&item, "key")) else { continue };
            // What is built in is in every project.
            if [ViewId::server(), ViewId::client()].contains(&id) {
                continue;
            }
            let view = ViewDefinition::parse(&own(&item, &[])).map_err(|wrong| unreadable(&item, &wrong))?;
            revisions.insert(Entity::View(id.clone()), revision(&item));
            tree.views.insert(id, view);
        }
        for item in api.list(&api.in_project("flags")).await? {
            let definition =
                FlagDefinition::parse(&own(&item, &["key"])).map_err(|wrong| unreadable(&item, &wrong))?;
            let key = definition.key.clone();
            revisions.insert(Entity::Flag(key.clone()), revision(&item));
            tree.flags.insert(key, Flag { definition, targetings: BTreeMap::new() });
        }
        let environments: Vec<EnvironmentId> = tree.environments.keys().cloned().collect();
        for id in environments {
            let place = format!("environments/{}", escaped(id.as_str()));
            for item in api.list(&api.in_project(&format!("{place}/flags"))).await? {
                let targeting =
                    Targeting::parse(&own(&item, &[])).map_err(|wrong| unreadable(&item, &wrong))?;
                let Ok(key) = FlagKey::parse(told::text(&item, "key")) else { continue };
                revisions.insert(Entity::Targeting(id.clone(), key.clone()), revision(&item));
                if let Some(flag) = tree.flags.get_mut(&key) {
                    flag.targetings.insert(id.clone(), targeting);
                }
            }
            for item in api.list(&api.in_project(&format!("{place}/segments"))).await? {
                let segment = Segment::parse(&own(&item, &[])).map_err(|wrong| unreadable(&item, &wrong))?;
                let Ok(key) = SegmentKey::parse(told::text(&item, "key")) else { continue };
                revisions.insert(Entity::Segment(id.clone(), key.clone()), revision(&item));
                tree.segments.insert((id.clone(), key), segment);
            }
        }
        Ok(Self { tree, revisions, head })
    }
}

/// The last entry of the log.
async fn head(api: &Api, tree: &Tree) -> Result<Option<u64>, Failure> {
    let Some(id) = tree.environments.keys().next() else { return Ok(None) };
    let answer =
        api.get(&api.in_project(&format!("environments/{}/publication", escaped(id.as_str())))).await?;
    let views = answer.body.as_object().unwrap_or_default().iter();
    let heads = views.filter_map(|(_, view)| told::number(view, "head_seq")?.try_into().ok());
    Ok(heads.max())
}

fn own(item: &Json<'static>, kept: &[&str]) -> Json<'static> {
    let members = item.as_object().unwrap_or_default().iter();
    let own = members.filter(|(name, _)| !OF_THE_SERVER.contains(&&**name) || kept.contains(&&**name));
    Json::Object(own.cloned().collect())
}

fn revision(item: &Json<'_>) -> u64 {
    told::number(item, "revision").and_then(|revision| revision.try_into().ok()).unwrap_or_default()
}

fn unreadable(item: &Json<'_>, wrong: &[Problem]) -> Failure {
    let detail = wrong.first().map_or("unreadable", |problem| &problem.detail);
    let detail = format!("this release cannot read `{}` of the server: {detail}", told::text(item, "key"));
    Failure::refused("bad-answer", detail)
        .hint("is the server of a later release? then take that one's command")
}
