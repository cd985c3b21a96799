//! Previews: whom a change would concern that nobody has made yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use flagstone_eval::Entity;
use flagstone_model::context::Context;
use flagstone_model::instant::Instant;
use flagstone_model::json::Json;
use flagstone_model::key::EnvironmentId;

use super::ControlPlane;
use super::error::ControlError;
use super::read::{compile, environment_of};
use super::several::{self, ChangedEntity, Several};
use super::write::{self, Operation, Write, invalid};
use crate::preview::{MAX_CONTEXTS, MAX_EVALUATIONS, Moves, Side, compare, reached, sample};
use crate::state::change::{Confirmation, Edit, Terms};
use crate::state::{EnvironmentState, State};

/// A change that is not made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Trial {
    /// Of one entity.
    One(Operation),
    /// Of several.
    Several(Several),
}

/// For whom a change is looked at.
#[derive(Debug, Clone)]
pub enum Contexts {
    /// For these.
    Given(Vec<Json<'static>>),
    /// For contexts made of what conditions ask for.
    Sample {
        /// How many; by default [`sample::DEFAULT_SIZE`], or as many as there is time for.
        size: Option<usize>,
        /// What makes them others.
        seed: u64,
    },
}

/// What a change would do.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The entry whose state it was looked at against.
    pub head: u64,
    /// The time it was evaluated for.
    pub at: Instant,
    /// Each entity that would change, as a trial tells it.
    pub changes: Vec<ChangedEntity>,
    /// What its author would be asked first.
    pub asked: Option<Asked>,
    /// The contexts that were evaluated.
    pub contexts: Vec<Json<'static>>,
    /// Who moves, by flag.
    pub moves: Moves,
}

/// Why a change is only made for somebody who says that it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The stable code of the refusal.
    pub code: &'static str,
    /// The same in words.
    pub detail: String,
}

impl ControlPlane {
    /// Tells whom a change of an environment would move, from what to what, and by which rule. Nothing is written.
    ///
    /// What would refuse the change refuses its preview; what somebody has to confirm is told. Schedules and ramps are
    /// those of `at`, else of now.
    pub async fn preview(
        &self,
        environment: &EnvironmentId,
        trial: &Trial,
        write: &Write,
        contexts: Contexts,
        at: Option<Instant>,
    ) -> Result<Preview, ControlError> {
        check(&contexts)?;
        let (state, edits, asked) = self.tried(trial, write).await?;
        let at = at.unwrap_or_else(|| self.now());
        let before = Arc::clone(environment_of(&state, environment)?);
        let next = state.with(&edits)?;
        let after = Arc::clone(environment_of(&next, environment)?);
        if !edits.is_empty() {
            // What is too large for an entry is refused here too.
            self.seal(&state, edits.clone(), write, "trial")?;
        }
        let now = self.compiled(&state, environment, &before).await?;
        let then = self.with_lists(compile(&next, environment)?).await?;
        let looked = tokio::task::spawn_blocking(move || {
            let flags = reached(&before, &after);
            let contexts = these(contexts, &before, &after, &flags)?;
            let read: Vec<Context> = contexts.iter().filter_map(Context::from_json).collect();
            let (before, after) = (
                Side { environment: &before, snapshot: &now },
                Side { environment: &after, snapshot: &then },
            );
            let moves = compare(before, after, &flags, &read, at);
            Ok::<_, ControlError>((contexts, moves))
        });
        let (contexts, moves) = looked.await.map_err(|_| ControlError::Contended)??;
        let changes = edits.iter().map(|edit| several::of_trial(&state, edit)).collect();
        Ok(Preview { head: state.seq(), at, changes, asked, contexts, moves })
    }

    /// The state, the edits that would be appended to it, and what their author would be asked.
    async fn tried(
        &self,
        trial: &Trial,
        write: &Write,
    ) -> Result<(Arc<State>, Vec<Edit>, Option<Asked>), ControlError> {
        let (targeting, older) = match trial {
            Trial::One(operation) => (self.older_targeting(operation).await?, None),
            Trial::Several(several) => (None, self.older(several).await?),
        };
        let state = self.state().await?;
        let edits = |confirmation| {
            let terms = Terms { confirmation, ..self.terms(write) };
            match trial {
                Trial::One(operation) => write::edits(&state, operation, targeting.as_ref(), terms),
                Trial::Several(several) => several::edits(&state, several, older.as_deref(), terms),
            }
        };
        let made = edits(Confirmation::Given)?;
        // What is only refused to somebody who has not confirmed it is a question.
        let asked = edits(Confirmation::Ask).err();
        let asked = asked.map(|refusal| Asked { code: refusal.code(), detail: refusal.to_string() });
        Ok((state, made, asked))
    }
}

fn check(contexts: &Contexts) -> Result<(), ControlError> {
    let (pointer, size) = match contexts {
        Contexts::Given(contexts) => ("/contexts", contexts.len()),
        Contexts::Sample { size, .. } => ("/sample/size", size.unwrap_or(sample::DEFAULT_SIZE)),
    };
    if !(1..=MAX_CONTEXTS).contains(&size) {
        return Err(invalid(pointer, &format!("a preview looks at 1 to {MAX_CONTEXTS} contexts")));
    }
    let Contexts::Given(contexts) = contexts else { return Ok(()) };
    match contexts.iter().position(|context| context.as_object().is_none()) {
        Some(index) => Err(invalid(&format!("{pointer}/{index}"), "a context is an object")),
        None => Ok(()),
    }
}

/// The contexts to evaluate; so many flags may be reached that there is no time for all of them.
fn these(
    contexts: Contexts,
    before: &EnvironmentState,
    after: &EnvironmentState,
    flags: &[Box<str>],
) -> Result<Vec<Json<'static>>, ControlError> {
    let most =
        MAX_EVALUATIONS.checked_div(flags.len()).map_or(MAX_CONTEXTS, |most| most.clamp(1, MAX_CONTEXTS));
    let fits = |size: usize, pointer: &str| {
        let reached = flags.len();
        let detail =
            || format!("the change reaches {reached} flags: at most {most} contexts are evaluated for them");
        if size <= most { Ok(size) } else { Err(invalid(pointer, &detail())) }
    };
    match contexts {
        Contexts::Given(contexts) => fits(contexts.len(), "/contexts").map(|_| contexts),
        Contexts::Sample { size, seed } => {
            let size = match size {
                Some(size) => fits(size, "/sample/size")?,
                None => sample::DEFAULT_SIZE.min(most),
            };
            let mut lines: BTreeMap<(Entity, bool), Arc<str>> = BTreeMap::new();
            for (is_after, side) in [(false, before), (true, after)] {
                for flag in flags {
                    let reach = side.reach(flag).lines.into_iter();
                    lines.extend(reach.filter_map(|(entity, line)| Some(((entity, is_after), line?))));
                }
            }
            Ok(sample::contexts(lines.values().map(|line| &**line), size, seed))
        }
    }
}
