//! Lists in files against those of the server. They are too large for the one entry of the rest: each is written by
//! itself, before whatever names it, and deleted after.

use std::collections::BTreeMap;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, ListKey};
use flagstone_publisher::list::ListKeys;
use reqwest::Method;

use crate::api::{Api, Expected, escaped};
use crate::args::WriteArgs;
use crate::failure::Failure;
use crate::screen::{Paint, Screen};
use crate::tree::Tree;
use crate::verbs::told;

/// A list that is to become another.
pub(super) struct Wish<'t> {
    environment: EnvironmentId,
    key: ListKey,
    /// The revision there is; `None` if it is new.
    present: Option<u64>,
    change: Change<'t>,
}

enum Change<'t> {
    /// It gets these keys: so many more, and so many fewer.
    Put { keys: &'t ListKeys, added: u64, dropped: u64 },
    /// It is deleted.
    Delete,
}

/// All that is wanted of lists.
pub(super) struct Lists<'t>(Vec<Wish<'t>>);

/// The path of a list.
pub(super) fn path(api: &Api, environment: &EnvironmentId, key: &ListKey) -> String {
    let (environment, key) = (escaped(environment.as_str()), escaped(key.as_str()));
    api.in_project(&format!("environments/{environment}/lists/{key}"))
}

/// The lists of the server, and their revisions.
pub(super) async fn of_server(
    api: &Api,
    environments: impl Iterator<Item = &EnvironmentId>,
) -> Result<BTreeMap<(EnvironmentId, ListKey), u64>, Failure> {
    let mut found = BTreeMap::new();
    for id in environments {
        let place = api.in_project(&format!("environments/{}/lists", escaped(id.as_str())));
        for item in api.list(&place).await? {
            let Ok(key) = ListKey::parse(told::text(&item, "key")) else { continue };
            let revision = told::number(&item, "revision").and_then(|revision| revision.try_into().ok());
            found.insert((id.clone(), key), revision.unwrap_or_default());
        }
    }
    Ok(found)
}

/// The keys of a list of the server.
pub(super) async fn keys(api: &Api, environment: &EnvironmentId, key: &ListKey) -> Result<ListKeys, Failure> {
    let (text, _) = api.text(&format!("{}/keys", path(api, environment, key))).await?;
    ListKeys::from_text(text.as_bytes()).map_err(|fault| {
        Failure::refused("bad-answer", format!("list `{key}` of the server: {fault}"))
            .hint("is the server of a later release? then take that one's command")
    })
}

impl<'t> Lists<'t> {
    /// What the files want, and, with `prune`, what they do not want any more.
    pub(super) async fn of(
        api: &Api,
        tree: &'t Tree,
        environments: impl Iterator<Item = &EnvironmentId>,
        prune: bool,
    ) -> Result<Self, Failure> {
        let present = of_server(api, environments).await?;
        let mut wishes = Vec::new();
        for ((environment, key), keys) in &tree.lists {
            let revision = present.get(&(environment.clone(), key.clone())).copied();
            let before = match revision {
                Some(_) => self::keys(api, environment, key).await?,
                None => ListKeys::default(),
            };
            if revision.is_some() && before == *keys {
                continue;
            }
            let kept = common(&before, keys);
            let less = |all: &ListKeys| (all.len() as u64).saturating_sub(kept);
            let change = Change::Put { keys, added: less(keys), dropped: less(&before) };
            wishes.push(Wish {
                environment: environment.clone(),
                key: key.clone(),
                present: revision,
                change,
            });
        }
        let gone = present.into_iter().filter(|(place, _)| prune && !tree.lists.contains_key(place));
        wishes.extend(gone.map(|((environment, key), revision)| Wish {
            environment,
            key,
            present: Some(revision),
            change: Change::Delete,
        }));
        Ok(Self(wishes))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something that is wanted is not there yet.
    pub(super) fn makes_some(&self) -> bool {
        self.0.iter().any(|wish| wish.present.is_none())
    }

    /// Whether lists are written before the rest is tried.
    pub(super) fn writes_some(&self) -> bool {
        self.0.iter().any(|wish| matches!(wish.change, Change::Put { .. }))
    }

    /// The first list that is there and would become another.
    pub(super) fn overwritten(&self) -> Option<String> {
        let there = self.0.iter().find(|wish| wish.present.is_some())?;
        Some(format!("list `{}` in {}", there.key, there.environment))
    }

    pub(super) fn show(&self, screen: &Screen) -> Result<(), Failure> {
        if screen.is_json() {
            return Ok(());
        }
        for Wish { environment, key, present, change } in &self.0 {
            let line = match (change, present) {
                (Change::Put { keys, .. }, None) => {
                    screen.paint(Paint::Green, format!("+ list {key} in {environment}: {} keys", keys.len()))
                }
                (Change::Put { added, dropped, .. }, Some(_)) => screen
                    .paint(Paint::Yellow, format!("~ list {key} in {environment}: +{added} −{dropped} keys")),
                (Change::Delete, _) => screen.paint(Paint::Red, format!("- list {key} in {environment}")),
            };
            screen.line(line)?;
        }
        Ok(())
    }

    /// The same for programs.
    pub(super) fn to_json(&self) -> Json<'static> {
        let one = |wish: &Wish<'_>| {
            let mut members = vec![
                ("list", Json::from(wish.key.to_string())),
                ("environment", Json::from(wish.environment.to_string())),
            ];
            match &wish.change {
                Change::Put { added, dropped, .. } => {
                    let action = if wish.present.is_some() { "updated" } else { "created" };
                    members.extend([
                        ("action", Json::from(action)),
                        ("added", Json::from(*added)),
                        ("dropped", Json::from(*dropped)),
                    ]);
                }
                Change::Delete => members.push(("action", Json::from("deleted"))),
            }
            Json::object(members)
        };
        self.0.iter().map(one).collect()
    }

    /// Writes what is new or another, each by itself.
    pub(super) async fn write(&self, api: &Api, how: &WriteArgs, screen: &Screen) -> Result<(), Failure> {
        for Wish { environment, key, present, change } in &self.0 {
            let Change::Put { keys, .. } = change else { continue };
            let expected = present.map_or(Expected::Absent, Expected::Revision);
            let path = path(api, environment, key);
            let answer = api.write_text(&path, keys.as_text(), expected, how).await?;
            if !screen.is_json() {
                told::change(screen, &answer, &format!("list {key} was written in {environment}"))?;
            }
        }
        Ok(())
    }

    /// Deletes what nothing names any more.
    pub(super) async fn delete(&self, api: &Api, how: &WriteArgs, screen: &Screen) -> Result<(), Failure> {
        for Wish { environment, key, present, change } in &self.0 {
            let (Change::Delete, Some(revision)) = (change, present) else { continue };
            let path = path(api, environment, key);
            let answer = api.write(Method::DELETE, &path, None, Expected::Revision(*revision), how).await?;
            if !screen.is_json() {
                told::change(screen, &answer, &format!("list {key} was deleted in {environment}"))?;
            }
        }
        Ok(())
    }
}

/// How many keys both have.
fn common(one: &ListKeys, other: &ListKeys) -> u64 {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut count = 0;
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        match a.cmp(b) {
            core::cmp::Ordering::Less => drop(one.next()),
            core::cmp::Ordering::Greater => drop(other.next()),
            core::cmp::Ordering::Equal => {
                count += 1;
                one.next();
                other.next();
            }
        }
    }
    count
}
