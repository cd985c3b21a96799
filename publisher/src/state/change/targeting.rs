//! Changes of a flag's targeting in one environment.

use std::collections::BTreeMap;
use std::sync::Arc;

use flagstone_model::json::Json;
use flagstone_model::key::{EnvironmentId, FlagKey, VariationKey};

use super::client::{self, Spoken};
use super::flag::{live, unless_long};
use super::schedule::{ask_before_shrinking, past};
use super::{Confirmation, Edit, Refusal, Terms};
use crate::author::{Problem, Targeting, Weight, code, did_you_mean};
use crate::log::Entity;
use crate::lower::{Elsewhere, Splits, rollout};
use crate::state::experiments::{self, At};
use crate::state::references::{Node, check, unknown_variations};
use crate::state::{EnvironmentState, FlagInEnvironment, SettledTargeting, State};

/// Writes a flag's targeting, whole.
pub fn put_targeting(
    state: &State,
    id: &EnvironmentId,
    key: &FlagKey,
    body: &Json<'_>,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let at = Place { is_whole: true, ..Place::find(state, id, key, terms)? };
    let before = at.flag.targeting.instants.clone();
    at.target(Targeting::parse_after(body, before)?, terms)
}

/// Switches a flag on or off. Switching off never asks.
pub fn switch(
    state: &State,
    id: &EnvironmentId,
    key: &FlagKey,
    on: bool,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let at = Place::find(state, id, key, terms)?;
    let confirmation = if on { terms.confirmation } else { Confirmation::Given };
    let authored = Targeting { on, ..at.flag.targeting.authored.clone() };
    at.target(authored, Terms { confirmation, ..terms })
}

/// Replaces a flag's fallthrough by a rollout: `{"variation":…,"percent":…}`.
pub fn roll_out(
    state: &State,
    id: &EnvironmentId,
    key: &FlagKey,
    body: &Json<'_>,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let at = Place::find(state, id, key, terms)?;
    let (variation, share) = at.read_rollout(body)?;
    let authored = &at.flag.targeting.authored;
    let fallthrough = rollout::roll_out(authored, &variation, share)
        .map_err(|error| Refusal::invalid("/percent", error.to_string()))?;
    at.target(Targeting { fallthrough: Some(fallthrough), ..authored.clone() }, terms)
}

/// Makes an older targeting hold again, with the salts and ranges it had; `older` is its state in the log.
pub fn restore_targeting(
    state: &State,
    id: &EnvironmentId,
    key: &FlagKey,
    older: &Json<'_>,
    terms: Terms,
) -> Result<Vec<Edit>, Refusal> {
    let at = Place::find(state, id, key, terms)?;
    let older = SettledTargeting::from_json(older)
        .ok_or_else(|| Refusal::invalid("/seq", "what was written then can not be read any more"))?;
    let mut salts = at.environment.salts(Some(key.as_str()), None);
    let mut problems = Vec::new();
    for used in &older.salts {
        crate::lower::take(&used.salt, "/seq".to_owned(), &mut salts, &mut problems);
    }
    Refusal::unless_none(problems)?;
    let older = older.continued(&at.flag.targeting, &at.environment.last_phases());
    at.settled(&older, "/seq", terms)
}

/// A flag in one environment, about to be targeted.
pub(super) struct Place<'a> {
    state: &'a State,
    id: &'a EnvironmentId,
    key: &'a FlagKey,
    environment: &'a Arc<EnvironmentState>,
    pub(super) flag: &'a Arc<FlagInEnvironment>,
    /// Whether the request is the targeting, with its checks.
    is_whole: bool,
}

impl<'a> Place<'a> {
    /// A live flag in an environment, if the terms hold of it.
    pub(super) fn find(
        state: &'a State,
        id: &'a EnvironmentId,
        key: &'a FlagKey,
        terms: Terms,
    ) -> Result<Self, Refusal> {
        let environment =
            state.environment(id.as_str()).ok_or_else(|| Refusal::no_environment(state, id.as_str()))?;
        live(state, key)?;
        let flag = environment.flags.get(key).ok_or_else(|| Refusal::no_flag(state, key.as_str()))?;
        terms.check(flag.revision(), flag.edits > 0)?;
        Ok(Self { state, id, key, environment, flag, is_whole: false })
    }

    /// Settles and checks a new targeting.
    pub(super) fn target(&self, authored: Targeting, terms: Terms) -> Result<Vec<Edit>, Refusal> {
        self.reshuffled(authored, None, terms)
    }

    /// The same, one rule being shuffled anew.
    pub(super) fn reshuffled(
        &self,
        authored: Targeting,
        reshuffle: Option<&str>,
        terms: Terms,
    ) -> Result<Vec<Edit>, Refusal> {
        let authored = authored.stated(&self.flag.flag.definition);
        let before = &*self.flag.targeting;
        let salts = self.environment.salts(Some(self.key.as_str()), None);
        let elsewhere = Elsewhere { salts, reshuffle, ..self.environment.elsewhere(|key| key == self.key) };
        let settled =
            Splits::settle(self.key, &authored, Some((&before.authored, &before.splits)), elsewhere);
        let mut problems =
            unknown_variations(&authored.mentions(), &self.flag.flag.definition, code::INVALID_REQUEST);
        let asks = terms.confirmation == Confirmation::Ask;
        if asks {
            problems.extend(past(&authored, &before.authored, terms.now()));
        }
        match settled {
            Ok(splits) if problems.is_empty() => {
                let settled = SettledTargeting::new(authored, splits);
                let edits = self.settled(&settled, "", terms)?;
                if asks {
                    ask_before_shrinking(&settled, before, terms.now())?;
                }
                Ok(edits)
            }
            settled => {
                problems.extend(settled.err().unwrap_or_default());
                Err(problems.into())
            }
        }
    }

    /// Checks a settled targeting, which the request speaks of at `pointer`: its document if that is the whole.
    fn settled(&self, settled: &SettledTargeting, pointer: &str, terms: Terms) -> Result<Vec<Edit>, Refusal> {
        let mentions = settled.authored.mentions();
        let mut problems = unknown_variations(&mentions, &self.flag.flag.definition, code::INVALID_REQUEST);
        let entity = Entity::Targeting(self.id.clone(), self.key.clone());
        let edit = Edit::of(self.state, entity, &settled.to_json());
        let next = self.state.with([&edit])?;
        if let Some(environment) = next.environment(self.id.as_str()) {
            let node = Node::Flag(self.key.as_str());
            problems.extend(check(environment, node, &mentions).err().unwrap_or_default());
            let at = At { pointer, is_document: pointer.is_empty() };
            problems.extend(experiments::check(environment, &BTreeMap::from([(self.key, at)])));
        }
        Refusal::unless_none(problems)?;
        unless_long(self.state, &next, self.key)?;
        let own = |id: &EnvironmentId, key: &FlagKey| {
            (self.is_whole && id == self.id && key == self.key).then(String::new)
        };
        Refusal::unless_checked(self.state, &next, terms.confirmation, own)?;
        let spoken = Spoken::of(Entity::Targeting(self.id.clone(), self.key.clone()));
        Refusal::unless_none(client::check(self.state, &next, &spoken))?;
        Refusal::unless_room(self.state, &next, pointer)?;
        terms.confirm(self.environment, Node::Flag(self.key.as_str()))?;
        Ok(vec![edit])
    }

    fn read_rollout(&self, body: &Json<'_>) -> Result<(VariationKey, Weight), Refusal> {
        const MEMBERS: [&str; 2] = ["variation", "percent"];
        let Some(members) = body.as_object() else {
            return Err(Refusal::invalid("", "a rollout is an object of `variation` and `percent`"));
        };
        let mut problems = Vec::new();
        for (name, _) in members {
            if !MEMBERS.contains(&name.as_ref()) {
                let hint = did_you_mean(name, MEMBERS);
                let pointer = crate::author::pointer([name.as_ref()]);
                problems.push(Problem::invalid(pointer, format!("a rollout has no member `{name}`{hint}")));
            }
        }
        let definition = &self.flag.flag.definition;
        let name = body.member("variation").and_then(Json::as_str);
        let variation = name.and_then(|name| definition.variation(name));
        if variation.is_none() {
            let detail = name.map_or("the member `variation` is missing or no string".to_owned(), |name| {
                let hint = did_you_mean(name, definition.variations.keys().map(AsRef::as_ref));
                format!("flag `{}` has no variation `{name}`{hint}", self.key)
            });
            problems.push(Problem::invalid("/variation", detail));
        }
        let share = body.member("percent").and_then(Weight::of_percent_json);
        if share.is_none() {
            let detail = "`percent` is a number from 0 to 100 with at most three decimals";
            problems.push(Problem::invalid("/percent", detail));
        }
        match (variation, share) {
            (Some(variation), Some(share)) if problems.is_empty() => Ok((variation.clone(), share)),
            _ => Err(problems.into()),
        }
    }
}
